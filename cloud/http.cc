#include "cloud/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/text.h"
#include "cloud/url.h"

namespace omics::cloud {
namespace {

// How soon `stop` is noticed.
constexpr int kPollMilliseconds = 100;
// S3 sends about 20 fields; a stranger must not fill the memory with more.
constexpr std::size_t kHeadersMax = 200;
// What an error's body may be: an XML or JSON message, or a proxy's page.
constexpr std::int64_t kErrorBytesMax = 256 << 10;

// libcurl's two handles are one type.
struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct Free {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct Transfer {
  explicit Transfer(const HttpRequest& from) : request(from) {}

  const HttpRequest& request;
  HttpResponse response;
  absl::Status failure;  // of on_head, sink or a limit
  bool head_done = false;
  std::size_t sent = 0;  // of request.body
  char error[CURL_ERROR_SIZE] = "";
  // Destroyed from the last to the first: the handles before what they point to.
  std::unique_ptr<curl_slist, Free> headers;
  std::unique_ptr<CURL, FreeEasy> easy;
};

std::string Name(const HttpRequest& request) { return absl::StrCat(request.method, " ", MaskUrl(request.url)); }

bool Succeeded(const HttpResponse& response) { return response.status >= 200 && response.status < 300; }

std::int64_t BytesMax(const Transfer& transfer) {
  const std::int64_t max = transfer.request.response_bytes_max;
  return Succeeded(transfer.response) ? max : std::max(max, kErrorBytesMax);
}

absl::Status TooLarge(const Transfer& transfer) {
  return absl::OutOfRangeError(
      absl::StrCat(Name(transfer.request), ": the answer is larger than the ", BytesMax(transfer), " bytes allowed"));
}

// Once, when the headers of the final answer are complete.
absl::Status FinishHead(Transfer& transfer) {
  transfer.head_done = true;
  curl_off_t length = -1;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if (transfer.request.method != "HEAD" && length > BytesMax(transfer)) return TooLarge(transfer);
  return transfer.request.on_head ? transfer.request.on_head(transfer.response) : absl::OkStatus();
}

std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const absl::string_view line = absl::StripTrailingAsciiWhitespace(absl::string_view(data, size * count));
  HttpResponse& response = transfer.response;
  if (absl::StartsWith(line, "HTTP/")) {  // also after a 100 Continue, whose headers do not count
    response.headers.clear();
    return size * count;
  }
  if (line.empty()) {
    long status = 0;
    curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &status);
    response.status = static_cast<int>(status);
    if (status >= 200 && !transfer.head_done) transfer.failure = FinishHead(transfer);
    return transfer.failure.ok() ? size * count : 0;
  }
  const std::size_t colon = line.find(':');
  if (colon == absl::string_view::npos || transfer.head_done) return size * count;
  if (response.headers.size() == kHeadersMax) {
    transfer.failure = absl::OutOfRangeError(absl::StrCat(Name(transfer.request), ": too many headers came"));
    return 0;
  }
  response.headers.push_back(
      {std::string(line.substr(0, colon)), std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)))});
  return size * count;
}

std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view piece(data, size * count);
  transfer.response.body_bytes += static_cast<std::int64_t>(piece.size());
  if (transfer.response.body_bytes > BytesMax(transfer)) {
    transfer.failure = TooLarge(transfer);
  } else if (transfer.request.sink && Succeeded(transfer.response)) {
    transfer.failure = transfer.request.sink(piece);
  } else {
    transfer.response.body.append(piece);
  }
  return transfer.failure.ok() ? piece.size() : 0;
}

std::size_t OnSend(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::size_t got = transfer.request.body.copy(data, size * count, transfer.sent);
  transfer.sent += got;
  return got;
}

bool FitsInHeader(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

absl::Status AddHeader(Transfer& transfer, const std::string& name, const std::string& value) {
  if (name.empty() || name.find(':') != std::string::npos || !FitsInHeader(name) || !FitsInHeader(value)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Name(transfer.request), ": the header ", OneLine(name), " cannot be sent"));
  }
  const std::string line = value.empty() ? absl::StrCat(name, ";") : absl::StrCat(name, ": ", value);
  curl_slist* const longer = curl_slist_append(transfer.headers.get(), line.c_str());
  if (longer == nullptr) return absl::ResourceExhaustedError("no memory for a header");
  static_cast<void>(transfer.headers.release());
  transfer.headers.reset(longer);
  return absl::OkStatus();
}

absl::Status SetHeaders(Transfer& transfer) {
  for (const HttpHeader& header : transfer.request.headers) {
    OMICS_RETURN_IF_ERROR(AddHeader(transfer, header.name, header.value));
  }
  // Against libcurl's own: waiting for a 100 Continue, and a form's content type.
  for (const char* const unwanted : {"Expect:", "Content-Type:"}) {
    const absl::string_view name = absl::StripSuffix(unwanted, ":");
    const auto same = [&](const HttpHeader& header) { return absl::EqualsIgnoreCase(header.name, name); };
    if (std::any_of(transfer.request.headers.begin(), transfer.request.headers.end(), same)) continue;
    curl_slist* const longer = curl_slist_append(transfer.headers.get(), unwanted);
    if (longer == nullptr) return absl::ResourceExhaustedError("no memory for a header");
    static_cast<void>(transfer.headers.release());
    transfer.headers.reset(longer);
  }
  curl_easy_setopt(transfer.easy.get(), CURLOPT_HTTPHEADER, transfer.headers.get());
  return absl::OkStatus();
}

