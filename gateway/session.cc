#include "gateway/session.h"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <chrono>
#include <ctime>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "gateway/strict_check.h"

namespace omics::gateway {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Parser = http::request_parser<http::string_body>;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// After a refusal, what the client is still sending is read over for this long and this much, so that it gets to read
// the answer before the connection is reset.
constexpr std::chrono::seconds kLingerTimeout{2};
constexpr std::size_t kLingerBytesMax = 128 << 20;
// What the JSON reader needs behind a body, so that it does not have to move it.
constexpr std::size_t kBodySlackBytes = 256;
constexpr auto kNever = std::chrono::steady_clock::time_point::max();

Response PlainError(int status, std::string_view message) {
  Response response = ErrorBody(status, status == 503 ? "InternalError" : "InvalidArgumentError", message, Dialect());
  response.close = true;
  return response;
}

absl::Status TooLarge(std::uint64_t bytes_max) {
  return WithReason(absl::InvalidArgumentError(absl::StrCat("the request body is larger than ", bytes_max,
                                                            " bytes: send fewer records at a time")),
                    kReasonBodyTooLarge);
}

RequestHead MakeHead(std::string_view raw, const HeadCheck& check) {
  RequestHead head;
  head.method = HeadMethod(raw);
  head.target = HeadTarget(raw);
  head.user_agent = FieldValue(raw, "user-agent");
  head.content_type = FieldValue(raw, "content-type");
  head.authorization = FieldValue(raw, "authorization");
  head.chroma_token = FieldValue(raw, "x-chroma-token");
  head.origin = FieldValue(raw, "origin");
  head.has_body = check.chunked || check.content_length > 0;
  return head;
}

// Made once a second on each thread.
const std::string& DateField() {
  thread_local std::time_t made = 0;
  thread_local std::string field;
  const std::time_t now = std::time(nullptr);
  if (now == made) return field;
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[48];
  field.assign(text, std::strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc));
  made = now;
  return field;
}

std::string ResponseHead(const Response& response, bool keep_alive, const std::string& allowed_origin) {
  std::string head = absl::StrCat("HTTP/1.1 ", response.status, " ", ToAbsl(StatusText(response.status)), "\r\n");
  head.append(DateField());
  if (response.status != 204) absl::StrAppend(&head, "Content-Length: ", response.body.size(), "\r\n");
  if (!response.body.empty()) absl::StrAppend(&head, "Content-Type: ", response.content_type, "\r\n");
  if (!response.allow.empty()) absl::StrAppend(&head, "Allow: ", response.allow, "\r\n");
  if (response.retry_after_seconds > 0) absl::StrAppend(&head, "Retry-After: ", response.retry_after_seconds, "\r\n");
  if (!allowed_origin.empty()) {
    absl::StrAppend(&head, "Access-Control-Allow-Origin: ", allowed_origin, "\r\nVary: Origin\r\n");
    if (response.status == 204) {
      absl::StrAppend(&head, "Access-Control-Allow-Methods: ", response.allow,
                      "\r\nAccess-Control-Allow-Headers: Authorization, Content-Type, X-Chroma-Token\r\n"
                      "Access-Control-Max-Age: 600\r\n");
    }
  }
  if (!keep_alive) head.append("Connection: close\r\n");
  return head.append("\r\n");
}

template <typename Stream>
constexpr bool kIsTls = !std::is_same_v<Stream, beast::tcp_stream>;

template <typename Stream>
class Connection final : public Session, public std::enable_shared_from_this<Connection<Stream>> {
 public:
  template <typename... Arguments>
  explicit Connection(SessionShared& shared, Arguments&&... arguments)
      : shared_(shared),
        stream_(std::forward<Arguments>(arguments)...),
        timer_(Lowest().get_executor()),
        buffer_(kReadBufferBytes) {}

  asio::awaitable<void> Run() override {
    const auto self = this->shared_from_this();
    try {
      buffer_.reserve(kReadBufferBytes);
      if (co_await Handshake()) {
        while (co_await ServeOne() && !draining_) {
        }
      }
    } catch (const std::exception& e) {
      // Cancelled, or out of memory: the connection is closed either way.
      LogDebug(absl::StrCat("connection ended: ", e.what()));
    }
    Lowest().close();
  }

