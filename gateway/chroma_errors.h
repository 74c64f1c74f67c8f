// From a status of the service or the gateway to what a Chroma client understands: HTTP status, error name, message.
//
// Python clients raise the class that body["error"] names, if they know it, so names differ by API version:
//
//   status or reason           v1, and v2 of Python 0.5 and 0.6     v2
//   UNAUTHENTICATED            401 AuthorizationError (v1 only)     403 AuthError
//   PERMISSION_DENIED          403 AuthorizationError (v1 only)     403 AuthError
//   COLLECTION_NOT_FOUND       400 InvalidCollection                404 NotFoundError
//   TENANT/DATABASE_NOT_FOUND  404 NotFoundError                    404 NotFoundError
//   …_EXISTS                   409 UniqueConstraintError            409 ChromaError
//   DIMENSION_MISMATCH         400 InvalidDimension                 400 InvalidArgumentError
//   JSON_SYNTAX                400 InvalidArgumentError             400 InvalidArgumentError
//   JSON_SHAPE                 422 InvalidArgumentError             422 ChromaError
//   NOT_A_UUID                 400 InvalidUUID                      400 InvalidArgumentError
//   INVALID_ARGUMENT …         400 InvalidArgumentError             400 InvalidArgumentError
//   NOT_FOUND (route words)    404 NotFoundError                    404 NotFoundError
//   RESET_DISABLED             403 AuthorizationError               403 AuthError
//   UNIMPLEMENTED              501 NotImplementedError              501 ChromaError
//   BODY_TOO_LARGE             413 InvalidArgumentError             413 ChromaError
//   MEDIA_TYPE                 415 InvalidArgumentError             415 ChromaError
//   DISK_FULL                  507 InternalError                    507 InternalError
//   RESOURCE_EXHAUSTED         429 RateLimitError, Retry-After      429 RateLimitError, Retry-After
//   UNAVAILABLE, CANCELLED …   503 InternalError, Retry-After       503 InternalError, Retry-After
//   DEADLINE_EXCEEDED          504 InternalError                    504 InternalError
//   all others                 500 InternalError (the cause is in the service's log, not in the answer)
//
// JavaScript clients up to 1.9 (v1, "node") read Name('text') out of body["error"]: they get that form.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "gateway/http.h"

namespace omics::gateway {

inline constexpr char kReasonNotAUuid[] = "NOT_A_UUID";
inline constexpr char kReasonBodyTooLarge[] = "BODY_TOO_LARGE";
inline constexpr char kReasonMediaType[] = "MEDIA_TYPE";

// After how many seconds a client that was told "not now" should come back.
inline constexpr int kRetryAfterSeconds = 2;

// What the request was about, for messages in Chroma's words; empty where it does not apply.
struct ErrorSubject {
  std::string tenant;
  std::string database;
  std::string collection;  // name or id as in the request
  bool creates = false;    // a missing database is then the request's fault: 400 in v2
};

Response ErrorResponse(const absl::Status& status, Dialect dialect, const ErrorSubject& subject);

// {"error":…,"message":…} with the given HTTP status.
Response ErrorBody(int status, std::string_view name, std::string_view message, Dialect dialect);

}  // namespace omics::gateway
