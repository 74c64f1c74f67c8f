#include "cloud/jwt_verifier.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <optional>
#include <random>
#include <thread>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "cloud/http.h"
#include "cloud/url.h"

namespace omics::cloud {
namespace {

// A key takes half a KiB, and providers have two to six.
constexpr std::int64_t kKeySetBytesMax = 256 << 10;
// After the first failure in a row; doubled up to the gap.
constexpr std::chrono::milliseconds kRetryFirst{1'000};
// Between two lines about refusals of one cause.
constexpr std::int64_t kLogGapSeconds = 10;

using SteadyTime = std::chrono::steady_clock::time_point;
using Time = std::chrono::system_clock::time_point;
using Keys = std::shared_ptr<const JwkSet>;

std::int64_t SteadySeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct HashOfDigest {
  std::size_t operator()(const Sha256Digest& digest) const {
    std::size_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof(hash));
    return hash;
  }
};

// Tokens that were verified, by their digest. When the younger half is full, the older one is forgotten.
//
// Thread safety: none; guarded by its owner.
class Verified {
 public:
  explicit Verified(std::size_t max) : half_(max / 2) {}

  const Principal* Find(const Sha256Digest& digest, Time now) {
    auto found = young_.find(digest);
    if (found == young_.end()) {
      const auto old = old_.find(digest);
      if (old == old_.end()) return nullptr;
      VerifiedJwt moved = std::move(old->second);
      old_.erase(old);
      found = Add(digest, std::move(moved));
    }
    return now < found->second.expires ? &found->second.principal : nullptr;
  }

  std::unordered_map<Sha256Digest, VerifiedJwt, HashOfDigest>::iterator Add(const Sha256Digest& digest,
                                                                            VerifiedJwt jwt) {
    if (young_.size() >= half_) {
      old_ = std::move(young_);
      young_.clear();
    }
    return young_.insert_or_assign(digest, std::move(jwt)).first;
  }

  void Clear() {
    young_.clear();
    old_.clear();
  }

 private:
  const std::size_t half_;
  std::unordered_map<Sha256Digest, VerifiedJwt, HashOfDigest> young_;
  std::unordered_map<Sha256Digest, VerifiedJwt, HashOfDigest> old_;
};

// What came of a fetch.
absl::StatusOr<JwkSet> ReadAnswer(const HttpResponse& response, const std::string& url) {
  const std::string what = absl::StrCat("GET ", MaskUrl(url));
  if (response.status != 200) return absl::UnavailableError(absl::StrCat(what, ": answered ", response.status));
  auto keys = JwkSet::Parse(response.body);
  return keys.ok() ? std::move(keys) : Annotate(keys.status(), absl::StrCat(what, ": the key set is not understood"));
}

absl::Status NotReady() {
  return WithReason(
      absl::UnavailableError("the keys that tokens are verified with are being fetched; try again shortly"),
      "NOT_READY");
}

}  // namespace

struct JwtVerifier::Impl {
  // Shared with the metrics, which may be read when all else is gone.
  struct Facts {
    std::atomic<bool> keys_good{false};
    std::atomic<std::int64_t> keys_read{0};  // steady seconds; 0: never
    std::atomic<std::int64_t> fetches{0};
    std::atomic<std::int64_t> verified{0};
    std::atomic<std::int64_t> remembered{0};
    std::array<std::atomic<std::int64_t>, kJwtFaults> refused{};
    std::array<std::atomic<std::int64_t>, kJwtFaults> logged{};  // steady seconds
  };

  explicit Impl(JwtVerifierOptions from) : options(std::move(from)), verified(options.verified_max) {}

  const JwtVerifierOptions options;
  const std::shared_ptr<Facts> facts = std::make_shared<Facts>();
  std::atomic<bool> stop{false};

  // Of the fetching thread alone, and of Start() before it.
  std::string trouble;  // as logged
  SteadyTime next_fetch;
  std::chrono::milliseconds retry = kRetryFirst;
  SteadyTime gap_over;
  std::mt19937_64 random{std::random_device{}()};

  Mutex mutex;
  CondVar wake;
  Keys keys ABSL_GUARDED_BY(mutex);  // null before the first good fetch
  SteadyTime keys_time ABSL_GUARDED_BY(mutex);
  Verified verified ABSL_GUARDED_BY(mutex);    // with `keys`
  bool wanted ABSL_GUARDED_BY(mutex) = false;  // a token named another key
  std::thread thread;

