// What a configuration says about who may call and how it is encrypted, read and checked before anything is opened.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/tokens.h"
#include "services/options.h"

namespace omics::services {

struct TlsPair {
  std::string certificate_pem;
  std::string key_pem;
};

struct Security {
  TokenSources sources;
  TokenSet tokens;
  std::optional<TlsPair> tls;
};

// No certificate or key file is larger; a chain is a few KiB.
inline constexpr std::size_t kPemBytesMax = 1u << 20;

// INVALID_ARGUMENT or FAILED_PRECONDITION with one sentence that names the flag: no token at all, a tokens file or TLS
// file that cannot be read, a key that does not belong to the certificate.
absl::StatusOr<Security> LoadSecurity(const Options& options);

}  // namespace omics::services
