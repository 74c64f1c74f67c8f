// The catalog's SQLite file.
//
//   tenants(name), databases(id, tenant, name),
//   collections(number, id, tenant, database, name, metric, hnsw_m, hnsw_ef_construction, hnsw_ef_search, metadata,
//               client_configuration, state),
//   aliases(tenant, database, name, collection), former_ids(number, id, collection), sources(collection, url, etag,
//   sha256), where `collection` is the id of a live one
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

  // Rises with everything that changes, and only then.
  std::int64_t changes() const { return connection_.TotalChanges(); }
  // The whole file as of now, to a new one.
  absl::Status CopyTo(const std::filesystem::path& path);

  absl::StatusOr<std::vector<std::string>> Tenants();
  absl::StatusOr<std::vector<Database>> Databases();
  absl::StatusOr<std::vector<CatalogRow>> Collections();

  absl::Status AddTenant(const std::string& name);
  absl::Status AddDatabase(const Database& database);
  // The collection's number.
  absl::StatusOr<std::int64_t> AddCollection(const CollectionInfo& info);
  // 'live' for `info`, with aliases and source, and in the same commit 'dropping' for `replaced` unless that is empty,
  // whose aliases and former ids pass on, and whose id becomes a former one.
  absl::Status MakeLive(const CollectionInfo& info, const std::string& replaced, const PublishOptions& options);
  absl::Status UpdateCollection(const CollectionInfo& info);
  // 'dropping' for all of `ids`; in the same commit what else tells of them is gone, and so are the databases and
  // tenants named.
  absl::Status Drop(const std::vector<std::string>& ids, const std::vector<std::string>& database_ids,
                    const std::vector<std::string>& tenants);
  // The collection's files are gone: so is its row.
  absl::Status Forget(const std::string& id);

  // `collection` of these is empty.
  absl::StatusOr<std::vector<Alias>> Aliases();
  absl::Status SetAlias(const Alias& alias);
  absl::Status DeleteAlias(const std::string& tenant, const std::string& database, const std::string& name);
  struct FormerId {
    std::string id;
    std::string collection_id;  // what it leads to
  };
  absl::StatusOr<std::vector<FormerId>> FormerIds();
  absl::StatusOr<CollectionSource> Source(const std::string& id);
  absl::Status SetSource(const std::string& id, const CollectionSource& source);

 private:
  CatalogStore() = default;
  absl::Status Run(std::string_view sql, const std::vector<std::string>& texts);
  absl::Status HandOn(const std::string& replaced, const std::string& id);

  SqliteConnection connection_;
};

}  // namespace omics::index
