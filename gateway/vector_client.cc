#include "gateway/vector_client.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <utility>

#include "base/status.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "omics/vector/v1/admin_service.grpc.pb.h"
#include "omics/vector/v1/vector_service.grpc.pb.h"

namespace omics::gateway {
namespace {

namespace asio = boost::asio;
using Done = std::function<void(grpc::Status)>;

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status rich;
  if (!rich.ParseFromString(status.error_details())) return result;
  google::rpc::ErrorInfo info;
  for (const auto& detail : rich.details()) {
    if (detail.Is<google::rpc::ErrorInfo>() && detail.UnpackTo(&info)) return WithReason(result, info.reason());
  }
  return result;
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
    // std::function wants something that can be copied, and the executor must stay busy until the answer comes.
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    auto work = asio::make_work_guard(asio::get_associated_executor(*shared));
    start(Done([shared, work](grpc::Status status) {
      asio::post(work.get_executor(), [shared, status = std::move(status)] { std::move (*shared)(status); });
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

template <typename Stub, typename Request, typename Response>
using Method = void (Stub::*)(grpc::ClientContext*, const Request*, Response*, Done);

template <typename Stub, typename Request, typename Response>
Reply<Response> Once(Stub* stub, Method<Stub, Request, Response> method, const CallContext& context,
                     const Request& request) {
  auto attempt = std::make_shared<Attempt<Response>>();
  Prepare(context, attempt->client);
  auto start = [attempt, stub, method, &request](Done done) {
    (stub->*method)(&attempt->client, &request, &attempt->response, std::move(done));
  };
  std::shared_ptr<grpc::ClientContext> client(attempt, &attempt->client);
  const grpc::Status status = co_await Await(std::move(client), std::move(start));
  if (!status.ok()) co_return FromGrpc(status);
  co_return std::move(attempt->response);
}

// For calls that change nothing.
template <typename Stub, typename Request, typename Response>
Reply<Response> Idempotent(Stub* stub, Method<Stub, Request, Response> method, const CallContext& context,
                           const Request& request) {
  absl::StatusOr<Response> reply = co_await Once(stub, method, context, request);
  // A service that is loading or draining says NOT_READY itself: asking again at once would change nothing.
  const bool again = absl::IsUnavailable(reply.status()) && Reason(reply.status()).empty();
  if (again && !Expired(context.deadline)) reply = co_await Once(stub, method, context, request);
  co_return reply;
}

// Writes the messages one after the other, then calls `done`. Deletes itself.
class InsertStream final : public grpc::ClientWriteReactor<pb::InsertRequest> {
 public:
  InsertStream(pb::VectorService::StubInterface::async_interface* stub, grpc::ClientContext& client,
               pb::InsertResponse& response, const std::vector<pb::InsertRequest>& messages, Done done)
      : messages_(messages), done_(std::move(done)) {
    stub->Insert(&client, &response, this);
    Next();
    StartCall();
  }

  void OnWriteDone(bool ok) override {
    if (ok && next_ < messages_.size()) Next();
  }

  void OnDone(const grpc::Status& status) override {
    const Done done = std::move(done_);
    delete this;
    done(status);
  }

 private:
  void Next() {
    const pb::InsertRequest& message = messages_[next_++];
    if (next_ == messages_.size()) {
      StartWriteLast(&message, grpc::WriteOptions());
    } else {
      StartWrite(&message);
    }
  }

  const std::vector<pb::InsertRequest>& messages_;
  Done done_;
  std::size_t next_ = 0;
};

}  // namespace

struct VectorClient::Impl {
  explicit Impl(const std::string& address)
      : channel(Dial(address)),
        vector(pb::VectorService::NewStub(channel)),
        admin(pb::AdminService::NewStub(channel)),
        health(grpc::health::v1::Health::NewStub(channel)) {}

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<pb::VectorService::Stub> vector;
  std::unique_ptr<pb::AdminService::Stub> admin;
  std::unique_ptr<grpc::health::v1::Health::Stub> health;
};

VectorClient::VectorClient(const std::string& address) : impl_(std::make_unique<Impl>(address)) {}
VectorClient::~VectorClient() = default;

// One definition for each call: which stub has it, and whether it may be tried again.
#define OMICS_GATEWAY_CALL(Name, stub, Policy)                                                                       \
  Reply<pb::Name##Response> VectorClient::Call(const CallContext& context, const pb::Name##Request& request) {       \
    using Async = std::remove_pointer_t<decltype(impl_->stub->async())>;                                             \
    return Policy(impl_->stub->async(), Method<Async, pb::Name##Request, pb::Name##Response>(&Async::Name), context, \
                  request);                                                                                          \
  }

OMICS_GATEWAY_CALL(CreateCollection, vector, Once)
OMICS_GATEWAY_CALL(GetCollection, vector, Idempotent)
OMICS_GATEWAY_CALL(ListCollections, vector, Idempotent)
OMICS_GATEWAY_CALL(UpdateCollection, vector, Once)
OMICS_GATEWAY_CALL(DeleteCollection, vector, Once)
OMICS_GATEWAY_CALL(Upsert, vector, Once)
OMICS_GATEWAY_CALL(Update, vector, Once)
OMICS_GATEWAY_CALL(Delete, vector, Once)
OMICS_GATEWAY_CALL(Get, vector, Idempotent)
OMICS_GATEWAY_CALL(Count, vector, Idempotent)
OMICS_GATEWAY_CALL(Query, vector, Idempotent)
OMICS_GATEWAY_CALL(GetIdentity, admin, Idempotent)
OMICS_GATEWAY_CALL(CreateTenant, admin, Once)
OMICS_GATEWAY_CALL(GetTenant, admin, Idempotent)
OMICS_GATEWAY_CALL(CreateDatabase, admin, Once)
OMICS_GATEWAY_CALL(GetDatabase, admin, Idempotent)
OMICS_GATEWAY_CALL(ListDatabases, admin, Idempotent)
OMICS_GATEWAY_CALL(DeleteDatabase, admin, Once)
OMICS_GATEWAY_CALL(Reset, admin, Once)

#undef OMICS_GATEWAY_CALL

Reply<pb::InsertResponse> VectorClient::Insert(const CallContext& context,
                                               const std::vector<pb::InsertRequest>& messages) {
  auto attempt = std::make_shared<Attempt<pb::InsertResponse>>();
  Prepare(context, attempt->client);
  auto start = [attempt, stub = impl_->vector->async(), &messages](Done done) {
    new InsertStream(stub, attempt->client, attempt->response, messages, std::move(done));
  };
  std::shared_ptr<grpc::ClientContext> client(attempt, &attempt->client);
  const grpc::Status status = co_await Await(std::move(client), std::move(start));
  if (!status.ok()) co_return FromGrpc(status);
  co_return std::move(attempt->response);
}

asio::awaitable<absl::Status> VectorClient::CheckHealth(const CallContext& context) {
  using Async = std::remove_pointer_t<decltype(impl_->health->async())>;
  using Request = grpc::health::v1::HealthCheckRequest;
  using Response = grpc::health::v1::HealthCheckResponse;
  const Request request;
  const absl::StatusOr<Response> reply =
      co_await Once(impl_->health->async(), Method<Async, Request, Response>(&Async::Check), context, request);
  if (!reply.ok()) co_return reply.status();
  if (reply->status() == Response::SERVING) co_return absl::OkStatus();
  co_return WithReason(absl::UnavailableError("the service is not ready"), "NOT_READY");
}

}  // namespace omics::gateway
