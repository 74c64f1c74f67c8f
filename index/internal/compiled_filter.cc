#include "index/internal/compiled_filter.h"

#include <string.h>  // memmem

#include <algorithm>
#include <array>
#include <compare>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"
#include "index/internal/filter_shape.h"
#include "index/internal/pattern.h"

namespace omics::index {
namespace {

using Operator = MetadataCondition::Operator;

bool Contains(std::string_view text, std::string_view piece) {
  return memmem(text.data(), text.size(), piece.data(), piece.size()) != nullptr;
}

std::optional<Number> AsNumber(const MetadataValueView& value) {
  if (const auto whole = value.AsInt()) return Number::From(*whole);
  if (const auto real = value.AsDouble()) return Number::From(*real);
  return std::nullopt;
}

void AddRows(const MetadataColumn& column, const ValueRange& range, RowSet& rows) {
  for (std::size_t i = range.first; i < range.last; ++i) column.lists[i].InsertInto(rows);
}

// The values that a condition compares with, of any kind.
class ValueSet {
 public:
  explicit ValueSet(const std::vector<MetadataValue>& values) {
    for (const MetadataValue& value : values) {
      if (const auto* text = std::get_if<std::string>(&value)) texts_.push_back({HashText(*text), *text});
      if (const auto* whole = std::get_if<std::int64_t>(&value)) numbers_.push_back(Number::From(*whole));
      if (const auto* real = std::get_if<double>(&value)) numbers_.push_back(Number::From(*real));
      if (const auto* truth = std::get_if<bool>(&value)) bools_[*truth ? 1 : 0] = true;
    }
    std::sort(texts_.begin(), texts_.end());
    texts_.erase(std::unique(texts_.begin(), texts_.end()), texts_.end());
    std::sort(numbers_.begin(), numbers_.end());
    numbers_.erase(std::unique(numbers_.begin(), numbers_.end()), numbers_.end());
  }

  bool Has(const MetadataValueView& scalar) const {
    if (const auto text = scalar.AsString()) return HasText(*text);
    if (const auto number = AsNumber(scalar)) return std::binary_search(numbers_.begin(), numbers_.end(), *number);
    const auto truth = scalar.AsBool();
    return truth && bools_[*truth ? 1 : 0];
  }

  // The rows whose value under `key`, or an element of it, is one of these.
  RowSet Rows(const FilterIndexView& index, const RowSource& source, std::string_view key, ValuePlace place) const {
    RowSet rows(index.rows());
    if (!texts_.empty()) AddTextRows(index, source, key, place, rows);
    if (!numbers_.empty()) AddNumberRows(index.metadata().Find(key, ValueKind::kNumber, place), numbers_, rows);
    std::vector<Number> bools;
    for (const int truth : {0, 1}) {
      if (bools_[truth]) bools.push_back(Number::From(std::int64_t{truth}));
    }
    if (!bools.empty()) AddNumberRows(index.metadata().Find(key, ValueKind::kBool, place), bools, rows);
    return rows;
  }

 private:
  struct Text {
    std::uint64_t hash;
    std::string text;
    friend auto operator<=>(const Text&, const Text&) = default;
  };

  bool HasText(std::string_view text) const {
    if (texts_.size() == 1) return texts_[0].text == text;
    const std::uint64_t hash = HashText(text);
    auto found = std::lower_bound(texts_.begin(), texts_.end(), hash,
                                  [](const Text& value, std::uint64_t wanted) { return value.hash < wanted; });
    for (; found != texts_.end() && found->hash == hash; ++found) {
      if (found->text == text) return true;
    }
    return false;
  }

  // Whether the row, of which the index knows that its value has the hash of `text`, has `text` itself.
  static bool RowHasText(std::string_view payload, std::string_view key, std::string_view text) {
    const absl::StatusOr<PayloadView> parts = DecodePayload(payload);
    if (!parts.ok() || !parts->metadata) return false;
    const auto value = MetadataView(*parts->metadata).Find(key);
    if (!value) return false;
    bool has = value->AsString() == text;
    value->ForEachElement([&](const MetadataValueView& element) { has = has || element.AsString() == text; });
    return has;
  }

