#include "cloud/credentials.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/text.h"
#include "cloud/json.h"
#include "cloud/url.h"
#include "cloud/xml.h"

namespace omics::cloud {
namespace {

using TimePoint = std::chrono::system_clock::time_point;
constexpr std::chrono::minutes kRefreshBefore{5};
constexpr std::chrono::seconds kRetryRefresh{30};
// Credentials and metadata are a few KiB, and so are the files that hold a token.
constexpr std::int64_t kAnswerBytesMax = 64 << 10;
constexpr std::size_t kTokenFileBytesMax = 64 << 10;
// The addresses of the credential endpoints of ECS and of EKS Pod Identity.
constexpr std::array<std::string_view, 3> kEndpointHosts = {"169.254.170.2", "169.254.170.23", "fd00:ec2::23"};
// Link-local: it answers at once or it is not there.
constexpr HttpTimeouts kLocal = {std::chrono::milliseconds(1'000), std::chrono::seconds(5),
                                 std::chrono::milliseconds(5'000)};
constexpr HttpTimeouts kRemote = {std::chrono::milliseconds(5'000), std::chrono::seconds(10),
                                  std::chrono::milliseconds(15'000)};

using Fetched = absl::StatusOr<Credentials>;

absl::StatusOr<std::string> ReadTokenFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kTokenFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad() || text.empty() || text.size() > kTokenFileBytesMax) {
    return absl::FailedPreconditionError(
        absl::StrCat("the token file ", path, " cannot be read, is empty or too large"));
  }
  return std::string(absl::StripAsciiWhitespace(text));
}

// "2026-01-02T03:04:05Z"; nothing if it is no time.
absl::StatusOr<std::optional<TimePoint>> ParseTime(const std::string& text) {
  if (text.empty()) return std::optional<TimePoint>();
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, text, &time, &error)) return std::optional(absl::ToChronoTime(time));
  return absl::UnavailableError("the answer's time of expiry cannot be read");
}

Fetched Complete(Credentials credentials, const std::string& expires) {
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty()) {
    return absl::UnavailableError(absl::StrCat("the answer of the ", credentials.source, " has no keys in it"));
  }
  OMICS_ASSIGN_OR_RETURN(credentials.expires, ParseTime(expires));
  return credentials;
}

// {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
Fetched FromJson(const std::string& text, const std::string& source) {
  const auto json = ReadFlatJson(text);
  if (!json.ok())
    return absl::UnavailableError(absl::StrCat("the answer of the ", source, ": ", json.status().message()));
  return Complete({json->Text("AccessKeyId"), json->Text("SecretAccessKey"), json->Text("Token"), std::nullopt, source},
                  json->Text("Expiration"));
}

struct Asking {
  const CredentialsOptions& options;
  const std::atomic<bool>* stop;

  std::string Variable(const char* name) const {
    if (options.environment) return options.environment(name);
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
  }
  // The body of a 2xx answer.
  absl::StatusOr<std::string> Send(HttpRequest request, const std::string& what) const {
    request.response_bytes_max = kAnswerBytesMax;
    request.stop = stop;
    Waiter& waiter = options.waiter != nullptr ? *options.waiter : MachineWaiter();
    return WithRetries(options.retry, waiter, stop, [&]() -> absl::StatusOr<std::string> {
      OMICS_ASSIGN_OR_RETURN(HttpResponse response, SendHttp(request));
      if (response.status >= 200 && response.status < 300) return std::move(response.body);
      const std::string code = XmlText(response.body, "Code");
      const absl::Status status = StatusOfAnswer(
          response, code,
          absl::StrCat(what, " ", MaskUrl(request.url), ": ", response.status, code.empty() ? "" : " ", OneLine(code)));
      return IsRetryable(status) ? status : absl::FailedPreconditionError(status.message());
    });
  }
};

Fetched FromEnvironment(const Asking& ask) {
  Credentials credentials{ask.Variable("AWS_ACCESS_KEY_ID"), ask.Variable("AWS_SECRET_ACCESS_KEY"),
                          ask.Variable("AWS_SESSION_TOKEN"), std::nullopt, "environment"};
  if (!credentials.secret_access_key.empty()) return credentials;
  return absl::FailedPreconditionError("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not");
}

std::string StsEndpoint(const Asking& ask) {
  for (const char* const name : {"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"}) {
    if (const std::string endpoint = ask.Variable(name); !endpoint.empty()) {
      return absl::StrCat(absl::StripSuffix(endpoint, "/"), "/");
    }
  }
  const absl::string_view suffix =
      absl::StartsWith(ask.options.region, "cn-") ? ".amazonaws.com.cn/" : ".amazonaws.com/";
  return absl::StrCat("https://sts.", ask.options.region, suffix);
}

Fetched FromWebIdentity(const Asking& ask) {
  const std::string role = ask.Variable("AWS_ROLE_ARN");
  if (role.empty()) return absl::FailedPreconditionError("AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not");
  OMICS_ASSIGN_OR_RETURN(const std::string token, ReadTokenFile(ask.Variable("AWS_WEB_IDENTITY_TOKEN_FILE")));
  std::string session = ask.Variable("AWS_ROLE_SESSION_NAME");
  if (session.empty()) session = "omics-vector";
  HttpRequest request;
  request.method = "POST";
  request.url = StsEndpoint(ask);
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  request.body = absl::StrCat(
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=", PercentEncode(role, false),
      "&RoleSessionName=", PercentEncode(session, false), "&WebIdentityToken=", PercentEncode(token, false));
  request.timeouts = kRemote;
  OMICS_ASSIGN_OR_RETURN(const std::string xml, ask.Send(std::move(request), "AssumeRoleWithWebIdentity"));
  return Complete({XmlText(xml, "AccessKeyId"), XmlText(xml, "SecretAccessKey"), XmlText(xml, "SessionToken"),
                   std::nullopt, "web identity"},
                  XmlText(xml, "Expiration"));
}

absl::Status CheckContainerUrl(const std::string& text) {
  OMICS_ASSIGN_OR_RETURN(const Url url, ParseUrl(text));
  const bool known = std::find(kEndpointHosts.begin(), kEndpointHosts.end(), url.host) != kEndpointHosts.end();
  if (url.scheme == "https" || known || IsLoopback(url.host)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("AWS_CONTAINER_CREDENTIALS_FULL_URI ", MaskUrl(text),
                                                    " is neither https nor an address of ECS, EKS or loopback"));
}

Fetched FromContainer(const Asking& ask) {
  HttpRequest request;
  if (const std::string relative = ask.Variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); !relative.empty()) {
    request.url = absl::StrCat(ask.options.container_endpoint, relative);
  } else {
    request.url = ask.Variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    OMICS_RETURN_IF_ERROR(CheckContainerUrl(request.url));
  }
  std::string token = ask.Variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const std::string file = ask.Variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty()) {
    OMICS_ASSIGN_OR_RETURN(token, ReadTokenFile(file));
  }
  if (!token.empty()) request.headers = {{"Authorization", token}};
  request.timeouts = kLocal;
  OMICS_ASSIGN_OR_RETURN(const std::string json, ask.Send(std::move(request), "the container's credentials at"));
  return FromJson(json, "container endpoint");
}

Fetched FromInstance(const Asking& ask) {
  std::string endpoint = ask.Variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  endpoint = std::string(absl::StripSuffix(endpoint.empty() ? ask.options.instance_endpoint : endpoint, "/"));
  HttpRequest request;
  request.method = "PUT";
  request.url = absl::StrCat(endpoint, "/latest/api/token");
  request.headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}};
  request.timeouts = kLocal;
  OMICS_ASSIGN_OR_RETURN(const std::string token, ask.Send(request, "instance metadata"));
  request.method = "GET";
  request.headers = {{"X-aws-ec2-metadata-token", token}};
  request.url = absl::StrCat(endpoint, "/latest/meta-data/iam/security-credentials/");
  const std::string roles = request.url;
  OMICS_ASSIGN_OR_RETURN(const std::string role, ask.Send(request, "instance metadata"));
  const absl::string_view first = absl::StripAsciiWhitespace(absl::string_view(role).substr(0, role.find('\n')));
  request.url = absl::StrCat(roles, PercentEncode(ToStd(first), false));
  OMICS_ASSIGN_OR_RETURN(const std::string json, ask.Send(request, "instance metadata"));
  return FromJson(json, "instance metadata");
}

