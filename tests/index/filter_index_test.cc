#include "index/internal/filter_index.h"

#include <re2/re2.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <variant>
#include <vector>

#include "index/internal/compiled_filter.h"
#include "index/internal/metadata_bytes.h"
#include "index/internal/pattern.h"
#include "index/internal/tail.h"
#include "tests/support/status_matchers.h"

namespace omics::index {
namespace {

using Operator = MetadataCondition::Operator;
using DocumentOperator = DocumentCondition::Operator;
using Random = std::mt19937_64;

std::size_t Below(std::size_t end, Random& rng) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(rng); }

template <typename T>
const T& OneOf(const std::vector<T>& values, Random& rng) {
  return values[Below(values.size(), rng)];
}

// ---- What a filter means, said a second time and over whole records.

bool IsNumber(const MetadataValue& value) { return value.index() == 1 || value.index() == 2; }

// Holds every int64 and every double exactly on the machines we build for.
long double Exact(const MetadataValue& value) {
  static_assert(std::numeric_limits<long double>::digits >= 64);
  const auto* whole = std::get_if<std::int64_t>(&value);
  return whole != nullptr ? static_cast<long double>(*whole) : static_cast<long double>(std::get<double>(value));
}

bool Equal(const MetadataValue& a, const MetadataValue& b) {
  return IsNumber(a) && IsNumber(b) ? Exact(a) == Exact(b) : a.index() == b.index() && a == b;
}

std::vector<MetadataValue> Elements(const MetadataValue& value) {
  std::vector<MetadataValue> elements;
  std::visit(
      [&](const auto& held) {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (!std::is_same_v<Held, std::string> && !std::is_arithmetic_v<Held>) {
          for (const auto& element : held) elements.emplace_back(static_cast<typename Held::value_type>(element));
        }
      },
      value);
  return elements;
}

bool Holds(const MetadataCondition& condition, const Record& record) {
  const auto found = record.metadata.find(condition.key);
  const bool has = found != record.metadata.end();
  const auto among = [&] {
    return has && std::any_of(condition.values.begin(), condition.values.end(),
                              [&](const MetadataValue& value) { return Equal(value, found->second); });
  };
  const auto member = [&] {
    const std::vector<MetadataValue> elements = has ? Elements(found->second) : std::vector<MetadataValue>();
    return std::any_of(elements.begin(), elements.end(),
                       [&](const MetadataValue& element) { return Equal(element, condition.values[0]); });
  };
  const bool ordered = has && IsNumber(found->second) && IsNumber(condition.values[0]);
  const long double value = ordered ? Exact(found->second) : 0, bound = ordered ? Exact(condition.values[0]) : 0;
  switch (condition.op) {
    case Operator::kEqual:
    case Operator::kIn:
      return among();
    case Operator::kNotEqual:
    case Operator::kNotIn:
      return !among();
    case Operator::kGreater:
      return ordered && value > bound;
    case Operator::kGreaterOrEqual:
      return ordered && value >= bound;
    case Operator::kLess:
      return ordered && value < bound;
    case Operator::kLessOrEqual:
      return ordered && value <= bound;
    case Operator::kContains:
      return member();
    case Operator::kNotContains:
      return !member();
  }
  return false;
}

bool Holds(const DocumentCondition& condition, const Record& record) {
  const auto contains = [&] {
    return record.document && record.document->find(condition.pattern) != std::string::npos;
  };
  const auto matches = [&] { return record.document && re2::RE2::PartialMatch(*record.document, condition.pattern); };
  switch (condition.op) {
    case DocumentOperator::kContains:
      return contains();
    case DocumentOperator::kNotContains:
      return !contains();
    case DocumentOperator::kMatches:
      return matches();
    case DocumentOperator::kNotMatches:
      return !matches();
  }
  return false;
}

bool Holds(const Filter& filter, const Record& record) {
  if (const auto* all = std::get_if<AllOf>(&filter.node)) {
    return std::all_of(all->filters.begin(), all->filters.end(), [&](const Filter& f) { return Holds(f, record); });
  }
  if (const auto* any = std::get_if<AnyOf>(&filter.node)) {
    return std::any_of(any->filters.begin(), any->filters.end(), [&](const Filter& f) { return Holds(f, record); });
  }
  if (const auto* metadata = std::get_if<MetadataCondition>(&filter.node)) return Holds(*metadata, record);
  return Holds(std::get<DocumentCondition>(filter.node), record);
}

// ---- Random records and filters over few keys, values and letters, so that they meet.

const std::vector<std::string> kKeys = {"a", "ab", "b", "missing"};
const std::vector<std::string> kTexts = {"", "1", "true", "b cell", "B cell", "zelle é", std::string("a\0b", 3)};
const std::vector<std::int64_t> kWholes = {0,
                                           1,
                                           -1,
                                           2,
                                           9007199254740992,
                                           9007199254740993,
                                           -9007199254740993,
                                           std::numeric_limits<std::int64_t>::max(),
                                           std::numeric_limits<std::int64_t>::min()};
const std::vector<double> kReals = {0.0,
                                    -0.0,
                                    1.0,
                                    1.5,
                                    -0.25,
                                    1e-300,
                                    -1e300,
                                    1e300,
                                    9007199254740992.0,
                                    9223372036854775808.0,
                                    -9223372036854775808.0};
const std::vector<std::string> kLetters = {"a", "b", "c", "\xc3\xa9", std::string(1, '\0'), " "};

MetadataValue RandomScalar(Random& rng) {
  switch (Below(4, rng)) {
    case 0:
      return OneOf(kTexts, rng);
    case 1:
      return OneOf(kWholes, rng);
    case 2:
      return OneOf(kReals, rng);
    default:
      return Below(2, rng) == 0;
  }
}

MetadataValue RandomValue(Random& rng) {
  const auto fill = [&](auto list, auto one) {
    for (std::size_t i = Below(4, rng) + 1; i > 0; --i) list.push_back(one());
    return MetadataValue(std::move(list));
  };
  switch (Below(12, rng)) {
    case 0:
      return fill(std::vector<std::string>(), [&] { return OneOf(kTexts, rng); });
    case 1:
      return fill(std::vector<std::int64_t>(), [&] { return OneOf(kWholes, rng); });
    case 2:
      return fill(std::vector<double>(), [&] { return OneOf(kReals, rng); });
    case 3:
      return fill(std::vector<bool>(), [&] { return Below(2, rng) == 0; });
    default:
      return RandomScalar(rng);
  }
}

std::string RandomText(std::size_t letters, Random& rng) {
  std::string text;
  for (std::size_t i = 0; i < letters; ++i) text += OneOf(kLetters, rng);
  return text;
}

Record RandomRecord(Random& rng) {
  Record record;
  for (std::size_t i = 0; i + 1 < kKeys.size(); ++i) {
    if (Below(4, rng) > 0) record.metadata[kKeys[i]] = RandomValue(rng);
  }
  if (Below(6, rng) > 0) record.document = RandomText(Below(2, rng) == 0 ? Below(4, rng) : Below(20, rng), rng);
  return record;
}

// A pattern of random parts; not always a valid one.
std::string RandomPattern(Random& rng) {
  static const std::vector<std::string> kParts = {
      "a",     "b",    "c",     "ab", "abc", "\xc3\xa9",    "ca ",   ".",  "?",     "*",   "+",   "{2}",
      "{0,1}", "|",    "(a|b)", "(c", ")",   "[ab]",        "^",     "$",  "[^]a]", "\\b", "\\.", "(?i)",
      "(?:",   "\\Qa", "\\E",   "{b", "b}",  "[[:alpha:]]", "\\x61", "*?", "+?",    "bca"};
  std::string pattern;
  for (std::size_t i = Below(6, rng) + 1; i > 0; --i) pattern += OneOf(kParts, rng);
  return pattern;
}

Filter RandomCondition(Random& rng) {
  if (Below(3, rng) == 0) {
    const auto op = static_cast<DocumentOperator>(Below(4, rng));
    if (op == DocumentOperator::kContains || op == DocumentOperator::kNotContains) {
      return {DocumentCondition{op, RandomText(Below(6, rng), rng)}};
    }
    std::string pattern = RandomPattern(rng);
    while (!Pattern::Compile(pattern).ok()) pattern = RandomPattern(rng);
    return {DocumentCondition{op, std::move(pattern)}};
  }
  MetadataCondition condition = {OneOf(kKeys, rng), static_cast<Operator>(Below(10, rng)), {}};
  const bool many = condition.op == Operator::kIn || condition.op == Operator::kNotIn;
  const bool orders = condition.op >= Operator::kGreater && condition.op <= Operator::kLessOrEqual;
  for (std::size_t i = many ? Below(5, rng) + 1 : 1; i > 0; --i) {
    MetadataValue value = RandomScalar(rng);
    while (orders && !IsNumber(value)) value = RandomScalar(rng);
    condition.values.push_back(std::move(value));
  }
  return {std::move(condition)};
}

Filter RandomFilter(int depth, Random& rng) {
  if (depth == 0 || Below(3, rng) > 0) return RandomCondition(rng);
  std::vector<Filter> members;
  for (std::size_t i = Below(4, rng); i > 0; --i) members.push_back(RandomFilter(depth - 1, rng));
  if (Below(2, rng) == 0) return {AllOf{std::move(members)}};
  return {AnyOf{std::move(members)}};
}

// ---- Records as the rows of a source with an index over them.

class Rows {
 public:
  explicit Rows(std::vector<Record> records)
      : records_(std::move(records)), tail_(Metric::kSquaredL2, 1, std::ssize(records_)) {
    for (std::int64_t row = 0; row < rows(); ++row) {
      const Record& record = records_[static_cast<std::size_t>(row)];
      const std::string metadata = EncodeMetadata(record.metadata);
      PayloadView payload = {"id", record.document, record.uri, std::nullopt};
      if (!record.metadata.empty()) payload.metadata = metadata;
      tail_.Append({{row, 1}, {0.0f}, EncodePayload(payload)});
    }
    auto bytes = BuildFilterIndex(rows(), [this](std::int64_t row) { return tail_.Payload(row); });
    EXPECT_OK(bytes);
    bytes_ = *std::move(bytes);
  }
  static Rows OfDocuments(const std::vector<std::string>& documents) {
    std::vector<Record> records;
    for (const std::string& document : documents) records.push_back({"id", {}, document, std::nullopt, {}});
    return Rows(std::move(records));
  }

