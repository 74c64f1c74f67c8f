// The service's errors as they come over the wire, as absl::Status.
#pragma once

#include <google/rpc/status.pb.h>

#include "absl/status/status.h"

namespace omics::gateway {

// With the reason of its google.rpc.ErrorInfo attached (base/status.h), if there is one.
absl::Status FromRpcStatus(const google::rpc::Status& status);

}  // namespace omics::gateway
