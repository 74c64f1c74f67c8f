// The program vector-gateway: its signals and its exit codes. Nothing listens where it looks for the service, so that a
// caller it knows gets 503.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/gateway/process.h"
#include "tests/gateway/testing.h"
#include "tests/support/temp_dir.h"

namespace omics::gateway::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kOldToken[] = "old-token-0123456789";
constexpr char kNewToken[] = "new-token-0123456789";

std::vector<std::string> Command(const std::vector<std::string>& flags) {
  std::vector<std::string> command = {VECTOR_GATEWAY_BINARY, "--rest-address=127.0.0.1:0",
                                      "--metrics-address=", absl::StrCat("--service-address=", kNoService),
                                      "--log-format=text"};
  command.insert(command.end(), flags.begin(), flags.end());
  return command;
}

int PortFrom(const std::string& line) { return std::atoi(line.c_str() + line.rfind(':') + 1); }

int StatusWith(RawClient& client, const char* token) {
  return client.Ask("GET", "/api/v2/auth/identity", "", absl::StrCat("X-Chroma-Token: ", token, "\r\n")).status;
}

TEST(GatewayMainTest, SighupTakesTheNewTokensAndKeepsTheOldOnesWhenTheFileIsBroken) {
  const TempDir directory;
  const std::string tokens = directory.path() / "tokens";
  std::ofstream(tokens) << "old admin " << kOldToken << "\n";
  Process gateway(Command({"--tokens-file=" + tokens}));
  RawClient client(PortFrom(gateway.WaitForLine("listening rest=")));
  gateway.WaitForLine("ready");
  EXPECT_EQ(StatusWith(client, kOldToken), 503);
  EXPECT_EQ(StatusWith(client, kNewToken), 403);

  std::ofstream(tokens) << "new admin " << kNewToken << "\n";
  EXPECT_EQ(StatusWith(client, kNewToken), 403);
  gateway.Signal(SIGHUP);
  gateway.WaitForLine("tokens reloaded");
  EXPECT_EQ(StatusWith(client, kOldToken), 403);
  EXPECT_EQ(StatusWith(client, kNewToken), 503);

  std::ofstream(tokens) << "half a line\n";
  gateway.Signal(SIGHUP);
  EXPECT_THAT(gateway.WaitForLine("tokens not reloaded"), HasSubstr("line 1"));
  EXPECT_EQ(StatusWith(client, kNewToken), 503);

  gateway.Signal(SIGTERM);
  EXPECT_EQ(gateway.Wait(), 0);
}

TEST(GatewayMainTest, BadConfigurationEndsWith2AndOneSentence) {
  const TempDir directory;
  const std::string absent = directory.path() / "absent";
  const struct {
    std::vector<std::string> flags;
    const char* named;
  } kCases[] = {
      {{}, "--insecure-no-auth"},  // nobody said who may call
      {{"--authn-credentials=short"}, "16"},
      {{"--tokens-file=" + absent}, "absent"},
      {{"--insecure-no-auth", "--tls-key=" + absent}, "--tls-certificate"},
      {{"--insecure-no-auth", "--tls-certificate=" + absent, "--tls-key=" + absent}, "absent"},
      {{"--insecure-no-auth", "--rest-address=nowhere"}, "nowhere"},
      {{"--insecure-no-auth", "--log-level=loud"}, "loud"},
  };
  for (const auto& c : kCases) {
    Process gateway(Command(c.flags));
    EXPECT_EQ(gateway.Wait(), 2) << c.named;
    EXPECT_THAT(gateway.RestOfLog(), HasSubstr(c.named));
  }
}

TEST(GatewayMainTest, ATakenPortEndsWith1) {
  TestGateway other;
  Process gateway(Command({"--insecure-no-auth", absl::StrCat("--rest-address=127.0.0.1:", other.port())}));
  EXPECT_EQ(gateway.Wait(), 1);
  EXPECT_THAT(gateway.RestOfLog(), HasSubstr("in use"));
}

}  // namespace
}  // namespace omics::gateway::testing
