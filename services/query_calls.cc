#include "services/query_calls.h"

#include <grpcpp/support/async_unary_call.h>

#include <array>
#include <optional>

namespace omics::services {
namespace {

// A request of 1,536 floats and an answer of ten hits; larger ones take further blocks.
constexpr std::size_t kArenaBytes = std::size_t{16} << 10;

google::protobuf::ArenaOptions StartingWith(char* block, std::size_t bytes) {
  google::protobuf::ArenaOptions options;
  options.initial_block = block;
  options.initial_block_size = bytes;
  return options;
}

}  // namespace

// One query at a time: waits for a request, answers it, and waits for the next once gRPC is done with both the answer
// and the call.
class QueryCalls::Call {
 public:
  explicit Call(QueryCalls& owner) : owner_(owner), arena_(StartingWith(block_.data(), block_.size())) {}

  // To be followed by Wait().
  void Prepare() {
    writer_.reset();
    arena_.Reset();
    request_ = google::protobuf::Arena::CreateMessage<pb::QueryRequest>(&arena_);
    response_ = google::protobuf::Arena::CreateMessage<pb::QueryResponse>(&arena_);
    context_.emplace();
    // Without it, nobody may ask the context whether the client is still there.
    context_->AsyncNotifyWhenDone(&ended_);
    writer_.emplace(&*context_);
    left_ = 2;
  }

  void Wait() {
    owner_.service_.RequestQuery(&*context_, request_, &*writer_, owner_.queue_.get(), owner_.queue_.get(),
                                 &requested_);
  }

 private:
  void Answer(bool ok) {
    if (!ok) return;  // the server is shutting down
    if (++owner_.working_ == owner_.thread_count_) owner_.AddThread();
    const grpc::Status status = owner_.guard_.Run(*context_, "Query", [this](const services::Call& call) {
      return owner_.handlers_.Query(*request_, call, *response_);
    });
    --owner_.working_;
    if (status.ok()) {
      writer_->Finish(*response_, status, &answered_);
    } else {
      writer_->FinishWithError(status, &answered_);
    }
  }

  // The answer is sent, or the call has ended: whichever is the second.
  void Release(bool) {
    if (--left_ == 0) owner_.WaitForRequest(*this);
  }

  QueryCalls& owner_;
  std::array<char, kArenaBytes> block_;
  google::protobuf::Arena arena_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncResponseWriter<pb::QueryResponse>> writer_;
  pb::QueryRequest* request_ = nullptr;
  pb::QueryResponse* response_ = nullptr;
  std::atomic<int> left_{0};
  Event requested_{this, &Call::Answer};
  Event answered_{this, &Call::Release};
  Event ended_{this, &Call::Release};
};

QueryCalls::QueryCalls(VectorServiceImpl& service, Guard& guard, const VectorHandlers& handlers,
                       grpc::ServerBuilder& builder)
    : service_(service), guard_(guard), handlers_(handlers), queue_(builder.AddCompletionQueue()) {}

QueryCalls::~QueryCalls() {
  std::vector<std::thread> threads;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  queue_->Shutdown();
  for (std::thread& thread : threads) thread.join();
  if (threads.empty()) Serve();
}

void QueryCalls::Start(int threads) {
  for (int i = 0; i < kQueryThreadsMax; ++i) {
    calls_.push_back(std::make_unique<Call>(*this));
    calls_.back()->Prepare();
    calls_.back()->Wait();
  }
  for (int i = 0; i < threads; ++i) AddThread();
}

void QueryCalls::Serve() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {
    const Event& event = *static_cast<Event*>(tag);
    (event.call->*event.handle)(ok);
  }
}

void QueryCalls::AddThread() {
  const MutexLock lock(mutex_);
  if (stopping_ || threads_.size() == kQueryThreadsMax) return;
  ++thread_count_;
  threads_.emplace_back([this] { Serve(); });
}

void QueryCalls::WaitForRequest(Call& call) {
  call.Prepare();
  const MutexLock lock(mutex_);
  if (!stopping_) call.Wait();
}

}  // namespace omics::services
