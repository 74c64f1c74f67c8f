// The options of both programs that say which secret holds the tokens.
#pragma once

#include <cstdint>
#include <string>

#include "base/config.h"

namespace omics::cloud {

struct TokenSecretOptions {
  std::string secret;                // a name or an ARN; "" for none
  std::int64_t poll_seconds = 60;    // at most so long between two polls
  std::int64_t overlap_hours = 24;   // for which AWSPREVIOUS counts after AWSCURRENT was made
  std::string endpoint;              // of Secrets Manager; "" is AWS
  std::string region = "us-east-1";  // bound by the program itself: --aws-region
};

// Binds --tokens-secret, --tokens-poll-seconds, --token-overlap-hours and --secrets-endpoint to `options`, which must
// outlive config.Parse().
void AddTokenSecretOptions(Config& config, TokenSecretOptions& options);

}  // namespace omics::cloud