  void Run();
  void Wait();
  absl::StatusOr<JwkSet> Ask();
  void Fetch();
  void Tell(const absl::Status& status);
  void TakeOver(JwkSet fetched);
  std::chrono::milliseconds UpToAFifth(std::chrono::milliseconds time);

  std::optional<Principal> Remembered(const Sha256Digest& digest, Time now, Keys& present);
  void Remember(const Sha256Digest& digest, const VerifiedJwt& jwt, const Keys& by);
  absl::Status Refuse(const JwtRefusal& refusal);
  void Log(const JwtRefusal& refusal);
  bool FreshOrWanted();
};

std::chrono::milliseconds JwtVerifier::Impl::UpToAFifth(std::chrono::milliseconds time) {
  return std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(0, time.count() / 5)(random));
}

absl::StatusOr<JwkSet> JwtVerifier::Impl::Ask() {
  HttpRequest request;
  request.url = options.keys_url;
  request.headers = {{"Accept", "application/json"}};
  request.timeouts.connect = options.fetch_timeout;
  request.timeouts.total = options.fetch_timeout;
  request.response_bytes_max = kKeySetBytesMax;
  request.stop = &stop;
  OMICS_ASSIGN_OR_RETURN(const HttpResponse response, SendHttp(request));
  return ReadAnswer(response, options.keys_url);
}

void JwtVerifier::Impl::Fetch() {
  absl::StatusOr<JwkSet> fetched = Ask();
  if (stop) return;
  ++facts->fetches;
  facts->keys_good = fetched.ok();
  const SteadyTime end = std::chrono::steady_clock::now();
  retry = std::min(retry, options.fetch_gap);
  gap_over = end + options.fetch_gap;
  next_fetch = end + (fetched.ok() ? options.refresh - UpToAFifth(options.refresh) : retry + UpToAFifth(retry));
  retry = fetched.ok() ? kRetryFirst : 2 * retry;
  Tell(fetched.status());
  if (fetched.ok()) TakeOver(*std::move(fetched));
}

// Logs what is new: a trouble that begins, becomes another, or ends.
void JwtVerifier::Impl::Tell(const absl::Status& status) {
  std::string now = status.ok() ? "" : std::string(ToStd(status.message()));
  if (now == trouble) return;
  if (status.ok()) {
    LogInfo("the keys of --jwt-issuer are read again");
  } else {
    LogWarning(absl::StrCat("the keys of --jwt-issuer are not read, the former ones stay in force: ", now));
  }
  trouble = std::move(now);
}

void JwtVerifier::Impl::TakeOver(JwkSet fetched) {
  facts->keys_read = SteadySeconds();
  bool changed = false;
  {
    MutexLock lock(mutex);
    keys_time = std::chrono::steady_clock::now();
    wanted = false;
    changed = keys == nullptr || !(*keys == fetched);
    if (changed) {
      keys = std::make_shared<const JwkSet>(std::move(fetched));
      verified.Clear();
    }
  }
  if (changed) LogInfo(absl::StrCat("keys of --jwt-issuer in force, from ", MaskUrl(options.keys_url)));
}

void JwtVerifier::Impl::Wait() {
  MutexLock lock(mutex);
  while (!stop) {
    const SteadyTime until = wanted ? std::min(next_fetch, gap_over) : next_fetch;
    if (std::chrono::steady_clock::now() >= until) return;
    wake.WaitUntil(mutex, until);
  }
}

void JwtVerifier::Impl::Run() {
  while (!stop) {
    Wait();
    if (!stop) Fetch();
  }
}

