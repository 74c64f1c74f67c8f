// A directory for one test, removed with it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/scratch_path.h"

namespace omics {

class TempDir {
 public:
  // The names of Unix sockets in it may still be some 70 characters long.
  TempDir() : directory_(ScratchPath::MakeDirectory(std::filesystem::temp_directory_path(), "omics-test-").value()) {}

  const std::filesystem::path& path() const { return directory_.path(); }
  std::string operator/(std::string_view name) const { return (path() / name).string(); }

 private:
  ScratchPath directory_;
};

}  // namespace omics
