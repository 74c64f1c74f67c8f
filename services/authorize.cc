#include "services/authorize.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::services {
namespace {

constexpr Rule kRules[] = {
    // VectorService. CreateCollection: AuthorizedCatalog asks for more unless the collection exists.
    {"CreateCollection", Role::kRead},
    {"GetCollection", Role::kRead},
    {"ListCollections", Role::kRead},
    {"UpdateCollection", Role::kWrite},
    {"DeleteCollection", Role::kWrite},
    {"Insert", Role::kWrite},
    {"Upsert", Role::kWrite},
    {"Update", Role::kWrite},
    {"Delete", Role::kWrite},
    {"Get", Role::kRead},
    {"Count", Role::kRead},
    {"Query", Role::kRead},
    {"QueryStream", Role::kRead},
    {"Export", Role::kRead},
    // AdminService.
    {"GetIdentity", Role::kRead},
    {"CreateTenant", Role::kAdmin, Reach::kInstance},
    {"GetTenant", Role::kRead},
    {"ListTenants", Role::kRead},
    {"CreateDatabase", Role::kAdmin},
    {"GetDatabase", Role::kRead},
    {"ListDatabases", Role::kRead},
    {"DeleteDatabase", Role::kAdmin},
    {"Reset", Role::kAdmin, Reach::kInstance},
    {"ImportChroma", Role::kAdmin},
    {"LoadBundle", Role::kAdmin},
    {"SaveBundle", Role::kAdmin},
    {"Compact", Role::kAdmin},
    {"MeasureRecall", Role::kRead},
    {"GetStatus", Role::kRead},
    {"SetAlias", Role::kAdmin},
    {"DeleteAlias", Role::kAdmin},
    {"ListAliases", Role::kRead},
};

absl::Status Denied(const char* reason, const std::string& message) {
  return WithReason(absl::PermissionDeniedError(message), reason);
}

absl::Status RequireRole(const Principal& caller, Role role, std::string_view what) {
  if (caller.role >= role) return absl::OkStatus();
  return Denied("ROLE_TOO_LOW", absl::StrCat(ToAbsl(what), " needs a token of role ", ToAbsl(RoleName(role)),
                                             "; this one has role ", ToAbsl(RoleName(caller.role))));
}

absl::Status RequireUnbound(const Principal& caller, std::string_view what) {
  if (caller.scope.unbound()) return absl::OkStatus();
  return Denied("NOT_IN_SCOPE", absl::StrCat(ToAbsl(what),
                                             " needs a token that is not bound to tenants, databases or "
                                             "collections"));
}

absl::Status RequireWholeDatabase(const Principal& caller, const std::string& tenant, const std::string& name) {
  if (caller.scope.CoversWholeDatabase(tenant, name)) return absl::OkStatus();
  return Denied("NOT_IN_SCOPE",
                absl::StrCat("database '", name.substr(0, 512), "' of tenant '", tenant.substr(0, 512),
                             "' as a whole is out of this token's scope: use one that is not bound to other databases "
                             "or to collections"));
}

absl::Status RequireCollectionName(const Principal& caller, const std::string& name) {
  if (caller.scope.CoversCollectionName(name)) return absl::OkStatus();
  return Denied("NOT_IN_SCOPE", absl::StrCat("collection '", name.substr(0, 512),
                                             "' would be out of this token's scope: it is bound to other names"));
}

// The predicate borrows the caller.
index::Visible VisibleTo(const Principal& caller) {
  if (caller.scope.unbound()) return nullptr;
  return [&scope = caller.scope](const index::CollectionInfo& info) {
    return scope.CoversCollection(info.tenant, info.database, info.name);
  };
}

}  // namespace

std::span<const Rule> Rules() { return kRules; }

bool ChangesData(std::string_view rpc) {
  constexpr std::string_view kReading[] = {
      "GetCollection", "ListCollections", "Get",           "Count",       "Query",       "QueryStream",
      "Export",        "GetIdentity",     "GetTenant",     "ListTenants", "GetDatabase", "ListDatabases",
      "SaveBundle",    "Compact",         "MeasureRecall", "GetStatus",   "ListAliases"};
  return std::find(std::begin(kReading), std::end(kReading), rpc) == std::end(kReading);
}

absl::Status AuthorizeRpc(const Principal& principal, std::string_view rpc) {
  const auto* const rule =
      std::find_if(std::begin(kRules), std::end(kRules), [rpc](const Rule& entry) { return entry.rpc == rpc; });
  if (rule == std::end(kRules)) {
    return absl::PermissionDeniedError(absl::StrCat(ToAbsl(rpc), " is open to no one: it has no rule"));
  }
  OMICS_RETURN_IF_ERROR(RequireRole(principal, rule->role, rpc));
  return rule->reach == Reach::kInstance ? RequireUnbound(principal, rpc) : absl::OkStatus();
}

