// The catalog's SQLite file.
//
//   tenants(name), databases(id, tenant, name),
//   collections(number, id, tenant, database, name, metric, hnsw_m, hnsw_ef_construction, hnsw_ef_search, metadata,
//               client_configuration, state)
//
// A collection's state is 'creating' until its files are there, or an import into it is complete; 'live'; and
// 'dropping' from the commit that removes it until its files are gone. Only live ones have a claim to their name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "index/catalog.h"
#include "index/internal/sqlite.h"

namespace omics::index {

enum class CollectionState { kCreating, kLive, kDropping };

struct CatalogRow {
  std::int64_t number = 0;  // rises with every collection made
  CollectionInfo info;
  CollectionState state = CollectionState::kCreating;
};

// Every member that changes something is durable when it returns OK.
// Thread safety: one thread at a time.
class CatalogStore {
 public:
  static absl::StatusOr<CatalogStore> Open(const std::filesystem::path& path);

  absl::StatusOr<std::vector<std::string>> Tenants();
  absl::StatusOr<std::vector<Database>> Databases();
  absl::StatusOr<std::vector<CatalogRow>> Collections();

  absl::Status AddTenant(const std::string& name);
  absl::Status AddDatabase(const Database& database);
  // The collection's number.
  absl::StatusOr<std::int64_t> AddCollection(const CollectionInfo& info);
  // 'live' for `id`, and in the same commit 'dropping' for `replaced` unless that is empty.
  absl::Status MakeLive(const std::string& id, const std::string& replaced);
  absl::Status UpdateCollection(const CollectionInfo& info);
  // 'dropping' for all of `ids` and, in the same commit, the databases and tenants named are gone.
  absl::Status Drop(const std::vector<std::string>& ids, const std::vector<std::string>& database_ids,
                    const std::vector<std::string>& tenants);
  // The collection's files are gone: so is its row.
  absl::Status Forget(const std::string& id);

 private:
  CatalogStore() = default;
  absl::Status Run(std::string_view sql, const std::vector<std::string>& texts);

  SqliteConnection connection_;
};

}  // namespace omics::index
