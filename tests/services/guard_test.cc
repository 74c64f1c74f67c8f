// Walks every RPC of both services: each must refuse what its role does not allow.
#include "services/guard.h"

#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

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
                                                    {"GetStatus", Role::kRead}};
  return roles;
}

std::vector<const google::protobuf::MethodDescriptor*> EveryMethod() {
  std::vector<const google::protobuf::MethodDescriptor*> methods;
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const char* file : {"omics/vector/v1/vector_service.proto", "omics/vector/v1/admin_service.proto"}) {
    const auto* descriptor = pool->FindFileByName(file);
    for (int i = 0; i < descriptor->service_count(); ++i) {
      const auto* service = descriptor->service(i);
      for (int j = 0; j < service->method_count(); ++j) methods.push_back(service->method(j));
    }
  }
  return methods;
}

// Sends one empty message to any RPC and returns how it ends. A stream reads what comes until then.
grpc::Status Call(grpc::GenericStub& stub, const google::protobuf::MethodDescriptor& method,
                  grpc::ClientContext& context) {
  const std::string path = "/" + method.service()->full_name() + "/" + method.name();
  grpc::CompletionQueue queue;
  const auto next = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub.PrepareCall(&context, path, &queue);
  call->StartCall(nullptr);
  bool open = next();
  if (open) {
    const grpc::Slice no_fields;
    call->WriteLast(grpc::ByteBuffer(&no_fields, 1), grpc::WriteOptions(), nullptr);
    next();
  }
  grpc::ByteBuffer answer;
  do {
    call->Read(&answer, nullptr);
  } while (next());
  grpc::Status status;
  call->Finish(&status, nullptr);
  next();
  queue.Shutdown();
  while (next()) {
  }
  return status;
}

class GuardTest : public testing::Test {
 protected:
  grpc::Status CallAs(const google::protobuf::MethodDescriptor& method, const std::string& key,
                      const std::string& value) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    if (!key.empty()) context.AddMetadata(key, value);
    grpc::GenericStub stub(server_.channel());
    return Call(stub, method, context);
  }

  TestServer server_;
};

TEST_F(GuardTest, EveryRpcHasARole) {
  EXPECT_EQ(EveryMethod().size(), Roles().size());
  for (const auto* method : EveryMethod()) EXPECT_EQ(Roles().count(method->name()), 1U) << method->full_name();
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
