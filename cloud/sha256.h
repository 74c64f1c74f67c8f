// SHA-256 of what comes piece by piece.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace omics::cloud {

// Thread safety: none; one thread uses it.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;

  void Add(std::string_view bytes);
  // Lower-case hex of all so far; more may be added after it.
  std::string Hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Of the first `bytes_max` bytes of a file, with their number. NOT_FOUND and the like naming the path.
struct FileDigest {
  std::string sha256;
  std::int64_t bytes = 0;
  Sha256Stream stream;  // to go on from there
};
absl::StatusOr<FileDigest> Sha256OfFile(const std::filesystem::path& path, std::int64_t bytes_max);

std::string Sha256Hex(std::string_view bytes);

}  // namespace omics::cloud
