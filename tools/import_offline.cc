#include "absl/strings/str_cat.h"
#include "base/scratch_path.h"
#include "base/status.h"
#include "base/text.h"
#include "index/catalog.h"
#include "index/chroma_import.h"
#include "index/chroma_store.h"
#include "tools/import_job.h"
#include "tools/offline_catalog.h"

namespace omics::tools {
namespace {

namespace fs = std::filesystem;

index::ImportTarget ToTarget(const ImportJob& job) {
  index::ImportTarget target;
  if (!job.tenant.empty()) target.tenant = job.tenant;
  if (!job.database.empty()) target.database = job.database;
  target.collection = job.collection;
  target.source_collection = job.source;
  target.replace = job.replace;
  return target;
}

// Builds the graph and says what there is now.
absl::StatusOr<ImportedCollection> Settle(const index::ImportReport& report, const index::Catalog& catalog,
                                          Progress& progress) {
  index::CollectionRef ref;
  ref.id = report.info.id;
  ref.tenant = report.info.tenant;
  ref.database = report.info.database;
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<index::Collection> collection, catalog.OpenCollection(ref));
  const std::string label = absl::StrCat("building the graph of ", OneLine(report.info.name));
  progress.Update(label, Progress::Unit::kRows, 0, report.records, Progress::Clock::now());
  OMICS_RETURN_IF_ERROR(collection->Compact(kNoDeadline));
  progress.Update(label, Progress::Unit::kRows, report.records, report.records, Progress::Clock::now());
  return ImportedCollection{report.info.name, report.records, collection->dimension(),
                            std::string(index::MetricName(report.info.metric)), report.lost_ids};
}

}  // namespace

absl::StatusOr<std::vector<ImportedCollection>> ImportOffline(const ImportJob& job, const fs::path& data_dir,
                                                              Progress& progress) {
  std::error_code ignored;
  const bool in_place = fs::equivalent(job.store, data_dir, ignored);
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::Catalog> catalog, OpenOffline(data_dir, "import into", in_place));
  // Where this process is killed, the next start of a service removes it: the name is that of the service's own
  // imports.
  OMICS_ASSIGN_OR_RETURN(const ScratchPath scratch, ScratchPath::MakeDirectory(data_dir / "tmp", "import-"));
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::ChromaStore> store,
                         index::ChromaStore::Open(job.store, scratch.path(), index::ChromaLimits()));
  const auto show = [&progress](std::int64_t rows_done, std::int64_t rows_total) {
    progress.Update("importing", Progress::Unit::kRows, rows_done, rows_total, Progress::Clock::now());
    return absl::OkStatus();
  };
  OMICS_ASSIGN_OR_RETURN(const std::vector<index::ImportReport> reports,
                         index::ImportChromaStore(*store, ToTarget(job), *catalog, show));
  std::vector<ImportedCollection> imported;
  for (const index::ImportReport& report : reports) {
    OMICS_ASSIGN_OR_RETURN(ImportedCollection one, Settle(report, *catalog, progress));
    imported.push_back(std::move(one));
  }
  progress.Finish();
  return imported;
}

}  // namespace omics::tools
