#include "gateway/query_socket_client.h"

#include <google/rpc/status.pb.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "base/query_socket.h"
#include "base/unix_socket.h"
#include "gateway/service_status.h"

namespace omics::gateway {
namespace {

namespace asio = boost::asio;
using Socket = asio::local::stream_protocol::socket;
using boost::system::error_code;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// An answer of ten hits.
constexpr std::size_t kReplyBytes = std::size_t{16} << 10;
// A service that was not there is looked for again after this.
constexpr std::chrono::seconds kAbsence{1};

std::string Frame(const CallContext& context, const pb::QueryRequest& request) {
  QueryRequestHeader header;
  if (context.deadline != kNoDeadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(context.deadline - std::chrono::steady_clock::now());
    header.deadline_ms = static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(left.count(), 1, std::numeric_limits<std::uint32_t>::max()));
  }
  header.token_bytes = static_cast<std::uint32_t>(context.token.size());
  header.message_bytes = static_cast<std::uint32_t>(request.ByteSizeLong());
  std::string frame;
  frame.reserve(sizeof(header) + header.token_bytes + header.message_bytes);
  frame.append(reinterpret_cast<const char*>(&header), sizeof(header)).append(context.token);
  request.AppendToString(&frame);
  return frame;
}

absl::StatusOr<pb::QueryResponse> ReadReply(const QueryReplyHeader& header, const char* message) {
  const int bytes = static_cast<int>(header.message_bytes);
  if (header.code != 0) {
    google::rpc::Status status;
    if (!status.ParseFromArray(message, bytes)) return absl::InternalError("the service's error cannot be read");
    return FromRpcStatus(status);
  }
  absl::StatusOr<pb::QueryResponse> response{pb::QueryResponse()};
  if (!response->ParseFromArray(message, bytes)) return absl::InternalError("the service's answer cannot be read");
  return response;
}

// Sends the frame and reads the reply; nothing if the connection ended before.
asio::awaitable<std::optional<absl::StatusOr<pb::QueryResponse>>> Exchange(Socket& socket, const std::string& frame) {
  const auto [unsent, sent] = co_await asio::async_write(socket, asio::buffer(frame), kAwait);
  if (unsent) co_return std::nullopt;
  std::vector<char> buffer(kReplyBytes);
  QueryReplyHeader header;
  std::size_t have = 0;
  for (std::size_t wanted = sizeof(header); have < wanted;) {
    const auto [error, got] =
        co_await socket.async_read_some(asio::buffer(buffer.data() + have, buffer.size() - have), kAwait);
    if (error) co_return std::nullopt;
    have += got;
    if (wanted > sizeof(header) || have < wanted) continue;
    std::memcpy(&header, buffer.data(), sizeof(header));
    if (header.message_bytes > kQuerySocketReplyBytesMax) co_return std::nullopt;
    wanted += header.message_bytes;
    if (buffer.size() < wanted) buffer.resize(wanted);
  }
  if (have != sizeof(header) + header.message_bytes) co_return std::nullopt;
  co_return ReadReply(header, buffer.data() + sizeof(header));
}

}  // namespace

QuerySocketClient::QuerySocketClient(std::string path) : path_(std::move(path)) {}

asio::awaitable<std::optional<absl::StatusOr<pb::QueryResponse>>> QuerySocketClient::Query(
    const CallContext& context, const pb::QueryRequest& request) {
  const std::string frame = Frame(context, request);
  if (frame.size() > kQuerySocketRequestBytesMax || context.token.size() > kQuerySocketTokenBytesMax) {
    co_return std::nullopt;
  }
  FileDescriptor taken = Take();
  if (taken.get() < 0) co_return std::nullopt;
  const auto executor = co_await asio::this_coro::executor;
  const auto socket = std::make_shared<Socket>(executor, asio::local::stream_protocol(), taken.Release());
  asio::steady_timer timer(executor);
  if (context.deadline != kNoDeadline) {
    timer.expires_at(context.deadline);
    timer.async_wait([weak = std::weak_ptr(socket)](const error_code& cancelled) {
      error_code ignored;
      if (const auto late = weak.lock(); !cancelled && late != nullptr) late->cancel(ignored);
    });
  }
  auto reply = co_await Exchange(*socket, frame);
  if (reply) {
    GiveBack(FileDescriptor(socket->release()));
  } else if (Expired(context.deadline)) {
    co_return absl::DeadlineExceededError("the service did not answer in time");
  }
  co_return reply;
}

FileDescriptor QuerySocketClient::Take() {
  {
    const MutexLock lock(mutex_);
    if (!idle_.empty()) {
      FileDescriptor last = std::move(idle_.back());
      idle_.pop_back();
      return last;
    }
  }
  const TimePoint now = std::chrono::steady_clock::now();
  if (now.time_since_epoch().count() < absent_until_) return FileDescriptor();
  FileDescriptor socket = Connect();
  if (socket.get() < 0) absent_until_ = (now + kAbsence).time_since_epoch().count();
  return socket;
}

FileDescriptor QuerySocketClient::Connect() {
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // It is there at once or not at all: who listens need not have accepted.
  return ConnectUnixSocket(socket.get(), path_) == 0 ? std::move(socket) : FileDescriptor();
}

void QuerySocketClient::GiveBack(FileDescriptor socket) {
  const MutexLock lock(mutex_);
  if (idle_.size() < kIdleQueryConnectionsMax) idle_.push_back(std::move(socket));
}

}  // namespace omics::gateway
