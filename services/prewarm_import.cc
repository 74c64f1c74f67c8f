#include "services/prewarm_import.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/text.h"
#include "index/chroma_store.h"

namespace omics::services {
namespace {

// The UUID of the collection to take.
absl::StatusOr<std::string> ChooseCollection(const index::ChromaStore& store, const std::string& name) {
  const std::vector<index::ChromaCollection>& all = store.collections();
  std::vector<std::string> named;
  for (const index::ChromaCollection& one : all) {
    if (one.name == name) named.push_back(one.id);
  }
  if (named.size() == 1) return named[0];
  if (named.empty() && all.size() == 1) return all[0].id;
  const auto append = [](std::string* out, const index::ChromaCollection& one) {
    absl::StrAppend(out, "'", OneLine(one.name), "'");
  };
  return absl::InvalidArgumentError(absl::StrCat("the store holds ", all.size(), " collections, ", named.size(),
                                                 " of them called '", name,
                                                 "': ", absl::StrJoin(all, ", ", append).substr(0, 1000)));
}

absl::StatusOr<index::ImportReport> ImportStore(const PrewarmEntry& entry, const PrewarmFile& file,
                                                index::Catalog& catalog, const index::ImportProgressFn& progress) {
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::ChromaStore> store,
                         index::ChromaStore::Open(file.path, file.scratch_dir, index::ChromaLimits()));
  index::ImportTarget target;
  target.collection = entry.collection;
  OMICS_ASSIGN_OR_RETURN(target.source_collection, ChooseCollection(*store, entry.collection));
  target.replace = true;
  target.aliases = entry.aliases;
  target.source = file.source;
  OMICS_ASSIGN_OR_RETURN(std::vector<index::ImportReport> reports,
                         index::ImportChromaStore(*store, target, catalog, progress));
  return std::move(reports.at(0));
}

}  // namespace

absl::StatusOr<index::ImportReport> ImportPrewarmFile(const PrewarmEntry& entry, const PrewarmFile& file,
                                                      index::Catalog& catalog,
                                                      const index::ImportProgressFn& progress) {
  return ImportStore(entry, file, catalog, progress);
}

}  // namespace omics::services
