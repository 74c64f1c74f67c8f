// AdminService as gRPC calls it: every RPC goes through the guard, under its name in the table of rules, to its
// handler.
#pragma once

#include "omics/vector/v1/admin_service.grpc.pb.h"
#include "services/admin_handlers.h"
#include "services/guard.h"

namespace omics::services {

// Thread safety: gRPC calls the members from many threads.
class AdminServiceImpl final : public pb::AdminService::Service {
 public:
  // Both are borrowed and must outlive this object.
  AdminServiceImpl(Guard& guard, AdminHandlers& handlers) : guard_(guard), handlers_(handlers) {}

  grpc::Status GetIdentity(grpc::ServerContext* context, const pb::GetIdentityRequest* request,
                           pb::GetIdentityResponse* response) override;
  grpc::Status CreateTenant(grpc::ServerContext* context, const pb::CreateTenantRequest* request,
                            pb::CreateTenantResponse* response) override;
  grpc::Status GetTenant(grpc::ServerContext* context, const pb::GetTenantRequest* request,
                         pb::GetTenantResponse* response) override;
  grpc::Status ListTenants(grpc::ServerContext* context, const pb::ListTenantsRequest* request,
                           pb::ListTenantsResponse* response) override;
  grpc::Status CreateDatabase(grpc::ServerContext* context, const pb::CreateDatabaseRequest* request,
                              pb::CreateDatabaseResponse* response) override;
  grpc::Status GetDatabase(grpc::ServerContext* context, const pb::GetDatabaseRequest* request,
                           pb::GetDatabaseResponse* response) override;
  grpc::Status ListDatabases(grpc::ServerContext* context, const pb::ListDatabasesRequest* request,
                             pb::ListDatabasesResponse* response) override;
  grpc::Status DeleteDatabase(grpc::ServerContext* context, const pb::DeleteDatabaseRequest* request,
                              pb::DeleteDatabaseResponse* response) override;
  grpc::Status Reset(grpc::ServerContext* context, const pb::ResetRequest* request,
                     pb::ResetResponse* response) override;
  grpc::Status ImportChroma(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<pb::ImportChromaResponse, pb::ImportChromaRequest>* stream) override;
  grpc::Status LoadBundle(grpc::ServerContext* context, grpc::ServerReader<pb::LoadBundleRequest>* reader,
                          pb::LoadBundleResponse* response) override;
  grpc::Status SaveBundle(grpc::ServerContext* context, const pb::SaveBundleRequest* request,
                          grpc::ServerWriter<pb::SaveBundleResponse>* writer) override;
  grpc::Status Compact(grpc::ServerContext* context, const pb::CompactRequest* request,
                       pb::CompactResponse* response) override;
  grpc::Status MeasureRecall(grpc::ServerContext* context, const pb::MeasureRecallRequest* request,
                             pb::MeasureRecallResponse* response) override;
  grpc::Status GetStatus(grpc::ServerContext* context, const pb::GetStatusRequest* request,
                         pb::GetStatusResponse* response) override;
  grpc::Status SetAlias(grpc::ServerContext* context, const pb::SetAliasRequest* request,
                        pb::SetAliasResponse* response) override;
  grpc::Status DeleteAlias(grpc::ServerContext* context, const pb::DeleteAliasRequest* request,
                           pb::DeleteAliasResponse* response) override;
  grpc::Status ListAliases(grpc::ServerContext* context, const pb::ListAliasesRequest* request,
                           pb::ListAliasesResponse* response) override;

 private:
  Guard& guard_;
  AdminHandlers& handlers_;
};

}  // namespace omics::services
