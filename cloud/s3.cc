#include "cloud/s3.h"

#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest.h"
#include "base/status.h"
#include "base/text.h"
#include "cloud/file_digest.h"
#include "cloud/sigv4.h"
#include "cloud/url.h"
#include "cloud/xml.h"

namespace omics::cloud {
namespace {

constexpr std::size_t kBucketBytesMax = 63;
constexpr std::size_t kKeyBytesMax = 1024;
constexpr std::int64_t kPutBytesMax = std::int64_t{5} << 30;
// A page of a list has at most 1,000 keys of 1,024 bytes, escaped.
constexpr std::int64_t kListPageBytesMax = 16 << 20;
// Tells our own write from another's when the answer to it was lost.
constexpr char kWriteId[] = "x-amz-meta-write-id";

bool Succeeded(const HttpResponse& response) { return response.status >= 200 && response.status < 300; }

std::int64_t Number(std::string_view text, std::int64_t otherwise) {
  std::int64_t number = otherwise;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : otherwise;
}

std::string RandomHex() {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) std::abort();  // only without any randomness
  return ToHex({reinterpret_cast<const char*>(bytes), sizeof bytes});
}

bool IsBucketName(std::string_view name) {
  const auto fits = [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_'; };
  return name.size() >= 3 && name.size() <= kBucketBytesMax && std::all_of(name.begin(), name.end(), fits) &&
         name.find("..") == std::string_view::npos && name.front() != '.' && name.front() != '-';
}

absl::Status CheckNames(const std::string& bucket, const std::string& key) {
  if (!IsBucketName(bucket)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", OneLine(bucket.substr(0, 100)), "\" is no name of a bucket"));
  }
  if (key.size() <= kKeyBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("a key in the bucket ", bucket, " is longer than 1,024 bytes"));
}

}  // namespace

struct S3::Impl {
  S3Options options;
  std::shared_ptr<CredentialChain> credentials;

  Waiter& waiter() const { return options.waiter != nullptr ? *options.waiter : MachineWaiter(); }

  // "https://host[/bucket]" without a slash at the end.
  std::string Base(const std::string& bucket) const {
    if (!options.endpoint.empty()) return absl::StrCat(options.endpoint, "/", bucket);
    const absl::string_view domain = absl::StartsWith(options.region, "cn-") ? ".amazonaws.com.cn" : ".amazonaws.com";
    // A bucket's dots would not fit the certificate.
    if (absl::StrContains(bucket, ".")) return absl::StrCat("https://s3.", options.region, domain, "/", bucket);
    return absl::StrCat("https://", bucket, ".s3.", options.region, domain);
  }
  std::string Name(const std::string& bucket, const std::string& key) const {
    const std::string place = options.endpoint.empty() ? absl::StrCat("AWS ", options.region) : options.endpoint;
    return absl::StrCat("s3://", bucket, "/", OneLine(key), " at ", place);
  }

  absl::Status SignFor(HttpRequest& request, const std::string& sha256, const std::atomic<bool>* stop) const {
    if (options.unsigned_requests || credentials == nullptr) return absl::OkStatus();
    OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<const Credentials> keys, credentials->Get(stop));
    const auto now = options.now ? options.now() : std::chrono::system_clock::now();
    return Sign(request, *keys, {options.region, "s3"}, sha256, now);
  }

  absl::Status StatusOf(const HttpResponse& response, const std::string& bucket, const std::string& key) const;
  // One attempt: signs, sends, and turns every answer but 2xx into an error.
  absl::StatusOr<HttpResponse> Once(HttpRequest request, const std::string& sha256, const std::string& bucket,
                                    const std::string& key, const std::atomic<bool>* stop) const {
    absl::Status prepared = SignFor(request, sha256, stop);
    if (!prepared.ok()) return Annotate(prepared, Name(bucket, key));
    request.stop = stop;
    request.timeouts = options.timeouts;
    auto response = SendHttp(request);
    if (!response.ok()) return Annotate(response.status(), Name(bucket, key));
    if (!Succeeded(*response)) return StatusOf(*response, bucket, key);
    return response;
  }
  absl::StatusOr<HttpResponse> Call(const HttpRequest& request, const std::string& bucket, const std::string& key,
                                    const std::atomic<bool>* stop) const {
    OMICS_RETURN_IF_ERROR(CheckNames(bucket, key));
    const std::string sha256 = Sha256Hex("");
    return WithRetries(options.retry, waiter(), stop, [&] { return Once(request, sha256, bucket, key, stop); });
  }
  std::string Url(const std::string& bucket, const std::string& key) const {
    return absl::StrCat(Base(bucket), "/", PercentEncode(key, true));
  }
  absl::StatusOr<std::string> PutRetried(HttpRequest request, const std::string& sha256, const std::string& bucket,
                                         const std::string& key, const std::atomic<bool>* stop) const;
};

