#include "cloud/live_secret.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/cloud/fault_proxy.h"
#include "tests/cloud/http_server.h"
#include "tests/cloud/moto.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::cloud {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using testing::Asked;
using testing::Fault;
using testing::FaultProxy;
using testing::HttpServer;
using testing::Moto;
using testing::Reply;

std::string Token(int number) { return absl::StrCat("token-number-", 1'000'000 + number); }

bool Accepts(const TokenSet& tokens, const std::string& token) { return tokens.Check(token).ok(); }

TEST(TokensSecretTest, TheThreeFormsAreUnderstoodAndNothingElse) {
  EXPECT_EQ(ParseTokensSecret(" token-0123456789abcdef\n")->Check("token-0123456789abcdef")->role, Role::kAdmin);
  EXPECT_EQ(ParseTokensSecret(R"({"token":"token-0123456789abcdef"})")->Check("token-0123456789abcdef")->role,
            Role::kAdmin);
  EXPECT_EQ(
      ParseTokensSecret(R"({"tokens":"app read token-0123456789abcdef\n"})")->Check("token-0123456789abcdef")->role,
      Role::kRead);
  EXPECT_EQ(ParseTokensSecret("app write token-0123456789abcdef # x\n")->Check("token-0123456789abcdef")->role,
            Role::kWrite);
  for (const char* const bad :
       {"", "short", "{}", "{", R"({"token":"short-s3cr3t"})", R"({"password":"token-0123456789abcdef"})",
        R"({"token":"token-0123456789abcdef","tokens":"a admin token-0123456789abcdef"})",
        "app nobody token-0123456789abcdef", "two words"}) {
    const auto tokens = ParseTokensSecret(bad);
    EXPECT_THAT(tokens, HasCode(absl::StatusCode::kInvalidArgument, "")) << bad;
    EXPECT_EQ(tokens.status().ToString().find("s3cr3t"), std::string::npos);
  }
}

