// How Chroma's metadata rows become the parts of a record.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "index/internal/chroma_sqlite.h"
#include "index/record.h"

namespace omics::index {

// Where Chroma keeps the document and the URI among the metadata.
inline constexpr std::string_view kChromaDocumentKey = "chroma:document";
inline constexpr std::string_view kChromaUriKey = "chroma:uri";

// The value in the columns string, int, float, bool from `first` on, of which Chroma fills one; nothing if all are
// NULL.
std::optional<MetadataValue> ReadChromaValue(const ChromaStatement& row, int first);

// Sets a metadata key, or the document or URI, which are text (anything else under their keys is left out).
void SetChromaField(std::string_view key, MetadataValue value, RecordChange& record);
void RemoveChromaField(std::string_view key, RecordChange& record);

// A list of scalars that are all of one type; whole numbers among doubles become doubles. INVALID_ARGUMENT for another
// mixture or no element at all.
absl::StatusOr<MetadataValue> JoinChromaList(std::vector<MetadataValue> values);

}  // namespace omics::index
