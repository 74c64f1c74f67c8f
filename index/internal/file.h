// Files with absl::Status: durable writing, mapping, directories.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file_descriptor.h"

namespace omics::index {

absl::StatusOr<FileDescriptor> OpenForReading(const std::filesystem::path& path);

// Writes a new file from its start to its end, through a buffer.
// Thread safety: one thread at a time.
class FileWriter {
 public:
  static absl::StatusOr<FileWriter> Create(const std::filesystem::path& path);

  absl::Status Append(std::string_view bytes);
  // Zero bytes until the size is a multiple of `alignment`.
  absl::Status PadTo(std::uint64_t alignment);
  // Bytes appended so far.
  std::uint64_t size() const { return size_; }
  // Hands the buffer to the operating system, so that readers of the file see it.
  absl::Status Flush();
  // Overwrites bytes that were appended before. Call Flush() first.
  absl::Status WriteAt(std::uint64_t offset, std::string_view bytes);
  // Everything on disk when it returns OK.
  absl::Status Sync();
  int descriptor() const { return fd_.get(); }

 private:
  FileWriter() = default;
  std::filesystem::path path_;
  FileDescriptor fd_;
  std::vector<char> buffer_;
  std::uint64_t size_ = 0;
};

// Makes the entries of a directory (a new file, a rename) durable.
absl::Status SyncDirectory(const std::filesystem::path& directory);

// Reads exactly `bytes` at `offset`. DATA_LOSS if the file ends before.
absl::Status ReadAt(int fd, std::uint64_t offset, std::span<char> bytes);

absl::StatusOr<std::string> ReadWholeFile(const std::filesystem::path& path);

// A file mapped read-only.
class MappedFile {
 public:
  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  // The first `bytes` of the file, which must be that long.
  static absl::StatusOr<MappedFile> Map(int fd, std::uint64_t bytes);
  const char* data() const { return data_; }
  std::uint64_t size() const { return size_; }

 private:
  const char* data_ = nullptr;
  std::uint64_t size_ = 0;
};

}  // namespace omics::index
