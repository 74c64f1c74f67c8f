#include <charconv>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/uuid.h"
#include "gateway/chroma_collection_json.h"
#include "gateway/chroma_handlers.h"
#include "gateway/json_writer.h"

namespace omics::gateway {
namespace {

constexpr char kDefaultTenant[] = "default_tenant";
constexpr char kDefaultDatabase[] = "default_database";

std::string Parameter(const Call& call, std::string_view name, std::string_view fallback) {
  if (const std::string_view path = call.Path(name); !path.empty()) return std::string(path);
  // Some v2 clients repeat the tenant in the query; there the path alone counts.
  if (call.dialect.api != Api::kV1) return std::string(fallback);
  const std::string_view query = FindParameter(call.query, name);
  return std::string(query.empty() ? fallback : query);
}

void AppendDatabase(std::string& out, const pb::Database& database) {
  out.append("{\"id\":");
  AppendJsonString(out, database.id());
  out.append(",\"name\":");
  AppendJsonString(out, database.name());
  out.append(",\"tenant\":");
  AppendJsonString(out, database.tenant());
  out.push_back('}');
}

absl::Status ReadNumber(const Call& call, std::string_view name, std::int64_t& out) {
  const std::string_view text = FindParameter(call.query, name);
  if (text.empty()) return absl::OkStatus();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error == std::errc() && end == text.data() + text.size() && out >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("Failed to deserialize query string: ", ToAbsl(name), ": not a whole number of 0 or more"));
}

// Whether the path's tenant and database say nothing: Python 0.5.16 to 0.5.23 name the defaults in every upsert.
bool NamesNoHome(const Call& call) {
  return call.dialect.legacy() && call.Path("tenant") == kDefaultTenant && call.Path("database") == kDefaultDatabase;
}

}  // namespace

// --- helpers
// ----------------------------------------------------------------------------------------------------------

Response Json(std::string body, int status) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

Response Acknowledge(const Call& call) { return Json(call.dialect.legacy() ? "null" : "{}"); }

std::string TenantOf(const Call& call) { return Parameter(call, "tenant", kDefaultTenant); }
std::string DatabaseOf(const Call& call) { return Parameter(call, "database", kDefaultDatabase); }

absl::StatusOr<pb::CollectionRef> CollectionById(const Call& call) {
  const std::string_view id = call.Path("collection");
  if (!IsUuid(id)) {
    return WithReason(
        absl::InvalidArgumentError(call.dialect.legacy() ? absl::StrCat("Could not parse ", ToAbsl(id), " as a UUID")
                                                         : "Collection ID is not a valid UUIDv4"),
        kReasonNotAUuid);
  }
  pb::CollectionRef ref;
  ref.set_id(std::string(id));
  if (NamesNoHome(call)) return ref;
  ref.set_tenant(std::string(call.Path("tenant")));
  ref.set_database(std::string(call.Path("database")));
  return ref;
}

pb::CollectionRef CollectionByName(const Call& call) {
  pb::CollectionRef ref;
  ref.set_tenant(TenantOf(call));
  ref.set_database(DatabaseOf(call));
  ref.set_name(std::string(call.Path("collection")));
  return ref;
}

absl::StatusOr<Window> WindowOf(const Call& call) {
  Window window;
  OMICS_RETURN_IF_ERROR(ReadNumber(call, "limit", window.limit));
  OMICS_RETURN_IF_ERROR(ReadNumber(call, "offset", window.offset));
  return window;
}

// --- system
// -----------------------------------------------------------------------------------------------------------

HandlerResult Heartbeat(Call&) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  co_return Json(absl::StrCat("{\"nanosecond heartbeat\":", nanoseconds, "}"));
}

HandlerResult Version(Call& call) { co_return Json(call.dialect.api == Api::kV1 ? "\"0.5.23\"" : "\"1.0.0\""); }

HandlerResult PreFlightChecks(Call&) {
  co_return Json(absl::StrCat("{\"max_batch_size\":", kMaxBatchSize, ",\"supports_base64_encoding\":true}"));
}

HandlerResult Livez(Call&) { co_return Json("{\"status\":\"alive\"}"); }

