// Every RPC, from the descriptor pool, by every kind of token: what comes back must be what a simple model of roles and
// bindings says, and what is out of scope must look like what does not exist.
#include "services/authorize.h"

#include <gmock/gmock.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/services/testing.h"

namespace omics::services {
namespace {

using google::protobuf::MethodDescriptor;
using grpc::StatusCode;
using testing::ElementsAre;

// The model ---------------------------------------------------------------------------------------------------------

struct Home {
  std::string tenant;
  std::string database;
  std::string name;
};

// What all calls are about, and what stands beside it.
const Home kTarget{"lab", "cells", "blood_1"};
const Home kNew{"lab", "cells", "blood_new"};
const Home kHomes[] = {kTarget,
                       {"lab", "cells", "liver_1"},
                       {"lab", "cells", "blood_2"},
                       {"lab", "tissues", "blood_1"},
                       {"clinic", "cells", "blood_1"}};
constexpr char kNewDatabase[] = "fluids";
// Leads to the target.
constexpr char kAlias[] = "blood_latest";

// "" does not bind.
struct Binding {
  std::string tenant;
  std::string database;
  std::string prefix;  // of collection names

  bool Unbound() const { return tenant.empty() && database.empty() && prefix.empty(); }
  bool CoversTenant(const std::string& name) const { return tenant.empty() || tenant == name; }
  bool CoversDatabase(const std::string& in, const std::string& name) const {
    return CoversTenant(in) && (database.empty() || database == name);
  }
  bool Covers(const Home& home) const {
    return CoversDatabase(home.tenant, home.database) && home.name.compare(0, prefix.size(), prefix) == 0;
  }
  std::string Columns() const {
    return (tenant.empty() ? "" : " tenant=" + tenant) + (database.empty() ? "" : " database=" + database) +
           (prefix.empty() ? "" : " collections=" + prefix + "*");
  }
};

const Binding kBindings[] = {{},
                             {"lab", "", ""},
                             {"clinic", "", ""},
                             {"", "cells", ""},
                             {"", "tissues", ""},
                             {"", "", "blood"},
                             {"", "", "liver"},
                             {"lab", "cells", "blood"},
                             {"lab", "cells", "liver"},
                             {"lab", "tissues", "blood"},
                             {"clinic", "cells", "blood"},
                             {"lab", kNewDatabase, ""}};

struct Caller {
  std::string token;  // "" for none
  Role role = Role::kRead;
  Binding binding;
};

std::vector<Caller> Callers() {
  std::vector<Caller> callers = {{}};
  for (const Role role : {Role::kRead, Role::kWrite, Role::kAdmin}) {
    for (const Binding& binding : kBindings) {
      callers.push_back({"token-of-caller-" + std::to_string(100 + callers.size()), role, binding});
    }
  }
  return callers;
}

std::string Show(const Caller& caller) {
  return caller.token.empty() ? "no token" : std::string(RoleName(caller.role)) + caller.binding.Columns();
}

enum class About {
  kCaller,         // nothing but the caller
  kCollection,     // the target, which must exist
  kNewCollection,  // kNew
  kAlias,          // kAlias of the target
  kTenant,
  kDatabase,
  kNewDatabase,
  kWholeDatabase,
  kList,
  kInstance,
};

struct Probe {
  About about;
  Role role;
  std::string request;                  // in text format; the collection is put in
  StatusCode granted = StatusCode::OK;  // how the call ends if it is allowed
};

// An RPC that does not stand here fails the test.
const std::map<std::string, Probe>& Probes() {
  constexpr char kRecords[] = R"(records { id: "r1" embedding: 1 embedding: 2 })";
  constexpr char kInDatabase[] = R"(tenant: "lab" database: "cells")";
  static const std::map<std::string, Probe> probes = {
      {"CreateCollection", {About::kNewCollection, Role::kWrite, kInDatabase + std::string(R"( name: "blood_new")")}},
      {"GetCollection", {About::kCollection, Role::kRead, ""}},
      {"ListCollections", {About::kList, Role::kRead, kInDatabase}},
      {"UpdateCollection", {About::kCollection, Role::kWrite, R"(client_configuration: "{}")"}},
      {"DeleteCollection", {About::kCollection, Role::kWrite, ""}},
      {"Insert", {About::kCollection, Role::kWrite, kRecords}},
      {"Upsert", {About::kCollection, Role::kWrite, kRecords}},
      {"Update", {About::kCollection, Role::kWrite, kRecords}},
      {"Delete", {About::kCollection, Role::kWrite, R"(ids: "r1")"}},
      {"Get", {About::kCollection, Role::kRead, ""}},
      {"Count", {About::kCollection, Role::kRead, ""}},
      {"Query", {About::kCollection, Role::kRead, "vectors { values: 1 values: 2 }"}},
      {"QueryStream", {About::kCollection, Role::kRead, "query { vectors { values: 1 values: 2 } }"}},
      {"Export", {About::kCollection, Role::kRead, ""}},
      {"GetIdentity", {About::kCaller, Role::kRead, ""}},
      {"CreateTenant", {About::kInstance, Role::kAdmin, R"(name: "hospital")"}},
      {"GetTenant", {About::kTenant, Role::kRead, R"(name: "lab")"}},
      {"ListTenants", {About::kList, Role::kRead, ""}},
      {"CreateDatabase", {About::kNewDatabase, Role::kAdmin, R"(tenant: "lab" name: "fluids")"}},
      {"GetDatabase", {About::kDatabase, Role::kRead, R"(tenant: "lab" name: "cells")"}},
      {"ListDatabases", {About::kList, Role::kRead, R"(tenant: "lab")"}},
      {"DeleteDatabase", {About::kWholeDatabase, Role::kAdmin, R"(tenant: "lab" name: "cells")"}},
      {"Reset", {About::kInstance, Role::kAdmin, ""}},
      // No archive follows the target.
      {"ImportChroma",
       {About::kNewCollection, Role::kAdmin, R"(target { tenant: "lab" database: "cells" collection: "blood_new" })",
        StatusCode::INVALID_ARGUMENT}},
      // No bundle follows the target.
      {"LoadBundle",
       {About::kNewCollection, Role::kAdmin, R"(target { tenant: "lab" database: "cells" name: "blood_new" })",
        StatusCode::INVALID_ARGUMENT}},
      {"SaveBundle", {About::kCollection, Role::kAdmin, ""}},
      {"Compact", {About::kCollection, Role::kAdmin, ""}},
      {"MeasureRecall", {About::kCollection, Role::kRead, "samples: 2 k: 1"}},
      {"GetStatus", {About::kList, Role::kRead, ""}},
      {"SetAlias", {About::kCollection, Role::kAdmin, R"(alias: "blood_alias")"}},
      {"DeleteAlias", {About::kAlias, Role::kAdmin, kInDatabase + std::string(R"( alias: "blood_latest")")}},
      {"ListAliases", {About::kList, Role::kRead, kInDatabase}}};
  return probes;
}

struct Expected {
  StatusCode code;
  std::string reason;
};

Expected ExpectedInScope(const std::string& rpc, const Probe& probe, const Binding& binding) {
  const Expected granted{probe.granted, ""};
  const Expected out_of_scope{StatusCode::PERMISSION_DENIED, "NOT_IN_SCOPE"};
  const Expected no_database{StatusCode::NOT_FOUND, "DATABASE_NOT_FOUND"};
  const Expected no_tenant{StatusCode::NOT_FOUND, "TENANT_NOT_FOUND"};
  const bool tenant = binding.CoversTenant(kTarget.tenant);
  const bool database = binding.CoversDatabase(kTarget.tenant, kTarget.database);
  switch (probe.about) {
    case About::kCaller:
    case About::kList:
      return granted;
    case About::kCollection:
      return binding.Covers(kTarget) ? granted : Expected{StatusCode::NOT_FOUND, "COLLECTION_NOT_FOUND"};
    case About::kNewCollection:
      if (!tenant && rpc == "CreateCollection") return no_tenant;
      if (!database) return no_database;
      return binding.Covers(kNew) ? granted : out_of_scope;
    case About::kAlias:
      return binding.Covers(kTarget) ? granted : Expected{StatusCode::NOT_FOUND, "ALIAS_NOT_FOUND"};
    case About::kTenant:
      return tenant ? granted : no_tenant;
    case About::kDatabase:
      return database ? granted : no_database;
    case About::kNewDatabase:
      if (!tenant) return no_tenant;
      return binding.CoversDatabase("lab", kNewDatabase) && binding.prefix.empty() ? granted : out_of_scope;
    case About::kWholeDatabase:
      if (!database) return no_database;
      return binding.prefix.empty() ? granted : out_of_scope;
    case About::kInstance:
      return binding.Unbound() ? granted : out_of_scope;
  }
  return out_of_scope;
}

Expected ExpectedOf(const std::string& rpc, const Probe& probe, const Caller& caller) {
  if (caller.token.empty()) return {StatusCode::UNAUTHENTICATED, "TOKEN_MISSING"};
  if (caller.role < probe.role) return {StatusCode::PERMISSION_DENIED, "ROLE_TOO_LOW"};
  return ExpectedInScope(rpc, probe, caller.binding);
}

// The service -------------------------------------------------------------------------------------------------------

enum class By { kName, kAlias, kId, kIdAndHome };

// A failure that comes inside a stream is told like one that ends it.
struct Outcome {
  StatusCode code = StatusCode::OK;
  std::string message;
  std::string details;
  std::vector<std::string> responses;