std::optional<Principal> JwtVerifier::Impl::Remembered(const Sha256Digest& digest, Time now, Keys& present) {
  MutexLock lock(mutex);
  present = keys;
  const Principal* const found = verified.Find(digest, now);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

void JwtVerifier::Impl::Remember(const Sha256Digest& digest, const VerifiedJwt& jwt, const Keys& by) {
  MutexLock lock(mutex);
  if (keys == by) verified.Add(digest, jwt);
}

// True if the keys are young enough to say that there is no such key; otherwise they will be fetched.
bool JwtVerifier::Impl::FreshOrWanted() {
  {
    MutexLock lock(mutex);
    if (keys != nullptr && std::chrono::steady_clock::now() - keys_time < options.fetch_gap) return true;
    wanted = true;
  }
  wake.NotifyAll();
  return false;
}

void JwtVerifier::Impl::Log(const JwtRefusal& refusal) {
  const auto cause = static_cast<std::size_t>(refusal.fault);
  const std::int64_t now = SteadySeconds();
  std::int64_t last = facts->logged[cause];
  if ((last != 0 && now - last < kLogGapSeconds) || !facts->logged[cause].compare_exchange_strong(last, now)) return;
  LogInfo(absl::StrCat("a user's token is refused: ", refusal.why, " (", ToAbsl(JwtFaultName(refusal.fault)), ", ",
                       facts->refused[cause].load(), " so far)"));
}

absl::Status JwtVerifier::Impl::Refuse(const JwtRefusal& refusal) {
  if (refusal.fault == JwtFault::kUnknownKey && !FreshOrWanted()) return NotReady();
  ++facts->refused[static_cast<std::size_t>(refusal.fault)];
  Log(refusal);
  return RefusalStatus(refusal.fault, options.policy);
}

std::unique_ptr<JwtVerifier> JwtVerifier::Start(JwtVerifierOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  impl->Fetch();
  impl->thread = std::thread([running = impl.get()] { running->Run(); });
  return std::unique_ptr<JwtVerifier>(new JwtVerifier(std::move(impl)));
}

JwtVerifier::JwtVerifier(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

JwtVerifier::~JwtVerifier() {
  {
    MutexLock lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->wake.NotifyAll();
  impl_->thread.join();
}

absl::StatusOr<Principal> JwtVerifier::Verify(std::string_view token) {
  const Time now = impl_->options.now();
  const Sha256Digest digest = Sha256(token);
  Keys keys;
  if (auto principal = impl_->Remembered(digest, now, keys)) {
    ++impl_->facts->remembered;
    return *std::move(principal);
  }
  if (keys == nullptr) {
    impl_->FreshOrWanted();
    return NotReady();
  }
  auto result = VerifyJwt(token, *keys, impl_->options.policy, now);
  if (const auto* refusal = std::get_if<JwtRefusal>(&result)) return impl_->Refuse(*refusal);
  auto& jwt = std::get<VerifiedJwt>(result);
  ++impl_->facts->verified;
  impl_->Remember(digest, jwt, keys);
  return std::move(jwt.principal);
}

void JwtVerifier::AddMetrics(Metrics& metrics) const {
  const std::shared_ptr<Impl::Facts> facts = impl_->facts;
  metrics.AddGauge("jwt_keys_good", "1 when the last fetch of the keys of users' tokens went well.",
                   [facts] { return facts->keys_good ? 1.0 : 0.0; });
  metrics.AddGauge("jwt_keys_age_seconds",
                   "Time since the keys of users' tokens were last fetched; -1 if they never were.", [facts] {
                     const std::int64_t read = facts->keys_read;
                     return read == 0 ? -1.0 : static_cast<double>(SteadySeconds() - read);
                   });
  const char* const accepted = "Users' tokens accepted: with their signature verified, or remembered from before.";
  metrics.AddCounter("jwt_accepted_total", accepted, [facts] { return static_cast<double>(facts->verified); },
                     {{"how", "verified"}});
  metrics.AddCounter("jwt_accepted_total", accepted, [facts] { return static_cast<double>(facts->remembered); },
                     {{"how", "remembered"}});
  for (std::size_t cause = 0; cause < kJwtFaults; ++cause) {
    metrics.AddCounter("jwt_refused_total", "Users' tokens refused, by cause.",
                       [facts, cause] { return static_cast<double>(facts->refused[cause]); },
                       {{"cause", std::string(JwtFaultName(static_cast<JwtFault>(cause)))}});
  }
}

std::int64_t JwtVerifier::fetches() const { return impl_->facts->fetches; }
std::int64_t JwtVerifier::remembered() const { return impl_->facts->remembered; }
std::int64_t JwtVerifier::refused(JwtFault fault) const {
  return impl_->facts->refused[static_cast<std::size_t>(fault)];
}

}  // namespace omics::cloud
