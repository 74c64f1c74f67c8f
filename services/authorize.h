// Who may do what: the one place that decides. Two things stand between a caller and the engine:
//
// 1. The table of RPCs: each has a least role, and may ask for a token that is not bound to anything. The guard looks
//    here before a handler runs; an RPC without an entry is refused.
// 2. AuthorizedCatalog: handlers have no other way to the engine, and each of its members takes the caller. What is out
//    of the caller's scope is, by name and by UUID, answered as if it did not exist. Where that is no answer, because
//    something would be made or the caller knows the thing already, the answer is PERMISSION_DENIED with the reason
//    NOT_IN_SCOPE, whether or not what is asked for exists.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/tokens.h"
#include "index/bundle.h"
#include "index/catalog.h"
#include "index/chroma_import.h"

namespace omics::services {

// What an RPC asks of the scope of a token.
enum class Reach {
  kScope,     // its handler sees what is in scope, and no more
  kInstance,  // it is about the service as a whole: bound tokens may not call it
};

struct Rule {
  std::string_view rpc;  // "GetCollection"
  Role role;             // the least
  Reach reach = Reach::kScope;
};

// One entry for each RPC of both services.
std::span<const Rule> Rules();

// True unless the RPC only reads (or only rebuilds what is derived), and for one without an entry.
bool ChangesData(std::string_view rpc);

// PERMISSION_DENIED with the reason ROLE_TOO_LOW or NOT_IN_SCOPE, or for an RPC that has no rule.
absl::Status AuthorizeRpc(const Principal& principal, std::string_view rpc);

// What a bundle is loaded as.
struct BundleLoad {
  index::BundleTarget target;
  bool replace = false;
  std::vector<std::string> aliases;
};

// The engine's catalog as a caller sees it. Errors beyond those of authorization are index::Catalog's.
//
// Every look-up and change is checked against the very collection that is then given out or changed, under the
// catalog's lock, by its own name even if it was found by an alias: a rename meanwhile opens nothing. What a caller has
// opened it may finish.
//
// Thread safety: all members may be called from any thread.
class AuthorizedCatalog {
 public:
  // `catalog` is borrowed and must outlive this object.
  explicit AuthorizedCatalog(index::Catalog& catalog) : catalog_(catalog) {}

  // Only for tokens that are not bound.
  absl::Status CreateTenant(const Principal& caller, const std::string& name);
  absl::Status GetTenant(const Principal& caller, const std::string& name) const;
  absl::StatusOr<std::vector<std::string>> ListTenants(const Principal& caller) const;

  // Making and deleting need a scope that covers the whole database.
  absl::StatusOr<index::Database> CreateDatabase(const Principal& caller, const std::string& tenant,
                                                 const std::string& name);
  absl::StatusOr<index::Database> GetDatabase(const Principal& caller, const std::string& tenant,
                                              const std::string& name) const;
  absl::StatusOr<std::vector<index::Database>> ListDatabases(const Principal& caller, const std::string& tenant) const;
  absl::Status DeleteDatabase(const Principal& caller, const std::string& tenant, const std::string& name);

  // Only for tokens that are not bound.
  absl::Status Reset(const Principal& caller);

  // Needs the role write, except that a reader may `get_or_create` what exists. `created` is always set.
  absl::StatusOr<index::CollectionInfo> CreateCollection(const Principal& caller, const index::CollectionSpec& spec,
                                                         bool get_or_create, bool& created);
  absl::StatusOr<index::CollectionInfo> GetCollection(const Principal& caller, const index::CollectionRef& ref) const;
  // Pages and totals count what is in scope.
  absl::StatusOr<index::CollectionPage> ListCollections(const Principal& caller, const std::string& tenant,
                                                        const std::string& database, std::int64_t offset,
                                                        std::int64_t limit) const;
  absl::StatusOr<std::vector<index::CollectionInfo>> ListAllCollections(const Principal& caller) const;
  // NOT_IN_SCOPE for a new name that the caller could not use afterwards.
  absl::StatusOr<index::CollectionInfo> UpdateCollection(const Principal& caller, const index::CollectionRef& ref,
                                                         const index::CollectionUpdate& update);
  absl::Status DeleteCollection(const Principal& caller, const index::CollectionRef& ref);
  absl::StatusOr<std::shared_ptr<index::Collection>> OpenCollection(const Principal& caller,
                                                                    const index::CollectionRef& ref) const;

  // A new alias must have a name that the caller could give to a collection: NOT_IN_SCOPE otherwise. What an alias
  // leads to must be in scope, before and after.
  absl::StatusOr<index::Alias> SetAlias(const Principal& caller, const std::string& name,
                                        const index::CollectionRef& ref);
  absl::Status DeleteAlias(const Principal& caller, const std::string& tenant, const std::string& database,
                           const std::string& name);
  // Those of collections in scope.
  absl::StatusOr<std::vector<index::Alias>> ListAliases(const Principal& caller, const std::string& tenant,
                                                        const std::string& database) const;

  // Those of index/bundle.h.
  absl::StatusOr<index::BundleManifest> SaveBundle(const Principal& caller, const index::CollectionRef& ref,
                                                   const std::filesystem::path& file,
                                                   const index::BundleLimits& limits) const;
  // Before the bundle is there: the database exists, and collection and aliases may be made as far as they are named.
  absl::Status CheckBundleLoad(const Principal& caller, const BundleLoad& load) const;
  absl::StatusOr<index::CollectionInfo> LoadBundle(const Principal& caller, const std::filesystem::path& file,
                                                   BundleLoad load, const index::BundleLimits& limits);

  // Before the archive is there: the database exists, and the collection may be made, if the target names it.
  absl::Status CheckImportTarget(const Principal& caller, const index::ImportTarget& target) const;
  // NOT_IN_SCOPE if any of the collections would be out of scope; then none is made.
  absl::StatusOr<std::vector<index::ImportReport>> ImportChromaStore(const Principal& caller,
                                                                     const index::ChromaStore& store,
                                                                     index::ImportTarget target,
                                                                     const index::ImportProgressFn& progress);

 private:
  absl::Status CheckMayCreate(const Principal& caller, const std::string& tenant, const std::string& database,
                              const std::string& collection) const;

  index::Catalog& catalog_;
};

}  // namespace omics::services