  void AddTextRows(const FilterIndexView& index, const RowSource& source, std::string_view key, ValuePlace place,
                   RowSet& rows) const {
    const auto column = index.metadata().Find(key, ValueKind::kString, place);
    if (!column) return;
    for (const Text& value : texts_) {
      const ValueRange range = column->FindHash(value.hash);
      // The only string of its hash: all rows of the list have it or none. Otherwise each row is looked at.
      const bool alone = range.last - range.first == 1;
      for (std::size_t i = range.first; i < range.last; ++i) {
        AddTextRows(column->lists[i], alone, source, key, value.text, rows);
      }
    }
  }

  static void AddTextRows(const RowList& list, bool alone, const RowSource& source, std::string_view key,
                          std::string_view text, RowSet& rows) {
    if (alone) {
      const std::int64_t first = list.First();
      if (first >= 0 && RowHasText(source.Payload(first), key, text)) list.InsertInto(rows);
      return;
    }
    RowSet candidates(rows.room());
    list.InsertInto(candidates);
    candidates.ForEach([&](std::int64_t row) {
      if (RowHasText(source.Payload(row), key, text)) rows.Insert(row);
    });
  }

  static void AddNumberRows(const std::optional<MetadataColumn>& column, const std::vector<Number>& numbers,
                            RowSet& rows) {
    if (!column) return;
    for (const Number& number : numbers) {
      AddRows(*column, column->FindNumber(number), rows);
    }
  }

  std::vector<Text> texts_;      // by hash
  std::vector<Number> numbers_;  // ascending
  std::array<bool, 2> bools_ = {};
};

// One key against values; the opposites (not equal, not in …) are the same with `negated`.
class MetadataTest {
 public:
  explicit MetadataTest(const MetadataCondition& condition)
      : key_(condition.key), op_(Positive(condition.op)), negated_(op_ != condition.op), values_(condition.values) {
    if (const auto* whole = std::get_if<std::int64_t>(&condition.values[0])) bound_ = Number::From(*whole);
    if (const auto* real = std::get_if<double>(&condition.values[0])) bound_ = Number::From(*real);
  }

  bool Matches(const PayloadView& payload) const { return Holds(payload) != negated_; }

  RowSelection Select(const FilterIndexView& index, const RowSource& source) const {
    RowSelection selection = {PositiveRows(index, source), true};
    if (negated_) selection.rows.Complement(index.rows());
    return selection;
  }

 private:
  static Operator Positive(Operator op) {
    switch (op) {
      case Operator::kNotEqual:
        return Operator::kEqual;
      case Operator::kNotIn:
        return Operator::kIn;
      case Operator::kNotContains:
        return Operator::kContains;
      default:
        return op;
    }
  }

  bool Holds(const PayloadView& payload) const {
    if (!payload.metadata) return false;
    const auto value = MetadataView(*payload.metadata).Find(key_);
    if (!value) return false;
    if (op_ == Operator::kEqual || op_ == Operator::kIn) return values_.Has(*value);
    if (op_ == Operator::kContains) return HasElement(*value);
    const auto number = AsNumber(*value);
    return number && InOrder(*number <=> bound_);
  }

  bool HasElement(const MetadataValueView& list) const {
    bool has = false;
    list.ForEachElement([&](const MetadataValueView& element) { has = has || values_.Has(element); });
    return has;
  }

  bool InOrder(std::partial_ordering order) const {
    switch (op_) {
      case Operator::kGreater:
        return order > 0;
      case Operator::kGreaterOrEqual:
        return order >= 0;
      case Operator::kLess:
        return order < 0;
      default:
        return order <= 0;
    }
  }

