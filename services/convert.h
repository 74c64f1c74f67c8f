// The only place that knows the fields of both the API's messages and the engine's types. Requests are checked while
// they are converted: what the engine cannot check (limits of a message, members that are not set) is refused here.
//
// Thread safety: free functions without state.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/tokens.h"
#include "index/catalog.h"
#include "index/chroma_import.h"
#include "index/collection.h"
#include "omics/vector/v1/admin_service.pb.h"
#include "omics/vector/v1/vector_service.pb.h"
#include "services/authorize.h"
#include "services/prewarm_sources.h"
#include "services/ship.h"

namespace omics::services {

namespace pb = ::omics::vector::v1;

// Ids in one request: a Get or Query over more is a job for Export.
inline constexpr int kIdsMax = 100'000;
// Records in one write: a commit of more would hold up the other writers of the collection.
inline constexpr int kRecordsPerWriteMax = 100'000;
// Entries of a page, and the bytes at which one is cut: the default clients take 4 MiB.
inline constexpr int kPageEntriesMax = 1000;
inline constexpr std::size_t kPageBytesMax = std::size_t{3} << 20;
inline constexpr std::int64_t kGetPageRecordsMax = 10'000;
// Of an import's lost ids, those that fit into this are named.
inline constexpr std::size_t kLostIdsBytesMax = std::size_t{1} << 20;
// Rows that MeasureRecall compares: each costs an exact scan.
inline constexpr int kRecallSamplesMax = 10'000;
// As many as an entry of --prewarm has.
inline constexpr int kBundleAliasesMax = static_cast<int>(kPrewarmAliasesMax);

// Requests ------------------------------------------------------------------------------------------------------------

// "" is the default.
std::string TenantOrDefault(const std::string& tenant);
std::string DatabaseOrDefault(const std::string& database);

// INVALID_ARGUMENT unless a name or an id is given.
absl::StatusOr<index::CollectionRef> ToCollectionRef(const pb::CollectionRef& ref);

// The collection that `info` describes, whatever its name is by now.
index::CollectionRef RefOf(const index::CollectionInfo& info);

absl::StatusOr<index::CollectionSpec> ToCollectionSpec(const pb::CreateCollectionRequest& request);

// `current` holds what the members that are not set keep.
absl::StatusOr<index::CollectionUpdate> ToCollectionUpdate(const pb::UpdateCollectionRequest& request,
                                                           const index::HnswParameters& current);

using RecordChanges = google::protobuf::RepeatedPtrField<pb::RecordChange>;
absl::StatusOr<std::vector<index::RecordChange>> ToRecordChanges(const RecordChanges& records);

// Nothing for a filter that is not set. Its meaning is checked by the engine.
absl::StatusOr<std::optional<index::Filter>> ToFilter(const pb::Filter& filter);

using Ids = google::protobuf::RepeatedPtrField<std::string>;
absl::StatusOr<std::vector<std::string>> ToIds(const Ids& ids);

// One page of a Get, and how many records it and the following ones may give together; -1 for no limit.
struct PageOfGet {
  index::GetSpec spec;
  std::int64_t remaining = -1;
};
absl::StatusOr<PageOfGet> ToPageOfGet(const pb::GetRequest& request);

// Everything but the vectors, which SetVectors() puts in a few at a time.
absl::StatusOr<index::QuerySpec> ToQuerySpec(const pb::QueryRequest& request);
void SetVectors(const pb::QueryRequest& request, int begin, int end, index::QuerySpec& spec);

index::Include ToInclude(const pb::Include& include);

// INVALID_ARGUMENT for more than kBundleAliasesMax aliases, or an empty one.
absl::StatusOr<BundleLoad> ToBundleLoad(const pb::LoadBundleTarget& target);

index::ImportTarget ToImportTarget(const pb::ImportChromaTarget& target);

// Parameters of MeasureRecall with their defaults put in. INVALID_ARGUMENT outside their ranges.
struct RecallSpec {
  int k = 10;
  int ef = 0;
  int samples = 100;
};
absl::StatusOr<RecallSpec> ToRecallSpec(const pb::MeasureRecallRequest& request);

// Where a list starts and how many entries it may give.
struct ListRange {
  std::int64_t offset = 0;
  std::int64_t limit = kPageEntriesMax;
};
absl::StatusOr<ListRange> ToListRange(int page_size, const std::string& page_token);

// Responses -----------------------------------------------------------------------------------------------------------

void FillCollection(const index::CollectionInfo& info, pb::Collection& out);
// What only the open collection knows.
void FillLive(const index::Collection& collection, pb::Collection& out);
void FillStats(const index::CollectionStats& stats, pb::CollectionStatus& out);
void FillDatabase(const index::Database& database, pb::Database& out);
void FillAlias(const index::Alias& alias, pb::Alias& out);
// Url and error are left out unless `role` is admin: they tell of the machine and its network.
void FillPrewarm(PrewarmReport&& report, Role role, pb::PrewarmStatus& out);
void FillShipping(ShippingReport&& report, Role role, pb::ShippingStatus& out);
void FillIdentity(const Principal& principal, pb::GetIdentityResponse& out);

void FillRecord(index::Record&& record, pb::Record& out);
void FillResult(std::vector<index::Hit>&& hits, pb::QueryResult& out);
void FillSummary(const index::BundleManifest& manifest, pb::BundleSummary& out);
void FillImported(const index::ImportReport& report, pb::ImportedCollection& out);

}  // namespace omics::services
