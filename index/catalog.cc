#include "index/catalog.h"

#include <arpa/inet.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/uuid.h"
#include "index/internal/builder.h"
#include "index/internal/catalog_store.h"
#include "index/internal/collection_impl.h"
#include "index/internal/data_dir.h"

namespace omics::index {
namespace {

constexpr std::size_t kNameCharactersMin = 3;
constexpr std::size_t kNameCharactersMax = 512;
constexpr std::size_t kClientConfigurationBytesMax = 64 * 1024;

absl::Status NotFound(const char* reason, const std::string& message) {
  return WithReason(absl::NotFoundError(message), reason);
}

absl::Status Exists(const char* reason, const std::string& message) {
  return WithReason(absl::AlreadyExistsError(message), reason);
}

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
}

absl::Status CheckCollectionName(const std::string& name) {
  const auto alphanumeric = [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); };
  in_addr address;
  if (name.size() >= kNameCharactersMin && name.size() <= kNameCharactersMax && alphanumeric(name.front()) &&
      alphanumeric(name.back()) && std::all_of(name.begin(), name.end(), IsNameCharacter) &&
      name.find("..") == std::string::npos && ::inet_pton(AF_INET, name.c_str(), &address) != 1) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("'", name.substr(0, 64), "' is not a collection name: use ",
                                                 kNameCharactersMin, " to ", kNameCharactersMax,
                                                 " characters of [a-zA-Z0-9._-], the first and the last a letter or "
                                                 "digit, no two dots in a row, and no IP address"));
}

absl::Status CheckNamespaceName(const char* what, const std::string& name) {
  if (name.size() >= kNameCharactersMin && name.size() <= kNameCharactersMax &&
      std::none_of(name.begin(), name.end(), [](unsigned char c) { return absl::ascii_iscntrl(c); })) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("a ", what, " name has ", kNameCharactersMin, " to ",
                                                 kNameCharactersMax, " characters without control characters"));
}

absl::Status CheckSpec(const CollectionSpec& spec) {
  OMICS_RETURN_IF_ERROR(CheckCollectionName(spec.name));
  OMICS_RETURN_IF_ERROR(ValidateHnsw(spec.hnsw));
  OMICS_RETURN_IF_ERROR(ValidateMetadata(spec.metadata));
  if (spec.client_configuration.size() <= kClientConfigurationBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the client configuration has ", spec.client_configuration.size(),
                                                 " bytes; at most ", kClientConfigurationBytesMax, " are allowed"));
}

// "collection 'x' does not exist" and the like.
std::string Describe(const CollectionRef& ref) {
  if (!ref.id.empty()) return absl::StrCat("collection ", ref.id.substr(0, 64));
  return absl::StrCat("collection '", ref.name.substr(0, 512), "' of database '", ref.database.substr(0, 512), "'");
}

using NameKey = std::tuple<std::string, std::string, std::string>;
NameKey KeyOf(const CollectionInfo& info) { return {info.tenant, info.database, info.name}; }

}  // namespace

absl::Status TenantNotFound(const std::string& tenant) {
  return NotFound("TENANT_NOT_FOUND", absl::StrCat("tenant '", tenant.substr(0, 512), "' does not exist"));
}

absl::Status DatabaseNotFound(const std::string& tenant, const std::string& database) {
  return NotFound("DATABASE_NOT_FOUND", absl::StrCat("database '", database.substr(0, 512), "' of tenant '",
                                                     tenant.substr(0, 512), "' does not exist"));
}

absl::Status NameTaken(const std::string& name, const CollectionInfo& holder) {
  if (holder.name == name) {
    return Exists("COLLECTION_EXISTS", absl::StrCat("collection '", name.substr(0, 512), "' already exists"));
  }
  return Exists("ALIAS_EXISTS", absl::StrCat("'", name.substr(0, 512),
                                             "' is an alias: choose another name, or delete the alias first"));
}

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
  absl::Status PublishLocked(const CollectionInfo& info, std::shared_ptr<CollectionImpl> collection,
                             const PublishOptions& options) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  absl::Status CreateDatabaseLocked(const Database& database) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);

  const CatalogOptions options_;
  const DataDir dir_;
  const FileDescriptor lock_;

  // Changes are made one at a time, first in SQLite and then in memory; look-ups wait for the second part only.
  Mutex change_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  CatalogStore store_ ABSL_GUARDED_BY(change_mutex_);
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

