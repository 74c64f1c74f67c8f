// What each RPC of VectorService does once the guard has let it in: check, convert, call the engine, reply.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "index/catalog.h"
#include "omics/vector/v1/vector_service.pb.h"
#include "services/authorize.h"
#include "services/guard.h"
#include "services/health.h"
#include "services/streams.h"

namespace omics::services {

namespace pb = ::omics::vector::v1;

// An answer is never larger; a Query that would be is refused and says so.
inline constexpr std::size_t kResponseBytesMax = std::size_t{64} << 20;
// Hits that one call of the engine gives at most, which bounds the memory of a Query beside its answer.
inline constexpr int kHitsPerSearchMax = 10'000;
// Bytes of records in one message of an Export.
inline constexpr std::int64_t kExportMessageBytes = std::int64_t{1} << 20;

// Thread safety: all members may be called from any thread.
class VectorHandlers {
 public:
  // Both are borrowed and must outlive this object.
  VectorHandlers(index::Catalog& catalog, Health& health) : catalog_(catalog), health_(health) {}

  absl::Status CreateCollection(const pb::CreateCollectionRequest& request, const Call& call,
                                pb::CreateCollectionResponse& response);
  absl::Status GetCollection(const pb::GetCollectionRequest& request, const Call& call,
                             pb::GetCollectionResponse& response) const;
  absl::Status ListCollections(const pb::ListCollectionsRequest& request, const Call& call,
                               pb::ListCollectionsResponse& response) const;
  absl::Status UpdateCollection(const pb::UpdateCollectionRequest& request, const Call& call,
                                pb::UpdateCollectionResponse& response);
  absl::Status DeleteCollection(const pb::DeleteCollectionRequest& request, const Call& call);

  absl::Status Insert(const Reader<pb::InsertRequest>& read, const Call& call, pb::InsertResponse& response);
  absl::Status Upsert(const pb::UpsertRequest& request, const Call& call, pb::UpsertResponse& response);
  absl::Status Update(const pb::UpdateRequest& request, const Call& call, pb::UpdateResponse& response);
  absl::Status Delete(const pb::DeleteRequest& request, const Call& call, pb::DeleteResponse& response);

  absl::Status Get(const pb::GetRequest& request, const Call& call, pb::GetResponse& response) const;
  absl::Status Count(const pb::CountRequest& request, const Call& call, pb::CountResponse& response) const;
  absl::Status Query(const pb::QueryRequest& request, const Call& call, pb::QueryResponse& response) const;
  absl::Status QueryStream(const Reader<pb::QueryStreamRequest>& read, const Writer<pb::QueryStreamResponse>& write,
                           const Call& call) const;
  absl::Status Export(const pb::ExportRequest& request, const Writer<pb::ExportResponse>& write,
                      const Call& call) const;

 private:
  using CollectionPointer = std::shared_ptr<index::Collection>;

  absl::StatusOr<CollectionPointer> Open(const pb::CollectionRef& ref, const Call& call) const;
  absl::Status Describe(const index::CollectionInfo& info, const Call& call, pb::Collection& out) const;

  AuthorizedCatalog catalog_;
  Health& health_;
};

}  // namespace omics::services
