#include "index/internal/metadata_bytes.h"

#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/status.h"

namespace omics::index {
namespace {

using Type = MetadataValueView::Type;

absl::Status Damaged() { return absl::DataLossError("stored metadata is damaged"); }

template <typename T>
void AppendNumber(T number, std::string& out) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void AppendValue(const std::string& text, std::string& out) { out.append(text); }
void AppendValue(std::int64_t number, std::string& out) { AppendNumber(number, out); }
void AppendValue(double number, std::string& out) { AppendNumber(number, out); }
void AppendValue(bool truth, std::string& out) { out.push_back(truth ? 1 : 0); }

template <typename T>
void AppendValue(const std::vector<T>& values, std::string& out) {
  for (const auto& value : values) {
    if constexpr (std::is_same_v<T, std::string>) AppendNumber(static_cast<std::uint32_t>(value.size()), out);
    AppendValue(static_cast<const T&>(value), out);
  }
}

// Takes a number off the front of `bytes`; nullopt if they are too few.
template <typename T>
std::optional<T> TakeNumber(std::string_view& bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T number;
  std::memcpy(&number, bytes.data(), sizeof(T));
  bytes.remove_prefix(sizeof(T));
  return number;
}

std::optional<std::string_view> TakeBytes(std::size_t size, std::string_view& bytes) {
  if (bytes.size() < size) return std::nullopt;
  const std::string_view taken = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return taken;
}

struct Entry {
  std::string_view key;
  MetadataValueView value;
};

// The next key and value off the front of `bytes`.
std::optional<Entry> TakeEntry(std::string_view& bytes) {
  const auto key_size = TakeNumber<std::uint16_t>(bytes);
  const auto type = TakeNumber<std::uint8_t>(bytes);
  const auto value_size = TakeNumber<std::uint32_t>(bytes);
  if (!key_size || !type || !value_size || *type > static_cast<std::uint8_t>(Type::kBools)) return std::nullopt;
  const auto key = TakeBytes(*key_size, bytes);
  const auto value = TakeBytes(*value_size, bytes);
  if (!key || !value) return std::nullopt;
  return Entry{*key, MetadataValueView(static_cast<Type>(*type), *value)};
}

Type ElementType(Type list) {
  return static_cast<Type>(static_cast<std::uint8_t>(list) - static_cast<std::uint8_t>(Type::kStrings));
}

std::size_t FixedSize(Type scalar) { return scalar == Type::kBool ? 1 : 8; }

// The next element of a list off the front of `bytes`.
std::optional<std::string_view> TakeElement(Type element, std::string_view& bytes) {
  if (element != Type::kString) return TakeBytes(FixedSize(element), bytes);
  const auto size = TakeNumber<std::uint32_t>(bytes);
  return size ? TakeBytes(*size, bytes) : std::nullopt;
}

absl::StatusOr<MetadataValue> DecodeScalar(const MetadataValueView& value) {
  if (value.type() == Type::kString) return MetadataValue(std::string(value.bytes()));
  if (const auto number = value.AsInt()) return MetadataValue(*number);
  if (const auto number = value.AsDouble(); number && std::isfinite(*number)) return MetadataValue(*number);
  if (const auto truth = value.AsBool()) return MetadataValue(*truth);
  return Damaged();
}

template <typename T>
absl::StatusOr<MetadataValue> DecodeList(Type element, std::string_view bytes) {
  if (bytes.empty()) return Damaged();
  std::vector<T> values;
  while (!bytes.empty()) {
    const auto part = TakeElement(element, bytes);
    if (!part) return Damaged();
    OMICS_ASSIGN_OR_RETURN(MetadataValue value, DecodeScalar(MetadataValueView(element, *part)));
    values.push_back(std::get<T>(std::move(value)));
  }
  return MetadataValue(std::move(values));
}

absl::StatusOr<MetadataValue> DecodeValue(const MetadataValueView& value) {
  switch (value.type()) {
    case Type::kStrings:
      return DecodeList<std::string>(Type::kString, value.bytes());
    case Type::kInts:
      return DecodeList<std::int64_t>(Type::kInt, value.bytes());
    case Type::kDoubles:
      return DecodeList<double>(Type::kDouble, value.bytes());
    case Type::kBools:
      return DecodeList<bool>(Type::kBool, value.bytes());
    default:
      return DecodeScalar(value);
  }
}

}  // namespace

std::string EncodeMetadata(const Metadata& metadata) {
  std::string out;
  AppendNumber(static_cast<std::uint32_t>(metadata.size()), out);
  std::string bytes;
  for (const auto& [key, value] : metadata) {
    bytes.clear();
    std::visit([&bytes](const auto& held) { AppendValue(held, bytes); }, value);
    AppendNumber(static_cast<std::uint16_t>(key.size()), out);
    AppendNumber(static_cast<std::uint8_t>(value.index()), out);
    AppendNumber(static_cast<std::uint32_t>(bytes.size()), out);
    out.append(key).append(bytes);
  }
  return out;
}

absl::StatusOr<Metadata> DecodeMetadata(std::string_view bytes) {
  const auto count = TakeNumber<std::uint32_t>(bytes);
  if (!count) return Damaged();
  Metadata metadata;
  for (std::uint32_t i = 0; i < *count; ++i) {
    const auto entry = TakeEntry(bytes);
    if (!entry || (i > 0 && metadata.rbegin()->first >= entry->key)) return Damaged();
    OMICS_ASSIGN_OR_RETURN(MetadataValue value, DecodeValue(entry->value));
    metadata.emplace_hint(metadata.end(), std::string(entry->key), std::move(value));
  }
  if (!bytes.empty()) return Damaged();
  return metadata;
}

std::optional<std::string_view> MetadataValueView::AsString() const {
  return type_ == Type::kString ? std::optional(bytes_) : std::nullopt;
}

std::optional<std::int64_t> MetadataValueView::AsInt() const {
  std::string_view bytes = bytes_;
  return type_ == Type::kInt && bytes.size() == 8 ? TakeNumber<std::int64_t>(bytes) : std::nullopt;
}

std::optional<double> MetadataValueView::AsDouble() const {
  std::string_view bytes = bytes_;
  return type_ == Type::kDouble && bytes.size() == 8 ? TakeNumber<double>(bytes) : std::nullopt;
}

std::optional<bool> MetadataValueView::AsBool() const {
  const bool fits = type_ == Type::kBool && bytes_.size() == 1 && (bytes_[0] == 0 || bytes_[0] == 1);
  return fits ? std::optional(bytes_[0] == 1) : std::nullopt;
}

void MetadataValueView::ForEachElement(absl::FunctionRef<void(const MetadataValueView&)> visit) const {
  if (!is_list()) return;
  std::string_view bytes = bytes_;
  while (!bytes.empty()) {
    const auto part = TakeElement(ElementType(type_), bytes);
    if (!part) return;
    visit(MetadataValueView(ElementType(type_), *part));
  }
}

std::optional<MetadataValueView> MetadataView::Find(std::string_view key) const {
  std::string_view bytes = bytes_;
  const auto count = TakeNumber<std::uint32_t>(bytes);
  for (std::uint32_t i = 0; count && i < *count; ++i) {
    const auto entry = TakeEntry(bytes);
    if (!entry || entry->key > key) return std::nullopt;
    if (entry->key == key) return entry->value;
  }
  return std::nullopt;
}

void MetadataView::ForEach(absl::FunctionRef<void(std::string_view key, const MetadataValueView& value)> visit) const {
  std::string_view bytes = bytes_;
  const auto count = TakeNumber<std::uint32_t>(bytes);
  for (std::uint32_t i = 0; count && i < *count; ++i) {
    const auto entry = TakeEntry(bytes);
    if (!entry) return;
    visit(entry->key, entry->value);
  }
}

}  // namespace omics::index
