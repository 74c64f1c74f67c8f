// The SHA-256 of a file, or of as much of it as there is so far.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "base/digest.h"

namespace omics::cloud {

struct FileDigest {
  std::string sha256;  // lower-case hexadecimal
  std::int64_t bytes = 0;
  Sha256Hasher hasher;  // to go on from there
};

// Of the first `bytes_max` bytes of a file, with their number. NOT_FOUND and the like naming the path.
absl::StatusOr<FileDigest> Sha256OfFile(const std::filesystem::path& path, std::int64_t bytes_max);

}  // namespace omics::cloud
