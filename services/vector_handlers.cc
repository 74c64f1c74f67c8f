#include "services/vector_handlers.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "services/convert.h"
#include "services/page_token.h"

namespace omics::services {
namespace {

// A writer without a deadline of its own does not wait longer for the graph builder to catch up.
constexpr std::chrono::seconds kWriteWaitMax{30};

Deadline WriteDeadline(const Call& call) {
  return call.deadline != kNoDeadline ? call.deadline : std::chrono::steady_clock::now() + kWriteWaitMax;
}

absl::Status ClientGone() { return absl::CancelledError("the client ended the call"); }

absl::StatusOr<index::WriteResult> Write(index::Collection& collection, index::WriteMode mode,
                                         const RecordChanges& records, const Call& call) {
  OMICS_ASSIGN_OR_RETURN(std::vector<index::RecordChange> changes, ToRecordChanges(records));
  return collection.Write(mode, std::move(changes), WriteDeadline(call));
}

absl::Status CheckResponseBytes(std::size_t bytes) {
  if (bytes <= kResponseBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the answer would take more than ", kResponseBytesMax >> 20,
                                                 " MiB: ask with fewer vectors, a smaller k, or fewer parts"));
}

}  // namespace

absl::StatusOr<VectorHandlers::CollectionPointer> VectorHandlers::Open(const pb::CollectionRef& ref,
                                                                       const Call& call) const {
  OMICS_ASSIGN_OR_RETURN(const index::CollectionRef found, ToCollectionRef(ref));
  return catalog_.OpenCollection(call.principal, found);
}

absl::Status VectorHandlers::Describe(const index::CollectionInfo& info, const Call& call, pb::Collection& out) const {
  FillCollection(info, out);
  OMICS_ASSIGN_OR_RETURN(const CollectionPointer collection, catalog_.OpenCollection(call.principal, RefOf(info)));
  FillLive(*collection, out);
  return absl::OkStatus();
}

absl::Status VectorHandlers::CreateCollection(const pb::CreateCollectionRequest& request, const Call& call,
                                              pb::CreateCollectionResponse& response) {
  OMICS_ASSIGN_OR_RETURN(const index::CollectionSpec spec, ToCollectionSpec(request));
  bool created = false;
  OMICS_ASSIGN_OR_RETURN(const index::CollectionInfo info,
                         catalog_.CreateCollection(call.principal, spec, request.get_or_create(), created));
  response.set_created(created);
  if (created) health_.SetCollection(info, true);
  return Describe(info, call, *response.mutable_collection());
}

absl::Status VectorHandlers::GetCollection(const pb::GetCollectionRequest& request, const Call& call,
                                           pb::GetCollectionResponse& response) const {
  OMICS_ASSIGN_OR_RETURN(const index::CollectionRef ref, ToCollectionRef(request.collection()));
  OMICS_ASSIGN_OR_RETURN(const index::CollectionInfo info, catalog_.GetCollection(call.principal, ref));
  return Describe(info, call, *response.mutable_collection());
}

absl::Status VectorHandlers::ListCollections(const pb::ListCollectionsRequest& request, const Call& call,
                                             pb::ListCollectionsResponse& response) const {
  OMICS_ASSIGN_OR_RETURN(const ListRange range, ToListRange(request.page_size(), request.page_token()));
  OMICS_ASSIGN_OR_RETURN(const index::CollectionPage page,
                         catalog_.ListCollections(call.principal, TenantOrDefault(request.tenant()),
                                                  DatabaseOrDefault(request.database()), range.offset, range.limit));
  std::int64_t listed = 0;
  std::size_t bytes = 0;
  for (const index::CollectionInfo& info : page.collections) {
    pb::Collection collection;
    // One that is removed meanwhile, or cannot be read, is listed as the catalog has it.
    Describe(info, call, collection).IgnoreError();
    bytes += collection.ByteSizeLong();
    if (listed > 0 && bytes > kPageBytesMax) break;
    *response.add_collections() = std::move(collection);
    ++listed;
  }
  response.set_total(page.total);
  const std::int64_t next = range.offset + listed;
  if (listed > 0 && next < page.total) response.set_next_page_token(EncodePageToken({.position = next}));
  return absl::OkStatus();
}

