// A Chroma store as a stream of archive bytes: an archive as it is, a directory packed on the fly as a tar.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace omics::tools {

// Thread safety: one thread at a time.
class ArchiveSource {
 public:
  virtual ~ArchiveSource() = default;

  // Bytes that Read() will give in all.
  virtual std::int64_t bytes_total() const = 0;

  // Puts the next at most `bytes_max` bytes into `chunk`; it is empty at the end.
  // UNAVAILABLE if a file cannot be read, or became shorter since this object was made.
  virtual absl::Status Read(std::size_t bytes_max, std::string& chunk) = 0;
};

// `path` is a regular file, which is read as it is; or a directory that holds chroma.sqlite3, itself or in exactly one
// of its subdirectories. Of a directory only what belongs to Chroma is packed: chroma.sqlite3, its journals, and the
// regular files in subdirectories named by a UUID. Links are not followed. NOT_FOUND if there is nothing at `path`;
// INVALID_ARGUMENT if there is no Chroma store in the directory.
absl::StatusOr<std::unique_ptr<ArchiveSource>> OpenArchiveSource(const std::filesystem::path& path);

}  // namespace omics::tools