absl::Status Catalog::Impl::Load() {
  MutexLock change(change_mutex_);
  MakeReserve(dir_);
  OMICS_ASSIGN_OR_RETURN(const std::vector<CatalogRow> rows, store_.Collections());
  {
    MutexLock lock(mutex_);
    OMICS_ASSIGN_OR_RETURN(tenants_, store_.Tenants());
    OMICS_ASSIGN_OR_RETURN(databases_, store_.Databases());
    for (const CatalogRow& row : rows) {
      if (row.state != CollectionState::kLive) continue;
      auto entry = std::make_shared<Entry>();
      entry->info = row.info;
      AddLive(row.number, entry);
    }
    OMICS_RETURN_IF_ERROR(LoadNames());
  }
  for (const CatalogRow& row : rows) {
    if (row.state != CollectionState::kLive) OMICS_RETURN_IF_ERROR(RemoveCollectionFiles(row.info.id));
  }
  {
    MutexLock lock(mutex_);
    SweepOrphans();
  }
  return AddDefaults();
}

absl::Status Catalog::Impl::LoadNames() {
  OMICS_ASSIGN_OR_RETURN(const std::vector<Alias> aliases, store_.Aliases());
  for (const Alias& alias : aliases) {
    const auto found = by_id_.find(alias.collection_id);
    if (found != by_id_.end()) by_alias_[{alias.tenant, alias.database, alias.name}] = found->second;
  }
  OMICS_ASSIGN_OR_RETURN(const std::vector<CatalogStore::FormerId> ids, store_.FormerIds());
  for (const CatalogStore::FormerId& former : ids) {
    const auto found = by_id_.find(former.collection_id);
    if (found != by_id_.end()) by_former_id_[former.id] = found->second;
  }
  return absl::OkStatus();
}

// Directories that no row speaks of: made by a creation that a crash undid.
void Catalog::Impl::SweepOrphans() {
  std::error_code ignored;
  std::vector<std::filesystem::path> orphans;
  for (const auto& entry : std::filesystem::directory_iterator(dir_.collections(), ignored)) {
    if (!by_id_.contains(entry.path().filename().string())) orphans.push_back(entry.path());
  }
  for (const std::filesystem::path& path : orphans) std::filesystem::remove_all(path, ignored);
}

absl::Status Catalog::Impl::AddDefaults() {
  if (!GetTenant(kDefaultTenant).ok()) {
    OMICS_RETURN_IF_ERROR(store_.AddTenant(kDefaultTenant));
    MutexLock lock(mutex_);
    tenants_.emplace_back(kDefaultTenant);
  }
  if (GetDatabase(kDefaultTenant, kDefaultDatabase).ok()) return absl::OkStatus();
  return CreateDatabaseLocked({MakeUuid(), kDefaultTenant, kDefaultDatabase});
}

void Catalog::Impl::AddLive(std::int64_t number, const EntryPtr& entry) {
  live_[number] = entry;
  by_id_[entry->info.id] = entry;
  by_name_[KeyOf(entry->info)] = entry;
}

void Catalog::Impl::RemoveLive(const CollectionInfo& info) {
  std::erase_if(live_, [&](const auto& item) { return item.second->info.id == info.id; });
  const auto leads_here = [&](const auto& item) { return item.second->info.id == info.id; };
  std::erase_if(by_alias_, leads_here);
  std::erase_if(by_former_id_, leads_here);
  by_name_.erase(KeyOf(info));
  by_id_.erase(info.id);
}

void Catalog::Impl::HandOn(const EntryPtr& replaced, const EntryPtr& entry) {
  for (auto& [key, led_to] : by_alias_) {
    if (led_to == replaced) led_to = entry;
  }
  for (auto& [id, led_to] : by_former_id_) {
    if (led_to == replaced) led_to = entry;
  }
  by_former_id_[replaced->info.id] = entry;
}

