// The command line of vector-gateway.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/tokens.h"
#include "cloud/jwt_options.h"
#include "cloud/token_options.h"

namespace omics::gateway {

struct Options {
  std::string rest_address = "127.0.0.1:8000";
  std::string service_address = "127.0.0.1:50051";
  std::string metrics_address = "127.0.0.1:9091";
  TokenSources tokens;  // tokens_secret is token_secret.secret, end_users whether jwt has an issuer
  cloud::TokenSecretOptions token_secret;
  cloud::JwtOptions jwt;
  std::string tls_certificate;
  std::string tls_key;
  std::vector<std::string> cors_allow_origins;
  std::int64_t body_bytes_max = std::int64_t{128} << 20;
  std::int64_t threads = 0;  // 0: as the cgroup allows
  std::int64_t drain_seconds = 15;
  std::string log_level = "info";
  std::string log_format = "auto";
};

// Reads flags, environment and file. nullopt: go on; else the exit code to leave with.
std::optional<int> ParseOptions(int argc, const char* const* argv, Options& options);

// Chroma's users write the origins as JSON (["*"]): brackets and quotes are taken off.
std::vector<std::string> CleanOrigins(const std::vector<std::string>& origins);

}  // namespace omics::gateway
