// What one connection may take and how long it may wait.
#pragma once

#include <chrono>
#include <cstdint>

namespace omics::gateway {

struct SessionOptions {
  std::uint64_t body_bytes_max = std::uint64_t{128} << 20;
  // Bodies, what they are parsed into and answers, of all connections together; more are refused with 503.
  std::int64_t in_flight_bytes_max = std::int64_t{256} << 20;

  // For the next request of a kept connection: longer than the load balancer's 60 s, or it would send into a closing
  // connection.
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(75);
  // For a TLS handshake; for the first request; for a head from its first byte.
  std::chrono::milliseconds head_timeout = std::chrono::seconds(10);
  std::chrono::milliseconds body_timeout = std::chrono::seconds(60);
  // For an answer; a second more for each MiB.
  std::chrono::milliseconds write_timeout = std::chrono::seconds(60);
};

}  // namespace omics::gateway
