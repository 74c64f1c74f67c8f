#include "index/internal/catalog_impl.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/uuid.h"
#include "index/internal/collection_spec.h"
#include "index/internal/packed.h"

namespace omics::index {
namespace {

// "collection 'x' does not exist" and the like.
std::string Describe(const CollectionRef& ref) {
  if (!ref.id.empty()) return absl::StrCat("collection ", ref.id.substr(0, 64));
  return absl::StrCat("collection '", ref.name.substr(0, 512), "' of database '", ref.database.substr(0, 512), "'");
}

}  // namespace

absl::Status CatalogNotFound(const char* reason, const std::string& message) {
  return WithReason(absl::NotFoundError(message), reason);
}

absl::Status CatalogExists(const char* reason, const std::string& message) {
  return WithReason(absl::AlreadyExistsError(message), reason);
}

absl::Status TenantNotFound(const std::string& tenant) {
  return CatalogNotFound("TENANT_NOT_FOUND", absl::StrCat("tenant '", tenant.substr(0, 512), "' does not exist"));
}

absl::Status DatabaseNotFound(const std::string& tenant, const std::string& database) {
  return CatalogNotFound("DATABASE_NOT_FOUND", absl::StrCat("database '", database.substr(0, 512), "' of tenant '",
                                                            tenant.substr(0, 512), "' does not exist"));
}

absl::Status NameTaken(const std::string& name, const CollectionInfo& holder) {
  if (holder.name == name) {
    return CatalogExists("COLLECTION_EXISTS", absl::StrCat("collection '", name.substr(0, 512), "' already exists"));
  }
  return CatalogExists("ALIAS_EXISTS", absl::StrCat("'", name.substr(0, 512),
                                                    "' is an alias: choose another name, or delete the alias first"));
}

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
  OMICS_RETURN_IF_ERROR(ValidateCollectionName(name));
  const NameKey key = {info.tenant, info.database, name};
  if (name == info.name || by_name_.contains(key)) {
    return CatalogExists("COLLECTION_EXISTS",
                         absl::StrCat("'", name, "' is a collection: choose another name for the alias"));
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
  return CatalogNotFound("COLLECTION_NOT_FOUND", Describe(ref) + " does not exist");
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
  OMICS_RETURN_IF_ERROR(ValidateSpec(
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
      OMICS_ASSIGN_OR_RETURN(std::shared_ptr<CollectionImpl> opened, CollectionImpl::Open(place, options_, builder_));
      if (options_.keep_changes) OMICS_RETURN_IF_ERROR(opened->KeepChanges());
      entry->collection = std::move(opened);
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

std::int64_t Catalog::Impl::changes() const {
  MutexLock change(change_mutex_);
  return store_.changes();
}

absl::StatusOr<std::string> Catalog::Impl::Backup() const {
  const std::filesystem::path copy = dir_.root / "catalog.backup.partial";
  std::string bytes;
  {
    MutexLock change(change_mutex_);
    std::error_code ignored;
    std::filesystem::remove(copy, ignored);
    OMICS_RETURN_IF_ERROR(store_.CopyTo(copy));
    OMICS_ASSIGN_OR_RETURN(bytes, ReadWholeFile(copy));
    std::filesystem::remove(copy, ignored);
  }
  return Pack(bytes);
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
      return CatalogNotFound("ALIAS_NOT_FOUND", absl::StrCat("alias '", name.substr(0, 512), "' of database '",
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

}  // namespace omics::index
