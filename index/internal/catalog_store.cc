#include "index/internal/catalog_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::index {
namespace {

// 2 added aliases, former_ids and sources; a file of format 1 gets them, empty, when it is opened.
constexpr std::int64_t kFormat = 2;

constexpr char kSchema[] = R"sql(
CREATE TABLE IF NOT EXISTS tenants(name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS databases(
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, UNIQUE(tenant, name));
CREATE TABLE IF NOT EXISTS collections(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL,
  database TEXT NOT NULL,
  name TEXT NOT NULL,
  metric TEXT NOT NULL,
  hnsw_m INTEGER NOT NULL,
  hnsw_ef_construction INTEGER NOT NULL,
  hnsw_ef_search INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  client_configuration TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('creating', 'live', 'dropping')));
CREATE UNIQUE INDEX IF NOT EXISTS live_names ON collections(tenant, database, name) WHERE state = 'live';
CREATE TABLE IF NOT EXISTS aliases(
  tenant TEXT NOT NULL, database TEXT NOT NULL, name TEXT NOT NULL, collection TEXT NOT NULL,
  PRIMARY KEY (tenant, database, name));
CREATE TABLE IF NOT EXISTS former_ids(
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, collection TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sources(
  collection TEXT PRIMARY KEY, url TEXT NOT NULL, etag TEXT NOT NULL, sha256 TEXT NOT NULL);
)sql";

constexpr char kCollectionColumns[] =
    "number, id, tenant, database, name, metric, hnsw_m, hnsw_ef_construction, hnsw_ef_search, metadata, "
    "client_configuration, state";

CollectionState ParseState(std::string_view text) {
  if (text == "live") return CollectionState::kLive;
  return text == "dropping" ? CollectionState::kDropping : CollectionState::kCreating;
}

absl::StatusOr<CatalogRow> ReadRow(const SqliteStatement& row) {
  CatalogRow read;
  read.number = row.Int(0);
  read.info.id = row.Text(1);
  read.info.tenant = row.Text(2);
  read.info.database = row.Text(3);
  read.info.name = row.Text(4);
  OMICS_ASSIGN_OR_RETURN(read.info.metric, ParseMetric(row.Text(5)));
  read.info.hnsw = {static_cast<int>(row.Int(6)), static_cast<int>(row.Int(7)), static_cast<int>(row.Int(8))};
  OMICS_ASSIGN_OR_RETURN(read.info.metadata, MetadataFromJson(row.Text(9)));
  read.info.client_configuration = row.Text(10);
  read.state = ParseState(row.Text(11));
  return read;
}

absl::Status CheckFormat(SqliteConnection& connection) {
  OMICS_ASSIGN_OR_RETURN(SqliteStatement read, connection.Prepare("PRAGMA user_version"));
  OMICS_ASSIGN_OR_RETURN(const bool found, read.Step());
  const std::int64_t format = found ? read.Int(0) : 0;
  if (format >= 0 && format <= kFormat) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("catalog format ", format, " is not one of 1 to ", kFormat,
                                          ", which this version reads; use the version that wrote it"));
}

}  // namespace

absl::StatusOr<CatalogStore> CatalogStore::Open(const std::filesystem::path& path) {
  CatalogStore store;
  OMICS_ASSIGN_OR_RETURN(store.connection_, SqliteConnection::Open(path, /*must_exist=*/false));
  if (const absl::Status format = CheckFormat(store.connection_); !format.ok()) return Annotate(format, path.string());
  OMICS_ASSIGN_OR_RETURN(SqliteTransaction transaction, SqliteTransaction::Begin(store.connection_));
  OMICS_RETURN_IF_ERROR(store.connection_.Execute(absl::StrCat(kSchema, "PRAGMA user_version = ", kFormat)));
  OMICS_RETURN_IF_ERROR(transaction.Commit());
  return store;
}

absl::Status CatalogStore::CopyTo(const std::filesystem::path& path) {
  return connection_.CopyTo(path, [](std::int64_t, std::int64_t) { return absl::OkStatus(); });
}

absl::StatusOr<std::vector<std::string>> CatalogStore::Tenants() {
  OMICS_ASSIGN_OR_RETURN(SqliteStatement list, connection_.Prepare("SELECT name FROM tenants ORDER BY rowid"));
  std::vector<std::string> tenants;
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool more, list.Step());
    if (!more) return tenants;
    tenants.emplace_back(list.Text(0));
  }
}