absl::Status S3::Impl::StatusOf(const HttpResponse& response, const std::string& bucket, const std::string& key) const {
  const std::string code = XmlText(response.body, "Code");
  std::string message = absl::StrCat(Name(bucket, key), ": ", response.status);
  if (!code.empty()) absl::StrAppend(&message, " ", OneLine(code), ": ", OneLine(XmlText(response.body, "Message")));
  const std::string region = response.Header("x-amz-bucket-region");
  if (!region.empty() && region != options.region && (response.status == 301 || response.status == 400)) {
    return absl::FailedPreconditionError(
        absl::StrCat(message, " (the bucket is in ", OneLine(region), ": set the region to it)"));
  }
  if (code == "ExpiredToken" && credentials != nullptr) {
    credentials->Forget();
    return absl::UnavailableError(message);
  }
  const bool timing = code == "RequestTimeTooSkewed";
  return StatusOfAnswer(response, code, timing ? absl::StrCat(message, " (set this machine's clock)") : message);
}

absl::StatusOr<std::unique_ptr<S3>> S3::Make(S3Options options, std::shared_ptr<CredentialChain> credentials) {
  if (!options.endpoint.empty()) {
    auto url = ParseUrl(options.endpoint);
    if (!url.ok()) return Annotate(url.status(), "the S3 endpoint");
    if (!url->query.empty()) return absl::InvalidArgumentError("the S3 endpoint must have no query in its url");
    options.endpoint = std::string(absl::StripSuffix(options.endpoint, "/"));
  }
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->credentials = std::move(credentials);
  return std::unique_ptr<S3>(new S3(std::move(impl)));
}

S3::S3(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
S3::~S3() = default;

absl::StatusOr<S3Body> S3::Get(const std::string& bucket, const std::string& key, const S3GetOptions& options,
                               const std::atomic<bool>* stop) const {
  HttpRequest request;
  request.url = impl_->Url(bucket, key);
  request.response_bytes_max = options.bytes_max;
  const bool ranged = options.first != 0 || options.count >= 0;
  if (ranged) {
    const std::string last = options.count < 0 ? "" : absl::StrCat(options.first + options.count - 1);
    request.headers.push_back({"Range", absl::StrCat("bytes=", options.first, "-", last)});
  }
  if (!options.if_match.empty()) request.headers.push_back({"If-Match", options.if_match});
  OMICS_ASSIGN_OR_RETURN(HttpResponse response, impl_->Call(request, bucket, key, stop));
  if (ranged && response.status != 206) {
    return absl::UnavailableError(absl::StrCat(impl_->Name(bucket, key), ": asked for a range, the whole object came"));
  }
  const std::string range = response.Header("Content-Range");
  const std::int64_t total =
      ranged ? Number(range.substr(range.rfind('/') + 1), response.body_bytes) : response.body_bytes;
  return S3Body{std::move(response.body), response.Header("ETag"), total};
}

absl::StatusOr<S3Object> S3::Head(const std::string& bucket, const std::string& key,
                                  const std::atomic<bool>* stop) const {
  HttpRequest request;
  request.method = "HEAD";
  request.url = impl_->Url(bucket, key);
  OMICS_ASSIGN_OR_RETURN(const HttpResponse response, impl_->Call(request, bucket, key, stop));
  return S3Object{key, Number(response.Header("Content-Length"), 0), response.Header("ETag")};
}

absl::StatusOr<std::string> S3::Impl::PutRetried(HttpRequest request, const std::string& sha256,
                                                 const std::string& bucket, const std::string& key,
                                                 const std::atomic<bool>* stop) const {
  const std::string write_id = RandomHex();
  request.method = "PUT";
  request.url = Url(bucket, key);
  request.headers.push_back({kWriteId, write_id});
  int attempts = 0;
  auto response = WithRetries(options.retry, waiter(), stop, [&] {
    ++attempts;
    return Once(request, sha256, bucket, key, stop);
  });
  if (response.ok()) return response->Header("ETag");
  const bool refused = absl::IsFailedPrecondition(response.status()) || absl::IsAborted(response.status());
  if (!refused || attempts == 1) return response.status();
  HttpRequest head;
  head.method = "HEAD";
  head.url = request.url;
  const auto there = Call(head, bucket, key, stop);
  if (there.ok() && there->Header(kWriteId) == write_id) return there->Header("ETag");
  return response.status();
}

namespace {

absl::StatusOr<HttpRequest> PutRequest(const S3PutOptions& options, const std::string& name, std::int64_t bytes) {
  if (bytes > kPutBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": larger than the 5 GiB that one request may send"));
  }
  if (options.if_absent && !options.if_match.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": both if_match and if_absent"));
  }
  HttpRequest request;
  if (options.if_absent) request.headers.push_back({"If-None-Match", "*"});
  if (!options.if_match.empty()) request.headers.push_back({"If-Match", options.if_match});
  return request;
}

}  // namespace

