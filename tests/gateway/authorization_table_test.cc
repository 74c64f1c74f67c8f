// Every route of the table, by every kind of token, before the real service: the answer must be what a simple model of
// roles and bindings says, and what is out of scope must answer, byte by byte, like what does not exist.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status.h"
#include "tests/gateway/process.h"
#include "tests/gateway/testing.h"
#include "tests/support/temp_dir.h"

namespace omics::gateway::testing {
namespace {

// "" does not bind.
struct Binding {
  std::string tenant;
  std::string database;
  std::string prefix;  // of collection names

  bool Unbound() const { return tenant.empty() && database.empty() && prefix.empty(); }
  bool CoversTenant() const { return tenant.empty() || tenant == "lab"; }
  bool CoversDatabase(const std::string& name = "cells") const {
    return CoversTenant() && (database.empty() || database == name);
  }
  // A collection of lab/cells.
  bool Covers(const std::string& name) const { return CoversDatabase() && name.compare(0, prefix.size(), prefix) == 0; }
  std::string Columns() const {
    return absl::StrCat(tenant.empty() ? "" : " tenant=" + tenant, database.empty() ? "" : " database=" + database,
                        prefix.empty() ? "" : " collections=" + prefix + "*");
  }
};

const Binding kBindings[] = {{},
                             {"lab", "", ""},
                             {"clinic", "", ""},
                             {"", "cells", ""},
                             {"", "tissues", ""},
                             {"", "", "blood"},
                             {"", "", "liver"},
                             {"lab", "cells", "blood"}};

struct Caller {
  std::string token;  // "" for none
  Role role = Role::kRead;
  Binding binding;
};

std::vector<Caller> Callers() {
  std::vector<Caller> callers = {{}};
  for (const Role role : {Role::kRead, Role::kWrite, Role::kAdmin}) {
    for (const Binding& binding : kBindings) {
      callers.push_back({absl::StrCat("token-of-caller-", 100 + callers.size()), role, binding});
    }
  }
  return callers;
}

std::string Show(const Caller& caller) {
  return caller.token.empty() ? "no token" : absl::StrCat(ToAbsl(RoleName(caller.role)), caller.binding.Columns());
}

enum class About {
  kNobody,            // open to all
  kCaller,            // nothing but the caller
  kCollection,        // blood_1 of lab/cells, by its UUID
  kCollectionByName,  // the same
  kNewCollection,     // blood_new of lab/cells
  kTenant,            // lab
  kDatabase,          // lab/cells
  kNewDatabase,       // lab/fluids
  kWholeDatabase,     // lab/cells
  kList,              // what lab, or lab/cells, holds
  kInstance,
};

struct Probe {
  About about;
  Role role = Role::kRead;
  std::string body = "";
  int granted = 200;
};

constexpr char kRecords[] = R"({"ids":["r1"],"embeddings":[[1,2]]})";

// By the name of the route. A route that does not stand here fails the test.
const std::map<std::string_view, Probe>& Probes() {
  static const std::map<std::string_view, Probe> probes = {
      {"livez", {About::kNobody}},
      {"readyz", {About::kNobody}},
      {"heartbeat", {About::kNobody}},
      {"version", {About::kNobody}},
      {"pre_flight_checks", {About::kNobody}},
      {"openapi", {About::kNobody}},
      {"identity", {About::kCaller}},
      {"reset", {About::kInstance, Role::kAdmin}},
      {"create_tenant", {About::kInstance, Role::kAdmin, R"({"name":"hospital"})"}},
      {"get_tenant", {About::kTenant}},
      {"list_databases", {About::kList}},
      {"create_database", {About::kNewDatabase, Role::kAdmin, R"({"name":"fluids"})"}},
      {"get_database", {About::kDatabase}},
      {"delete_database", {About::kWholeDatabase, Role::kAdmin}},
      {"list_collections", {About::kList}},
      {"count_collections", {About::kList}},
      {"create_collection", {About::kNewCollection, Role::kWrite, R"({"name":"blood_new"})"}},
      {"get_collection", {About::kCollectionByName}},
      {"update_collection", {About::kCollection, Role::kWrite, R"({"new_metadata":{"a":1}})"}},
      {"delete_collection", {About::kCollectionByName, Role::kWrite}},
      {"fork", {About::kCaller, Role::kWrite, R"({"new_name":"blood_2"})", 501}},
      {"search", {About::kCaller, Role::kRead, R"({"searches":[]})", 501}},
      {"indexing_status", {About::kCaller, Role::kRead, "", 501}},
      {"add", {About::kCollection, Role::kWrite, kRecords, 201}},
      {"upsert", {About::kCollection, Role::kWrite, kRecords}},
      {"update", {About::kCollection, Role::kWrite, kRecords}},
      {"delete", {About::kCollection, Role::kWrite, R"({"ids":["r1"]})"}},
      {"count", {About::kCollection}},
      {"get", {About::kCollection, Role::kRead, "{}"}},
      {"query", {About::kCollection, Role::kRead, R"({"query_embeddings":[[1,2]]})"}}};
  return probes;
}

int ExpectedInScope(const Route& route, const Probe& probe, const Binding& binding) {
  constexpr int kForbidden = 403;
  constexpr int kMissing = 404;
  switch (probe.about) {
    case About::kNobody:
    case About::kCaller:
    case About::kList:
      return probe.granted;
    case About::kCollection:
    case About::kCollectionByName:
      if (binding.Covers("blood_1")) return probe.granted;
      return route.api == Api::kV1 ? 400 : kMissing;
    case About::kNewCollection:
      if (!binding.CoversDatabase()) return route.api == Api::kV1 ? kMissing : 400;
      return binding.Covers("blood_new") ? probe.granted : kForbidden;
    case About::kTenant:
      return binding.CoversTenant() ? probe.granted : kMissing;
    case About::kDatabase:
      return binding.CoversDatabase() ? probe.granted : kMissing;
    case About::kNewDatabase:
      if (!binding.CoversTenant()) return kMissing;
      return binding.CoversDatabase("fluids") && binding.prefix.empty() ? probe.granted : kForbidden;
    case About::kWholeDatabase:
      if (!binding.CoversDatabase()) return kMissing;
      return binding.prefix.empty() ? probe.granted : kForbidden;
    case About::kInstance:
      return binding.Unbound() ? probe.granted : kForbidden;
  }
  return 0;
}

int ExpectedStatus(const Route& route, const Probe& probe, const Caller& caller) {
  if (probe.about == About::kNobody) return probe.granted;
  if (caller.token.empty()) return route.api == Api::kV1 ? 401 : 403;
  if (caller.role < probe.role) return 403;
  return ExpectedInScope(route, probe, caller.binding);
}

class AuthorizationTableTest : public ::testing::Test {
 protected:
  AuthorizationTableTest() : callers_(Callers()) {
    std::string tokens = absl::StrCat("owner admin ", kToken, "\n");
    for (const Caller& caller : callers_) {
      if (caller.token.empty()) continue;
      absl::StrAppend(&tokens, "caller ", ToAbsl(RoleName(caller.role)), " ", caller.token, caller.binding.Columns(),
                      "\n");
    }
    std::ofstream(Path("tokens")) << tokens;
    service_.emplace(std::vector<std::string>{
        VECTOR_SERVICE_BINARY, "--data-dir=" + Path("data"), "--grpc-address=", "--grpc-unix-socket=" + Path("socket"),
        "--metrics-address=", "--tokens-file=" + Path("tokens"), "--allow-reset", "--log-format=json"});
    service_->WaitForLine("\"msg\":\"ready\"");
    gateway_.emplace("unix:" + Path("socket"), tokens);
    Restore();
  }