  void Drain() override {
    asio::dispatch(Lowest().get_executor(), [self = this->shared_from_this()] {
      self->draining_ = true;
      if (self->idle_) self->Lowest().cancel();
    });
  }

  void Cancel() override {
    asio::dispatch(Lowest().get_executor(), [self = this->shared_from_this()] {
      self->draining_ = true;
      self->Lowest().close();
    });
  }

 private:
  beast::tcp_stream& Lowest() { return beast::get_lowest_layer(stream_); }

  // What is waited for from now on is cancelled after `timeout`, and late_ says so: an answer can still be sent. Should
  // the cancellation come between two steps of a read, the socket is closed a little later.
  void Limit(std::chrono::milliseconds timeout) {
    late_ = false;
    deadline_ = std::chrono::steady_clock::now() + timeout;
    // A timer that goes off too early is set again. So most requests set none.
    if (!timer_set_ || deadline_ < timer_.expiry()) SetTimer();
  }

  void EndLimit() { deadline_ = kNever; }

  void SetTimer() {
    timer_set_ = true;
    timer_.expires_at(deadline_);
    timer_.async_wait([weak = this->weak_from_this()](const error_code& error) {
      if (const auto self = weak.lock(); !error && self != nullptr) self->TimeIsUp();
    });
  }

  void TimeIsUp() {
    timer_set_ = false;
    if (deadline_ == kNever) return;
    if (std::chrono::steady_clock::now() >= deadline_) {
      if (late_) return Lowest().close();
      late_ = true;
      Lowest().cancel();
      deadline_ += kLingerTimeout;
    }
    SetTimer();
  }

