#include "cloud/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace omics::cloud {
namespace {

// What a crash can cost of a large download.
constexpr std::int64_t kCheckpointBytes = 64 << 20;
constexpr std::size_t kStateBytesMax = 4096;

absl::Status Failed(const char* what, const std::filesystem::path& path) {
  return ErrnoStatus(errno, absl::StrCat(what, " ", path.string()));
}

absl::Status WriteAll(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return Failed("write", path);
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return absl::OkStatus();
}

absl::Status SyncFolder(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed("open", folder);
  const absl::Status status = fsync(fd) == 0 ? absl::OkStatus() : Failed("sync", folder);
  close(fd);
  return status;
}

// Written beside and renamed, so that it is the old or the new one.
absl::Status Replace(const std::filesystem::path& path, const std::string& text) {
  const std::filesystem::path fresh = path.string() + ".new";
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return Failed("create", fresh);
  absl::Status status = WriteAll(fd, text, fresh);
  if (status.ok() && fsync(fd) != 0) status = Failed("sync", fresh);
  close(fd);
  if (status.ok() && rename(fresh.c_str(), path.c_str()) != 0) status = Failed("rename", fresh);
  return status;
}

}  // namespace

PartFile::PartFile(const std::filesystem::path& file)
    : file_(file), part_(file.string() + ".part"), state_(file.string() + ".part.state") {}

PartFile::PartFile(PartFile&& other) noexcept
    : file_(std::move(other.file_)),
      part_(std::move(other.part_)),
      state_(std::move(other.state_)),
      fd_(std::exchange(other.fd_, -1)),
      etag_(std::move(other.etag_)),
      bytes_(other.bytes_),
      vouched_(other.vouched_),
      digest_(std::move(other.digest_)) {}

PartFile::~PartFile() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<PartFile> PartFile::Open(const std::filesystem::path& file) {
  PartFile part(file);
  part.fd_ = open(part.part_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (part.fd_ < 0) return Failed("create", part.part_);
  OMICS_RETURN_IF_ERROR(part.Adopt());
  return part;
}

// Takes over the bytes that the state vouches for; whatever does not fit begins anew.
absl::Status PartFile::Adopt() {
  std::ifstream in(state_, std::ios::binary);
  std::string text(kStateBytesMax, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');  // ETag, bytes, digest, ""
  std::int64_t bytes = 0;
  if (lines.size() == 4 && !lines[0].empty() && absl::SimpleAtoi(lines[1], &bytes) && bytes > 0) {
    OMICS_ASSIGN_OR_RETURN(FileDigest found, Sha256OfFile(part_, bytes));
    if (found.bytes == bytes && found.sha256 == lines[2]) {
      digest_ = std::move(found.hasher);
      etag_ = lines[0];
      bytes_ = vouched_ = bytes;
      if (ftruncate(fd_, bytes) != 0 || lseek(fd_, bytes, SEEK_SET) < 0) return Failed("seek in", part_);
      return absl::OkStatus();
    }
  }
  return Restart("");
}

absl::Status PartFile::Restart(const std::string& etag) {
  std::error_code ignored;
  std::filesystem::remove(state_, ignored);
  etag_ = etag;
  bytes_ = vouched_ = 0;
  digest_ = Sha256Hasher();
  if (ftruncate(fd_, 0) != 0 || lseek(fd_, 0, SEEK_SET) < 0) return Failed("empty", part_);
  return absl::OkStatus();
}

absl::Status PartFile::Append(std::string_view piece) {
  OMICS_RETURN_IF_ERROR(WriteAll(fd_, piece, part_));
  digest_.Add(piece);
  bytes_ += static_cast<std::int64_t>(piece.size());
  return bytes_ - vouched_ >= kCheckpointBytes ? Checkpoint() : absl::OkStatus();
}

absl::Status PartFile::Checkpoint() {
  if (etag_.empty() || bytes_ == vouched_) return absl::OkStatus();
  if (fdatasync(fd_) != 0) return Failed("sync", part_);
  OMICS_RETURN_IF_ERROR(Replace(state_, absl::StrCat(etag_, "\n", bytes_, "\n", digest_.Hex(), "\n")));
  vouched_ = bytes_;
  return absl::OkStatus();
}

absl::Status PartFile::Finish() {
  if (fsync(fd_) != 0) return Failed("sync", part_);
  if (rename(part_.c_str(), file_.c_str()) != 0) return Failed("rename", part_);
  OMICS_RETURN_IF_ERROR(SyncFolder(file_));
  std::error_code ignored;
  std::filesystem::remove(state_, ignored);
  return absl::OkStatus();
}

void PartFile::Discard() {
  std::error_code ignored;
  std::filesystem::remove(state_, ignored);
  std::filesystem::remove(part_, ignored);
}

}  // namespace omics::cloud
