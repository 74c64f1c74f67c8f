// What the machine allows one thread: how fast it reads memory, and how long each kernel takes for a row.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace omics::benchmarks {

struct KernelTime {
  std::string name;
  double cached_ns = 0;  // for a row that the first cache holds
  double random_ns = 0;  // for a row anywhere in 256 MiB
};

struct MachineLimits {
  double bytes_per_second = 0;     // read in order, by the best kernel for codes
  std::vector<KernelTime> codes;   // of the kernels that this CPU can run, best first
  std::vector<KernelTime> floats;  // the same
};

// For rows of `stride` bytes of codes (a multiple of kCodeAlignment) and of `dimension` floats. Takes seconds and 600
// MB.
MachineLimits MeasureMachine(std::size_t stride, std::size_t dimension);

}  // namespace omics::benchmarks
