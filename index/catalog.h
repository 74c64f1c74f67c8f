// The engine's front door: a data directory with its tenants, databases and collections.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/collection.h"
#include "index/record.h"

namespace omics::index {

inline constexpr char kDefaultTenant[] = "default_tenant";
inline constexpr char kDefaultDatabase[] = "default_database";

struct CatalogOptions {
  std::filesystem::path data_dir;
  // Open a directory that holds a Chroma store and nothing of ours: for the import of that store into it.
  bool beside_chroma_store = false;
  int build_threads = 1;
  // Rows held in memory and searched exactly before they are sealed for the graph builder.
  std::int64_t tail_rows_max = 8192;
  // Bytes of sealed rows that may wait for the builder; beyond, writes wait, then fail with BUILD_BACKLOG.
  std::int64_t backlog_bytes_max = std::int64_t{256} << 20;
  // A smaller collection stays in the tail: an exact scan of so few rows is as fast as a graph.
  std::int64_t graph_rows_min = 1024;
  // A tail of at least graph_rows_min rows is built once no write has come for this long.
  std::chrono::milliseconds idle_before_build{2000};
  // Larger segments are merged once no write has come for idle_before_build: writes that come meanwhile would wait.
  std::int64_t busy_merge_rows_max = 128 << 10;
  // Collections keep their changes until DropChanges(); what a staged one is filled with is not kept.
  bool keep_changes = false;
};

struct Database {
  std::string id;
  std::string tenant;
  std::string name;
};

// Names a collection: by `id` if it is set, by tenant, database and name otherwise.
// With `id`, tenant and database still count where they are not empty: another tenant's collection is NOT_FOUND.
struct CollectionRef {
  std::string tenant = kDefaultTenant;
  std::string database = kDefaultDatabase;
  std::string name;
  std::string id;
};

// What the catalog knows of a collection. `dimension` and the sequence number live in the collection itself.
struct CollectionInfo {
  std::string id;  // UUID
  std::string tenant;
  std::string database;
  std::string name;
  Metric metric = Metric::kSquaredL2;
  HnswParameters hnsw;
  Metadata metadata;
  std::string client_configuration;  // opaque JSON of a client; "" if none
};

struct CollectionSpec {
  std::string tenant = kDefaultTenant;
  std::string database = kDefaultDatabase;
  std::string name;  // 3 to 512 of [a-zA-Z0-9._-], first and last alphanumeric, no "..", no IP address
  Metric metric = Metric::kSquaredL2;
  HnswParameters hnsw;
  Metadata metadata;
  std::string client_configuration;  // at most 64 KiB
};

struct CollectionUpdate {
  std::optional<std::string> name;
  std::optional<Metadata> metadata;  // replaces
  std::optional<HnswParameters> hnsw;
  std::optional<std::string> client_configuration;
};

// A second name of a collection, in the database of that collection. It resolves wherever a collection is named;
// answers carry the collection's own name and id. A name is a collection's or an alias, never both.
struct Alias {
  std::string tenant;
  std::string database;
  std::string name;           // the rule of collection names
  std::string collection;     // the collection's own name
  std::string collection_id;  // UUID
};

// What a collection was loaded from, kept with it until it is removed or replaced. All empty: it was not.
struct CollectionSource {
  std::string url;     // without what may be secret
  std::string etag;    // "" if the source has none
  std::string sha256;  // hex, of the file
};

// Which collections a caller may know of: the others are to it as if they were not there. Null: all. It is asked under
// the catalog's lock, about the very collection that is then given out or changed: it must be quick, and must not call
// the catalog.
using Visible = std::function<bool(const CollectionInfo& collection)>;

struct PublishOptions {
  // Take the place of a collection of the same name, which goes in the same step.
  bool replace = false;
  // Point here from that step on, whatever they pointed at before.
  std::vector<std::string> aliases;
  CollectionSource source;
  // An alias that leads to a collection that is not visible stays (ALIAS_EXISTS).
  Visible visible;
};

struct CollectionPage {
  std::vector<CollectionInfo> collections;  // in order of creation
  std::int64_t total = 0;
};

// What the catalog answers where there is no such thing.
absl::Status TenantNotFound(const std::string& tenant);
absl::Status DatabaseNotFound(const std::string& tenant, const std::string& database);
// ALREADY_EXISTS with the reason COLLECTION_EXISTS, or ALIAS_EXISTS if `holder`, what the name led to, has another.
absl::Status NameTaken(const std::string& name, const CollectionInfo& holder);

// A database has no more: all are in memory. Enough for every release of every ontology to have its own.
inline constexpr std::size_t kAliasesMax = 1024;
// Ids of replaced collections that still lead to their successor.
inline constexpr int kFormerIdsMax = 64;

class Catalog;

// A collection that is being filled and is not visible yet. Destroying it unpublished removes it from disk; after a
// crash the next Open() does.
// Thread safety: one thread at a time.
class StagedCollection {
 public:
  ~StagedCollection();
  StagedCollection(const StagedCollection&) = delete;
  StagedCollection& operator=(const StagedCollection&) = delete;

  Collection& collection() { return *collection_; }

  // Makes it visible under its name, in one durable step. ALREADY_EXISTS if the name is taken, unless `replace`: then
  // the old collection goes in the same step, its aliases point to the new one, and its id leads there too, so that a
  // client that keeps ids notices nothing (the last kFormerIdsMax ids do). An alias's name is never replaced
  // (ALIAS_EXISTS), nor is a collection by an alias (COLLECTION_EXISTS).
  absl::StatusOr<CollectionInfo> Publish(const PublishOptions& options);
  absl::StatusOr<CollectionInfo> Publish(bool replace);

