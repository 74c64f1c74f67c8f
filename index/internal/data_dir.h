// The data directory: its lock, and what stands where in it.
//
//   DIR/LOCK                      flock()ed by the process that has the directory open; holds its pid
//   DIR/RESERVE                   bytes kept back for the day the disk is full
//   DIR/catalog.sqlite3           tenants, databases, collections
//   DIR/collections/<uuid>/       one collection (collection_impl.h)
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "index/internal/file.h"

namespace omics::index {

struct DataDir {
  std::filesystem::path root;

  std::filesystem::path catalog_file() const { return root / "catalog.sqlite3"; }
  std::filesystem::path collections() const { return root / "collections"; }
  std::filesystem::path collection(const std::string& id) const { return collections() / id; }
  std::filesystem::path reserve_file() const { return root / "RESERVE"; }
};

// Makes the directory where it is missing and takes its lock; the lock goes with the descriptor, also when the process
// is killed. FAILED_PRECONDITION (DATA_DIR_LOCKED) naming the holder's pid.
absl::StatusOr<FileDescriptor> LockDataDir(const DataDir& dir);

// FAILED_PRECONDITION (CHROMA_STORE) with the command that imports it, if `dir` holds a Chroma store and nothing of
// ours.
absl::Status RefuseChromaStore(const DataDir& dir);

// Dropping a collection gives disk back, but takes a page or two of the catalog's log first, which a full disk does not
// have: so a megabyte is kept back for it. Where there is no room for the reserve there is none; that is no error.
void MakeReserve(const DataDir& dir);
void ReleaseReserve(const DataDir& dir);

}  // namespace omics::index
