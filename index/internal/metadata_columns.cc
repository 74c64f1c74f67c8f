#include "index/internal/metadata_columns.h"

#include <xxhash.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "base/status.h"

namespace omics::index {
namespace {

struct TextEntry {
  std::uint64_t hash;
  const char* data;
  std::uint32_t size;
  std::uint32_t row;
  std::string_view text() const { return {data, size}; }
};

struct NumberEntry {
  Number number;
  std::uint32_t row;
};

// The values of a column in the making, of the one or the other sort.
struct Entries {
  std::vector<TextEntry> texts;
  std::vector<NumberEntry> numbers;
};

using Columns = std::map<std::pair<ValueKind, ValuePlace>, Entries>;

// By hash, text and row. Texts of one hash are nearly always equal, so they are compared in one pass afterwards.
void Sort(std::vector<TextEntry>& entries) {
  std::sort(entries.begin(), entries.end(),
            [](const TextEntry& a, const TextEntry& b) { return std::tie(a.hash, a.row) < std::tie(b.hash, b.row); });
  for (auto begin = entries.begin(); begin != entries.end();) {
    const auto end =
        std::find_if(begin, entries.end(), [&](const TextEntry& entry) { return entry.hash != begin->hash; });
    if (std::any_of(begin, end, [&](const TextEntry& entry) { return entry.text() != begin->text(); })) {
      std::stable_sort(begin, end, [](const TextEntry& a, const TextEntry& b) { return a.text() < b.text(); });
    }
    begin = end;
  }
}

void Sort(std::vector<NumberEntry>& entries) {
  std::sort(entries.begin(), entries.end(), [](const NumberEntry& a, const NumberEntry& b) {
    return std::tie(a.number, a.row) < std::tie(b.number, b.row);
  });
}

bool SameValue(const TextEntry& a, const TextEntry& b) { return a.hash == b.hash && a.text() == b.text(); }
bool SameValue(const NumberEntry& a, const NumberEntry& b) { return a.number == b.number; }

std::uint64_t ValueOf(const TextEntry& entry) { return entry.hash; }
Number ValueOf(const NumberEntry& entry) { return entry.number; }

// Fills in what `column` has of values and lists.
template <typename Entry>
void AppendValues(std::vector<Entry>& entries, std::int64_t rows, MetadataColumnPlace& column, std::string& out) {
  Sort(entries);
  std::vector<decltype(ValueOf(entries[0]))> values;
  RowListsWriter lists(rows);
  std::vector<std::uint32_t> list;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (list.empty()) values.push_back(ValueOf(entries[i]));
    if (list.empty() || list.back() != entries[i].row) list.push_back(entries[i].row);  // a list may repeat an element
    if (i + 1 < entries.size() && SameValue(entries[i], entries[i + 1])) continue;
    lists.Add(list);
    list.clear();
  }
  column.values = AppendArray(std::span<const decltype(ValueOf(entries[0]))>(values), out);
  column.lists = lists.Append(out);
}

void AddValue(std::uint32_t row, ValuePlace place, const MetadataValueView& value, Columns& columns) {
  const auto add = [&](ValueKind kind, const Number& number) {
    columns[{kind, place}].numbers.push_back({number, row});
  };
  if (const auto text = value.AsString()) {
    columns[{ValueKind::kString, place}].texts.push_back(
        {HashText(*text), text->data(), static_cast<std::uint32_t>(text->size()), row});
  }
  if (const auto whole = value.AsInt()) add(ValueKind::kNumber, Number::From(*whole));
  if (const auto real = value.AsDouble()) add(ValueKind::kNumber, Number::From(*real));
  if (const auto truth = value.AsBool()) add(ValueKind::kBool, Number::From(std::int64_t{*truth}));
}

absl::Status CheckColumn(std::string_view bytes, const MetadataColumnPlace& place, std::int64_t rows) {
  const std::size_t value_size = place.kind == ValueKind::kString ? sizeof(std::uint64_t) : sizeof(Number);
  OMICS_RETURN_IF_ERROR(CheckArray(bytes, place.values, value_size));
  return CheckRowLists(bytes, place.lists, place.values.count, rows);
}

MetadataColumn ColumnAt(std::string_view bytes, const MetadataColumnPlace& place, std::int64_t rows) {
  MetadataColumn column;
  if (place.kind == ValueKind::kString) {
    column.hashes = ArrayAt<std::uint64_t>(bytes, place.values);
  } else {
    column.numbers = ArrayAt<Number>(bytes, place.values);
  }
  column.lists = RowLists(bytes, place.lists, rows);
  return column;
}

}  // namespace

struct MetadataColumnsBuilder::State {
  std::map<std::string, Columns, std::less<>> keys;
};

