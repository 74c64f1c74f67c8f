// What is behind Catalog: the catalog's SQLite file, what of it is in memory, and the locks around both.
//
// Its members are defined by what they are about: catalog_impl.cc (loading, look-ups, changes, aliases),
// catalog_namespaces.cc (tenants and databases), catalog_staging.cc (making, publishing and removing collections).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "index/catalog.h"
#include "index/internal/builder.h"
#include "index/internal/catalog_store.h"
#include "index/internal/collection_impl.h"
#include "index/internal/data_dir.h"

namespace omics::index {

// NOT_FOUND and ALREADY_EXISTS with a reason.
absl::Status CatalogNotFound(const char* reason, const std::string& message);
absl::Status CatalogExists(const char* reason, const std::string& message);

using NameKey = std::tuple<std::string, std::string, std::string>;
inline NameKey KeyOf(const CollectionInfo& info) { return {info.tenant, info.database, info.name}; }

// Thread safety: all members may be called from any thread.
class Catalog::Impl {
 public:
  Impl(CatalogOptions options, DataDir dir, FileDescriptor lock, CatalogStore store)
      : options_(std::move(options)), dir_(std::move(dir)), lock_(std::move(lock)), store_(std::move(store)) {}

  absl::Status Load() ABSL_LOCKS_EXCLUDED(change_mutex_, mutex_);

  absl::Status CreateTenant(const std::string& name);
  absl::Status GetTenant(const std::string& name) const;
  std::vector<std::string> ListTenants() const;
  absl::StatusOr<Database> CreateDatabase(const std::string& tenant, const std::string& name);
  absl::StatusOr<Database> GetDatabase(const std::string& tenant, const std::string& name) const;
  std::vector<Database> ListDatabases(const std::string& tenant) const;
  absl::Status DeleteDatabase(const std::string& tenant, const std::string& name);
  absl::Status Reset();

  absl::StatusOr<CollectionInfo> CreateCollection(const CollectionSpec& spec, bool get_or_create, bool* created,
                                                  const Visible& visible);
  absl::StatusOr<CollectionInfo> GetCollection(const CollectionRef& ref, const Visible& visible) const;
  CollectionPage ListCollections(const std::string& tenant, const std::string& database, std::int64_t offset,
                                 std::int64_t limit, const Visible& visible) const;
  std::vector<CollectionInfo> ListAllCollections(const Visible& visible) const;
  absl::StatusOr<CollectionInfo> UpdateCollection(const CollectionRef& ref, const CollectionUpdate& update,
                                                  const Visible& visible);
  absl::Status DeleteCollection(const CollectionRef& ref, const Visible& visible);
  absl::StatusOr<std::shared_ptr<Collection>> OpenCollection(const CollectionRef& ref, const Visible& visible) const;
  std::vector<std::shared_ptr<Collection>> OpenCollections() const;
  std::int64_t changes() const;
  absl::StatusOr<std::string> Backup() const;

  absl::StatusOr<Alias> SetAlias(const std::string& name, const CollectionRef& ref, const Visible& visible);
  absl::Status DeleteAlias(const std::string& tenant, const std::string& database, const std::string& name,
                           const Visible& visible);
  std::vector<Alias> ListAliases(const std::string& tenant, const std::string& database, const Visible& visible) const;
  absl::StatusOr<CollectionSource> GetSource(const CollectionRef& ref);
  absl::Status SetSource(const CollectionRef& ref, const CollectionSource& source);

  // A collection in state 'creating', with its files.
  struct Staged {
    CollectionInfo info;
    std::shared_ptr<CollectionImpl> collection;
  };
  absl::StatusOr<Staged> Stage(const CollectionSpec& spec);
  absl::StatusOr<Staged> StageFiles(const CollectionSpec& spec, const std::string& id, const FillDirectory& fill);
  absl::Status Publish(const CollectionInfo& info, std::shared_ptr<Collection> collection,
                       const PublishOptions& options);
  void Discard(const CollectionInfo& info, Collection& collection);

 private:
  struct Entry {
    CollectionInfo info;
    // The open collection; null until the first use. Guarded by open_mutex, apart from the catalog's, so that opening
    // one does not stop the others.
    Mutex open_mutex;
    std::shared_ptr<CollectionImpl> collection ABSL_GUARDED_BY(open_mutex);
    bool removed ABSL_GUARDED_BY(open_mutex) = false;  // and no longer to be found; its files go
  };
  using EntryPtr = std::shared_ptr<Entry>;

  absl::StatusOr<EntryPtr> Find(const CollectionRef& ref, const Visible& visible) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckDatabase(const std::string& tenant, const std::string& database) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `replace`: a collection of that name does not count.
  absl::Status CheckNameFree(const CollectionInfo& info, bool replace) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckAlias(const std::string& name, const CollectionInfo& info, const Visible& visible) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // All that led to `replaced` leads to `entry`.
  void HandOn(const EntryPtr& replaced, const EntryPtr& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadNames() ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_, mutex_);
  void AddLive(std::int64_t number, const EntryPtr& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveLive(const CollectionInfo& info) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // CatalogStore::Drop, also on a full disk.
  absl::Status DropRows(const std::vector<std::string>& ids, const std::vector<std::string>& database_ids,
                        const std::vector<std::string>& tenants) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  // Takes the files of entries that the store already calls 'dropping'.
  void RemoveFiles(const std::vector<EntryPtr>& entries) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  absl::Status RemoveCollectionFiles(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  void SweepOrphans() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AddDefaults() ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  absl::StatusOr<Staged> StageLocked(const CollectionSpec& spec) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  absl::StatusOr<std::shared_ptr<CollectionImpl>> OpenFilled(const CollectionImpl::Place& place,
                                                             const FillDirectory& fill);
  // The row alone, in state 'creating'.
  absl::StatusOr<CollectionInfo> AddRow(const CollectionSpec& spec, const std::string& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  absl::Status PublishLocked(const CollectionInfo& info, std::shared_ptr<CollectionImpl> collection,
                             const PublishOptions& options) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  absl::Status CreateDatabaseLocked(const Database& database) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);

  const CatalogOptions options_;
  const DataDir dir_;
  const FileDescriptor lock_;

  // Changes are made one at a time, first in SQLite and then in memory; look-ups wait for the second part only.
  mutable Mutex change_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable CatalogStore store_ ABSL_GUARDED_BY(change_mutex_);
  std::unordered_map<std::string, std::int64_t> staged_numbers_ ABSL_GUARDED_BY(change_mutex_);

  mutable Mutex mutex_;
  std::vector<std::string> tenants_ ABSL_GUARDED_BY(mutex_);
  std::vector<Database> databases_ ABSL_GUARDED_BY(mutex_);
  std::map<std::int64_t, EntryPtr> live_ ABSL_GUARDED_BY(mutex_);  // by number: in order of creation
  std::unordered_map<std::string, EntryPtr> by_id_ ABSL_GUARDED_BY(mutex_);
  std::map<NameKey, EntryPtr> by_name_ ABSL_GUARDED_BY(mutex_);
  std::map<NameKey, EntryPtr> by_alias_ ABSL_GUARDED_BY(mutex_);  // no key is also one of by_name_
  std::unordered_map<std::string, EntryPtr> by_former_id_ ABSL_GUARDED_BY(mutex_);

  mutable Builder builder_;  // last: its thread ends before the collections do
};

}  // namespace omics::index