absl::Status Catalog::Impl::CreateTenant(const std::string& name) {
  OMICS_RETURN_IF_ERROR(CheckNamespaceName("tenant", name));
  MutexLock change(change_mutex_);
  if (GetTenant(name).ok()) return Exists("TENANT_EXISTS", absl::StrCat("tenant '", name, "' already exists"));
  OMICS_RETURN_IF_ERROR(store_.AddTenant(name));
  MutexLock lock(mutex_);
  tenants_.push_back(name);
  return absl::OkStatus();
}

absl::Status Catalog::Impl::GetTenant(const std::string& name) const {
  MutexLock lock(mutex_);
  if (std::find(tenants_.begin(), tenants_.end(), name) != tenants_.end()) return absl::OkStatus();
  return TenantNotFound(name);
}

std::vector<std::string> Catalog::Impl::ListTenants() const {
  MutexLock lock(mutex_);
  return tenants_;
}

absl::StatusOr<Database> Catalog::Impl::CreateDatabase(const std::string& tenant, const std::string& name) {
  OMICS_RETURN_IF_ERROR(CheckNamespaceName("database", name));
  MutexLock change(change_mutex_);
  OMICS_RETURN_IF_ERROR(GetTenant(tenant));
  if (GetDatabase(tenant, name).ok()) {
    return Exists("DATABASE_EXISTS", absl::StrCat("database '", name, "' of tenant '", tenant, "' already exists"));
  }
  const Database database = {MakeUuid(), tenant, name};
  OMICS_RETURN_IF_ERROR(CreateDatabaseLocked(database));
  return database;
}

absl::Status Catalog::Impl::CreateDatabaseLocked(const Database& database) {
  OMICS_RETURN_IF_ERROR(store_.AddDatabase(database));
  MutexLock lock(mutex_);
  databases_.push_back(database);
  return absl::OkStatus();
}

absl::StatusOr<Database> Catalog::Impl::GetDatabase(const std::string& tenant, const std::string& name) const {
  MutexLock lock(mutex_);
  for (const Database& database : databases_) {
    if (database.tenant == tenant && database.name == name) return database;
  }
  return DatabaseNotFound(tenant, name);
}

std::vector<Database> Catalog::Impl::ListDatabases(const std::string& tenant) const {
  MutexLock lock(mutex_);
  std::vector<Database> found;
  std::copy_if(databases_.begin(), databases_.end(), std::back_inserter(found),
               [&](const Database& database) { return database.tenant == tenant; });
  return found;
}

absl::Status Catalog::Impl::DeleteDatabase(const std::string& tenant, const std::string& name) {
  MutexLock change(change_mutex_);
  OMICS_ASSIGN_OR_RETURN(const Database database, GetDatabase(tenant, name));
  std::vector<EntryPtr> dropped;
  std::vector<std::string> ids;
  {
    MutexLock lock(mutex_);
    for (const auto& [number, entry] : live_) {
      if (entry->info.tenant != tenant || entry->info.database != name) continue;
      dropped.push_back(entry);
      ids.push_back(entry->info.id);
    }
  }
  OMICS_RETURN_IF_ERROR(DropRows(ids, {database.id}, {}));
  {
    MutexLock lock(mutex_);
    std::erase_if(databases_, [&](const Database& other) { return other.id == database.id; });
    for (const EntryPtr& entry : dropped) RemoveLive(entry->info);
  }
  RemoveFiles(dropped);
  return absl::OkStatus();
}

absl::Status Catalog::Impl::Reset() {
  MutexLock change(change_mutex_);
  std::vector<EntryPtr> dropped;
  std::vector<std::string> ids, database_ids, tenants;
  {
    MutexLock lock(mutex_);
    for (const auto& [number, entry] : live_) {
      dropped.push_back(entry);
      ids.push_back(entry->info.id);
    }
    for (const Database& database : databases_) database_ids.push_back(database.id);
    tenants = tenants_;
  }
  OMICS_RETURN_IF_ERROR(DropRows(ids, database_ids, tenants));
  {
    MutexLock lock(mutex_);
    tenants_.clear();
    databases_.clear();
    live_.clear();
    by_id_.clear();
    by_name_.clear();
    by_alias_.clear();
    by_former_id_.clear();
  }
  RemoveFiles(dropped);
  return AddDefaults();
}

