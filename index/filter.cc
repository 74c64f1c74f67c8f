#include "index/filter.h"

#include "index/internal/compiled_filter.h"

namespace omics::index {

absl::Status ValidateFilter(const Filter& filter) { return CompiledFilter::Compile(filter).status(); }

}  // namespace omics::index
