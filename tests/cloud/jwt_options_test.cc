#include "cloud/jwt_options.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/support/status_matchers.h"

namespace omics::cloud {
namespace {

JwtOptions Complete() {
  JwtOptions options;
  options.issuer = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_x";
  options.audience = {"app"};
  options.roles = {"admins=admin", "a=b=write", "*=read"};
  options.tenant_claim = "custom:tenant";
  return options;
}

TEST(JwtOptionsTest, ACompleteSetBecomesAPolicy) {
  const auto read = ReadJwtOptions(Complete());
  ASSERT_OK(read);
  EXPECT_EQ(read->keys_url, "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_x/.well-known/jwks.json");
  EXPECT_EQ(read->policy.issuer, Complete().issuer);
  EXPECT_EQ(read->policy.token_uses, std::vector<std::string>{"access"});
  EXPECT_EQ(read->policy.role_claim, "cognito:groups");
  EXPECT_EQ(read->policy.leeway, std::chrono::seconds(60));
  ASSERT_EQ(read->policy.roles.size(), 3u);
  EXPECT_EQ(read->policy.roles[1].value, "a=b");
  EXPECT_EQ(read->policy.roles[1].role, Role::kWrite);
  JwtOptions slash = Complete();
  slash.issuer = "https://tenant.example.com/";
  EXPECT_EQ(ReadJwtOptions(slash)->keys_url, "https://tenant.example.com/.well-known/jwks.json");
  EXPECT_EQ(ReadJwtOptions(slash)->policy.issuer, slash.issuer);
  JwtOptions elsewhere = Complete();
  elsewhere.jwks_url = "http://127.0.0.1:5000/keys";
  EXPECT_EQ(ReadJwtOptions(elsewhere)->keys_url, elsewhere.jwks_url);
  EXPECT_OK(ReadJwtOptions(JwtOptions()));
}

TEST(JwtOptionsTest, WhatIsMissingOrCannotBeIsNamed) {
  const std::pair<std::function<void(JwtOptions&)>, const char*> kBad[] = {
      {[](JwtOptions& o) { o.audience.clear(); }, "--jwt-audience"},
      {[](JwtOptions& o) { o.roles.clear(); }, "--jwt-roles"},
      {[](JwtOptions& o) { o.roles = {"admins"}; }, "\"admins\""},
      {[](JwtOptions& o) { o.roles = {"=read"}; }, "\"=read\""},
      {[](JwtOptions& o) { o.roles = {"admins=owner"}; }, "\"admins=owner\""},
      {[](JwtOptions& o) { o.role_claim = ""; }, "--jwt-role-claim"},
      {[](JwtOptions& o) { o.tenant_claim = ""; }, "--jwt-tenant"},
      {[](JwtOptions& o) { o.tenant = "lab"; }, "either --jwt-tenant-claim or --jwt-tenant"},
      {[](JwtOptions& o) { o.issuer = "accounts.example.com:x"; }, "--jwt-issuer"},
      {[](JwtOptions& o) { o.issuer = "http://idp.example.com"; }, "https"},
      {[](JwtOptions& o) { o.jwks_url = "http://idp.example.com/keys"; }, "https"},
      {[](JwtOptions& o) { o.jwks_url = "http://127.0.0.1.example.com/keys"; }, "https"},
      {[](JwtOptions& o) { o.jwks_url = "file:///etc/keys"; }, "--jwt-jwks-url"},
      {[](JwtOptions& o) { o.issuer = ""; }, "without --jwt-issuer"},
      {[](JwtOptions& o) { o.audience.assign(101, "x"); }, "100"},
  };
  for (const auto& [change, part] : kBad) {
    JwtOptions options = Complete();
    change(options);
    EXPECT_THAT(ReadJwtOptions(options), HasCode(absl::StatusCode::kInvalidArgument, part)) << part;
  }
}

TEST(JwtOptionsTest, EndUsersCountAsTokensButNotBesideAnOpenDoor) {
  TokenSources users;
  users.end_users = true;
  const auto tokens = LoadTokens(users);
  ASSERT_OK(tokens);
  EXPECT_FALSE(tokens->allows_all());
  EXPECT_FALSE(tokens->Check("eyJ.a.b").ok());
  users.insecure_no_auth = true;
  EXPECT_THAT(LoadTokens(users), HasCode(absl::StatusCode::kInvalidArgument, "--insecure-no-auth"));
}

}  // namespace
}  // namespace omics::cloud
