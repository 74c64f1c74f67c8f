#include "index/restore.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/uuid.h"
#include "index/bundle.h"
#include "index/internal/catalog_store.h"
#include "index/internal/data_dir.h"
#include "index/internal/file.h"
#include "index/internal/packed.h"
#include "index/internal/record_store.h"

namespace omics::index {
namespace {

namespace fs = std::filesystem;

constexpr char kRestoring[] = "catalog.restored.partial";
constexpr char kAsidePrefix[] = "superseded-";

absl::Status WriteBackup(std::string_view backup, const fs::path& file) {
  OMICS_ASSIGN_OR_RETURN(const std::string bytes, UnpackBytes(backup, kCatalogBytesMax));
  OMICS_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(file));
  OMICS_RETURN_IF_ERROR(writer.Append(bytes));
  return writer.Sync();
}

// The live collections. Others are remains that the next Catalog::Open() sweeps. The file is whole in itself when this
// returns: closing it takes its log in.
absl::StatusOr<std::vector<CollectionInfo>> ReadCollections(const fs::path& file) {
  OMICS_ASSIGN_OR_RETURN(CatalogStore store, CatalogStore::Open(file));
  OMICS_ASSIGN_OR_RETURN(const std::vector<CatalogRow> rows, store.Collections());
  std::vector<CollectionInfo> live;
  for (const CatalogRow& row : rows) {
    if (row.state != CollectionState::kLive) continue;
    if (!IsUuid(row.info.id)) return absl::DataLossError("the catalog's backup holds an id that is no UUID");
    live.push_back(row.info);
  }
  return live;
}

absl::Status MakeCollection(const fs::path& bundle, const fs::path& directory) {
  std::error_code error;
  fs::create_directory(directory, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("make directory ", directory.string()));
  if (bundle.empty()) return RecordStore::Open(directory / "records.sqlite3", /*must_exist=*/false).status();
  const absl::Status unpacked = UnpackBundle(bundle, directory);
  fs::remove(bundle, error);
  return unpacked;
}

absl::Status RestoreCollection(const CollectionInfo& info, const fs::path& directory, const FetchBundle& fetch) {
  absl::Status damage;
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const fs::path bundle, fetch(info, damage));
    absl::Status made = MakeCollection(bundle, directory);
    if (bundle.empty() || !absl::IsDataLoss(made)) return made;
    damage = std::move(made);
    std::error_code ignored;
    fs::remove_all(directory, ignored);
  }
}

absl::Status RestoreCollections(const DataDir& dir, const std::vector<CollectionInfo>& collections,
                                const FetchBundle& fetch, int threads) {
  std::atomic<std::size_t> next = 0;
  Mutex mutex;
  absl::Status failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < collections.size(); i = next++) {
      const CollectionInfo& info = collections[i];
      const absl::Status status = RestoreCollection(info, dir.collection(info.id), fetch);
      if (status.ok()) continue;
      next = collections.size();
      MutexLock lock(mutex);
      failure.Update(Annotate(status, absl::StrCat("collection '", info.name, "'")));
    }
  };
  std::vector<std::thread> workers;
  for (int i = 1; i < threads && i < std::ssize(collections); ++i) workers.emplace_back(work);
  work();
  for (std::thread& worker : workers) worker.join();
  return failure;
}

}  // namespace

bool HasCatalog(const fs::path& data_dir) {
  std::error_code error;
  return fs::exists(DataDir{data_dir}.catalog_file(), error);
}

absl::Status RestoreDataDir(const fs::path& data_dir, std::string_view backup, const FetchBundle& fetch, int threads) {
  const DataDir dir = {data_dir};
  OMICS_ASSIGN_OR_RETURN(const FileDescriptor lock, LockDataDir(dir));
  if (HasCatalog(data_dir)) {
    return absl::FailedPreconditionError(absl::StrCat(data_dir.string(), " holds data: restore into an empty one"));
  }
  std::error_code error;
  std::vector<fs::path> remains;
  for (const auto& entry : fs::directory_iterator(dir.collections(), error)) remains.push_back(entry.path());
  for (const fs::path& path : remains) fs::remove_all(path, error);
  const fs::path file = dir.root / kRestoring;
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(absl::StrCat(file.string(), suffix), error);
  OMICS_RETURN_IF_ERROR(WriteBackup(backup, file));
  OMICS_ASSIGN_OR_RETURN(const std::vector<CollectionInfo> collections, ReadCollections(file));
  OMICS_RETURN_IF_ERROR(RestoreCollections(dir, collections, fetch, threads));
  OMICS_RETURN_IF_ERROR(SyncDirectory(dir.collections()));
  fs::rename(file, dir.catalog_file(), error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("rename to ", dir.catalog_file().string()));
  return SyncDirectory(dir.root);
}

absl::StatusOr<fs::path> SetDataAside(const fs::path& data_dir) {
  const DataDir dir = {data_dir};
  OMICS_ASSIGN_OR_RETURN(const FileDescriptor lock, LockDataDir(dir));
  const fs::path aside = dir.root / absl::StrCat(kAsidePrefix, MakeUuid());
  std::error_code error;
  fs::create_directory(aside, error);
  std::vector<fs::path> paths;
  if (!error) {
    for (const auto& entry : fs::directory_iterator(dir.root, error)) paths.push_back(entry.path());
  }
  // The catalog's file goes last: until then the directory counts as what it was.
  std::stable_partition(paths.begin(), paths.end(),
                        [](const fs::path& path) { return !absl::StartsWith(path.filename().string(), "catalog."); });
  for (const fs::path& path : paths) {
    const std::string name = path.filename();
    if (name == "LOCK" || name == "lost+found" || absl::StartsWith(name, kAsidePrefix)) continue;
    if (!error) fs::rename(path, aside / name, error);
  }
  if (error) return ErrnoStatus(error.value(), absl::StrCat("move what is in ", data_dir.string(), " aside"));
  OMICS_RETURN_IF_ERROR(SyncDirectory(dir.root));
  return aside;
}

}  // namespace omics::index
