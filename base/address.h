// "host:port", "[v6]:port" and "unix:/path" as options and messages have them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace omics {

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};

// INVALID_ARGUMENT naming the text if it is not host:port with a port of 0 to 65535.
absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

// True for 127.0.0.0/8, ::1 and "localhost".
bool IsLoopback(std::string_view host);

}  // namespace omics
