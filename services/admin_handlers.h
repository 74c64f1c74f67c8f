// What each RPC of AdminService does once the guard has let it in.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "absl/status/status.h"
#include "index/catalog.h"
#include "omics/vector/v1/admin_service.pb.h"
#include "services/authorize.h"
#include "services/bundles.h"
#include "services/guard.h"
#include "services/health.h"
#include "services/import_chroma.h"
#include "services/prewarm_sources.h"
#include "services/ship.h"
#include "services/streams.h"

namespace omics::services {

namespace pb = ::omics::vector::v1;

// What GetStatus and Reset must know of the process.
struct ServiceFacts {
  int threads = 1;
  std::int64_t memory_bytes = 0;
  bool allow_reset = false;
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
  const Shipping* shipping = nullptr;  // borrowed; null without --ship-to
};

// Thread safety: all members may be called from any thread.
class AdminHandlers {
 public:
  // `catalog`, `health` and `prewarm` are borrowed and must outlive this object.
  AdminHandlers(index::Catalog& catalog, Health& health, const PrewarmSources& prewarm,
                const std::filesystem::path& spool_dir, ServiceFacts facts)
      : catalog_(catalog),
        health_(health),
        prewarm_(prewarm),
        importer_(catalog, health, spool_dir),
        bundles_(catalog, health, spool_dir),
        facts_(facts) {}

  absl::Status GetIdentity(const Call& call, pb::GetIdentityResponse& response) const;

  absl::Status CreateTenant(const pb::CreateTenantRequest& request, const Call& call);
  absl::Status GetTenant(const pb::GetTenantRequest& request, const Call& call, pb::GetTenantResponse& response) const;
  absl::Status ListTenants(const pb::ListTenantsRequest& request, const Call& call,
                           pb::ListTenantsResponse& response) const;
  absl::Status CreateDatabase(const pb::CreateDatabaseRequest& request, const Call& call,
                              pb::CreateDatabaseResponse& response);
  absl::Status GetDatabase(const pb::GetDatabaseRequest& request, const Call& call,
                           pb::GetDatabaseResponse& response) const;
  absl::Status ListDatabases(const pb::ListDatabasesRequest& request, const Call& call,
                             pb::ListDatabasesResponse& response) const;
  absl::Status DeleteDatabase(const pb::DeleteDatabaseRequest& request, const Call& call);
  // FAILED_PRECONDITION with the reason RESET_DISABLED unless the facts allow it.
  absl::Status Reset(const Call& call);

  absl::Status ImportChroma(const Reader<pb::ImportChromaRequest>& read, const Writer<pb::ImportChromaResponse>& write,
                            const Call& call) {
    return importer_.Run(read, write, call);
  }
  absl::Status SaveBundle(const pb::SaveBundleRequest& request, const Writer<pb::SaveBundleResponse>& write,
                          const Call& call) {
    return bundles_.Save(request, write, call);
  }
  absl::Status LoadBundle(const Reader<pb::LoadBundleRequest>& read, const Call& call,
                          pb::LoadBundleResponse& response) {
    return bundles_.Load(read, call, response);
  }
  absl::Status Compact(const pb::CompactRequest& request, const Call& call, pb::CompactResponse& response);
  absl::Status MeasureRecall(const pb::MeasureRecallRequest& request, const Call& call,
                             pb::MeasureRecallResponse& response) const;
  absl::Status SetAlias(const pb::SetAliasRequest& request, const Call& call, pb::SetAliasResponse& response);
  absl::Status DeleteAlias(const pb::DeleteAliasRequest& request, const Call& call);
  absl::Status ListAliases(const pb::ListAliasesRequest& request, const Call& call,
                           pb::ListAliasesResponse& response) const;
  // Collections without their metadata and client configuration, so that the answer stays small.
  absl::Status GetStatus(const Call& call, pb::GetStatusResponse& response) const;

 private:
  void FillSources(const Principal& caller, pb::GetStatusResponse& response) const;
  // The collections that are about to go lose their health.
  void ForgetHealth(const std::vector<index::CollectionInfo>& collections);

  AuthorizedCatalog catalog_;
  Health& health_;
  const PrewarmSources& prewarm_;
  ChromaImporter importer_;
  Bundles bundles_;
  const ServiceFacts facts_;
};

}  // namespace omics::services
