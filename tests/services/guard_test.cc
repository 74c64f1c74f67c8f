// Walks every RPC of both services: each must refuse what its role does not allow.
#include "services/guard.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "services/authorize.h"
#include "tests/services/testing.h"

namespace omics::services {
namespace {

// The least role of each RPC. CreateCollection stands here as it is without get_or_create.
const std::map<std::string, Role>& Roles() {
  static const std::map<std::string, Role> roles = {{"CreateCollection", Role::kWrite},
                                                    {"GetCollection", Role::kRead},
                                                    {"ListCollections", Role::kRead},
                                                    {"UpdateCollection", Role::kWrite},
                                                    {"DeleteCollection", Role::kWrite},
                                                    {"Insert", Role::kWrite},
                                                    {"Upsert", Role::kWrite},
                                                    {"Update", Role::kWrite},
                                                    {"Delete", Role::kWrite},
                                                    {"Get", Role::kRead},
                                                    {"Count", Role::kRead},
                                                    {"Query", Role::kRead},
                                                    {"QueryStream", Role::kRead},
                                                    {"Export", Role::kRead},
                                                    {"GetIdentity", Role::kRead},
                                                    {"CreateTenant", Role::kAdmin},
                                                    {"GetTenant", Role::kRead},
                                                    {"ListTenants", Role::kRead},
                                                    {"CreateDatabase", Role::kAdmin},
                                                    {"GetDatabase", Role::kRead},
                                                    {"ListDatabases", Role::kRead},
                                                    {"DeleteDatabase", Role::kAdmin},
                                                    {"Reset", Role::kAdmin},
                                                    {"ImportChroma", Role::kAdmin},
                                                    {"LoadBundle", Role::kAdmin},
                                                    {"SaveBundle", Role::kAdmin},
                                                    {"Compact", Role::kAdmin},
                                                    {"MeasureRecall", Role::kRead},
                                                    {"GetStatus", Role::kRead},
                                                    {"SetAlias", Role::kAdmin},
                                                    {"DeleteAlias", Role::kAdmin},
                                                    {"ListAliases", Role::kRead}};
  return roles;
}

class GuardTest : public testing::Test {
 protected:
  grpc::Status CallAs(const google::protobuf::MethodDescriptor& method, const std::string& key,
                      const std::string& value) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    if (!key.empty()) context.AddMetadata(key, value);
    return CallMethod(server_.channel(), method, context, "").status;
  }

