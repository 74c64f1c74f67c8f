// Unpacks a .tar or .tar.gz that a stranger sent.
#pragma once

#include <cstdint>
#include <filesystem>

#include "absl/status/status.h"

namespace omics::index {

struct ArchiveLimits {
  std::int64_t files_max = 0;           // files and directories
  std::int64_t unpacked_bytes_max = 0;  // of the tar stream, headers included
  std::int64_t ratio_max = 0;           // unpacked to packed bytes, judged once 16 MiB are unpacked
};

// Unpacks `archive` (tar, plain or gzip; no other format or filter is even tried) into `directory`, which must exist
// and be empty. Only regular files and directories; file modes, owners and times of the archive are ignored. Nothing is
// written outside `directory`. On an error the directory holds what came before it: the caller removes it.
//
// INVALID_ARGUMENT naming the entry: a link, a device, an absolute path, `..`, a path twice, a name that is too long or
// too deep, or an archive that is cut off or is none. RESOURCE_EXHAUSTED naming the limit, or with the reason
// DISK_FULL.
absl::Status UnpackArchive(const std::filesystem::path& archive, const std::filesystem::path& directory,
                           const ArchiveLimits& limits);

}  // namespace omics::index
