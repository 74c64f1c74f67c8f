#include "services/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"

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
  OMICS_ASSIGN_OR_RETURN(ScratchPath directory, ScratchPath::MakeDirectory(parent, kSpoolPrefix));
  return std::unique_ptr<Spool>(new Spool(std::move(directory), std::move(limits)));
}

Spool::~Spool() {
  if (const std::error_code error = directory_.Remove()) {
    LogWarning(absl::StrCat("cannot remove ", directory().string(), ": ", error.message()));
  }
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
  int fd = open_file_.get();
  if (fd < 0) {
    fd = open(file().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    open_file_ = FileDescriptor(fd);
  }
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("make ", file().string()));
  for (std::size_t done = 0; done < chunk.size();) {
    const ssize_t wrote = ::write(fd, chunk.data() + done, chunk.size() - done);
    if (wrote < 0 && errno != EINTR) return ErrnoStatus(errno, absl::StrCat("write ", file().string()));
    if (wrote > 0) done += static_cast<std::size_t>(wrote);
  }
  return absl::OkStatus();
}

}  // namespace omics::services