  TestServer server_;
};

TEST_F(GuardTest, EveryRpcHasARole) {
  EXPECT_EQ(EveryMethod().size(), Roles().size());
  for (const auto* method : EveryMethod()) EXPECT_EQ(Roles().count(method->name()), 1U) << method->full_name();
}

TEST_F(GuardTest, EveryRpcHasOneRuleAndThereAreNoOthers) {
  std::map<std::string, int> rules;
  for (const Rule& rule : Rules()) ++rules[std::string(rule.rpc)];
  EXPECT_EQ(rules.size(), EveryMethod().size());
  for (const auto* method : EveryMethod()) EXPECT_EQ(rules[method->name()], 1) << method->full_name();
}

TEST_F(GuardTest, WhateverTakesMoreThanReadingChangesDataButForTwoRpcs) {
  for (const auto& [name, role] : Roles()) {
    EXPECT_EQ(ChangesData(name), role != Role::kRead && name != "SaveBundle" && name != "Compact") << name;
  }
  EXPECT_TRUE(ChangesData("SomethingNew"));
}

TEST_F(GuardTest, AnRpcWithoutARuleIsOpenToNoOne) {
  EXPECT_EQ(AuthorizeRpc({"", Role::kAdmin}, "Forgotten").code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(AuthorizeRpc({"", Role::kAdmin}, "").code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(GuardTest, WhatIsAboutTheServiceAsAWholeIsClosedToBoundTokensBeforeAnyHandler) {
  for (const Scope& scope : {Scope{{"lab"}, {}, {}}, Scope{{}, {"cells"}, {}}, Scope{{}, {}, {"*"}}}) {
    for (const char* rpc : {"Reset", "CreateTenant"}) {
      EXPECT_EQ(Reason(AuthorizeRpc({"", Role::kAdmin, scope}, rpc)), "NOT_IN_SCOPE") << rpc;
      EXPECT_TRUE(AuthorizeRpc({"", Role::kAdmin, {}}, rpc).ok()) << rpc;
    }
    EXPECT_TRUE(AuthorizeRpc({"", Role::kAdmin, scope}, "DeleteDatabase").ok());
  }
}

TEST_F(GuardTest, NoRpcAnswersWithoutAToken) {
  for (const auto* method : EveryMethod()) {
    const grpc::Status status = CallAs(*method, "", "");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << method->full_name();
    EXPECT_EQ(ReasonOf(status), "TOKEN_MISSING") << method->full_name();
  }
}

TEST_F(GuardTest, NoRpcAnswersAnUnknownToken) {
  for (const auto* method : EveryMethod()) {
    const grpc::Status status = CallAs(*method, "authorization", std::string("Bearer ") + kReadToken + "x");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << method->full_name();
    EXPECT_EQ(ReasonOf(status), "TOKEN_INVALID") << method->full_name();
  }
}

TEST_F(GuardTest, ATokenOpensWhatItsRoleAllowsAndNothingElse) {
  const std::pair<Role, std::string> tokens[] = {{Role::kRead, kReadToken}, {Role::kWrite, kWriteToken}};
  for (const auto& [role, token] : tokens) {
    for (const auto* method : EveryMethod()) {
      const grpc::Status status = CallAs(*method, "authorization", "Bearer " + token);
      EXPECT_NE(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << method->full_name();
      const bool refused = status.error_code() == grpc::StatusCode::PERMISSION_DENIED;
      EXPECT_EQ(refused, Roles().at(method->name()) > role) << token << " " << method->full_name();
      if (refused) {
        EXPECT_EQ(ReasonOf(status), "ROLE_TOO_LOW") << method->full_name();
      }
    }
  }
}

TEST_F(GuardTest, EverySpellingOfATokenIsUnderstood) {
  const auto* method =
      EveryMethod().front()->file()->FindServiceByName("VectorService")->FindMethodByName("ListCollections");
  const std::string basic = "Basic dXNlcjpyZWFkLXRva2VuLTAxMjM0NTY3ODlhYmNkZWY=";  // user:read-token-0123456789abcdef
  const std::pair<std::string, std::string> good[] = {{"authorization", std::string("Bearer ") + kReadToken},
                                                      {"authorization", std::string("bearer ") + kReadToken},
                                                      {"authorization", kReadToken},
                                                      {"authorization", basic},
                                                      {"x-chroma-token", kReadToken}};
  for (const auto& [key, value] : good) {
    EXPECT_EQ(CallAs(*method, key, value).error_code(), grpc::StatusCode::OK) << key << ": " << value;
  }
  EXPECT_EQ(CallAs(*method, "x-chroma-token", "wrong").error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(GuardTest, ACallThatAnotherTokenMayNotMakeChangesNothing) {
  server_.Create("kept");
  pb::DeleteCollectionRequest request;
  *request.mutable_collection() = Named("kept");
  pb::DeleteCollectionResponse response;
  EXPECT_EQ(server_.vectors().DeleteCollection(As(kReadToken).get(), request, &response).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  pb::GetCollectionRequest get;
  *get.mutable_collection() = Named("kept");
  pb::GetCollectionResponse got;
  EXPECT_TRUE(server_.vectors().GetCollection(As(kReadToken).get(), get, &got).ok());
}

TEST_F(GuardTest, AReaderMayGetOrCreateOnlyWhatExists) {
  server_.Create("exists");
  pb::CreateCollectionRequest request;
  request.set_name("exists");
  request.set_get_or_create(true);
  pb::CreateCollectionResponse response;
  const grpc::Status found = server_.vectors().CreateCollection(As(kReadToken).get(), request, &response);
  EXPECT_TRUE(found.ok()) << found.error_message();
  EXPECT_EQ(response.collection().name(), "exists");
  EXPECT_FALSE(response.created());
  request.set_name("missing");
  EXPECT_EQ(server_.vectors().CreateCollection(As(kReadToken).get(), request, &response).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST(GuardWithoutTokensTest, InsecureNoAuthLetsEverybodyIn) {
  TestServer server([](Options& options) {
    options.tokens_file = "";
    options.insecure_no_auth = true;
  });
  pb::GetIdentityResponse response;
  EXPECT_TRUE(server.admin().GetIdentity(As("").get(), pb::GetIdentityRequest(), &response).ok());
  EXPECT_EQ(response.role(), pb::ROLE_ADMIN);
}

TEST(GuardReloadTest, ReloadedTokensTakeEffectAndABadFileKeepsTheLastGoodOnes) {
  TestServer server;
  const auto code_as = [&server](const std::string& token) {
    pb::GetIdentityResponse response;
    return server.admin().GetIdentity(As(token).get(), pb::GetIdentityRequest(), &response).error_code();
  };
  WriteFile(server.directory() / "tokens", "new read another-token-0123456789\n");
  server.server().ReloadTokens();
  EXPECT_EQ(code_as("another-token-0123456789"), grpc::StatusCode::OK);
  EXPECT_EQ(code_as(kReadToken), grpc::StatusCode::UNAUTHENTICATED);
  WriteFile(server.directory() / "tokens", "new king another-token-0123456789\n");
  server.server().ReloadTokens();
  EXPECT_EQ(code_as("another-token-0123456789"), grpc::StatusCode::OK);
}

}  // namespace
}  // namespace omics::services
