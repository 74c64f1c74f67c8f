#include "gateway/vector_client.h"

#include <google/rpc/status.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <thread>
#include <utility>

#include "base/query_socket.h"
#include "base/status.h"
#include "gateway/query_socket_client.h"
#include "gateway/service_status.h"
#include "grpc/health/v1/health.pb.h"
#include "omics/vector/v1/vector_service.grpc.pb.h"

namespace omics::gateway {
namespace {

namespace asio = boost::asio;
using Done = std::function<void(const grpc::Status&)>;  // called once

// What a tag of the completion queue points to. Deletes itself with its last event, in Tell().
class Operation {
 public:
  virtual void Event(bool ok) = 0;

 protected:
  virtual ~Operation() = default;
};

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  google::rpc::Status rich;
  rich.ParseFromString(status.error_details());
  // What gRPC itself found out comes without details.
  rich.set_code(status.error_code());
  rich.set_message(status.error_message());
  return FromRpcStatus(rich);
}

std::shared_ptr<grpc::Channel> Dial(const std::string& address) {
  // A connection that is silently dead is noticed; the service accepts pings of ten seconds and more.
  constexpr int kPingIntervalMs = 20'000;
  constexpr int kPingTimeoutMs = 5'000;
  constexpr int kReconnectMs = static_cast<int>(kConnectTimeout.count());
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kReplyBytesMax);
  arguments.SetMaxSendMessageSize(-1);  // writes are split before they come here
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kPingIntervalMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMs);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMs);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // what is tried again is decided here
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// Null for a service that is not reached by a unix socket.
std::unique_ptr<QuerySocketClient> QuerySocketOf(std::string_view address) {
  constexpr std::string_view kUnix = "unix:";
  if (!address.starts_with(kUnix)) return nullptr;
  address.remove_prefix(kUnix.size());
  if (address.starts_with("//")) address.remove_prefix(2);
  return std::make_unique<QuerySocketClient>(QuerySocketPath(address));
}

void Prepare(const CallContext& context, grpc::ClientContext& client) {
  if (!context.token.empty()) client.AddMetadata("authorization", "Bearer " + context.token);
  if (context.deadline == kNoDeadline) return;
  const auto left = context.deadline - std::chrono::steady_clock::now();
  client.set_deadline(std::chrono::system_clock::now() +
                      std::chrono::duration_cast<std::chrono::system_clock::duration>(left));
}

// Awaits the callback that `start` is given. `client` outlives the call with the callback; a cancelled coroutine
// cancels it, and the callback still comes.
template <typename Start>
asio::awaitable<grpc::Status> Await(std::shared_ptr<grpc::ClientContext> client, Start start) {
  auto initiate = [client = std::move(client), start = std::move(start)](auto handler) mutable {
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) slot.assign([client](asio::cancellation_type) { client->TryCancel(); });
    // std::function wants something that can be copied. The executor stays busy until the answer comes; what keeps it
    // so goes with the handler and ends on the executor's own thread: it may be gone right after the handler has run.
    using Handler = decltype(handler);
    struct Waiting {
      Handler handler;
      asio::executor_work_guard<asio::associated_executor_t<Handler>> work;
    };
    const auto executor = asio::get_associated_executor(handler);
    auto waiting = std::make_shared<Waiting>(Waiting{std::move(handler), asio::make_work_guard(executor)});
    start(Done([waiting = std::move(waiting), executor](const grpc::Status& status) mutable {
      asio::post(executor, [waiting = std::move(waiting), status] { std::move(waiting->handler)(status); });
    }));
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(grpc::Status)>(std::move(initiate),
                                                                                 asio::use_awaitable);
}

// All that must live until the callback has come.
template <typename Response>
struct Attempt {
  grpc::ClientContext client;
  Response response;
};

// The end of an operation. gRPC keeps `call` in memory of the client context, which goes as soon as `done` is told: so
// `call` goes first.
template <typename Ended, typename Call>
void Tell(Ended* operation, std::unique_ptr<Call>& call, const Done& done, const grpc::Status& status) {
  call.reset();
  done(status);
  delete operation;
}

class UnaryCall final : public Operation {
 public:
  UnaryCall(std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader, grpc::ByteBuffer& response, Done done)
      : reader_(std::move(reader)), done_(std::move(done)) {
    reader_->StartCall();
    reader_->Finish(&response, &status_, static_cast<Operation*>(this));
  }

