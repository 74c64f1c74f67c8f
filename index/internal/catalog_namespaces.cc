#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/uuid.h"
#include "index/internal/catalog_impl.h"
#include "index/internal/collection_spec.h"

namespace omics::index {

absl::Status Catalog::Impl::CreateTenant(const std::string& name) {
  OMICS_RETURN_IF_ERROR(ValidateNamespaceName("tenant", name));
  MutexLock change(change_mutex_);
  if (GetTenant(name).ok()) return CatalogExists("TENANT_EXISTS", absl::StrCat("tenant '", name, "' already exists"));
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
  OMICS_RETURN_IF_ERROR(ValidateNamespaceName("database", name));
  MutexLock change(change_mutex_);
  OMICS_RETURN_IF_ERROR(GetTenant(tenant));
  if (GetDatabase(tenant, name).ok()) {
    return CatalogExists("DATABASE_EXISTS",
                         absl::StrCat("database '", name, "' of tenant '", tenant, "' already exists"));
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

}  // namespace omics::index
