#include "gateway/service_status.h"

#include <google/rpc/error_details.pb.h>

#include "base/status.h"

namespace omics::gateway {

absl::Status FromRpcStatus(const google::rpc::Status& status) {
  const absl::Status result(static_cast<absl::StatusCode>(status.code()), status.message());
  google::rpc::ErrorInfo info;
  for (const auto& detail : status.details()) {
    if (detail.Is<google::rpc::ErrorInfo>() && detail.UnpackTo(&info)) return WithReason(result, info.reason());
  }
  return result;
}

}  // namespace omics::gateway
