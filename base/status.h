// Helpers around absl::Status that the whole project shares.
//
// Errors are chosen by what the caller should do next; docs/errors.md has the table. Where a program must tell two
// errors of one code apart (the gateway's choice of a Chroma error name, a client's choice to retry), the status
// carries a *reason*: a stable upper-case word such as "COLLECTION_NOT_FOUND".
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace omics {

// Debian's Abseil has its own string_view type; these two convert without copying.
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }
inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

// Returns `status` with `reason` attached; an OK status stays as it is.
absl::Status WithReason(absl::Status status, std::string_view reason);

// The reason attached to `status`, or "" if there is none.
std::string Reason(const absl::Status& status);

// Returns `status` with "`context`: " put before its message; code and reason stay.
absl::Status Annotate(const absl::Status& status, std::string_view context);

// INVALID_ARGUMENT and the like from an errno value, for example ErrnoStatus(ENOSPC, "write /data/x").
// ENOENT is NOT_FOUND, EACCES and EPERM are PERMISSION_DENIED, ENOSPC and EDQUOT are RESOURCE_EXHAUSTED with the
// reason "DISK_FULL", everything else is UNAVAILABLE.
absl::Status ErrnoStatus(int error_number, std::string_view what);

}  // namespace omics

#define OMICS_CONCAT_INNER(a, b) a##b
#define OMICS_CONCAT(a, b) OMICS_CONCAT_INNER(a, b)

// Leaves the function with the status of `expression` unless it is OK.
#define OMICS_RETURN_IF_ERROR(expression)                                                  \
  do {                                                                                     \
    if (absl::Status omics_status = (expression); !omics_status.ok()) return omics_status; \
  } while (false)

// Assigns the value of a StatusOr to `target`, or leaves the function with its status.
#define OMICS_ASSIGN_OR_RETURN(target, expression) \
  OMICS_ASSIGN_OR_RETURN_INNER(OMICS_CONCAT(omics_status_or_, __LINE__), target, expression)
// NOLINTBEGIN(bugprone-macro-parentheses): `target` may be a declaration
#define OMICS_ASSIGN_OR_RETURN_INNER(holder, target, expression) \
  auto holder = (expression);                                    \
  if (!holder.ok()) return std::move(holder).status();           \
  target = *std::move(holder)
// NOLINTEND(bugprone-macro-parentheses)