  void Event(bool) override { Tell(this, reader_, done_, status_); }

 private:
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader_;
  grpc::Status status_;
  Done done_;
};

// The method of a unary call, by its path.
template <typename Request, typename Response>
struct Method {
  const char* path;
};

// Where calls are made, and where their ends are told.
struct Target {
  grpc::GenericStub& stub;
  grpc::CompletionQueue& queue;
};

// Answers are parsed by the thread that awaits them: the one that tells their ends has all connections to serve, and
// what it allocated would be freed by another.
template <typename Request, typename Response>
Reply<Response> Once(Target target, Method<Request, Response> method, const CallContext& context,
                     const Request& request) {
  auto attempt = std::make_shared<Attempt<grpc::ByteBuffer>>();
  Prepare(context, attempt->client);
  auto start = [attempt, target, method, &request](Done done) {
    grpc::ByteBuffer bytes;
    bool owned = false;
    grpc::Status status = grpc::SerializationTraits<Request>::Serialize(request, &bytes, &owned);
    if (!status.ok()) return done(status);
    new UnaryCall(target.stub.PrepareUnaryCall(&attempt->client, method.path, bytes, &target.queue), attempt->response,
                  std::move(done));
  };
  std::shared_ptr<grpc::ClientContext> client(attempt, &attempt->client);
  grpc::Status status = co_await Await(std::move(client), std::move(start));
  absl::StatusOr<Response> reply{Response()};
  if (status.ok()) status = grpc::SerializationTraits<Response>::Deserialize(&attempt->response, &*reply);
  if (!status.ok()) co_return FromGrpc(status);
  co_return reply;
}

// For calls that change nothing.
template <typename Request, typename Response>
Reply<Response> Idempotent(Target target, Method<Request, Response> method, const CallContext& context,
                           const Request& request) {
  absl::StatusOr<Response> reply = co_await Once(target, method, context, request);
  // A service that is loading or draining says NOT_READY itself: asking again at once would change nothing.
  const bool again = absl::IsUnavailable(reply.status()) && Reason(reply.status()).empty();
  if (again && !Expired(context.deadline)) reply = co_await Once(target, method, context, request);
  co_return reply;
}

// Writes the messages one after the other, then reads the answer. One event at a time is under way: the start, each
// write, the end.
class InsertStream final : public Operation {
 public:
  InsertStream(pb::VectorService::Stub& stub, grpc::CompletionQueue& queue, grpc::ClientContext& client,
               pb::InsertResponse& response, const std::vector<pb::InsertRequest>& messages, Done done)
      : writer_(stub.PrepareAsyncInsert(&client, &response, &queue)), messages_(messages), done_(std::move(done)) {
    writer_->StartCall(Tag());
  }

  void Event(bool ok) override {
    if (finishing_) {
      Tell(this, writer_, done_, status_);
    } else if (ok && next_ < messages_.size()) {
      Next();
    } else {
      // All is written, or the service wants no more: its status says why.
      finishing_ = true;
      writer_->Finish(&status_, Tag());
    }
  }

 private:
  void* Tag() { return static_cast<Operation*>(this); }

  void Next() {
    const pb::InsertRequest& message = messages_[next_++];
    if (next_ == messages_.size()) {
      writer_->WriteLast(message, grpc::WriteOptions(), Tag());
    } else {
      writer_->Write(message, Tag());
    }
  }

  std::unique_ptr<grpc::ClientAsyncWriter<pb::InsertRequest>> writer_;
  const std::vector<pb::InsertRequest>& messages_;
  Done done_;
  grpc::Status status_;
  std::size_t next_ = 0;
  bool finishing_ = false;
};

}  // namespace

struct VectorClient::Impl {
  explicit Impl(const std::string& address)
      : channel(Dial(address)),
        vector(pb::VectorService::NewStub(channel)),
        unary(channel),
        query_socket(QuerySocketOf(address)),
        thread([this] { TellEnds(); }) {}

  // No call is under way any more.
  ~Impl() {
    queue.Shutdown();
    thread.join();
  }

  void TellEnds() {
    void* tag = nullptr;
    bool ok = false;
    while (queue.Next(&tag, &ok)) static_cast<Operation*>(tag)->Event(ok);
  }

