#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/services/testing.h"

namespace omics::services {
namespace {

using grpc::StatusCode;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class AdminServiceTest : public testing::Test {
 protected:
  grpc::Status CreateTenant(const std::string& name) {
    pb::CreateTenantRequest request;
    request.set_name(name);
    pb::CreateTenantResponse response;
    return server_.admin().CreateTenant(As(kAdminToken).get(), request, &response);
  }

  grpc::Status CreateDatabase(const std::string& tenant, const std::string& name) {
    pb::CreateDatabaseRequest request;
    request.set_tenant(tenant);
    request.set_name(name);
    pb::CreateDatabaseResponse response;
    const grpc::Status status = server_.admin().CreateDatabase(As(kAdminToken).get(), request, &response);
    if (status.ok()) {
      EXPECT_EQ(response.database().id().size(), 36U);
    }
    return status;
  }

  TestServer server_;
};

TEST_F(AdminServiceTest, IdentityIsTheTokens) {
  const std::pair<const char*, pb::Role> tokens[] = {
      {kReadToken, pb::ROLE_READ}, {kWriteToken, pb::ROLE_WRITE}, {kAdminToken, pb::ROLE_ADMIN}};
  for (const auto& [token, role] : tokens) {
    pb::GetIdentityResponse response;
    ASSERT_TRUE(server_.admin().GetIdentity(As(token).get(), pb::GetIdentityRequest(), &response).ok());
    EXPECT_EQ(response.role(), role);
  }
}

TEST_F(AdminServiceTest, TenantsAndDatabasesAreMadeFoundAndListed) {
  ASSERT_TRUE(CreateTenant("acme").ok());
  const grpc::Status again = CreateTenant("acme");
  EXPECT_EQ(again.error_code(), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(ReasonOf(again), "TENANT_EXISTS");
  ASSERT_TRUE(CreateDatabase("acme", "genes").ok());
  ASSERT_TRUE(CreateDatabase("acme", "cells").ok());
  EXPECT_EQ(ReasonOf(CreateDatabase("acme", "cells")), "DATABASE_EXISTS");
  EXPECT_EQ(ReasonOf(CreateDatabase("nobody", "cells")), "TENANT_NOT_FOUND");

  pb::GetTenantRequest tenant;
  tenant.set_name("nobody");
  pb::GetTenantResponse found;
  EXPECT_EQ(ReasonOf(server_.admin().GetTenant(As(kReadToken).get(), tenant, &found)), "TENANT_NOT_FOUND");
  tenant.set_name("acme");
  ASSERT_TRUE(server_.admin().GetTenant(As(kReadToken).get(), tenant, &found).ok());
  EXPECT_EQ(found.name(), "acme");

  pb::ListTenantsResponse tenants;
  ASSERT_TRUE(server_.admin().ListTenants(As(kReadToken).get(), pb::ListTenantsRequest(), &tenants).ok());
  EXPECT_THAT(tenants.names(), UnorderedElementsAre("default_tenant", "acme"));

  pb::GetDatabaseRequest database;
  database.set_tenant("acme");
  database.set_name("genes");
  pb::GetDatabaseResponse got;
  ASSERT_TRUE(server_.admin().GetDatabase(As(kReadToken).get(), database, &got).ok());
  EXPECT_EQ(got.database().tenant(), "acme");
  database.set_name("none");
  EXPECT_EQ(ReasonOf(server_.admin().GetDatabase(As(kReadToken).get(), database, &got)), "DATABASE_NOT_FOUND");
}

TEST_F(AdminServiceTest, DatabasesAreListedPageByPage) {
  ASSERT_TRUE(CreateTenant("acme").ok());
  std::vector<std::string> expected;
  for (int i = 0; i < 5; ++i) {
    expected.push_back("db" + std::to_string(i));
    ASSERT_TRUE(CreateDatabase("acme", expected.back()).ok());
  }
  pb::ListDatabasesRequest request;
  request.set_tenant("acme");
  request.set_page_size(2);
  std::vector<std::string> names;
  do {
    pb::ListDatabasesResponse response;
    ASSERT_TRUE(server_.admin().ListDatabases(As(kReadToken).get(), request, &response).ok());
    EXPECT_LE(response.databases_size(), 2);
    for (const auto& database : response.databases()) names.push_back(database.name());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ::testing::UnorderedElementsAreArray(expected));
}

TEST_F(AdminServiceTest, ADeletedDatabaseTakesItsCollectionsAlong) {
  ASSERT_TRUE(CreateDatabase("default_tenant", "old").ok());
  pb::CreateCollectionRequest create;
  create.set_database("old");
  create.set_name("inside");
  pb::CreateCollectionResponse created;
  const grpc::Status status = server_.vectors().CreateCollection(As(kWriteToken).get(), create, &created);
  ASSERT_TRUE(status.ok()) << status.error_message();
  pb::DeleteDatabaseRequest request;
  request.set_name("old");
  pb::DeleteDatabaseResponse response;
  ASSERT_TRUE(server_.admin().DeleteDatabase(As(kAdminToken).get(), request, &response).ok());
  pb::GetCollectionRequest get;
  get.mutable_collection()->set_id(created.collection().id());
  pb::GetCollectionResponse got;
  EXPECT_EQ(server_.vectors().GetCollection(As(kReadToken).get(), get, &got).error_code(), StatusCode::NOT_FOUND);
}

TEST_F(AdminServiceTest, ResetIsRefusedUnlessAllowed) {
  server_.Create("kept");
  pb::ResetResponse response;
  const grpc::Status status = server_.admin().Reset(As(kAdminToken).get(), pb::ResetRequest(), &response);
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(status), "RESET_DISABLED");
  pb::ListCollectionsResponse list;
  ASSERT_TRUE(server_.vectors().ListCollections(As(kReadToken).get(), pb::ListCollectionsRequest(), &list).ok());
  EXPECT_EQ(list.total(), 1);
}

TEST(AdminServiceResetTest, ResetRemovesEverything) {
  TestServer server([](Options& options) { options.allow_reset = true; });
  server.Create("gone");
  pb::ResetResponse response;
  ASSERT_TRUE(server.admin().Reset(As(kAdminToken).get(), pb::ResetRequest(), &response).ok());
  pb::ListCollectionsResponse list;
  ASSERT_TRUE(server.vectors().ListCollections(As(kReadToken).get(), pb::ListCollectionsRequest(), &list).ok());
  EXPECT_EQ(list.total(), 0);
  server.Create("gone");
}

TEST_F(AdminServiceTest, CompactBuildsTheGraphAndRecallIsMeasured) {
  server_.Create("c01");
  server_.Fill("c01", 2000, 32, 3);
  pb::CompactRequest compact;
  *compact.mutable_collection() = Named("c01");
  pb::CompactResponse compacted;
  const grpc::Status status = server_.admin().Compact(As(kAdminToken).get(), compact, &compacted);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(compacted.status().records(), 2000);
  EXPECT_EQ(compacted.status().graph_rows(), 2000);
  EXPECT_EQ(compacted.status().tail_rows(), 0);
  EXPECT_EQ(compacted.status().collection().dimension(), 32);
  pb::MeasureRecallRequest request;
  *request.mutable_collection() = Named("c01");
  request.set_samples(50);
  pb::MeasureRecallResponse response;
  ASSERT_TRUE(server_.admin().MeasureRecall(As(kReadToken).get(), request, &response).ok());
  EXPECT_GE(response.recall(), 0.9);
  EXPECT_LE(response.recall(), 1.0);
  EXPECT_EQ(response.samples(), 50);
  request.set_samples(10'001);
  EXPECT_EQ(server_.admin().MeasureRecall(As(kReadToken).get(), request, &response).error_code(),
            StatusCode::INVALID_ARGUMENT);
}

TEST_F(AdminServiceTest, StatusTellsVersionAndCollections) {
  server_.Create("c01");
  server_.Fill("c01", 12, 4, 3);
  pb::GetStatusResponse response;
  ASSERT_TRUE(server_.admin().GetStatus(As(kReadToken).get(), pb::GetStatusRequest(), &response).ok());
  EXPECT_EQ(response.version(), OMICS_VECTOR_VERSION);
  EXPECT_GT(response.resident_bytes(), 0);
  EXPECT_GT(response.memory_budget_bytes(), 0);
  EXPECT_GE(response.threads(), 1);
  ASSERT_EQ(response.collections_size(), 1);
  EXPECT_EQ(response.collections(0).records(), 12);
  EXPECT_EQ(response.collections(0).collection().name(), "c01");
}

}  // namespace
}  // namespace omics::services