absl::Status Catalog::Impl::CheckDatabase(const std::string& tenant, const std::string& database) const {
  for (const Database& known : databases_) {
    if (known.tenant == tenant && known.name == database) return absl::OkStatus();
  }
  const bool tenant_known = std::find(tenants_.begin(), tenants_.end(), tenant) != tenants_.end();
  return tenant_known ? DatabaseNotFound(tenant, database) : TenantNotFound(tenant);
}

absl::Status Catalog::Impl::CheckNameFree(const CollectionInfo& info, bool replace) const {
  if (const auto alias = by_alias_.find(KeyOf(info)); alias != by_alias_.end()) {
    return NameTaken(info.name, alias->second->info);
  }
  return !replace && by_name_.contains(KeyOf(info)) ? NameTaken(info.name, info) : absl::OkStatus();
}

absl::Status Catalog::Impl::CheckAlias(const std::string& name, const CollectionInfo& info,
                                       const Visible& visible) const {
  OMICS_RETURN_IF_ERROR(CheckCollectionName(name));
  const NameKey key = {info.tenant, info.database, name};
  if (name == info.name || by_name_.contains(key)) {
    return Exists("COLLECTION_EXISTS", absl::StrCat("'", name, "' is a collection: choose another name for the alias"));
  }
  if (const auto known = by_alias_.find(key); known != by_alias_.end()) {
    const CollectionInfo& led_to = known->second->info;
    return !visible || visible(led_to) ? absl::OkStatus() : NameTaken(name, led_to);
  }
  const auto of_database = [&](const auto& item) {
    return std::get<0>(item.first) == info.tenant && std::get<1>(item.first) == info.database;
  };
  if (std::count_if(by_alias_.begin(), by_alias_.end(), of_database) < std::ptrdiff_t{kAliasesMax}) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("database '", info.database, "' has ", kAliasesMax, " aliases: delete one first"));
}

absl::StatusOr<Catalog::Impl::EntryPtr> Catalog::Impl::Find(const CollectionRef& ref, const Visible& visible) const {
  EntryPtr entry;
  if (!ref.id.empty()) {
    const auto found = by_id_.find(absl::AsciiStrToLower(ref.id));
    if (found != by_id_.end()) entry = found->second;
    const auto former = by_former_id_.find(absl::AsciiStrToLower(ref.id));
    if (!entry && former != by_former_id_.end()) entry = former->second;
    const bool elsewhere = entry && ((!ref.tenant.empty() && ref.tenant != entry->info.tenant) ||
                                     (!ref.database.empty() && ref.database != entry->info.database));
    if (elsewhere) entry = nullptr;
  } else if (const auto found = by_name_.find({ref.tenant, ref.database, ref.name}); found != by_name_.end()) {
    entry = found->second;
  } else if (const auto alias = by_alias_.find({ref.tenant, ref.database, ref.name}); alias != by_alias_.end()) {
    entry = alias->second;
  }
  if (entry && (!visible || visible(entry->info))) return entry;
  return NotFound("COLLECTION_NOT_FOUND", Describe(ref) + " does not exist");
}

absl::StatusOr<CollectionInfo> Catalog::Impl::CreateCollection(const CollectionSpec& spec, bool get_or_create,
                                                               bool* created, const Visible& visible) {
  if (created) *created = false;
  OMICS_RETURN_IF_ERROR(CheckCollectionName(spec.name));
  MutexLock change(change_mutex_);
  const absl::StatusOr<CollectionInfo> existing = GetCollection({spec.tenant, spec.database, spec.name, ""}, nullptr);
  if (existing.ok() && get_or_create && (!visible || visible(*existing))) return existing;
  if (existing.ok()) return NameTaken(spec.name, *existing);
  OMICS_ASSIGN_OR_RETURN(Staged staged, StageLocked(spec));
  const absl::Status published = PublishLocked(staged.info, staged.collection, PublishOptions());
  if (!published.ok()) {
    RemoveCollectionFiles(staged.info.id).IgnoreError();
    return published;
  }
  if (created) *created = true;
  return staged.info;
}

absl::StatusOr<Catalog::Impl::Staged> Catalog::Impl::Stage(const CollectionSpec& spec) {
  MutexLock change(change_mutex_);
  return StageLocked(spec);
}

