// The files of a Chroma store: where they are, and a private copy where one is needed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/statusor.h"

namespace omics::index {

// `directory` itself or its one subdirectory that holds chroma.sqlite3. INVALID_ARGUMENT if there is none or a choice.
absl::StatusOr<std::filesystem::path> FindChromaRoot(const std::filesystem::path& directory);

// The file to open for the store in `root`: chroma.sqlite3 itself, or, where its write-ahead file is not empty, a copy
// in `scratch` into which that was merged. INVALID_ARGUMENT if a write was cut off or is under way (a rollback journal
// is there: whoever rolls it back follows names in it, so it is never done with somebody else's); RESOURCE_EXHAUSTED if
// the copy would exceed `copy_bytes_max`.
absl::StatusOr<std::filesystem::path> SettleChromaDatabase(const std::filesystem::path& root,
                                                           const std::filesystem::path& scratch,
                                                           std::int64_t copy_bytes_max);

// Sizes and times of the store's SQLite files, to be compared later: Chroma writes nothing without touching them.
std::string ChromaFingerprint(const std::filesystem::path& root);

}  // namespace omics::index