  Target target() { return {unary, queue}; }

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<pb::VectorService::Stub> vector;
  grpc::GenericStub unary;
  const std::unique_ptr<QuerySocketClient> query_socket;
  grpc::CompletionQueue queue;
  std::thread thread;
};

VectorClient::VectorClient(const std::string& address) : impl_(std::make_unique<Impl>(address)) {}
VectorClient::~VectorClient() = default;

// One definition for each call: which service has it, and whether it may be tried again.
#define OMICS_GATEWAY_CALL(Name, Service, Policy)                                                              \
  Reply<pb::Name##Response> VectorClient::Call(const CallContext& context, const pb::Name##Request& request) { \
    const Method<pb::Name##Request, pb::Name##Response> method{"/omics.vector.v1." #Service "/" #Name};        \
    return Policy(impl_->target(), method, context, request);                                                  \
  }

OMICS_GATEWAY_CALL(CreateCollection, VectorService, Once)
OMICS_GATEWAY_CALL(GetCollection, VectorService, Idempotent)
OMICS_GATEWAY_CALL(ListCollections, VectorService, Idempotent)
OMICS_GATEWAY_CALL(UpdateCollection, VectorService, Once)
OMICS_GATEWAY_CALL(DeleteCollection, VectorService, Once)
OMICS_GATEWAY_CALL(Upsert, VectorService, Once)
OMICS_GATEWAY_CALL(Update, VectorService, Once)
OMICS_GATEWAY_CALL(Delete, VectorService, Once)
OMICS_GATEWAY_CALL(Get, VectorService, Idempotent)
OMICS_GATEWAY_CALL(Count, VectorService, Idempotent)
OMICS_GATEWAY_CALL(GetIdentity, AdminService, Idempotent)
OMICS_GATEWAY_CALL(CreateTenant, AdminService, Once)
OMICS_GATEWAY_CALL(GetTenant, AdminService, Idempotent)
OMICS_GATEWAY_CALL(CreateDatabase, AdminService, Once)
OMICS_GATEWAY_CALL(GetDatabase, AdminService, Idempotent)
OMICS_GATEWAY_CALL(ListDatabases, AdminService, Idempotent)
OMICS_GATEWAY_CALL(DeleteDatabase, AdminService, Once)
OMICS_GATEWAY_CALL(Reset, AdminService, Once)

#undef OMICS_GATEWAY_CALL

Reply<pb::QueryResponse> VectorClient::Call(const CallContext& context, const pb::QueryRequest& request) {
  if (impl_->query_socket) {
    auto reply = co_await impl_->query_socket->Query(context, request);
    if (reply) co_return *std::move(reply);
  }
  const Method<pb::QueryRequest, pb::QueryResponse> method{"/omics.vector.v1.VectorService/Query"};
  co_return co_await Idempotent(impl_->target(), method, context, request);
}

Reply<pb::InsertResponse> VectorClient::Insert(const CallContext& context,
                                               const std::vector<pb::InsertRequest>& messages) {
  auto attempt = std::make_shared<Attempt<pb::InsertResponse>>();
  Prepare(context, attempt->client);
  auto start = [attempt, impl = impl_.get(), &messages](Done done) {
    new InsertStream(*impl->vector, impl->queue, attempt->client, attempt->response, messages, std::move(done));
  };
  std::shared_ptr<grpc::ClientContext> client(attempt, &attempt->client);
  const grpc::Status status = co_await Await(std::move(client), std::move(start));
  if (!status.ok()) co_return FromGrpc(status);
  co_return std::move(attempt->response);
}

asio::awaitable<absl::Status> VectorClient::CheckHealth(const CallContext& context) {
  using Request = grpc::health::v1::HealthCheckRequest;
  using Response = grpc::health::v1::HealthCheckResponse;
  const Method<Request, Response> method{"/grpc.health.v1.Health/Check"};
  const Request request;
  const absl::StatusOr<Response> reply = co_await Once(impl_->target(), method, context, request);
  if (!reply.ok()) co_return reply.status();
  if (reply->status() == Response::SERVING) co_return absl::OkStatus();
  co_return WithReason(absl::UnavailableError("the service is not ready"), "NOT_READY");
}

}  // namespace omics::gateway