absl::Status NothingConfigured(absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run under a task role, a "
                   "service account or an instance profile (",
                   why, ")"));
}

Fetched Fetch(const Asking& ask) {
  if (!ask.Variable("AWS_ACCESS_KEY_ID").empty()) return FromEnvironment(ask);
  if (!ask.Variable("AWS_WEB_IDENTITY_TOKEN_FILE").empty()) return FromWebIdentity(ask);
  if (!ask.Variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").empty() ||
      !ask.Variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").empty()) {
    return FromContainer(ask);
  }
  if (absl::EqualsIgnoreCase(ask.Variable("AWS_EC2_METADATA_DISABLED"), "true")) {
    return NothingConfigured("AWS_EC2_METADATA_DISABLED is true");
  }
  Fetched fetched = FromInstance(ask);
  if (fetched.ok() || absl::IsCancelled(fetched.status())) return fetched;
  return NothingConfigured(fetched.status().message());
}

}  // namespace

struct CredentialChain::Impl {
  CredentialsOptions options;
  std::mutex fetching;  // held while asking, never together with a wish for `mutex` of another

  Mutex mutex;
  std::shared_ptr<const Credentials> held ABSL_GUARDED_BY(mutex);
  TimePoint fetch_after ABSL_GUARDED_BY(mutex);

