// A downloaded file becomes a collection.
#pragma once

#include <filesystem>

#include "absl/status/statusor.h"
#include "index/catalog.h"
#include "index/chroma_import.h"
#include "services/prewarm_list.h"

namespace omics::services {

struct PrewarmFile {
  std::filesystem::path path;
  std::filesystem::path scratch_dir;  // for what is unpacked; it exists
  index::CollectionSource source;     // remembered with the collection
};

// Imports the file beside what is served, then puts it under the entry's name and aliases in one durable step. What
// kind of file it is, is decided here: a bundle, which gets the entry's name whatever it was saved under, or a Chroma
// store in an archive, whose collection of the entry's name is taken, or its only one. INVALID_ARGUMENT for a file that
// is damaged or of no known kind, or for a store where the choice is not clear, naming what it holds; the error of
// `progress`; else those of index::Catalog. On any error nothing has changed.
absl::StatusOr<index::ImportReport> ImportPrewarmFile(const PrewarmEntry& entry, const PrewarmFile& file,
                                                      index::Catalog& catalog, const index::ImportProgressFn& progress);

}  // namespace omics::services