  bool operator==(const Outcome&) const = default;
};

void PrintTo(const Outcome& outcome, std::ostream* out) { *out << outcome.code << " " << outcome.message; }

class AuthorizeTest : public testing::Test {
 protected:
  AuthorizeTest()
      : callers_(Callers()), server_([this](Options& options) {
          options.allow_reset = true;
          std::string text = TokensText();
          for (const Caller& caller : callers_) {
            if (caller.token.empty()) continue;
            text +=
                "caller " + std::string(RoleName(caller.role)) + " " + caller.token + caller.binding.Columns() + "\n";
          }
          WriteFile(options.tokens_file, text);
        }) {
    Restore();
  }

  const Caller& CallerWith(Role role, const std::string& columns) const {
    for (const Caller& caller : callers_) {
      if (!caller.token.empty() && caller.role == role && caller.binding.Columns() == columns) return caller;
    }
    throw std::runtime_error("no such caller: " + columns);
  }

  // Makes what is missing and removes what the calls made.
  void Restore() {
    for (const char* tenant : {"lab", "clinic"}) {
      pb::CreateTenantRequest request;
      request.set_name(tenant);
      pb::CreateTenantResponse response;
      server_.admin().CreateTenant(As(kAdminToken).get(), request, &response);
    }
    for (const Home& home : kHomes) {
      MakeDatabase(home.tenant, home.database);
      Make(home);
    }
    SetAlias(kAlias, kTarget);
    pb::DeleteDatabaseRequest request;
    request.set_tenant("lab");
    request.set_name(kNewDatabase);
    pb::DeleteDatabaseResponse response;
    server_.admin().DeleteDatabase(As(kAdminToken).get(), request, &response);
    Remove(kNew);
  }

