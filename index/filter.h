// Which records: a condition on metadata and document, as it is asked.
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "index/record.h"

namespace omics::index {

struct Filter;

// All members hold; without members it holds for every record.
struct AllOf {
  std::vector<Filter> filters;
};

// At least one member holds; without members it holds for no record.
struct AnyOf {
  std::vector<Filter> filters;
};

// Compares the value of one metadata key. Whole numbers and doubles compare by value, exactly (2^53 + 1 is not
// 2^53); nothing else compares across types: true is not 1 and "1" is not 1.
//
// A record without the key, or with a value of another type, matches kNotEqual, kNotIn and kNotContains, nothing else.
// A list equals nothing; only kContains and kNotContains look into it, and they look into nothing but lists.
struct MetadataCondition {
  enum class Operator {
    kEqual,
    kNotEqual,
    kGreater,  // the four that order take a number
    kGreaterOrEqual,
    kLess,
    kLessOrEqual,
    kIn,  // equal to one of `values`: at least one
    kNotIn,
    kContains,  // the stored list has the value as a member
    kNotContains,
  };
  std::string key;
  Operator op = Operator::kEqual;
  std::vector<MetadataValue> values;  // scalars; exactly one unless kIn or kNotIn
};

// Compares the document, byte by byte, so case matters. A record without a document matches kNotContains and
// kNotMatches, nothing else.
struct DocumentCondition {
  enum class Operator {
    kContains,  // `pattern` stands somewhere in the document; the empty one in every document
    kNotContains,
    kMatches,  // RE2 syntax, found anywhere in the document
    kNotMatches,
  };
  Operator op = Operator::kContains;
  std::string pattern;
};

struct Filter {
  std::variant<AllOf, AnyOf, MetadataCondition, DocumentCondition> node;
};

// Limits of one filter; what exceeds one is refused with INVALID_ARGUMENT.
inline constexpr int kFilterDepthMax = 32;  // protobuf itself refuses messages of about three times as many
inline constexpr int kFilterNodesMax = 1024;
inline constexpr std::size_t kFilterValuesMax = 100'000;  // of all kIn and kNotIn together
inline constexpr std::size_t kFilterPatternBytesMax = 4096;
inline constexpr int kFilterRegexesMax = 16;  // each may cost a look at every document

// INVALID_ARGUMENT saying what is wrong with which condition: a limit, an operand of the wrong type, a pattern that is
// not RE2.
absl::Status ValidateFilter(const Filter& filter);

}  // namespace omics::index
