#include "services/ship_marker.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::services {
namespace {

constexpr char kFile[] = "shipping";
constexpr char kFirstLine[] = "omics-vector shipping 1";

absl::Status Sync(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const int failed = fd < 0 || ::fsync(fd) != 0 ? errno : 0;
  if (fd >= 0) ::close(fd);
  return failed == 0 ? absl::OkStatus() : ErrnoStatus(failed, absl::StrCat("fsync ", path.string()));
}

}  // namespace

std::optional<ShipMarker> ReadShipMarker(const std::filesystem::path& data_dir) {
  std::ifstream in(data_dir / kFile);
  std::string first, state;
  ShipMarker marker;
  if (!std::getline(in, first) || first != kFirstLine) return std::nullopt;
  if (!(in >> marker.holder >> marker.epoch >> state >> marker.url)) return std::nullopt;
  marker.complete = state == "complete";
  return marker;
}

absl::Status WriteShipMarker(const std::filesystem::path& data_dir, const ShipMarker& marker) {
  std::error_code error;
  std::filesystem::create_directories(data_dir, error);
  const std::filesystem::path file = data_dir / kFile;
  const std::filesystem::path partial = data_dir / absl::StrCat(kFile, ".partial");
  {
    std::ofstream out(partial, std::ios::trunc);
    out << kFirstLine << "\n"
        << marker.holder << "\n"
        << marker.epoch << "\n"
        << (marker.complete ? "complete" : "restoring") << "\n"
        << marker.url << "\n";
    if (!out.flush()) return ErrnoStatus(errno, absl::StrCat("write ", partial.string()));
  }
  OMICS_RETURN_IF_ERROR(Sync(partial));
  std::filesystem::rename(partial, file, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("rename to ", file.string()));
  return Sync(data_dir);
}

}  // namespace omics::services
