// A data directory made again from what was saved of it elsewhere.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "index/catalog.h"

namespace omics::index {

// What a catalog's backup may unpack to: a collection takes some kilobytes there, its metadata and configuration more.
inline constexpr std::size_t kCatalogBytesMax = std::size_t{1} << 30;

// True if `data_dir` holds data of ours: RestoreDataDir() would refuse it.
bool HasCatalog(const std::filesystem::path& data_dir);

// Fetches the collection's bundle and returns the file, which is removed afterwards; "" if it has none: then it is
// restored without records. Where the file is damaged it is called again with that error in `damage`, for another one
// or an error; OK otherwise. Called from several threads at once, for one collection from one.
using FetchBundle =
    std::function<absl::StatusOr<std::filesystem::path>(const CollectionInfo& collection, const absl::Status& damage)>;

// Makes the catalog that Catalog::Backup() saved, and each of its collections from its bundle, `threads` at a time. The
// catalog's file appears last: after a crash the directory counts as empty, and what is there is removed by the next
// call. Changes after the bundles are the caller's to apply.
// FAILED_PRECONDITION if there is a catalog already, or with DATA_DIR_LOCKED; DATA_LOSS; the errors of `fetch`, naming
// the collection.
absl::Status RestoreDataDir(const std::filesystem::path& data_dir, std::string_view backup, const FetchBundle& fetch,
                            int threads);

// Moves all that is in `data_dir` into a new directory beside its files and returns its path, so that it can be
// restored without anything being lost. DATA_DIR_LOCKED.
absl::StatusOr<std::filesystem::path> SetDataAside(const std::filesystem::path& data_dir);

}  // namespace omics::index