absl::Status VectorHandlers::UpdateCollection(const pb::UpdateCollectionRequest& request, const Call& call,
                                              pb::UpdateCollectionResponse& response) {
  OMICS_ASSIGN_OR_RETURN(const index::CollectionRef ref, ToCollectionRef(request.collection()));
  OMICS_ASSIGN_OR_RETURN(const index::CollectionInfo before, catalog_.GetCollection(call.principal, ref));
  OMICS_ASSIGN_OR_RETURN(const index::CollectionUpdate update, ToCollectionUpdate(request, before.hnsw));
  OMICS_ASSIGN_OR_RETURN(const index::CollectionInfo after, catalog_.UpdateCollection(call.principal, ref, update));
  if (after.name != before.name) health_.SetCollection(before, false);
  health_.SetCollection(after, true);
  return Describe(after, call, *response.mutable_collection());
}

absl::Status VectorHandlers::DeleteCollection(const pb::DeleteCollectionRequest& request, const Call& call) {
  OMICS_ASSIGN_OR_RETURN(const index::CollectionRef ref, ToCollectionRef(request.collection()));
  OMICS_ASSIGN_OR_RETURN(const index::CollectionInfo info, catalog_.GetCollection(call.principal, ref));
  OMICS_RETURN_IF_ERROR(catalog_.DeleteCollection(call.principal, ref));
  health_.SetCollection(info, false);
  return absl::OkStatus();
}

absl::Status VectorHandlers::Insert(const Reader<pb::InsertRequest>& read, const Call& call,
                                    pb::InsertResponse& response) {
  pb::InsertRequest request;
  if (!read(&request)) return absl::InvalidArgumentError("the stream ended before its first message");
  OMICS_ASSIGN_OR_RETURN(const CollectionPointer collection, Open(request.collection(), call));
  response.set_sequence_number(collection->sequence_number());
  do {
    if (Expired(call.deadline)) return absl::DeadlineExceededError("the deadline passed; earlier messages are stored");
    OMICS_ASSIGN_OR_RETURN(const index::WriteResult result,
                           Write(*collection, index::WriteMode::kInsert, request.records(), call));
    response.set_inserted(response.inserted() + result.inserted);
    response.set_skipped(response.skipped() + result.skipped);
    response.set_sequence_number(result.sequence_number);
  } while (read(&request));
  return call.cancelled() ? ClientGone() : absl::OkStatus();
}

absl::Status VectorHandlers::Upsert(const pb::UpsertRequest& request, const Call& call, pb::UpsertResponse& response) {
  OMICS_ASSIGN_OR_RETURN(const CollectionPointer collection, Open(request.collection(), call));
  OMICS_ASSIGN_OR_RETURN(const index::WriteResult result,
                         Write(*collection, index::WriteMode::kUpsert, request.records(), call));
  response.set_inserted(result.inserted);
  response.set_updated(result.updated);
  response.set_sequence_number(result.sequence_number);
  return absl::OkStatus();
}

absl::Status VectorHandlers::Update(const pb::UpdateRequest& request, const Call& call, pb::UpdateResponse& response) {
  OMICS_ASSIGN_OR_RETURN(const CollectionPointer collection, Open(request.collection(), call));
  OMICS_ASSIGN_OR_RETURN(const index::WriteResult result,
                         Write(*collection, index::WriteMode::kUpdate, request.records(), call));
  response.set_updated(result.updated);
  response.set_skipped(result.skipped);
  response.set_sequence_number(result.sequence_number);
  return absl::OkStatus();
}

absl::Status VectorHandlers::Delete(const pb::DeleteRequest& request, const Call& call, pb::DeleteResponse& response) {
  index::DeleteSpec spec;
  OMICS_ASSIGN_OR_RETURN(spec.ids, ToIds(request.ids()));
  OMICS_ASSIGN_OR_RETURN(spec.filter, ToFilter(request.filter()));
  OMICS_ASSIGN_OR_RETURN(const CollectionPointer collection, Open(request.collection(), call));
  OMICS_ASSIGN_OR_RETURN(const index::DeleteResult result, collection->Delete(spec, WriteDeadline(call)));
  response.set_deleted(result.deleted);
  response.set_sequence_number(result.sequence_number);
  return absl::OkStatus();
}

