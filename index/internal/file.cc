#include "index/internal/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::index {
namespace {

constexpr std::size_t kBufferBytes = 1u << 20;

absl::Status WriteAll(int fd, std::uint64_t offset, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, absl::StrCat("write ", path.string()));
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FileDescriptor> OpenForReading(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("open ", path.string()));
  return FileDescriptor(fd);
}

absl::StatusOr<FileWriter> FileWriter::Create(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("create ", path.string()));
  FileWriter writer;
  writer.path_ = path;
  writer.fd_ = FileDescriptor(fd);
  writer.buffer_.reserve(kBufferBytes);
  return writer;
}

absl::Status FileWriter::Append(std::string_view bytes) {
  size_ += bytes.size();
  if (buffer_.size() + bytes.size() <= kBufferBytes) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return absl::OkStatus();
  }
  const std::uint64_t end = size_;
  size_ -= bytes.size();
  OMICS_RETURN_IF_ERROR(Flush());
  size_ = end;
  return WriteAll(fd_.get(), size_ - bytes.size(), bytes, path_);
}

absl::Status FileWriter::PadTo(std::uint64_t alignment) {
  const std::uint64_t over = size_ % alignment;
  return over == 0 ? absl::OkStatus() : Append(std::string(alignment - over, '\0'));
}

absl::Status FileWriter::Flush() {
  OMICS_RETURN_IF_ERROR(WriteAll(fd_.get(), size_ - buffer_.size(), {buffer_.data(), buffer_.size()}, path_));
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status FileWriter::WriteAt(std::uint64_t offset, std::string_view bytes) {
  return WriteAll(fd_.get(), offset, bytes, path_);
}

absl::Status FileWriter::Sync() {
  OMICS_RETURN_IF_ERROR(Flush());
  return ::fsync(fd_.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, absl::StrCat("fsync ", path_.string()));
}

absl::Status SyncDirectory(const std::filesystem::path& directory) {
  const FileDescriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return ErrnoStatus(errno, absl::StrCat("fsync ", directory.string()));
  return absl::OkStatus();
}

absl::Status ReadAt(int fd, std::uint64_t offset, std::span<char> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read");
    if (got == 0) return absl::DataLossError("the file is cut off");
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return absl::OkStatus();
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<char*>(data_), size_);
}
MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

absl::StatusOr<std::string> ReadWholeFile(const std::filesystem::path& path) {
  OMICS_ASSIGN_OR_RETURN(const FileDescriptor file, OpenForReading(path));
  std::error_code error;
  std::string bytes(std::filesystem::file_size(path, error), '\0');
  if (error) return ErrnoStatus(error.value(), path.string());
  OMICS_RETURN_IF_ERROR(ReadAt(file.get(), 0, bytes));
  return bytes;
}

absl::StatusOr<MappedFile> MappedFile::Map(int fd, std::uint64_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, "mmap");
  MappedFile file;
  file.data_ = static_cast<const char*>(data);
  file.size_ = bytes;
  return file;
}

}  // namespace omics::index
