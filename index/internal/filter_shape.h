// The part of a filter's validation that needs no compiling.
#pragma once

#include "absl/status/status.h"
#include "index/filter.h"

namespace omics::index {

// INVALID_ARGUMENT naming the limit that is exceeded or the condition whose operands are wrong. Patterns are only
// counted and measured.
absl::Status CheckFilterShape(const Filter& filter);

}  // namespace omics::index