absl::Status AuthorizedCatalog::CreateTenant(const Principal& caller, const std::string& name) {
  OMICS_RETURN_IF_ERROR(RequireUnbound(caller, "CreateTenant"));
  return catalog_.CreateTenant(name);
}

absl::Status AuthorizedCatalog::GetTenant(const Principal& caller, const std::string& name) const {
  return caller.scope.CoversTenant(name) ? catalog_.GetTenant(name) : index::TenantNotFound(name);
}

absl::StatusOr<std::vector<std::string>> AuthorizedCatalog::ListTenants(const Principal& caller) const {
  OMICS_ASSIGN_OR_RETURN(std::vector<std::string> tenants, catalog_.ListTenants());
  std::erase_if(tenants, [&](const std::string& name) { return !caller.scope.CoversTenant(name); });
  return tenants;
}

absl::StatusOr<index::Database> AuthorizedCatalog::CreateDatabase(const Principal& caller, const std::string& tenant,
                                                                  const std::string& name) {
  OMICS_RETURN_IF_ERROR(GetTenant(caller, tenant));
  OMICS_RETURN_IF_ERROR(RequireWholeDatabase(caller, tenant, name));
  return catalog_.CreateDatabase(tenant, name);
}

absl::StatusOr<index::Database> AuthorizedCatalog::GetDatabase(const Principal& caller, const std::string& tenant,
                                                               const std::string& name) const {
  if (!caller.scope.CoversDatabase(tenant, name)) return index::DatabaseNotFound(tenant, name);
  return catalog_.GetDatabase(tenant, name);
}

absl::StatusOr<std::vector<index::Database>> AuthorizedCatalog::ListDatabases(const Principal& caller,
                                                                              const std::string& tenant) const {
  OMICS_ASSIGN_OR_RETURN(std::vector<index::Database> databases, catalog_.ListDatabases(tenant));
  std::erase_if(databases, [&](const index::Database& database) {
    return !caller.scope.CoversDatabase(database.tenant, database.name);
  });
  return databases;
}

absl::Status AuthorizedCatalog::DeleteDatabase(const Principal& caller, const std::string& tenant,
                                               const std::string& name) {
  OMICS_RETURN_IF_ERROR(GetDatabase(caller, tenant, name).status());
  OMICS_RETURN_IF_ERROR(RequireWholeDatabase(caller, tenant, name));
  return catalog_.DeleteDatabase(tenant, name);
}

absl::Status AuthorizedCatalog::Reset(const Principal& caller) {
  OMICS_RETURN_IF_ERROR(RequireUnbound(caller, "Reset"));
  return catalog_.Reset();
}

absl::Status AuthorizedCatalog::CheckMayCreate(const Principal& caller, const std::string& tenant,
                                               const std::string& database, const std::string& collection) const {
  if (caller.scope.unbound()) return absl::OkStatus();
  OMICS_RETURN_IF_ERROR(GetTenant(caller, tenant));
  OMICS_RETURN_IF_ERROR(GetDatabase(caller, tenant, database).status());
  return RequireCollectionName(caller, collection);
}

absl::StatusOr<index::CollectionInfo> AuthorizedCatalog::CreateCollection(const Principal& caller,
                                                                          const index::CollectionSpec& spec,
                                                                          bool get_or_create, bool& created) {
  created = false;
  if (const absl::Status writer = RequireRole(caller, Role::kWrite, "CreateCollection"); !writer.ok()) {
    if (!get_or_create) return writer;
    auto found = GetCollection(caller, {.tenant = spec.tenant, .database = spec.database, .name = spec.name, .id = ""});
    return found.ok() ? std::move(found) : writer;
  }
  if (get_or_create) {
    // The name may be an alias: what counts is the name of the collection.
    auto found = GetCollection(caller, {.tenant = spec.tenant, .database = spec.database, .name = spec.name, .id = ""});
    if (found.ok()) return found;
  }
  OMICS_RETURN_IF_ERROR(CheckMayCreate(caller, spec.tenant, spec.database, spec.name));
  return catalog_.CreateCollection(spec, get_or_create, &created, VisibleTo(caller));
}

absl::StatusOr<index::CollectionInfo> AuthorizedCatalog::GetCollection(const Principal& caller,
                                                                       const index::CollectionRef& ref) const {
  return catalog_.GetCollection(ref, VisibleTo(caller));
}

absl::StatusOr<index::CollectionPage> AuthorizedCatalog::ListCollections(const Principal& caller,
                                                                         const std::string& tenant,
                                                                         const std::string& database,
                                                                         std::int64_t offset,
                                                                         std::int64_t limit) const {
  return catalog_.ListCollections(tenant, database, offset, limit, VisibleTo(caller));
}

absl::StatusOr<std::vector<index::CollectionInfo>> AuthorizedCatalog::ListAllCollections(
    const Principal& caller) const {
  return catalog_.ListAllCollections(VisibleTo(caller));
}

