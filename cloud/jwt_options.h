// The options of both programs that let end users in with tokens of an identity provider.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/config.h"
#include "base/metrics.h"
#include "base/tokens.h"
#include "cloud/jwt_verifier.h"

namespace omics::cloud {

struct JwtOptions {
  std::string issuer;    // "" for no such tokens
  std::string jwks_url;  // "" for the issuer's own
  std::vector<std::string> audience;
  std::vector<std::string> token_use = {"access"};
  std::int64_t leeway_seconds = 60;
  std::vector<std::string> roles;  // "VALUE=ROLE"
  std::string role_claim = "cognito:groups";
  std::string tenant_claim;  // one of these two
  std::string tenant;        // "*" for all
};

// Binds --jwt-issuer, --jwt-jwks-url, --jwt-audience, --jwt-token-use, --jwt-leeway-seconds, --jwt-roles,
// --jwt-role-claim, --jwt-tenant-claim and --jwt-tenant to `options`, which must outlive config.Parse(); it checks them
// too.
void AddJwtOptions(Config& config, JwtOptions& options);

// INVALID_ARGUMENT naming the option: no audience, roles or tenant, two ways to say the tenant, what is no url or would
// travel in the clear, a role that does not exist; any of them without an issuer.
absl::StatusOr<JwtVerifierOptions> ReadJwtOptions(const JwtOptions& options);

// What both programs do with the options of that name, once they have passed ReadJwtOptions(): nothing without an
// issuer, else `tokens` are given a verifier, which appears in `metrics`.
absl::Status StartJwtVerifier(const JwtOptions& options, LiveTokens& tokens, Metrics& metrics);

}  // namespace omics::cloud