  void MakeDatabase(const std::string& tenant, const std::string& name) {
    pb::CreateDatabaseRequest request;
    request.set_tenant(tenant);
    request.set_name(name);
    pb::CreateDatabaseResponse response;
    server_.admin().CreateDatabase(As(kAdminToken).get(), request, &response);
  }

  void Make(const Home& home) {
    pb::CreateCollectionRequest request;
    request.set_tenant(home.tenant);
    request.set_database(home.database);
    request.set_name(home.name);
    request.set_get_or_create(true);
    pb::CreateCollectionResponse response;
    ASSERT_TRUE(server_.vectors().CreateCollection(As(kAdminToken).get(), request, &response).ok());
    if (!response.created()) return;
    ids_[home.tenant + "/" + home.database + "/" + home.name] = response.collection().id();
    pb::UpsertRequest upsert;
    upsert.mutable_collection()->set_id(response.collection().id());
    for (const char* id : {"r0", "r1", "r2"}) *upsert.add_records() = Change(id, {1, id[1] - '0' + 0.5F});
    pb::UpsertResponse upserted;
    ASSERT_TRUE(server_.vectors().Upsert(As(kAdminToken).get(), upsert, &upserted).ok());
  }

  grpc::Status SetAlias(const std::string& alias, const Home& home, const std::string& token = kAdminToken) {
    pb::SetAliasRequest request;
    request.set_alias(alias);
    *request.mutable_collection() = RefOf(home, By::kName);
    pb::SetAliasResponse response;
    return server_.admin().SetAlias(As(token).get(), request, &response);
  }

  void Remove(const Home& home) {
    pb::DeleteCollectionRequest request;
    *request.mutable_collection() = RefOf(home, By::kName);
    pb::DeleteCollectionResponse response;
    server_.vectors().DeleteCollection(As(kAdminToken).get(), request, &response);
  }

  pb::CollectionRef RefOf(const Home& home, By by) const {
    pb::CollectionRef ref;
    if (by == By::kName) ref.set_name(home.name);
    if (by == By::kAlias) ref.set_name(kAlias);
    if (by == By::kId || by == By::kIdAndHome) ref.set_id(ids_.at(home.tenant + "/" + home.database + "/" + home.name));
    if (by == By::kId) return ref;
    ref.set_tenant(home.tenant);
    ref.set_database(home.database);
    return ref;
  }

