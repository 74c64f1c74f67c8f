#include "cloud/credentials.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/cloud/http_server.h"
#include "tests/cloud/manual_waiter.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::cloud {
namespace {

using std::chrono::minutes;
using testing::Asked;
using testing::HttpServer;
using testing::ManualWaiter;
using testing::Reply;

// 2026-01-01, moved by the test.
struct World {
  std::map<std::string, std::string> environment;
  std::chrono::system_clock::time_point now = std::chrono::system_clock::from_time_t(1'767'225'600);
  ManualWaiter waiter;

  CredentialsOptions Options() {
    CredentialsOptions options;
    options.environment = [this](const char* name) { return environment.contains(name) ? environment.at(name) : ""; };
    options.now = [this] { return now; };
    options.waiter = &waiter;
    return options;
  }
  std::string In(minutes time) const {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(now + time), absl::UTCTimeZone());
  }
  std::string Json(const std::string& key, minutes life) const {
    return absl::StrCat(R"({"AccessKeyId":")", key, R"(","SecretAccessKey":"s","Token":"t","Expiration":")", In(life),
                        R"("})");
  }
};

TEST(CredentialsTest, TheEnvironmentComesFirstAndIsNotRefreshed) {
  World world;
  world.environment = {{"AWS_ACCESS_KEY_ID", "A"},
                       {"AWS_SECRET_ACCESS_KEY", "S"},
                       {"AWS_SESSION_TOKEN", "T"},
                       {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/"}};
  CredentialChain chain(world.Options());
  const auto credentials = chain.Get();
  ASSERT_OK(credentials);
  EXPECT_EQ((*credentials)->secret_access_key, "S");
  EXPECT_EQ((*credentials)->session_token, "T");
  world.environment.erase("AWS_SECRET_ACCESS_KEY");
  EXPECT_THAT(CredentialChain(world.Options()).Get(),
              HasCode(absl::StatusCode::kFailedPrecondition, "AWS_SECRET_ACCESS_KEY"));
}

TEST(CredentialsTest, TheContainerIsAskedWithTheTokenOfItsFile) {
  World world;
  const TempDir directory;
  std::ofstream(directory.path() / "token") << "pod-token\n";
  HttpServer server([&](const Asked& asked) {
    return asked.Header("authorization") == "pod-token" && asked.target == "/v1/credentials"
               ? Reply{200, {}, world.Json("POD", minutes(60))}
               : Reply{403, {}, ""};
  });
  world.environment = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url() + "/v1/credentials"},
                       {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", directory.path() / "token"}};
  CredentialChain chain(world.Options());
  EXPECT_EQ(chain.Get().value()->access_key_id, "POD");
  EXPECT_EQ(chain.Get().value()->source, "container endpoint");
  EXPECT_EQ(server.asked(), 1);
  std::filesystem::remove(directory.path() / "token");
  EXPECT_THAT(CredentialChain(world.Options()).Get(), HasCode(absl::StatusCode::kFailedPrecondition, "token file"));
}

TEST(CredentialsTest, AnAddressThatIsNoCredentialEndpointIsNotAsked) {
  World world;
  for (const char* const uri : {"http://example.com/x", "http://169.254.169.254/x", "file:///etc/passwd"}) {
    world.environment = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", uri}, {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "s3cr3t"}};
    const auto credentials = CredentialChain(world.Options()).Get();
    EXPECT_FALSE(credentials.ok()) << uri;
    EXPECT_FALSE(absl::IsUnavailable(credentials.status())) << credentials.status();
    EXPECT_EQ(credentials.status().ToString().find("s3cr3t"), std::string::npos);
  }
}

TEST(CredentialsTest, InstanceMetadataIsAskedWithASessionToken) {
  World world;
  HttpServer server([&](const Asked& asked) {
    if (asked.method == "PUT") return Reply{200, {}, "session"};
    if (asked.Header("x-aws-ec2-metadata-token") != "session") return Reply{401, {}, ""};
    const std::string path = "/latest/meta-data/iam/security-credentials/";
    return asked.target == path ? Reply{200, {}, "my-role\n"}
                                : Reply{200, {}, world.Json(asked.target.substr(path.size()), minutes(60))};
  });
  CredentialsOptions options = world.Options();
  options.instance_endpoint = server.url();
  EXPECT_EQ(CredentialChain(options).Get().value()->access_key_id, "my-role");
  world.environment["AWS_EC2_METADATA_DISABLED"] = "true";
  EXPECT_THAT(CredentialChain(options).Get(), HasCode(absl::StatusCode::kFailedPrecondition, "AWS_ACCESS_KEY_ID"));
}

TEST(CredentialsTest, WebIdentityAssumesTheRole) {
  World world;
  const TempDir directory;
  std::ofstream(directory.path() / "jwt") << "a.b+c";
  Asked got;
  HttpServer server([&](const Asked& asked) {
    got = asked;
    return Reply{200,
                 {},
                 absl::StrCat("<R><Credentials><AccessKeyId>WEB</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
                              "<SessionToken>t</SessionToken><Expiration>",
                              world.In(minutes(60)), "</Expiration></Credentials></R>")};
  });
  world.environment = {{"AWS_WEB_IDENTITY_TOKEN_FILE", directory.path() / "jwt"},
                       {"AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r"},
                       {"AWS_ENDPOINT_URL_STS", server.url()}};
  EXPECT_EQ(CredentialChain(world.Options()).Get().value()->access_key_id, "WEB");
  EXPECT_EQ(got.body,
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr"
            "&RoleSessionName=omics-vector&WebIdentityToken=a.b%2Bc");
  EXPECT_EQ(got.Header("authorization"), "");
}

TEST(CredentialsTest, RefreshedFiveMinutesBeforeTheEndAndOldOnesServeWhileThatFails) {
  World world;
  int made = 0;
  bool broken = false;
  HttpServer server([&](const Asked&) {
    if (broken) return Reply{500, {}, ""};
    return Reply{200, {}, world.Json(absl::StrCat("K", ++made), minutes(60))};
  });
  world.environment = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url()}};
  CredentialChain chain(world.Options());
  EXPECT_EQ(chain.Get().value()->access_key_id, "K1");
  world.now += minutes(54);
  EXPECT_EQ(chain.Get().value()->access_key_id, "K1");
  world.now += minutes(2);
  EXPECT_EQ(chain.Get().value()->access_key_id, "K2");
  broken = true;
  world.now += minutes(57);
  EXPECT_EQ(chain.Get().value()->access_key_id, "K2");
  const int asked = server.asked();
  EXPECT_EQ(chain.Get().value()->access_key_id, "K2");
  EXPECT_EQ(server.asked(), asked) << "asked again within 30 s of a failure";
  world.now += minutes(4);
  EXPECT_THAT(chain.Get(), HasCode(absl::StatusCode::kUnavailable, "500"));
  broken = false;
  EXPECT_EQ(chain.Get().value()->access_key_id, "K3");
  chain.Forget();
  EXPECT_EQ(chain.Get().value()->access_key_id, "K4");
}

TEST(CredentialsTest, HalfAnAnswerIsNone) {
  for (const char* const answer : {"", "{}", R"({"AccessKeyId":"A"})", "<html>",
                                   R"({"AccessKeyId":"A","SecretAccessKey":"s3cr3t","Expiration":"soon"})"}) {
    World world;
    HttpServer server([&](const Asked&) { return Reply{200, {}, answer}; });
    world.environment = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url()}};
    const auto credentials = CredentialChain(world.Options()).Get();
    EXPECT_THAT(credentials, HasCode(absl::StatusCode::kUnavailable, "answer")) << answer;
    EXPECT_EQ(credentials.status().ToString().find("s3cr3t"), std::string::npos);
  }
}

}  // namespace
}  // namespace omics::cloud