 private:
  friend class Catalog;
  StagedCollection(Catalog& catalog, CollectionInfo info, std::shared_ptr<Collection> collection);
  Catalog& catalog_;
  CollectionInfo info_;
  std::shared_ptr<Collection> collection_;
  bool published_ = false;
};

// Thread safety: all members may be called from any thread. Must outlive the collections it gave out.
class Catalog {
 public:
  // Opens or makes the data directory: takes its lock, sweeps what a crash left, makes the default tenant and database.
  // FAILED_PRECONDITION with the reason DATA_DIR_LOCKED naming the holder's pid; FAILED_PRECONDITION with the reason
  // CHROMA_STORE naming the import command if the directory holds a Chroma store and nothing of ours; DATA_LOSS if the
  // catalog is damaged or of a newer format.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(CatalogOptions options);
  ~Catalog();

  // NOT_FOUND with the reasons TENANT_NOT_FOUND, DATABASE_NOT_FOUND, COLLECTION_NOT_FOUND, ALIAS_NOT_FOUND and
  // ALREADY_EXISTS with TENANT_EXISTS, DATABASE_EXISTS, COLLECTION_EXISTS, ALIAS_EXISTS are used throughout.
  absl::Status CreateTenant(const std::string& name);
  absl::Status GetTenant(const std::string& name) const;
  absl::StatusOr<std::vector<std::string>> ListTenants() const;
  absl::StatusOr<Database> CreateDatabase(const std::string& tenant, const std::string& name);
  absl::StatusOr<Database> GetDatabase(const std::string& tenant, const std::string& name) const;
  absl::StatusOr<std::vector<Database>> ListDatabases(const std::string& tenant) const;
  absl::Status DeleteDatabase(const std::string& tenant, const std::string& name);
  // Removes everything, then makes the default tenant and database again.
  absl::Status Reset();

  // `created` (may be null) says whether it was made now; it exists already: ALREADY_EXISTS unless `get_or_create`. So
  // it does where the name is an alias; one that leads to a collection the caller may not know of is taken.
  absl::StatusOr<CollectionInfo> CreateCollection(const CollectionSpec& spec, bool get_or_create, bool* created,
                                                  const Visible& visible = nullptr);
  absl::StatusOr<CollectionInfo> GetCollection(const CollectionRef& ref, const Visible& visible = nullptr) const;
  // A missing tenant or database has no collections. Offset, limit and total count the visible ones.
  absl::StatusOr<CollectionPage> ListCollections(const std::string& tenant, const std::string& database,
                                                 std::int64_t offset, std::int64_t limit,
                                                 const Visible& visible = nullptr) const;
  // All collections of all tenants, in order of creation.
  absl::StatusOr<std::vector<CollectionInfo>> ListAllCollections(const Visible& visible = nullptr) const;
  absl::StatusOr<CollectionInfo> UpdateCollection(const CollectionRef& ref, const CollectionUpdate& update,
                                                  const Visible& visible = nullptr);
  // Its aliases go with it.
  absl::Status DeleteCollection(const CollectionRef& ref, const Visible& visible = nullptr);

  // Makes `name` lead to the collection, in one durable step: a call before it sees the collection that it led to until
  // then, a call after it sees this one, and none sees neither. COLLECTION_EXISTS if a collection has the name;
  // ALIAS_EXISTS if it leads to a collection that the caller may not know of; RESOURCE_EXHAUSTED beyond kAliasesMax.
  absl::StatusOr<Alias> SetAlias(const std::string& name, const CollectionRef& ref, const Visible& visible = nullptr);
  absl::Status DeleteAlias(const std::string& tenant, const std::string& database, const std::string& name,
                           const Visible& visible = nullptr);
  // In order of their names; those of collections that are not visible are left out.
  absl::StatusOr<std::vector<Alias>> ListAliases(const std::string& tenant, const std::string& database,
                                                 const Visible& visible = nullptr) const;

  // Empty members if the collection was not loaded from a source.
  absl::StatusOr<CollectionSource> GetSource(const CollectionRef& ref) const;
  absl::Status SetSource(const CollectionRef& ref, const CollectionSource& source);

  // The collection itself, opened on first use: its segments are checked and its tail is read from SQLite.
  absl::StatusOr<std::shared_ptr<Collection>> OpenCollection(const CollectionRef& ref,
                                                             const Visible& visible = nullptr) const;

  // Those that are open by now.
  std::vector<std::shared_ptr<Collection>> OpenCollections() const;

  // Rises with every change of tenants, databases, collections (not their records), aliases and sources.
  std::int64_t changes() const;
  // All that, as bytes from which RestoreDataDir() (restore.h) makes it again.
  absl::StatusOr<std::string> Backup() const;

  absl::StatusOr<std::unique_ptr<StagedCollection>> StageCollection(const CollectionSpec& spec);
  // A collection of files that are there already, as bundle.h loads them: `fill` puts them into the directory that it
  // is given, without a lock held. ALREADY_EXISTS (COLLECTION_EXISTS) if another collection has `id`, a UUID, or had
  // it; "" is a new one. NOT_FOUND for a tenant or database that is not there.
  using FillDirectory = std::function<absl::Status(const std::filesystem::path& directory)>;
  absl::StatusOr<std::unique_ptr<StagedCollection>> StageFiles(const CollectionSpec& spec, const std::string& id,
                                                               const FillDirectory& fill);

 private:
  friend class StagedCollection;
  class Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace omics::index
