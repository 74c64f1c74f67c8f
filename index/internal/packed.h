// Bytes in one zstd frame with a checksum.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace omics::index {

absl::StatusOr<std::string> Pack(std::string_view bytes);

// DATA_LOSS for what Pack() did not write, or would unpack to more than `bytes_max`.
absl::StatusOr<std::string> UnpackBytes(std::string_view packed, std::size_t bytes_max);

}  // namespace omics::index