  std::int64_t rows() const { return std::ssize(records_); }
  const Record& record(std::int64_t row) const { return records_[static_cast<std::size_t>(row)]; }
  std::string_view Payload(std::int64_t row) const { return tail_.Payload(row); }
  const std::string& bytes() const { return bytes_; }

  absl::StatusOr<RowSelection> Select(const CompiledFilter& filter, std::string_view bytes) const {
    OMICS_ASSIGN_OR_RETURN(const FilterIndexView view, FilterIndexView::Open(bytes, rows()));
    return filter.Select(view, tail_);
  }
  RowSelection Select(const Filter& filter) const {
    const auto compiled = CompiledFilter::Compile(filter);
    EXPECT_OK(compiled);
    const auto selection = Select(*compiled, bytes_);
    EXPECT_OK(selection);
    return *selection;
  }

 private:
  std::vector<Record> records_;
  Tail tail_;
  std::string bytes_;
};

Rows RandomRows(std::size_t count, Random& rng) {
  std::vector<Record> records(count);
  for (Record& record : records) record = RandomRecord(rng);
  return Rows(std::move(records));
}

std::vector<std::int64_t> Listed(const RowSet& rows) {
  std::vector<std::int64_t> listed;
  rows.ForEach([&](std::int64_t row) { listed.push_back(row); });
  return listed;
}

void ExpectAsModel(const Filter& filter, const Rows& rows) {
  const auto compiled = CompiledFilter::Compile(filter);
  ASSERT_OK(compiled);
  const auto selection = rows.Select(*compiled, rows.bytes());
  ASSERT_OK(selection);
  std::int64_t wanted = 0;
  for (std::int64_t row = 0; row < rows.rows(); ++row) {
    const bool holds = Holds(filter, rows.record(row));
    wanted += holds ? 1 : 0;
    ASSERT_EQ(compiled->Matches(rows.Payload(row)), holds) << "row " << row;
    ASSERT_TRUE(!holds || selection->rows.Contains(row)) << "row " << row;
  }
  if (selection->exact) {
    ASSERT_EQ(selection->rows.count(), wanted);
  }
  ASSERT_EQ(selection->rows.Next(rows.rows()), -1);
}

TEST(FilterIndexTest, RandomFiltersSelectWhatTheModelSays) {
  for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random rng(seed);
    const Rows rows = RandomRows(std::vector<std::size_t>{0, 1, 63, 64, 300, 1000}[seed - 1], rng);
    for (int i = 0; i < 1000; ++i) {
      SCOPED_TRACE(testing::Message() << "filter " << i);
      ASSERT_NO_FATAL_FAILURE(ExpectAsModel(RandomFilter(3, rng), rows));
    }
  }
}