std::uint64_t HashText(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

MetadataColumnsBuilder::MetadataColumnsBuilder() : state_(std::make_unique<State>()) {}
MetadataColumnsBuilder::~MetadataColumnsBuilder() = default;

void MetadataColumnsBuilder::Add(std::uint32_t row, const MetadataView& metadata) {
  metadata.ForEach([&](std::string_view key, const MetadataValueView& value) {
    auto found = state_->keys.find(key);
    if (found == state_->keys.end()) found = state_->keys.emplace(std::string(key), Columns()).first;
    Columns& columns = found->second;
    if (!value.is_list()) return AddValue(row, ValuePlace::kScalar, value, columns);
    value.ForEachElement(
        [&](const MetadataValueView& element) { AddValue(row, ValuePlace::kElement, element, columns); });
  });
}

MetadataColumnsPlace MetadataColumnsBuilder::Append(std::int64_t rows, std::string& out) {
  std::vector<MetadataColumnPlace> places;
  std::string keys;
  for (auto& [key, columns] : state_->keys) {
    for (auto& [name, entries] : columns) {
      MetadataColumnPlace place;
      place.key_offset = static_cast<std::uint32_t>(keys.size());
      place.key_size = static_cast<std::uint16_t>(key.size());
      std::tie(place.kind, place.place) = name;
      if (place.kind == ValueKind::kString) {
        AppendValues(entries.texts, rows, place, out);
      } else {
        AppendValues(entries.numbers, rows, place, out);
      }
      entries = {};
      places.push_back(place);
    }
    keys.append(key);
  }
  const Stretch columns = AppendArray(std::span<const MetadataColumnPlace>(places), out);
  return {columns, AppendArray(std::span<const char>(keys), out)};
}

// Hashes are spread evenly, so the place of one is nearly known: a search in steps of doubled width from there on stays
// in few cache lines.
ValueRange MetadataColumn::FindHash(std::uint64_t hash) const {
  const std::size_t size = hashes.size();
  const auto guess = static_cast<std::size_t>((static_cast<unsigned __int128>(hash) * size) >> 64);
  std::size_t low = guess, high = guess;  // hashes before `low` are smaller, those from `high` on are not
  for (std::size_t step = 4; low > 0 && hashes[low - 1] >= hash; step *= 2) low -= std::min(step, low);
  for (std::size_t step = 4; high < size && hashes[high] < hash; step *= 2) high += std::min(step, size - high);
  const auto begin = hashes.begin();
  const auto first =
      std::lower_bound(begin + static_cast<std::ptrdiff_t>(low), begin + static_cast<std::ptrdiff_t>(high), hash);
  auto last = first;
  while (last != hashes.end() && *last == hash) ++last;
  return {static_cast<std::size_t>(first - begin), static_cast<std::size_t>(last - begin)};
}

ValueRange MetadataColumn::FindNumber(const Number& number) const {
  const auto first = std::lower_bound(numbers.begin(), numbers.end(), number);
  const bool found = first != numbers.end() && *first == number;
  const auto at = static_cast<std::size_t>(first - numbers.begin());
  return {at, at + (found ? 1 : 0)};
}

absl::StatusOr<MetadataColumnsView> MetadataColumnsView::Open(std::string_view bytes, const MetadataColumnsPlace& place,
                                                              std::int64_t rows) {
  OMICS_RETURN_IF_ERROR(CheckArray(bytes, place.columns, sizeof(MetadataColumnPlace)));
  OMICS_RETURN_IF_ERROR(CheckArray(bytes, place.keys, 1));
  MetadataColumnsView view;
  view.bytes_ = bytes;
  view.rows_ = rows;
  view.columns_ = ArrayAt<MetadataColumnPlace>(bytes, place.columns);
  view.keys_ = ArrayAt<char>(bytes, place.keys);
  for (const MetadataColumnPlace& column : view.columns_) {
    if (std::uint64_t{column.key_offset} + column.key_size > view.keys_.size()) return DamagedFilterIndex();
    OMICS_RETURN_IF_ERROR(CheckColumn(bytes, column, rows));
  }
  return view;
}

std::string_view MetadataColumnsView::KeyOf(const MetadataColumnPlace& column) const {
  return {keys_.data() + column.key_offset, column.key_size};
}

std::optional<MetadataColumn> MetadataColumnsView::Find(std::string_view key, ValueKind kind, ValuePlace place) const {
  const auto wanted = std::tie(key, kind, place);
  const auto found = std::lower_bound(columns_.begin(), columns_.end(), wanted,
                                      [this](const MetadataColumnPlace& column, const auto& name) {
                                        return std::make_tuple(KeyOf(column), column.kind, column.place) < name;
                                      });
  if (found == columns_.end() || std::make_tuple(KeyOf(*found), found->kind, found->place) != wanted) {
    return std::nullopt;
  }
  return ColumnAt(bytes_, *found, rows_);
}

}  // namespace omics::index
