#include "services/prewarm_import.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/text.h"
#include "index/bundle.h"
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

absl::StatusOr<index::ImportReport> LoadBundle(const PrewarmEntry& entry, const PrewarmFile& file,
                                               index::Catalog& catalog, const index::ImportProgressFn& progress) {
  index::BundleTarget target;
  target.name = entry.collection;
  index::BundleLimits limits;
  std::int64_t rows = 0;
  limits.progress = [&](std::int64_t done, std::int64_t total) {
    const double part = static_cast<double>(done) / static_cast<double>(std::max<std::int64_t>(total, 1));
    return progress ? progress(static_cast<std::int64_t>(part * static_cast<double>(rows)), rows) : absl::OkStatus();
  };
  OMICS_ASSIGN_OR_RETURN(const index::BundleManifest manifest, index::ReadBundleManifest(file.path));
  rows = manifest.records;
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::StagedCollection> staged,
                         index::StageBundle(catalog, file.path, target, limits));
  index::ImportReport report;
  report.records = staged->collection().Count();
  OMICS_ASSIGN_OR_RETURN(report.info,
                         staged->Publish({.replace = true, .aliases = entry.aliases, .source = file.source}));
  return report;
}

}  // namespace

absl::StatusOr<index::ImportReport> ImportPrewarmFile(const PrewarmEntry& entry, const PrewarmFile& file,
                                                      index::Catalog& catalog,
                                                      const index::ImportProgressFn& progress) {
  return index::LooksLikeBundle(file.path) ? LoadBundle(entry, file, catalog, progress)
                                           : ImportStore(entry, file, catalog, progress);
}

}  // namespace omics::services
