// What the requests in progress hold in memory, together and each: bodies, what they are parsed into, answers. Small
// things (heads, buffers of connections) are not counted.
//
// docs/threat-model.md has the bound on the gateway's memory that follows.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"

namespace omics::gateway {

// Thread safety: all members may be called from any thread. Must outlive its shares.
class MemoryPool {
 public:
  explicit MemoryPool(std::int64_t bytes_max) : bytes_max_(bytes_max) {}
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

 private:
  friend class MemoryShare;
  const std::int64_t bytes_max_;
  std::atomic<std::int64_t> bytes_{0};
};

// One request's part, given back when it is destroyed; memory that a large request used goes back to the system then.
// Thread safety: one thread at a time.
class MemoryShare {
 public:
  explicit MemoryShare(MemoryPool& pool) : pool_(pool) {}
  ~MemoryShare();
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  // Counts `bytes` more. UNAVAILABLE, and nothing counted, if the pool has not as much left.
  absl::Status Add(std::int64_t bytes);
  // Counts `bytes` in place of all so far. UNAVAILABLE as Add().
  absl::Status Replace(std::int64_t bytes);
  // What Add() would answer now.
  absl::Status CouldAdd(std::uint64_t bytes) const;

 private:
  MemoryPool& pool_;
  std::int64_t bytes_ = 0;
  std::int64_t bytes_peak_ = 0;
};

}  // namespace omics::gateway