absl::StatusOr<std::vector<Database>> CatalogStore::Databases() {
  OMICS_ASSIGN_OR_RETURN(SqliteStatement list,
                         connection_.Prepare("SELECT id, tenant, name FROM databases ORDER BY rowid"));
  std::vector<Database> databases;
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool more, list.Step());
    if (!more) return databases;
    databases.push_back({std::string(list.Text(0)), std::string(list.Text(1)), std::string(list.Text(2))});
  }
}

absl::StatusOr<std::vector<CatalogRow>> CatalogStore::Collections() {
  OMICS_ASSIGN_OR_RETURN(SqliteStatement list, connection_.Prepare(absl::StrCat("SELECT ", kCollectionColumns,
                                                                                " FROM collections ORDER BY number")));
  std::vector<CatalogRow> rows;
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool more, list.Step());
    if (!more) return rows;
    OMICS_ASSIGN_OR_RETURN(CatalogRow row, ReadRow(list));
    rows.push_back(std::move(row));
  }
}

absl::Status CatalogStore::Run(std::string_view sql, const std::vector<std::string>& texts) {
  OMICS_ASSIGN_OR_RETURN(SqliteStatement statement, connection_.Prepare(sql));
  for (std::size_t i = 0; i < texts.size(); ++i) statement.Bind(static_cast<int>(i) + 1, std::string_view(texts[i]));
  return statement.Run();
}

absl::Status CatalogStore::AddTenant(const std::string& name) { return Run("INSERT INTO tenants VALUES (?)", {name}); }

absl::Status CatalogStore::AddDatabase(const Database& database) {
  return Run("INSERT INTO databases(id, tenant, name) VALUES (?, ?, ?)", {database.id, database.tenant, database.name});
}

absl::StatusOr<std::int64_t> CatalogStore::AddCollection(const CollectionInfo& info) {
  OMICS_ASSIGN_OR_RETURN(
      SqliteStatement insert,
      connection_.Prepare("INSERT INTO collections(hnsw_m, hnsw_ef_construction, hnsw_ef_search, id, tenant, database, "
                          "name, metric, metadata, client_configuration, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                          "'creating') RETURNING number"));
  insert.Bind(1, std::int64_t{info.hnsw.m});
  insert.Bind(2, std::int64_t{info.hnsw.ef_construction});
  insert.Bind(3, std::int64_t{info.hnsw.ef_search});
  const std::string texts[] = {info.id,
                               info.tenant,
                               info.database,
                               info.name,
                               std::string(MetricName(info.metric)),
                               MetadataToJson(info.metadata),
                               info.client_configuration};
  int index = 4;
  for (const std::string& text : texts) insert.Bind(index++, std::string_view(text));
  OMICS_RETURN_IF_ERROR(insert.Step().status());
  const std::int64_t number = insert.Int(0);
  OMICS_RETURN_IF_ERROR(insert.Run());
  return number;
}

absl::Status CatalogStore::MakeLive(const CollectionInfo& info, const std::string& replaced,
                                    const PublishOptions& options) {
  OMICS_ASSIGN_OR_RETURN(SqliteTransaction transaction, SqliteTransaction::Begin(connection_));
  if (!replaced.empty()) OMICS_RETURN_IF_ERROR(HandOn(replaced, info.id));
  OMICS_RETURN_IF_ERROR(Run("UPDATE collections SET state = 'live' WHERE id = ?", {info.id}));
  for (const std::string& alias : options.aliases) {
    OMICS_RETURN_IF_ERROR(SetAlias({info.tenant, info.database, alias, info.name, info.id}));
  }
  if (!options.source.url.empty()) OMICS_RETURN_IF_ERROR(SetSource(info.id, options.source));
  return transaction.Commit();
}

absl::Status CatalogStore::HandOn(const std::string& replaced, const std::string& id) {
  OMICS_RETURN_IF_ERROR(Run("UPDATE collections SET state = 'dropping' WHERE id = ?", {replaced}));
  OMICS_RETURN_IF_ERROR(Run("DELETE FROM sources WHERE collection = ?", {replaced}));
  OMICS_RETURN_IF_ERROR(Run("UPDATE aliases SET collection = ? WHERE collection = ?", {id, replaced}));
  OMICS_RETURN_IF_ERROR(Run("UPDATE former_ids SET collection = ? WHERE collection = ?", {id, replaced}));
  OMICS_RETURN_IF_ERROR(Run("INSERT INTO former_ids(id, collection) VALUES (?, ?)", {replaced, id}));
  return Run(absl::StrCat("DELETE FROM former_ids WHERE collection = ?1 AND number NOT IN (SELECT number FROM "
                          "former_ids WHERE collection = ?1 ORDER BY number DESC LIMIT ",
                          kFormerIdsMax, ")"),
             {id});
}

absl::Status CatalogStore::UpdateCollection(const CollectionInfo& info) {
  OMICS_ASSIGN_OR_RETURN(
      SqliteStatement update,
      connection_.Prepare("UPDATE collections SET hnsw_m = ?, hnsw_ef_construction = ?, hnsw_ef_search "
                          "= ?, name = ?, metadata = ?, client_configuration = ? WHERE id = ?"));
  update.Bind(1, std::int64_t{info.hnsw.m});
  update.Bind(2, std::int64_t{info.hnsw.ef_construction});
  update.Bind(3, std::int64_t{info.hnsw.ef_search});
  const std::string metadata = MetadataToJson(info.metadata);
  update.Bind(4, std::string_view(info.name));
  update.Bind(5, std::string_view(metadata));
  update.Bind(6, std::string_view(info.client_configuration));
  update.Bind(7, std::string_view(info.id));
  return update.Run();
}

absl::Status CatalogStore::Drop(const std::vector<std::string>& ids, const std::vector<std::string>& database_ids,
                                const std::vector<std::string>& tenants) {
  OMICS_ASSIGN_OR_RETURN(SqliteTransaction transaction, SqliteTransaction::Begin(connection_));
  for (const std::string& id : ids) {
    OMICS_RETURN_IF_ERROR(Run("UPDATE collections SET state = 'dropping' WHERE id = ?", {id}));
    for (const char* table : {"aliases", "former_ids", "sources"}) {
      OMICS_RETURN_IF_ERROR(Run(absl::StrCat("DELETE FROM ", table, " WHERE collection = ?"), {id}));
    }
  }
  for (const std::string& id : database_ids) OMICS_RETURN_IF_ERROR(Run("DELETE FROM databases WHERE id = ?", {id}));
  for (const std::string& name : tenants) OMICS_RETURN_IF_ERROR(Run("DELETE FROM tenants WHERE name = ?", {name}));
  return transaction.Commit();
}

absl::Status CatalogStore::Forget(const std::string& id) { return Run("DELETE FROM collections WHERE id = ?", {id}); }

absl::StatusOr<std::vector<Alias>> CatalogStore::Aliases() {
  OMICS_ASSIGN_OR_RETURN(SqliteStatement list,
                         connection_.Prepare("SELECT tenant, database, name, collection FROM aliases"));
  std::vector<Alias> aliases;
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool more, list.Step());
    if (!more) return aliases;
    aliases.push_back({std::string(list.Text(0)), std::string(list.Text(1)), std::string(list.Text(2)), "",
                       std::string(list.Text(3))});
  }
}