void SetBody(Transfer& transfer) {
  CURL* const easy = transfer.easy.get();
  const HttpRequest& request = transfer.request;
  if (request.method == "HEAD") curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  const bool sends = request.method == "PUT" || request.method == "POST";
  if (sends) {
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, OnSend);
    curl_easy_setopt(easy, CURLOPT_READDATA, &transfer);
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

void SetTransport(Transfer& transfer, const Url& url) {
  CURL* const easy = transfer.easy.get();
  const HttpTimeouts& timeouts = transfer.request.timeouts;
  curl_easy_setopt(easy, CURLOPT_URL, transfer.request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);  // a key may hold ".."
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "omics-vector/" OMICS_VECTOR_VERSION);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(timeouts.connect.count()));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(timeouts.stall.count()));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(timeouts.total.count()));
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  if (url.scheme == "http") curl_easy_setopt(easy, CURLOPT_PROXY, "");
  for (const char* const name : {"AWS_CA_BUNDLE", "SSL_CERT_FILE"}) {
    const char* const file = std::getenv(name);
    if (file == nullptr || *file == '\0') continue;
    curl_easy_setopt(easy, CURLOPT_CAINFO, file);
    break;
  }
}

void SetCallbacks(Transfer& transfer) {
  CURL* const easy = transfer.easy.get();
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.error);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

absl::Status SetUp(Transfer& transfer) {
  OMICS_ASSIGN_OR_RETURN(const Url url, ParseUrl(transfer.request.url));
  transfer.easy.reset(curl_easy_init());
  if (!transfer.easy) return absl::ResourceExhaustedError("no memory for a request");
  SetTransport(transfer, url);
  SetCallbacks(transfer);
  SetBody(transfer);
  return SetHeaders(transfer);
}

bool Stopped(const HttpRequest& request) { return request.stop != nullptr && request.stop->load(); }

// The result of the transfer, or nothing if it was stopped.
std::optional<CURLcode> Drive(CURLM* multi, const HttpRequest& request) {
  int running = 1;
  while (true) {
    if (Stopped(request)) return std::nullopt;
    if (curl_multi_perform(multi, &running) != CURLM_OK) return CURLE_FAILED_INIT;
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi, &left)) {
      if (message->msg == CURLMSG_DONE) return message->data.result;
    }
    if (running == 0) return CURLE_FAILED_INIT;
    curl_multi_poll(multi, nullptr, 0, kPollMilliseconds, nullptr);
  }
}

absl::StatusCode CodeOf(CURLcode code, const HttpTimeouts& timeouts) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return absl::StatusCode::kFailedPrecondition;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return absl::StatusCode::kInvalidArgument;
    case CURLE_OUT_OF_MEMORY:
      return absl::StatusCode::kResourceExhausted;
    case CURLE_OPERATION_TIMEDOUT:  // also for a stall or while connecting, where another try is worth it
      return timeouts.total.count() > 0 ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

absl::Status FailureOf(const Transfer& transfer, CURLcode code) {
  if (!transfer.failure.ok()) return transfer.failure;
  const absl::string_view why = *transfer.error != '\0' ? transfer.error : curl_easy_strerror(code);
  return absl::Status(CodeOf(code, transfer.request.timeouts),
                      absl::StrCat(Name(transfer.request), ": ", OneLine(ToStd(why))));
}

void InitializeOnce() {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(initialized);
}

}  // namespace

std::string HttpResponse::Header(std::string_view name) const {
  for (const HttpHeader& header : headers) {
    if (absl::EqualsIgnoreCase(header.name, ToAbsl(name))) return header.value;
  }
  return "";
}

absl::StatusOr<HttpResponse> SendHttp(const HttpRequest& request) {
  InitializeOnce();
  Transfer transfer(request);
  OMICS_RETURN_IF_ERROR(SetUp(transfer));
  const std::unique_ptr<CURLM, FreeMulti> multi(curl_multi_init());
  if (!multi || curl_multi_add_handle(multi.get(), transfer.easy.get()) != CURLM_OK) {
    return absl::ResourceExhaustedError("no memory for a request");
  }
  const std::optional<CURLcode> code = Drive(multi.get(), request);
  curl_multi_remove_handle(multi.get(), transfer.easy.get());
  if (!code) return absl::CancelledError(absl::StrCat(Name(request), ": stopped"));
  if (*code != CURLE_OK) return FailureOf(transfer, *code);
  return std::move(transfer.response);
}

}  // namespace omics::cloud
