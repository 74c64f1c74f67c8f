#include "cloud/jwt.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/text.h"
#include "cloud/base64url.h"
#include "cloud/json.h"

namespace omics::cloud {
namespace {

// "{" and the quote that follows it.
constexpr std::string_view kPrefix = "eyJ";
// The end of the year 9999: beyond, a clock's arithmetic would overflow.
constexpr double kTimeMax = 253402300799;
// The longest name of a tenant.
constexpr std::size_t kTenantBytesMax = 512;
constexpr std::size_t kNameBytesMax = 128;
// Of a claim in a line of the log.
constexpr std::size_t kShownBytesMax = 80;

using Time = std::chrono::system_clock::time_point;
using Refused = std::optional<JwtRefusal>;

struct Parts {
  std::string_view header;
  std::string_view payload;
  std::string_view signature;
  std::string_view signed_text;  // header and payload with the dot between them
};

JwtRefusal Refuse(JwtFault fault, std::string why) { return {fault, std::move(why)}; }

std::string Shown(std::string_view text) {
  const bool cut = text.size() > kShownBytesMax;
  return absl::StrCat("\"", OneLine(text.substr(0, kShownBytesMax)), cut ? "…" : "", "\"");
}

bool Contains(const std::vector<std::string>& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

std::optional<Parts> Split(std::string_view token) {
  if (token.size() > kJwtBytesMax || !LooksLikeJwt(token)) return std::nullopt;
  const std::size_t first = token.find('.');
  const std::size_t second = token.find('.', first + 1);
  return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1),
               token.substr(0, second)};
}

std::optional<FlatJson> ReadPart(std::string_view part) {
  const auto text = DecodeBase64Url(part);
  if (!text) return std::nullopt;
  auto object = ReadFlatJson(*text);
  if (!object.ok()) return std::nullopt;
  return *std::move(object);
}

Refused CheckHeader(const FlatJson& header) {
  if (!header.texts.contains("alg")) return Refuse(JwtFault::kMalformed, "its header has no alg");
  if (header.Text("alg") != "RS256") {
    return Refuse(JwtFault::kAlgorithm, absl::StrCat("its alg is ", Shown(header.Text("alg")), ", not RS256"));
  }
  if (header.Has("crit") || header.Has("b64")) return Refuse(JwtFault::kAlgorithm, "its header asks for extensions");
  if (header.Text("kid").empty()) return Refuse(JwtFault::kMalformed, "its header has no kid");
  return std::nullopt;
}

Refused CheckSignature(const Parts& parts, const std::string& kid, const JwkSet& keys) {
  if (!keys.Contains(kid)) return Refuse(JwtFault::kUnknownKey, absl::StrCat("there is no key ", Shown(kid)));
  const auto signature = DecodeBase64Url(parts.signature);
  if (!signature) return Refuse(JwtFault::kMalformed, "its signature is not base64url");
  if (keys.Verifies(kid, parts.signed_text, *signature)) return std::nullopt;
  return Refuse(JwtFault::kSignature, absl::StrCat("its signature is not by the key ", Shown(kid)));
}

// Nothing if the claim is not there; a refusal if it is no time.
std::variant<std::optional<Time>, JwtRefusal> TimeClaim(const FlatJson& claims, const std::string& name) {
  if (!claims.Has(name)) return std::optional<Time>();
  const auto found = claims.numbers.find(name);
  if (found == claims.numbers.end() || !(found->second >= 0 && found->second <= kTimeMax)) {
    return Refuse(JwtFault::kMalformed, absl::StrCat("its claim ", name, " is no time"));
  }
  return std::optional<Time>(Time(std::chrono::seconds(static_cast<std::int64_t>(std::floor(found->second)))));
}

std::string Seconds(Time::duration time) {
  return absl::StrCat(std::chrono::duration_cast<std::chrono::seconds>(time).count(), " s");
}

// `expires` is set if all is well.
Refused CheckTimes(const FlatJson& claims, const JwtPolicy& policy, Time now, Time& expires) {
  for (const char* const name : {"nbf", "iat"}) {
    const auto time = TimeClaim(claims, name);
    if (const auto* refusal = std::get_if<JwtRefusal>(&time)) return *refusal;
    const auto begins = std::get<std::optional<Time>>(time);
    if (begins && now + policy.leeway < *begins) {
      return Refuse(JwtFault::kNotYet, absl::StrCat("its claim ", name, " lies ", Seconds(*begins - now), " ahead"));
    }
  }
  const auto time = TimeClaim(claims, "exp");
  if (const auto* refusal = std::get_if<JwtRefusal>(&time)) return *refusal;
  const auto ends = std::get<std::optional<Time>>(time);
  if (!ends) return Refuse(JwtFault::kMalformed, "it has no claim exp");
  expires = *ends + policy.leeway;
  if (now < expires) return std::nullopt;
  return Refuse(JwtFault::kExpired, absl::StrCat("it expired ", Seconds(now - *ends), " ago"));
}

// The texts of a claim that may be one or a list of them; none for any other kind.
std::vector<std::string> TextsOf(const FlatJson& claims, const std::string& name) {
  if (const auto one = claims.texts.find(name); one != claims.texts.end()) return {one->second};
  const auto list = claims.lists.find(name);
  return list == claims.lists.end() ? std::vector<std::string>() : list->second;
}

Refused CheckAudience(const FlatJson& claims, const JwtPolicy& policy) {
  const char* const name = claims.Has("aud") ? "aud" : "client_id";
  const std::vector<std::string> found = TextsOf(claims, name);
  const auto ours = [&policy](const std::string& text) { return Contains(policy.audiences, text); };
  if (std::any_of(found.begin(), found.end(), ours)) return std::nullopt;
  return Refuse(JwtFault::kAudience, absl::StrCat("its claim ", name, " is ", Shown(absl::StrJoin(found, " "))));
}

Refused CheckPurpose(const FlatJson& claims, const JwtPolicy& policy) {
  if (claims.Text("iss") != policy.issuer) {
    return Refuse(JwtFault::kIssuer, absl::StrCat("its claim iss is ", Shown(claims.Text("iss"))));
  }
  if (auto refused = CheckAudience(claims, policy)) return refused;
  if (policy.token_uses.empty() || Contains(policy.token_uses, claims.Text("token_use"))) return std::nullopt;
  return Refuse(JwtFault::kTokenUse, absl::StrCat("its claim token_use is ", Shown(claims.Text("token_use"))));
}

std::optional<Role> RoleOf(const FlatJson& claims, const JwtPolicy& policy) {
  const std::vector<std::string> values = TextsOf(claims, policy.role_claim);
  std::optional<Role> highest;
  for (const JwtRole& each : policy.roles) {
    const bool given = each.value == "*" || Contains(values, each.value);
    if (given && (!highest || each.role > *highest)) highest = each.role;
  }
  return highest;
}

bool IsName(std::string_view text, std::size_t bytes_max) {
  const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7f; };
  return !text.empty() && text.size() <= bytes_max && std::none_of(text.begin(), text.end(), is_control);
}

