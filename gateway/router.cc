#include "gateway/router.h"

#include <algorithm>
#include <exception>
#include <new>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "gateway/chroma_handlers.h"
#include "gateway/openapi.h"

namespace omics::gateway {
namespace {

// Longer than any honest call takes on two cores; the service obeys it too.
constexpr std::chrono::seconds kReadDeadline{30};
// A large add waits for its durable commits and, where the builder lags, for its turn.
constexpr std::chrono::seconds kWriteDeadline{120};
// A query of one vector of 1,536 numbers with 17 digits takes half of it.
constexpr std::size_t kShortBodyBytesMax = 64 << 10;
// The longest pattern has nine.
constexpr std::size_t kSegmentsMax = 16;

#define V1 "/api/v1"
#define V2 "/api/v2"
#define V2_DATABASES V2 "/tenants/{tenant}/databases"
#define V2_COLLECTIONS V2_DATABASES "/{database}/collections"

constexpr Route kRoutes[] = {
    {"livez", "GET", "/livez", Api::kNone, Access::kOpen, Livez},
    {"readyz", "GET", "/readyz", Api::kNone, Access::kOpen, Readyz},
    {"openapi", "GET", "/openapi.json", Api::kNone, Access::kOpen, OpenApi},

    {"heartbeat", "GET", V1, Api::kV1, Access::kOpen, Heartbeat},
    {"heartbeat", "GET", V1 "/heartbeat", Api::kV1, Access::kOpen, Heartbeat},
    {"version", "GET", V1 "/version", Api::kV1, Access::kOpen, Version},
    {"pre_flight_checks", "GET", V1 "/pre-flight-checks", Api::kV1, Access::kOpen, PreFlightChecks},
    {"identity", "GET", V1 "/auth/identity", Api::kV1, Access::kRead, Identity},
    {"reset", "POST", V1 "/reset", Api::kV1, Access::kAdmin, ResetAll},
    {"create_tenant", "POST", V1 "/tenants", Api::kV1, Access::kAdmin, CreateTenant},
    {"get_tenant", "GET", V1 "/tenants/{tenant}", Api::kV1, Access::kRead, GetTenant},
    {"create_database", "POST", V1 "/databases", Api::kV1, Access::kAdmin, CreateDatabase},
    {"get_database", "GET", V1 "/databases/{database}", Api::kV1, Access::kRead, GetDatabase},
    {"list_collections", "GET", V1 "/collections", Api::kV1, Access::kRead, ListCollections},
    {"create_collection", "POST", V1 "/collections", Api::kV1, Access::kRead, CreateCollection},
    {"count_collections", "GET", V1 "/count_collections", Api::kV1, Access::kRead, CountCollections},
    {"get_collection", "GET", V1 "/collections/{collection}", Api::kV1, Access::kRead, GetCollection},
    {"update_collection", "PUT", V1 "/collections/{collection}", Api::kV1, Access::kWrite, UpdateCollection},
    {"delete_collection", "DELETE", V1 "/collections/{collection}", Api::kV1, Access::kWrite, DeleteCollection},
    {"add", "POST", V1 "/collections/{collection}/add", Api::kV1, Access::kWrite, AddRecords},
    {"upsert", "POST", V1 "/collections/{collection}/upsert", Api::kV1, Access::kWrite, UpsertRecords},
    {"update", "POST", V1 "/collections/{collection}/update", Api::kV1, Access::kWrite, UpdateRecords},
    {"delete", "POST", V1 "/collections/{collection}/delete", Api::kV1, Access::kWrite, DeleteRecords},
    {"count", "GET", V1 "/collections/{collection}/count", Api::kV1, Access::kRead, CountRecords},
    {"get", "POST", V1 "/collections/{collection}/get", Api::kV1, Access::kRead, GetRecords},
    {"query", "POST", V1 "/collections/{collection}/query", Api::kV1, Access::kRead, QueryRecords},

    {"heartbeat", "GET", V2, Api::kV2, Access::kOpen, Heartbeat},
    {"heartbeat", "GET", V2 "/heartbeat", Api::kV2, Access::kOpen, Heartbeat},
    {"readyz", "GET", V2 "/healthcheck", Api::kV2, Access::kOpen, Readyz},
    {"version", "GET", V2 "/version", Api::kV2, Access::kOpen, Version},
    {"pre_flight_checks", "GET", V2 "/pre-flight-checks", Api::kV2, Access::kOpen, PreFlightChecks},
    {"identity", "GET", V2 "/auth/identity", Api::kV2, Access::kRead, Identity},
    {"reset", "POST", V2 "/reset", Api::kV2, Access::kAdmin, ResetAll},
    {"create_tenant", "POST", V2 "/tenants", Api::kV2, Access::kAdmin, CreateTenant},
    {"get_tenant", "GET", V2 "/tenants/{tenant}", Api::kV2, Access::kRead, GetTenant},
    {"list_databases", "GET", V2_DATABASES, Api::kV2, Access::kRead, ListDatabases},
    {"create_database", "POST", V2_DATABASES, Api::kV2, Access::kAdmin, CreateDatabase},
    {"get_database", "GET", V2_DATABASES "/{database}", Api::kV2, Access::kRead, GetDatabase},
    {"delete_database", "DELETE", V2_DATABASES "/{database}", Api::kV2, Access::kAdmin, DeleteDatabase},
    {"count_collections", "GET", V2_DATABASES "/{database}/collections_count", Api::kV2, Access::kRead,
     CountCollections},
    {"list_collections", "GET", V2_COLLECTIONS, Api::kV2, Access::kRead, ListCollections},
    {"create_collection", "POST", V2_COLLECTIONS, Api::kV2, Access::kRead, CreateCollection},
    {"get_collection", "GET", V2_COLLECTIONS "/{collection}", Api::kV2, Access::kRead, GetCollection},
    {"update_collection", "PUT", V2_COLLECTIONS "/{collection}", Api::kV2, Access::kWrite, UpdateCollection},
    {"delete_collection", "DELETE", V2_COLLECTIONS "/{collection}", Api::kV2, Access::kWrite, DeleteCollection},
    {"fork", "POST", V2_COLLECTIONS "/{collection}/fork", Api::kV2, Access::kWrite, ForkCollection},
    {"search", "POST", V2_COLLECTIONS "/{collection}/search", Api::kV2, Access::kRead, SearchCollection},
    {"indexing_status", "GET", V2_COLLECTIONS "/{collection}/indexing_status", Api::kV2, Access::kRead, IndexingStatus},
    {"add", "POST", V2_COLLECTIONS "/{collection}/add", Api::kV2, Access::kWrite, AddRecords},
    {"upsert", "POST", V2_COLLECTIONS "/{collection}/upsert", Api::kV2, Access::kWrite, UpsertRecords},
    {"update", "POST", V2_COLLECTIONS "/{collection}/update", Api::kV2, Access::kWrite, UpdateRecords},
    {"delete", "POST", V2_COLLECTIONS "/{collection}/delete", Api::kV2, Access::kWrite, DeleteRecords},
    {"count", "GET", V2_COLLECTIONS "/{collection}/count", Api::kV2, Access::kRead, CountRecords},
    {"get", "POST", V2_COLLECTIONS "/{collection}/get", Api::kV2, Access::kRead, GetRecords},
    {"query", "POST", V2_COLLECTIONS "/{collection}/query", Api::kV2, Access::kRead, QueryRecords},
};

#undef V1
#undef V2
#undef V2_DATABASES
#undef V2_COLLECTIONS

using Segments = std::vector<std::string_view>;

// "/a/b" → {a, b}; "/a/b/" → {a, b, ""}. Empty for anything longer than a route can be.
Segments Split(std::string_view path) {
  Segments segments;
  while (!path.empty() && segments.size() <= kSegmentsMax) {
    path.remove_prefix(1);  // the slash
    const std::size_t end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  if (segments.size() > kSegmentsMax) segments.clear();
  return segments;
}

// The patterns of kRoutes, split once.
const std::vector<Segments>& Patterns() {
  static const std::vector<Segments> patterns = [] {
    std::vector<Segments> result;
    for (const Route& route : kRoutes) result.push_back(Split(route.pattern));
    return result;
  }();
  return patterns;
}

bool Matches(const Segments& pattern, const Segments& path) {
  if (pattern.size() != path.size()) return false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const bool parameter = pattern[i].starts_with('{');
    if (parameter ? path[i].empty() : pattern[i] != path[i]) return false;
  }
  return true;
}

// False if a parameter is not decodable.
bool Capture(const Segments& pattern, const Segments& path, PathParameters& out) {
  out.clear();
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (!pattern[i].starts_with('{')) continue;
    auto& [name, value] = out.emplace_back();
    name = pattern[i].substr(1, pattern[i].size() - 2);
    if (!PercentDecode(path[i], false, value)) return false;
  }
  return true;
}

Role RoleFor(Access access) {
  if (access == Access::kAdmin) return Role::kAdmin;
  return access == Access::kWrite ? Role::kWrite : Role::kRead;
}

bool IsJson(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  constexpr std::string_view kJson = "application/json";
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  return type.size() >= kJson.size() &&
         std::equal(kJson.begin(), kJson.end(), type.begin(), [&](char want, char got) { return same(got, want); }) &&
         type.find_first_not_of(" \t", kJson.size()) == std::string_view::npos;
}

// A body must be JSON. The old clients send it without saying so; a browser's form always says what it is.
absl::Status CheckMediaType(const RequestHead& head, Dialect dialect) {
  if (!head.has_body) return absl::OkStatus();
  if (head.content_type.empty() ? dialect.legacy() : IsJson(head.content_type)) return absl::OkStatus();
  return WithReason(absl::InvalidArgumentError("Expected request with `Content-Type: application/json`"),
                    kReasonMediaType);
}

}  // namespace

