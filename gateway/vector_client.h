// The service's API as awaitable calls.
//
// Each call sends the caller's own token on as `authorization: Bearer`, so that the service decides again who may do
// what; the gateway has no token of its own. Calls that change nothing are tried once more when the service answered
// UNAVAILABLE before any response (its connection broke); writes never are. A service that cannot be reached fails
// within kConnectTimeout. Queries to a service on the same machine go by its query socket, if it has one.
//
// Thread safety: all members may be called from any thread. Ownership: requests are taken by reference and must live
// until the awaitable is done, as co_await of a local does; responses own themselves. Errors: the service's status with
// its ErrorInfo reason attached (base/status.h). Cancelling the awaiting coroutine cancels the call.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "omics/vector/v1/admin_service.pb.h"
#include "omics/vector/v1/vector_service.pb.h"

namespace omics::gateway {

namespace pb = ::omics::vector::v1;

// Shorter than the second within which a client shall learn that the service is down.
inline constexpr std::chrono::milliseconds kConnectTimeout{800};
// A reply of one page or one query; the service keeps pages under 4 MiB, this leaves room for many query vectors.
inline constexpr int kReplyBytesMax = 64 << 20;

// Who calls, and until when.
struct CallContext {
  std::string token;  // "" sends none
  Deadline deadline = kNoDeadline;
};

template <typename Response>
using Reply = boost::asio::awaitable<absl::StatusOr<Response>>;

class VectorClient {
 public:
  // `address` is host:port or unix:/path. Connects when first used.
  explicit VectorClient(const std::string& address);
  ~VectorClient();

  Reply<pb::CreateCollectionResponse> Call(const CallContext& context, const pb::CreateCollectionRequest& request);
  Reply<pb::GetCollectionResponse> Call(const CallContext& context, const pb::GetCollectionRequest& request);
  Reply<pb::ListCollectionsResponse> Call(const CallContext& context, const pb::ListCollectionsRequest& request);
  Reply<pb::UpdateCollectionResponse> Call(const CallContext& context, const pb::UpdateCollectionRequest& request);
  Reply<pb::DeleteCollectionResponse> Call(const CallContext& context, const pb::DeleteCollectionRequest& request);

  // One Insert stream of all `messages`; each is committed by itself.
  Reply<pb::InsertResponse> Insert(const CallContext& context, const std::vector<pb::InsertRequest>& messages);
  Reply<pb::UpsertResponse> Call(const CallContext& context, const pb::UpsertRequest& request);
  Reply<pb::UpdateResponse> Call(const CallContext& context, const pb::UpdateRequest& request);
  Reply<pb::DeleteResponse> Call(const CallContext& context, const pb::DeleteRequest& request);
  Reply<pb::GetResponse> Call(const CallContext& context, const pb::GetRequest& request);
  Reply<pb::CountResponse> Call(const CallContext& context, const pb::CountRequest& request);
  Reply<pb::QueryResponse> Call(const CallContext& context, const pb::QueryRequest& request);

  Reply<pb::GetIdentityResponse> Call(const CallContext& context, const pb::GetIdentityRequest& request);
  Reply<pb::CreateTenantResponse> Call(const CallContext& context, const pb::CreateTenantRequest& request);
  Reply<pb::GetTenantResponse> Call(const CallContext& context, const pb::GetTenantRequest& request);
  Reply<pb::CreateDatabaseResponse> Call(const CallContext& context, const pb::CreateDatabaseRequest& request);
  Reply<pb::GetDatabaseResponse> Call(const CallContext& context, const pb::GetDatabaseRequest& request);
  Reply<pb::ListDatabasesResponse> Call(const CallContext& context, const pb::ListDatabasesRequest& request);
  Reply<pb::DeleteDatabaseResponse> Call(const CallContext& context, const pb::DeleteDatabaseRequest& request);
  Reply<pb::ResetResponse> Call(const CallContext& context, const pb::ResetRequest& request);

  // OK if the service's overall health is SERVING; UNAVAILABLE otherwise. Needs no token.
  boost::asio::awaitable<absl::Status> CheckHealth(const CallContext& context);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace omics::gateway