absl::StatusOr<Catalog::Impl::Staged> Catalog::Impl::StageLocked(const CollectionSpec& spec) {
  OMICS_RETURN_IF_ERROR(CheckSpec(spec));
  Staged staged;
  staged.info = {MakeUuid(),  spec.tenant, spec.database, spec.name,
                 spec.metric, spec.hnsw,   spec.metadata, spec.client_configuration};
  {
    MutexLock lock(mutex_);
    OMICS_RETURN_IF_ERROR(CheckDatabase(spec.tenant, spec.database));
    // A collection of the name may still go, or be replaced; work for an alias's name would be for nothing.
    OMICS_RETURN_IF_ERROR(CheckNameFree(staged.info, /*replace=*/true));
  }
  OMICS_ASSIGN_OR_RETURN(staged_numbers_[staged.info.id], store_.AddCollection(staged.info));
  const CollectionImpl::Place place = {dir_.collection(staged.info.id), spec.metric, spec.hnsw};
  absl::StatusOr<std::shared_ptr<CollectionImpl>> collection = CollectionImpl::Create(place, options_, builder_);
  if (!collection.ok()) {
    RemoveCollectionFiles(staged.info.id).IgnoreError();
    return collection.status();
  }
  staged.collection = *std::move(collection);
  return staged;
}

absl::Status Catalog::Impl::Publish(const CollectionInfo& info, std::shared_ptr<Collection> collection,
                                    const PublishOptions& options) {
  MutexLock change(change_mutex_);
  return PublishLocked(info, std::static_pointer_cast<CollectionImpl>(std::move(collection)), options);
}

absl::Status Catalog::Impl::PublishLocked(const CollectionInfo& info, std::shared_ptr<CollectionImpl> collection,
                                          const PublishOptions& options) {
  EntryPtr replaced;
  {
    MutexLock lock(mutex_);
    OMICS_RETURN_IF_ERROR(CheckDatabase(info.tenant, info.database));
    OMICS_RETURN_IF_ERROR(CheckNameFree(info, options.replace));
    for (const std::string& alias : options.aliases) OMICS_RETURN_IF_ERROR(CheckAlias(alias, info, nullptr));
    if (const auto found = by_name_.find(KeyOf(info)); found != by_name_.end()) replaced = found->second;
  }
  OMICS_RETURN_IF_ERROR(store_.MakeLive(info, replaced ? replaced->info.id : "", options));
  auto entry = std::make_shared<Entry>();
  entry->info = info;
  {
    MutexLock open(entry->open_mutex);
    entry->collection = std::move(collection);
  }
  {
    MutexLock lock(mutex_);
    if (replaced) {
      HandOn(replaced, entry);
      RemoveLive(replaced->info);
    }
    AddLive(staged_numbers_[info.id], entry);
    for (const std::string& alias : options.aliases) by_alias_[{info.tenant, info.database, alias}] = entry;
  }
  staged_numbers_.erase(info.id);
  if (replaced) RemoveFiles({replaced});
  return absl::OkStatus();
}

void Catalog::Impl::Discard(const CollectionInfo& info, Collection& collection) {
  MutexLock change(change_mutex_);
  static_cast<CollectionImpl&>(collection).MarkDropped();
  // What cannot be removed now is removed by the next Open(): its row still says 'creating'.
  RemoveCollectionFiles(info.id).IgnoreError();
}

absl::Status Catalog::Impl::DropRows(const std::vector<std::string>& ids, const std::vector<std::string>& database_ids,
                                     const std::vector<std::string>& tenants) {
  const absl::Status dropped = store_.Drop(ids, database_ids, tenants);
  if (Reason(dropped) != "DISK_FULL") return dropped;
  ReleaseReserve(dir_);
  return store_.Drop(ids, database_ids, tenants);
}

void Catalog::Impl::RemoveFiles(const std::vector<EntryPtr>& entries) {
  for (const EntryPtr& entry : entries) {
    {
      MutexLock open(entry->open_mutex);
      if (entry->collection) entry->collection->MarkDropped();
      entry->collection = nullptr;
      entry->removed = true;
    }
    // As above: the row says 'dropping'.
    RemoveCollectionFiles(entry->info.id).IgnoreError();
  }
  MakeReserve(dir_);
}

