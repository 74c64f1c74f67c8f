// Reads Chroma's index_metadata.pickle without executing it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace omics::index {

struct ChromaPickle {
  std::optional<std::int64_t> max_seq_id;  // of the log; only Chroma up to 0.5.5 kept it here
  std::vector<std::pair<std::string_view, std::int64_t>> id_to_label;  // in the file's order; the views point into it
};

// A small stack machine over the opcodes that Chroma's two writers (Python's pickle protocol 5, and the Rust server's
// protocol 3) use, and no others; the one class it accepts is Chroma's own PersistentData, of which it keeps the
// fields. Time and memory are linear in `bytes`; marks, dictionaries, stack and memo are bounded besides.
// INVALID_ARGUMENT saying what the file has that a pickle of Chroma's never has, and at which byte.
absl::StatusOr<ChromaPickle> ReadChromaPickle(std::string_view bytes, std::int64_t records_max);

}  // namespace omics::index
