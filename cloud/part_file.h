// The unfinished file of a download and what vouches for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/digest.h"
#include "cloud/file_digest.h"

namespace omics::cloud {

// "<file>.part" is written from its beginning on; "<file>.part.state" says of which ETag it is, and up to where its
// bytes are on disk, with their digest: what a power failure left behind is never taken for data.
//
// Thread safety: none; one thread uses it.
// Errors name the path; RESOURCE_EXHAUSTED with the reason DISK_FULL when the disk is.
class PartFile {
 public:
  // Opens or creates the part of `file` and verifies what an earlier try left: bytes() says how much of it is good.
  static absl::StatusOr<PartFile> Open(const std::filesystem::path& file);
  ~PartFile();
  PartFile(PartFile&& other) noexcept;
  PartFile& operator=(PartFile&&) = delete;

  // The ETag that the bytes belong to; "" if they can only be begun anew.
  const std::string& etag() const { return etag_; }
  std::int64_t bytes() const { return bytes_; }
  std::string sha256() const { return digest_.Hex(); }

  absl::Status Restart(const std::string& etag);
  absl::Status Append(std::string_view piece);
  // Syncs and vouches, so that the next try goes on from here. Best done also when the try has failed.
  absl::Status Checkpoint();
  // Syncs, renames to `file`, syncs the folder, removes the state.
  absl::Status Finish();
  void Discard();

 private:
  explicit PartFile(const std::filesystem::path& file);
  absl::Status Adopt();

  std::filesystem::path file_;
  std::filesystem::path part_;
  std::filesystem::path state_;
  int fd_ = -1;
  std::string etag_;
  std::int64_t bytes_ = 0;
  std::int64_t vouched_ = 0;
  Sha256Hasher digest_;
};

}  // namespace omics::cloud
