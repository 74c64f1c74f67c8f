// Imports a Chroma store into a catalog: all of a collection, or none of it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "index/catalog.h"
#include "index/chroma_store.h"

namespace omics::index {

struct ImportTarget {
  std::string tenant = kDefaultTenant;
  std::string database = kDefaultDatabase;
  // The new name; the store must then hold exactly one collection, or `source_collection` says which.
  // Empty: every collection of the store, each under its own name.
  std::string collection;
  std::string source_collection;
  bool replace = false;
  // What Publish() does beside, in the same step; only where `collection` is set.
  std::vector<std::string> aliases = {};
  CollectionSource source = {};
  // Asked for the new name of each collection before any work is done; an error refuses the import. Null: none is.
  std::function<absl::Status(const std::string& name)> check_name = nullptr;
};

struct ImportReport {
  CollectionInfo info;
  std::int64_t records = 0;
  std::vector<std::string> lost_ids;
};

// Called after every batch, from the importing thread, with the rows written and the rows there are.
using ImportProgressFn = std::function<absl::Status(std::int64_t rows_done, std::int64_t rows_total)>;

// Each collection appears when it is complete; on an error none of this call's is left behind. A sealed graph is built
// in the background afterwards: exact search answers at once.
// NOT_FOUND if the store has no such collection; INVALID_ARGUMENT naming the collections if the choice is not clear;
// ALREADY_EXISTS unless `replace`; the error of `progress` stops the import.
absl::StatusOr<std::vector<ImportReport>> ImportChromaStore(const ChromaStore& store, const ImportTarget& target,
                                                            Catalog& catalog, const ImportProgressFn& progress);

}  // namespace omics::index
