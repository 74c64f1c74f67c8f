#include "cloud/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/address.h"
#include "base/file_descriptor.h"
#include "base/status.h"
#include "base/text.h"
#include "cloud/part_file.h"
#include "cloud/s3.h"
#include "cloud/url.h"

namespace omics::cloud {
namespace {

constexpr int kRedirectsMax = 5;
constexpr std::chrono::milliseconds kProgressEvery{250};
// A connection that brought so much was worth its while: failures are counted anew.
constexpr std::int64_t kProgressBytes = 64 << 10;
constexpr std::size_t kEtagBytesMax = 1024;

enum class Kind { kHttp, kS3, kFile };

// "bytes 100-199/200"
struct ContentRange {
  std::int64_t first = -1;
  std::int64_t total = -1;
};
ContentRange ParseContentRange(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  ContentRange range;
  const std::size_t slash = text.find('/');
  if (text.substr(0, kUnit.size()) != kUnit || slash == std::string_view::npos) return range;
  std::from_chars(text.data() + kUnit.size(), text.data() + slash, range.first);
  std::from_chars(text.data() + slash + 1, text.data() + text.size(), range.total);
  return range;
}

// An ETag that can stand in a header and in a line of a file, and that names exact bytes.
std::string StrongEtag(const HttpResponse& response) {
  const std::string etag = response.Header("ETag");
  const auto fits = [](unsigned char c) { return c >= ' ' && c != 0x7f; };
  const bool strong = !absl::StartsWith(etag, "W/") && etag.size() <= kEtagBytesMax;
  return strong && std::all_of(etag.begin(), etag.end(), fits) ? etag : "";
}

struct Parsed {
  Kind kind = Kind::kHttp;
  std::string url;      // http(s): what is asked now, after redirects
  std::string origin;   // its host and port
  S3Location location;  // s3
  std::string path;     // file
  std::string shown;    // for messages
};

absl::StatusOr<std::string> FilePath(const std::string& url) {
  const std::string encoded = url.substr(std::string_view("file://").size());
  int size = 0;
  char* const raw = curl_easy_unescape(nullptr, encoded.data(), static_cast<int>(encoded.size()), &size);
  std::string path(raw == nullptr ? "" : raw, raw == nullptr ? 0 : static_cast<std::size_t>(size));
  curl_free(raw);
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("the url ", MaskUrl(url), " must be file:///absolute/path"));
  }
  return path;
}

bool MayAsk(const std::vector<std::string>& hosts, const Url& url) {
  const std::string with_port = absl::StrCat(url.host, ":", url.port);
  return std::any_of(hosts.begin(), hosts.end(), [&](const std::string& host) {
    return absl::EqualsIgnoreCase(host, url.host) || absl::EqualsIgnoreCase(host, with_port) ||
           absl::EqualsIgnoreCase(host, absl::StrCat("[", url.host, "]:", url.port));
  });
}

absl::Status CheckHash(const std::string& sha256) {
  const auto is_hex = [](unsigned char c) { return absl::ascii_isxdigit(c); };
  if (sha256.empty() || (sha256.size() == 64 && std::all_of(sha256.begin(), sha256.end(), is_hex))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("a sha256 has 64 hexadecimal digits");
}

absl::Status CheckHost(const std::string& host) {
  const bool bad = host.empty() || host.size() > 255 || absl::StrContains(host, "/") || absl::StrContains(host, "*") ||
                   absl::StrContains(host, "@") || absl::StrContains(host, " ");
  if (!bad) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("\"", OneLine(host.substr(0, 100)),
                                                 "\" is no host: write host or host:port, without https:// or *"));
}

// Tells the progress at most every quarter of a second.
class Report {
 public:
  Report(const DownloadProgress& tell, const Waiter& waiter) : tell_(tell), waiter_(waiter) {}
  void At(std::int64_t bytes, std::int64_t total, bool last = false) {
    const auto now = waiter_.Now();
    if (!tell_ || (!last && told_ && now - *told_ < kProgressEvery)) return;
    told_ = now;
    tell_(bytes, total);
  }

 private:
  const DownloadProgress& tell_;
  const Waiter& waiter_;
  std::optional<std::chrono::steady_clock::time_point> told_;
};

struct Setup {
  DownloadOptions options;
  DownloadParts parts;
  std::unique_ptr<S3> s3;

  Waiter& waiter() const { return parts.waiter != nullptr ? *parts.waiter : MachineWaiter(); }
  absl::StatusOr<Parsed> Parse(const std::string& url) const;
  absl::Status Allow(const std::string& origin, const std::string& url) const;
};

// One Fetch of something over HTTP.
class Transfer {
 public:
  Transfer(const Setup& with, Parsed from, const Source& source, PartFile part, Report report,
           const std::atomic<bool>& stop);

