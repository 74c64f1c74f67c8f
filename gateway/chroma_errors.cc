#include "gateway/chroma_errors.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gateway/chroma_body.h"
#include "gateway/json_writer.h"

namespace omics::gateway {
namespace {

struct Verdict {
  int http = 500;  // in v2 and, where v1_http is 0, in v1

  std::string_view v1_name = "InternalError";
  std::string_view v2_name = "InternalError";
  bool retry = false;
  int v1_http = 0;
};

constexpr Verdict kInvalid{400, "InvalidArgumentError", "InvalidArgumentError"};
constexpr Verdict kForbidden{403, "AuthorizationError", "AuthError"};
constexpr Verdict kMissing{404, "NotFoundError", "NotFoundError"};
constexpr Verdict kExists{409, "UniqueConstraintError", "ChromaError"};
constexpr Verdict kLater{503, "InternalError", "InternalError", true};

struct ReasonRow {
  std::string_view reason;
  Verdict verdict;
};

constexpr ReasonRow kByReason[] = {
    {"COLLECTION_NOT_FOUND", {404, "InvalidCollection", "NotFoundError", false, 400}},
    {"TENANT_NOT_FOUND", kMissing},
    {"DATABASE_NOT_FOUND", kMissing},
    {"COLLECTION_EXISTS", kExists},
    {"ALIAS_EXISTS", kExists},
    {"TENANT_EXISTS", kExists},
    {"DATABASE_EXISTS", kExists},
    {"DIMENSION_MISMATCH", {400, "InvalidDimension", "InvalidArgumentError"}},
    {kReasonJsonSyntax, kInvalid},
    {kReasonJsonShape, {422, "InvalidArgumentError", "ChromaError"}},
    {kReasonNotAUuid, {400, "InvalidUUID", "InvalidArgumentError"}},
    {kReasonBodyTooLarge, {413, "InvalidArgumentError", "ChromaError"}},
    {kReasonMediaType, {415, "InvalidArgumentError", "ChromaError"}},
    {"RESET_DISABLED", kForbidden},
    {"DISK_FULL", {507, "InternalError", "InternalError"}},
};

Verdict ByCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnauthenticated:
      return {403, "AuthorizationError", "AuthError", false, 401};
    case absl::StatusCode::kPermissionDenied:
      return kForbidden;
    case absl::StatusCode::kInvalidArgument:
      return kInvalid;
    case absl::StatusCode::kFailedPrecondition:
      return kInvalid;
    case absl::StatusCode::kOutOfRange:
      return kInvalid;
    case absl::StatusCode::kNotFound:
      return kMissing;
    case absl::StatusCode::kAlreadyExists:
      return kExists;
    case absl::StatusCode::kUnimplemented:
      return {501, "NotImplementedError", "ChromaError"};
    case absl::StatusCode::kResourceExhausted:
      return {429, "RateLimitError", "RateLimitError", true};
    case absl::StatusCode::kUnavailable:
      return kLater;
    case absl::StatusCode::kCancelled:
      return kLater;
    case absl::StatusCode::kAborted:
      return kLater;
    case absl::StatusCode::kDeadlineExceeded:
      return {504, "InternalError", "InternalError"};
    default:
      return {};
  }
}

// Refusals of a caller are named by API version (0.4 knew AuthorizationError, v2 came with AuthError); everything else
// by what the client knows.
bool OldWords(const absl::Status& status, Dialect dialect) {
  const bool refusal =
      absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status) || Reason(status) == "RESET_DISABLED";
  return refusal ? dialect.api == Api::kV1 : dialect.legacy();
}

Verdict Judge(const absl::Status& status, std::string_view reason, Dialect dialect, const ErrorSubject& subject) {
  Verdict verdict = ByCode(status.code());
  for (const ReasonRow& row : kByReason) {
    if (row.reason == reason) verdict = row.verdict;
  }
  if (OldWords(status, dialect) && verdict.v1_http != 0) verdict.http = verdict.v1_http;
  const bool no_home = reason == "DATABASE_NOT_FOUND" || reason == "TENANT_NOT_FOUND";
  if (no_home && subject.creates && !dialect.legacy()) return kInvalid;
  return verdict;
}

std::string CollectionMessage(std::string_view reason, bool v1, const std::string& name) {
  if (reason == "COLLECTION_NOT_FOUND") {
    return v1 ? absl::StrCat("Collection ", name, " does not exist.")
              : absl::StrCat("Collection [", name, "] does not exist");
  }
  return v1 ? absl::StrCat("Collection ", name, " already exists")
            : absl::StrCat("Collection [", name, "] already exists");
}

std::string DatabaseMessage(std::string_view reason, bool v1, const ErrorSubject& subject) {
  if (reason == "DATABASE_EXISTS") {
    return v1 ? absl::StrCat("Database ", subject.database, " already exists for tenant ", subject.tenant)
              : absl::StrCat("Database [", subject.database, "] already exists");
  }
  if (subject.creates && !v1) return absl::StrCat("Database [", subject.database, "] does not exist");
  return v1 ? absl::StrCat("Database ", subject.database, " not found for tenant ", subject.tenant,
                           ". Are you sure it exists?")
            : absl::StrCat("Database [", subject.database, "] not found");
}

std::string TenantMessage(std::string_view reason, bool v1, const std::string& name) {
  if (reason == "TENANT_EXISTS") {
    return v1 ? absl::StrCat("Tenant ", name, " already exists") : absl::StrCat("Tenant [", name, "] already exists");
  }
  return v1 ? absl::StrCat("Tenant ", name, " not found") : absl::StrCat("Tenant [", name, "] not found");
}

std::string MessageFor(const absl::Status& status, std::string_view reason, bool v1, const ErrorSubject& subject) {
  const bool about_existence = reason.ends_with("_NOT_FOUND") || reason.ends_with("_EXISTS");
  if (about_existence && reason.starts_with("COLLECTION") && !subject.collection.empty()) {
    return CollectionMessage(reason, v1, subject.collection);
  }
  if (about_existence && reason.starts_with("DATABASE") && !subject.database.empty()) {
    return DatabaseMessage(reason, v1, subject);
  }
  if (about_existence && reason.starts_with("TENANT") && !subject.tenant.empty()) {
    return TenantMessage(reason, v1, subject.tenant);
  }
  return std::string(ToStd(status.message()));
}

}  // namespace

Response ErrorResponse(const absl::Status& status, Dialect dialect, const ErrorSubject& subject) {
  const std::string reason = Reason(status);
  const Verdict verdict = Judge(status, reason, dialect, subject);
  const bool v1 = OldWords(status, dialect);
  const std::string message =
      verdict.http == 500 ? "internal error; the server's log has the cause" : MessageFor(status, reason, v1, subject);
  Response response = ErrorBody(verdict.http, v1 ? verdict.v1_name : verdict.v2_name, message, dialect);
  if (verdict.retry) response.retry_after_seconds = kRetryAfterSeconds;
  return response;
}

Response ErrorBody(int status, std::string_view name, std::string_view message, Dialect dialect) {
  Response response;
  response.status = status;
  const bool quoted = dialect.api == Api::kV1 && dialect.client == Client::kNode;
  response.body = "{\"error\":";
  AppendJsonString(response.body, quoted ? absl::StrCat(ToAbsl(name), "('", ToAbsl(message), "')") : std::string(name));
  response.body.append(",\"message\":");
  AppendJsonString(response.body, message);
  response.body.push_back('}');
  return response;
}

}  // namespace omics::gateway
