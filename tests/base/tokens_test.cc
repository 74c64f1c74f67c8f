#include "base/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/escaping.h"
#include "base/digest.h"
#include "base/status.h"

namespace omics {
namespace {

using testing::HasSubstr;

constexpr char kTokenA[] = "token-a-0123456789abcdef";
constexpr char kTokenB[] = "token-b-0123456789abcdef";
constexpr char kTokenC[] = "token-c-0123456789abcdef";

std::string DigestColumn(std::string_view token) {
  const Sha256Digest digest = Sha256(token);
  return "sha256:" + ToHex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string Message(const absl::Status& status) { return std::string(status.message()); }

void ExpectRefused(const TokenSet& tokens, const std::string& token, const std::string& reason) {
  const auto principal = tokens.Check(token);
  EXPECT_EQ(principal.status().code(), absl::StatusCode::kUnauthenticated) << token;
  EXPECT_EQ(Reason(principal.status()), reason) << token;
}

TEST(BareTokenTest, OpensWithAdminRightsAndNothingElseDoes) {
  const auto tokens = TokenSet::FromBareToken(kTokenA);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(tokens->Check(kTokenA)->role, Role::kAdmin);
  ExpectRefused(*tokens, "", "TOKEN_MISSING");
  const std::string token = kTokenA;
  for (const std::string& wrong : {token + "x", token.substr(1), token.substr(0, token.size() - 1), std::string("x"),
                                   token + std::string(1, '\0'), std::string(5000, 'x'), DigestColumn(token)}) {
    ExpectRefused(*tokens, wrong, "TOKEN_INVALID");
  }
}

TEST(BareTokenTest, GuessableAndUnprintableOnesAreRefusedWithoutShowingThem) {
  for (const std::string& bad : {std::string(), std::string("short"), std::string(15, 'x'), std::string(4097, 'x'),
                                 std::string("with space 0123456789"), std::string("tab\t0123456789abcdef"),
                                 std::string("caf\xc3\xa9 0123456789abcdef")}) {
    const auto tokens = TokenSet::FromBareToken(bad);
    EXPECT_EQ(tokens.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(bad.empty() || Message(tokens.status()).find(bad) == std::string::npos) << bad;
  }
  EXPECT_TRUE(TokenSet::FromBareToken(std::string(16, 'x')).ok());
  EXPECT_TRUE(TokenSet::FromBareToken(std::string(4096, 'x')).ok());
}

TEST(TokensFileTest, EachTokenHasItsNameAndRole) {
  const auto tokens =
      TokenSet::FromFileText("# who may call\n\nreader read " + DigestColumn(kTokenA) +
                             "  # a digest\r\n  writer\twrite " + kTokenB + "\nboss admin " + DigestColumn(kTokenC));
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(tokens->size(), 3u);
  EXPECT_EQ(tokens->Check(kTokenA)->name, "reader");
  EXPECT_EQ(tokens->Check(kTokenA)->role, Role::kRead);
  EXPECT_EQ(tokens->Check(kTokenB)->name, "writer");
  EXPECT_EQ(tokens->Check(kTokenB)->role, Role::kWrite);
  EXPECT_EQ(tokens->Check(kTokenC)->role, Role::kAdmin);
  ExpectRefused(*tokens, "token-d-0123456789abcdef", "TOKEN_INVALID");
}

TEST(TokensFileTest, OneBadLineRefusesTheWholeFileAndIsNamed) {
  const std::string good = std::string("good read ") + kTokenA + "\n";
  const std::string hex(64, 'a');
  for (const std::string& bad :
       {std::string("alone"), std::string("two columns"), std::string("name owner ") + kTokenB,
        std::string("name read short"), "name read sha256:" + hex + "a", "name read sha256:" + hex.substr(1),
        "name read sha256:g" + hex.substr(1), "name read sha256:" + hex + " extra",
        std::string(129, 'n') + " read " + kTokenB, std::string("again write ") + DigestColumn(kTokenA)}) {
    const auto tokens = TokenSet::FromFileText(good + bad + "\n");
    EXPECT_EQ(tokens.status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(Message(tokens.status()), HasSubstr("line 2: ")) << bad;
  }
}

TEST(TokensFileTest, AFileWithoutTokensIsRefused) {
  for (const char* text : {"", "\n\n", "# nothing yet\n"}) {
    EXPECT_EQ(TokenSet::FromFileText(text).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(TokenFromAuthorizationTest, AllSpellings) {
  const auto basic = [](const std::string& text) { return "Basic " + absl::Base64Escape(text); };
  EXPECT_EQ(TokenFromAuthorization("Bearer T0"), "T0");
  EXPECT_EQ(TokenFromAuthorization("bEARER   T0  "), "T0");
  EXPECT_EQ(TokenFromAuthorization("T0"), "T0");
  EXPECT_EQ(TokenFromAuthorization(basic("user:T0")), "T0");
  EXPECT_EQ(TokenFromAuthorization(basic(":T0:x")), "T0:x");
  EXPECT_EQ(TokenFromAuthorization("bAsIc dXNlcjpUMA"), "T0") << "padding may be left out";
}

TEST(TokenFromAuthorizationTest, NothingThatIsNoTokenOfOurs) {
  for (const std::string& value : {std::string(), std::string("  "), std::string("Bearer"), std::string("Basic"),
                                   std::string("Bearer "), std::string("Digest T0"), std::string("Basic !!!!"),
                                   "Basic " + absl::Base64Escape("no colon"), std::string(9000, 'x')}) {
    EXPECT_EQ(TokenFromAuthorization(value), "") << value.substr(0, 40);
  }
}

TEST(AllowAllTest, EveryCallerIsAdmin) {
  EXPECT_TRUE(TokenSet::AllowAll().allows_all());
  EXPECT_EQ(TokenSet::AllowAll().Check("")->role, Role::kAdmin);
}

class TokenSourcesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "tokens_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Put(const std::string& text) {
    const std::string path = (folder_ / "tokens").string();
    std::ofstream(path) << text;
    return path;
  }

  std::filesystem::path folder_;
};

TEST_F(TokenSourcesTest, NothingConfiguredSaysTheWayOut) {
  const auto tokens = LoadTokens({});
  EXPECT_EQ(tokens.status().code(), absl::StatusCode::kFailedPrecondition);
  for (const char* way : {"CHROMA_SERVER_AUTHN_CREDENTIALS", "--tokens-file", "--insecure-no-auth"}) {
    EXPECT_THAT(Message(tokens.status()), HasSubstr(way));
  }
}

TEST_F(TokenSourcesTest, TheFileWinsOverTheBareToken) {
  const auto tokens = LoadTokens({kTokenA, Put(std::string("n read ") + kTokenB + "\n"), false});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_TRUE(tokens->Check(kTokenB).ok());
  ExpectRefused(*tokens, kTokenA, "TOKEN_INVALID");
}

TEST_F(TokenSourcesTest, AnUnreadableFileIsNamed) {
  const std::string path = (folder_ / "missing").string();
  const auto tokens = LoadTokens({kTokenA, path, false});
  EXPECT_EQ(tokens.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(tokens.status()), HasSubstr(path));
  EXPECT_EQ(LoadTokens({"", folder_.string(), false}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadTokens({"", Put(std::string((1 << 20) + 1, '#')), false}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(TokenSourcesTest, ReloadTakesANewFileAndKeepsTheLastGoodOne) {
  const TokenSources sources{"", Put(std::string("n read ") + kTokenA + "\n"), false};
  LiveTokens live(sources, *LoadTokens(sources));
  EXPECT_TRUE(live.Check(kTokenA).ok());

  Put(std::string("n write ") + kTokenB + "\n");
  EXPECT_FALSE(live.Check(kTokenB).ok()) << "not before Reload()";
  ASSERT_TRUE(live.Reload().ok());
  EXPECT_EQ(live.Check(kTokenB)->role, Role::kWrite);
  EXPECT_FALSE(live.Check(kTokenA).ok());

  Put("half a line\n");
  EXPECT_THAT(Message(live.Reload()), HasSubstr("line 1"));
  EXPECT_TRUE(live.Check(kTokenB).ok());
}

TEST_F(TokenSourcesTest, ReloadOfABareTokenKeepsIt) {
  const TokenSources sources{kTokenA, "", false};
  LiveTokens live(sources, *LoadTokens(sources));
  EXPECT_TRUE(live.Reload().ok());
  EXPECT_TRUE(live.Check(kTokenA).ok());
}

TEST(MakeTokenTest, Has256BitsAndIsAccepted) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string token = MakeToken();
    EXPECT_EQ(token.size(), 43u);
    EXPECT_EQ(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
              std::string::npos);
    EXPECT_TRUE(TokenSet::FromBareToken(token)->Check(token).ok());
    seen.insert(token);
  }
  EXPECT_EQ(seen.size(), 100u);
}

}  // namespace
}  // namespace omics