absl::StatusOr<std::string> S3::Put(const std::string& bucket, const std::string& key, std::string_view bytes,
                                    const S3PutOptions& options, const std::atomic<bool>* stop) const {
  OMICS_RETURN_IF_ERROR(CheckNames(bucket, key));
  OMICS_ASSIGN_OR_RETURN(HttpRequest request,
                         PutRequest(options, impl_->Name(bucket, key), static_cast<std::int64_t>(bytes.size())));
  request.body = std::string(bytes);
  return impl_->PutRetried(std::move(request), Sha256Hex(bytes), bucket, key, stop);
}

absl::StatusOr<std::string> S3::PutFile(const std::string& bucket, const std::string& key,
                                        const std::filesystem::path& file, const S3PutOptions& options,
                                        const std::atomic<bool>* stop) const {
  OMICS_RETURN_IF_ERROR(CheckNames(bucket, key));
  OMICS_ASSIGN_OR_RETURN(const FileDigest digest, Sha256OfFile(file, kPutBytesMax + 1));
  OMICS_ASSIGN_OR_RETURN(HttpRequest request, PutRequest(options, impl_->Name(bucket, key), digest.bytes));
  request.file = file;
  return impl_->PutRetried(std::move(request), digest.sha256, bucket, key, stop);
}

absl::StatusOr<std::vector<S3Object>> S3::List(const std::string& bucket, const std::string& prefix, std::size_t max,
                                               const std::atomic<bool>* stop) const {
  std::vector<S3Object> objects;
  std::string token;
  do {
    HttpRequest request;
    request.response_bytes_max = kListPageBytesMax;
    request.url = absl::StrCat(impl_->Base(bucket), "/?list-type=2&prefix=", PercentEncode(prefix, false));
    if (!token.empty()) absl::StrAppend(&request.url, "&continuation-token=", PercentEncode(token, false));
    OMICS_ASSIGN_OR_RETURN(const HttpResponse response, impl_->Call(request, bucket, prefix, stop));
    for (const std::string_view entry : XmlElements(response.body, "Contents")) {
      if (objects.size() == max) {
        return absl::OutOfRangeError(absl::StrCat(impl_->Name(bucket, prefix), ": more than ", max, " objects"));
      }
      objects.push_back({XmlText(entry, "Key"), Number(XmlText(entry, "Size"), 0), XmlText(entry, "ETag")});
    }
    const bool more = XmlText(response.body, "IsTruncated") == "true";
    token = more ? XmlText(response.body, "NextContinuationToken") : "";
    if (more && token.empty()) {
      return absl::UnavailableError(
          absl::StrCat(impl_->Name(bucket, prefix), ": a list that cannot be continued came"));
    }
  } while (!token.empty());
  return objects;
}

absl::Status S3::Delete(const std::string& bucket, const std::string& key, const std::atomic<bool>* stop) const {
  HttpRequest request;
  request.method = "DELETE";
  request.url = impl_->Url(bucket, key);
  const auto response = impl_->Call(request, bucket, key, stop);
  return response.ok() || absl::IsNotFound(response.status()) ? absl::OkStatus() : response.status();
}

absl::StatusOr<HttpRequest> S3::GetRequest(const std::string& bucket, const std::string& key,
                                           std::vector<HttpHeader> headers, const std::atomic<bool>* stop) const {
  OMICS_RETURN_IF_ERROR(CheckNames(bucket, key));
  HttpRequest request;
  request.url = impl_->Url(bucket, key);
  request.headers = std::move(headers);
  request.stop = stop;
  request.timeouts = impl_->options.timeouts;
  if (const absl::Status status = impl_->SignFor(request, Sha256Hex(""), stop); !status.ok()) {
    return Annotate(status, impl_->Name(bucket, key));
  }
  return request;
}

absl::Status S3::StatusOf(const HttpResponse& response, const std::string& bucket, const std::string& key) const {
  return impl_->StatusOf(response, bucket, key);
}

absl::StatusOr<S3Location> ParseS3Url(std::string_view url) {
  constexpr std::string_view kScheme = "s3://";
  const std::string_view rest = url.substr(std::min(url.size(), kScheme.size()));
  const std::size_t slash = rest.find('/');
  const std::string shown = OneLine(url.substr(0, 200));
  if (url.substr(0, kScheme.size()) != kScheme || slash == std::string_view::npos || slash + 1 == rest.size()) {
    return absl::InvalidArgumentError(absl::StrCat(shown, " is not s3://bucket/key"));
  }
  S3Location location{std::string(rest.substr(0, slash)), std::string(rest.substr(slash + 1))};
  OMICS_RETURN_IF_ERROR(CheckNames(location.bucket, location.key));
  return location;
}

}  // namespace omics::cloud
