// End users' tokens at work: the provider's keys, fetched and kept, and the tokens that were verified with them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/metrics.h"
#include "base/tokens.h"
#include "cloud/jwt.h"

namespace omics::cloud {

struct JwtVerifierOptions {
  JwtPolicy policy;
  std::string keys_url;                         // of the key set; https, or http on loopback
  std::chrono::milliseconds refresh{600'000};   // at most so long between two fetches; jitter takes up to a fifth off
  std::chrono::milliseconds fetch_gap{30'000};  // from any fetch to one that a token causes, at least
  std::chrono::milliseconds fetch_timeout{5'000};
  std::size_t verified_max = 10'000;  // tokens that are remembered, half a KiB each; at least 2
  std::function<std::chrono::system_clock::time_point()> now = std::chrono::system_clock::now;
};

// Fetches the keys on a thread of its own: at the start, at intervals, after a failure a second later, then two, four,
// up to the gap, and soon after a token names a key that is not among them. What cannot be fetched or understood leaves
// the former keys in force, is logged when it begins, changes and ends, and shows in the gauges. A token that was
// verified is remembered, by its SHA-256, until it expires or the keys change, so that only its first use costs a check
// of the signature.
//
// A token with an unknown key is refused if the keys are younger than `fetch_gap`. Otherwise the answer is UNAVAILABLE
// NOT_READY, and the keys are fetched as soon as the gap allows. Refusals are counted by cause, and logged at most once
// in ten seconds a cause.
//
// Thread safety: all members may be called from any thread.
class JwtVerifier final : public TokenVerifier {
 public:
  // Fetches the keys once before it returns. A failure is no error: it may pass, and until then the answer to every
  // such token is UNAVAILABLE NOT_READY.
  static std::unique_ptr<JwtVerifier> Start(JwtVerifierOptions options);
  ~JwtVerifier() override;

  bool Recognizes(std::string_view token) const override { return LooksLikeJwt(token); }
  absl::StatusOr<Principal> Verify(std::string_view token) override;

  // jwt_keys_good, jwt_keys_age_seconds, jwt_accepted_total{how} and jwt_refused_total{cause}. May be read after this
  // object is gone.
  void AddMetrics(Metrics& metrics) const;

  // Fetches so far, the first one and those that failed among them.
  std::int64_t fetches() const;
  // Tokens accepted so far because they were remembered.
  std::int64_t remembered() const;
  std::int64_t refused(JwtFault fault) const;

 private:
  struct Impl;
  explicit JwtVerifier(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace omics::cloud
