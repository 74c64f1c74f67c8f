#include "index/internal/filter_shape.h"

#include <cmath>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::index {
namespace {

using Operator = MetadataCondition::Operator;

bool TakesManyValues(Operator op) { return op == Operator::kIn || op == Operator::kNotIn; }
bool TakesNumber(Operator op) { return op >= Operator::kGreater && op <= Operator::kLessOrEqual; }

bool IsScalar(const MetadataValue& value) { return value.index() <= 3; }
bool IsNumber(const MetadataValue& value) {
  return std::holds_alternative<std::int64_t>(value) || std::holds_alternative<double>(value);
}
bool IsFinite(const MetadataValue& value) {
  const double* number = std::get_if<double>(&value);
  return number == nullptr || std::isfinite(*number);
}

// Walks over a filter and keeps account of its limits.
class ShapeCheck {
 public:
  absl::Status Check(const Filter& filter, int depth) {
    if (depth > kFilterDepthMax) return TooMuch("is nested deeper than", kFilterDepthMax, "levels");
    if (++nodes_ > kFilterNodesMax) return TooMuch("has more than", kFilterNodesMax, "conditions");
    return std::visit([&](const auto& node) { return CheckNode(node, depth); }, filter.node);
  }

 private:
  static absl::Status TooMuch(const char* verb, std::size_t limit, const char* what) {
    return absl::InvalidArgumentError(absl::StrCat("the filter ", verb, " ", limit, " ", what));
  }
  static absl::Status Wrong(const MetadataCondition& condition, const char* what) {
    return absl::InvalidArgumentError(
        absl::StrCat("the filter's condition on metadata key '", condition.key, "' ", what));
  }

  absl::Status CheckMembers(const std::vector<Filter>& filters, int depth) {
    for (const Filter& member : filters) OMICS_RETURN_IF_ERROR(Check(member, depth + 1));
    return absl::OkStatus();
  }
  absl::Status CheckNode(const AllOf& all, int depth) { return CheckMembers(all.filters, depth); }
  absl::Status CheckNode(const AnyOf& any, int depth) { return CheckMembers(any.filters, depth); }

  absl::Status CheckNode(const MetadataCondition& condition, int) {
    if (condition.key.empty()) return absl::InvalidArgumentError("a condition of the filter has an empty metadata key");
    values_ += condition.values.size();
    if (values_ > kFilterValuesMax) return TooMuch("compares with more than", kFilterValuesMax, "values");
    if (condition.values.empty()) return Wrong(condition, "has no value to compare with");
    if (!TakesManyValues(condition.op) && condition.values.size() != 1) return Wrong(condition, "takes one value");
    for (const MetadataValue& value : condition.values) {
      if (!IsScalar(value)) return Wrong(condition, "compares with a list; it takes a string, a number or a boolean");
      if (TakesNumber(condition.op) && !IsNumber(value)) return Wrong(condition, "orders, so it takes a number");
      if (!IsFinite(value)) return Wrong(condition, "compares with a number that is not finite");
    }
    return absl::OkStatus();
  }

  absl::Status CheckNode(const DocumentCondition& condition, int) {
    if (condition.pattern.size() > kFilterPatternBytesMax) {
      return TooMuch("has a document pattern of more than", kFilterPatternBytesMax, "bytes");
    }
    const bool is_regex = condition.op == DocumentCondition::Operator::kMatches ||
                          condition.op == DocumentCondition::Operator::kNotMatches;
    regexes_ += is_regex ? 1 : 0;
    if (regexes_ > kFilterRegexesMax) return TooMuch("has more than", kFilterRegexesMax, "regular expressions");
    return absl::OkStatus();
  }

  int nodes_ = 0;
  int regexes_ = 0;
  std::size_t values_ = 0;
};

}  // namespace

absl::Status CheckFilterShape(const Filter& filter) { return ShapeCheck().Check(filter, 1); }

}  // namespace omics::index
