// Files that a stream brings or takes away, on disk for the time of one call.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/file_descriptor.h"
#include "base/scratch_path.h"

namespace omics::services {

// What one message carries, with room for clients that round up.
inline constexpr std::size_t kChunkBytesMax = std::size_t{2} << 20;

// Removes what a killed process left in `spool_dir`. Call before anything is spooled.
void SweepSpools(const std::filesystem::path& spool_dir);

// A directory of one call, removed with this object, and the file in it that a stream brings.
// Thread safety: one thread at a time.
class Spool {
 public:
  struct Limits {
    std::int64_t bytes_max = 0;
    std::string advice;  // what to do about a larger file
  };
  // Makes a new directory in `parent`, which is made where it is missing.
  static absl::StatusOr<std::unique_ptr<Spool>> Make(const std::filesystem::path& parent, Limits limits);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  const std::filesystem::path& directory() const { return directory_.path(); }
  // The file, made by the first Append().
  std::filesystem::path file() const { return directory() / "archive"; }
  std::int64_t bytes() const { return bytes_; }

  // INVALID_ARGUMENT for a piece of more than kChunkBytesMax; RESOURCE_EXHAUSTED beyond the limit, or with the reason
  // DISK_FULL.
  absl::Status Append(const std::string& chunk);

 private:
  Spool(ScratchPath directory, Limits limits) : directory_(std::move(directory)), limits_(std::move(limits)) {}

  ScratchPath directory_;
  const Limits limits_;
  FileDescriptor open_file_;
  std::int64_t bytes_ = 0;
};

// Counts a running call for as long as it lives.
class Slot {
 public:
  Slot(std::atomic<int>& running, int most) : running_(running), taken_(++running_ <= most) {}
  ~Slot() { --running_; }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  // False if `most` ran already.
  bool taken() const { return taken_; }

 private:
  std::atomic<int>& running_;
  const bool taken_;
};

}  // namespace omics::services
