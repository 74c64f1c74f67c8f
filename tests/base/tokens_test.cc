#include "base/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>

#include "absl/strings/escaping.h"
#include "base/digest.h"
#include "base/status.h"
#include "tests/support/temp_dir.h"

namespace omics {
namespace {

using testing::ElementsAre;
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

Scope ScopeOf(const std::string& columns) {
  const auto tokens = TokenSet::FromFileText(std::string("bound read ") + kTokenA + columns);
  EXPECT_TRUE(tokens.ok()) << columns << ": " << tokens.status();
  return tokens.ok() ? tokens->Check(kTokenA)->scope : Scope();
}

TEST(TokenScopeTest, ALineWithoutItIsNotBound) {
  EXPECT_TRUE(ScopeOf("").unbound());
  EXPECT_TRUE(ScopeOf("  # tenant=lab").unbound());
  EXPECT_TRUE(TokenSet::FromBareToken(kTokenA)->Check(kTokenA)->scope.unbound());
  EXPECT_TRUE(TokenSet::AllowAll().Check("")->scope.unbound());
}

TEST(TokenScopeTest, ColumnsStandInAnyOrderAndHoldLists) {
  const Scope scope =
      ScopeOf("\tcollections=cells_*,tissues  tenant=lab,my%20lab%2C%23%25%2a database=default_database # x");
  EXPECT_THAT(scope.tenants, ElementsAre("lab", "my lab,#%*"));
  EXPECT_THAT(scope.databases, ElementsAre("default_database"));
  EXPECT_THAT(scope.collections, ElementsAre("cells_*", "tissues"));
  EXPECT_FALSE(scope.unbound());
  EXPECT_THAT(ScopeOf(" tenant=b\xc3\xbcro=1").tenants, ElementsAre("b\xc3\xbcro=1"));
}

TEST(TokenScopeTest, HostileLinesAreRefused) {
  const auto many = [](int count) {
    std::string list = "0";
    for (int i = 1; i < count; ++i) list += "," + std::to_string(i);
    return list;
  };
  for (const std::string& bad : {std::string("tenant"),
                                 std::string("tenant="),
                                 std::string("=lab"),
                                 std::string("="),
                                 std::string("tenants=lab"),
                                 std::string("Tenant=lab"),
                                 std::string("collection=a"),
                                 std::string("tenant=a tenant=b"),
                                 std::string("collections=a database=b collections=c"),
                                 std::string("tenant=,a"),
                                 std::string("tenant=a,"),
                                 std::string("tenant=a,,b"),
                                 std::string("tenant=a,a"),
                                 std::string("tenant=a,%61"),
                                 std::string("tenant=*"),
                                 std::string("tenant=lab*"),
                                 std::string("database=*"),
                                 std::string("tenant=%"),
                                 std::string("tenant=a%2"),
                                 std::string("tenant=%zz"),
                                 std::string("tenant=a%00b"),
                                 std::string("tenant=a%0Ab"),
                                 std::string("database=%7f"),
                                 std::string("tenant=a\x01"),
                                 std::string("collections="),
                                 std::string("collections=a%2A"),
                                 std::string("collections=a?"),
                                 std::string("collections=[a]"),
                                 std::string("collections=a/b"),
                                 std::string("collections=b\xc3\xbcro"),
                                 std::string("role=admin"),
                                 std::string("admin"),
                                 "tenant=" + std::string(513, 'x'),
                                 "collections=" + std::string(513, '*'),
                                 "tenant=" + many(101),
                                 "collections=" + many(101)}) {
    const auto tokens =
        TokenSet::FromFileText(std::string("good read ") + kTokenB + "\nbound admin " + kTokenA + " " + bad);
    EXPECT_EQ(tokens.status().code(), absl::StatusCode::kInvalidArgument) << bad.substr(0, 60);
    EXPECT_THAT(Message(tokens.status()), HasSubstr("line 2: ")) << bad.substr(0, 60);
  }
  EXPECT_EQ(ScopeOf(" tenant=" + std::string(512, 'x') + " collections=" + many(100)).collections.size(), 100u);
}

TEST(TokenScopeTest, AllThreeMustCover) {
  const Scope scope = ScopeOf(" tenant=lab,clinic database=cells collections=a*,exact");
  EXPECT_TRUE(scope.CoversTenant("lab"));
  EXPECT_TRUE(scope.CoversTenant("clinic"));
  for (const char* other : {"", "Lab", "la", "labs", "lab,clinic", "*"})
    EXPECT_FALSE(scope.CoversTenant(other)) << other;
  EXPECT_TRUE(scope.CoversDatabase("lab", "cells"));
  EXPECT_FALSE(scope.CoversDatabase("lab", "cell"));
  EXPECT_FALSE(scope.CoversDatabase("other", "cells"));
  EXPECT_TRUE(scope.CoversCollection("clinic", "cells", "abc"));
  EXPECT_TRUE(scope.CoversCollection("clinic", "cells", "exact"));
  EXPECT_FALSE(scope.CoversCollection("clinic", "cells", "exactly"));
  EXPECT_FALSE(scope.CoversCollection("clinic", "other", "abc"));
  EXPECT_FALSE(scope.CoversCollection("other", "cells", "abc"));
}

TEST(TokenScopeTest, OnlyATokenWithoutCollectionsHasTheWholeDatabase) {
  EXPECT_TRUE(Scope().CoversWholeDatabase("lab", "cells"));
  EXPECT_TRUE(ScopeOf(" tenant=lab").CoversWholeDatabase("lab", "cells"));
  EXPECT_TRUE(ScopeOf(" database=cells").CoversWholeDatabase("lab", "cells"));
  EXPECT_FALSE(ScopeOf(" tenant=lab").CoversWholeDatabase("other", "cells"));
  EXPECT_FALSE(ScopeOf(" tenant=lab database=cells collections=*").CoversWholeDatabase("lab", "cells"));
}

// The same question, answered by trying every length that a star can stand for.
bool Matches(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern[0] != '*') return !name.empty() && name[0] == pattern[0] && Matches(pattern.substr(1), name.substr(1));
  for (std::size_t i = 0; i <= name.size(); ++i) {
    if (Matches(pattern.substr(1), name.substr(i))) return true;
  }
  return false;
}

TEST(TokenScopeTest, PatternsMatchLikeTheSimpleModel) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto text = [&random](const std::string& letters, std::size_t size) {
    std::string made;
    while (made.size() < size) made += letters[random() % letters.size()];
    return made;
  };
  int matched = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string pattern = text("ab**", 1 + random() % 7);
    const std::string name = text("ab", random() % 9);
    const bool expected = Matches(pattern, name);
    matched += expected;
    EXPECT_EQ((Scope{{}, {}, {"zzz", pattern}}.CoversCollectionName(name)), expected) << pattern << " " << name;
  }
  EXPECT_GT(matched, 1000);
}

