// What stands at the head of every handler of both services: may this call be made, and how did it end.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
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

// Who calls, as the transport tells it.
struct Caller {
  std::string token;  // "" if none came
  Deadline deadline = kNoDeadline;
  // True once the client gave up or its connection broke.
  absl::FunctionRef<bool()> cancelled;
};

// An admitted call. Lives as long as its handler runs.
struct Call {
  Principal principal;
  Deadline deadline = kNoDeadline;
  absl::FunctionRef<bool()> cancelled;  // as Caller has it
};

// Thread safety: all members may be called from any thread.
class Guard {
 public:
  // Both are borrowed and must outlive the guard.
  Guard(const LiveTokens& tokens, Metrics& metrics) : tokens_(tokens), metrics_(metrics) {}

  // Runs `work` if the service is not draining, the deadline has not passed, and the caller has a token that the rule
  // of `rpc` lets in (authorize.h); otherwise says what is missing (UNAVAILABLE NOT_READY, DEADLINE_EXCEEDED,
  // UNAUTHENTICATED, PERMISSION_DENIED). Counts and times the call either way, under the name `rpc`. An exception out
  // of `work` becomes INTERNAL, or RESOURCE_EXHAUSTED if memory ran out.
  absl::Status Run(const Caller& caller, std::string_view rpc, absl::FunctionRef<absl::Status(const Call&)> work);

  // The same for a call over gRPC, whose token is in its metadata: `authorization` or `x-chroma-token`, in any of
  // Chroma's spellings.
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

  absl::Status Admit(const Caller& caller, std::string_view rpc, absl::FunctionRef<absl::Status(const Call&)> work);
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
