// Tokens that change while the program runs: a secret that is polled and a file that is watched.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/metrics.h"
#include "base/tokens.h"
#include "cloud/secrets.h"
#include "cloud/token_options.h"

namespace omics::cloud {

// The tokens in a secret's text: one bare token (role admin); or a JSON object whose member "token" is one, or whose
// member "tokens" is the text of a tokens file; or that text itself. INVALID_ARGUMENT, without showing any of it.
absl::StatusOr<TokenSet> ParseTokensSecret(std::string_view text);

// What is in force of a secret's two versions. AWSCURRENT always is; AWSPREVIOUS until `overlap` after AWSCURRENT was
// made, also while Secrets Manager cannot be reached.
//
// Thread safety: none; one thread uses it.
class LiveSecret {
 public:
  using Time = std::chrono::system_clock::time_point;
  using Reader = std::function<absl::StatusOr<SecretVersion>(const std::string& stage)>;

  LiveSecret(Reader reader, std::chrono::seconds overlap) : reader_(std::move(reader)), overlap_(overlap) {}

  // Reads both stages. Takes effect as a whole or not at all: when either cannot be read, or AWSCURRENT not understood,
  // what was read last stays. An AWSPREVIOUS that is not there or not understood counts for nothing.
  absl::Status Poll(Time now);

  // Nothing before the first Poll() that went well.
  std::optional<TokenSet> TokensAt(Time now) const;
  // Differs when TokensAt() may: the version ids that are in force.
  std::string VersionsAt(Time now) const;

 private:
  struct Held {
    std::string version_id;
    TokenSet tokens;
  };
  absl::StatusOr<std::optional<Held>> ReadPrevious() const;
  bool PreviousCounts(Time now) const { return previous_ && now < previous_until_; }

  const Reader reader_;
  const std::chrono::seconds overlap_;
  std::optional<Held> current_;
  std::optional<Held> previous_;
  Time previous_until_;
};

struct TokenRefreshOptions {
  std::string secret;                             // a name or an ARN; "" for none
  std::chrono::milliseconds secret_poll{60'000};  // at most so long between two polls; jitter takes up to a fifth off
  std::chrono::seconds overlap{24 * 3600};        // 0: AWSPREVIOUS never counts
  std::string endpoint;                           // of Secrets Manager; "" is AWS
  std::string region = "us-east-1";
  std::string tokens_file;                                 // "" for none
  std::chrono::milliseconds file_poll{3'000};              // one stat() each
  std::shared_ptr<CredentialChain> credentials = nullptr;  // null: one of its own
};

// Keeps a LiveTokens up to date on a thread of its own. A file counts as changed when what its path leads to is another
// file or has another time or size, so that Kubernetes' swap of the symlink `..data` is seen. A file or secret that
// cannot be read or understood leaves the last good tokens in force, is logged when it begins, changes and ends, and
// shows in the gauges. An unreachable Secrets Manager never opens the door and never closes it.
//
// Thread safety: all members may be called from any thread.
class TokenRefresher {
 public:
  // Reads the secret once before it returns (`tokens` is borrowed and must outlive this object). FAILED_PRECONDITION if
  // that fails and no other token is configured; INVALID_ARGUMENT for an endpoint that is no url.
  static absl::StatusOr<std::unique_ptr<TokenRefresher>> Start(TokenRefreshOptions options, LiveTokens& tokens);
  ~TokenRefresher();

  // tokens_secret_good, tokens_secret_age_seconds (since it was last read well), tokens_file_good: those that are
  // configured. May be read after this object is gone.
  void AddGauges(Metrics& metrics) const;
  // The next poll is now.
  void PollSoon();
  // Polls of the secret so far, and those that went well.
  std::int64_t polls() const;
  std::int64_t good_polls() const;

 private:
  struct Impl;
  explicit TokenRefresher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What both programs do with the options of that name: nothing if neither a file nor a secret is configured or everyone
// is let in (null comes back).
absl::StatusOr<std::unique_ptr<TokenRefresher>> StartTokenRefresher(const TokenSecretOptions& options,
                                                                    const TokenSources& sources, LiveTokens& tokens);

}  // namespace omics::cloud
