#include "index/internal/chroma_keys.h"

#include <algorithm>
#include <string>
#include <utility>

namespace omics::index {
namespace {

std::optional<std::string>* TextField(std::string_view key, RecordChange& record) {
  if (key == kChromaDocumentKey) return &record.document;
  if (key == kChromaUriKey) return &record.uri;
  return nullptr;
}

template <typename T>
MetadataValue JoinAs(std::vector<MetadataValue> values) {
  std::vector<T> joined;
  joined.reserve(values.size());
  for (MetadataValue& value : values) joined.push_back(std::get<T>(std::move(value)));
  return MetadataValue(std::move(joined));
}

template <typename T>
bool AllAre(const std::vector<MetadataValue>& values) {
  return std::all_of(values.begin(), values.end(), [](const auto& value) { return std::holds_alternative<T>(value); });
}

void WidenNumbers(std::vector<MetadataValue>& values) {
  if (AllAre<std::int64_t>(values)) return;
  for (MetadataValue& value : values) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) value = static_cast<double>(*number);
  }
}

}  // namespace

std::optional<MetadataValue> ReadChromaValue(const ChromaStatement& row, int first) {
  if (!row.IsNull(first)) return MetadataValue(std::string(row.Text(first)));
  if (!row.IsNull(first + 1)) return MetadataValue(row.Int(first + 1));
  if (!row.IsNull(first + 2)) return MetadataValue(row.Real(first + 2));
  if (!row.IsNull(first + 3)) return MetadataValue(row.Int(first + 3) != 0);
  return std::nullopt;
}

void SetChromaField(std::string_view key, MetadataValue value, RecordChange& record) {
  std::optional<std::string>* field = TextField(key, record);
  if (!field) {
    record.metadata.insert_or_assign(std::string(key), std::move(value));
  } else if (auto* text = std::get_if<std::string>(&value)) {
    *field = std::move(*text);
  }
}

void RemoveChromaField(std::string_view key, RecordChange& record) {
  if (std::optional<std::string>* field = TextField(key, record)) {
    field->reset();
  } else if (const auto found = record.metadata.find(key); found != record.metadata.end()) {
    record.metadata.erase(found);
  }
}

absl::StatusOr<MetadataValue> JoinChromaList(std::vector<MetadataValue> values) {
  if (values.empty()) return absl::InvalidArgumentError("a metadata list without elements");
  WidenNumbers(values);
  if (AllAre<std::string>(values)) return JoinAs<std::string>(std::move(values));
  if (AllAre<std::int64_t>(values)) return JoinAs<std::int64_t>(std::move(values));
  if (AllAre<double>(values)) return JoinAs<double>(std::move(values));
  if (AllAre<bool>(values)) return JoinAs<bool>(std::move(values));
  return absl::InvalidArgumentError("a metadata list of more than one type");
}

}  // namespace omics::index
