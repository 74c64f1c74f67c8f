// Every set of float32 kernels that this CPU can run, one after the other.
#pragma once

#include <hwy/highway.h>

#include <cstdint>

namespace omics {

// Calls `work(name)` once for each set with that set in use, best first; afterwards the best is in use again.
// Thread safety: no other thread may compute distances meanwhile.
template <typename Work>
void ForEachFloatKernels(Work&& work) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::GetChosenTarget().Update(target);
    work(hwy::TargetName(target));
  }
  hwy::GetChosenTarget().DeInit();
}

}  // namespace omics
