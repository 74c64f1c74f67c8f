// What this process may use: the cgroup's cpu.max and memory.max (v2, then v1), then affinity and physical memory.
#pragma once

#include <cstdint>
#include <string>

namespace omics {

struct Resources {
  int threads = 1;                // at least 1
  std::int64_t memory_bytes = 0;  // the smaller of cgroup limit and physical memory
  std::string source;             // for the start-up log: "cgroup v2 cpu.max, physical memory"
};

// Reads them now. `root` is "/" except in tests.
Resources DetectResources(const std::string& root = "/");

// Resident set size of this process in bytes, from /proc/self/statm; 0 if unreadable.
std::int64_t ResidentBytes();

}  // namespace omics
