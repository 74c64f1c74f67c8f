#include "services/query_socket.h"

#include <google/protobuf/arena.h>
#include <grpcpp/support/status.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/query_socket.h"
#include "base/status.h"
#include "services/listen.h"
#include "services/status_to_grpc.h"

namespace omics::services {
namespace {

// A request of 1,536 floats, or an answer of ten hits. A buffer that had to grow a lot is not kept.
constexpr std::size_t kBufferBytes = std::size_t{16} << 10;
constexpr std::size_t kBufferBytesKept = std::size_t{256} << 10;
// For an answer of which the gateway takes nothing.
constexpr timeval kSendTimeout{.tv_sec = 30, .tv_usec = 0};
// When accepting fails (out of descriptors), until the next try.
constexpr std::chrono::milliseconds kAcceptPause{100};

bool SendAll(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// A request as it lies in the buffer it was received into.
struct Received {
  QueryRequestHeader header;
  std::string_view token;
  std::string_view message;
};

// False if the connection has ended, or what came is no request.
bool Receive(int socket, std::vector<char>& buffer, Received& received) {
  std::size_t have = 0;
  std::size_t wanted = sizeof(QueryRequestHeader);
  while (have < wanted) {
    const ssize_t got = recv(socket, buffer.data() + have, buffer.size() - have, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    have += static_cast<std::size_t>(got);
    if (wanted > sizeof(QueryRequestHeader) || have < wanted) continue;
    std::memcpy(&received.header, buffer.data(), sizeof(QueryRequestHeader));
    const auto& [deadline_ms, token_bytes, message_bytes] = received.header;
    if (token_bytes > kQuerySocketTokenBytesMax || message_bytes > kQuerySocketRequestBytesMax) return false;
    wanted += token_bytes + message_bytes;
    if (buffer.size() < wanted) buffer.resize(wanted);
  }
  received.token = {buffer.data() + sizeof(QueryRequestHeader), received.header.token_bytes};
  received.message = {received.token.data() + received.token.size(), received.header.message_bytes};
  return have == wanted;
}

// Puts a reply into the buffer, which has room for more when it comes back.
template <typename FillMessage>
std::string_view Reply(std::uint32_t code, std::size_t message_bytes, std::vector<char>& buffer, FillMessage fill) {
  const QueryReplyHeader header = {code, static_cast<std::uint32_t>(message_bytes)};
  const std::size_t bytes = sizeof(header) + message_bytes;
  if (buffer.size() < bytes) buffer.resize(bytes);
  std::memcpy(buffer.data(), &header, sizeof(header));
  fill(buffer.data() + sizeof(header));
  return {buffer.data(), bytes};
}

std::string_view Reply(const absl::Status& status, const pb::QueryResponse& response, std::vector<char>& buffer) {
  if (status.ok()) {
    return Reply(0, response.ByteSizeLong(), buffer, [&response](char* place) {
      response.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(place));
    });
  }
  const std::string details = ToGrpc(status).error_details();
  return Reply(static_cast<std::uint32_t>(status.code()), details.size(), buffer,
               [&details](char* place) { details.copy(place, details.size()); });
}

}  // namespace

class QuerySocket::Connection {
 public:
  Connection(FileDescriptor socket, Guard& guard, const VectorHandlers& handlers)
      : socket_(std::move(socket)), guard_(guard), handlers_(handlers), thread_([this] { Run(); }) {}

  ~Connection() {
    shutdown(socket_.get(), SHUT_RD);
    thread_.join();
  }

  bool ended() const { return ended_; }

 private:
  void Run() {
    try {
      Serve();
    } catch (const std::bad_alloc&) {
      LogError("out of memory for a query: its connection is closed");
    }
    shutdown(socket_.get(), SHUT_RDWR);
    ended_ = true;
  }

  void Serve() {
    setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout, sizeof(kSendTimeout));
    std::vector<char> buffer(kBufferBytes);
    std::vector<char> block(kBufferBytes);
    google::protobuf::ArenaOptions start;
    start.initial_block = block.data();
    start.initial_block_size = block.size();
    google::protobuf::Arena arena(start);
    Received received;
    while (Receive(socket_.get(), buffer, received)) {
      auto& response = *google::protobuf::Arena::CreateMessage<pb::QueryResponse>(&arena);
      const absl::Status status = Answer(received, arena, response);
      if (!SendAll(socket_.get(), Reply(status, response, buffer))) return;
      arena.Reset();
      if (buffer.size() > kBufferBytesKept) buffer = std::vector<char>(kBufferBytes);
    }
  }

  absl::Status Answer(const Received& received, google::protobuf::Arena& arena, pb::QueryResponse& response) {
    auto& request = *google::protobuf::Arena::CreateMessage<pb::QueryRequest>(&arena);
    const auto cancelled = [this] { return ClientGone(); };
    Caller caller{std::string(received.token), kNoDeadline, cancelled};
    if (received.header.deadline_ms > 0) {
      caller.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(received.header.deadline_ms);
    }
    return guard_.Run(caller, "Query", [&](const Call& call) -> absl::Status {
      if (!request.ParseFromArray(received.message.data(), static_cast<int>(received.message.size()))) {
        return absl::InvalidArgumentError("the request is no QueryRequest");
      }
      return handlers_.Query(request, call, response);
    });
  }

  // Between a request and its reply nothing is sent, so what can be read then is the end.
  bool ClientGone() const {
    char byte = 0;
    return recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
  }

  const FileDescriptor socket_;
  Guard& guard_;
  const VectorHandlers& handlers_;
  std::atomic<bool> ended_ = false;
  std::thread thread_;  // last: starts when everything else is there
};

absl::StatusOr<std::unique_ptr<QuerySocket>> QuerySocket::Listen(const std::string& grpc_socket, Guard& guard,
                                                                 const VectorHandlers& handlers) {
  std::string path = QuerySocketPath(grpc_socket);
  OMICS_ASSIGN_OR_RETURN(FileDescriptor socket, ListenOnUnixSocket(path));
  return std::unique_ptr<QuerySocket>(new QuerySocket(std::move(path), std::move(socket), guard, handlers));
}

QuerySocket::QuerySocket(std::string path, FileDescriptor socket, Guard& guard, const VectorHandlers& handlers)
    : path_(std::move(path)), socket_(std::move(socket)), guard_(guard), handlers_(handlers), acceptor_([this] {
        Accept();
      }) {}

QuerySocket::~QuerySocket() {
  unlink(path_.c_str());
  shutdown(socket_.get(), SHUT_RDWR);
  acceptor_.join();
  connections_.clear();
}

void QuerySocket::Accept() {
  while (true) {
    FileDescriptor accepted(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (accepted.get() >= 0) {
      Admit(std::move(accepted));
    } else if (errno == EINVAL) {
      return;  // shut down
    } else if (errno != EINTR && errno != ECONNABORTED) {
      LogWarning(ErrnoStatus(errno, "accept a gateway's connection").ToString());
      std::this_thread::sleep_for(kAcceptPause);
    }
  }
}

void QuerySocket::Admit(FileDescriptor accepted) {
  connections_.remove_if([](const Connection& connection) { return connection.ended(); });
  if (connections_.size() >= kQueryConnectionsMax) return;
  try {
    connections_.emplace_back(std::move(accepted), guard_, handlers_);
  } catch (const std::system_error& error) {
    LogWarning(absl::StrCat("no thread for a gateway's connection: ", error.what()));
  }
}

}  // namespace omics::services