  TimePoint Now() const { return options.now ? options.now() : std::chrono::system_clock::now(); }
  // Those held if they are valid; `fresh` says that there is no need to fetch yet.
  std::shared_ptr<const Credentials> Held(bool& fresh) {
    const TimePoint now = Now();
    MutexLock lock(mutex);
    const bool valid = held && (!held->expires || now < *held->expires);
    fresh = valid && (!held->expires || now < fetch_after);
    return valid ? held : nullptr;
  }
  void Hold(std::shared_ptr<const Credentials> credentials) {
    const TimePoint now = Now();
    MutexLock lock(mutex);
    held = std::move(credentials);
    if (!held->expires) return;
    // Short-lived ones (less than ten minutes) are kept for half their life.
    const auto life = *held->expires - now;
    fetch_after = life > 2 * kRefreshBefore ? *held->expires - kRefreshBefore : now + life / 2;
  }
  void Postpone() {
    MutexLock lock(mutex);
    fetch_after = Now() + kRetryRefresh;
  }
};

CredentialChain::CredentialChain(CredentialsOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
}

CredentialChain::~CredentialChain() {
  MutexLock lock(impl_->mutex);
  impl_->held.reset();
}

absl::StatusOr<std::shared_ptr<const Credentials>> CredentialChain::Get(const std::atomic<bool>* stop) {
  bool fresh = false;
  std::shared_ptr<const Credentials> held = impl_->Held(fresh);
  if (fresh) return held;
  std::unique_lock<std::mutex> fetching(impl_->fetching, std::defer_lock);
  if (held && !fetching.try_lock()) return held;  // another caller fetches
  if (!fetching.owns_lock()) fetching.lock();
  held = impl_->Held(fresh);
  if (fresh) return held;
  Fetched fetched = Fetch({impl_->options, stop});
  if (!fetched.ok()) {
    if (!held) return fetched.status();
    impl_->Postpone();
    return held;
  }
  auto credentials = std::shared_ptr<Credentials>(new Credentials(*std::move(fetched)), [](Credentials* old) {
    OPENSSL_cleanse(old->secret_access_key.data(), old->secret_access_key.size());
    OPENSSL_cleanse(old->session_token.data(), old->session_token.size());
    delete old;
  });
  impl_->Hold(credentials);
  return std::shared_ptr<const Credentials>(std::move(credentials));
}

void CredentialChain::Forget() {
  MutexLock lock(impl_->mutex);
  if (impl_->held && impl_->held->expires) impl_->held.reset();
}

}  // namespace omics::cloud