  std::string Path(const char* name) const { return directory_.path() / name; }

  Reply Ask(const std::string& token, std::string_view method, const std::string& target,
            const std::string& body = "") {
    const std::string authorization = token.empty() ? "" : absl::StrCat("Authorization: Bearer ", token, "\r\n");
    // A connection of its own: one whose request was refused before its body is closed.
    Reply reply = RawClient(gateway_->port()).Ask(method, target, body, authorization);
    const std::size_t date = reply.head.find("Date: ");
    if (date != std::string::npos) reply.head.erase(date, reply.head.find("\r\n", date) - date);
    return reply;
  }

  // Makes what is missing, and removes what the calls made.
  void Restore() {
    for (const char* tenant : {"lab", "clinic"}) {
      Ask(kToken, "POST", "/api/v2/tenants", absl::StrCat(R"({"name":")", tenant, R"("})"));
      for (const char* database : {"cells", "tissues"}) {
        const std::string databases = absl::StrCat("/api/v2/tenants/", tenant, "/databases");
        Ask(kToken, "POST", databases, absl::StrCat(R"({"name":")", database, R"("})"));
        Make(absl::StrCat(databases, "/", database), "blood_1");
      }
    }
    for (const char* name : {"liver_1", "blood_2"}) Make("/api/v2/tenants/lab/databases/cells", name);
    Ask(kToken, "DELETE", "/api/v2/tenants/lab/databases/fluids");
    Ask(kToken, "DELETE", absl::StrCat(kCells, "/blood_new"));
  }