  RowSet PositiveRows(const FilterIndexView& index, const RowSource& source) const {
    if (op_ == Operator::kEqual || op_ == Operator::kIn) return values_.Rows(index, source, key_, ValuePlace::kScalar);
    if (op_ == Operator::kContains) return values_.Rows(index, source, key_, ValuePlace::kElement);
    return RangeRows(index);
  }

  RowSet RangeRows(const FilterIndexView& index) const {
    RowSet rows(index.rows());
    const auto column = index.metadata().Find(key_, ValueKind::kNumber, ValuePlace::kScalar);
    if (!column) return rows;
    const ValueRange equal = column->FindNumber(bound_);
    ValueRange range = {0, column->numbers.size()};
    if (op_ == Operator::kGreater) range.first = equal.last;
    if (op_ == Operator::kGreaterOrEqual) range.first = equal.first;
    if (op_ == Operator::kLess) range.last = equal.first;
    if (op_ == Operator::kLessOrEqual) range.last = equal.last;
    AddRows(*column, range, rows);
    return rows;
  }

  std::string key_;
  Operator op_;  // never one of the opposites
  bool negated_;
  ValueSet values_;
  Number bound_;  // of an operator that orders
};

// Whether a piece of text or a pattern is in the document, or the opposite.
class DocumentTest {
 public:
  static absl::StatusOr<DocumentTest> Make(const DocumentCondition& condition) {
    using DocumentOperator = DocumentCondition::Operator;
    DocumentTest test;
    const DocumentOperator op = condition.op;
    test.negated_ = op == DocumentOperator::kNotContains || op == DocumentOperator::kNotMatches;
    if (op == DocumentOperator::kContains || op == DocumentOperator::kNotContains) {
      test.piece_ = condition.pattern;
      if (!test.piece_.empty()) test.required_.push_back(condition.pattern);
      return test;
    }
    OMICS_ASSIGN_OR_RETURN(test.pattern_, Pattern::Compile(condition.pattern));
    test.required_ = RequiredTexts(condition.pattern);
    return test;
  }

  bool Matches(const PayloadView& payload) const {
    if (!payload.document) return negated_;
    return (pattern_ ? pattern_->FoundIn(*payload.document) : Contains(*payload.document, piece_)) != negated_;
  }

  RowSelection Select(const FilterIndexView& index) const {
    const std::vector<std::string_view> pieces(required_.begin(), required_.end());
    RowSelection selection = {index.documents().MayContain(pieces), true};
    const bool exact = !pattern_ && DocumentWindowsView::IsExact(piece_);
    selection.exact = exact || selection.rows.empty();
    if (!negated_) return selection;
    if (!selection.exact) return {RowSet::All(index.rows()), false};
    selection.rows.Complement(index.rows());
    return selection;
  }

 private:
  bool negated_ = false;
  std::string piece_;
  std::optional<Pattern> pattern_;     // stands for `piece_` where it is set
  std::vector<std::string> required_;  // in every document that has it
};

}  // namespace

struct CompiledFilter::Node {
  struct All {
    std::vector<Node> members;
  };
  struct Any {
    std::vector<Node> members;
  };
  std::variant<All, Any, MetadataTest, DocumentTest> test;

  static absl::StatusOr<Node> Make(const Filter& filter) {
    return std::visit([](const auto& node) { return MakeFrom(node); }, filter.node);
  }
  bool Matches(const PayloadView& payload) const {
    return std::visit([&](const auto& node) { return NodeMatches(node, payload); }, test);
  }
  RowSelection Select(const FilterIndexView& index, const RowSource& source) const {
    return std::visit([&](const auto& node) { return SelectFrom(node, index, source); }, test);
  }