absl::Status VectorHandlers::Get(const pb::GetRequest& request, const Call& call, pb::GetResponse& response) const {
  OMICS_ASSIGN_OR_RETURN(const PageOfGet wanted, ToPageOfGet(request));
  OMICS_ASSIGN_OR_RETURN(const CollectionPointer collection, Open(request.collection(), call));
  if (wanted.remaining == 0) return absl::OkStatus();
  OMICS_ASSIGN_OR_RETURN(index::GetPage page, collection->Get(wanted.spec, call.deadline));
  for (index::Record& record : page.records) FillRecord(std::move(record), *response.add_records());
  PageToken next{.position = page.next, .remaining = wanted.remaining};
  if (wanted.remaining > 0) next.remaining -= response.records_size();
  if (page.next >= 0 && next.remaining != 0) response.set_next_page_token(EncodePageToken(next));
  return absl::OkStatus();
}

absl::Status VectorHandlers::Count(const pb::CountRequest& request, const Call& call,
                                   pb::CountResponse& response) const {
  OMICS_ASSIGN_OR_RETURN(const CollectionPointer collection, Open(request.collection(), call));
  response.set_count(collection->Count());
  return absl::OkStatus();
}

absl::Status VectorHandlers::Query(const pb::QueryRequest& request, const Call& call,
                                   pb::QueryResponse& response) const {
  OMICS_ASSIGN_OR_RETURN(index::QuerySpec spec, ToQuerySpec(request));
  OMICS_ASSIGN_OR_RETURN(const CollectionPointer collection, Open(request.collection(), call));
  const int step = std::max(1, kHitsPerSearchMax / spec.k);
  std::size_t bytes = 0;
  for (int begin = 0; begin < request.vectors_size(); begin += step) {
    if (call.cancelled()) return ClientGone();
    SetVectors(request, begin, std::min(begin + step, request.vectors_size()), spec);
    OMICS_ASSIGN_OR_RETURN(auto results, collection->Query(spec, call.deadline));
    for (std::vector<index::Hit>& hits : results) {
      pb::QueryResult& result = *response.add_results();
      FillResult(std::move(hits), result);
      bytes += result.ByteSizeLong();
      OMICS_RETURN_IF_ERROR(CheckResponseBytes(bytes));
    }
  }
  return absl::OkStatus();
}

absl::Status VectorHandlers::QueryStream(const Reader<pb::QueryStreamRequest>& read,
                                         const Writer<pb::QueryStreamResponse>& write, const Call& call) const {
  pb::QueryStreamRequest request;
  while (read(&request)) {
    pb::QueryStreamResponse response;
    const absl::Status status = Query(request.query(), call, *response.mutable_response());
    if (!status.ok()) {
      response.mutable_failure()->set_code(static_cast<int>(status.code()));
      response.mutable_failure()->set_message(std::string(ToStd(status.message())));
    }
    if (!write(response)) return ClientGone();
  }
  return call.cancelled() ? ClientGone() : absl::OkStatus();
}

absl::Status VectorHandlers::Export(const pb::ExportRequest& request, const Writer<pb::ExportResponse>& write,
                                    const Call& call) const {
  OMICS_ASSIGN_OR_RETURN(const CollectionPointer collection, Open(request.collection(), call));
  index::GetSpec spec;
  spec.include = ToInclude(request.include());
  spec.limit = kGetPageRecordsMax;
  spec.bytes_max = kExportMessageBytes;
  do {
    OMICS_ASSIGN_OR_RETURN(index::GetPage page, collection->Get(spec, call.deadline));
    pb::ExportResponse response;
    for (index::Record& record : page.records) FillRecord(std::move(record), *response.add_records());
    if (!page.records.empty() && !write(response)) return ClientGone();
    spec.after = page.next;
  } while (spec.after >= 0);
  return absl::OkStatus();
}

}  // namespace omics::services