  // The probe's request, serialized.
  std::string RequestOf(const MethodDescriptor& method, const Probe& probe, By by) const {
    using google::protobuf::MessageFactory;
    const std::unique_ptr<google::protobuf::Message> message(
        MessageFactory::generated_factory()->GetPrototype(method.input_type())->New());
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(probe.request, message.get())) << method.full_name();
    if (probe.about == About::kCollection) {
      google::protobuf::Message* holder = message.get();
      if (const auto* query = method.input_type()->FindFieldByName("query")) {
        holder = message->GetReflection()->MutableMessage(message.get(), query);
      }
      const auto* field = holder->GetDescriptor()->FindFieldByName("collection");
      EXPECT_NE(field, nullptr) << method.full_name();
      holder->GetReflection()->MutableMessage(holder, field)->CopyFrom(RefOf(kTarget, by));
    }
    return message->SerializeAsString();
  }

  Outcome Send(const MethodDescriptor& method, const Caller& caller, const std::string& request) {
    const CallOutcome ended = CallMethod(server_.channel(), method, *As(caller.token), request);
    Outcome outcome{ended.status.error_code(), ended.status.error_message(), ended.status.error_details(),
                    ended.responses};
    if (method.name() == "QueryStream" && !ended.responses.empty()) {
      pb::QueryStreamResponse response;
      EXPECT_TRUE(response.ParseFromString(ended.responses[0]));
      if (response.has_failure()) outcome.code = static_cast<StatusCode>(response.failure().code());
    }
    return outcome;
  }

  static std::string ReasonIn(const Outcome& outcome) {
    return ReasonOf(grpc::Status(outcome.code, outcome.message, outcome.details));
  }

