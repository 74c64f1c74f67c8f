// What stands at the head of every handler of both services: may this call be made, and how did it end.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "base/tokens.h"

namespace grpc {
class ServerContext;
class Status;
}  // namespace grpc

namespace omics::services {

// An admitted call. Lives as long as its handler runs.
struct Call {
  Principal principal;
  Deadline deadline = kNoDeadline;
  grpc::ServerContext& context;

  // True once the client gave up or its connection broke.
  bool cancelled() const;
};

// Thread safety: all members may be called from any thread.
class Guard {
 public:
  // Both are borrowed and must outlive the guard.
  Guard(const LiveTokens& tokens, Metrics& metrics) : tokens_(tokens), metrics_(metrics) {}

  // Runs `work` if the service is not draining, the deadline has not passed, and the call carries a token (metadata
  // `authorization` or `x-chroma-token`, in any of Chroma's spellings) that the rule of `rpc` lets in (authorize.h);
  // otherwise says what is missing (UNAVAILABLE NOT_READY, DEADLINE_EXCEEDED, UNAUTHENTICATED, PERMISSION_DENIED).
  // Counts and times the call either way, under the name `rpc`. An exception out of `work` becomes INTERNAL, or
  // RESOURCE_EXHAUSTED if memory ran out.
  grpc::Status Run(grpc::ServerContext& context, std::string_view rpc,
                   absl::FunctionRef<absl::Status(const Call&)> work);

  // Asks `check` before the work of every RPC that changes something (authorize.h), and again after it, before the
  // caller hears of it; its error is the answer then, though the change may have been made. Call it before the first
  // call comes.
  void FenceWrites(std::function<absl::Status()> check) { fence_ = std::move(check); }

  // Refuses new calls from now on, and waits until the running ones are done or `deadline` passes; returns how many
  // still run.
  int Drain(Deadline deadline);

 private:
  // One running call.
  class Running;

  absl::Status Admit(grpc::ServerContext& context, std::string_view rpc,
                     absl::FunctionRef<absl::Status(const Call&)> work);
  bool Enter();
  void Leave();

  const LiveTokens& tokens_;
  Metrics& metrics_;
  std::function<absl::Status()> fence_;  // null: none

  Mutex mutex_;
  CondVar idle_;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace omics::services