TEST(FilterIndexTest, SelectionsOverMetadataAreExact) {
  Random rng(21);
  const Rows rows = RandomRows(200, rng);
  for (int i = 0; i < 1000; ++i) {
    const Filter filter = RandomCondition(rng);
    if (!std::holds_alternative<MetadataCondition>(filter.node)) continue;
    EXPECT_TRUE(rows.Select(filter).exact);
  }
}

TEST(FilterIndexTest, ShortPiecesWithoutZeroBytesAreExact) {
  const Rows rows = Rows::OfDocuments({"", "b", "ab", "cab", "abc", std::string("b\0", 2)});
  const auto select = [&](DocumentOperator op, std::string piece) {
    return rows.Select({DocumentCondition{op, std::move(piece)}});
  };
  const RowSelection one = select(DocumentOperator::kContains, "b");
  EXPECT_TRUE(one.exact);
  EXPECT_EQ(Listed(one.rows), (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
  const RowSelection two = select(DocumentOperator::kContains, "ab");
  EXPECT_TRUE(two.exact);
  EXPECT_EQ(Listed(two.rows), (std::vector<std::int64_t>{2, 3, 4}));
  const RowSelection none = select(DocumentOperator::kNotContains, "abc");
  EXPECT_TRUE(none.exact);
  EXPECT_EQ(Listed(none.rows), (std::vector<std::int64_t>{0, 1, 2, 3, 5}));
  EXPECT_FALSE(select(DocumentOperator::kContains, std::string("b\0", 2)).exact);
  EXPECT_TRUE(select(DocumentOperator::kContains, "").exact);
}

TEST(FilterIndexTest, WindowsLeaveFewRowsToLookAt) {
  std::vector<std::string> documents(1000, "epithelial cell of the lung");
  documents[17] = "dendritic cell of the spleen";
  documents[400] = "plasmacytoid dendritic cell";
  const Rows rows = Rows::OfDocuments(documents);
  for (const auto op : {DocumentOperator::kContains, DocumentOperator::kMatches}) {
    EXPECT_EQ(Listed(rows.Select({DocumentCondition{op, "dendritic"}}).rows), (std::vector<std::int64_t>{17, 400}));
  }
  EXPECT_EQ(rows.Select({DocumentCondition{DocumentOperator::kMatches, "dendritic|lung"}}).rows.count(), 1000);
  const RowSelection unknown = rows.Select({DocumentCondition{DocumentOperator::kContains, "neuron"}});
  EXPECT_TRUE(unknown.exact);
  EXPECT_TRUE(unknown.rows.empty());
}

TEST(FilterIndexTest, StringsOfOneHashAreToldApart) {
  std::vector<Record> records;
  for (const char* text : {"one", "two", "two", "one"}) records.push_back({"id", {}, {}, {}, {{"k", text}}});
  records.push_back({"id", {}, {}, {}, {{"k", std::vector<std::string>{"one"}}}});
  records.push_back({"id", {}, {}, {}, {{"k", std::vector<std::string>{"two", "one"}}}});
  const Rows rows(std::move(records));
  for (const auto& [hashed, other] : {std::pair("one", "two"), std::pair("two", "one")}) {
    // As if both strings had the hash of `hashed`.
    const std::uint64_t hash = HashText(hashed), replaced = HashText(other);
    const std::string_view as_bytes(reinterpret_cast<const char*>(&replaced), 8);
    std::string bytes = rows.bytes();
    int patched = 0;
    for (std::size_t at = bytes.find(as_bytes); at != std::string::npos; at = bytes.find(as_bytes), ++patched) {
      std::memcpy(bytes.data() + at, &hash, sizeof(hash));
    }
    ASSERT_EQ(patched, 2);
    for (const auto op : {Operator::kEqual, Operator::kContains}) {
      const Filter filter = {MetadataCondition{"k", op, {std::string(hashed)}}};
      const auto selection = rows.Select(*CompiledFilter::Compile(filter), bytes);
      ASSERT_OK(selection);
      for (std::int64_t row = 0; row < rows.rows(); ++row) {
        EXPECT_EQ(selection->rows.Contains(row), Holds(filter, rows.record(row))) << row;
      }
    }
  }
}

TEST(FilterIndexTest, DamagedBytesAreRefusedOrStayInBounds) {
  Random rng(31);
  const Rows rows = RandomRows(12, rng);
  std::vector<CompiledFilter> filters;
  for (int i = 0; i < 40; ++i) filters.push_back(*CompiledFilter::Compile(RandomFilter(2, rng)));
  int refused = 0;
  for (std::size_t i = 0; i < rows.bytes().size(); ++i) {
    for (const int flip : {1, 0x10, 0x80, 0xff}) {
      std::string bytes = rows.bytes();
      bytes[i] = static_cast<char>(bytes[i] ^ flip);
      for (const CompiledFilter& filter : filters) {
        const auto selection = rows.Select(filter, bytes);
        if (selection.ok()) {
          ASSERT_EQ(selection->rows.Next(rows.rows()), -1) << "byte " << i;
        } else {
          ASSERT_EQ(selection.status().code(), absl::StatusCode::kDataLoss) << "byte " << i;
          ++refused;
          break;
        }
      }
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(FilterIndexTest, CutOffBytesAndAnotherRowCountAreDataLoss) {
  Random rng(32);
  const Rows rows = RandomRows(12, rng);
  const auto open = [&](std::size_t size, std::int64_t count) {
    const auto copy = std::make_unique<char[]>(size);  // so that a sanitizer sees what lies behind
    std::memcpy(copy.get(), rows.bytes().data(), size);
    return FilterIndexView::Open({copy.get(), size}, count).status();
  };
  for (std::size_t size = 0; size + 8 <= rows.bytes().size(); ++size) {
    ASSERT_THAT(open(size, 12), HasCode(absl::StatusCode::kDataLoss, "damaged")) << size;
  }
  EXPECT_OK(open(rows.bytes().size(), 12));
  EXPECT_THAT(open(rows.bytes().size(), 13), HasCode(absl::StatusCode::kDataLoss, "damaged"));
}

TEST(FilterIndexTest, APayloadThatCannotBeReadIsDataLossAndMatchesNothing) {
  EXPECT_THAT(BuildFilterIndex(1, [](std::int64_t) { return std::string_view("cut off"); }),
              HasCode(absl::StatusCode::kDataLoss, ""));
  EXPECT_FALSE(CompiledFilter::Compile({AllOf{}})->Matches("cut off"));
}

TEST(RequiredTextsTest, NamesOnlyWhatMustBeThere) {
  using Texts = std::vector<std::string>;
  const struct {
    const char* pattern;
    Texts texts;
  } cases[] = {
      {"dendritic", {"dendritic"}},
      {"^dendritic cells?$", {"dendritic cell"}},
      {"B.cell", {"B", "cell"}},
      {"CD4\\+ T", {"CD4+ T"}},
      {"lung|heart", {}},
      {"(lung|heart) cell", {" cell"}},
      {"(lung|heart)* cell", {" cell"}},
      {"a(b(c)d)e", {"a", "e"}},
      {"ab{2}c", {"a", "c"}},
      {"ab+c", {"ab", "c"}},
      {"abc\xc3\xa9?d", {"abc", "d"}},
      {"x[^]a]*y[\\]]z", {"x", "y", "z"}},
      {"(?i)lung", {}},
      {"lung(?i)heart", {}},
      {"\\Qa|b\\E", {}},
      {"\\bcell\\b", {"cell"}},
      {"\\x41", {}},
  };
  for (const auto& [pattern, texts] : cases) EXPECT_EQ(RequiredTexts(pattern), texts) << pattern;
}

}  // namespace
}  // namespace omics::index
