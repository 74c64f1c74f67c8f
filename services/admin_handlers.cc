#include "services/admin_handlers.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/resources.h"
#include "base/status.h"
#include "services/convert.h"
#include "services/page_token.h"

namespace omics::services {
namespace {

// Gives entries [offset, offset + limit) of `all` to `add`, and the token of the next page, if there is one.
template <typename Entry, typename Add>
std::string FillPage(const std::vector<Entry>& all, const ListRange& range, Add add) {
  const auto size = static_cast<std::int64_t>(all.size());
  const std::int64_t begin = std::min(range.offset, size);
  const std::int64_t end = begin + std::min(range.limit, size - begin);
  for (std::int64_t i = begin; i < end; ++i) add(all[static_cast<std::size_t>(i)]);
  return end < size ? EncodePageToken({.position = end}) : "";
}

// INVALID_ARGUMENT if the name is left out, which would otherwise be "not found".
absl::Status CheckNamed(const char* what, const std::string& name) {
  if (!name.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(std::string("the request names no ") + what);
}

}  // namespace

absl::Status AdminHandlers::GetIdentity(const Call& call, pb::GetIdentityResponse& response) const {
  FillIdentity(call.principal, response);
  return absl::OkStatus();
}

absl::Status AdminHandlers::CreateTenant(const pb::CreateTenantRequest& request, const Call& call) {
  return catalog_.CreateTenant(call.principal, request.name());
}

absl::Status AdminHandlers::GetTenant(const pb::GetTenantRequest& request, const Call& call,
                                      pb::GetTenantResponse& response) const {
  OMICS_RETURN_IF_ERROR(CheckNamed("tenant", request.name()));
  OMICS_RETURN_IF_ERROR(catalog_.GetTenant(call.principal, request.name()));
  response.set_name(request.name());
  return absl::OkStatus();
}

absl::Status AdminHandlers::ListTenants(const pb::ListTenantsRequest& request, const Call& call,
                                        pb::ListTenantsResponse& response) const {
  OMICS_ASSIGN_OR_RETURN(const ListRange range, ToListRange(request.page_size(), request.page_token()));
  OMICS_ASSIGN_OR_RETURN(const std::vector<std::string> tenants, catalog_.ListTenants(call.principal));
  response.set_next_page_token(FillPage(tenants, range, [&](const std::string& name) { response.add_names(name); }));
  return absl::OkStatus();
}

absl::Status AdminHandlers::CreateDatabase(const pb::CreateDatabaseRequest& request, const Call& call,
                                           pb::CreateDatabaseResponse& response) {
  OMICS_ASSIGN_OR_RETURN(const index::Database database,
                         catalog_.CreateDatabase(call.principal, TenantOrDefault(request.tenant()), request.name()));
  FillDatabase(database, *response.mutable_database());
  return absl::OkStatus();
}

absl::Status AdminHandlers::GetDatabase(const pb::GetDatabaseRequest& request, const Call& call,
                                        pb::GetDatabaseResponse& response) const {
  OMICS_RETURN_IF_ERROR(CheckNamed("database", request.name()));
  OMICS_ASSIGN_OR_RETURN(const index::Database database,
                         catalog_.GetDatabase(call.principal, TenantOrDefault(request.tenant()), request.name()));
  FillDatabase(database, *response.mutable_database());
  return absl::OkStatus();
}

absl::Status AdminHandlers::ListDatabases(const pb::ListDatabasesRequest& request, const Call& call,
                                          pb::ListDatabasesResponse& response) const {
  OMICS_ASSIGN_OR_RETURN(const ListRange range, ToListRange(request.page_size(), request.page_token()));
  OMICS_ASSIGN_OR_RETURN(const std::vector<index::Database> databases,
                         catalog_.ListDatabases(call.principal, TenantOrDefault(request.tenant())));
  response.set_next_page_token(FillPage(
      databases, range, [&](const index::Database& database) { FillDatabase(database, *response.add_databases()); }));
  return absl::OkStatus();
}

absl::Status AdminHandlers::DeleteDatabase(const pb::DeleteDatabaseRequest& request, const Call& call) {
  OMICS_RETURN_IF_ERROR(CheckNamed("database", request.name()));
  const std::string tenant = TenantOrDefault(request.tenant());
  OMICS_ASSIGN_OR_RETURN(const index::CollectionPage page,
                         catalog_.ListCollections(call.principal, tenant, request.name(), 0, INT64_MAX));
  OMICS_RETURN_IF_ERROR(catalog_.DeleteDatabase(call.principal, tenant, request.name()));
  ForgetHealth(page.collections);
  return absl::OkStatus();
}

absl::Status AdminHandlers::Reset(const Call& call) {
  if (!facts_.allow_reset) {
    return WithReason(absl::FailedPreconditionError("Reset is disabled: start the service with --allow-reset"),
                      "RESET_DISABLED");
  }
  OMICS_ASSIGN_OR_RETURN(const std::vector<index::CollectionInfo> collections,
                         catalog_.ListAllCollections(call.principal));
  OMICS_RETURN_IF_ERROR(catalog_.Reset(call.principal));
  ForgetHealth(collections);
  return absl::OkStatus();
}

absl::Status AdminHandlers::Compact(const pb::CompactRequest& request, const Call& call,
                                    pb::CompactResponse& response) {
  OMICS_ASSIGN_OR_RETURN(const index::CollectionRef ref, ToCollectionRef(request.collection()));
  OMICS_ASSIGN_OR_RETURN(const index::CollectionInfo info, catalog_.GetCollection(call.principal, ref));
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<index::Collection> collection,
                         catalog_.OpenCollection(call.principal, ref));
  OMICS_RETURN_IF_ERROR(collection->Compact(call.deadline));
  FillCollection(info, *response.mutable_status()->mutable_collection());
  FillLive(*collection, *response.mutable_status()->mutable_collection());
  FillStats(collection->Stats(), *response.mutable_status());
  return absl::OkStatus();
}

absl::Status AdminHandlers::MeasureRecall(const pb::MeasureRecallRequest& request, const Call& call,
                                          pb::MeasureRecallResponse& response) const {
  OMICS_ASSIGN_OR_RETURN(const RecallSpec spec, ToRecallSpec(request));
  OMICS_ASSIGN_OR_RETURN(const index::CollectionRef ref, ToCollectionRef(request.collection()));
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<index::Collection> collection,
                         catalog_.OpenCollection(call.principal, ref));
  OMICS_ASSIGN_OR_RETURN(const index::RecallSample sample,
                         collection->MeasureRecall(spec.k, spec.ef, spec.samples, call.deadline));
  response.set_recall(sample.recall);
  response.set_samples(sample.samples);
  response.set_ef(sample.ef);
  return absl::OkStatus();
}

