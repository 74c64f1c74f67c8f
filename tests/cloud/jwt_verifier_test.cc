#include "cloud/jwt_verifier.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cloud/http.h"
#include "tests/cloud/http_server.h"
#include "tests/cloud/jwt_testing.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace omics::cloud {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Asked;
using testing::HttpServer;
using testing::KeySet;
using testing::Reply;
using testing::SigningKey;

const SigningKey& First() {
  static const SigningKey key("first");
  return key;
}
const SigningKey& Second() {
  static const SigningKey key("second");
  return key;
}

// A token that differs from all others by its number.
std::string Token(const SigningKey& key, int number, std::int64_t expires = 1'800'000'600) {
  return key.Token(
      absl::StrCat(R"({"iss":"https://issuer","client_id":"app","jti":)", number, R"(,"exp":)", expires, "}"));
}

// A provider whose answer a test changes.
class Provider {
 public:
  explicit Provider(Reply reply)
      : reply_(std::move(reply)), server_([this](const Asked& asked) { return Answer(asked); }) {}

  void Set(Reply reply) {
    const std::lock_guard<std::mutex> lock(mutex_);
    reply_ = std::move(reply);
  }
  std::string url() const { return server_.url() + "/.well-known/jwks.json"; }
  std::string authority() const { return server_.authority(); }
  int asked() const { return server_.asked(); }

 private:
  Reply Answer(const Asked& asked) {
    EXPECT_EQ(asked.method, "GET");
    EXPECT_EQ(asked.target, "/.well-known/jwks.json");
    const std::lock_guard<std::mutex> lock(mutex_);
    return reply_;
  }

  std::mutex mutex_;
  Reply reply_;
  HttpServer server_;
};

Reply Serving(std::string body) {
  Reply reply;
  reply.body = std::move(body);
  return reply;
}

JwtVerifierOptions OptionsFor(const Provider& provider) {
  JwtVerifierOptions options;
  options.policy.issuer = "https://issuer";
  options.policy.audiences = {"app"};
  options.policy.roles = {{"*", Role::kRead}};
  options.policy.role_claim = "groups";
  options.policy.tenant = "default_tenant";
  options.keys_url = provider.url();
  options.fetch_gap = milliseconds(20);
  options.fetch_timeout = seconds(20);
  options.now = [] { return std::chrono::system_clock::time_point(seconds(1'800'000'000)); };
  return options;
}

bool NotReady(const absl::StatusOr<Principal>& answer) {
  return absl::IsUnavailable(answer.status()) && Reason(answer.status()) == "NOT_READY";
}

TEST(JwtVerifierTest, ATokenIsVerifiedOnceAndRememberedUntilItExpires) {
  const Provider provider(Serving(KeySet({First().Jwk()})));
  JwtVerifierOptions options = OptionsFor(provider);
  std::atomic<std::int64_t> now{1'800'000'000};
  options.now = [&now] { return std::chrono::system_clock::time_point(seconds(now)); };
  const auto verifier = JwtVerifier::Start(std::move(options));
  const std::string token = Token(First(), 1);
  ASSERT_OK(verifier->Verify(token));
  EXPECT_EQ(verifier->remembered(), 0);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(verifier->Verify(token)->scope.tenants, std::vector<std::string>{"default_tenant"});
  EXPECT_EQ(verifier->remembered(), 5);
  now = 1'800'000'600 + 59;
  EXPECT_OK(verifier->Verify(token));
  now = 1'800'000'600 + 60;
  EXPECT_THAT(verifier->Verify(token), HasReason(absl::StatusCode::kUnauthenticated, "TOKEN_INVALID"));
  EXPECT_EQ(verifier->refused(JwtFault::kExpired), 1);
  EXPECT_EQ(provider.asked(), 1);
}

TEST(JwtVerifierTest, ARefusedTokenIsNeverRemembered) {
  const Provider provider(Serving(KeySet({First().Jwk()})));
  const auto verifier = JwtVerifier::Start(OptionsFor(provider));
  const std::string good = Token(First(), 1);
  ASSERT_OK(verifier->Verify(good));
  std::string changed = good;
  changed[good.size() - 10] = changed[good.size() - 10] == 'A' ? 'B' : 'A';
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(verifier->Verify(changed), HasReason(absl::StatusCode::kUnauthenticated, "TOKEN_INVALID"));
    EXPECT_THAT(verifier->Verify(std::string(9000, 'a')),
                HasReason(absl::StatusCode::kUnauthenticated, "TOKEN_INVALID"));
  }
  EXPECT_EQ(verifier->refused(JwtFault::kSignature), 3);
  EXPECT_EQ(verifier->refused(JwtFault::kMalformed), 3);
  EXPECT_EQ(verifier->remembered(), 0);
}

TEST(JwtVerifierTest, OnlySoManyTokensAreRemembered) {
  const Provider provider(Serving(KeySet({First().Jwk()})));
  JwtVerifierOptions options = OptionsFor(provider);
  options.verified_max = 4;
  const auto verifier = JwtVerifier::Start(std::move(options));
  const std::string used_often = Token(First(), 0);
  const std::string used_once = Token(First(), 1);
  ASSERT_OK(verifier->Verify(used_once));
  for (int i = 0; i < 20; ++i) {
    ASSERT_OK(verifier->Verify(used_often));
    ASSERT_OK(verifier->Verify(Token(First(), 100 + i)));
  }
  EXPECT_EQ(verifier->remembered(), 19);
  ASSERT_OK(verifier->Verify(used_once));
  EXPECT_EQ(verifier->remembered(), 19) << "it was forgotten long ago";
}

TEST(JwtVerifierTest, ANewKeyCountsSoonAfterItsFirstTokenAndAWithdrawnOneNoLonger) {
  Provider provider(Serving(KeySet({First().Jwk()})));
  const auto verifier = JwtVerifier::Start(OptionsFor(provider));
  const std::string old_token = Token(First(), 1);
  ASSERT_OK(verifier->Verify(old_token));
  provider.Set(Serving(KeySet({First().Jwk(), Second().Jwk()})));
  ASSERT_TRUE(Eventually([&] { return verifier->Verify(Token(Second(), 2)).ok(); }));
  EXPECT_OK(verifier->Verify(old_token));
  provider.Set(Serving(KeySet({Second().Jwk()})));
  const std::string garbage = SigningKey("garbage").Token("{}");
  const auto before = verifier->fetches();
  ASSERT_TRUE(Eventually([&] { return verifier->Verify(garbage).ok() || verifier->fetches() > before + 1; }));
  EXPECT_FALSE(verifier->Verify(old_token).ok()) << "it was remembered beyond the life of its key";
  EXPECT_OK(verifier->Verify(Token(Second(), 3)));
}

TEST(JwtVerifierTest, WhileTheKeysMayBeOutOfDateTheAnswerIsToTryAgain) {
  const Provider provider(Serving(KeySet({First().Jwk()})));
  JwtVerifierOptions options = OptionsFor(provider);
  options.fetch_gap = milliseconds(1);
  const auto verifier = JwtVerifier::Start(std::move(options));
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begin < milliseconds(2)) std::this_thread::yield();
  const auto answer = verifier->Verify(Token(Second(), 1));
  EXPECT_TRUE(NotReady(answer)) << answer.status();
  EXPECT_EQ(verifier->refused(JwtFault::kUnknownKey), 0);
}

TEST(JwtVerifierTest, AFloodOfUnknownKeysFetchesOnceAGap) {
  const Provider provider(Serving(KeySet({First().Jwk()})));
  JwtVerifierOptions options = OptionsFor(provider);
  options.fetch_gap = hours(1);
  const auto verifier = JwtVerifier::Start(std::move(options));
  const std::string token = Second().Token("{}");
  for (int i = 0; i < 1000; ++i) {
    ASSERT_THAT(verifier->Verify(token), HasReason(absl::StatusCode::kUnauthenticated, "TOKEN_INVALID"));
  }
  EXPECT_EQ(verifier->fetches(), 1);
  EXPECT_EQ(verifier->refused(JwtFault::kUnknownKey), 1000);
  EXPECT_OK(verifier->Verify(Token(First(), 1)));

  JwtVerifierOptions often = OptionsFor(provider);
  often.fetch_gap = milliseconds(100);
  const auto begin = std::chrono::steady_clock::now();
  const auto other = JwtVerifier::Start(std::move(often));
  while (other->fetches() < 4) static_cast<void>(other->Verify(token));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(300)) << "four fetches have three gaps";
}

TEST(JwtVerifierTest, AFloodWhileTheProviderIsAwayCausesNoFetches) {
  Reply away;
  away.status = 503;
  const Provider provider(away);
  JwtVerifierOptions options = OptionsFor(provider);
  options.fetch_gap = hours(1);
  const std::string token = Token(First(), 1);
  const auto begin = std::chrono::steady_clock::now();
  const auto verifier = JwtVerifier::Start(std::move(options));
  auto passed = begin - begin;
  while (passed < milliseconds(500)) {
    EXPECT_TRUE(NotReady(verifier->Verify(token)));
    passed = std::chrono::steady_clock::now() - begin;
  }
  // The first one, and after a second the first of its own accord.
  EXPECT_LE(verifier->fetches(), 1 + passed / seconds(1));
}

TEST(JwtVerifierTest, WithoutKeysNobodyIsLetInUntilTheyCome) {
  Reply away;
  away.status = 503;
  Provider provider(away);
  const auto verifier = JwtVerifier::Start(OptionsFor(provider));
  EXPECT_TRUE(NotReady(verifier->Verify(Token(First(), 1))));
  EXPECT_TRUE(NotReady(verifier->Verify("eyJ..")));
  provider.Set(Serving(KeySet({First().Jwk()})));
  EXPECT_TRUE(Eventually([&] { return verifier->Verify(Token(First(), 1)).ok(); }));
}

// What a provider answers when all is not well.
std::vector<Reply> BadReplies(const Provider& elsewhere) {
  std::vector<Reply> replies;
  for (const int status : {204, 304, 404, 429, 500, 503}) {
    replies.push_back(Serving(KeySet({Second().Jwk()})));
    replies.back().status = status;
  }
  replies.push_back({302, {absl::StrCat("Location: ", elsewhere.url())}, "", {}, false});
  for (const std::string& body :
       {std::string(), std::string("<html>"), std::string("{\"keys\":[]}"), KeySet({Second().Jwk(R"(,"use":"enc")")}),
        KeySet({SigningKey("second", 1024).Jwk()})}) {
    replies.push_back(Serving(body));
  }
  replies.push_back(Serving(KeySet({Second().Jwk()}) + std::string(300'000, ' ')));
  replies.push_back(Serving(KeySet({Second().Jwk()})));
  replies.back().cut_after = 100;
  return replies;
}

TEST(JwtVerifierTest, WhateverElseTheProviderAnswersTheFormerKeysStay) {
  const Provider elsewhere(Serving(KeySet({Second().Jwk()})));
  Provider provider(Serving(KeySet({First().Jwk()})));
  const auto verifier = JwtVerifier::Start(OptionsFor(provider));
  int number = 0;
  for (const Reply& reply : BadReplies(elsewhere)) {
    provider.Set(reply);
    const auto before = verifier->fetches();
    ASSERT_TRUE(Eventually([&] {
      EXPECT_FALSE(verifier->Verify(Token(Second(), 1)).ok()) << reply.status << " " << reply.body;
      return verifier->fetches() > before + 1;
    })) << reply.status;
    EXPECT_OK(verifier->Verify(Token(First(), ++number))) << reply.status << " " << reply.body;
  }
  EXPECT_EQ(elsewhere.asked(), 0) << "a redirect was followed";
  provider.Set(Serving(KeySet({Second().Jwk()})));
  EXPECT_TRUE(Eventually([&] { return verifier->Verify(Token(Second(), 1)).ok(); }));
}

TEST(JwtVerifierTest, AProviderThatNeverAnswersHoldsUpNeitherCallersNorTheEnd) {
  Reply silent = Serving(KeySet({First().Jwk()}));
  silent.cut_after = 10;
  silent.hang = true;
  Provider provider(silent);
  JwtVerifierOptions options = OptionsFor(provider);
  options.fetch_timeout = milliseconds(200);
  auto begin = std::chrono::steady_clock::now();
  auto verifier = JwtVerifier::Start(options);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(15));
  EXPECT_TRUE(NotReady(verifier->Verify(Token(First(), 1))));
  verifier.reset();
  // The second fetch never ends by itself within this test.
  provider.Set(Serving(KeySet({First().Jwk()})));
  options.fetch_timeout = seconds(300);
  verifier = JwtVerifier::Start(options);
  provider.Set(silent);
  const int asked = provider.asked();
  ASSERT_TRUE(Eventually([&] {
    static_cast<void>(verifier->Verify(Token(Second(), 1)));
    return provider.asked() > asked;
  }));
  for (int i = 0; i < 100; ++i) EXPECT_OK(verifier->Verify(Token(First(), i)));
  begin = std::chrono::steady_clock::now();
  verifier.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(15));
}

TEST(JwtVerifierTest, ManyThreadsVerifyWhileKeysChange) {
  Provider provider(Serving(KeySet({First().Jwk(), Second().Jwk()})));
  JwtVerifierOptions options = OptionsFor(provider);
  options.refresh = milliseconds(5);
  options.fetch_gap = milliseconds(1);
  options.verified_max = 8;
  const auto verifier = JwtVerifier::Start(std::move(options));
  std::vector<std::string> tokens;
  for (int i = 0; i < 16; ++i) tokens.push_back(Token(First(), i));
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = static_cast<std::size_t>(t); !done; ++i) wrong += !verifier->Verify(tokens[i % 16]).ok();
    });
  }
  for (int i = 0; i < 10; ++i) {
    provider.Set(Serving(i % 2 == 0 ? KeySet({First().Jwk()}) : KeySet({First().Jwk(), Second().Jwk()})));
    const auto before = verifier->fetches();
    EXPECT_TRUE(Eventually([&] { return verifier->fetches() > before + 1; }));
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(JwtVerifierTest, MetricsCountByCause) {
  const Provider provider(Serving(KeySet({First().Jwk()})));
  Metrics metrics("test");
  {
    const auto verifier = JwtVerifier::Start(OptionsFor(provider));
    verifier->AddMetrics(metrics);
    ASSERT_OK(verifier->Verify(Token(First(), 1)));
    ASSERT_OK(verifier->Verify(Token(First(), 1)));
    ASSERT_OK(verifier->Verify(Token(First(), 2)));
    EXPECT_FALSE(verifier->Verify(Token(First(), 3, 1'000'000'000)).ok());
  }
  ASSERT_OK(metrics.Serve("127.0.0.1:0"));
  HttpRequest request;
  request.url = absl::StrCat("http://127.0.0.1:", metrics.port(), "/metrics");
  const auto response = SendHttp(request);
  ASSERT_OK(response);
  for (const char* const line :
       {"test_jwt_keys_good 1\n", "# TYPE test_jwt_refused_total counter\n",
        "test_jwt_accepted_total{how=\"verified\"} 2\n", "test_jwt_accepted_total{how=\"remembered\"} 1\n",
        "test_jwt_refused_total{cause=\"expired\"} 1\n", "test_jwt_refused_total{cause=\"signature\"} 0\n"}) {
    EXPECT_NE(response->body.find(line), std::string::npos) << line << response->body;
  }
}

TEST(LiveTokensTest, AVerifierDecidesOnWhatItRecognizesAndOnNothingElse) {
  const Provider provider(Serving(KeySet({First().Jwk()})));
  const std::string listed = "listed-token-0123456789";
  const std::string alike = Token(Second(), 1);
  const std::string text = absl::StrCat("app admin ", listed, "\nodd admin ", alike, "\n");
  LiveTokens tokens(TokenSources{}, TokenSet::FromFileText(text).value());
  const std::string good = Token(First(), 1);
  EXPECT_FALSE(tokens.Check(good).ok());
  EXPECT_OK(tokens.Check(alike));
  JwtVerifierOptions options = OptionsFor(provider);
  options.fetch_gap = hours(1);
  tokens.SetVerifier(JwtVerifier::Start(std::move(options)));
  EXPECT_EQ(tokens.Check(good)->role, Role::kRead);
  EXPECT_EQ(tokens.Check(listed)->role, Role::kAdmin);
  EXPECT_THAT(tokens.Check(alike), HasReason(absl::StatusCode::kUnauthenticated, "TOKEN_INVALID"));
  EXPECT_THAT(tokens.Check(""), HasReason(absl::StatusCode::kUnauthenticated, "TOKEN_MISSING"));
  EXPECT_THAT(tokens.Check("eyJ.x"), HasReason(absl::StatusCode::kUnauthenticated, "TOKEN_INVALID"));
}

TEST(LiveTokensTest, WhereEveryoneIsLetInAVerifierRefusesNobody) {
  const Provider provider(Serving(KeySet({First().Jwk()})));
  LiveTokens tokens(TokenSources{}, TokenSet::AllowAll());
  tokens.SetVerifier(JwtVerifier::Start(OptionsFor(provider)));
  EXPECT_EQ(tokens.Check("eyJ.a.b")->role, Role::kAdmin);
}

}  // namespace
}  // namespace omics::cloud
