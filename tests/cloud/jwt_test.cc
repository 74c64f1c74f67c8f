#include "cloud/jwt.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status.h"
#include "cloud/base64url.h"
#include "tests/cloud/jwt_testing.h"
#include "tests/support/status_matchers.h"

namespace omics::cloud {
namespace {

using std::chrono::seconds;
using testing::EncodeBase64Url;
using testing::HmacSha256;
using testing::KeySet;
using testing::SigningKey;
using testing::Unsigned;

constexpr char kIssuer[] = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEfGhI";
const std::chrono::system_clock::time_point kNow{seconds(1'800'000'000)};

// Made once: a key takes a tenth of a second.
const SigningKey& Ours() {
  static const SigningKey key("ours");
  return key;
}
const SigningKey& Another() {
  static const SigningKey key("another");
  return key;
}

JwtPolicy Policy() {
  JwtPolicy policy;
  policy.issuer = kIssuer;
  policy.audiences = {"app", "console"};
  policy.token_uses = {"access"};
  policy.role_claim = "cognito:groups";
  policy.roles = {{"admins", Role::kAdmin}, {"curators", Role::kWrite}, {"*", Role::kRead}};
  policy.tenant = "default_tenant";
  return policy;
}

JwkSet Keys() { return JwkSet::Parse(KeySet({Ours().Jwk(), Another().Jwk()})).value(); }

// The claims of a good token as JSON members, some replaced or, with "", left out.
std::string Claims(const std::map<std::string, std::string>& changes = {}) {
  std::map<std::string, std::string> members = {{"sub", "\"ann\""},       {"iss", absl::StrCat("\"", kIssuer, "\"")},
                                                {"client_id", "\"app\""}, {"token_use", "\"access\""},
                                                {"iat", "1799999000"},    {"exp", "1800000600"}};
  for (const auto& [name, value] : changes) members[name] = value;
  std::string text = "{";
  for (const auto& [name, value] : members) {
    if (!value.empty()) absl::StrAppend(&text, text.size() > 1 ? "," : "", "\"", name, "\":", value);
  }
  return absl::StrCat(text, "}");
}

using Result = std::variant<VerifiedJwt, JwtRefusal>;

Result Verify(const std::string& token, const JwtPolicy& policy = Policy()) {
  return VerifyJwt(token, Keys(), policy, kNow);
}

// "" for an accepted token, else the name of what is wrong.
std::string Fault(const Result& result) {
  const auto* const refusal = std::get_if<JwtRefusal>(&result);
  return refusal == nullptr ? "" : std::string(JwtFaultName(refusal->fault));
}

std::string FaultOf(const std::map<std::string, std::string>& changes, const JwtPolicy& policy = Policy()) {
  return Fault(Verify(Ours().Token(Claims(changes)), policy));
}

Principal PrincipalOf(const std::map<std::string, std::string>& changes, const JwtPolicy& policy = Policy()) {
  return std::get<VerifiedJwt>(Verify(Ours().Token(Claims(changes)), policy)).principal;
}

TEST(JwtTest, AGoodTokenStandsForItsUserUntilItExpires) {
  const Result result = Verify(Ours().Token(Claims()));
  ASSERT_EQ(Fault(result), "");
  const auto& verified = std::get<VerifiedJwt>(result);
  EXPECT_EQ(verified.principal.name, "ann");
  EXPECT_EQ(verified.principal.role, Role::kRead);
  EXPECT_EQ(verified.principal.scope.tenants, std::vector<std::string>{"default_tenant"});
  EXPECT_EQ(verified.expires, kNow + seconds(600 + 60));
}

std::string Tampered(const std::string& token, std::size_t part, std::size_t at) {
  std::string changed = token;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < part; ++i) begin = changed.find('.', begin) + 1;
  char& c = changed[begin + at];
  c = c == 'A' ? 'B' : 'A';
  return changed;
}

struct Attack {
  const char* what;
  std::string token;
  const char* fault;
};

std::vector<Attack> AttacksOnTheSignature() {
  const std::string good = Ours().Token(Claims());
  const std::string unsigned_text = good.substr(0, good.rfind('.'));
  const std::string signature = good.substr(good.rfind('.') + 1);
  const std::string admin = EncodeBase64Url(Claims({{"cognito:groups", R"(["admins"])"}}));
  const std::string header = good.substr(0, good.find('.'));
  const std::string of_another = EncodeBase64Url(Another().Sign(unsigned_text));
  return {
      {"no signature", absl::StrCat(unsigned_text, "."), "signature"},
      {"claims changed", absl::StrCat(header, ".", admin, ".", signature), "signature"},
      {"one character of the claims changed", Tampered(good, 1, 20), "signature"},
      {"one character of the signature changed", Tampered(good, 2, 20), "signature"},
      {"signed by another of our keys", absl::StrCat(unsigned_text, ".", of_another), "signature"},
      {"signature cut", absl::StrCat(unsigned_text, ".", EncodeBase64Url(Ours().Sign(unsigned_text).substr(0, 255))),
       "signature"},
      {"signature cut to what no base64url is", good.substr(0, good.size() - 1), "malformed"},
      {"signature longer", absl::StrCat(good, "AAAA"), "signature"},
      {"signature padded", absl::StrCat(good, "=="), "malformed"},
      {"signature of zeros", absl::StrCat(unsigned_text, ".", EncodeBase64Url(std::string(256, '\0'))), "signature"},
      {"PSS under the name of RS256", absl::StrCat(unsigned_text, ".", EncodeBase64Url(Ours().SignPss(unsigned_text))),
       "signature"},
  };
}

// Signed as its header asks for, by who knows no private key.
std::string Hs256(std::string_view secret) {
  const std::string text = Unsigned(R"({"alg":"HS256","kid":"ours"})", Claims());
  return absl::StrCat(text, ".", EncodeBase64Url(HmacSha256(secret, text)));
}

std::vector<Attack> AttacksOnTheHeader() {
  const auto with = [](const char* header) { return Ours().Token(header, Claims()); };
  const std::string own = SigningKey("ours").Token(Claims());
  return {
      {"alg none", absl::StrCat(Unsigned(R"({"alg":"none","kid":"ours"})", Claims()), "."), "algorithm"},
      {"alg None, signed", with(R"({"alg":"None","kid":"ours"})"), "algorithm"},
      {"HS256 with the public key's PEM", Hs256(Ours().Pem()), "algorithm"},
      {"HS256 with the key set's text", Hs256(Ours().Jwk()), "algorithm"},
      {"HS256 in the name, RS256 in fact", with(R"({"alg":"HS256","kid":"ours"})"), "algorithm"},
      {"RS512 in the name", with(R"({"alg":"RS512","kid":"ours"})"), "algorithm"},
      {"PS256 in the name", with(R"({"alg":"PS256","kid":"ours"})"), "algorithm"},
      {"rs256", with(R"({"alg":"rs256","kid":"ours"})"), "algorithm"},
      {"RS256 and a NUL", with(R"({"alg":"RS256\u0000","kid":"ours"})"), "algorithm"},
      {"alg is a list", with(R"({"alg":["RS256"],"kid":"ours"})"), "malformed"},
      {"no alg", with(R"({"kid":"ours"})"), "malformed"},
      {"no kid", with(R"({"alg":"RS256"})"), "malformed"},
      {"kid is a number", with(R"({"alg":"RS256","kid":1})"), "malformed"},
      {"alg twice", with(R"({"alg":"none","alg":"RS256","kid":"ours"})"), "malformed"},
      {"kid twice, once escaped", with(R"({"alg":"RS256","kid":"another","\u006bid":"ours"})"), "malformed"},
      {"unknown kid", with(R"({"alg":"RS256","kid":"else"})"), "unknown_key"},
      {"kid of another key", with(R"({"alg":"RS256","kid":"another"})"), "signature"},
      {"kid as a path", with(R"({"alg":"RS256","kid":"../../dev/null"})"), "unknown_key"},
      {"an own key under our kid", own, "signature"},
      {"extension", with(R"({"alg":"RS256","kid":"ours","crit":["b64"],"b64":false})"), "algorithm"},
      {"an extension that must be understood", with(R"({"alg":"RS256","kid":"ours","crit":["exp"]})"), "algorithm"},
      {"b64", with(R"({"alg":"RS256","kid":"ours","b64":false})"), "algorithm"},
      {"header is a list", with(R"(["RS256"])"), "malformed"},
  };
}

// Each brings a key, or says where one is, that is not among ours.
std::vector<Attack> AttacksWithAnOwnKey() {
  const SigningKey mallory("mallory");
  const auto with = [&mallory](const std::string& more) {
    return mallory.Token(absl::StrCat(R"({"alg":"RS256","kid":"ours",)", more, "}"), Claims());
  };
  return {
      {"jwk", with(absl::StrCat(R"("jwk":)", mallory.Jwk())), "signature"},
      {"jku", with(R"("jku":"http://127.0.0.1:1/keys.json")"), "signature"},
      {"x5u", with(R"("x5u":"http://127.0.0.1:1/cert.pem")"), "signature"},
      {"x5c", with(R"("x5c":["MIIB"])"), "signature"},
  };
}

std::vector<Attack> AttacksOnTheForm() {
  const std::string good = Ours().Token(Claims());
  const std::string padding(kJwtBytesMax, 'x');
  const std::string twice = absl::StrCat(R"({"exp":1,)", Claims().substr(1, Claims().size() - 2), R"(,"deep":{}})");
  const std::string deep_twice = Claims({{"deep", R"({"a":1,"a":2})"}});
  const std::string claims = Claims();
  std::vector<Attack> attacks = {
      {"empty", "", "malformed"},
      {"one part", good.substr(0, good.find('.')), "malformed"},
      {"two parts", good.substr(0, good.rfind('.')), "malformed"},
      {"four parts", absl::StrCat(good, ".AAAA"), "malformed"},
      {"huge", Ours().Token(Claims({{"sub", absl::StrCat("\"", padding, "\"")}})), "malformed"},
      {"a claim twice", Ours().Token(twice), "malformed"},
      {"a member twice further down", Ours().Token(deep_twice), "malformed"},
      {"claims are a list", Ours().Token("[1]"), "malformed"},
      {"claims are no JSON", Ours().Token("{\"exp\":"), "malformed"},
      {"claims are not UTF-8", Ours().Token("{\"sub\":\"\xff\"}"), "malformed"},
      {"claims 1,000 deep", Ours().Token(absl::StrCat(R"({"a":)", std::string(1000, '['), std::string(1000, ']'), "}")),
       "malformed"},
      {"a line break within", absl::StrCat(good.substr(0, 10), "\n", good.substr(10)), "malformed"},
      {"base64 in the place of base64url", absl::StrCat("eyJ+", good.substr(4)), "malformed"},
  };
  return attacks;
}

TEST(JwtTest, NoAttackOnSignatureHeaderOrFormComesThrough) {
  ASSERT_EQ(Fault(Verify(Ours().Token(Claims()))), "");
  for (const auto& attacks :
       {AttacksOnTheSignature(), AttacksOnTheHeader(), AttacksWithAnOwnKey(), AttacksOnTheForm()}) {
    for (const Attack& attack : attacks) EXPECT_EQ(Fault(Verify(attack.token)), attack.fault) << attack.what;
  }
}

TEST(JwtTest, EveryPrefixAndEveryChangedCharacterIsRefused) {
  const std::string good = Ours().Token(Claims());
  const JwkSet keys = Keys();
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_NE(Fault(VerifyJwt(good.substr(0, size), keys, Policy(), kNow)), "") << size;
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string changed = good;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_NE(Fault(VerifyJwt(changed, keys, Policy(), kNow)), "") << i;
  }
}

TEST(JwtTest, HeadersMayHaveWhatIsOfNoConsequence) {
  for (const char* const header :
       {R"({"alg":"RS256","kid":"ours","typ":"JWT"})", R"({"kid":"ours","alg":"RS256","typ":"at+jwt"})",
        R"({"kid":"ours","alg":"RS256","x":{"y":[1]}})"}) {
    EXPECT_EQ(Fault(Verify(Ours().Token(header, Claims()))), "") << header;
  }
}

TEST(JwtTest, OnlyTheIssuerCountsToTheLetter) {
  EXPECT_EQ(FaultOf({{"iss", ""}}), "issuer");
  EXPECT_EQ(FaultOf({{"iss", absl::StrCat("\"", kIssuer, "/\"")}}), "issuer");
  EXPECT_EQ(FaultOf({{"iss", absl::StrCat("\"", kIssuer, R"(\u0000")")}}), "issuer");
  EXPECT_EQ(FaultOf({{"iss", absl::StrCat("[\"", kIssuer, "\"]")}}), "issuer");
  EXPECT_EQ(FaultOf({{"iss", R"("https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Other")"}}), "issuer");
}

TEST(JwtTest, TheAudienceIsAudAndWithoutItTheClientId) {
  EXPECT_EQ(FaultOf({{"client_id", R"("console")"}}), "");
  EXPECT_EQ(FaultOf({{"client_id", R"("other")"}}), "audience");
  EXPECT_EQ(FaultOf({{"client_id", ""}}), "audience");
  EXPECT_EQ(FaultOf({{"client_id", ""}, {"aud", R"("app")"}}), "");
  EXPECT_EQ(FaultOf({{"client_id", ""}, {"aud", R"(["other","app"])"}}), "");
  for (const char* const aud :
       {R"("other")", R"(["other"])", "[]", R"("")", "null", "true", R"({"app":1})", R"(["app",1])", R"("ap")"}) {
    EXPECT_EQ(FaultOf({{"aud", aud}}), "audience") << aud << " beside a good client_id";
  }
}

TEST(JwtTest, TokensForAnotherUseAreRefused) {
  EXPECT_EQ(FaultOf({{"token_use", R"("id")"}}), "token_use");
  EXPECT_EQ(FaultOf({{"token_use", ""}}), "token_use");
  EXPECT_EQ(FaultOf({{"token_use", "true"}}), "token_use");
  JwtPolicy both = Policy();
  both.token_uses = {"access", "id"};
  EXPECT_EQ(FaultOf({{"token_use", R"("id")"}}, both), "");
  JwtPolicy any = Policy();
  any.token_uses = {};
  EXPECT_EQ(FaultOf({{"token_use", ""}}, any), "");
}

TEST(JwtTest, TimesCountWithTheirLeewayAndNotASecondMore) {
  EXPECT_EQ(FaultOf({{"exp", "1799999941"}}), "");
  EXPECT_EQ(FaultOf({{"exp", "1799999940"}}), "expired");
  EXPECT_EQ(FaultOf({{"exp", "0"}}), "expired");
  for (const char* const name : {"nbf", "iat"}) {
    EXPECT_EQ(FaultOf({{name, "1800000060"}}), "") << name;
    EXPECT_EQ(FaultOf({{name, "1800000061"}}), "not_yet") << name;
    EXPECT_EQ(FaultOf({{name, "\"1800000000\""}}), "malformed") << name;
    EXPECT_EQ(FaultOf({{name, ""}}), "") << name;
  }
  for (const char* const exp : {"", "\"1800000600\"", "null", "-1", "1e300", "253402300800", "[1800000600]"}) {
    EXPECT_EQ(FaultOf({{"exp", exp}}), "malformed") << exp;
  }
  EXPECT_EQ(FaultOf({{"exp", "1800000600.75"}}), "");
  JwtPolicy strict = Policy();
  strict.leeway = seconds(0);
  EXPECT_EQ(FaultOf({{"exp", "1800000001"}}, strict), "");
  EXPECT_EQ(FaultOf({{"exp", "1800000000"}}, strict), "expired");
}

TEST(JwtTest, TheHighestRoleOfTheClaimCounts) {
  EXPECT_EQ(PrincipalOf({{"cognito:groups", R"(["curators"])"}}).role, Role::kWrite);
  EXPECT_EQ(PrincipalOf({{"cognito:groups", R"(["x","curators","admins"])"}}).role, Role::kAdmin);
  EXPECT_EQ(PrincipalOf({{"cognito:groups", R"("admins")"}}).role, Role::kAdmin);
  EXPECT_EQ(PrincipalOf({{"cognito:groups", R"(["Admins","admins ","*","admins,curators"])"}}).role, Role::kRead);
  EXPECT_EQ(PrincipalOf({{"groups", R"(["admins"])"}}).role, Role::kRead);
  JwtPolicy few = Policy();
  few.roles = {{"admins", Role::kAdmin}};
  EXPECT_EQ(FaultOf({}, few), "role");
  EXPECT_EQ(FaultOf({{"cognito:groups", R"(["curators"])"}}, few), "role");
  EXPECT_EQ(FaultOf({{"cognito:groups", R"(["admins",{}])"}}, few), "role");
  EXPECT_EQ(FaultOf({{"cognito:groups", R"(["admins"])"}}, few), "");
}

TEST(JwtTest, TheTenantIsTheClaimOrTheFixedOne) {
  JwtPolicy claim = Policy();
  claim.tenant_claim = "custom:tenant";
  claim.tenant = "";
  EXPECT_EQ(PrincipalOf({{"custom:tenant", R"("lab")"}}, claim).scope.tenants, std::vector<std::string>{"lab"});
  const std::string long_name = absl::StrCat("\"", std::string(513, 'x'), "\"");
  for (const std::string tenant : {"", R"("")", "1", R"(["lab"])", R"("a\nb")", R"("lab\u0000")", long_name.c_str()}) {
    EXPECT_EQ(FaultOf({{"custom:tenant", tenant}}, claim), "tenant") << tenant;
  }
  EXPECT_EQ(PrincipalOf({{"custom:tenant", R"("*")"}}, claim).scope.tenants, std::vector<std::string>{"*"})
      << "a name like any other, which binds";
  JwtPolicy everywhere = Policy();
  everywhere.tenant = "*";
  EXPECT_TRUE(PrincipalOf({}, everywhere).scope.unbound());
}

TEST(JwtTest, ANameThatIsNoneIsLeftOut) {
  EXPECT_EQ(PrincipalOf({{"sub", ""}}).name, "");
  EXPECT_EQ(PrincipalOf({{"sub", R"("a\nb")"}}).name, "");
  EXPECT_EQ(PrincipalOf({{"sub", "1"}}).name, "");
}

TEST(JwtTest, TheCallerLearnsOnlyWhatHelps) {
  JwtPolicy policy = Policy();
  policy.tenant_claim = "custom:tenant";
  std::map<std::string, int> messages;
  for (int fault = 0; fault < kJwtFaults; ++fault) {
    const absl::Status status = RefusalStatus(static_cast<JwtFault>(fault), policy);
    const bool known = fault >= static_cast<int>(JwtFault::kRole);
    EXPECT_EQ(status.code(), known ? absl::StatusCode::kPermissionDenied : absl::StatusCode::kUnauthenticated);
    EXPECT_EQ(Reason(status) == "TOKEN_INVALID", !known);
    ++messages[std::string(ToStd(status.message()))];
  }
  EXPECT_EQ(messages["the token cannot be verified"], 4);
  EXPECT_EQ(messages["the token is not for this service"], 3);
  EXPECT_EQ(messages.size(), 6u);
  EXPECT_THAT(RefusalStatus(JwtFault::kRole, policy), HasCode(absl::StatusCode::kPermissionDenied, "cognito:groups"));
  EXPECT_EQ(Reason(RefusalStatus(JwtFault::kRole, policy)), "ROLE_TOO_LOW");
  EXPECT_THAT(RefusalStatus(JwtFault::kTenant, policy), HasCode(absl::StatusCode::kPermissionDenied, "custom:tenant"));
  EXPECT_EQ(Reason(RefusalStatus(JwtFault::kTenant, policy)), "NOT_IN_SCOPE");
}

TEST(JwtTest, TheLogSeesOneShortLineAndNoToken) {
  const std::string token = Ours().Token(Claims({{"iss", absl::StrCat("\"a\\nb", std::string(500, 'x'), "\"")}}));
  const auto refusal = std::get<JwtRefusal>(Verify(token));
  EXPECT_EQ(refusal.why.substr(0, 25), "its claim iss is \"a\\nbxxx");
  EXPECT_LT(refusal.why.size(), 120u);
  const auto unknown = std::get<JwtRefusal>(Verify(Ours().Token(R"({"alg":"RS256","kid":"x\ny"})", Claims())));
  EXPECT_EQ(unknown.why, "there is no key \"x\\ny\"");
}

TEST(JwkSetTest, OnlyKeysForSignaturesByRs256AreKept) {
  const SigningKey small("small", 1024);
  const SigningKey third("third", 2048, 3);
  const std::string elliptic = absl::StrReplaceAll(Ours().Jwk(), {{"\"RSA\"", "\"EC\""}});
  const auto with = [](const char* more) { return Ours().Jwk(more); };
  EXPECT_EQ(JwkSet::Parse(KeySet({with(R"(,"use":"sig")")}))->size(), 1u);
  for (const std::string& key : {with(""), with(R"(,"use":"enc")"), with(R"(,"use":"sig","alg":"RS512")"),
                                 with(R"(,"use":"sig","alg":"HS256")"), with(R"(,"use":"sig","alg":null)"), small.Jwk(),
                                 third.Jwk(), elliptic, std::string(R"({"kty":"EC","kid":"ours","use":"sig"})"),
                                 std::string(R"({"kty":"oct","kid":"ours","use":"sig","k":"AAAA"})"),
                                 std::string(R"({"kty":"RSA","kid":"ours","use":"sig","n":"!!","e":"AQAB"})"),
                                 std::string(R"({"kty":"RSA","kid":"ours","use":"sig","e":"AQAB"})")}) {
    EXPECT_THAT(JwkSet::Parse(KeySet({key})), HasCode(absl::StatusCode::kInvalidArgument, "none of its 1 keys")) << key;
    const auto beside = JwkSet::Parse(KeySet({key, Another().Jwk()}));
    ASSERT_TRUE(beside.ok()) << beside.status();
    EXPECT_EQ(beside->size(), 1u);
    EXPECT_FALSE(beside->Contains("ours"));
  }
}

TEST(JwkSetTest, ASetThatIsNoneIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("[]"), std::string(R"({"keys":{}})"),
        std::string(R"({"keys":[1]})"), KeySet({}), KeySet({Ours().Jwk(), Ours().Jwk()}), KeySet({Ours().Jwk()}) + "x",
        std::string("<html>no</html>"), absl::StrCat(R"({"keys":[],)", KeySet({Ours().Jwk()}).substr(1)),
        KeySet({Ours().Jwk(R"(,"use":"enc","use":"sig")")})}) {
    EXPECT_THAT(JwkSet::Parse(text), HasCode(absl::StatusCode::kInvalidArgument, "")) << text;
  }
  std::string many = R"({"keys":[)";
  for (int i = 0; i < 101; ++i) absl::StrAppend(&many, i == 0 ? "" : ",", R"({"kty":"EC"})");
  EXPECT_THAT(JwkSet::Parse(many + "]}"), HasCode(absl::StatusCode::kInvalidArgument, "more than 100"));
}

TEST(JwkSetTest, SetsAreTheSameIfTheirKeysAre) {
  const auto one = JwkSet::Parse(KeySet({Ours().Jwk(), Another().Jwk()}));
  EXPECT_TRUE(*one == *JwkSet::Parse(KeySet({Another().Jwk(), Ours().Jwk(R"(,"use":"sig")")})));
  EXPECT_FALSE(*one == *JwkSet::Parse(KeySet({Ours().Jwk()})));
  EXPECT_FALSE(*JwkSet::Parse(KeySet({Ours().Jwk()})) == *JwkSet::Parse(KeySet({SigningKey("ours").Jwk()})));
}

TEST(Base64UrlTest, EveryTextIsTheOnlySpellingOfItsBytes) {
  for (const std::string bytes : {"", "a", "ab", "abc", "abcd", "\xff\xfe\xfd"}) {
    EXPECT_EQ(DecodeBase64Url(EncodeBase64Url(bytes)), bytes);
  }
  for (const char* const bad : {"A", "AAAAA", "AB", "AAB", "AA==", "AA AA", "AA+A", "AA/A", "AA.A", "AA\n", "é"}) {
    EXPECT_EQ(DecodeBase64Url(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(DecodeBase64Url(std::string_view("AA\0A", 4)), std::nullopt);
}

}  // namespace
}  // namespace omics::cloud
