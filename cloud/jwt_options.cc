#include "cloud/jwt_options.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/address.h"
#include "base/status.h"
#include "cloud/url.h"

namespace omics::cloud {
namespace {

// Beyond, clocks are broken, and tokens would outlive their sessions.
constexpr std::int64_t kLeewaySecondsMax = 300;
// Every check of a token reads them all.
constexpr std::size_t kListMax = 100;

absl::Status Bad(const std::string& message) { return absl::InvalidArgumentError(message); }

OptionNames Names(const char* name, const char* help) {
  return {name, {absl::StrCat("OMICS_VECTOR_", absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"-", "_"}})))}, help};
}

absl::StatusOr<JwtRole> ReadRole(const std::string& text) {
  const std::size_t sign = text.rfind('=');
  if (sign != std::string::npos && sign > 0) {
    for (const Role role : {Role::kRead, Role::kWrite, Role::kAdmin}) {
      if (text.substr(sign + 1) == RoleName(role)) return JwtRole{text.substr(0, sign), role};
    }
  }
  return Bad(
      absl::StrCat("--jwt-roles: \"", text, "\" must be VALUE=read, VALUE=write or VALUE=admin, where VALUE may be *"));
}

absl::StatusOr<std::string> KeysUrl(const JwtOptions& options) {
  const bool given = !options.jwks_url.empty();
  const std::string text =
      given ? options.jwks_url : absl::StrCat(absl::StripSuffix(options.issuer, "/"), "/.well-known/jwks.json");
  const auto url = ParseUrl(text);
  if (!url.ok()) return Annotate(url.status(), given ? "--jwt-jwks-url" : "--jwt-issuer (give --jwt-jwks-url)");
  if (url->scheme == "https" || IsLoopback(url->host)) return text;
  return Bad("the keys of users' tokens must come by https: give --jwt-jwks-url");
}

absl::Status CheckAlone(const JwtOptions& options) {
  const bool any = !options.jwks_url.empty() || !options.audience.empty() || !options.roles.empty() ||
                   !options.tenant_claim.empty() || !options.tenant.empty();
  return any ? Bad("--jwt-… does nothing without --jwt-issuer: name the issuer of the users' tokens")
             : absl::OkStatus();
}

absl::Status CheckComplete(const JwtOptions& options) {
  if (options.audience.empty()) {
    return Bad("--jwt-issuer needs --jwt-audience: the ids of the app clients whose tokens count");
  }
  if (options.roles.empty()) {
    return Bad("--jwt-issuer needs --jwt-roles: for example admins=admin,curators=write,*=read");
  }
  if (options.tenant_claim.empty() == options.tenant.empty()) {
    return Bad(
        "--jwt-issuer needs either --jwt-tenant-claim or --jwt-tenant: where users belong (--jwt-tenant '*' is "
        "everywhere)");
  }
  if (options.role_claim.empty()) return Bad("--jwt-role-claim is empty: name a claim");
  if (options.audience.size() <= kListMax && options.roles.size() <= kListMax) return absl::OkStatus();
  return Bad(absl::StrCat("--jwt-audience and --jwt-roles may have ", kListMax, " entries"));
}

}  // namespace

void AddJwtOptions(Config& config, JwtOptions& options) {
  config.Add(
      Names("jwt-issuer",
            "Issuer (iss) of JSON Web Tokens of end users, for example https://cognito-idp.REGION.amazonaws.com/POOL; "
            "empty takes none."),
      options.issuer);
  config.Add(Names("jwt-jwks-url", "URL of the issuer's keys; empty is /.well-known/jwks.json below the issuer."),
             options.jwks_url);
  config.Add(
      Names("jwt-audience",
            "Ids of the app clients whose tokens count, by comma: one must stand in aud, or where there is none in "
            "client_id."),
      options.audience);
  config.Add(
      Names("jwt-token-use", "Values of token_use that count (access, id), by comma; empty does not look at it."),
      options.token_use);
  config.Add(Names("jwt-leeway-seconds", "Seconds by which the issuer's clock may differ."), options.leeway_seconds, 0,
             kLeewaySecondsMax);
  config.Add(
      Names("jwt-roles",
            "Roles by the values of --jwt-role-claim, by comma: VALUE=read, VALUE=write, VALUE=admin; * is every "
            "token. The highest counts."),
      options.roles);
  config.Add(Names("jwt-role-claim", "Claim that --jwt-roles looks at: a text or a list of texts."),
             options.role_claim);
  config.Add(
      Names("jwt-tenant-claim",
            "Claim that names the tenant a token is bound to, for example custom:tenant. Users must not be able to "
            "change it."),
      options.tenant_claim);
  config.Add(Names("jwt-tenant", "Tenant that all such tokens are bound to, instead of a claim; * binds to none."),
             options.tenant);
  config.AddCheck([&options] { return ReadJwtOptions(options).status(); });
}

absl::StatusOr<JwtVerifierOptions> ReadJwtOptions(const JwtOptions& options) {
  JwtVerifierOptions verifier;
  if (options.issuer.empty()) {
    OMICS_RETURN_IF_ERROR(CheckAlone(options));
    return verifier;
  }
  OMICS_RETURN_IF_ERROR(CheckComplete(options));
  OMICS_ASSIGN_OR_RETURN(verifier.keys_url, KeysUrl(options));
  JwtPolicy& policy = verifier.policy;
  for (const std::string& text : options.roles) {
    OMICS_ASSIGN_OR_RETURN(JwtRole role, ReadRole(text));
    policy.roles.push_back(std::move(role));
  }
  policy.issuer = options.issuer;
  policy.audiences = options.audience;
  policy.token_uses = options.token_use;
  policy.leeway = std::chrono::seconds(options.leeway_seconds);
  policy.role_claim = options.role_claim;
  policy.tenant_claim = options.tenant_claim;
  policy.tenant = options.tenant;
  return verifier;
}

absl::Status StartJwtVerifier(const JwtOptions& options, LiveTokens& tokens, Metrics& metrics) {
  OMICS_ASSIGN_OR_RETURN(JwtVerifierOptions verifier_options, ReadJwtOptions(options));
  if (options.issuer.empty()) return absl::OkStatus();
  std::shared_ptr<JwtVerifier> verifier = JwtVerifier::Start(std::move(verifier_options));
  verifier->AddMetrics(metrics);
  tokens.SetVerifier(std::move(verifier));
  return absl::OkStatus();
}

}  // namespace omics::cloud