std::string_view Call::Path(std::string_view name) const {
  for (const auto& [key, value] : path) {
    if (key == name) return value;
  }
  return {};
}

std::span<const Route> Routes() { return kRoutes; }

RouteMatch MatchRoute(std::string_view method, std::string_view path) {
  RouteMatch match;
  if (!path.starts_with('/')) return match;
  const Segments exact = Split(path);
  Segments bare = exact;
  if (bare.size() > 1 && bare.back().empty()) bare.pop_back();
  const std::vector<Segments>& patterns = Patterns();
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const Route& route = kRoutes[i];
    const Segments& segments = route.api == Api::kV1 ? bare : exact;
    if (!Matches(patterns[i], segments)) continue;
    if (route.method == method) {
      match.route = &route;
      match.decodable = Capture(patterns[i], segments, match.parameters);
      return match;
    }
    absl::StrAppend(&match.allow, match.allow.empty() ? "" : ", ", ToAbsl(route.method));
  }
  return match;
}

Router::Router(VectorClient& service, const LiveTokens& tokens, Metrics& metrics, RouterOptions options)
    : service_(service), tokens_(tokens), metrics_(metrics), options_(std::move(options)) {}

std::string Router::AllowedOrigin(std::string_view origin) const {
  if (origin.empty()) return "";
  for (const std::string& allowed : options_.cors_allow_origins) {
    if (allowed == "*") return "*";
    if (allowed == origin) return allowed;
  }
  return "";
}

