// Which collections a Chroma store has, and where their parts are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/chroma_store.h"
#include "index/internal/chroma_sqlite.h"

namespace omics::index {

struct ChromaSource {
  ChromaCollection collection;        // `records` is not set here
  std::string metadata_segment;       // "" if the collection has none, and so no records
  std::string vector_segment;         // the name of a directory, checked to be a UUID; "" if there is none
  std::int64_t metadata_applied = 0;  // log position that the metadata segment holds
  std::int64_t vector_applied = 0;    // the same for the vector segment …
  bool vector_applied_known = false;  // … where SQLite says it (Chroma 0.5.6 on)
};

// In the file's order. INVALID_ARGUMENT naming the collection for a metric, dimension or segment that cannot be.
absl::StatusOr<std::vector<ChromaSource>> ReadChromaCatalog(const ChromaDatabase& database);

}  // namespace omics::index
