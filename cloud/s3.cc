#include "cloud/s3.h"

#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <functional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest.h"
#include "base/status.h"
#include "base/text.h"
#include "cloud/sigv4.h"
#include "cloud/url.h"
#include "cloud/xml.h"

namespace omics::cloud {
namespace {

constexpr std::size_t kBucketBytesMax = 63;
constexpr std::size_t kKeyBytesMax = 1024;
constexpr std::int64_t kPutBytesMax = std::int64_t{5} << 30;
constexpr std::int64_t kPartsMax = 10'000;
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

namespace {

// A file read from its beginning to its end.
class FileToPut {
 public:
  static absl::StatusOr<FileToPut> Open(const std::filesystem::path& path) {
    FileToPut file(path);
    std::error_code error;
    file.bytes_ = static_cast<std::int64_t>(std::filesystem::file_size(path, error));
    if (error) return ErrnoStatus(error.value(), absl::StrCat("read ", path.string()));
    return file;
  }
  std::int64_t bytes() const { return bytes_; }

  // The next `bytes`, or what is left.
  absl::StatusOr<std::string> Next(std::int64_t bytes) {
    std::string piece(static_cast<std::size_t>(std::min(bytes, bytes_ - read_)), '\0');
    if (!in_.read(piece.data(), std::ssize(piece))) {
      return absl::UnavailableError(absl::StrCat("cannot read ", path_.string()));
    }
    read_ += std::ssize(piece);
    return piece;
  }

 private:
  explicit FileToPut(const std::filesystem::path& path) : path_(path), in_(path, std::ios::binary) {}

  std::filesystem::path path_;
  std::ifstream in_;
  std::int64_t bytes_ = 0;
  std::int64_t read_ = 0;
};

}  // namespace

// One object that goes up in parts.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
class S3::Upload {
 public:
  Upload(const Impl& s3, const std::string& bucket, const std::string& key, const std::atomic<bool>* stop)
      : s3_(s3), bucket_(bucket), key_(key), stop_(stop) {}

  absl::StatusOr<std::string> Run(FileToPut& file) {
    OMICS_RETURN_IF_ERROR(Begin());
    absl::StatusOr<std::string> etag = SendAndComplete(file);
    if (!etag.ok()) GiveUp();
    return etag;
  }

 private:
  absl::Status Begin() {
    HttpRequest request = Request("POST", "uploads=");
    request.headers.push_back({kWriteId, write_id_});
    OMICS_ASSIGN_OR_RETURN(const HttpResponse response, Call(request, [this](const HttpResponse& answer) {
                             return Require(!XmlText(answer.body, "UploadId").empty(), "an upload without an id");
                           }));
    id_ = XmlText(response.body, "UploadId");
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> SendAndComplete(FileToPut& file) {
    const std::int64_t part_bytes = std::max(kPutPartBytes, (file.bytes() + kPartsMax - 1) / kPartsMax);
    std::string parts;
    for (std::int64_t number = 1; (number - 1) * part_bytes < file.bytes(); ++number) {
      HttpRequest request = Request("PUT", absl::StrCat("partNumber=", number, "&", ThisUpload()));
      OMICS_ASSIGN_OR_RETURN(request.body, file.Next(part_bytes));
      OMICS_ASSIGN_OR_RETURN(const HttpResponse response, Call(request, [this](const HttpResponse& answer) {
                               return Require(!answer.Header("ETag").empty(), "a part without an ETag");
                             }));
      absl::StrAppend(&parts, "<Part><PartNumber>", number, "</PartNumber><ETag>", response.Header("ETag"),
                      "</ETag></Part>");
    }
    return Complete(absl::StrCat("<CompleteMultipartUpload>", parts, "</CompleteMultipartUpload>"));
  }

  absl::StatusOr<std::string> Complete(std::string parts) {
    HttpRequest request = Request("POST", ThisUpload());
    request.body = std::move(parts);
    const auto response = Call(request, [this](const HttpResponse& answer) {
      // S3 may say 200 before it knows.
      return Require(!XmlText(answer.body, "ETag").empty(), OneLine(XmlText(answer.body, "Code")));
    });
    if (response.ok()) return XmlText(response->body, "ETag");
    if (!absl::IsNotFound(response.status())) return response.status();
    // The upload is gone: completed by a try whose answer was lost, or by somebody's hand.
    const auto there = s3_.Call(Request("HEAD", ""), bucket_, key_, stop_);
    if (there.ok() && there->Header(kWriteId) == write_id_) return there->Header("ETag");
    return response.status();
  }

  // What stays behind would be paid for until the bucket's rules remove it.
  void GiveUp() {
    const auto given_up = s3_.Call(Request("DELETE", ThisUpload()), bucket_, key_, nullptr);
    given_up.status().IgnoreError();
  }

  HttpRequest Request(const char* method, const std::string& query) const {
    HttpRequest request;
    request.method = method;
    request.url = s3_.Url(bucket_, key_);
    if (!query.empty()) absl::StrAppend(&request.url, "?", query);
    return request;
  }
  std::string ThisUpload() const { return absl::StrCat("uploadId=", PercentEncode(id_, false)); }

  // For a 2xx answer that is none; to be tried again.
  absl::Status Require(bool good, const std::string& what) const {
    return good ? absl::OkStatus() : absl::UnavailableError(absl::StrCat(s3_.Name(bucket_, key_), ": ", what));
  }

  absl::StatusOr<HttpResponse> Call(const HttpRequest& request,
                                    const std::function<absl::Status(const HttpResponse&)>& check) const {
    const std::string sha256 = Sha256Hex(request.body);
    return WithRetries(s3_.options.retry, s3_.waiter(), stop_, [&]() -> absl::StatusOr<HttpResponse> {
      OMICS_ASSIGN_OR_RETURN(HttpResponse response, s3_.Once(request, sha256, bucket_, key_, stop_));
      OMICS_RETURN_IF_ERROR(check(response));
      return response;
    });
  }

  const Impl& s3_;
  const std::string& bucket_;
  const std::string& key_;
  const std::atomic<bool>* const stop_;
  const std::string write_id_ = RandomHex();
  std::string id_;
};

absl::StatusOr<std::string> S3::PutFile(const std::string& bucket, const std::string& key,
                                        const std::filesystem::path& file, const std::atomic<bool>* stop) const {
  OMICS_RETURN_IF_ERROR(CheckNames(bucket, key));
  OMICS_ASSIGN_OR_RETURN(FileToPut opened, FileToPut::Open(file));
  if (opened.bytes() > kPutPartBytes) return Upload(*impl_, bucket, key, stop).Run(opened);
  OMICS_ASSIGN_OR_RETURN(const std::string bytes, opened.Next(kPutPartBytes));
  return Put(bucket, key, bytes, {}, stop);
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