Response Router::Preflight(const RequestHead&) const {
  Response response;
  response.status = 204;
  response.allow = "GET, POST, PUT, DELETE";
  return response;
}

absl::StatusOr<Principal> Router::Authenticate(const RequestHead& head, std::string& token) const {
  absl::Status failure;
  for (const std::string* value : {&head.chroma_token, &head.authorization}) {
    const std::string presented = TokenFromAuthorization(*value);
    if (presented.empty() && value != &head.authorization) continue;
    absl::StatusOr<Principal> principal = tokens_.Check(presented);
    if (principal.ok()) {
      token = presented;
      return principal;
    }
    if (failure.ok() || !presented.empty()) failure = principal.status();
  }
  return failure;
}

absl::Status Router::Authorize(const RequestHead& head, Admission& admission) const {
  if (admission.route->access == Access::kOpen) return absl::OkStatus();
  OMICS_ASSIGN_OR_RETURN(admission.principal, Authenticate(head, admission.token));
  const Role needed = RoleFor(admission.route->access);
  if (admission.principal.role >= needed) return absl::OkStatus();
  return WithReason(absl::PermissionDeniedError(
                        absl::StrCat("this token's role is ", ToAbsl(RoleName(admission.principal.role)), "; ",
                                     ToAbsl(admission.route->name), " needs ", ToAbsl(RoleName(needed)))),
                    "ROLE_TOO_LOW");
}

