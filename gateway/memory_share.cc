#include "gateway/memory_share.h"

#include <malloc.h>

#include <algorithm>

namespace omics::gateway {
namespace {

// glibc keeps freed memory for the next request; from here on giving it back is worth its milliseconds.
constexpr std::int64_t kTrimBytes = 16 << 20;

absl::Status TooBusy() { return absl::UnavailableError("too many large requests at once; try again in a moment"); }

}  // namespace

MemoryShare::~MemoryShare() {
  pool_.bytes_ -= bytes_;
  if (bytes_peak_ >= kTrimBytes) malloc_trim(0);
}

absl::Status MemoryShare::Add(std::int64_t bytes) {
  if (pool_.bytes_.fetch_add(bytes) + bytes > pool_.bytes_max_ && bytes > 0) {
    pool_.bytes_ -= bytes;
    return TooBusy();
  }
  bytes_ += bytes;
  bytes_peak_ = std::max(bytes_peak_, bytes_);
  return absl::OkStatus();
}

absl::Status MemoryShare::Replace(std::int64_t bytes) { return Add(bytes - bytes_); }

absl::Status MemoryShare::CouldAdd(std::uint64_t bytes) const {
  const bool fits = static_cast<std::int64_t>(bytes) <= pool_.bytes_max_ - pool_.bytes_.load();
  return fits ? absl::OkStatus() : TooBusy();
}

}  // namespace omics::gateway