absl::Status Catalog::Impl::RemoveCollectionFiles(const std::string& id) {
  staged_numbers_.erase(id);
  std::error_code error;
  std::filesystem::remove_all(dir_.collection(id), error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("remove ", dir_.collection(id).string()));
  return store_.Forget(id);
}

absl::StatusOr<CollectionInfo> Catalog::Impl::GetCollection(const CollectionRef& ref, const Visible& visible) const {
  MutexLock lock(mutex_);
  OMICS_ASSIGN_OR_RETURN(const EntryPtr entry, Find(ref, visible));
  return entry->info;
}

CollectionPage Catalog::Impl::ListCollections(const std::string& tenant, const std::string& database,
                                              std::int64_t offset, std::int64_t limit, const Visible& visible) const {
  MutexLock lock(mutex_);
  CollectionPage page;
  for (const auto& [number, entry] : live_) {
    if (entry->info.tenant != tenant || entry->info.database != database) continue;
    if (visible && !visible(entry->info)) continue;
    const std::int64_t place = page.total++;
    if (place >= offset && place - offset < limit) page.collections.push_back(entry->info);
  }
  return page;
}

std::vector<CollectionInfo> Catalog::Impl::ListAllCollections(const Visible& visible) const {
  MutexLock lock(mutex_);
  std::vector<CollectionInfo> all;
  all.reserve(live_.size());
  for (const auto& [number, entry] : live_) {
    if (!visible || visible(entry->info)) all.push_back(entry->info);
  }
  return all;
}

absl::StatusOr<CollectionInfo> Catalog::Impl::UpdateCollection(const CollectionRef& ref, const CollectionUpdate& update,
                                                               const Visible& visible) {
  MutexLock change(change_mutex_);
  OMICS_ASSIGN_OR_RETURN(CollectionInfo info, GetCollection(ref, visible));
  const CollectionInfo before = info;
  if (update.name) info.name = *update.name;
  if (update.metadata) info.metadata = *update.metadata;
  if (update.hnsw) info.hnsw = *update.hnsw;
  if (update.client_configuration) info.client_configuration = *update.client_configuration;
  OMICS_RETURN_IF_ERROR(CheckSpec(
      {info.tenant, info.database, info.name, info.metric, info.hnsw, info.metadata, info.client_configuration}));
  if (info.name != before.name) {
    MutexLock lock(mutex_);
    OMICS_RETURN_IF_ERROR(CheckNameFree(info, /*replace=*/false));
  }
  OMICS_RETURN_IF_ERROR(store_.UpdateCollection(info));
  EntryPtr entry;
  {
    MutexLock lock(mutex_);
    entry = by_id_.at(info.id);
    by_name_.erase(KeyOf(before));
    by_name_[KeyOf(info)] = entry;
    entry->info = info;
  }
  MutexLock open(entry->open_mutex);
  if (entry->collection) entry->collection->SetHnsw(info.hnsw);
  return info;
}

