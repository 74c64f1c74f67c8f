// Tokens that an identity provider, such as Amazon Cognito, has signed for an end user: JSON Web Tokens (RFC 7519).
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "base/tokens.h"
#include "cloud/jwks.h"

namespace omics::cloud {

// Larger ones are refused unread. Cognito's have one to two KiB, and both programs take 16 KiB of headers.
inline constexpr std::size_t kJwtBytesMax = 8192;

// A value of the role claim, and the role that it gives.
struct JwtRole {
  std::string value;  // "*" stands for every token, with or without the claim
  Role role = Role::kRead;
};

// Which tokens count, and what they stand for. Texts are compared byte by byte.
struct JwtPolicy {
  std::string issuer;                   // what `iss` must say
  std::vector<std::string> audiences;   // one of them must stand in `aud`, or where there is none, in `client_id`
  std::vector<std::string> token_uses;  // one of them must stand in `token_use`; empty: it is not looked at
  std::chrono::seconds leeway{60};      // for clocks that differ, on both ends
  std::string role_claim;               // a text or a list of texts; the highest role that one of them gives counts
  std::vector<JwtRole> roles;
  std::string tenant_claim;  // a text that names the tenant that the token is bound to; "" for `tenant`
  std::string tenant;        // "*" binds to none
};

// What is wrong with a token.
enum class JwtFault {
  kMalformed,   // not the form of a JWT, too large, a member twice, a claim of the wrong kind
  kAlgorithm,   // anything but RS256, or an extension that must be understood
  kUnknownKey,  // `kid` is not among the keys
  kSignature,
  kIssuer,
  kAudience,
  kTokenUse,
  kExpired,
  kNotYet,
  kRole,    // no role is given
  kTenant,  // no tenant is named
};
inline constexpr int kJwtFaults = static_cast<int>(JwtFault::kTenant) + 1;

// One lower-case word, as metrics have it: "malformed", "unknown_key".
std::string_view JwtFaultName(JwtFault fault);

struct JwtRefusal {
  JwtFault fault;
  std::string why;  // for the log: one line that shows a claim at most, never the token
};

struct VerifiedJwt {
  Principal principal;                            // its name is `sub`
  std::chrono::system_clock::time_point expires;  // leeway included
};

// Two dots, and the beginning of a JSON object in base64url: no other token of ours is taken for one unless it is made
// to.
bool LooksLikeJwt(std::string_view token);

// Size, form and algorithm first, then key and signature; what the token says is believed, and told, only after that.
// Keys and addresses of keys that the token brings along (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.
//
// Thread safety: may be called from any thread.
std::variant<VerifiedJwt, JwtRefusal> VerifyJwt(std::string_view token, const JwkSet& keys, const JwtPolicy& policy,
                                                std::chrono::system_clock::time_point now);

// What the caller is told: UNAUTHENTICATED TOKEN_INVALID that says no more than what helps its rightful holder (it
// cannot be verified, is not for this service, has expired, is not valid yet); PERMISSION_DENIED for a token that is
// good but stands for nothing here: ROLE_TOO_LOW or NOT_IN_SCOPE, naming the claim that was looked at.
absl::Status RefusalStatus(JwtFault fault, const JwtPolicy& policy);

}  // namespace omics::cloud