  absl::StatusOr<Downloaded> Run();

 private:
  enum class Answer { kDone, kUnchanged, kRedirected, kStartOver };

  absl::StatusOr<Answer> Attempt();
  absl::StatusOr<HttpRequest> Request();
  absl::Status OnHead(const HttpResponse& head);
  absl::Status OnPiece(std::string_view piece);
  absl::StatusOr<Answer> Judge(const HttpResponse& response);
  absl::StatusOr<Answer> Redirect(const HttpResponse& response);
  absl::StatusOr<Downloaded> Conclude();
  absl::Status TooLarge(std::int64_t bytes) const;

  const Setup& with_;
  Parsed from_;
  const Source& source_;
  PartFile part_;
  Report report_;
  const std::atomic<bool>& stop_;
  int redirects_ = 0;
  std::int64_t total_ = -1;
  bool other_version_ = false;  // the answer to a resumption is of another version
  std::string etag_;            // as the source says it, weak ones too
};

absl::Status Setup::Allow(const std::string& origin, const std::string& text) const {
  OMICS_ASSIGN_OR_RETURN(const Url url, ParseUrl(text));
  if (url.scheme == "http" && !IsLoopback(url.host)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the url ", MaskUrl(text), " must be https: only loopback may do without"));
  }
  const bool allowed =
      options.hosts.empty() ? absl::StrCat(url.host, ":", url.port) == origin : MayAsk(options.hosts, url);
  if (allowed) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("the host ", url.authority(), " of ", MaskUrl(text),
                                                  " is not among those that may be downloaded from"));
}

absl::StatusOr<Parsed> Setup::Parse(const std::string& url) const {
  Parsed parsed;
  parsed.shown = MaskUrl(url);
  if (absl::StartsWith(url, "s3://")) {
    parsed.kind = Kind::kS3;
    parsed.shown = OneLine(url);
    OMICS_ASSIGN_OR_RETURN(parsed.location, ParseS3Url(url));
    return parsed;
  }
  if (absl::StartsWith(url, "file://")) {
    parsed.kind = Kind::kFile;
    OMICS_ASSIGN_OR_RETURN(parsed.path, FilePath(url));
    return parsed;
  }
  parsed.url = url;
  OMICS_ASSIGN_OR_RETURN(const Url of, ParseUrl(url));
  parsed.origin = absl::StrCat(of.host, ":", of.port);
  OMICS_RETURN_IF_ERROR(Allow(parsed.origin, url));
  return parsed;
}

Transfer::Transfer(const Setup& with, Parsed from, const Source& source, PartFile part, Report report,
                   const std::atomic<bool>& stop)
    : with_(with), from_(std::move(from)), source_(source), part_(std::move(part)), report_(report), stop_(stop) {}

absl::Status Transfer::TooLarge(std::int64_t bytes) const {
  return absl::OutOfRangeError(
      absl::StrCat("it has ", bytes, " bytes or more; at most ", with_.options.bytes_max, " are allowed"));
}

absl::StatusOr<HttpRequest> Transfer::Request() {
  std::vector<HttpHeader> headers;
  if (part_.bytes() > 0) {
    headers.push_back({"Range", absl::StrCat("bytes=", part_.bytes(), "-")});
    headers.push_back({from_.kind == Kind::kS3 ? "If-Match" : "If-Range", part_.etag()});
  } else if (!source_.etag.empty()) {
    headers.push_back({"If-None-Match", source_.etag});
  }
  HttpRequest request;
  if (from_.kind == Kind::kS3) {
    OMICS_ASSIGN_OR_RETURN(request, with_.s3->GetRequest(from_.location.bucket, from_.location.key, headers, &stop_));
  } else {
    request.url = from_.url;
    request.headers = std::move(headers);
  }
  request.timeouts = with_.parts.timeouts;
  request.stop = &stop_;
  request.response_bytes_max = with_.options.bytes_max;
  request.on_head = [this](const HttpResponse& head) { return OnHead(head); };
  request.sink = [this](std::string_view piece) { return OnPiece(piece); };
  return request;
}

// Decides where the body goes: behind what is there, or to a new beginning.
absl::Status Transfer::OnHead(const HttpResponse& head) {
  if (head.status != 200 && head.status != 206) return absl::OkStatus();
  const std::string etag = StrongEtag(head);
  if (head.status == 206) {
    const ContentRange range = ParseContentRange(head.Header("Content-Range"));
    if (part_.bytes() == 0 || range.first != part_.bytes() || etag != part_.etag()) {
      other_version_ = true;
      return absl::UnavailableError("another part came than the one asked for");
    }
    total_ = range.total;
  } else {
    OMICS_RETURN_IF_ERROR(part_.Restart(etag));
    total_ = -1;
    const std::string length = head.Header("Content-Length");
    std::from_chars(length.data(), length.data() + length.size(), total_);
  }
  etag_ = head.Header("ETag");
  return total_ > with_.options.bytes_max ? TooLarge(total_) : absl::OkStatus();
}

