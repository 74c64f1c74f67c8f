#include "index/chroma_store.h"

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/scratch_path.h"
#include "base/status.h"
#include "index/internal/archive.h"
#include "index/internal/chroma_catalog.h"
#include "index/internal/chroma_files.h"
#include "index/internal/chroma_records.h"
#include "index/internal/chroma_sqlite.h"

namespace omics::index {
namespace {

namespace fs = std::filesystem;

class StoreOnDisk final : public ChromaStore {
 public:
  StoreOnDisk(ScratchPath scratch, fs::path root, std::string fingerprint, std::unique_ptr<ChromaDatabase> database,
              const ChromaLimits& limits)
      : scratch_(std::move(scratch)),
        root_(std::move(root)),
        fingerprint_(std::move(fingerprint)),
        database_(std::move(database)),
        limits_(limits) {}

  absl::Status ReadCatalog() {
    OMICS_ASSIGN_OR_RETURN(sources_, ReadChromaCatalog(*database_));
    for (ChromaSource& source : sources_) {
      database_->RenewBudget();
      OMICS_ASSIGN_OR_RETURN(source.collection.records, CountChromaRecords(*database_, source, limits_.records_max));
      collections_.push_back(source.collection);
    }
    return absl::OkStatus();
  }

  const std::vector<ChromaCollection>& collections() const override { return collections_; }

  absl::Status Read(const ChromaCollection& collection,
                    const std::function<absl::Status(std::vector<RecordChange>)>& sink,
                    std::vector<std::string>& lost_ids) const override {
    const auto source = std::find_if(sources_.begin(), sources_.end(), [&collection](const ChromaSource& candidate) {
      return candidate.collection.id == collection.id;
    });
    if (source == sources_.end())
      return absl::NotFoundError(absl::StrCat("no collection ", collection.id, " in the store"));
    database_->RenewBudget();
    OMICS_ASSIGN_OR_RETURN(const auto reader,
                           ChromaRecordReader::Make(*database_, *source, root_, limits_.records_max));
    OMICS_RETURN_IF_ERROR(reader->Run(sink, lost_ids));
    if (ChromaFingerprint(root_) == fingerprint_) return absl::OkStatus();
    return absl::UnavailableError("the store changed while it was read; stop Chroma and try again");
  }

 private:
  ScratchPath scratch_;  // first, so that it goes last
  fs::path root_;
  std::string fingerprint_;  // of the store's SQLite files when they were opened
  std::unique_ptr<ChromaDatabase> database_;
  ChromaLimits limits_;
  std::vector<ChromaSource> sources_;
  std::vector<ChromaCollection> collections_;
};

absl::StatusOr<fs::path> UnpackOrUse(const fs::path& path, const fs::path& scratch, const ChromaLimits& limits) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) return path;
  if (!fs::exists(status)) return absl::NotFoundError(absl::StrCat("no such file or directory: ", path.string()));
  if (!fs::is_regular_file(status)) {
    return absl::InvalidArgumentError(absl::StrCat(path.string(), " is neither a directory nor an archive"));
  }
  const fs::path unpacked = scratch / "unpacked";
  fs::create_directory(unpacked, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("make ", unpacked.string()));
  OMICS_RETURN_IF_ERROR(UnpackArchive(
      path, unpacked,
      {.files_max = limits.files_max, .unpacked_bytes_max = limits.unpacked_bytes_max, .ratio_max = limits.ratio_max}));
  return unpacked;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChromaStore>> ChromaStore::Open(const fs::path& path, const fs::path& scratch_dir,
                                                               const ChromaLimits& limits) {
  OMICS_ASSIGN_OR_RETURN(ScratchPath scratch, ScratchPath::MakeDirectory(scratch_dir, "chroma-"));
  OMICS_ASSIGN_OR_RETURN(const fs::path directory, UnpackOrUse(path, scratch.path(), limits));
  OMICS_ASSIGN_OR_RETURN(fs::path root, FindChromaRoot(directory));
  std::string fingerprint = ChromaFingerprint(root);
  OMICS_ASSIGN_OR_RETURN(const fs::path file, SettleChromaDatabase(root, scratch.path(), limits.unpacked_bytes_max));
  OMICS_ASSIGN_OR_RETURN(std::unique_ptr<ChromaDatabase> database, ChromaDatabase::Open(file));
  auto store = std::make_unique<StoreOnDisk>(std::move(scratch), std::move(root), std::move(fingerprint),
                                             std::move(database), limits);
  OMICS_RETURN_IF_ERROR(store->ReadCatalog());
  return store;
}

}  // namespace omics::index
