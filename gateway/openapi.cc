#include "gateway/openapi.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "gateway/chroma_body.h"
#include "gateway/chroma_handlers.h"
#include "gateway/json_writer.h"
#include "gateway/openapi_schemas.h"

namespace omics::gateway {
namespace {

constexpr RouteDescription kDescriptions[] = {
    {"livez", "Whether the gateway runs", "", "", "Alive", ""},
    {"readyz", "Whether gateway and service are ready for requests", "", "", "Ready", "503-ready"},
    {"openapi", "This document", "", "", "Document", ""},
    {"heartbeat", "The server's clock, in nanoseconds since 1970", "", "", "Heartbeat", ""},
    {"version", "The Chroma version whose semantics this API has", "", "", "Version", ""},
    {"pre_flight_checks", "What a client may send at once", "", "", "PreFlightChecks", ""},
    {"identity", "Whose the token is, and the tenant and databases it is bound to", "", "", "Identity*", ""},
    {"reset", "Deletes everything; only where the service runs with --allow-reset", "", "", "True", ""},
    {"create_tenant", "Creates a tenant", "", "Name", "Done*", "409 507"},
    {"get_tenant", "A tenant", "", "", "Tenant*", "404"},
    {"create_database", "Creates a database", "tenant", "Name", "Done*", "404 409 507"},
    {"get_database", "A database", "tenant", "", "Database", "404"},
    {"list_databases", "The databases of a tenant", "limit offset", "", "Databases", "404"},
    {"delete_database", "Deletes a database and all its collections", "", "", "Done*", "404"},
    {"list_collections", "The collections of a database", "tenant database limit offset", "", "Collections*", ""},
    {"count_collections", "How many collections a database has", "tenant database", "", "Count", ""},
    {"create_collection",
     "Creates a collection, or gets it with get_or_create. A token that may only read gets what exists",
     "tenant database", "CreateCollection*", "Collection*", "404 409 507"},
    {.route = "get_collection",
     .summary = "A collection, by its name",
     .query = "tenant database",
     .body = "",
     .answer = "Collection*",
     .errors = "404",
     .by_name = true},
    {"update_collection", "Changes a collection's name, metadata or configuration", "", "UpdateCollection*", "Done*",
     "404 409 507"},
    {.route = "delete_collection",
     .summary = "Deletes a collection, by its name",
     .query = "tenant database",
     .body = "",
     .answer = "Done*",
     .errors = "404",
     .by_name = true},
    {"fork", "Not offered: answers 501", "", "", "Nothing", "501"},
    {"search", "Not offered: answers 501", "", "", "Nothing", "501"},
    {"indexing_status", "Not offered: answers 501", "", "", "Nothing", "501"},
    {"add", "Adds records; those whose id exists are left as they are", "", "Add*", "Added*", "404 507", 201},
    {"upsert", "Adds records, or changes those that exist", "", "Upsert*", "Done*", "404 507"},
    {"update", "Changes records that exist; others are passed over", "", "Update", "Done*", "404 507"},
    {"delete", "Deletes records by ids, by filter, or those that meet both", "", "Delete*", "Deleted*", "404"},
    {"count", "How many records a collection has", "", "", "Count", "404"},
    {"get", "Records by ids and filters, in the order in which they were added", "", "Get*", "GetAnswer*", "404"},
    {"query", "The records nearest to each query embedding", "", "Query*", "QueryAnswer*", "404"},
};

struct ErrorText {
  std::string_view status;
  std::string_view text;
};

constexpr ErrorText kErrors[] = {
    {"400", "The request is not acceptable; in v1 also: no such collection (InvalidCollection)"},
    {"401", "No token, or an unknown one (v1)"},
    {"403", "The token does not allow it; in v2 also: no token, or an unknown one"},
    {"404", "No such tenant, database or collection, or out of the token's scope"},
    {"408", "The header or the body came too slowly"},
    {"409", "The name is taken"},
    {"413", "The body is larger than the gateway takes (--body-bytes-max)"},
    {"415", "The body is not application/json"},
    {"422", "The body is JSON of another shape"},
    {"429", "Writes are ahead of the index: try again after the time in Retry-After"},
    {"431", "The header is larger than 16 KiB, or has more than 100 fields"},
    {"500", "Stored data are damaged, or there is a fault in the server"},
    {"501", "This server does not offer it"},
    {"503", "The service is starting, stopping or away: try again after the time in Retry-After"},
    {"504", "The deadline passed"},
    {"507", "The disk is full"},
};

constexpr char kIntroduction[] =
    "A vector database that speaks Chroma's REST API, v1 (0.x) and v2 (1.x). The schemas tell what a client gets that "
    "is not one of Chroma's own of version 0.x; those, told by their User-Agent, get the shapes of their version. "
    "Members that a request schema does not name are read over. Whole numbers are written without point and exponent. "
    "Lengths in characters are also limits in bytes of UTF-8. A server started with --insecure-no-auth asks for no "
    "token.";

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  for (const absl::string_view word : absl::StrSplit(ToAbsl(text), ' ', absl::SkipEmpty()))
    words.push_back(ToStd(word));
  return words;
}

std::string_view ApiName(Api api) { return api == Api::kV1 ? "v1" : api == Api::kV2 ? "v2" : "server"; }

std::string SchemaName(std::string_view name, Api api) {
  if (!name.ends_with('*')) return std::string(name);
  return absl::StrCat(ToAbsl(name.substr(0, name.size() - 1)), api == Api::kV1 ? "V1" : "V2");
}

std::string Reference(std::string_view section, std::string_view name) {
  return absl::StrCat("{\"$ref\":\"#/components/", ToAbsl(section), "/", ToAbsl(name), "\"}");
}

std::string JsonContent(const std::string& schema) {
  return absl::StrCat("\"content\":{\"application/json\":{\"schema\":", Reference("schemas", schema), "}}");
}

void AppendMember(std::string& out, Separator& separator, std::string_view key, const std::string& json) {
  AppendJsonKey(out, separator, key);
  out.append(json);
}

void AppendText(std::string& out, Separator& separator, std::string_view key, std::string_view text) {
  AppendJsonKey(out, separator, key);
  AppendJsonString(out, text);
}

const RouteDescription* Find(std::string_view route) {
  for (const RouteDescription& description : kDescriptions) {
    if (description.route == route) return &description;
  }
  return nullptr;
}

std::vector<std::string_view> PathParameterNames(std::string_view pattern) {
  std::vector<std::string_view> names;
  for (std::size_t open = pattern.find('{'); open != std::string_view::npos; open = pattern.find('{', open + 1)) {
    names.push_back(pattern.substr(open + 1, pattern.find('}', open) - open - 1));
  }
  return names;
}

std::string Parameters(const Route& route, const RouteDescription& description) {
  std::string out = "[";
  Separator separator;
  const std::vector<std::string_view> in_path = PathParameterNames(route.pattern);
  for (const std::string_view name : in_path) {
    separator.Next(out);
    const bool by_name = name == "collection" && description.by_name;
    out.append(Reference("parameters", absl::StrCat("path.", ToAbsl(name), by_name ? "_name" : "")));
  }
  for (const std::string_view name : Words(description.query)) {
    if (std::find(in_path.begin(), in_path.end(), name) != in_path.end()) continue;
    separator.Next(out);
    out.append(Reference("parameters", absl::StrCat("query.", ToAbsl(name))));
  }
  return out.append("]");
}

// The statuses of the errors that a route can give, in their order.
std::set<std::string_view> ErrorStatuses(const Route& route, const RouteDescription& description) {
  std::set<std::string_view> statuses = {"400", "408", "431"};
  if (route.access != Access::kOpen) {
    statuses.insert({"403", "429", "500", "503", "504"});
    if (route.api == Api::kV1) statuses.insert("401");
  }
  if (!description.body.empty()) statuses.insert({"413", "415", "422"});
  for (const std::string_view status : Words(description.errors)) statuses.insert(status);
  return statuses;
}

std::string Responses(const Route& route, const RouteDescription& description) {
  std::string out = "{";
  Separator separator;
  if (description.answer != "Nothing") {
    AppendMember(
        out, separator, absl::StrCat(description.status),
        absl::StrCat("{\"description\":\"Success\",", JsonContent(SchemaName(description.answer, route.api)), "}"));
  }
  for (const std::string_view status : ErrorStatuses(route, description)) {
    AppendMember(out, separator, status.substr(0, 3), Reference("responses", status));
  }
  return out.append("}");
}

std::string Security(const Route& route) {
  return route.access == Access::kOpen ? "[]" : R"([{"chromaToken":[]},{"bearer":[]},{"basic":[]}])";
}

std::string_view RoleText(Access access) {
  constexpr std::string_view kTexts[] = {"Open: needs no token.", "Needs a token of role read, write or admin.",
                                         "Needs a token of role write or admin.", "Needs a token of role admin."};
  return kTexts[static_cast<std::size_t>(access)];
}

std::string Operation(const Route& route, const RouteDescription& description, const std::string& id) {
  std::string out = "{";
  Separator separator;
  AppendText(out, separator, "operationId", id);
  AppendText(out, separator, "summary", description.summary);
  AppendText(out, separator, "description", RoleText(route.access));
  AppendMember(out, separator, "tags", absl::StrCat("[\"", ToAbsl(ApiName(route.api)), "\"]"));
  AppendMember(out, separator, "security", Security(route));
  AppendMember(out, separator, "parameters", Parameters(route, description));
  if (!description.body.empty()) {
    AppendMember(out, separator, "requestBody",
                 absl::StrCat("{\"required\":true,", JsonContent(SchemaName(description.body, route.api)), "}"));
  }
  AppendMember(out, separator, "responses", Responses(route, description));
  return out.append("}");
}

// Some routes have two paths: then the id of the second ends with "_2".
std::string UniqueId(const Route& route, std::set<std::string>& taken) {
  const std::string id = absl::StrCat(ToAbsl(ApiName(route.api)), "_", ToAbsl(route.name));
  return taken.insert(id).second ? id : absl::StrCat(id, "_2");
}

std::string Paths() {
  std::map<std::string_view, std::vector<std::pair<std::string, std::string>>> paths;  // method and operation
  std::set<std::string> ids;
  for (const Route& route : Routes()) {
    const RouteDescription* description = Find(route.name);
    if (description == nullptr) continue;
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    paths[route.pattern].emplace_back(std::move(method), Operation(route, *description, UniqueId(route, ids)));
  }
  std::string out = "{";
  Separator separator;
  for (const auto& [pattern, operations] : paths) {
    AppendJsonKey(out, separator, pattern);
    out.push_back('{');
    Separator inner;
    for (const auto& [method, operation] : operations) AppendMember(out, inner, method, operation);
    out.push_back('}');
  }
  return out.append("}");
}

std::string ErrorResponses() {
  std::string out = "{";
  Separator separator;
  for (const auto& [status, text] : kErrors) {
    AppendJsonKey(out, separator, status);
    out.append("{\"description\":");
    AppendJsonString(out, text);
    const bool retry = status == "429" || status == "503";
    out.append(retry ? R"(,"headers":{"Retry-After":{"$ref":"#/components/headers/RetryAfter"}},)" : ",");
    out.append(JsonContent("Error")).push_back('}');
  }
  AppendMember(out, separator, "503-ready",
               absl::StrCat(R"({"description":"Not ready","headers":{"Retry-After":{"$ref":)",
                            R"("#/components/headers/RetryAfter"}},)", JsonContent("NotReady"), "}"));
  return out.append("}");
}

// What stands for <name> in kComponents.
std::string Expansion(std::string_view name) {
  if (name == "records_max") return absl::StrCat(kRecordsMax);
  if (name == "query_vectors_max") return absl::StrCat(kQueryVectorsMax);
  if (name == "filter_depth_max") return absl::StrCat(kFilterDepthMax);
  if (name == "filter_nodes_max") return absl::StrCat(kFilterNodesMax);
  if (name == "batch_max") return absl::StrCat(kMaxBatchSize);
  return Reference("schemas", name);
}

std::string Components() {
  std::string out = absl::StrCat("{\"responses\":", ErrorResponses(), ",");
  std::string_view rest = kComponents;
  for (std::size_t open; (open = rest.find('<')) != std::string_view::npos;) {
    const std::size_t close = rest.find('>', open);
    out.append(rest.substr(0, open)).append(Expansion(rest.substr(open + 1, close - open - 1)));
    rest.remove_prefix(close + 1);
  }
  return out.append(rest).append("}");
}

}  // namespace

std::span<const RouteDescription> RouteDescriptions() { return kDescriptions; }

const std::string& OpenApiDocument() {
  static const std::string document = [] {
    std::string out =
        R"({"openapi":"3.1.0","info":{"title":"omics-vector","version":")" OMICS_VECTOR_VERSION R"(","description":)";
    AppendJsonString(out, kIntroduction);
    absl::StrAppend(&out, R"(},"servers":[{"url":"/"}],"paths":)", Paths(), ",\"components\":", Components(), "}");
    return out;
  }();
  return document;
}

HandlerResult OpenApi(Call&) { co_return Json(OpenApiDocument()); }

}  // namespace omics::gateway
