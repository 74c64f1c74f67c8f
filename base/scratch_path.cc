#include "base/scratch_path.h"

#include <cerrno>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics {

absl::StatusOr<ScratchPath> ScratchPath::MakeDirectory(const std::filesystem::path& parent, std::string_view prefix) {
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("make ", parent.string()));
  std::string name = (parent / prefix).string() + "XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    return ErrnoStatus(errno, absl::StrCat("make a directory in ", parent.string()));
  }
  return ScratchPath(std::move(name));
}

std::error_code ScratchPath::Remove() {
  std::error_code error;
  if (!path_.empty()) std::filesystem::remove_all(path_, error);
  return error;
}

}  // namespace omics
