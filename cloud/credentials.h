// AWS credentials: where they come from and how they are kept fresh.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cloud/retry.h"

namespace omics::cloud {

struct Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // "" for long-lived keys
  std::optional<std::chrono::system_clock::time_point> expires;
  std::string source;  // "environment", "web identity", "container endpoint", "instance metadata"
};

using WallClock = std::function<std::chrono::system_clock::time_point()>;

// What the chain reads and asks; a test replaces it.
struct CredentialsOptions {
  std::function<std::string(const char* name)> environment;  // null: getenv
  WallClock now;                                             // null: the machine's
  std::string region = "us-east-1";                          // of the STS endpoint
  std::string container_endpoint = "http://169.254.170.2";   // of AWS_CONTAINER_CREDENTIALS_RELATIVE_URI
  std::string instance_endpoint = "http://169.254.169.254";  // unless AWS_EC2_METADATA_SERVICE_ENDPOINT is set
  RetryOptions retry = {
      .attempts_max = 3, .delay_max = std::chrono::milliseconds(2'000), .total_max = std::chrono::milliseconds(15'000)};
  Waiter* waiter = nullptr;  // null: MachineWaiter()
};

// The first of these that is configured, in the order of AWS's own SDKs: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
// (and AWS_SESSION_TOKEN); web identity (AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN: EKS service accounts); the
// container endpoint (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: ECS; AWS_CONTAINER_CREDENTIALS_FULL_URI with
// AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: EKS Pod Identity); instance metadata, version 2 only, unless
// AWS_EC2_METADATA_DISABLED is true. A full url must be https, loopback, or one of the two addresses that ECS and EKS
// answer on, so that a variable set by mistake sends no token elsewhere.
//
// Held ones are given until five minutes before they expire; then they are fetched anew, by one caller while the others
// still get the old ones. When that fails the old ones serve until they expire, and it is tried again every 30 s.
//
// Thread safety: all members may be called from any thread.
class CredentialChain {
 public:
  explicit CredentialChain(CredentialsOptions options = {});
  ~CredentialChain();

  // FAILED_PRECONDITION with the ways out if no source is configured or the source refuses; UNAVAILABLE if it does not
  // answer and nothing valid is held; CANCELLED. Messages never hold keys or tokens.
  absl::StatusOr<std::shared_ptr<const Credentials>> Get(const std::atomic<bool>* stop = nullptr);

  // The next Get() fetches: AWS said that these have expired.
  void Forget();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace omics::cloud