absl::Status AdminHandlers::SetAlias(const pb::SetAliasRequest& request, const Call& call,
                                     pb::SetAliasResponse& response) {
  OMICS_RETURN_IF_ERROR(CheckNamed("alias", request.alias()));
  OMICS_ASSIGN_OR_RETURN(const index::CollectionRef ref, ToCollectionRef(request.collection()));
  OMICS_ASSIGN_OR_RETURN(const index::Alias alias, catalog_.SetAlias(call.principal, request.alias(), ref));
  FillAlias(alias, *response.mutable_alias());
  return absl::OkStatus();
}

absl::Status AdminHandlers::DeleteAlias(const pb::DeleteAliasRequest& request, const Call& call) {
  OMICS_RETURN_IF_ERROR(CheckNamed("alias", request.alias()));
  return catalog_.DeleteAlias(call.principal, TenantOrDefault(request.tenant()), DatabaseOrDefault(request.database()),
                              request.alias());
}

absl::Status AdminHandlers::ListAliases(const pb::ListAliasesRequest& request, const Call& call,
                                        pb::ListAliasesResponse& response) const {
  OMICS_ASSIGN_OR_RETURN(const ListRange range, ToListRange(request.page_size(), request.page_token()));
  OMICS_ASSIGN_OR_RETURN(
      const std::vector<index::Alias> aliases,
      catalog_.ListAliases(call.principal, TenantOrDefault(request.tenant()), DatabaseOrDefault(request.database())));
  response.set_next_page_token(
      FillPage(aliases, range, [&](const index::Alias& alias) { FillAlias(alias, *response.add_aliases()); }));
  return absl::OkStatus();
}

absl::Status AdminHandlers::GetStatus(const Call& call, pb::GetStatusResponse& response) const {
  const auto uptime = std::chrono::steady_clock::now() - facts_.started;
  response.set_version(OMICS_VECTOR_VERSION);
  response.set_uptime_seconds(std::chrono::duration_cast<std::chrono::seconds>(uptime).count());
  response.set_threads(facts_.threads);
  response.set_memory_budget_bytes(facts_.memory_bytes);
  response.set_resident_bytes(ResidentBytes());
  OMICS_ASSIGN_OR_RETURN(const std::vector<index::CollectionInfo> collections,
                         catalog_.ListAllCollections(call.principal));
  for (const index::CollectionInfo& info : collections) {
    pb::CollectionStatus& status = *response.add_collections();
    FillCollection(info, *status.mutable_collection());
    status.mutable_collection()->clear_metadata();
    status.mutable_collection()->clear_client_configuration();
    // One that is removed meanwhile, or cannot be read, is listed as the catalog has it.
    const auto collection = catalog_.OpenCollection(call.principal, RefOf(info));
    if (!collection.ok()) continue;
    FillLive(**collection, *status.mutable_collection());
    FillStats((*collection)->Stats(), status);
  }
  FillSources(call.principal, response);
  if (facts_.shipping) FillShipping(facts_.shipping->Report(), call.principal.role, *response.mutable_shipping());
  return absl::OkStatus();
}

void AdminHandlers::FillSources(const Principal& caller, pb::GetStatusResponse& response) const {
  for (std::size_t i = 0; i < prewarm_.size(); ++i) {
    PrewarmReport report = prewarm_.Report(i);
    if (!caller.scope.CoversCollection(index::kDefaultTenant, index::kDefaultDatabase, report.collection)) continue;
    FillPrewarm(std::move(report), caller.role, *response.add_prewarm());
  }
}

void AdminHandlers::ForgetHealth(const std::vector<index::CollectionInfo>& collections) {
  for (const index::CollectionInfo& collection : collections) health_.SetCollection(collection, false);
}

}  // namespace omics::services
