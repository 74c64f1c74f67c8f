// Metadata as one run of bytes, in which a key is found without reading the rest into memory. This is the form in the
// payload of a row; SQLite keeps JSON (record.h), for everyone's tools.
//
// A u32 count; then per key, sorted: u16 key length, u8 type, u32 value length, the key, the value. All little-endian.
// Strings are their bytes; whole numbers and doubles 8 bytes; booleans one; a list is its elements in that form, those
// of a list of strings each after a u32 length.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "index/record.h"

namespace omics::index {

std::string EncodeMetadata(const Metadata& metadata);

// DATA_LOSS unless `bytes` is what EncodeMetadata writes.
absl::StatusOr<Metadata> DecodeMetadata(std::string_view bytes);

// One value where it stands. The accessors give nothing (nullopt, no call) for a value of another type.
class MetadataValueView {
 public:
  enum class Type : std::uint8_t { kString, kInt, kDouble, kBool, kStrings, kInts, kDoubles, kBools };
  MetadataValueView(Type type, std::string_view bytes) : type_(type), bytes_(bytes) {}

  Type type() const { return type_; }
  bool is_list() const { return type_ >= Type::kStrings; }
  std::string_view bytes() const { return bytes_; }
  std::optional<std::string_view> AsString() const;
  std::optional<std::int64_t> AsInt() const;
  std::optional<double> AsDouble() const;
  std::optional<bool> AsBool() const;
  // Calls `visit` with each element of a list, as a scalar.
  void ForEachElement(absl::FunctionRef<void(const MetadataValueView&)> visit) const;

 private:
  Type type_;
  std::string_view bytes_;
};

// Borrows bytes that EncodeMetadata wrote. Damaged bytes end the iteration early; they are never read past their end.
// Thread safety: const members may be called from any thread.
class MetadataView {
 public:
  explicit MetadataView(std::string_view bytes) : bytes_(bytes) {}
  std::optional<MetadataValueView> Find(std::string_view key) const;
  void ForEach(absl::FunctionRef<void(std::string_view key, const MetadataValueView& value)> visit) const;

 private:
  std::string_view bytes_;
};

}  // namespace omics::index
