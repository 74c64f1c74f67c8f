#include "cloud/live_secret.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/text.h"
#include "cloud/json.h"

namespace omics::cloud {
namespace {

// A secret that is rotated between two reads is read again; more often than this it is not rotated.
constexpr int kReadsMax = 4;

using SteadyTime = std::chrono::steady_clock::time_point;

absl::StatusOr<TokenSet> ParseJsonSecret(std::string_view text) {
  OMICS_ASSIGN_OR_RETURN(const FlatJson json, ReadFlatJson(text));
  const bool bare = json.texts.contains("token");
  if (bare == json.texts.contains("tokens")) {
    return absl::InvalidArgumentError("a JSON object must have either \"token\" or \"tokens\"");
  }
  return bare ? TokenSet::FromBareToken(json.Text("token")) : TokenSet::FromFileText(json.Text("tokens"));
}

void Scrub(std::string& text) { OPENSSL_cleanse(text.data(), text.size()); }

// What tells one state of a file from another; all zero if it is not there.
struct FileState {
  std::tuple<dev_t, ino_t, off_t, std::int64_t, std::int64_t, std::int64_t> identity;
  std::int64_t changed_seconds = 0;

  static FileState Of(const std::string& path) {
    struct stat found {};
    if (stat(path.c_str(), &found) != 0) return {};
    return {{found.st_dev, found.st_ino, found.st_size, found.st_mtim.tv_sec, found.st_mtim.tv_nsec,
             found.st_ctim.tv_sec * std::int64_t{1'000'000'000} + found.st_ctim.tv_nsec},
            found.st_ctim.tv_sec};
  }
};

}  // namespace

absl::StatusOr<TokenSet> ParseTokensSecret(std::string_view text) {
  const absl::string_view stripped = absl::StripAsciiWhitespace(ToAbsl(text));
  if (!stripped.empty() && stripped.front() == '{') return ParseJsonSecret(ToStd(stripped));
  const bool bare = stripped.find_first_of(" \t\r\n") == absl::string_view::npos;
  return bare ? TokenSet::FromBareToken(ToStd(stripped)) : TokenSet::FromFileText(ToStd(stripped));
}

absl::Status LiveSecret::Poll(Time now) {
  for (int attempt = 0; attempt < kReadsMax; ++attempt) {
    OMICS_ASSIGN_OR_RETURN(SecretVersion current, reader_("AWSCURRENT"));
    auto tokens = ParseTokensSecret(current.text);
    Scrub(current.text);
    if (!tokens.ok()) {
      return Annotate(tokens.status(), absl::StrCat("version ", OneLine(current.version_id), " (AWSCURRENT)"));
    }
    const Time until = current.created + overlap_;
    std::optional<Held> previous;
    if (now < until) {
      OMICS_ASSIGN_OR_RETURN(previous, ReadPrevious());
    }
    if (previous && previous->version_id == current.version_id) continue;  // rotated between the two
    current_ = Held{current.version_id, *std::move(tokens)};
    previous_ = std::move(previous);
    previous_until_ = until;
    return absl::OkStatus();
  }
  return absl::UnavailableError("the secret is rotated again and again while it is read");
}

absl::StatusOr<std::optional<LiveSecret::Held>> LiveSecret::ReadPrevious() const {
  if (overlap_.count() <= 0) return std::optional<Held>();
  auto version = reader_("AWSPREVIOUS");
  if (absl::IsNotFound(version.status())) return std::optional<Held>();
  if (!version.ok()) return version.status();
  auto tokens = ParseTokensSecret(version->text);
  Scrub(version->text);
  // One that nobody understands is still told from AWSCURRENT by its id.
  return std::optional(Held{version->version_id, tokens.ok() ? *std::move(tokens) : TokenSet()});
}

std::optional<TokenSet> LiveSecret::TokensAt(Time now) const {
  if (!current_) return std::nullopt;
  return PreviousCounts(now) ? TokenSet::Merge(current_->tokens, previous_->tokens) : current_->tokens;
}

std::string LiveSecret::VersionsAt(Time now) const {
  if (!current_) return "";
  return PreviousCounts(now) ? absl::StrCat(current_->version_id, " and before it ", previous_->version_id)
                             : current_->version_id;
}

struct TokenRefresher::Impl {
  // Shared with the gauges, which may be read when all else is gone.
  struct Facts {
    std::atomic<bool> secret_good{false};
    std::atomic<bool> file_good{true};
    std::atomic<std::int64_t> secret_read{0};  // steady seconds; 0: never
    std::atomic<std::int64_t> polls{0};
    std::atomic<std::int64_t> good_polls{0};
  };