absl::Status Catalog::Impl::DeleteCollection(const CollectionRef& ref, const Visible& visible) {
  MutexLock change(change_mutex_);
  EntryPtr entry;
  {
    MutexLock lock(mutex_);
    OMICS_ASSIGN_OR_RETURN(entry, Find(ref, visible));
  }
  OMICS_RETURN_IF_ERROR(DropRows({entry->info.id}, {}, {}));
  {
    MutexLock lock(mutex_);
    RemoveLive(entry->info);
  }
  RemoveFiles({entry});
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Collection>> Catalog::Impl::OpenCollection(const CollectionRef& ref,
                                                                          const Visible& visible) const {
  while (true) {
    EntryPtr entry;
    CollectionImpl::Place place;
    {
      MutexLock lock(mutex_);
      OMICS_ASSIGN_OR_RETURN(entry, Find(ref, visible));
      place = {dir_.collection(entry->info.id), entry->info.metric, entry->info.hnsw};
    }
    MutexLock open(entry->open_mutex);
    if (entry->removed) continue;  // since it was found: another may have taken its place
    if (!entry->collection) {
      OMICS_ASSIGN_OR_RETURN(entry->collection, CollectionImpl::Open(place, options_, builder_));
    }
    return entry->collection;
  }
}

std::vector<std::shared_ptr<Collection>> Catalog::Impl::OpenCollections() const {
  std::vector<EntryPtr> entries;
  {
    MutexLock lock(mutex_);
    for (const auto& [number, entry] : live_) entries.push_back(entry);
  }
  std::vector<std::shared_ptr<Collection>> open;
  for (const EntryPtr& entry : entries) {
    MutexLock lock(entry->open_mutex);
    if (entry->collection && !entry->removed) open.push_back(entry->collection);
  }
  return open;
}

absl::StatusOr<Alias> Catalog::Impl::SetAlias(const std::string& name, const CollectionRef& ref,
                                              const Visible& visible) {
  MutexLock change(change_mutex_);
  EntryPtr entry;
  {
    MutexLock lock(mutex_);
    OMICS_ASSIGN_OR_RETURN(entry, Find(ref, visible));
    OMICS_RETURN_IF_ERROR(CheckAlias(name, entry->info, visible));
  }
  const CollectionInfo& info = entry->info;
  Alias alias = {info.tenant, info.database, name, info.name, info.id};
  OMICS_RETURN_IF_ERROR(store_.SetAlias(alias));
  MutexLock lock(mutex_);
  by_alias_[{info.tenant, info.database, name}] = entry;
  return alias;
}

absl::Status Catalog::Impl::DeleteAlias(const std::string& tenant, const std::string& database, const std::string& name,
                                        const Visible& visible) {
  MutexLock change(change_mutex_);
  const NameKey key = {tenant, database, name};
  {
    MutexLock lock(mutex_);
    const auto found = by_alias_.find(key);
    if (found == by_alias_.end() || (visible && !visible(found->second->info))) {
      return NotFound("ALIAS_NOT_FOUND", absl::StrCat("alias '", name.substr(0, 512), "' of database '",
                                                      database.substr(0, 512), "' does not exist"));
    }
  }
  OMICS_RETURN_IF_ERROR(store_.DeleteAlias(tenant, database, name));
  MutexLock lock(mutex_);
  by_alias_.erase(key);
  return absl::OkStatus();
}

std::vector<Alias> Catalog::Impl::ListAliases(const std::string& tenant, const std::string& database,
                                              const Visible& visible) const {
  MutexLock lock(mutex_);
  std::vector<Alias> aliases;
  for (const auto& [key, entry] : by_alias_) {
    const auto& [of_tenant, of_database, name] = key;
    if (of_tenant != tenant || of_database != database || (visible && !visible(entry->info))) continue;
    aliases.push_back({tenant, database, name, entry->info.name, entry->info.id});
  }
  return aliases;
}

absl::StatusOr<CollectionSource> Catalog::Impl::GetSource(const CollectionRef& ref) {
  MutexLock change(change_mutex_);
  OMICS_ASSIGN_OR_RETURN(const CollectionInfo info, GetCollection(ref, nullptr));
  return store_.Source(info.id);
}

absl::Status Catalog::Impl::SetSource(const CollectionRef& ref, const CollectionSource& source) {
  MutexLock change(change_mutex_);
  OMICS_ASSIGN_OR_RETURN(const CollectionInfo info, GetCollection(ref, nullptr));
  return store_.SetSource(info.id, source);
}

StagedCollection::StagedCollection(Catalog& catalog, CollectionInfo info, std::shared_ptr<Collection> collection)
    : catalog_(catalog), info_(std::move(info)), collection_(std::move(collection)) {}

StagedCollection::~StagedCollection() {
  if (!published_) catalog_.impl_->Discard(info_, *collection_);
}

absl::StatusOr<CollectionInfo> StagedCollection::Publish(const PublishOptions& options) {
  OMICS_RETURN_IF_ERROR(catalog_.impl_->Publish(info_, collection_, options));
  published_ = true;
  return info_;
}

absl::StatusOr<CollectionInfo> StagedCollection::Publish(bool replace) {
  PublishOptions options;
  options.replace = replace;
  return Publish(options);
}

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(CatalogOptions options) {
  const DataDir dir = {options.data_dir};
  if (!options.beside_chroma_store) OMICS_RETURN_IF_ERROR(RefuseChromaStore(dir));
  OMICS_ASSIGN_OR_RETURN(FileDescriptor lock, LockDataDir(dir));
  OMICS_ASSIGN_OR_RETURN(CatalogStore store, CatalogStore::Open(dir.catalog_file()));
  auto impl = std::make_unique<Impl>(std::move(options), dir, std::move(lock), std::move(store));
  OMICS_RETURN_IF_ERROR(impl->Load());
  return std::unique_ptr<Catalog>(new Catalog(std::move(impl)));
}

Catalog::Catalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Catalog::~Catalog() = default;

absl::Status Catalog::CreateTenant(const std::string& name) { return impl_->CreateTenant(name); }
absl::Status Catalog::GetTenant(const std::string& name) const { return impl_->GetTenant(name); }
absl::StatusOr<std::vector<std::string>> Catalog::ListTenants() const { return impl_->ListTenants(); }
absl::StatusOr<Database> Catalog::CreateDatabase(const std::string& tenant, const std::string& name) {
  return impl_->CreateDatabase(tenant, name);
}
absl::StatusOr<Database> Catalog::GetDatabase(const std::string& tenant, const std::string& name) const {
  return impl_->GetDatabase(tenant, name);
}
absl::StatusOr<std::vector<Database>> Catalog::ListDatabases(const std::string& tenant) const {
  return impl_->ListDatabases(tenant);
}
absl::Status Catalog::DeleteDatabase(const std::string& tenant, const std::string& name) {
  return impl_->DeleteDatabase(tenant, name);
}
absl::Status Catalog::Reset() { return impl_->Reset(); }
absl::StatusOr<CollectionInfo> Catalog::CreateCollection(const CollectionSpec& spec, bool get_or_create, bool* created,
                                                         const Visible& visible) {
  return impl_->CreateCollection(spec, get_or_create, created, visible);
}
absl::StatusOr<CollectionInfo> Catalog::GetCollection(const CollectionRef& ref, const Visible& visible) const {
  return impl_->GetCollection(ref, visible);
}
absl::StatusOr<CollectionPage> Catalog::ListCollections(const std::string& tenant, const std::string& database,
                                                        std::int64_t offset, std::int64_t limit,
                                                        const Visible& visible) const {
  return impl_->ListCollections(tenant, database, offset, limit, visible);
}
absl::StatusOr<std::vector<CollectionInfo>> Catalog::ListAllCollections(const Visible& visible) const {
  return impl_->ListAllCollections(visible);
}
absl::StatusOr<CollectionInfo> Catalog::UpdateCollection(const CollectionRef& ref, const CollectionUpdate& update,
                                                         const Visible& visible) {
  return impl_->UpdateCollection(ref, update, visible);
}
absl::Status Catalog::DeleteCollection(const CollectionRef& ref, const Visible& visible) {
  return impl_->DeleteCollection(ref, visible);
}
absl::StatusOr<std::shared_ptr<Collection>> Catalog::OpenCollection(const CollectionRef& ref,
                                                                    const Visible& visible) const {
  return impl_->OpenCollection(ref, visible);
}

std::vector<std::shared_ptr<Collection>> Catalog::OpenCollections() const { return impl_->OpenCollections(); }

absl::StatusOr<Alias> Catalog::SetAlias(const std::string& name, const CollectionRef& ref, const Visible& visible) {
  return impl_->SetAlias(name, ref, visible);
}
absl::Status Catalog::DeleteAlias(const std::string& tenant, const std::string& database, const std::string& name,
                                  const Visible& visible) {
  return impl_->DeleteAlias(tenant, database, name, visible);
}
absl::StatusOr<std::vector<Alias>> Catalog::ListAliases(const std::string& tenant, const std::string& database,
                                                        const Visible& visible) const {
  return impl_->ListAliases(tenant, database, visible);
}
absl::StatusOr<CollectionSource> Catalog::GetSource(const CollectionRef& ref) const { return impl_->GetSource(ref); }
absl::Status Catalog::SetSource(const CollectionRef& ref, const CollectionSource& source) {
  return impl_->SetSource(ref, source);
}

absl::StatusOr<std::unique_ptr<StagedCollection>> Catalog::StageCollection(const CollectionSpec& spec) {
  OMICS_ASSIGN_OR_RETURN(Impl::Staged staged, impl_->Stage(spec));
  return std::unique_ptr<StagedCollection>(
      new StagedCollection(*this, std::move(staged.info), std::move(staged.collection)));
}

}  // namespace omics::index