  std::vector<Caller> callers_;
  TestServer server_;
  std::map<std::string, std::string> ids_;
};

TEST_F(AuthorizeTest, EveryRpcAnswersEveryTokenAsTheModelSays) {
  int allowed = 0;
  int hidden = 0;
  for (const MethodDescriptor* method : EveryMethod()) {
    ASSERT_EQ(Probes().count(method->name()), 1U) << method->full_name() << " has no probe";
    const Probe& probe = Probes().at(method->name());
    const std::vector<By> ways = probe.about == About::kCollection
                                     ? std::vector<By>{By::kName, By::kAlias, By::kId, By::kIdAndHome}
                                     : std::vector<By>{By::kName};
    for (const Caller& caller : callers_) {
      for (const By by : ways) {
        const Outcome outcome = Send(*method, caller, RequestOf(*method, probe, by));
        const Expected expected = ExpectedOf(method->name(), probe, caller);
        const std::string what = method->name() + " by " + Show(caller) + ": " + outcome.message;
        EXPECT_EQ(outcome.code, expected.code) << what;
        if (outcome.code != StatusCode::OK && method->name() != "QueryStream") {
          EXPECT_EQ(ReasonIn(outcome), expected.reason) << what;
        }
        allowed += outcome.code == StatusCode::OK;
        hidden += outcome.code == StatusCode::NOT_FOUND;
        if (outcome.code == StatusCode::OK && probe.role != Role::kRead) Restore();
      }
    }
  }
  EXPECT_GT(allowed, 400);
  EXPECT_GT(hidden, 400);
}

TEST_F(AuthorizeTest, ACollectionOutOfScopeLooksLikeOneThatDoesNotExist) {
  struct Sent {
    const MethodDescriptor* method;
    const Caller* caller;
    std::string request;
    Outcome outcome;
  };
  std::vector<Sent> sent;
  for (const MethodDescriptor* method : EveryMethod()) {
    const Probe& probe = Probes().at(method->name());
    if (probe.about != About::kCollection) continue;
    for (const Caller& caller : callers_) {
      if (caller.token.empty() || caller.role < probe.role || caller.binding.Covers(kTarget)) continue;
      for (const By by : {By::kName, By::kAlias, By::kId, By::kIdAndHome}) {
        const std::string request = RequestOf(*method, probe, by);
        sent.push_back({method, &caller, request, Send(*method, caller, request)});
      }
    }
  }
  Remove(kTarget);
  for (const Sent& before : sent) {
    EXPECT_EQ(Send(*before.method, *before.caller, before.request), before.outcome)
        << before.method->name() << " by " << Show(*before.caller);
  }
  EXPECT_GT(sent.size(), 300U);
}

TEST_F(AuthorizeTest, ATenantOrDatabaseOutOfScopeLooksLikeOneThatDoesNotExist) {
  const auto replaced = [](std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
      text.replace(at, from.size(), to);
    }
    return text;
  };
  int compared = 0;
  for (const MethodDescriptor* method : EveryMethod()) {
    const Probe& probe = Probes().at(method->name());
    if (probe.about == About::kCollection || probe.about == About::kAlias || probe.about == About::kInstance) continue;
    // Of the same length, so that the serialized forms differ in the name alone.
    for (const auto& [there, missing] : {std::pair("lab", "lax"), std::pair("cells", "celts")}) {
      const std::string request = RequestOf(*method, probe, By::kName);
      if (request.find(there) == std::string::npos) continue;
      for (const Caller& caller : callers_) {
        const bool is_tenant = std::string(there) == "lab";
        const bool covered =
            is_tenant ? caller.binding.CoversTenant("lab") : caller.binding.CoversDatabase("lab", "cells");
        if (caller.token.empty() || caller.role < probe.role || covered) continue;
        const Outcome real = Send(*method, caller, request);
        Outcome none = Send(*method, caller, replaced(request, there, missing));
        none.message = replaced(none.message, missing, there);
        none.details = replaced(none.details, missing, there);
        EXPECT_EQ(real, none) << method->name() << " " << there << " by " << Show(caller);
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 50);
}

TEST_F(AuthorizeTest, AnAliasOpensNoCollectionOutOfScope) {
  const Home liver = kHomes[1];
  ASSERT_EQ(liver.name, "liver_1");
  ASSERT_TRUE(SetAlias("blood_of_liver", liver).ok());
  const Caller& blood = CallerWith(Role::kAdmin, " collections=blood*");
  const Caller& all_of_liver = CallerWith(Role::kRead, " collections=liver*");
  pb::GetCollectionRequest get;
  get.mutable_collection()->set_tenant("lab");
  get.mutable_collection()->set_database("cells");
  get.mutable_collection()->set_name("blood_of_liver");
  pb::GetCollectionResponse got;
  EXPECT_EQ(ReasonOf(server_.vectors().GetCollection(As(blood.token).get(), get, &got)), "COLLECTION_NOT_FOUND");
  ASSERT_TRUE(server_.vectors().GetCollection(As(all_of_liver.token).get(), get, &got).ok());
  EXPECT_EQ(got.collection().name(), "liver_1");
  // Neither does get-or-create, nor may the alias be taken away.
  pb::CreateCollectionRequest create;
  create.set_tenant("lab");
  create.set_database("cells");
  create.set_name("blood_of_liver");
  create.set_get_or_create(true);
  pb::CreateCollectionResponse created;
  EXPECT_EQ(ReasonOf(server_.vectors().CreateCollection(As(blood.token).get(), create, &created)), "ALIAS_EXISTS");
  ASSERT_TRUE(server_.vectors().CreateCollection(As(all_of_liver.token).get(), create, &created).ok());
  EXPECT_FALSE(created.created());
  EXPECT_EQ(ReasonOf(SetAlias("blood_of_liver", kTarget, blood.token)), "ALIAS_EXISTS");
  EXPECT_EQ(ReasonOf(SetAlias("liver_alias", kTarget, blood.token)), "NOT_IN_SCOPE");
  EXPECT_EQ(ReasonOf(SetAlias("blood_2", kTarget, blood.token)), "COLLECTION_EXISTS");
  pb::ListAliasesRequest list;
  list.set_tenant("lab");
  list.set_database("cells");
  pb::ListAliasesResponse listed;
  ASSERT_TRUE(server_.admin().ListAliases(As(blood.token).get(), list, &listed).ok());
  ASSERT_EQ(listed.aliases_size(), 1);
  EXPECT_EQ(listed.aliases(0).name(), kAlias);
  EXPECT_EQ(listed.aliases(0).collection(), kTarget.name);
}

TEST_F(AuthorizeTest, ListsAndTotalsHoldWhatIsInScope) {
  for (const Caller& caller : callers_) {
    if (caller.token.empty()) continue;
    const Binding& binding = caller.binding;
    pb::ListCollectionsRequest collections;
    collections.set_tenant("lab");
    collections.set_database("cells");
    collections.set_page_size(1);
    std::vector<std::string> expected;
    for (const Home& home : kHomes) {
      if (home.tenant == "lab" && home.database == "cells" && binding.Covers(home)) expected.push_back(home.name);
    }
    std::vector<std::string> listed;
    do {
      pb::ListCollectionsResponse page;
      ASSERT_TRUE(server_.vectors().ListCollections(As(caller.token).get(), collections, &page).ok());
      for (const pb::Collection& collection : page.collections()) listed.push_back(collection.name());
      EXPECT_EQ(page.total(), static_cast<std::int64_t>(expected.size())) << Show(caller);
      collections.set_page_token(page.next_page_token());
    } while (!collections.page_token().empty());
    EXPECT_EQ(listed, expected) << Show(caller);

    pb::GetStatusResponse status;
    ASSERT_TRUE(server_.admin().GetStatus(As(caller.token).get(), {}, &status).ok());
    std::set<std::string> known;
    for (const auto& entry : status.collections()) {
      const pb::Collection& found = entry.collection();
      known.insert(found.tenant() + "/" + found.database() + "/" + found.name());
    }
    std::set<std::string> covered;
    for (const Home& home : kHomes) {
      if (binding.Covers(home)) covered.insert(home.tenant + "/" + home.database + "/" + home.name);
    }
    EXPECT_EQ(known, covered) << Show(caller);

    std::set<std::string> tenants;
    for (const char* tenant : {"default_tenant", "lab", "clinic"}) {
      if (binding.CoversTenant(tenant)) tenants.insert(tenant);
    }
    pb::ListTenantsResponse tenant_list;
    ASSERT_TRUE(server_.admin().ListTenants(As(caller.token).get(), {}, &tenant_list).ok());
    EXPECT_EQ(std::set<std::string>(tenant_list.names().begin(), tenant_list.names().end()), tenants) << Show(caller);

    pb::ListDatabasesRequest databases;
    databases.set_tenant("lab");
    databases.set_page_size(1);
    std::vector<std::string> names;
    do {
      pb::ListDatabasesResponse page;
      ASSERT_TRUE(server_.admin().ListDatabases(As(caller.token).get(), databases, &page).ok());
      for (const pb::Database& database : page.databases()) names.push_back(database.name());
      databases.set_page_token(page.next_page_token());
    } while (!databases.page_token().empty());
    std::vector<std::string> databases_in_scope;
    for (const char* database : {"cells", "tissues"}) {
      if (binding.CoversDatabase("lab", database)) databases_in_scope.emplace_back(database);
    }
    EXPECT_EQ(names, databases_in_scope) << Show(caller);
  }
}

TEST_F(AuthorizeTest, IdentityNamesWhatTheTokenIsBoundTo) {
  const auto identity = [this](const std::string& columns) {
    pb::GetIdentityResponse response;
    const std::string& token = CallerWith(Role::kRead, columns).token;
    EXPECT_TRUE(server_.admin().GetIdentity(As(token).get(), {}, &response).ok());
    return response;
  };
  EXPECT_EQ(identity("").tenants_size() + identity("").databases_size(), 0);
  EXPECT_THAT(identity(" tenant=lab").tenants(), ElementsAre("lab"));
  EXPECT_EQ(identity(" tenant=lab").databases_size(), 0);
  EXPECT_THAT(identity(" tenant=lab database=cells collections=blood*").databases(), ElementsAre("cells"));
}

TEST_F(AuthorizeTest, ARenameOutOfTheScopeIsRefusedAndChangesNothing) {
  const auto rename = [this](const std::string& columns, const Home& home, const std::string& name) {
    pb::UpdateCollectionRequest request;
    *request.mutable_collection() = RefOf(home, By::kId);
    request.set_new_name(name);
    pb::UpdateCollectionResponse response;
    return server_.vectors().UpdateCollection(As(CallerWith(Role::kWrite, columns).token).get(), request, &response);
  };
  EXPECT_EQ(ReasonOf(rename(" collections=blood*", kTarget, "liver_9")), "NOT_IN_SCOPE");
  EXPECT_EQ(ReasonOf(rename(" collections=blood*", kTarget, "liver_1")), "NOT_IN_SCOPE") << "a name that is taken";
  EXPECT_EQ(ReasonOf(rename(" collections=blood*", kHomes[1], "blood_9")), "COLLECTION_NOT_FOUND");
  EXPECT_EQ(ReasonOf(rename(" collections=blood*", kHomes[1], "liver_9")), "COLLECTION_NOT_FOUND");
  EXPECT_EQ(ReasonOf(rename(" collections=blood*", kTarget, "blood_2")), "COLLECTION_EXISTS");
  EXPECT_TRUE(rename(" collections=blood*", kTarget, "blood_9").ok());
  EXPECT_TRUE(rename(" collections=blood*", kTarget, "blood_1").ok());
  EXPECT_TRUE(rename(" tenant=lab", kTarget, "anything").ok());
}

TEST_F(AuthorizeTest, AReaderMayGetOrCreateWhatExistsInItsScope) {
  const auto get_or_create = [this](const std::string& columns, const std::string& name) {
    pb::CreateCollectionRequest request;
    request.set_tenant("lab");
    request.set_database("cells");
    request.set_name(name);
    request.set_get_or_create(true);
    pb::CreateCollectionResponse response;
    return server_.vectors().CreateCollection(As(CallerWith(Role::kRead, columns).token).get(), request, &response);
  };
  EXPECT_TRUE(get_or_create(" collections=blood*", "blood_1").ok());
  for (const char* name : {"liver_1", "liver_9", "blood_9"}) {
    EXPECT_EQ(ReasonOf(get_or_create(" collections=blood*", name)), "ROLE_TOO_LOW") << name;
    EXPECT_EQ(ReasonOf(get_or_create(" tenant=clinic", name)), "ROLE_TOO_LOW") << name;
  }
}

TEST_F(AuthorizeTest, AnImportMakesOnlyWhatIsInScope) {
  WriteFile(server_.directory() / "tokens",
            TokensText() + "importer admin importer-token-0123456 collections=blood*\n");
  server_.server().ReloadTokens();
  const std::string store =
      ReadFile(std::string(OMICS_VECTOR_SOURCE_DIR) + "/testdata/chroma-stores/chroma-store-0.6.3.tar.gz");
  const auto import = [&](const std::string& collection, const std::string& source) {
    pb::ImportChromaTarget target;
    target.set_collection(collection);
    target.set_source_collection(source);
    return Import(server_.admin(), target, store, "importer-token-0123456").status;
  };
  EXPECT_EQ(ReasonOf(import("", "")), "NOT_IN_SCOPE") << "under the names that the store has";
  EXPECT_EQ(ReasonOf(import("liver_imported", "")), "NOT_IN_SCOPE");
  pb::ListCollectionsResponse listed;
  ASSERT_TRUE(server_.vectors().ListCollections(As(kAdminToken).get(), {}, &listed).ok());
  EXPECT_EQ(listed.total(), 0);
  pb::ImportChromaTarget all;
  const ImportOutcome names = Import(server_.admin(), all, store);
  ASSERT_FALSE(names.imported.empty()) << names.status.error_message();
  const grpc::Status status = import("blood_imported", names.imported[0].collection().name());
  EXPECT_TRUE(status.ok()) << status.error_message();
}

// Another caller renames the collection out of the scope and back all the time.
TEST_F(AuthorizeTest, ARenameMeanwhileOpensNothing) {
  std::atomic<bool> stop = false;
  std::thread renamer([&] {
    for (int i = 0; !stop; ++i) {
      pb::UpdateCollectionRequest request;
      *request.mutable_collection() = RefOf(kTarget, By::kId);
      request.set_new_name(i % 2 == 0 ? "secret_1" : "blood_1");
      pb::UpdateCollectionResponse response;
      EXPECT_TRUE(server_.vectors().UpdateCollection(As(kAdminToken).get(), request, &response).ok());
      if (response.collection().name() != "secret_1") continue;
      // As long as it has this name, nothing of it may change.
      for (int look = 0; look < 5; ++look) {
        pb::GetCollectionRequest get;
        *get.mutable_collection() = RefOf(kTarget, By::kId);
        pb::GetCollectionResponse got;
        EXPECT_TRUE(server_.vectors().GetCollection(As(kAdminToken).get(), get, &got).ok());
        EXPECT_EQ(got.collection().client_configuration(), response.collection().client_configuration());
      }
    }
  });
  const std::string& token = CallerWith(Role::kWrite, " collections=blood*").token;
  int seen = 0;
  int hidden = 0;
  const auto check = [&](const grpc::Status& status, const pb::Collection& collection) {
    EXPECT_TRUE(status.ok() || status.error_code() == StatusCode::NOT_FOUND) << status.error_message();
    EXPECT_NE(collection.name(), "secret_1");
    ++(status.ok() ? seen : hidden);
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while ((seen < 200 || hidden < 200) && std::chrono::steady_clock::now() < deadline) {
    pb::GetCollectionRequest get;
    *get.mutable_collection() = RefOf(kTarget, By::kId);
    pb::GetCollectionResponse got;
    check(server_.vectors().GetCollection(As(token).get(), get, &got), got.collection());
    pb::UpdateCollectionRequest update;
    *update.mutable_collection() = RefOf(kTarget, By::kId);
    update.set_client_configuration(std::to_string(seen + hidden));
    pb::UpdateCollectionResponse updated;
    check(server_.vectors().UpdateCollection(As(token).get(), update, &updated), updated.collection());
    pb::GetStatusResponse status;
    EXPECT_TRUE(server_.admin().GetStatus(As(token).get(), {}, &status).ok());
    for (const auto& entry : status.collections()) EXPECT_NE(entry.collection().name(), "secret_1");
  }
  stop = true;
  renamer.join();
  EXPECT_GE(seen, 200);
  EXPECT_GE(hidden, 200);
}

// Each member refuses by itself, whatever a handler asked before.
TEST(AuthorizedCatalogTest, NoMemberGivesOutOrChangesWhatIsOutOfScope) {
  const TempDir directory;
  auto opened = index::Catalog::Open({.data_dir = directory.path()});
  ASSERT_TRUE(opened.ok()) << opened.status();
  AuthorizedCatalog catalog(**opened);
  const Principal owner{"owner", Role::kAdmin};
  const Principal bound{"bound", Role::kAdmin, {{}, {}, {"blood*"}}};
  const Principal elsewhere{"elsewhere", Role::kAdmin, {{"clinic"}, {}, {}}};
  bool created = false;
  index::CollectionSpec spec;
  spec.name = "liver_1";
  const auto info = catalog.CreateCollection(owner, spec, false, created);
  ASSERT_TRUE(info.ok() && created) << info.status();
  for (const Principal& caller : {bound, elsewhere}) {
    for (const index::CollectionRef& ref : {index::CollectionRef{"default_tenant", "default_database", "liver_1", ""},
                                            index::CollectionRef{"", "", "", info->id}}) {
      const absl::Status answers[] = {catalog.GetCollection(caller, ref).status(),
                                      catalog.OpenCollection(caller, ref).status(),
                                      catalog.UpdateCollection(caller, ref, {.client_configuration = "{}"}).status(),
                                      catalog.UpdateCollection(caller, ref, {.name = "blood_1"}).status(),
                                      catalog.UpdateCollection(caller, ref, {.name = "liver_2"}).status(),
                                      catalog.DeleteCollection(caller, ref)};
      for (const absl::Status& answer : answers) EXPECT_EQ(Reason(answer), "COLLECTION_NOT_FOUND");
    }
    EXPECT_TRUE(catalog.ListAllCollections(caller)->empty());
    EXPECT_EQ(catalog.ListCollections(caller, "default_tenant", "default_database", 0, 10)->total, 0);
    EXPECT_EQ(Reason(catalog.Reset(caller)), "NOT_IN_SCOPE");
    EXPECT_EQ(Reason(catalog.CreateTenant(caller, "hospital")), "NOT_IN_SCOPE");
    EXPECT_FALSE(catalog.DeleteDatabase(caller, "default_tenant", "default_database").ok());
    EXPECT_FALSE(catalog.CreateDatabase(caller, "default_tenant", "fluids").ok());
    EXPECT_FALSE(catalog.CreateCollection(caller, spec, true, created).ok());
  }
  const auto after = catalog.GetCollection(owner, {"", "", "", info->id});
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->name, "liver_1");
  EXPECT_EQ(after->client_configuration, "");
  EXPECT_EQ(catalog.ListTenants(owner)->size(), 1U);
  EXPECT_EQ(catalog.ListDatabases(owner, "default_tenant")->size(), 1U);
}

TEST(HealthTest, OnlyCollectionsThatAreToBeLoadedHaveAHealthName) {
  namespace health = ::grpc::health::v1;
  TestServer server([](Options& options) { options.prewarm_collections = {"announced"}; });
  server.Create("announced");
  server.Create("private");
  const auto stub = health::Health::NewStub(server.channel());
  const auto check = [&stub](const std::string& name) {
    health::HealthCheckRequest request;
    request.set_service(name);
    health::HealthCheckResponse response;
    return stub->Check(As("").get(), request, &response);
  };
  EXPECT_TRUE(check("announced").ok());
  const grpc::Status there = check("private");
  const grpc::Status missing = check("missing");
  EXPECT_EQ(there.error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(there.error_code(), missing.error_code());
  EXPECT_EQ(there.error_message(), missing.error_message());
}

}  // namespace
}  // namespace omics::services
