#include "gateway/options.h"

#include "base/config.h"

namespace omics::gateway {
namespace {

// simdjson reads at most 4 GiB; a quarter of that is already beyond reason for one request.
constexpr std::int64_t kBodyBytesMost = std::int64_t{1} << 30;

void AddTokenOptions(Config& config, TokenSources& tokens, cloud::TokenSecretOptions& secret) {
  config.Add({"authn-credentials",
              {"CHROMA_SERVER_AUTHN_CREDENTIALS"},
              "The one token that clients must send, at least 16 characters.",
              true},
             tokens.credentials);
  config.Add(
      {"tokens-file",
       {"OMICS_VECTOR_TOKENS_FILE"},
       "File of tokens, one per line: NAME ROLE sha256:HEX [tenant=NAMES] [database=NAMES] [collections=PATTERNS]. "
       "Watched: a change is in force within seconds; SIGHUP reads it at once."},
      tokens.tokens_file);
  cloud::AddTokenSecretOptions(config, secret);
  config.Add(
      {"aws-region", {"OMICS_VECTOR_AWS_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"}, "Region of --tokens-secret."},
      secret.region);
  config.Add({"insecure-no-auth", {"OMICS_VECTOR_INSECURE_NO_AUTH"}, "Accept every caller without a token."},
             tokens.insecure_no_auth);
}

void AddListenOptions(Config& config, Options& options) {
  config.Add(
      {"rest-address", {"OMICS_VECTOR_REST_ADDRESS"}, "host:port to serve Chroma's REST API on; port 0 for any."},
      options.rest_address);
  config.Add(
      {"service-address", {"OMICS_VECTOR_SERVICE_ADDRESS"}, "vector-service: host:port, or unix:/path of its socket."},
      options.service_address);
  config.Add({"metrics-address",
              {"OMICS_VECTOR_GATEWAY_METRICS_ADDRESS"},
              "host:port to serve Prometheus metrics on; empty for none."},
             options.metrics_address);
  config.Add(
      {"tls-certificate", {"OMICS_VECTOR_TLS_CERTIFICATE"}, "PEM file of the certificate chain; with --tls-key."},
      options.tls_certificate);
  config.Add({"tls-key", {"OMICS_VECTOR_TLS_KEY"}, "PEM file of the private key; with --tls-certificate."},
             options.tls_key);
  config.Add({"cors-allow-origins",
              {"OMICS_VECTOR_CORS_ALLOW_ORIGINS", "CHROMA_SERVER_CORS_ALLOW_ORIGINS"},
              "Origins whose pages may call, comma-separated; * for all; empty for none."},
             options.cors_allow_origins);
}

}  // namespace

std::vector<std::string> CleanOrigins(const std::vector<std::string>& origins) {
  std::vector<std::string> clean;
  for (const std::string& origin : origins) {
    const std::size_t first = origin.find_first_not_of(" []\"'");
    if (first == std::string::npos) continue;
    clean.push_back(origin.substr(first, origin.find_last_not_of(" []\"'") - first + 1));
  }
  return clean;
}

std::optional<int> ParseOptions(int argc, const char* const* argv, Options& options) {
  Config config("vector-gateway", "Chroma's REST API (v1 and v2) in front of vector-service.");
  AddListenOptions(config, options);
  AddTokenOptions(config, options.tokens, options.token_secret);
  cloud::AddJwtOptions(config, options.jwt);
  config.Add({"body-bytes-max", {"OMICS_VECTOR_BODY_BYTES_MAX"}, "Largest request body accepted, in bytes."},
             options.body_bytes_max, 1 << 10, kBodyBytesMost);
  config.Add(
      {"threads", {"OMICS_VECTOR_THREADS"}, "Threads that serve connections; 0 for as many as the cgroup allows."},
      options.threads, 0, 256);
  config.Add({"drain-seconds", {"OMICS_VECTOR_DRAIN_SECONDS"}, "Seconds that requests in progress get on SIGTERM."},
             options.drain_seconds, 0, 3600);
  config.Add({"log-level", {"OMICS_VECTOR_LOG_LEVEL"}, "trace, debug, info, warn or error."}, options.log_level);
  config.Add({"log-format", {"OMICS_VECTOR_LOG_FORMAT"}, "json, text, or auto: text on a terminal, else json."},
             options.log_format);
  const std::optional<int> exit_code = config.Parse(argc, argv);
  options.tokens.tokens_secret = options.token_secret.secret;
  options.tokens.end_users = !options.jwt.issuer.empty();
  options.cors_allow_origins = CleanOrigins(options.cors_allow_origins);
  return exit_code;
}

}  // namespace omics::gateway
