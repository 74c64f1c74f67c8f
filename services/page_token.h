// The opaque texts by which lists and Get are continued.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace omics::services {

struct PageToken {
  std::int64_t position = 0;    // where the next page starts; its meaning is the list's own
  std::int64_t remaining = -1;  // records that may still be given; -1 for no limit
};

std::string EncodePageToken(const PageToken& token);

// INVALID_ARGUMENT if EncodePageToken did not make `text`.
absl::StatusOr<PageToken> DecodePageToken(std::string_view text);

}  // namespace omics::services