 private:
  static absl::StatusOr<std::vector<Node>> MakeMembers(const std::vector<Filter>& filters) {
    std::vector<Node> members;
    members.reserve(filters.size());
    for (const Filter& filter : filters) {
      OMICS_ASSIGN_OR_RETURN(Node member, Make(filter));
      members.push_back(std::move(member));
    }
    return members;
  }
  static absl::StatusOr<Node> MakeFrom(const AllOf& all) {
    OMICS_ASSIGN_OR_RETURN(std::vector<Node> members, MakeMembers(all.filters));
    return Node{All{std::move(members)}};
  }
  static absl::StatusOr<Node> MakeFrom(const AnyOf& any) {
    OMICS_ASSIGN_OR_RETURN(std::vector<Node> members, MakeMembers(any.filters));
    return Node{Any{std::move(members)}};
  }
  static absl::StatusOr<Node> MakeFrom(const MetadataCondition& condition) { return Node{MetadataTest(condition)}; }
  static absl::StatusOr<Node> MakeFrom(const DocumentCondition& condition) {
    OMICS_ASSIGN_OR_RETURN(DocumentTest test, DocumentTest::Make(condition));
    return Node{std::move(test)};
  }

  static bool NodeMatches(const All& all, const PayloadView& payload) {
    return std::all_of(all.members.begin(), all.members.end(), [&](const Node& node) { return node.Matches(payload); });
  }
  static bool NodeMatches(const Any& any, const PayloadView& payload) {
    return std::any_of(any.members.begin(), any.members.end(), [&](const Node& node) { return node.Matches(payload); });
  }
  static bool NodeMatches(const MetadataTest& test, const PayloadView& payload) { return test.Matches(payload); }
  static bool NodeMatches(const DocumentTest& test, const PayloadView& payload) { return test.Matches(payload); }

  static RowSelection SelectFrom(const All& all, const FilterIndexView& index, const RowSource& source) {
    RowSelection selection = {RowSet::All(index.rows()), true};
    for (const Node& member : all.members) {
      if (selection.rows.empty()) return {std::move(selection.rows), true};
      const RowSelection part = member.Select(index, source);
      selection.rows.Intersect(part.rows);
      selection.exact = selection.exact && part.exact;
    }
    return {std::move(selection.rows), selection.exact || selection.rows.empty()};
  }
  static RowSelection SelectFrom(const Any& any, const FilterIndexView& index, const RowSource& source) {
    RowSelection selection = {RowSet(index.rows()), true};
    for (const Node& member : any.members) {
      const RowSelection part = member.Select(index, source);
      selection.rows.Unite(part.rows);
      selection.exact = selection.exact && part.exact;
    }
    return selection;
  }
  static RowSelection SelectFrom(const MetadataTest& test, const FilterIndexView& index, const RowSource& source) {
    return test.Select(index, source);
  }
  static RowSelection SelectFrom(const DocumentTest& test, const FilterIndexView& index, const RowSource&) {
    return test.Select(index);
  }
};

CompiledFilter::CompiledFilter(std::unique_ptr<Node> root) : root_(std::move(root)) {}
CompiledFilter::CompiledFilter(CompiledFilter&&) noexcept = default;
CompiledFilter& CompiledFilter::operator=(CompiledFilter&&) noexcept = default;
CompiledFilter::~CompiledFilter() = default;

absl::StatusOr<CompiledFilter> CompiledFilter::Compile(const Filter& filter) {
  OMICS_RETURN_IF_ERROR(CheckFilterShape(filter));
  OMICS_ASSIGN_OR_RETURN(Node root, Node::Make(filter));
  return CompiledFilter(std::make_unique<Node>(std::move(root)));
}

bool CompiledFilter::Matches(std::string_view payload) const {
  const absl::StatusOr<PayloadView> parts = DecodePayload(payload);
  return parts.ok() && root_->Matches(*parts);
}

RowSelection CompiledFilter::Select(const FilterIndexView& index, const RowSource& source) const {
  return root_->Select(index, source);
}

}  // namespace omics::index
