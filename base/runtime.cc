#include "base/runtime.h"

#include <malloc.h>

#include "absl/synchronization/mutex.h"

namespace omics {
namespace {

constexpr int kOwnMappingBytes = 1 << 20;  // a larger block is a mapping of its own, and goes when it is freed
constexpr int kKeptBytes = 2 << 20;        // more than any query takes, of each arena

}  // namespace

void SetUpRuntime() {
  mallopt(M_MMAP_THRESHOLD, kOwnMappingBytes);
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace omics