absl::Status CatalogStore::SetAlias(const Alias& alias) {
  return Run("INSERT OR REPLACE INTO aliases(tenant, database, name, collection) VALUES (?, ?, ?, ?)",
             {alias.tenant, alias.database, alias.name, alias.collection_id});
}

absl::Status CatalogStore::DeleteAlias(const std::string& tenant, const std::string& database,
                                       const std::string& name) {
  return Run("DELETE FROM aliases WHERE tenant = ? AND database = ? AND name = ?", {tenant, database, name});
}

absl::StatusOr<std::vector<CatalogStore::FormerId>> CatalogStore::FormerIds() {
  OMICS_ASSIGN_OR_RETURN(SqliteStatement list, connection_.Prepare("SELECT id, collection FROM former_ids"));
  std::vector<FormerId> ids;
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool more, list.Step());
    if (!more) return ids;
    ids.push_back({std::string(list.Text(0)), std::string(list.Text(1))});
  }
}

absl::StatusOr<CollectionSource> CatalogStore::Source(const std::string& id) {
  OMICS_ASSIGN_OR_RETURN(SqliteStatement read,
                         connection_.Prepare("SELECT url, etag, sha256 FROM sources WHERE collection = ?"));
  read.Bind(1, std::string_view(id));
  OMICS_ASSIGN_OR_RETURN(const bool found, read.Step());
  if (!found) return CollectionSource();
  CollectionSource source{std::string(read.Text(0)), std::string(read.Text(1)), std::string(read.Text(2))};
  read.Reset();
  return source;
}

absl::Status CatalogStore::SetSource(const std::string& id, const CollectionSource& source) {
  return Run("INSERT OR REPLACE INTO sources(collection, url, etag, sha256) VALUES (?, ?, ?, ?)",
             {id, source.url, source.etag, source.sha256});
}

}  // namespace omics::index
