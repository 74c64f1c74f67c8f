// The one way from our errors to the wire.
#pragma once

#include "absl/status/status.h"

namespace grpc {
class Status;
}  // namespace grpc

namespace omics::services {

// The domain of every google.rpc.ErrorInfo that we send.
inline constexpr char kErrorDomain[] = "vector.omics-os.com";

// A message goes out in the trailers twice, once percent-encoded; the default clients take 8 KiB of trailers.
inline constexpr std::size_t kErrorMessageBytesMax = 1024;

// `status` with the same code and its message, cut at kErrorMessageBytesMax. The rich details hold a
// google.rpc.ErrorInfo where the status carries a reason, and a google.rpc.RetryInfo for RESOURCE_EXHAUSTED and
// UNAVAILABLE: the two after which the same call may be sent again.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace omics::services
