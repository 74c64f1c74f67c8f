// A filter made ready to be asked about rows: patterns compiled, values sorted.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "index/filter.h"
#include "index/internal/filter_index.h"
#include "index/internal/row_source.h"

namespace omics::index {

// Thread safety: const members may be called from any thread.
class CompiledFilter {
 public:
  // INVALID_ARGUMENT as ValidateFilter.
  static absl::StatusOr<CompiledFilter> Compile(const Filter& filter);
  CompiledFilter(CompiledFilter&&) noexcept;
  CompiledFilter& operator=(CompiledFilter&&) noexcept;
  ~CompiledFilter();

  // Reads the row itself: exact, about 0.1 to 0.5 µs. A payload that cannot be decoded matches nothing.
  bool Matches(std::string_view payload) const;

  // Reads the index of a segment, whose payloads `source` has: every row that matches is in the set. `exact` says that
  // no other row is; where it is false, Matches() decides about each row of the set.
  RowSelection Select(const FilterIndexView& index, const RowSource& source) const;

 private:
  struct Node;
  explicit CompiledFilter(std::unique_ptr<Node> root);
  std::unique_ptr<Node> root_;
};

}  // namespace omics::index
