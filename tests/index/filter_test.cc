#include "index/filter.h"

#include <limits>

#include "tests/support/status_matchers.h"

namespace omics::index {
namespace {

using Operator = MetadataCondition::Operator;
using DocumentOperator = DocumentCondition::Operator;

Filter On(Operator op, std::vector<MetadataValue> values, std::string key = "k") {
  return {MetadataCondition{std::move(key), op, std::move(values)}};
}
Filter On(DocumentOperator op, std::string pattern) { return {DocumentCondition{op, std::move(pattern)}}; }

Filter Nested(int depth) {
  Filter filter = On(Operator::kEqual, {true});
  for (int i = 1; i < depth; ++i) filter = {AllOf{{filter}}};
  return filter;
}

TEST(ValidateFilterTest, AcceptsWhatTheHeaderSays) {
  const MetadataValue text = std::string("a"), whole = std::int64_t{1}, real = 1.5, truth = true;
  for (const Filter& filter : {
           Filter{AllOf{}},
           Filter{AnyOf{}},
           On(Operator::kEqual, {text}),
           On(Operator::kNotEqual, {truth}),
           On(Operator::kLess, {whole}),
           On(Operator::kGreaterOrEqual, {real}),
           On(Operator::kIn, {text, whole, real, truth}),
           On(Operator::kNotIn, std::vector<MetadataValue>(kFilterValuesMax, whole)),
           On(Operator::kContains, {text}),
           On(DocumentOperator::kContains, ""),
           On(DocumentOperator::kNotContains, std::string(kFilterPatternBytesMax, 'a')),
           On(DocumentOperator::kMatches, "(?i)^b.*cell$"),
           Nested(kFilterDepthMax),
           Filter{AllOf{std::vector<Filter>(kFilterNodesMax - 1, On(Operator::kEqual, {text}))}},
           Filter{AnyOf{std::vector<Filter>(kFilterRegexesMax, On(DocumentOperator::kNotMatches, "a"))}},
       }) {
    EXPECT_OK(ValidateFilter(filter));
  }
}

TEST(ValidateFilterTest, SaysWhichConditionIsWrong) {
  const MetadataValue text = std::string("a"), list = std::vector<std::int64_t>{1};
  const MetadataValue infinite = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const struct {
    Filter filter;
    const char* message;
  } cases[] = {
      {On(Operator::kEqual, {}), "key 'k' has no value"},
      {On(Operator::kIn, {}), "key 'k' has no value"},
      {On(Operator::kEqual, {text, text}), "takes one value"},
      {On(Operator::kContains, {text, text}), "takes one value"},
      {On(Operator::kEqual, {list}), "compares with a list"},
      {On(Operator::kContains, {list}), "compares with a list"},
      {On(Operator::kGreater, {text}), "takes a number"},
      {On(Operator::kLessOrEqual, {true}), "takes a number"},
      {On(Operator::kLess, {infinite}), "not finite"},
      {On(Operator::kIn, {1.0, nan}), "not finite"},
      {On(Operator::kEqual, {text}, ""), "empty metadata key"},
      {On(DocumentOperator::kMatches, "(a"), "missing )"},
      {On(DocumentOperator::kMatches, "a(?=b)"), "RE2"},
      {On(DocumentOperator::kMatches, "((a{100}){100}){10}"), "RE2"},
      {Filter{AllOf{{Filter{AnyOf{{On(Operator::kLess, {text}, "deep")}}}}}}, "'deep'"},
  };
  for (const auto& [filter, message] : cases) {
    EXPECT_THAT(ValidateFilter(filter), HasCode(absl::StatusCode::kInvalidArgument, message));
  }
}

TEST(ValidateFilterTest, RefusesWhatExceedsALimit) {
  const MetadataValue whole = std::int64_t{1};
  const std::vector<MetadataValue> half(kFilterValuesMax / 2 + 1, whole);
  const struct {
    Filter filter;
    const char* message;
  } cases[] = {
      {Nested(kFilterDepthMax + 1), "32 levels"},
      {Filter{AllOf{std::vector<Filter>(kFilterNodesMax, On(Operator::kEqual, {whole}))}}, "1024 conditions"},
      {Filter{AllOf{{On(Operator::kIn, half), On(Operator::kNotIn, half)}}}, "100000 values"},
      {On(DocumentOperator::kContains, std::string(kFilterPatternBytesMax + 1, 'a')), "4096 bytes"},
      {Filter{AnyOf{std::vector<Filter>(kFilterRegexesMax + 1, On(DocumentOperator::kMatches, "a"))}},
       "16 regular expressions"},
      {On(DocumentOperator::kMatches, "((\\pL{50}){50}){50}"), ""},
      {On(DocumentOperator::kMatches, "(\\pL{500}\\pN{400})"), "too large"},
  };
  for (const auto& [filter, message] : cases) {
    EXPECT_THAT(ValidateFilter(filter), HasCode(absl::StatusCode::kInvalidArgument, message));
  }
}

}  // namespace
}  // namespace omics::index
