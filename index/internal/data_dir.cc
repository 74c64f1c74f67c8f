#include "index/internal/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::index {
namespace {

// Some pages of 16 KiB for the catalog's write-ahead log, and what a file system takes beside them.
constexpr off_t kReserveBytes = 1 << 20;

std::string HolderOf(int fd) {
  std::array<char, 32> text{};
  const ssize_t bytes = ::pread(fd, text.data(), text.size(), 0);
  const std::string pid(text.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  return std::string(absl::StripAsciiWhitespace(pid));
}

absl::Status WritePid(int fd, const std::filesystem::path& path) {
  const std::string pid = absl::StrCat(::getpid(), "\n");
  if (::ftruncate(fd, 0) == 0 && ::pwrite(fd, pid.data(), pid.size(), 0) == std::ssize(pid)) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("write ", path.string()));
}

}  // namespace

absl::StatusOr<FileDescriptor> LockDataDir(const DataDir& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir.collections(), error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("make data directory ", dir.root.string()));
  const std::filesystem::path path = dir.root / "LOCK";
  FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (fd.get() < 0) return ErrnoStatus(errno, absl::StrCat("open ", path.string()));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, absl::StrCat("lock ", path.string()));
    return WithReason(
        absl::FailedPreconditionError(absl::StrCat("data directory ", dir.root.string(), " is in use by process ",
                                                   HolderOf(fd.get()), ": stop it, or choose another with --data-dir")),
        "DATA_DIR_LOCKED");
  }
  OMICS_RETURN_IF_ERROR(WritePid(fd.get(), path));
  return fd;
}

absl::Status RefuseChromaStore(const DataDir& dir) {
  std::error_code error;
  if (!std::filesystem::exists(dir.root / "chroma.sqlite3", error)) return absl::OkStatus();
  if (std::filesystem::exists(dir.catalog_file(), error)) return absl::OkStatus();
  const std::string root = dir.root.string();
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        root, " holds a Chroma store that has not been imported; import it with: vectorctl import ",
                        root, " --data-dir ", root)),
                    "CHROMA_STORE");
}

void MakeReserve(const DataDir& dir) {
  const FileDescriptor fd(::open(dir.reserve_file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (fd.get() < 0 || ::posix_fallocate(fd.get(), 0, kReserveBytes) != 0) ReleaseReserve(dir);
}

void ReleaseReserve(const DataDir& dir) {
  std::error_code ignored;
  std::filesystem::remove(dir.reserve_file(), ignored);
}

}  // namespace omics::index
