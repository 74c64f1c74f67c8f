#include "services/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/uuid.h"

namespace omics::services {
namespace {

constexpr char kSpoolPrefix[] = "import-";

}  // namespace

void SweepSpools(const std::filesystem::path& spool_dir) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(spool_dir, error)) {
    if (!absl::StartsWith(entry.path().filename().string(), kSpoolPrefix)) continue;
    std::error_code removal;
    std::filesystem::remove_all(entry.path(), removal);
    if (removal) LogWarning(absl::StrCat("cannot remove ", entry.path().string(), ": ", removal.message()));
  }
}

absl::StatusOr<std::unique_ptr<Spool>> Spool::Make(const std::filesystem::path& parent, Limits limits) {
  const std::filesystem::path directory = parent / (kSpoolPrefix + MakeUuid());
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("make ", directory.string()));
  return std::unique_ptr<Spool>(new Spool(directory, std::move(limits)));
}

Spool::~Spool() {
  if (fd_ >= 0) close(fd_);
  std::error_code error;
  std::filesystem::remove_all(directory_, error);
  if (error) LogWarning(absl::StrCat("cannot remove ", directory_.string(), ": ", error.message()));
}

absl::Status Spool::Append(const std::string& chunk) {
  if (chunk.size() > kChunkBytesMax) {
    return absl::InvalidArgumentError("a piece of the file has more than 2 MiB: send pieces of 1 MiB");
  }
  bytes_ += static_cast<std::int64_t>(chunk.size());
  if (bytes_ > limits_.bytes_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the file is larger than ", limits_.bytes_max >> 30, " GiB: ", limits_.advice));
  }
  if (fd_ < 0) fd_ = open(file().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd_ < 0) return ErrnoStatus(errno, absl::StrCat("make ", file().string()));
  for (std::size_t done = 0; done < chunk.size();) {
    const ssize_t wrote = ::write(fd_, chunk.data() + done, chunk.size() - done);
    if (wrote < 0 && errno != EINTR) return ErrnoStatus(errno, absl::StrCat("write ", file().string()));
    if (wrote > 0) done += static_cast<std::size_t>(wrote);
  }
  return absl::OkStatus();
}

}  // namespace omics::services
