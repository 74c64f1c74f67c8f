#include "cloud/secrets.h"

#include <openssl/crypto.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/digest.h"
#include "base/status.h"
#include "base/text.h"
#include "cloud/json.h"
#include "cloud/sigv4.h"
#include "cloud/url.h"

namespace omics::cloud {
namespace {

// A secret has at most 64 KiB of text, up to six times as much when escaped as JSON.
constexpr std::int64_t kAnswerBytesMax = 512 << 10;
constexpr std::size_t kSecretNameBytesMax = 2048;
// The year 2286: what lies beyond would not fit the clock's type.
constexpr double kSecondsMax = 1e10;

// "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME" knows better than the configuration.
std::string RegionOf(const std::string& secret, const std::string& otherwise) {
  if (!absl::StartsWith(secret, "arn:")) return otherwise;
  const std::vector<std::string> parts = absl::StrSplit(secret, ':');
  return parts.size() > 3 && !parts[3].empty() ? parts[3] : otherwise;
}

std::string Endpoint(const SecretsOptions& options, const std::string& region) {
  if (!options.endpoint.empty()) return absl::StrCat(options.endpoint, "/");
  return absl::StrCat("https://secretsmanager.", region,
                      absl::StartsWith(region, "cn-") ? ".amazonaws.com.cn/" : ".amazonaws.com/");
}

// "ResourceNotFoundException" of {"__type": "com.amazonaws…#ResourceNotFoundException", "message": "…"}.
std::string CodeOf(const FlatJson& json) {
  const std::string type = json.Text("__type");
  return type.substr(type.rfind('#') + 1);
}

absl::Status StatusOf(const HttpResponse& response, const std::string& name) {
  const auto json = ReadFlatJson(response.body);
  const std::string code = json.ok() ? CodeOf(*json) : "";
  std::string message = absl::StrCat(name, ": ", response.status);
  if (!code.empty()) {
    const std::string said = json->Text("message").empty() ? json->Text("Message") : json->Text("message");
    absl::StrAppend(&message, " ", OneLine(code), ": ", OneLine(said));
  }
  if (code == "ResourceNotFoundException") return absl::NotFoundError(message);
  if (code == "AccessDeniedException" || code == "UnrecognizedClientException" || code == "InvalidSignatureException") {
    return absl::PermissionDeniedError(message);
  }
  return StatusOfAnswer(response, code, message);
}

absl::StatusOr<SecretVersion> Parse(std::string& body, const std::string& name) {
  auto json = ReadFlatJson(body);
  OPENSSL_cleanse(body.data(), body.size());
  if (!json.ok()) return absl::UnavailableError(absl::StrCat(name, ": the answer: ", json.status().message()));
  const auto text = json->texts.find("SecretString");
  if (text == json->texts.end()) {
    return absl::FailedPreconditionError(absl::StrCat(name, ": it holds no text: store it as SecretString"));
  }
  const auto created = json->numbers.find("CreatedDate");
  const std::string version = json->Text("VersionId");
  const bool dated = created != json->numbers.end() && created->second > 0 && created->second < kSecondsMax;
  if (version.empty() || !dated) {
    return absl::UnavailableError(absl::StrCat(name, ": the answer has no VersionId or CreatedDate"));
  }
  SecretVersion result{std::move(text->second), version, {}};
  result.created = std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::duration<double>(created->second)));
  return result;
}

}  // namespace

struct Secrets::Impl {
  SecretsOptions options;
  std::shared_ptr<CredentialChain> credentials;

  absl::StatusOr<SecretVersion> Once(HttpRequest request, const std::string& region, const std::string& name,
                                     const std::atomic<bool>* stop) const {
    OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<const Credentials> keys, credentials->Get(stop));
    const auto now = options.now ? options.now() : std::chrono::system_clock::now();
    OMICS_RETURN_IF_ERROR(Sign(request, *keys, {region, "secretsmanager"}, Sha256Hex(request.body), now));
    OMICS_ASSIGN_OR_RETURN(HttpResponse response, SendHttp(request));
    if (response.status == 200) return Parse(response.body, name);
    if (absl::StrContains(response.body, "ExpiredToken")) {
      credentials->Forget();
      return absl::UnavailableError(absl::StrCat(name, ": the credentials have expired"));
    }
    return StatusOf(response, name);
  }
};

absl::StatusOr<std::unique_ptr<Secrets>> Secrets::Make(SecretsOptions options,
                                                       std::shared_ptr<CredentialChain> credentials) {
  if (!options.endpoint.empty()) {
    const auto url = ParseUrl(options.endpoint);
    if (!url.ok()) return Annotate(url.status(), "the endpoint of Secrets Manager");
    options.endpoint = std::string(absl::StripSuffix(options.endpoint, "/"));
  }
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->credentials = std::move(credentials);
  return std::unique_ptr<Secrets>(new Secrets(std::move(impl)));
}

Secrets::Secrets(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Secrets::~Secrets() = default;

absl::StatusOr<SecretVersion> Secrets::GetValue(const std::string& secret, const std::string& stage,
                                                const std::atomic<bool>* stop) const {
  if (secret.empty() || secret.size() > kSecretNameBytesMax) {
    return absl::InvalidArgumentError("the name of a secret has 1 to 2,048 bytes");
  }
  const SecretsOptions& options = impl_->options;
  const std::string region = RegionOf(secret, options.region);
  HttpRequest request;
  request.method = "POST";
  request.url = Endpoint(options, region);
  request.headers = {{"Content-Type", "application/x-amz-json-1.1"}, {"X-Amz-Target", "secretsmanager.GetSecretValue"}};
  request.body = absl::StrCat(R"({"SecretId":")", JsonLine(secret), R"(","VersionStage":")", JsonLine(stage), R"("})");
  request.timeouts = options.timeouts;
  request.response_bytes_max = kAnswerBytesMax;
  request.stop = stop;
  const std::string name = absl::StrCat("the secret ", OneLine(secret), " (", stage, ") at ", request.url);
  auto version = WithRetries(options.retry, options.waiter != nullptr ? *options.waiter : MachineWaiter(), stop,
                             [&] { return impl_->Once(request, region, name, stop); });
  if (version.ok() || absl::StrContains(version.status().message(), name)) return version;
  return Annotate(version.status(), name);
}

}  // namespace omics::cloud
