// A file or directory for a while.
#pragma once

#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/status/statusor.h"

namespace omics {

// What is at a path, removed with this object with all that is in it. That nothing is there is fine.
class ScratchPath {
 public:
  // A new, empty directory in `parent`, which is made where it is missing; its name is `prefix` and a random rest. Only
  // this user can look into it.
  static absl::StatusOr<ScratchPath> MakeDirectory(const std::filesystem::path& parent, std::string_view prefix);

  explicit ScratchPath(std::filesystem::path path) : path_(std::move(path)) {}
  // Without a word where that fails: who wants to say it calls Remove() before.
  ~ScratchPath() { (void)Remove(); }
  ScratchPath(ScratchPath&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchPath& operator=(ScratchPath&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::error_code Remove();

 private:
  std::filesystem::path path_;  // empty once it was moved from
};

}  // namespace omics