  void Make(const std::string& database, const char* name) {
    const Reply made = Ask(kToken, "POST", database + "/collections",
                           absl::StrCat(R"({"name":")", name, R"(","get_or_create":true})"));
    ASSERT_EQ(made.status, 200) << made.body;
    const std::string id = Member(made.body, "id");
    if (database + "/collections" == kCells && std::string_view(name) == "blood_1") id_ = id.substr(1, id.size() - 2);
  }

  // The route's pattern with the names put in; v1 takes tenant and database from the query.
  std::string TargetOf(const Route& route, const Probe& probe) const {
    std::string target = absl::StrReplaceAll(
        ToAbsl(route.pattern), {{"{tenant}", "lab"},
                                {"{database}", "cells"},
                                {"{collection}", probe.about == About::kCollectionByName ? "blood_1" : id_}});
    const bool by_id = probe.about == About::kCollection;
    if (route.api == Api::kV1 && !by_id) absl::StrAppend(&target, "?tenant=lab&database=cells");
    return target;
  }

  static constexpr char kCells[] = "/api/v2/tenants/lab/databases/cells/collections";

  std::vector<Caller> callers_;
  TempDir directory_;
  std::optional<Process> service_;
  std::optional<TestGateway> gateway_;
  std::string id_;  // of lab/cells/blood_1
};

TEST_F(AuthorizationTableTest, EveryRouteAnswersEveryTokenAsTheModelSays) {
  int calls = 0;
  for (const Route& route : Routes()) {
    ASSERT_EQ(Probes().count(route.name), 1u) << route.name << " has no probe";
    const Probe& probe = Probes().at(route.name);
    for (const Caller& caller : callers_) {
      const Reply reply = Ask(caller.token, route.method, TargetOf(route, probe), probe.body);
      EXPECT_EQ(reply.status, ExpectedStatus(route, probe, caller))
          << route.method << " " << route.pattern << " by " << Show(caller) << ": " << reply.body;
      if (reply.status < 300 && route.method != "GET") Restore();
      ++calls;
    }
  }
  EXPECT_EQ(calls, static_cast<int>(Routes().size() * callers_.size()));
}

TEST_F(AuthorizationTableTest, ACollectionOutOfScopeAnswersLikeOneThatDoesNotExist) {
  struct Sent {
    const Route* route;
    const Caller* caller;
    std::string target;
    Reply reply;
  };
  std::vector<Sent> sent;
  for (const Route& route : Routes()) {
    const Probe& probe = Probes().at(route.name);
    if (probe.about != About::kCollection && probe.about != About::kCollectionByName) continue;
    for (const Caller& caller : callers_) {
      if (caller.token.empty() || caller.role < probe.role || caller.binding.Covers("blood_1")) continue;
      const std::string target = TargetOf(route, probe);
      sent.push_back({&route, &caller, target, Ask(caller.token, route.method, target, probe.body)});
    }
  }
  ASSERT_EQ(Ask(kToken, "DELETE", absl::StrCat(kCells, "/blood_1")).status, 200);
  for (const Sent& before : sent) {
    const Reply now =
        Ask(before.caller->token, before.route->method, before.target, Probes().at(before.route->name).body);
    const std::string what = absl::StrCat(ToAbsl(before.route->name), " by ", Show(*before.caller));
    EXPECT_EQ(before.reply.head, now.head) << what;
    EXPECT_EQ(before.reply.body, now.body) << what;
  }
  EXPECT_GT(sent.size(), 100u);
}

TEST_F(AuthorizationTableTest, ATenantOrDatabaseOutOfScopeAnswersLikeOneThatDoesNotExist) {
  int compared = 0;
  for (const Route& route : Routes()) {
    const Probe& probe = Probes().at(route.name);
    const std::string target = TargetOf(route, probe);
    if (probe.about == About::kNobody || probe.about == About::kInstance) continue;
    for (const auto& [there, missing] : {std::pair("lab", "lax"), std::pair("cells", "celts")}) {
      if (target.find(there) == std::string::npos) continue;
      const bool is_tenant = std::string_view(there) == "lab";
      for (const Caller& caller : callers_) {
        const bool covered = is_tenant ? caller.binding.CoversTenant() : caller.binding.CoversDatabase();
        if (caller.token.empty() || caller.role < probe.role || covered) continue;
        const Reply real = Ask(caller.token, route.method, target, probe.body);
        const Reply none = Ask(caller.token, route.method, absl::StrReplaceAll(target, {{there, missing}}), probe.body);
        EXPECT_EQ(real.head, none.head) << target << " by " << Show(caller);
        EXPECT_EQ(real.body, absl::StrReplaceAll(none.body, {{missing, there}})) << target << " by " << Show(caller);
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 100);
}

TEST_F(AuthorizationTableTest, ListsAndCountsHoldWhatIsInScope) {
  for (const Caller& caller : callers_) {
    if (caller.token.empty()) continue;
    int expected = 0;
    for (const char* name : {"liver_1", "blood_1", "blood_2"}) expected += caller.binding.Covers(name);
    for (const std::string& home : {std::string("/api/v1/"), std::string("/api/v2/tenants/lab/databases/cells/")}) {
      const bool v1 = home == "/api/v1/";
      const std::string in = v1 ? "?tenant=lab&database=cells" : "?";
      const Reply all = Ask(caller.token, "GET", home + "collections" + in);
      for (const char* name : {"liver_1", "blood_1", "blood_2"}) {
        EXPECT_EQ(all.body.find(absl::StrCat("\"", name, "\"")) != std::string::npos, caller.binding.Covers(name))
            << name << " by " << Show(caller);
      }
      EXPECT_EQ(Ask(caller.token, "GET", home + (v1 ? "count_collections" + in : "collections_count")).body,
                absl::StrCat(expected))
          << Show(caller);
      const Reply second = Ask(caller.token, "GET", home + "collections" + in + "&limit=1&offset=1");
      EXPECT_EQ(second.body == "[]", expected < 2) << Show(caller) << second.body;
    }
    const Reply databases = Ask(caller.token, "GET", "/api/v2/tenants/lab/databases");
    for (const char* name : {"cells", "tissues"}) {
      EXPECT_EQ(databases.body.find(name) != std::string::npos, caller.binding.CoversDatabase(name)) << Show(caller);
    }
  }
}

TEST_F(AuthorizationTableTest, AReaderMayGetOrCreateWhatExistsInItsScope) {
  for (const Caller& caller : callers_) {
    if (caller.token.empty() || caller.role != Role::kRead) continue;
    for (const std::string& target :
         {std::string(kCells), std::string("/api/v1/collections?tenant=lab&database=cells")}) {
      const Reply there = Ask(caller.token, "POST", target, R"({"name":"blood_1","get_or_create":true})");
      EXPECT_EQ(there.status, caller.binding.Covers("blood_1") ? 200 : 403) << Show(caller) << there.body;
      const Reply missing = Ask(caller.token, "POST", target, R"({"name":"blood_9","get_or_create":true})");
      EXPECT_EQ(missing.status, 403) << Show(caller);
      if (there.status == 200) continue;
      EXPECT_EQ(there.head, missing.head) << Show(caller);
      EXPECT_EQ(there.body, absl::StrReplaceAll(missing.body, {{"blood_9", "blood_1"}})) << Show(caller);
    }
  }
}

TEST_F(AuthorizationTableTest, ARenameOutOfTheScopeIsRefused) {
  for (const Caller& caller : callers_) {
    if (caller.token.empty() || caller.role != Role::kWrite || !caller.binding.Covers("blood_1")) continue;
    for (const std::string& target : {absl::StrCat(kCells, "/", id_), absl::StrCat("/api/v1/collections/", id_)}) {
      const Reply out = Ask(caller.token, "PUT", target, R"({"new_name":"secret"})");
      EXPECT_EQ(out.status, caller.binding.Covers("secret") ? 200 : 403) << Show(caller) << out.body;
      EXPECT_EQ(Ask(caller.token, "PUT", target, R"({"new_name":"blood_1"})").status, 200) << Show(caller);
    }
  }
}

// Clients take the tenant and the database from here, if there is just one.
TEST_F(AuthorizationTableTest, IdentityNamesWhatTheTokenIsBoundTo) {
  for (const Caller& caller : callers_) {
    if (caller.token.empty()) continue;
    const auto quoted = [](const std::string& name) { return absl::StrCat("\"", name.empty() ? "*" : name, "\""); };
    for (const char* target : {"/api/v1/auth/identity", "/api/v2/auth/identity"}) {
      const std::string body = Ask(caller.token, "GET", target).body;
      EXPECT_EQ(Member(body, "tenant"), quoted(caller.binding.tenant)) << Show(caller);
      EXPECT_EQ(Member(body, "databases"), absl::StrCat("[", quoted(caller.binding.database), "]")) << Show(caller);
    }
  }
}

}  // namespace
}  // namespace omics::gateway::testing
