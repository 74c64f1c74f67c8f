#include "services/guard.h"

#include <grpcpp/server_context.h>

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "services/authorize.h"
#include "services/status_to_grpc.h"

namespace omics::services {
namespace {

// The deadline that came with the call, by our monotonic clock.
Deadline DeadlineOf(const grpc::ServerContext& context) {
  const auto at = context.deadline();
  const auto left = at - std::chrono::system_clock::now();
  // gRPC's "no deadline" is the far end of its clock.
  if (left > std::chrono::hours(24 * 365)) return kNoDeadline;
  return std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(left);
}

std::string TokenOf(const grpc::ServerContext& context) {
  for (const char* key : {"authorization", "x-chroma-token"}) {
    const auto found = context.client_metadata().find(key);
    if (found == context.client_metadata().end()) continue;
    std::string token = TokenFromAuthorization({found->second.data(), found->second.size()});
    if (!token.empty()) return token;
  }
  return "";
}

absl::Status RunCaught(std::string_view rpc, const Call& call, absl::FunctionRef<absl::Status(const Call&)> work) {
  try {
    return work(call);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory; try again, or ask for less at a time");
  } catch (const std::exception& error) {
    LogError(absl::StrCat("method=", ToAbsl(rpc), " exception: ", error.what()).c_str());
  } catch (...) {
    LogError(absl::StrCat("method=", ToAbsl(rpc), " exception of an unknown type").c_str());
  }
  return absl::InternalError("internal error; the service's log says more");
}

bool IsOurFault(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kDataLoss ||
         code == absl::StatusCode::kUnknown;
}

}  // namespace

class Guard::Running {
 public:
  explicit Running(Guard& guard) : guard_(guard), admitted_(guard.Enter()) {
    if (admitted_) guard_.metrics_.AddInFlight(1);
  }
  ~Running() {
    if (!admitted_) return;
    guard_.metrics_.AddInFlight(-1);
    guard_.Leave();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  bool admitted() const { return admitted_; }

 private:
  Guard& guard_;
  const bool admitted_;
};

grpc::Status Guard::Run(grpc::ServerContext& context, std::string_view rpc,
                        absl::FunctionRef<absl::Status(const Call&)> work) {
  const auto cancelled = [&context] { return context.IsCancelled(); };
  return ToGrpc(Run(Caller{TokenOf(context), DeadlineOf(context), cancelled}, rpc, work));
}

absl::Status Guard::Run(const Caller& caller, std::string_view rpc, absl::FunctionRef<absl::Status(const Call&)> work) {
  const auto start = std::chrono::steady_clock::now();
  const Running running(*this);
  const absl::Status status =
      running.admitted()
          ? Admit(caller, rpc, work)
          : WithReason(absl::UnavailableError("the service is shutting down; try again or elsewhere"), "NOT_READY");
  metrics_.Finished(rpc, absl::StatusCodeToString(status.code()), std::chrono::steady_clock::now() - start);
  if (IsOurFault(status.code())) {
    LogError(absl::StrCat("method=", ToAbsl(rpc), " ", status.ToString()).c_str());
  }
  return status;
}

absl::Status Guard::Admit(const Caller& caller, std::string_view rpc,
                          absl::FunctionRef<absl::Status(const Call&)> work) {
  Call call{.principal = {}, .deadline = caller.deadline, .cancelled = caller.cancelled};
  if (Expired(call.deadline)) return absl::DeadlineExceededError("the deadline passed before the work began");
  OMICS_ASSIGN_OR_RETURN(call.principal, tokens_.Check(caller.token));
  OMICS_RETURN_IF_ERROR(AuthorizeRpc(call.principal, rpc));
  if (!fence_ || !ChangesData(rpc)) return RunCaught(rpc, call, work);
  OMICS_RETURN_IF_ERROR(fence_());
  OMICS_RETURN_IF_ERROR(RunCaught(rpc, call, work));
  return fence_();
}

int Guard::Drain(Deadline deadline) {
  const MutexLock lock(mutex_);
  draining_ = true;
  while (running_ > 0 && !Expired(deadline)) idle_.WaitUntil(mutex_, deadline);
  return running_;
}

bool Guard::Enter() {
  const MutexLock lock(mutex_);
  if (!draining_) ++running_;
  return !draining_;
}

void Guard::Leave() {
  const MutexLock lock(mutex_);
  if (--running_ == 0) idle_.NotifyAll();
}

}  // namespace omics::services
