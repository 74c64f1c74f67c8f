#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gateway/chroma_body.h"
#include "gateway/chroma_handlers.h"
#include "gateway/chroma_read_json.h"
#include "gateway/chroma_shape.h"
#include "gateway/chroma_write_json.h"
#include "gateway/json_writer.h"

namespace omics::gateway {
namespace {

using Records = google::protobuf::RepeatedPtrField<pb::RecordChange>;

// Chroma's default is 10,000 hits at most as well as the service's.
constexpr std::int64_t kHitsMax = 10'000;
// What a hit takes beside its embedding: id, document, metadata.
constexpr std::size_t kHitBytesGuess = 2'048;
// Printed floats against packed ones.
constexpr std::size_t kFloatTextFactor = 4;

boost::asio::awaitable<absl::Status> EnsureExists(Call& call, const pb::CollectionRef& ref) {
  pb::GetCollectionRequest request;
  *request.mutable_collection() = ref;
  const auto reply = co_await call.service.Call(call.context, request);
  co_return reply.status();
}

// Sends records as Upsert or Update calls, part by part.
template <typename Request>
boost::asio::awaitable<absl::Status> SendParts(Call& call, const pb::CollectionRef& ref, std::vector<Records> parts) {
  for (Records& part : parts) {
    Request request;
    *request.mutable_collection() = ref;
    *request.mutable_records() = std::move(part);
    const auto reply = co_await call.service.Call(call.context, request);
    if (!reply.ok()) co_return reply.status();
  }
  co_return absl::OkStatus();
}

boost::asio::awaitable<absl::Status> SendInsert(Call& call, const pb::CollectionRef& ref, std::vector<Records> parts) {
  std::vector<pb::InsertRequest> messages(parts.size());
  *messages.front().mutable_collection() = ref;
  for (std::size_t i = 0; i < parts.size(); ++i) *messages[i].mutable_records() = std::move(parts[i]);
  const auto reply = co_await call.service.Insert(call.context, messages);
  co_return reply.status();
}

// The records hold all that the body said; each part of them is there twice while it goes upstream.
absl::Status HoldParsed(Call& call, const Records& records) {
  call.body = std::string();
  const std::size_t parsed = records.SpaceUsedExcludingSelfLong();
  return call.memory.Replace(static_cast<std::int64_t>(parsed + std::min(parsed, kUpstreamBytesMax)));
}

boost::asio::awaitable<absl::Status> Write(Call& call, WriteKind kind) {
  const absl::StatusOr<pb::CollectionRef> ref = CollectionById(call);
  if (!ref.ok()) co_return ref.status();
  absl::StatusOr<Records> records = ParseWrite(call.body, kind, call.dialect);
  if (!records.ok()) co_return records.status();
  if (const absl::Status held = HoldParsed(call, *records); !held.ok()) co_return held;
  if (records->empty()) co_return co_await EnsureExists(call, *ref);
  absl::StatusOr<std::vector<Records>> parts = SplitRecords(*std::move(records), kUpstreamBytesMax);
  if (!parts.ok()) co_return parts.status();
  if (kind == WriteKind::kAdd) co_return co_await SendInsert(call, *ref, *std::move(parts));
  if (kind == WriteKind::kUpsert) co_return co_await SendParts<pb::UpsertRequest>(call, *ref, *std::move(parts));
  co_return co_await SendParts<pb::UpdateRequest>(call, *ref, *std::move(parts));
}

void SetInclude(const IncludeSet& set, pb::Include& out) {
  out.set_embedding(set.embeddings);
  out.set_document(set.documents);
  out.set_uri(set.uris);
  out.set_metadata(set.metadatas);
}

pb::GetRequest MakeGetRequest(const pb::CollectionRef& ref, const ReadBody& body) {
  pb::GetRequest request;
  *request.mutable_collection() = ref;
  if (body.ids) request.mutable_ids()->Add(body.ids->begin(), body.ids->end());
  if (body.filter) *request.mutable_filter() = *body.filter;
  SetInclude(body.include, *request.mutable_include());
  request.set_offset(body.offset);
  if (body.limit) request.set_limit(*body.limit);
  return request;
}

using TakePage = std::function<absl::Status(const pb::GetResponse& page)>;

// Gives all pages of a get to `take`, each while the service makes the next one.
boost::asio::awaitable<absl::Status> ReadPages(Call& call, pb::GetRequest request, const TakePage& take) {
  using boost::asio::experimental::awaitable_operators::operator&&;
  auto page = co_await call.service.Call(call.context, request);
  while (page.ok() && !page->next_page_token().empty()) {
    request.set_page_token(page->next_page_token());
    absl::Status taken;
    const auto taking = [&]() -> boost::asio::awaitable<void> {
      taken = take(*page);
      co_return;
    };
    auto next = co_await (call.service.Call(call.context, request) && taking());
    if (!taken.ok()) co_return taken;
    page = std::move(next);
  }
  co_return page.ok() ? take(*page) : page.status();
}

absl::Status AnswerTooLarge(const char* advice) {
  return absl::InvalidArgumentError(
      absl::StrCat("the answer would be larger than ", kAnswerBytesMax >> 20, " MiB: ", advice));
}

boost::asio::awaitable<absl::StatusOr<std::string>> GetText(Call& call, pb::GetRequest request,
                                                            const IncludeSet& include) {
  GetAnswer answer(include, call.dialect);
  const absl::Status read =
      co_await ReadPages(call, std::move(request), [&](const pb::GetResponse& page) -> absl::Status {
        const std::size_t before = answer.bytes();
        answer.Add(page);
        if (answer.bytes() > kAnswerBytesMax) return AnswerTooLarge("ask for less at a time with limit and offset");
        return call.memory.Add(static_cast<std::int64_t>(answer.bytes() - before));
      });
  if (!read.ok()) co_return read;
  co_return answer.Finish();
}

// Nothing to look for: the answer of an empty result, once it is known that the collection is there.
bool NothingWanted(const ReadBody& body) { return body.ids && body.ids->empty(); }

absl::Status NothingToDelete(Dialect dialect) {
  return absl::InvalidArgumentError(
      dialect.legacy()
          ? "You must provide either ids, where, or where_document to delete. If you want to delete all data in a "
            "collection you can delete the collection itself."
          : "Validation error: ids, where: Either ids or where must be specified");
}

// Old clients expect the ids that a filter deleted, and a limit says how many may go: both need the ids first.
boost::asio::awaitable<absl::StatusOr<std::vector<std::string>>> MatchingIds(Call& call, const pb::CollectionRef& ref,
                                                                             const ReadBody& body) {
  std::vector<std::string> ids;
  const absl::Status read =
      co_await ReadPages(call, MakeGetRequest(ref, body), [&](const pb::GetResponse& page) -> absl::Status {
        for (const pb::Record& record : page.records()) ids.push_back(record.id());
        return call.memory.Add(static_cast<std::int64_t>(page.ByteSizeLong()));
      });
  if (!read.ok()) co_return read;
  co_return ids;
}

bool WantsDeletedIds(Dialect dialect) {
  return dialect.api == Api::kV1 && (dialect.client == Client::kPythonRequests || dialect.client == Client::kNode);
}

std::string IdList(const std::vector<std::string>& ids) {
  std::string out = "[";
  Separator separator;
  for (const std::string& id : ids) {
    separator.Next(out);
    AppendJsonString(out, id);
  }
  return out.append("]");
}

Response Deleted(const Call& call, std::int64_t count) {
  return call.dialect.legacy() ? Json("null") : Json(absl::StrCat("{\"deleted\":", count, "}"));
}

// How many of `vectors` one upstream call takes.
std::size_t VectorsPerCall(const ReadBody& body, std::int64_t k) {
  const std::size_t dimension = static_cast<std::size_t>(body.query_vectors.front().values_size());
  const std::size_t hit = kHitBytesGuess + (body.include.embeddings ? dimension * sizeof(float) : 0);
  return std::clamp<std::size_t>(kQueryBytesPerCall / (hit * static_cast<std::size_t>(k)), 1, kQueryVectorsMax);
}

// More hits than the service gives at once are all there are, if the collection is small enough.
boost::asio::awaitable<absl::Status> ClampHits(Call& call, const pb::CollectionRef& ref, std::int64_t& k) {
  if (k <= kHitsMax) co_return absl::OkStatus();
  pb::CountRequest request;
  *request.mutable_collection() = ref;
  const auto reply = co_await call.service.Call(call.context, request);
  if (!reply.ok()) co_return reply.status();
  if (reply->count() > kHitsMax) {
    co_return absl::InvalidArgumentError(absl::StrCat("n_results is at most ", kHitsMax, ", was ", k));
  }
  k = kHitsMax;
  co_return absl::OkStatus();
}

boost::asio::awaitable<absl::StatusOr<std::vector<pb::QueryResponse>>> QueryParts(Call& call,
                                                                                  const pb::CollectionRef& ref,
                                                                                  ReadBody& body, std::int64_t k) {
  pb::QueryRequest request;
  *request.mutable_collection() = ref;
  request.set_k(static_cast<std::int32_t>(k));
  if (body.ids) request.mutable_ids()->Add(body.ids->begin(), body.ids->end());
  if (body.filter) *request.mutable_filter() = *body.filter;
  SetInclude(body.include, *request.mutable_include());
  const std::size_t step = VectorsPerCall(body, k);
  std::vector<pb::QueryResponse> parts;
  std::size_t bytes = 0;
  for (std::size_t next = 0; next < body.query_vectors.size();) {
    request.clear_vectors();
    const std::size_t end = std::min(next + step, body.query_vectors.size());
    for (; next < end; ++next) *request.add_vectors() = std::move(body.query_vectors[next]);
    auto reply = co_await call.service.Call(call.context, request);
    if (!reply.ok()) co_return reply.status();
    const std::size_t part = reply->ByteSizeLong() * (body.include.embeddings ? kFloatTextFactor : 1);
    bytes += part;
    if (bytes > kAnswerBytesMax) co_return AnswerTooLarge("ask with fewer embeddings or a smaller n_results");
    if (absl::Status held = call.memory.Add(static_cast<std::int64_t>(part)); !held.ok()) co_return held;
    parts.push_back(*std::move(reply));
  }
  co_return parts;
}

}  // namespace

absl::StatusOr<std::vector<Records>> SplitRecords(Records records, std::size_t bytes_max) {
  std::vector<Records> parts(1);
  std::size_t bytes = 0;
  for (pb::RecordChange& record : records) {
    // A few bytes for tag and length beside the record itself.
    const std::size_t size = record.ByteSizeLong() + 8;
    if (size > bytes_max) {
      return absl::InvalidArgumentError(absl::StrCat("record ", record.id(), " is larger than ", bytes_max, " bytes"));
    }
    if (bytes + size > bytes_max) {
      parts.emplace_back();
      bytes = 0;
    }
    bytes += size;
    *parts.back().Add() = std::move(record);
  }
  return parts;
}

HandlerResult AddRecords(Call& call) {
  const absl::Status status = co_await Write(call, WriteKind::kAdd);
  if (!status.ok()) co_return status;
  co_return Json(call.dialect.legacy() ? "true" : "{}", 201);
}

HandlerResult UpsertRecords(Call& call) {
  const absl::Status status = co_await Write(call, WriteKind::kUpsert);
  if (!status.ok()) co_return status;
  co_return Acknowledge(call);
}

HandlerResult UpdateRecords(Call& call) {
  const absl::Status status = co_await Write(call, WriteKind::kUpdate);
  if (!status.ok()) co_return status;
  co_return Acknowledge(call);
}

HandlerResult DeleteRecords(Call& call) {
  const absl::StatusOr<pb::CollectionRef> ref = CollectionById(call);
  if (!ref.ok()) co_return ref.status();
  absl::StatusOr<ReadBody> body = ParseDelete(call.body, call.dialect);
  if (!body.ok()) co_return body.status();
  const bool any_ids = body->ids && !body->ids->empty();
  if (!any_ids && !body->filter) {
    if (call.dialect.legacy() || body->ids) co_return NothingToDelete(call.dialect);
    const absl::Status exists = co_await EnsureExists(call, *ref);
    if (!exists.ok()) co_return exists;
    co_return Deleted(call, 0);
  }
  if (body->ids && body->ids->empty()) body->ids.reset();
  pb::DeleteRequest request;
  *request.mutable_collection() = *ref;
  const bool by_ids = (WantsDeletedIds(call.dialect) && body->filter) || body->limit;
  if (by_ids) {
    body->include = IncludeSet();
    auto ids = co_await MatchingIds(call, *ref, *body);
    if (!ids.ok()) co_return ids.status();
    body->ids = *std::move(ids);
    body->filter.reset();
  }
  if (body->ids) request.mutable_ids()->Add(body->ids->begin(), body->ids->end());
  if (body->filter) *request.mutable_filter() = *body->filter;
  std::int64_t deleted = 0;
  if (!request.ids().empty() || request.has_filter()) {
    const auto reply = co_await call.service.Call(call.context, request);
    if (!reply.ok()) co_return reply.status();
    deleted = reply->deleted();
  }
  if (WantsDeletedIds(call.dialect)) co_return Json(IdList(*body->ids));
  co_return Deleted(call, body->ids && !body->filter ? request.ids_size() : deleted);
}

HandlerResult CountRecords(Call& call) {
  const absl::StatusOr<pb::CollectionRef> ref = CollectionById(call);
  if (!ref.ok()) co_return ref.status();
  pb::CountRequest request;
  *request.mutable_collection() = *ref;
  const auto reply = co_await call.service.Call(call.context, request);
  if (!reply.ok()) co_return reply.status();
  co_return Json(absl::StrCat(reply->count()));
}

HandlerResult GetRecords(Call& call) {
  const absl::StatusOr<pb::CollectionRef> ref = CollectionById(call);
  if (!ref.ok()) co_return ref.status();
  const absl::StatusOr<ReadBody> body = ParseGet(call.body, call.dialect);
  if (!body.ok()) co_return body.status();
  if (NothingWanted(*body)) {
    const absl::Status exists = co_await EnsureExists(call, *ref);
    if (!exists.ok()) co_return exists;
    co_return Json(GetAnswer(body->include, call.dialect).Finish());
  }
  absl::StatusOr<std::string> text = co_await GetText(call, MakeGetRequest(*ref, *body), body->include);
  if (!text.ok()) co_return text.status();
  co_return Json(*std::move(text));
}

HandlerResult QueryRecords(Call& call) {
  const absl::StatusOr<pb::CollectionRef> ref = CollectionById(call);
  if (!ref.ok()) co_return ref.status();
  absl::StatusOr<ReadBody> body = ParseQueryBody(call.body, call.dialect);
  if (!body.ok()) co_return body.status();
  if (NothingWanted(*body) || body->n_results == 0 || body->query_vectors.empty()) {
    const absl::Status exists = co_await EnsureExists(call, *ref);
    if (!exists.ok()) co_return exists;
    std::vector<pb::QueryResponse> empty(1);
    for (std::size_t i = 0; i < body->query_vectors.size(); ++i) empty.front().add_results();
    co_return Json(QueryAnswer(empty, body->include, call.dialect));
  }
  std::int64_t k = body->n_results;
  const absl::Status clamped = co_await ClampHits(call, *ref, k);
  if (!clamped.ok()) co_return clamped;
  const auto parts = co_await QueryParts(call, *ref, *body, k);
  if (!parts.ok()) co_return parts.status();
  co_return Json(QueryAnswer(*parts, body->include, call.dialect));
}

}  // namespace omics::gateway
