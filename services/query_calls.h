// Query, the call that comes most often and is over soonest, on a completion queue of its own: the thread that takes a
// request off the queue also answers it, so that no thread has to be woken for it. All other RPCs, whose handlers may
// wait for a disk or a client, run on the threads of gRPC's synchronous server and never keep a query waiting.
// docs/adr/0008-grpc-threading.md has the measurements.
//
// A query may be long (an exact scan), so when all threads are at work one more is started, up to kQueryThreadsMax;
// they stay. Beyond, requests wait in gRPC.
#pragma once

#include <google/protobuf/arena.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "services/guard.h"
#include "services/vector_handlers.h"
#include "services/vector_service_impl.h"

namespace omics::services {

inline constexpr int kQueryThreadsMax = 64;

// Thread safety: the members are called by one thread.
class QueryCalls {
 public:
  // All are borrowed and must outlive this object. `service` is to be registered with `builder` as well.
  QueryCalls(VectorServiceImpl& service, Guard& guard, const VectorHandlers& handlers, grpc::ServerBuilder& builder);

  // The server must have been shut down before, and must still exist.
  ~QueryCalls();

  // Answers from now on, to begin with on `threads` threads. The server must have been started.
  void Start(int threads);

 private:
  class Call;

  // What a completion queue's tag points to.
  struct Event {
    Call* call;
    void (Call::*handle)(bool ok);
  };

  void Serve();
  void AddThread();
  void WaitForRequest(Call& call);

  VectorServiceImpl& service_;
  Guard& guard_;
  const VectorHandlers& handlers_;
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::atomic<int> working_{0};
  std::atomic<int> thread_count_{0};

  Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace omics::services