// A secret whose stages a test sets.
struct Stages {
  std::map<std::string, absl::StatusOr<SecretVersion>> versions;
  LiveSecret::Reader Reader() {
    return [this](const std::string& stage) -> absl::StatusOr<SecretVersion> {
      const auto found = versions.find(stage);
      if (found == versions.end()) return absl::NotFoundError("no such stage");
      return found->second;
    };
  }
};
constexpr LiveSecret::Time kBegin{hours(500'000)};

TEST(LiveSecretTest, ThePreviousVersionCountsForTheOverlapAndNotLonger) {
  Stages stages;
  LiveSecret secret(stages.Reader(), hours(24));
  EXPECT_EQ(secret.TokensAt(kBegin), std::nullopt);
  stages.versions = {{"AWSCURRENT", SecretVersion{Token(2), "v2", kBegin}},
                     {"AWSPREVIOUS", SecretVersion{Token(1), "v1", kBegin - hours(99)}}};
  ASSERT_OK(secret.Poll(kBegin));
  const auto last = kBegin + hours(24) - std::chrono::seconds(1);
  for (const auto now : {kBegin, last}) {
    EXPECT_TRUE(Accepts(*secret.TokensAt(now), Token(1)));
    EXPECT_TRUE(Accepts(*secret.TokensAt(now), Token(2)));
  }
  EXPECT_NE(secret.VersionsAt(last), secret.VersionsAt(kBegin + hours(24)));
  EXPECT_FALSE(Accepts(*secret.TokensAt(kBegin + hours(24)), Token(1))) << "without any further poll";
  EXPECT_TRUE(Accepts(*secret.TokensAt(kBegin + hours(24)), Token(2)));
}

TEST(LiveSecretTest, WithoutOverlapThePreviousVersionIsNeverAsked) {
  Stages stages;
  stages.versions = {{"AWSCURRENT", SecretVersion{Token(2), "v2", kBegin}},
                     {"AWSPREVIOUS", absl::UnavailableError("asked")}};
  LiveSecret secret(stages.Reader(), std::chrono::seconds(0));
  EXPECT_OK(secret.Poll(kBegin));
  stages.versions["AWSPREVIOUS"] = SecretVersion{Token(1), "v1", kBegin};
  EXPECT_OK(secret.Poll(kBegin));
  EXPECT_FALSE(Accepts(*secret.TokensAt(kBegin), Token(1)));
}

TEST(LiveSecretTest, WhatIsBrokenOrUnreachableKeepsTheLastGoodSet) {
  Stages stages;
  LiveSecret secret(stages.Reader(), hours(24));
  stages.versions = {{"AWSCURRENT", SecretVersion{Token(1), "v1", kBegin}}};
  ASSERT_OK(secret.Poll(kBegin));
  const std::vector<std::map<std::string, absl::StatusOr<SecretVersion>>> broken = {
      {{"AWSCURRENT", absl::UnavailableError("down")}},
      {{"AWSCURRENT", absl::NotFoundError("gone")}},
      {{"AWSCURRENT", SecretVersion{"", "v2", kBegin}}},
      {{"AWSCURRENT", SecretVersion{"half a line", "v2", kBegin}}},
      {{"AWSCURRENT", SecretVersion{Token(2), "v2", kBegin}}, {"AWSPREVIOUS", absl::UnavailableError("down")}},
  };
  for (const auto& versions : broken) {
    stages.versions = versions;
    EXPECT_FALSE(secret.Poll(kBegin).ok());
    EXPECT_TRUE(Accepts(*secret.TokensAt(kBegin), Token(1)));
    EXPECT_FALSE(Accepts(*secret.TokensAt(kBegin), Token(2)));
  }
  stages.versions = {{"AWSCURRENT", SecretVersion{Token(2), "v2", kBegin}},
                     {"AWSPREVIOUS", SecretVersion{"garbage", "v1", kBegin}}};
  EXPECT_OK(secret.Poll(kBegin)) << "an AWSPREVIOUS that nobody understands must not hold up the new version";
  EXPECT_FALSE(Accepts(*secret.TokensAt(kBegin), Token(1)));
  EXPECT_TRUE(Accepts(*secret.TokensAt(kBegin), Token(2)));
}

TEST(LiveSecretTest, ARotationBetweenTheTwoReadsIsReadAgain) {
  int reads = 0;
  LiveSecret secret(
      [&](const std::string& stage) -> absl::StatusOr<SecretVersion> {
        const int current = ++reads == 1 ? 1 : 2;  // rotated after the first read
        const int version = stage == "AWSCURRENT" ? current : current - 1;
        return SecretVersion{Token(version), absl::StrCat("v", version), kBegin};
      },
      hours(24));
  ASSERT_OK(secret.Poll(kBegin));
  EXPECT_TRUE(Accepts(*secret.TokensAt(kBegin), Token(1)));
  EXPECT_TRUE(Accepts(*secret.TokensAt(kBegin), Token(2)));
}

TEST(LiveTokensTest, TheBareTokenCountsUntilTheSecretIsReadAndTheFileBesideIt) {
  TokenSources sources;
  sources.credentials = Token(1);
  LiveTokens bare(sources, LoadTokens(sources).value());
  EXPECT_TRUE(bare.Check(Token(1)).ok());
  bare.SetSecret(TokenSet::FromBareToken(Token(2)).value());
  EXPECT_FALSE(bare.Check(Token(1)).ok());
  EXPECT_TRUE(bare.Check(Token(2)).ok());
  const TempDir directory;
  const std::string path = directory.path() / "tokens";
  std::ofstream(path) << "a read " << Token(3) << "\n";
  TokenSources file;
  file.tokens_file = path;
  LiveTokens both(file, LoadTokens(file).value());
  both.SetSecret(TokenSet::FromBareToken(Token(2)).value());
  EXPECT_TRUE(both.Check(Token(2)).ok());
  EXPECT_TRUE(both.Check(Token(3)).ok());
  std::ofstream(path) << "a read " << Token(4) << "\n";
  ASSERT_OK(both.Reload());
  EXPECT_TRUE(both.Check(Token(2)).ok());
  EXPECT_FALSE(both.Check(Token(3)).ok());
  EXPECT_TRUE(both.Check(Token(4)).ok());
  TokenSources secret_only;
  secret_only.tokens_secret = "name";
  LiveTokens closed(secret_only, LoadTokens(secret_only).value());
  EXPECT_TRUE(closed.empty());
  EXPECT_FALSE(closed.Check(Token(1)).ok());
  EXPECT_FALSE(closed.Check("").ok());
}

TokenRefreshOptions FastOptions(const std::string& endpoint) {
  TokenRefreshOptions options;
  options.secret = "tokens";
  options.endpoint = endpoint;
  options.secret_poll = milliseconds(40);
  options.file_poll = milliseconds(5);
  options.credentials = testing::TestCredentials();
  return options;
}

TEST(TokenRefresherTest, ASecretThatNeverCouldBeReadEndsTheStartUnlessThereIsAnotherToken) {
  HttpServer server([](const Asked&) {
    return Reply{400, {}, R"({"__type":"ResourceNotFoundException","message":"Secrets Manager can't find it."})"};
  });
  TokenSources sources;
  sources.tokens_secret = "tokens";
  LiveTokens closed(sources, LoadTokens(sources).value());
  EXPECT_THAT(TokenRefresher::Start(FastOptions(server.url()), closed),
              HasCode(absl::StatusCode::kFailedPrecondition, "the secret tokens (AWSCURRENT) at " + server.url()));
  sources.credentials = Token(1);
  LiveTokens open(sources, LoadTokens(sources).value());
  EXPECT_OK(TokenRefresher::Start(FastOptions(server.url()), open));
  EXPECT_TRUE(open.Check(Token(1)).ok());
}

TEST(TokenRefresherTest, AChangedFileAndASwappedSymlinkAreSeenAndBrokenOnesAreNotBelieved) {
  const TempDir directory;
  const auto version = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directory(directory.path() / name);
    std::ofstream(directory.path() / name / "tokens") << text;
  };
  const auto swap = [&](const std::string& name) {  // as the kubelet does
    std::filesystem::create_directory_symlink(name, directory.path() / "..data_tmp");
    std::filesystem::rename(directory.path() / "..data_tmp", directory.path() / "..data");
  };
  version("..1", absl::StrCat("a read ", Token(1), "\n"));
  version("..2", absl::StrCat("a read ", Token(2), "\n"));
  version("..3", "half a line\n");
  swap("..1");
  std::filesystem::create_symlink("..data/tokens", directory.path() / "tokens");
  TokenSources sources;
  sources.tokens_file = directory.path() / "tokens";
  LiveTokens live(sources, LoadTokens(sources).value());
  TokenRefreshOptions options;
  options.tokens_file = sources.tokens_file;
  options.file_poll = milliseconds(5);
  const auto refresher = TokenRefresher::Start(options, live).value();
  EXPECT_TRUE(live.Check(Token(1)).ok());
  swap("..2");
  EXPECT_TRUE(Eventually([&] { return live.Check(Token(2)).ok(); }));
  EXPECT_FALSE(live.Check(Token(1)).ok());
  swap("..3");
  std::filesystem::remove(directory.path() / "..2" / "tokens");
  EXPECT_TRUE(live.Check(Token(2)).ok());
  std::ofstream(directory.path() / "..3" / "tokens") << "a read " << Token(3) << "\n";  // written in place
  EXPECT_TRUE(Eventually([&] { return live.Check(Token(3)).ok(); }));
  EXPECT_FALSE(live.Check(Token(2)).ok());
}

// OMICS_VECTOR_TEST_ROTATIONS says how often. A rotation makes a new version; its predecessor must be accepted without
// a gap, the one before that refused as soon as the new one is known; at times Secrets Manager is down or talks
// nonsense.
TEST(RotationCampaign, RotationsUnderLoadRefuseNobodyInTheOverlapAndRevokedTokensAlways) {
  const char* const wanted = std::getenv("OMICS_VECTOR_TEST_ROTATIONS");
  const int rotations = wanted == nullptr ? 30 : std::atoi(wanted);
  const char* const chosen = std::getenv("OMICS_VECTOR_TEST_SEED");
  const std::uint64_t seed = chosen == nullptr ? std::random_device{}() : std::strtoull(chosen, nullptr, 10);
  std::cout << "seed " << seed << "\n";
  Moto moto;
  moto.CreateSecret("tokens", Token(0));
  FaultProxy proxy("127.0.0.1", moto.port(), seed,
                   {Fault::kRefuse, Fault::kCut, Fault::kDelay, Fault::kServerError, Fault::kGarbage,
                    Fault::kLoseAnswer, Fault::kSlowDown},
                   0);
  TokenSources sources;
  sources.tokens_secret = "tokens";
  LiveTokens live(sources, LoadTokens(sources).value());
  const auto refresher = TokenRefresher::Start(FastOptions(proxy.url()), live).value();

  // The load: the token in force and the one before it, all the time. `known` is the newest that the service has read.
  std::atomic<int> known{0};
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> checks{0};
  std::atomic<std::int64_t> refused{0};
  std::atomic<std::int64_t> let_in{0};
  const auto load = [&] {
    while (!stop) {
      const int newest = known;
      if (!live.Check(Token(newest)).ok()) ++refused;
      // The predecessor may go only because the next rotation has been read.
      const bool predecessor = newest == 0 || live.Check(Token(newest - 1)).ok();
      if (!predecessor && !live.Check(Token(newest + 1)).ok()) ++refused;
      if (live.Check("never-a-token-0123456789").ok() || live.Check("").ok()) ++let_in;
      if (newest >= 2 && live.Check(Token(newest - 2)).ok()) ++let_in;
      ++checks;
      std::this_thread::yield();
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back(load);
  std::chrono::steady_clock::duration longest{0};
  std::mt19937_64 random(seed);
  for (int rotation = 1; rotation <= rotations && !::testing::Test::HasFailure(); ++rotation) {
    if (random() % 4 == 0) {  // an outage, which must change nothing
      proxy.SetPercent(100);
      const std::int64_t good = refresher->good_polls();
      const std::int64_t polls = refresher->polls();
      refresher->PollSoon();
      ASSERT_TRUE(Eventually([&] { return refresher->polls() > polls; }));
      EXPECT_TRUE(live.Check(Token(rotation - 1)).ok()) << good;
      proxy.SetPercent(0);
    }
    proxy.SetPercent(random() % 2 == 0 ? 20 : 0);
    moto.PutSecret("tokens", Token(rotation));
    const auto made = std::chrono::steady_clock::now();
    ASSERT_TRUE(Eventually([&] { return live.Check(Token(rotation)).ok(); })) << "rotation " << rotation;
    ASSERT_TRUE(live.Check(Token(rotation - 1)).ok()) << "refused inside the overlap at rotation " << rotation;
    if (rotation >= 2) {
      EXPECT_FALSE(live.Check(Token(rotation - 2)).ok()) << "a revoked token";
    }
    longest = std::max(longest, std::chrono::steady_clock::now() - made);
    known = rotation;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  std::cout << rotations << " rotations, " << checks << " checks, " << proxy.injected_faults()
            << " faults; a new version was in force after at most "
            << std::chrono::duration_cast<milliseconds>(longest).count() << " ms\n";
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(let_in, 0);
  EXPECT_GT(checks, 0);
}

}  // namespace
}  // namespace omics::cloud
