#include "cloud/token_options.h"

namespace omics::cloud {
namespace {

constexpr std::int64_t kPollSecondsMax = 24 * 3600;
constexpr std::int64_t kOverlapHoursMax = 366 * 24;

}  // namespace

void AddTokenSecretOptions(Config& config, TokenSecretOptions& options) {
  config.Add({"tokens-secret",
              {"OMICS_VECTOR_TOKENS_SECRET"},
              "Name or ARN of a Secrets Manager secret that holds one token or the text of a tokens file. Polled; "
              "AWSCURRENT and AWSPREVIOUS are both accepted."},
             options.secret);
  config.Add({"tokens-poll-seconds",
              {"OMICS_VECTOR_TOKENS_POLL_SECONDS"},
              "Seconds within which a new version of --tokens-secret is in force."},
             options.poll_seconds, 1, kPollSecondsMax);
  config.Add({"token-overlap-hours",
              {"OMICS_VECTOR_TOKEN_OVERLAP_HOURS"},
              "Hours after the making of AWSCURRENT for which AWSPREVIOUS is accepted; 0 refuses it at the next poll."},
             options.overlap_hours, 0, kOverlapHoursMax);
  config.Add({"secrets-endpoint",
              {"OMICS_VECTOR_SECRETS_ENDPOINT", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"},
              "URL of a Secrets Manager that is not AWS's."},
             options.endpoint);
}

}  // namespace omics::cloud