HandlerResult Readyz(Call& call) {
  absl::Status status = absl::UnavailableError("the gateway is shutting down");
  if (call.ready) {
    call.context.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    status = co_await call.service.CheckHealth(call.context);
  }
  if (status.ok()) co_return Json("{\"status\":\"ready\"}");
  std::string body = "{\"status\":\"not ready\",\"reason\":";
  AppendJsonString(body, ToStd(status.message()));
  Response response = Json(body.append("}"), 503);
  response.retry_after_seconds = kRetryAfterSeconds;
  co_return response;
}

HandlerResult Identity(Call& call) {
  const pb::GetIdentityRequest request;
  auto reply = co_await call.service.Call(call.context, request);
  if (!reply.ok()) co_return reply.status();
  // A token that is bound to one tenant or database names it, so that clients fill it in; "*" leaves the choice to
  // them.
  std::string body = "{\"user_id\":";
  AppendJsonString(body, reply->name());
  body.append(",\"tenant\":");
  AppendJsonString(body, reply->tenants_size() == 1 ? reply->tenants(0) : "*");
  body.append(",\"databases\":[");
  Separator separator;
  for (const std::string& database : reply->databases()) {
    separator.Next(body);
    AppendJsonString(body, database);
  }
  body.append(reply->databases().empty() ? "\"*\"]" : "]");
  if (call.dialect.legacy()) body.append(",\"attributes\":null");
  co_return Json(body.append("}"));
}

HandlerResult ResetAll(Call& call) {
  const pb::ResetRequest request;
  auto reply = co_await call.service.Call(call.context, request);
  if (!reply.ok()) co_return reply.status();
  co_return Json("true");
}

// --- tenants and databases
// --------------------------------------------------------------------------------------------

HandlerResult CreateTenant(Call& call) {
  absl::StatusOr<std::string> name = ParseNameBody(call.body);
  if (!name.ok()) co_return name.status();
  call.subject.tenant = *name;
  pb::CreateTenantRequest request;
  request.set_name(*std::move(name));
  auto reply = co_await call.service.Call(call.context, request);
  if (!reply.ok()) co_return reply.status();
  co_return Acknowledge(call);
}

HandlerResult GetTenant(Call& call) {
  pb::GetTenantRequest request;
  request.set_name(std::string(call.Path("tenant")));
  auto reply = co_await call.service.Call(call.context, request);
  if (!reply.ok()) co_return reply.status();
  std::string body = "{\"name\":";
  AppendJsonString(body, reply->name());
  co_return Json(body.append(call.dialect.api == Api::kV1 ? "}" : ",\"resource_name\":null}"));
}

HandlerResult CreateDatabase(Call& call) {
  absl::StatusOr<std::string> name = ParseNameBody(call.body);
  if (!name.ok()) co_return name.status();
  call.subject.database = *name;
  pb::CreateDatabaseRequest request;
  request.set_tenant(TenantOf(call));
  request.set_name(*std::move(name));
  auto reply = co_await call.service.Call(call.context, request);
  if (!reply.ok()) co_return reply.status();
  co_return Acknowledge(call);
}

HandlerResult GetDatabase(Call& call) {
  pb::GetDatabaseRequest request;
  request.set_tenant(TenantOf(call));
  request.set_name(std::string(call.Path("database")));
  auto reply = co_await call.service.Call(call.context, request);
  if (!reply.ok()) co_return reply.status();
  std::string body;
  AppendDatabase(body, reply->database());
  co_return Json(std::move(body));
}

HandlerResult ListDatabases(Call& call) {
  const absl::StatusOr<Window> window = WindowOf(call);
  if (!window.ok()) co_return window.status();
  pb::ListDatabasesRequest request;
  request.set_tenant(TenantOf(call));
  std::string body = "[";
  Separator separator;
  std::int64_t skip = window->offset;
  std::int64_t left = window->limit;
  do {
    auto reply = co_await call.service.Call(call.context, request);
    if (!reply.ok()) co_return reply.status();
    for (const pb::Database& database : reply->databases()) {
      if (skip-- > 0) continue;
      if (left-- == 0) break;
      separator.Next(body);
      AppendDatabase(body, database);
    }
    request.set_page_token(reply->next_page_token());
  } while (!request.page_token().empty());
  co_return Json(body.append("]"));
}

HandlerResult DeleteDatabase(Call& call) {
  pb::DeleteDatabaseRequest request;
  request.set_tenant(TenantOf(call));
  request.set_name(std::string(call.Path("database")));
  auto reply = co_await call.service.Call(call.context, request);
  if (!reply.ok()) co_return reply.status();
  co_return Acknowledge(call);
}

}  // namespace omics::gateway