TEST(TokenScopeTest, APatternMadeToBeSlowIsNot) {
  std::string pattern;
  for (int i = 0; i < 255; ++i) pattern += "*a";
  const Scope scope{{}, {}, {pattern + "b"}};
  EXPECT_FALSE(scope.CoversCollectionName(std::string(512, 'a')));
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
                                   "Basic " + absl::Base64Escape("no colon"), std::string(12289, 'x')}) {
    EXPECT_EQ(TokenFromAuthorization(value), "") << value.substr(0, 40);
  }
  const std::string longest(8192, 'x');
  EXPECT_EQ(TokenFromAuthorization("Bearer " + longest), longest);
  EXPECT_EQ(TokenFromAuthorization("Basic " + absl::Base64Escape("user:" + longest)), longest);
}

TEST(AllowAllTest, EveryCallerIsAdmin) {
  EXPECT_TRUE(TokenSet::AllowAll().allows_all());
  EXPECT_EQ(TokenSet::AllowAll().Check("")->role, Role::kAdmin);
}

class TokenSourcesTest : public testing::Test {
 protected:
  std::string Put(const std::string& text) {
    const std::string path = folder_ / "tokens";
    std::ofstream(path) << text;
    return path;
  }

  const TempDir folder_;
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
  const std::string path = folder_ / "missing";
  const auto tokens = LoadTokens({kTokenA, path, false});
  EXPECT_EQ(tokens.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(tokens.status()), HasSubstr(path));
  EXPECT_EQ(LoadTokens({"", folder_.path().string(), false}).status().code(), absl::StatusCode::kInvalidArgument);
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

TEST(TokenSetTest, AMergedSetAcceptsBothAndTheFirstDecidesTheRole) {
  const auto first = TokenSet::FromFileText(std::string("a read ") + kTokenA + "\n");
  const auto second = TokenSet::FromFileText(std::string("b admin ") + kTokenA + "\nc write " + kTokenB + "\n");
  const TokenSet both = TokenSet::Merge(*first, *second);
  EXPECT_EQ(both.size(), 2u);
  EXPECT_EQ(both.Check(kTokenA)->role, Role::kRead);
  EXPECT_EQ(both.Check(kTokenB)->role, Role::kWrite);
  ExpectRefused(both, kTokenC, "TOKEN_INVALID");
  ExpectRefused(TokenSet::Merge(TokenSet(), TokenSet()), kTokenA, "TOKEN_INVALID");
}

}  // namespace
}  // namespace omics