Refused ReadScope(const FlatJson& claims, const JwtPolicy& policy, Scope& scope) {
  if (policy.tenant_claim.empty()) {
    if (policy.tenant != "*") scope.tenants = {policy.tenant};
    return std::nullopt;
  }
  const std::string tenant = claims.Text(policy.tenant_claim);
  if (!IsName(tenant, kTenantBytesMax)) {
    return Refuse(JwtFault::kTenant, absl::StrCat("its claim ", policy.tenant_claim, " names no tenant"));
  }
  scope.tenants = {tenant};
  return std::nullopt;
}

std::variant<VerifiedJwt, JwtRefusal> ReadPrincipal(const FlatJson& claims, const JwtPolicy& policy, Time expires) {
  VerifiedJwt verified{{}, expires};
  const auto role = RoleOf(claims, policy);
  if (!role) {
    return Refuse(JwtFault::kRole, absl::StrCat("its claim ", policy.role_claim, " is ",
                                                Shown(absl::StrJoin(TextsOf(claims, policy.role_claim), " "))));
  }
  verified.principal.role = *role;
  if (auto refused = ReadScope(claims, policy, verified.principal.scope)) return *std::move(refused);
  if (IsName(claims.Text("sub"), kNameBytesMax)) verified.principal.name = claims.Text("sub");
  return verified;
}

absl::Status Unauthenticated(const char* message) {
  return WithReason(absl::UnauthenticatedError(message), "TOKEN_INVALID");
}

}  // namespace

std::string_view JwtFaultName(JwtFault fault) {
  constexpr std::string_view kNames[kJwtFaults] = {"malformed", "algorithm", "unknown_key", "signature",
                                                   "issuer",    "audience",  "token_use",   "expired",
                                                   "not_yet",   "role",      "tenant"};
  return kNames[static_cast<int>(fault)];
}

bool LooksLikeJwt(std::string_view token) {
  return token.substr(0, kPrefix.size()) == kPrefix && std::count(token.begin(), token.end(), '.') == 2;
}

std::variant<VerifiedJwt, JwtRefusal> VerifyJwt(std::string_view token, const JwkSet& keys, const JwtPolicy& policy,
                                                Time now) {
  const auto parts = Split(token);
  if (!parts) return Refuse(JwtFault::kMalformed, absl::StrCat("no JWT of at most ", kJwtBytesMax, " bytes"));
  const auto header = ReadPart(parts->header);
  if (!header) return Refuse(JwtFault::kMalformed, "its header is no JSON object in base64url, or has a member twice");
  if (auto refused = CheckHeader(*header)) return *std::move(refused);
  if (auto refused = CheckSignature(*parts, header->Text("kid"), keys)) return *std::move(refused);
  const auto claims = ReadPart(parts->payload);
  if (!claims)
    return Refuse(JwtFault::kMalformed, "its claims are no JSON object in base64url, or have a member twice");
  if (auto refused = CheckPurpose(*claims, policy)) return *std::move(refused);
  Time expires;
  if (auto refused = CheckTimes(*claims, policy, now, expires)) return *std::move(refused);
  return ReadPrincipal(*claims, policy, expires);
}

absl::Status RefusalStatus(JwtFault fault, const JwtPolicy& policy) {
  switch (fault) {
    case JwtFault::kMalformed:
    case JwtFault::kAlgorithm:
    case JwtFault::kUnknownKey:
    case JwtFault::kSignature:
      return Unauthenticated("the token cannot be verified");
    case JwtFault::kIssuer:
    case JwtFault::kAudience:
    case JwtFault::kTokenUse:
      return Unauthenticated("the token is not for this service");
    case JwtFault::kExpired:
      return Unauthenticated("the token has expired: sign in again");
    case JwtFault::kNotYet:
      return Unauthenticated("the token is not valid yet");
    case JwtFault::kRole:
      return WithReason(
          absl::PermissionDeniedError(absl::StrCat("the token's claim ", policy.role_claim, " gives it no role here")),
          "ROLE_TOO_LOW");
    case JwtFault::kTenant:
      return WithReason(
          absl::PermissionDeniedError(absl::StrCat("the token's claim ", policy.tenant_claim, " names no tenant")),
          "NOT_IN_SCOPE");
  }
  std::abort();
}

}  // namespace omics::cloud