absl::Status Transfer::OnPiece(std::string_view piece) {
  const std::int64_t bytes = part_.bytes() + static_cast<std::int64_t>(piece.size());
  if (bytes > with_.options.bytes_max) return TooLarge(bytes);
  OMICS_RETURN_IF_ERROR(part_.Append(piece));
  report_.At(part_.bytes(), total_);
  return absl::OkStatus();
}

absl::StatusOr<Transfer::Answer> Transfer::Redirect(const HttpResponse& response) {
  if (++redirects_ > kRedirectsMax) return absl::FailedPreconditionError("it redirects more than five times");
  OMICS_ASSIGN_OR_RETURN(const std::string next, ResolveUrl(from_.url, response.Header("Location")));
  if (absl::StartsWith(from_.url, "https:") && !absl::StartsWith(next, "https:")) {
    return absl::PermissionDeniedError(absl::StrCat("it redirects from https to ", MaskUrl(next)));
  }
  if (const absl::Status status = with_.Allow(from_.origin, next); !status.ok())
    return Annotate(status, "it redirects");
  from_.url = next;
  return Answer::kRedirected;
}

absl::StatusOr<Transfer::Answer> Transfer::Judge(const HttpResponse& response) {
  const int status = response.status;
  if (status == 200 || status == 206) {
    if (total_ < 0 || part_.bytes() == total_) return Answer::kDone;
    return absl::UnavailableError(absl::StrCat("broken off after ", part_.bytes(), " of ", total_, " bytes"));
  }
  if (status == 304 && !source_.etag.empty()) return Answer::kUnchanged;
  // The version of which a part is held is gone (412), or the part is all there is of it (416).
  if ((status == 412 || status == 416) && part_.bytes() > 0) return Answer::kStartOver;
  if (from_.kind == Kind::kS3) return with_.s3->StatusOf(response, from_.location.bucket, from_.location.key);
  if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) return Redirect(response);
  return StatusOfAnswer(response, "", absl::StrCat("the answer was ", status));
}

absl::StatusOr<Transfer::Answer> Transfer::Attempt() {
  OMICS_ASSIGN_OR_RETURN(const HttpRequest request, Request());
  other_version_ = false;
  const auto response = SendHttp(request);
  if (other_version_) return Answer::kStartOver;
  if (!response.ok()) return response.status();
  return Judge(*response);
}

absl::StatusOr<Downloaded> Transfer::Conclude() {
  const std::string sha256 = part_.sha256();
  if (!source_.sha256.empty() && !absl::EqualsIgnoreCase(sha256, source_.sha256)) {
    part_.Discard();
    return absl::DataLossError(
        absl::StrCat("its sha256 is ", sha256, " and should be ", absl::AsciiStrToLower(source_.sha256)));
  }
  OMICS_RETURN_IF_ERROR(part_.Finish());
  report_.At(part_.bytes(), part_.bytes(), true);
  return Downloaded{true, etag_, sha256, part_.bytes()};
}

absl::StatusOr<Downloaded> Transfer::Run() {
  Attempts attempts(with_.parts.retry, with_.waiter());
  while (true) {
    const std::int64_t before = part_.bytes();
    const absl::StatusOr<Answer> answer = Attempt();
    if (answer.ok() && *answer == Answer::kUnchanged) {
      part_.Discard();
      return Downloaded{false, source_.etag, "", 0};
    }
    if (answer.ok() && *answer == Answer::kDone) return Conclude();
    if (answer.ok()) {
      if (*answer == Answer::kRedirected) continue;
      OMICS_RETURN_IF_ERROR(part_.Restart(""));
      if (attempts.Again(absl::UnavailableError("the source changed"), &stop_)) continue;
      return absl::UnavailableError("the source keeps changing while it is read");
    }
    if (part_.bytes() - before >= kProgressBytes) attempts.Progressed();
    if (attempts.Again(answer.status(), &stop_)) continue;
    static_cast<void>(part_.Checkpoint());  // the failure counts, not what a next try would have saved
    if (stop_.load() && IsRetryable(answer.status())) return absl::CancelledError("stopped");
    if (attempts.made() == 1) return answer.status();
    return Annotate(answer.status(), absl::StrCat("gave up after ", attempts.made(), " attempts"));
  }
}

std::string FileEtag(const struct stat& found) {
  return absl::StrCat(found.st_size, "-", found.st_mtim.tv_sec, ".", found.st_mtim.tv_nsec);
}