absl::Status Router::CheckOrigin(const RequestHead& head, const Admission& admission) const {
  const bool foreign = !head.origin.empty() && AllowedOrigin(head.origin).empty();
  // Without a token means that none was required: the route is authorized already.
  if (!foreign || head.method == "GET" || !admission.token.empty()) return absl::OkStatus();
  return absl::PermissionDeniedError(
      "web pages of this origin may not call without a token: add the origin to --cors-allow-origins, or set a token");
}

std::variant<Router::Admission, Response> Router::Admit(const RequestHead& head) {
  Admission admission;
  admission.started = std::chrono::steady_clock::now();
  const std::size_t question = std::min(head.target.find('?'), head.target.size());
  const std::string_view target = head.target;
  if (head.method == "OPTIONS" && !AllowedOrigin(head.origin).empty()) return Preflight(head);
  RouteMatch match = MatchRoute(head.method, target.substr(0, question));
  if (match.route == nullptr) {
    Response response;
    response.status = match.allow.empty() ? 404 : 405;
    response.allow = std::move(match.allow);
    return response;
  }
  admission.route = match.route;
  admission.parameters = std::move(match.parameters);
  admission.dialect = {match.route->api, ClientFromUserAgent(head.user_agent)};
  if (const absl::Status status = Authorize(head, admission); !status.ok()) return Refuse(admission, status);
  if (const absl::Status status = CheckOrigin(head, admission); !status.ok()) return Refuse(admission, status);
  if (!match.decodable) {
    return Refuse(admission, absl::InvalidArgumentError("Invalid URL: the path has a broken escape or is not UTF-8"));
  }
  if (!ParseQuery(target.substr(std::min(question + 1, target.size())), admission.query)) {
    return Refuse(admission, absl::InvalidArgumentError("Failed to deserialize query string"));
  }
  if (head.has_body && head.method == "GET") {
    return Refuse(admission, absl::InvalidArgumentError("a GET takes no body"));
  }
  if (const absl::Status status = CheckMediaType(head, admission.dialect); !status.ok()) {
    return Refuse(admission, status);
  }
  return admission;
}

bool Router::IsShort(const Admission& admission, std::string_view body) {
  return admission.route->handler == QueryRecords && body.size() <= kShortBodyBytesMax;
}

boost::asio::awaitable<Response> Router::Handle(Admission admission, std::string body, MemoryShare& memory) {
  const bool write = admission.route->access == Access::kWrite;
  Call call{.service = service_,
            .context = {admission.token, std::chrono::steady_clock::now() + (write ? kWriteDeadline : kReadDeadline)},
            .principal = admission.principal,
            .dialect = admission.dialect,
            .path = std::move(admission.parameters),
            .query = std::move(admission.query),
            .body = std::move(body),
            .memory = memory,
            .subject = {},
            .ready = ready_.load()};
  call.subject = {TenantOf(call), DatabaseOf(call), std::string(call.Path("collection")), false};
  metrics_.AddInFlight(1);
  absl::StatusOr<Response> result = absl::InternalError("no answer");
  try {
    result = co_await admission.route->handler(call);
  } catch (const std::bad_alloc&) {
    result = absl::UnavailableError("the gateway is out of memory; try again with a smaller request");
  } catch (const std::exception& e) {
    result = absl::InternalError(e.what());
  }
  metrics_.AddInFlight(-1);
  if (absl::IsInternal(result.status()) || absl::IsDataLoss(result.status()) || absl::IsUnknown(result.status())) {
    LogError(absl::StrCat(ToAbsl(admission.route->name), " failed: ", result.status().ToString()));
  }
  Response response = result.ok() ? *std::move(result) : ErrorResponse(result.status(), call.dialect, call.subject);
  Count(*admission.route, response, admission.started);
  co_return response;
}

Response Router::Refuse(const Admission& admission, const absl::Status& status) {
  const Response response = ErrorResponse(status, admission.dialect, {});
  Count(*admission.route, response, admission.started);
  return response;
}

void Router::Count(const Route& route, const Response& response, std::chrono::steady_clock::time_point started) {
  metrics_.Finished(route.name, absl::StrCat(response.status), std::chrono::steady_clock::now() - started);
}

}  // namespace omics::gateway
