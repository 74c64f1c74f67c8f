// Reads two-dimensional float32 arrays in NumPy's .npy format (version 1.0, little-endian, C order).
#pragma once

#include <filesystem>
#include <vector>

#include "absl/status/statusor.h"

namespace omics::benchmarks {

// One vector per row. INVALID_ARGUMENT if the file is anything else.
absl::StatusOr<std::vector<std::vector<float>>> ReadNpy(const std::filesystem::path& path);

}  // namespace omics::benchmarks