absl::Status CopyFile(int fd, PartFile& part, std::int64_t total, Report& report, const std::atomic<bool>& stop) {
  std::string piece(1 << 20, '\0');
  while (!stop.load()) {
    const ssize_t got = read(fd, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read");
    if (got == 0) {
      return part.bytes() == total ? absl::OkStatus() : absl::UnavailableError("it changes while it is read");
    }
    if (part.bytes() + got > total) return absl::UnavailableError("it grows while it is read");
    OMICS_RETURN_IF_ERROR(part.Append({piece.data(), static_cast<std::size_t>(got)}));
    report.At(part.bytes(), total);
  }
  return absl::CancelledError("stopped");
}

absl::StatusOr<Downloaded> FetchFile(const std::string& path, const Source& source, const std::filesystem::path& file,
                                     std::int64_t bytes_max, Report report, const std::atomic<bool>& stop) {
  const FileDescriptor in(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (in.get() < 0) return ErrnoStatus(errno, "open");
  struct stat found {};
  if (fstat(in.get(), &found) != 0) return ErrnoStatus(errno, "stat");
  if (!S_ISREG(found.st_mode)) return absl::InvalidArgumentError("it is no regular file");
  if (FileEtag(found) == source.etag) return Downloaded{false, source.etag, "", 0};
  if (found.st_size > bytes_max) {
    return absl::OutOfRangeError(absl::StrCat("it has ", found.st_size, " bytes; at most ", bytes_max, " are allowed"));
  }
  OMICS_ASSIGN_OR_RETURN(PartFile part, PartFile::Open(file));
  OMICS_RETURN_IF_ERROR(part.Restart(""));
  absl::Status copied = CopyFile(in.get(), part, found.st_size, report, stop);
  const std::string sha256 = part.sha256();
  if (copied.ok() && !source.sha256.empty() && !absl::EqualsIgnoreCase(sha256, source.sha256)) {
    copied = absl::DataLossError(absl::StrCat("its sha256 is ", sha256, " and should be ", source.sha256));
  }
  if (!copied.ok()) {
    part.Discard();
    return copied;
  }
  OMICS_RETURN_IF_ERROR(part.Finish());
  report.At(part.bytes(), part.bytes(), true);
  return Downloaded{true, FileEtag(found), sha256, part.bytes()};
}

}  // namespace

struct Downloader::Impl : Setup {};

absl::StatusOr<std::unique_ptr<Downloader>> Downloader::Make(DownloadOptions options, DownloadParts parts) {
  for (const std::string& host : options.hosts) OMICS_RETURN_IF_ERROR(CheckHost(host));
  if (parts.credentials == nullptr && !options.unsigned_s3) {
    CredentialsOptions credentials;
    credentials.region = options.region;
    parts.credentials = std::make_shared<CredentialChain>(std::move(credentials));
  }
  auto impl = std::make_unique<Impl>();
  S3Options s3;
  s3.endpoint = options.s3_endpoint;
  s3.region = options.region;
  s3.unsigned_requests = options.unsigned_s3;
  s3.timeouts = parts.timeouts;
  OMICS_ASSIGN_OR_RETURN(impl->s3, S3::Make(std::move(s3), parts.credentials));
  impl->options = std::move(options);
  impl->parts = std::move(parts);
  return std::unique_ptr<Downloader>(new Downloader(std::move(impl)));
}

Downloader::Downloader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Downloader::~Downloader() = default;

absl::StatusOr<Downloaded> Downloader::Fetch(const Source& source, const std::filesystem::path& file,
                                             const DownloadProgress& progress, const std::atomic<bool>& stop) {
  OMICS_ASSIGN_OR_RETURN(Parsed parsed, impl_->Parse(source.url));
  const std::string context = absl::StrCat("download ", parsed.shown, " to ", OneLine(file.string()));
  if (const absl::Status status = CheckHash(source.sha256); !status.ok()) return Annotate(status, context);
  const Report report(progress, impl_->waiter());
  const auto fetch = [&]() -> absl::StatusOr<Downloaded> {
    if (stop.load()) return absl::CancelledError("stopped");
    if (parsed.kind == Kind::kFile) {
      return FetchFile(parsed.path, source, file, impl_->options.bytes_max, report, stop);
    }
    OMICS_ASSIGN_OR_RETURN(PartFile part, PartFile::Open(file));
    return Transfer(*impl_, parsed, source, std::move(part), report, stop).Run();
  };
  absl::StatusOr<Downloaded> downloaded = fetch();
  return downloaded.ok() ? std::move(downloaded) : Annotate(downloaded.status(), context);
}

}  // namespace omics::cloud
