// The options of vector-service.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/config.h"
#include "cloud/jwt_options.h"
#include "cloud/token_options.h"

namespace omics::services {

struct Options {
  std::string data_dir = "./data";
  std::string grpc_address = "127.0.0.1:50051";  // "" for none
  std::string grpc_unix_socket;                  // a path; "" for none
  bool grpc_behind_proxy = false;
  std::string metrics_address = "127.0.0.1:9090";  // "" for none
  std::string authn_credentials;
  std::string tokens_file;
  cloud::TokenSecretOptions token_secret;  // its region is aws_region
  cloud::JwtOptions jwt;
  bool insecure_no_auth = false;
  std::string tls_certificate;  // a PEM file; with tls_key, TLS on the TCP listener
  std::string tls_key;
  bool reflection = true;
  bool allow_reset = false;
  std::vector<std::string> prewarm_collections;
  std::string prewarm;  // the list of prewarm_list.h, or a file that holds it
  std::int64_t prewarm_bytes_max = std::int64_t{8} << 30;
  std::vector<std::string> prewarm_hosts;  // empty: those of the list
  std::int64_t prewarm_poll_seconds = 0;   // 0: only at start
  std::string s3_endpoint;                 // "" is AWS
  std::string aws_region = "us-east-1";
  bool s3_unsigned = false;
  std::string ship_to;            // s3://bucket/prefix; "" keeps all on disk alone
  std::int64_t ship_seconds = 5;  // within which a change is there
  std::int64_t lease_seconds = 15;
  std::int64_t threads = 0;  // 0: what the cgroup gives
  std::int64_t drain_seconds = 15;
  std::string log_level = "info";
  std::string log_format = "auto";
};

// Binds every option to a member of `options`, which must outlive config.Parse(); it runs CheckOptions() too.
void AddOptions(Config& config, Options& options);

// What one option alone cannot say. INVALID_ARGUMENT naming the flags: no listener at all, half of a TLS pair, or a
// non-loopback --grpc-address without TLS or --grpc-behind-proxy.
absl::Status CheckOptions(const Options& options);

}  // namespace omics::services
