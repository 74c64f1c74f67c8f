#include "cloud/file_digest.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::cloud {
namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

absl::StatusOr<FileDigest> Sha256OfFile(const std::filesystem::path& path, std::int64_t bytes_max) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rbe"));
  if (!file) return ErrnoStatus(errno, absl::StrCat("read ", path.string()));
  std::string piece(1 << 18, '\0');
  FileDigest result;
  while (result.bytes < bytes_max) {
    const auto wanted = std::min<std::int64_t>(static_cast<std::int64_t>(piece.size()), bytes_max - result.bytes);
    const std::size_t got = std::fread(piece.data(), 1, static_cast<std::size_t>(wanted), file.get());
    if (got == 0) break;
    result.hasher.Add({piece.data(), got});
    result.bytes += static_cast<std::int64_t>(got);
  }
  if (std::ferror(file.get()) != 0) return ErrnoStatus(errno, absl::StrCat("read ", path.string()));
  result.sha256 = result.hasher.Hex();
  return result;
}

}  // namespace omics::cloud
