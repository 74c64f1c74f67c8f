// What stands between the files of a bundle that a stranger wrote and their being opened as a collection.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "index/bundle.h"

namespace omics::index {

// Checks that `directory` holds the very members of `manifest`, and that they are a collection: the records' schema is
// ours to the letter, SQLite finds the file whole, every record is one that could have been written, and there are as
// many as the manifest says, of its dimension and sequence number; every segment opens, holds the records' own vectors
// and contents, and nothing in it is out of range. Removes segments of another version of the segment format: their
// rows are built again.
// DATA_LOSS or INVALID_ARGUMENT naming the member and the cause; DEADLINE_EXCEEDED.
absl::Status CheckBundleFiles(const std::filesystem::path& directory, const BundleManifest& manifest,
                              Deadline deadline);

}  // namespace omics::index