  asio::awaitable<bool> Handshake() {
    if constexpr (kIsTls<Stream>) {
      Limit(shared_.options.head_timeout);
      const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, kAwait);
      co_return !error;
    }
    co_return true;
  }

  std::string_view Buffered() const {
    return {static_cast<const char*>(buffer_.cdata().data()), buffer_.cdata().size()};
  }

  auto Space() { return buffer_.prepare(kReadBufferBytes - buffer_.size()); }

  // Reads until the buffer holds a whole head; its length, 0 if the connection ended, or a refusal.
  asio::awaitable<std::variant<std::size_t, Response>> ReadHead() {
    idle_ = buffer_.size() == 0;
    Limit(idle_ && served_ ? shared_.options.idle_timeout : shared_.options.head_timeout);
    while (true) {
      const std::size_t end = Buffered().find("\r\n\r\n");
      if (end != std::string_view::npos) break;
      if (buffer_.size() > kHeaderBytesMax) co_return PlainError(431, "the request's header is longer than 16 KiB");
      const auto [error, bytes] = co_await stream_.async_read_some(Space(), kAwait);
      if (late_ && buffer_.size() > 0) co_return PlainError(408, "the header came too slowly");
      if (error || late_ || (idle_ && draining_)) co_return std::size_t{0};
      buffer_.commit(bytes);
      if (std::exchange(idle_, false)) Limit(shared_.options.head_timeout);
    }
    idle_ = false;
    co_return Buffered().find("\r\n\r\n") + 4;
  }

  // One request and its response. False when the connection shall end.
  asio::awaitable<bool> ServeOne() {
    auto head_size = co_await ReadHead();
    if (auto* refusal = std::get_if<Response>(&head_size)) co_return co_await Finish(*refusal, false, "");
    if (std::get<std::size_t>(head_size) == 0) co_return false;
    const std::string raw(Buffered().substr(0, std::get<std::size_t>(head_size)));
    buffer_.consume(raw.size());
    const HeadCheck check = CheckHead(raw);
    if (check.status != 0) co_return co_await Finish(PlainError(check.status, check.reason), false, "");
    Parser parser;
    if (!Agrees(parser, raw, check)) co_return co_await Finish(PlainError(400, "malformed header"), false, "");
    co_return co_await Answer(raw, check, parser);
  }

  // Two parsers must see the same request: ours, which is stricter, and Beast's, which reads the body.
  static bool Agrees(Parser& parser, const std::string& raw, const HeadCheck& check) {
    parser.header_limit(static_cast<std::uint32_t>(kHeaderBytesMax));
    parser.body_limit(boost::none);
    error_code error;
    const std::size_t used = parser.put(asio::buffer(raw), error);
    if (error == http::error::need_more) error = {};
    if (error || used != raw.size() || !parser.is_header_done() || parser.chunked() != check.chunked) return false;
    const auto length = parser.content_length();
    return length.has_value() == check.has_content_length && (!length || *length == check.content_length) &&
           !parser.upgrade();
  }

  asio::awaitable<bool> Answer(const std::string& raw, const HeadCheck& check, Parser& parser) {
    const RequestHead head = MakeHead(raw, check);
    const std::string origin = shared_.router.AllowedOrigin(head.origin);
    const bool keep_alive = !check.http_1_0 && !ConnectionHas(raw, "close");
    auto admitted = shared_.router.Admit(head);
    if (auto* response = std::get_if<Response>(&admitted)) {
      co_return co_await Finish(*response, keep_alive && !head.has_body, origin);
    }
    auto& admission = std::get<Router::Admission>(admitted);
    MemoryShare memory(shared_.memory);
    if (head.has_body) {
      const absl::Status read = co_await ReadBody(check, parser, memory);
      if (!read.ok()) {
        if (absl::IsCancelled(read)) co_return false;
        co_return co_await Finish(BodyRefusal(admission, read), false, origin);
      }
    }
    EndLimit();
    const Response response = co_await Handle(std::move(admission), std::move(parser.get().body()), memory);
    co_return co_await Finish(response, keep_alive, origin);
  }

  asio::awaitable<Response> Handle(Router::Admission admission, std::string body, MemoryShare& memory) {
    const bool brief = Router::IsShort(admission, body);
    asio::awaitable<Response> handled = shared_.router.Handle(std::move(admission), std::move(body), memory);
    if (brief) co_return co_await std::move(handled);
    // On a strand: what ends a request early (its deadline, its client) must not meet it on another thread.
    co_return co_await asio::co_spawn(asio::make_strand(shared_.long_requests), std::move(handled),
                                      asio::use_awaitable);
  }

  Response BodyRefusal(const Router::Admission& admission, const absl::Status& status) {
    Response response = shared_.router.Refuse(admission, status);
    if (absl::IsDeadlineExceeded(status)) response.status = 408;
    return response;
  }

  // A body that the read buffer can hold. CANCELLED when the connection is gone.
  asio::awaitable<absl::Status> ReadSmallBody(std::size_t length, std::string& body) {
    while (buffer_.size() < length) {
      const auto [error, bytes] = co_await stream_.async_read_some(Space(), kAwait);
      if (late_) co_return absl::DeadlineExceededError("the body came too slowly");
      if (error) co_return absl::CancelledError("connection lost");
      buffer_.commit(bytes);
    }
    body.reserve(length + kBodySlackBytes);
    body.assign(Buffered().substr(0, length));
    buffer_.consume(length);
    co_return absl::OkStatus();
  }

  // CANCELLED when the connection is gone.
  asio::awaitable<absl::Status> ReadBody(const HeadCheck& check, Parser& parser, MemoryShare& memory) {
    const std::uint64_t bytes_max = shared_.options.body_bytes_max;
    if (check.content_length > bytes_max) co_return TooLarge(bytes_max);
    if (const absl::Status fits = memory.CouldAdd(check.content_length); !fits.ok()) co_return fits;
    Limit(shared_.options.body_timeout);
    if (check.expect_continue && buffer_.size() == 0) {
      constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      const auto [error, bytes] =
          co_await asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()), kAwait);
      if (error) co_return absl::CancelledError("connection lost");
    }
    if (!check.chunked && check.content_length <= kReadBufferBytes) {
      const absl::Status held = memory.Add(static_cast<std::int64_t>(check.content_length));
      if (!held.ok()) co_return held;
      co_return co_await ReadSmallBody(check.content_length, parser.get().body());
    }
    parser.body_limit(bytes_max);
    // Nobody needs chunk extensions, and servers differ in how they read them.
    auto no_extensions = [](std::uint64_t, boost::beast::string_view extensions, error_code& refused) {
      if (!extensions.empty()) refused = http::error::bad_chunk_extension;
    };
    parser.on_chunk_header(no_extensions);
    const auto fields = std::distance(parser.get().begin(), parser.get().end());
    std::uint64_t total = 0;
    std::size_t counted = 0;
    while (!parser.is_done()) {
      const auto [error, bytes] = co_await http::async_read_some(stream_, buffer_, parser, kAwait);
      if (late_) co_return absl::DeadlineExceededError("the body came too slowly");
      if (error) co_return BodyError(error, bytes_max);
      total += bytes;
      if (total > bytes_max + kFramingBytesMax) co_return TooLarge(bytes_max);
      const std::size_t size = parser.get().body().capacity();
      const absl::Status held = memory.Add(static_cast<std::int64_t>(size - std::exchange(counted, size)));
      if (!held.ok()) co_return held;
    }
    if (std::distance(parser.get().begin(), parser.get().end()) != fields) {
      co_return absl::InvalidArgumentError("header fields behind the body (trailers) are not accepted");
    }
    co_return absl::OkStatus();
  }

  static absl::Status BodyError(const error_code& error, std::uint64_t bytes_max) {
    if (error == http::error::body_limit) return TooLarge(bytes_max);
    if (error.category() == make_error_code(http::error::bad_chunk).category() && error != http::error::end_of_stream &&
        error != http::error::partial_message) {
      return absl::InvalidArgumentError(absl::StrCat("malformed chunked body: ", error.message()));
    }
    return absl::CancelledError("connection lost");
  }

  // Writes the response. True if the connection may serve another request.
  asio::awaitable<bool> Finish(const Response& response, bool keep_alive, const std::string& origin) {
    served_ = true;
    const bool keep = keep_alive && !response.close && !draining_;
    const std::string head = ResponseHead(response, keep, origin);
    const std::array<asio::const_buffer, 2> parts = {asio::buffer(head), asio::buffer(response.body)};
    Limit(shared_.options.write_timeout + std::chrono::seconds(response.body.size() >> 20));
    const auto [error, bytes] = co_await asio::async_write(stream_, parts, kAwait);
    if (error) co_return false;
    if (!keep) co_await Linger();
    co_return keep;
  }

  asio::awaitable<void> Linger() {
    Limit(kLingerTimeout);
    if constexpr (kIsTls<Stream>) {
      const auto [ignored] = co_await stream_.async_shutdown(kAwait);
      co_return;
    }
    error_code error;
    Lowest().socket().shutdown(asio::ip::tcp::socket::shutdown_send, error);
    buffer_.clear();
    for (std::size_t total = 0; !error && total < kLingerBytesMax;) {
      const auto [failed, bytes] = co_await stream_.async_read_some(buffer_.prepare(kReadBufferBytes), kAwait);
      error = failed;
      total += bytes;
    }
  }

  SessionShared& shared_;
  Stream stream_;
  asio::steady_timer timer_;
  beast::flat_buffer buffer_;
  // All below, and the above, only on the connection's thread.
  std::chrono::steady_clock::time_point deadline_ = kNever;
  bool timer_set_ = false;
  bool draining_ = false;
  bool idle_ = false;
  bool served_ = false;
  bool late_ = false;
};

}  // namespace

std::shared_ptr<Session> MakeSession(asio::ip::tcp::socket socket, asio::ssl::context* tls, SessionShared& shared) {
  if (tls == nullptr) return std::make_shared<Connection<beast::tcp_stream>>(shared, std::move(socket));
  return std::make_shared<Connection<beast::ssl_stream<beast::tcp_stream>>>(shared, std::move(socket), *tls);
}

}  // namespace omics::gateway