absl::StatusOr<index::CollectionInfo> AuthorizedCatalog::UpdateCollection(const Principal& caller,
                                                                          const index::CollectionRef& ref,
                                                                          const index::CollectionUpdate& update) {
  // A collection stays in its database, so its name alone can leave the scope.
  if (update.name && !caller.scope.CoversCollectionName(*update.name)) {
    OMICS_RETURN_IF_ERROR(GetCollection(caller, ref).status());
    return RequireCollectionName(caller, *update.name);
  }
  return catalog_.UpdateCollection(ref, update, VisibleTo(caller));
}

absl::Status AuthorizedCatalog::DeleteCollection(const Principal& caller, const index::CollectionRef& ref) {
  return catalog_.DeleteCollection(ref, VisibleTo(caller));
}

absl::StatusOr<std::shared_ptr<index::Collection>> AuthorizedCatalog::OpenCollection(
    const Principal& caller, const index::CollectionRef& ref) const {
  return catalog_.OpenCollection(ref, VisibleTo(caller));
}

absl::StatusOr<index::Alias> AuthorizedCatalog::SetAlias(const Principal& caller, const std::string& name,
                                                         const index::CollectionRef& ref) {
  OMICS_RETURN_IF_ERROR(GetCollection(caller, ref).status());
  OMICS_RETURN_IF_ERROR(RequireCollectionName(caller, name));
  return catalog_.SetAlias(name, ref, VisibleTo(caller));
}

absl::Status AuthorizedCatalog::DeleteAlias(const Principal& caller, const std::string& tenant,
                                            const std::string& database, const std::string& name) {
  return catalog_.DeleteAlias(tenant, database, name, VisibleTo(caller));
}

absl::StatusOr<std::vector<index::Alias>> AuthorizedCatalog::ListAliases(const Principal& caller,
                                                                         const std::string& tenant,
                                                                         const std::string& database) const {
  return catalog_.ListAliases(tenant, database, VisibleTo(caller));
}

absl::StatusOr<index::BundleManifest> AuthorizedCatalog::SaveBundle(const Principal& caller,
                                                                    const index::CollectionRef& ref,
                                                                    const std::filesystem::path& file,
                                                                    const index::BundleLimits& limits) const {
  return index::SaveBundle(catalog_, ref, file, limits, VisibleTo(caller));
}

absl::Status AuthorizedCatalog::CheckBundleLoad(const Principal& caller, const BundleLoad& load) const {
  const index::BundleTarget& target = load.target;
  OMICS_RETURN_IF_ERROR(GetDatabase(caller, target.tenant, target.database).status());
  for (const std::string& alias : load.aliases) OMICS_RETURN_IF_ERROR(RequireCollectionName(caller, alias));
  if (target.name.empty()) return absl::OkStatus();
  OMICS_RETURN_IF_ERROR(RequireCollectionName(caller, target.name));
  if (load.replace) return absl::OkStatus();
  const auto found = catalog_.GetCollection(
      {.tenant = target.tenant, .database = target.database, .name = target.name, .id = ""}, VisibleTo(caller));
  return found.ok() ? index::NameTaken(target.name, *found) : absl::OkStatus();
}

absl::StatusOr<index::CollectionInfo> AuthorizedCatalog::LoadBundle(const Principal& caller,
                                                                    const std::filesystem::path& file, BundleLoad load,
                                                                    const index::BundleLimits& limits) {
  OMICS_ASSIGN_OR_RETURN(const index::BundleManifest manifest, index::ReadBundleManifest(file));
  if (load.target.name.empty()) load.target.name = manifest.info.name;
  OMICS_RETURN_IF_ERROR(CheckBundleLoad(caller, load));
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::StagedCollection> staged,
                         index::StageBundle(catalog_, file, load.target, limits));
  if (limits.progress) OMICS_RETURN_IF_ERROR(limits.progress(1, 1));
  index::PublishOptions options;
  options.replace = load.replace;
  options.aliases = std::move(load.aliases);
  options.visible = VisibleTo(caller);
  return staged->Publish(options);
}

absl::Status AuthorizedCatalog::CheckImportTarget(const Principal& caller, const index::ImportTarget& target) const {
  OMICS_RETURN_IF_ERROR(GetDatabase(caller, target.tenant, target.database).status());
  return target.collection.empty() ? absl::OkStatus() : RequireCollectionName(caller, target.collection);
}

absl::StatusOr<std::vector<index::ImportReport>> AuthorizedCatalog::ImportChromaStore(
    const Principal& caller, const index::ChromaStore& store, index::ImportTarget target,
    const index::ImportProgressFn& progress) {
  OMICS_RETURN_IF_ERROR(CheckImportTarget(caller, target));
  target.check_name = [&caller](const std::string& name) { return RequireCollectionName(caller, name); };
  return index::ImportChromaStore(store, target, catalog_, progress);
}

}  // namespace omics::services
