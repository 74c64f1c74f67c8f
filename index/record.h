// What a collection stores: records and their metadata.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace omics::index {

// One metadata value. Whole numbers and doubles stay apart: 1 comes back as 1, 1.0 as 1.0.
// Lists hold at least one element, all of one type. Doubles are finite.
using MetadataValue = std::variant<std::string, std::int64_t, double, bool, std::vector<std::string>,
                                   std::vector<std::int64_t>, std::vector<double>, std::vector<bool>>;

// Sorted by key. Empty and absent are the same thing.
using Metadata = std::map<std::string, MetadataValue, std::less<>>;

// A stored record, or the parts of one that were asked for.
struct Record {
  std::string id;
  std::vector<float> embedding;  // `dimension` finite floats, or empty where not asked for
  std::optional<std::string> document;
  std::optional<std::string> uri;
  Metadata metadata;
};

// A change to one record. What is absent stays as it is where the record exists.
struct RecordChange {
  std::string id;
  std::vector<float> embedding;  // required for a new record; empty keeps the stored one
  std::optional<std::string> document;
  std::optional<std::string> uri;
  Metadata metadata;                              // merged key by key
  std::vector<std::string> remove_metadata_keys;  // taken out before the merge
};

// Limits of one record; what exceeds one is refused with INVALID_ARGUMENT naming the record.
inline constexpr std::size_t kIdBytesMax = 1024;
inline constexpr std::size_t kDimensionMax = 65536;
inline constexpr std::size_t kDocumentBytesMax = 1u << 20;
inline constexpr std::size_t kUriBytesMax = 8192;
inline constexpr std::size_t kMetadataKeysMax = 256;
inline constexpr std::size_t kMetadataKeyBytesMax = 256;
inline constexpr std::size_t kMetadataBytesMax = 1u << 20;

// Checks everything about `change` that does not depend on the collection: sizes, finite numbers, key names.
absl::Status ValidateChange(const RecordChange& change);

// Checks one metadata map: key sizes and names, finite doubles, lists that are not empty.
absl::Status ValidateMetadata(const Metadata& metadata);

// Metadata as a JSON object, the form in which SQLite keeps it: whole numbers without, doubles always with a point or
// an exponent, so that the types survive the round trip. An empty map is "{}".
std::string MetadataToJson(const Metadata& metadata);

// The inverse. DATA_LOSS if `json` is not what MetadataToJson writes.
absl::StatusOr<Metadata> MetadataFromJson(std::string_view json);

}  // namespace omics::index
