// Secrets in AWS Secrets Manager.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cloud/credentials.h"
#include "cloud/http.h"
#include "cloud/retry.h"

namespace omics::cloud {

struct SecretsOptions {
  std::string endpoint;              // "" is AWS
  std::string region = "us-east-1";  // an ARN's own region wins
  HttpTimeouts timeouts = {std::chrono::milliseconds(5'000), std::chrono::seconds(10),
                           std::chrono::milliseconds(15'000)};
  RetryOptions retry = {
      .attempts_max = 3, .delay_max = std::chrono::milliseconds(5'000), .total_max = std::chrono::milliseconds(20'000)};
  Waiter* waiter = nullptr;  // null: MachineWaiter()
  WallClock now;             // null: the machine's
};

struct SecretVersion {
  std::string text;
  std::string version_id;
  std::chrono::system_clock::time_point created;
};

// Thread safety: all members may be called from any thread.
class Secrets {
 public:
  // INVALID_ARGUMENT for an endpoint that is no url.
  static absl::StatusOr<std::unique_ptr<Secrets>> Make(SecretsOptions options,
                                                       std::shared_ptr<CredentialChain> credentials);
  ~Secrets();

  // The version of `secret` (a name or an ARN) that carries `stage`: "AWSCURRENT" or "AWSPREVIOUS". NOT_FOUND: no such
  // secret, or no version with that stage; PERMISSION_DENIED; FAILED_PRECONDITION: no credentials, or a secret of bytes
  // instead of text; UNAVAILABLE; CANCELLED. Messages name secret, stage and endpoint, never what is in it.
  absl::StatusOr<SecretVersion> GetValue(const std::string& secret, const std::string& stage,
                                         const std::atomic<bool>* stop) const;

 private:
  struct Impl;
  explicit Secrets(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace omics::cloud
