// AWS Signature Version 4, as the S3 API reference ("Authenticating Requests: Using the Authorization Header") and the
// IAM user guide ("Create a signed AWS API request") define it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "cloud/credentials.h"
#include "cloud/http.h"

namespace omics::cloud {

struct SigningScope {
  std::string region;
  std::string service;  // "s3", "secretsmanager"
};

// What stands in the place of the body's digest when it is not known beforehand (S3 over TLS only).
inline constexpr char kUnsignedPayload[] = "UNSIGNED-PAYLOAD";

// The request in the form that is signed. `headers` of the request and its host are signed, all of them. For S3 the
// path is taken as it is sent, for all other services it is percent-encoded once more; dots are not resolved.
absl::StatusOr<std::string> CanonicalRequest(const HttpRequest& request, const SigningScope& scope,
                                             std::string_view payload_sha256);

// Adds x-amz-date, for S3 x-amz-content-sha256, x-amz-security-token if there is one, and Authorization to the
// request's headers. `payload_sha256` is the body's in lower-case hex. The query of the url must be percent-encoded.
// INVALID_ARGUMENT: the url.
//
// Thread safety: a function of its arguments.
absl::Status Sign(HttpRequest& request, const Credentials& credentials, const SigningScope& scope,
                  std::string_view payload_sha256, std::chrono::system_clock::time_point now);

}  // namespace omics::cloud