  Impl(TokenRefreshOptions from, LiveTokens& live, std::unique_ptr<Secrets> service)
      : options(std::move(from)),
        tokens(live),
        secrets(std::move(service)),
        secret([this](const std::string& stage) { return secrets->GetValue(options.secret, stage, &stop); },
               options.overlap) {}

  const TokenRefreshOptions options;
  LiveTokens& tokens;
  const std::unique_ptr<Secrets> secrets;
  const std::shared_ptr<Facts> facts = std::make_shared<Facts>();
  std::atomic<bool> stop{false};

  // Of the refreshing thread alone, and of Start() before it.
  LiveSecret secret;
  std::string versions;        // in force
  std::string secret_trouble;  // as logged
  std::string file_trouble;
  FileState file;  // as it was last read here; at first none, since what was read before may have changed since
  std::mt19937_64 random{std::random_device{}()};

  Mutex mutex;
  CondVar wake;
  bool poll_soon ABSL_GUARDED_BY(mutex) = false;
  std::thread thread;

  void Run();
  absl::Status PollSecret();
  void Apply();
  void WatchFile();
  std::chrono::milliseconds NextPoll();
  // True if the secret is to be polled now.
  bool WaitUntil(SteadyTime poll_at);
};

namespace {

std::int64_t SteadySeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Logs what is new: a trouble that begins, becomes another, or ends.
void Tell(const absl::Status& status, const std::string& what, std::string& told) {
  const std::string now = status.ok() ? "" : std::string(ToStd(status.message()));
  if (now == told) return;
  if (status.ok()) {
    LogInfo(absl::StrCat(what, " is read again"));
  } else {
    LogWarning(absl::StrCat(what, " is not read, the former tokens stay in force: ", now));
  }
  told = now;
}

}  // namespace

absl::Status TokenRefresher::Impl::PollSecret() {
  const absl::Status status = secret.Poll(std::chrono::system_clock::now());
  ++facts->polls;
  facts->secret_good = status.ok();
  if (!status.ok()) return status;
  ++facts->good_polls;
  facts->secret_read = SteadySeconds();
  return status;
}

void TokenRefresher::Impl::Apply() {
  const auto now = std::chrono::system_clock::now();
  std::string present = secret.VersionsAt(now);
  if (present == versions) return;
  auto set = secret.TokensAt(now);
  if (!set) return;
  tokens.SetSecret(*std::move(set));
  LogInfo(absl::StrCat("tokens of the secret in force: version ", present));
  versions = std::move(present);
}

void TokenRefresher::Impl::WatchFile() {
  if (options.tokens_file.empty()) return;
  const FileState found = FileState::Of(options.tokens_file);
  // Within the clock's grain a second change would not show: it is read until its time has passed.
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const bool settled = now - file.changed_seconds > 1;
  if (found.identity == file.identity && settled && file_trouble.empty()) return;
  const bool changed = found.identity != file.identity && file.changed_seconds != 0;
  const absl::Status status = tokens.Reload();
  facts->file_good = status.ok();
  if (status.ok() && changed && file_trouble.empty()) LogInfo("the tokens file has changed and is in force");
  Tell(status, "the tokens file", file_trouble);
  file = found;
}

std::chrono::milliseconds TokenRefresher::Impl::NextPoll() {
  const std::int64_t most = options.secret_poll.count();
  return std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(most - most / 5, most)(random));
}

bool TokenRefresher::Impl::WaitUntil(SteadyTime poll_at) {
  const SteadyTime until = std::min(poll_at, std::chrono::steady_clock::now() + options.file_poll);
  MutexLock lock(mutex);
  while (!stop && !poll_soon && std::chrono::steady_clock::now() < until) wake.WaitUntil(mutex, until);
  const bool due = poll_soon || std::chrono::steady_clock::now() >= poll_at;
  poll_soon = false;
  return due;
}

void TokenRefresher::Impl::Run() {
  SteadyTime poll_at = std::chrono::steady_clock::now() + NextPoll();
  while (!stop) {
    const bool due = WaitUntil(poll_at);
    if (stop) return;
    WatchFile();
    if (secrets == nullptr) continue;
    if (due) {
      poll_at = std::chrono::steady_clock::now() + NextPoll();
      const absl::Status status = PollSecret();
      if (stop) return;
      Tell(status, "the secret with the tokens", secret_trouble);
    }
    Apply();  // also without a poll: the overlap may be over
  }
}

absl::StatusOr<std::unique_ptr<TokenRefresher>> TokenRefresher::Start(TokenRefreshOptions options, LiveTokens& tokens) {
  std::unique_ptr<Secrets> secrets;
  if (!options.secret.empty()) {
    SecretsOptions service;
    service.endpoint = options.endpoint;
    service.region = options.region;
    auto credentials = options.credentials;
    if (credentials == nullptr) {
      CredentialsOptions chain;
      chain.region = options.region;
      credentials = std::make_shared<CredentialChain>(std::move(chain));
    }
    OMICS_ASSIGN_OR_RETURN(secrets, Secrets::Make(std::move(service), std::move(credentials)));
  }
  auto impl = std::make_unique<Impl>(std::move(options), tokens, std::move(secrets));
  if (impl->secrets != nullptr) {
    const absl::Status status = impl->PollSecret();
    impl->Apply();
    if (!status.ok() && tokens.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the tokens of --tokens-secret cannot be read and no others are configured: ", status.message()));
    }
    Tell(status, "the secret with the tokens", impl->secret_trouble);
  }
  impl->thread = std::thread([running = impl.get()] { running->Run(); });
  return std::unique_ptr<TokenRefresher>(new TokenRefresher(std::move(impl)));
}

TokenRefresher::TokenRefresher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

TokenRefresher::~TokenRefresher() {
  {
    MutexLock lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->wake.NotifyAll();
  impl_->thread.join();
}

void TokenRefresher::AddGauges(Metrics& metrics) const {
  const std::shared_ptr<Impl::Facts> facts = impl_->facts;
  if (!impl_->options.secret.empty()) {
    metrics.AddGauge("tokens_secret_good", "1 when the last poll of the secret with the tokens went well.",
                     [facts] { return facts->secret_good ? 1.0 : 0.0; });
    metrics.AddGauge("tokens_secret_age_seconds",
                     "Time since the secret with the tokens was last read well; -1 if it never was.", [facts] {
                       const std::int64_t read = facts->secret_read;
                       return read == 0 ? -1.0 : static_cast<double>(SteadySeconds() - read);
                     });
  }
  if (!impl_->options.tokens_file.empty()) {
    metrics.AddGauge("tokens_file_good", "1 when the tokens file was understood when it was last read.",
                     [facts] { return facts->file_good ? 1.0 : 0.0; });
  }
}

void TokenRefresher::PollSoon() {
  {
    MutexLock lock(impl_->mutex);
    impl_->poll_soon = true;
  }
  impl_->wake.NotifyAll();
}

std::int64_t TokenRefresher::polls() const { return impl_->facts->polls; }
std::int64_t TokenRefresher::good_polls() const { return impl_->facts->good_polls; }

absl::StatusOr<std::unique_ptr<TokenRefresher>> StartTokenRefresher(const TokenSecretOptions& options,
                                                                    const TokenSources& sources, LiveTokens& tokens) {
  if (sources.insecure_no_auth || (options.secret.empty() && sources.tokens_file.empty())) {
    return std::unique_ptr<TokenRefresher>();
  }
  TokenRefreshOptions refresh;
  refresh.secret = options.secret;
  refresh.secret_poll = std::chrono::seconds(options.poll_seconds);
  refresh.overlap = std::chrono::hours(options.overlap_hours);
  refresh.endpoint = options.endpoint;
  refresh.region = options.region;
  refresh.tokens_file = sources.tokens_file;
  return TokenRefresher::Start(std::move(refresh), tokens);
}

}  // namespace omics::cloud
