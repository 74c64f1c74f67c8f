#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gateway/chroma_collection_json.h"
#include "gateway/chroma_configuration.h"
#include "gateway/chroma_handlers.h"
#include "gateway/chroma_shape.h"
#include "gateway/json_writer.h"

namespace omics::gateway {
namespace {

// A missing tenant or database has no collections, in Chroma.
bool NoSuchHome(const absl::Status& status) {
  const std::string reason = Reason(status);
  return reason == "TENANT_NOT_FOUND" || reason == "DATABASE_NOT_FOUND";
}

Response OneCollection(const Call& call, const pb::Collection& collection) {
  std::string body;
  AppendCollection(body, collection, ShapeOfOne(call.dialect));
  return Json(std::move(body));
}

// What the metadata keys "hnsw:…" ask for; they beat the configuration.
absl::Status ReadHnswMetadata(const google::protobuf::Map<std::string, pb::MetadataValue>& metadata,
                              ClientConfiguration& out) {
  const auto number = [&](const char* key, std::optional<std::int64_t>& value) {
    const auto found = metadata.find(key);
    if (found != metadata.end() && found->second.has_int_value()) value = found->second.int_value();
  };
  number("hnsw:construction_ef", out.ef_construction);
  number("hnsw:search_ef", out.ef_search);
  number("hnsw:M", out.max_neighbors);
  const auto space = metadata.find("hnsw:space");
  if (space == metadata.end()) return absl::OkStatus();
  out.space = space->second.string_value();
  if (MetricFromSpace(out.space) != pb::METRIC_UNSPECIFIED) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("Invalid value for HNSW parameter: hnsw:space = ", out.space, "; expected l2, cosine or ip"));
}

// Into the service's parameters, brought into its bounds: Chroma sets none.
void SetHnsw(const ClientConfiguration& asked, pb::HnswParameters& out) {
  const auto clamp = [](std::int64_t value, int low, int high) {
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, low, high));
  };
  if (asked.max_neighbors) out.set_m(clamp(*asked.max_neighbors, 4, 128));
  if (asked.ef_construction) out.set_ef_construction(clamp(*asked.ef_construction, 16, 2'000));
  if (asked.ef_search) out.set_ef_search(clamp(*asked.ef_search, 1, 10'000));
}

absl::StatusOr<pb::CreateCollectionRequest> MakeCreateRequest(const Call& call, CreateCollectionBody body) {
  ClientConfiguration effective = body.configuration;
  OMICS_RETURN_IF_ERROR(ReadHnswMetadata(body.metadata, effective));
  pb::CreateCollectionRequest request;
  request.set_tenant(TenantOf(call));
  request.set_database(DatabaseOf(call));
  request.set_name(std::move(body.name));
  request.set_metric(effective.space.empty() ? pb::METRIC_SQUARED_L2 : MetricFromSpace(effective.space));
  SetHnsw(effective, *request.mutable_hnsw());
  *request.mutable_metadata() = std::move(body.metadata);
  request.set_client_configuration(body.configuration.ToStored());
  request.set_get_or_create(body.get_or_create);
  return request;
}

// A caller who may only read gets the collection if it exists, and else a refusal, never an empty new one.
HandlerResult GetForReader(Call& call, const pb::CreateCollectionRequest& create) {
  pb::GetCollectionRequest request;
  request.mutable_collection()->set_tenant(create.tenant());
  request.mutable_collection()->set_database(create.database());
  request.mutable_collection()->set_name(create.name());
  const auto reply = co_await call.service.Call(call.context, request);
  if (reply.ok()) co_return OneCollection(call, reply->collection());
  if (!absl::IsNotFound(reply.status())) co_return reply.status();
  co_return WithReason(absl::PermissionDeniedError(absl::StrCat("collection ", create.name(),
                                                                " does not exist, and this token may not create it")),
                       "ROLE_TOO_LOW");
}

}  // namespace

HandlerResult ListCollections(Call& call) {
  const absl::StatusOr<Window> window = WindowOf(call);
  if (!window.ok()) co_return window.status();
  const CollectionShape shape = ShapeOfList(call.dialect, !FindParameter(call.query, "tenant").empty());
  pb::ListCollectionsRequest request;
  request.set_tenant(TenantOf(call));
  request.set_database(DatabaseOf(call));
  std::string body = "[";
  Separator separator;
  std::int64_t skip = window->offset;
  std::int64_t left = window->limit;
  do {
    auto reply = co_await call.service.Call(call.context, request);
    if (!reply.ok() && NoSuchHome(reply.status())) break;
    if (!reply.ok()) co_return reply.status();
    for (const pb::Collection& collection : reply->collections()) {
      if (skip-- > 0) continue;
      if (left-- == 0) break;
      separator.Next(body);
      AppendCollection(body, collection, shape);
    }
    request.set_page_token(reply->next_page_token());
  } while (!request.page_token().empty() && left != 0);
  co_return Json(body.append("]"));
}

HandlerResult CountCollections(Call& call) {
  pb::ListCollectionsRequest request;
  request.set_tenant(TenantOf(call));
  request.set_database(DatabaseOf(call));
  request.set_page_size(1);
  const auto reply = co_await call.service.Call(call.context, request);
  if (!reply.ok() && NoSuchHome(reply.status())) co_return Json("0");
  if (!reply.ok()) co_return reply.status();
  co_return Json(absl::StrCat(reply->total()));
}

HandlerResult CreateCollection(Call& call) {
  absl::StatusOr<CreateCollectionBody> body = ParseCreateCollection(call.body, call.dialect);
  if (!body.ok()) co_return body.status();
  call.subject.collection = body->name;
  call.subject.creates = true;
  const auto request = MakeCreateRequest(call, *std::move(body));
  if (!request.ok()) co_return request.status();
  if (call.principal.role == Role::kRead && request->get_or_create()) co_return co_await GetForReader(call, *request);
  const auto reply = co_await call.service.Call(call.context, *request);
  if (!reply.ok()) co_return reply.status();
  co_return OneCollection(call, reply->collection());
}

HandlerResult GetCollection(Call& call) {
  pb::GetCollectionRequest request;
  *request.mutable_collection() = CollectionByName(call);
  const auto reply = co_await call.service.Call(call.context, request);
  if (!reply.ok()) co_return reply.status();
  co_return OneCollection(call, reply->collection());
}

HandlerResult UpdateCollection(Call& call) {
  const absl::StatusOr<pb::CollectionRef> ref = CollectionById(call);
  if (!ref.ok()) co_return ref.status();
  absl::StatusOr<UpdateCollectionBody> body = ParseUpdateCollection(call.body, call.dialect);
  if (!body.ok()) co_return body.status();
  pb::UpdateCollectionRequest request;
  *request.mutable_collection() = *ref;
  if (body->new_name) {
    call.subject.collection = *body->new_name;
    request.set_new_name(*body->new_name);
  }
  if (body->new_metadata) {
    request.set_replace_metadata(true);
    *request.mutable_metadata() = *std::move(body->new_metadata);
  }
  if (body->new_configuration) {
    // Stored configurations are changed member by member.
    pb::GetCollectionRequest get;
    *get.mutable_collection() = *ref;
    const auto present = co_await call.service.Call(call.context, get);
    if (!present.ok()) co_return present.status();
    ClientConfiguration stored = ParseStoredConfiguration(present->collection().client_configuration());
    stored.Merge(*body->new_configuration);
    request.set_client_configuration(stored.ToStored());
    SetHnsw(*body->new_configuration, *request.mutable_hnsw());
  }
  const auto reply = co_await call.service.Call(call.context, request);
  if (Reason(reply.status()) == "COLLECTION_NOT_FOUND") call.subject.collection = std::string(call.Path("collection"));
  if (!reply.ok()) co_return reply.status();
  co_return Acknowledge(call);
}

HandlerResult DeleteCollection(Call& call) {
  pb::DeleteCollectionRequest request;
  *request.mutable_collection() = CollectionByName(call);
  const auto reply = co_await call.service.Call(call.context, request);
  // 0.x calls this a bad argument, unlike a missing collection that is read or written.
  if (Reason(reply.status()) == "COLLECTION_NOT_FOUND" && call.dialect.legacy()) {
    co_return absl::InvalidArgumentError(absl::StrCat("Collection ", call.subject.collection, " does not exist."));
  }
  if (!reply.ok()) co_return reply.status();
  co_return Acknowledge(call);
}

HandlerResult ForkCollection(Call&) {
  co_return absl::UnimplementedError("Collection forking is not supported by this server");
}

HandlerResult SearchCollection(Call&) {
  co_return absl::UnimplementedError("Search operation is not implemented by this server: use query");
}

HandlerResult IndexingStatus(Call&) {
  co_return absl::UnimplementedError("Indexing status is not offered: records are searchable once written");
}

}  // namespace omics::gateway
