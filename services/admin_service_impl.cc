#include "services/admin_service_impl.h"

namespace omics::services {

grpc::Status AdminServiceImpl::GetIdentity(grpc::ServerContext* context, const pb::GetIdentityRequest*,
                                           pb::GetIdentityResponse* response) {
  return guard_.Run(*context, "GetIdentity", [&](const Call& call) { return handlers_.GetIdentity(call, *response); });
}

grpc::Status AdminServiceImpl::CreateTenant(grpc::ServerContext* context, const pb::CreateTenantRequest* request,
                                            pb::CreateTenantResponse*) {
  return guard_.Run(*context, "CreateTenant", [&](const Call& call) { return handlers_.CreateTenant(*request, call); });
}

grpc::Status AdminServiceImpl::GetTenant(grpc::ServerContext* context, const pb::GetTenantRequest* request,
                                         pb::GetTenantResponse* response) {
  return guard_.Run(*context, "GetTenant",
                    [&](const Call& call) { return handlers_.GetTenant(*request, call, *response); });
}

grpc::Status AdminServiceImpl::ListTenants(grpc::ServerContext* context, const pb::ListTenantsRequest* request,
                                           pb::ListTenantsResponse* response) {
  return guard_.Run(*context, "ListTenants",
                    [&](const Call& call) { return handlers_.ListTenants(*request, call, *response); });
}

grpc::Status AdminServiceImpl::CreateDatabase(grpc::ServerContext* context, const pb::CreateDatabaseRequest* request,
                                              pb::CreateDatabaseResponse* response) {
  return guard_.Run(*context, "CreateDatabase",
                    [&](const Call& call) { return handlers_.CreateDatabase(*request, call, *response); });
}

grpc::Status AdminServiceImpl::GetDatabase(grpc::ServerContext* context, const pb::GetDatabaseRequest* request,
                                           pb::GetDatabaseResponse* response) {
  return guard_.Run(*context, "GetDatabase",
                    [&](const Call& call) { return handlers_.GetDatabase(*request, call, *response); });
}

grpc::Status AdminServiceImpl::ListDatabases(grpc::ServerContext* context, const pb::ListDatabasesRequest* request,
                                             pb::ListDatabasesResponse* response) {
  return guard_.Run(*context, "ListDatabases",
                    [&](const Call& call) { return handlers_.ListDatabases(*request, call, *response); });
}

grpc::Status AdminServiceImpl::DeleteDatabase(grpc::ServerContext* context, const pb::DeleteDatabaseRequest* request,
                                              pb::DeleteDatabaseResponse*) {
  return guard_.Run(*context, "DeleteDatabase",
                    [&](const Call& call) { return handlers_.DeleteDatabase(*request, call); });
}

grpc::Status AdminServiceImpl::Reset(grpc::ServerContext* context, const pb::ResetRequest*, pb::ResetResponse*) {
  return guard_.Run(*context, "Reset", [&](const Call& call) { return handlers_.Reset(call); });
}

grpc::Status AdminServiceImpl::ImportChroma(
    grpc::ServerContext* context, grpc::ServerReaderWriter<pb::ImportChromaResponse, pb::ImportChromaRequest>* stream) {
  const Reader<pb::ImportChromaRequest> read = [stream](pb::ImportChromaRequest* request) {
    return stream->Read(request);
  };
  const Writer<pb::ImportChromaResponse> write = [stream](const pb::ImportChromaResponse& response) {
    return stream->Write(response);
  };
  return guard_.Run(*context, "ImportChroma",
                    [&](const Call& call) { return handlers_.ImportChroma(read, write, call); });
}

grpc::Status AdminServiceImpl::LoadBundle(grpc::ServerContext* context,
                                          grpc::ServerReader<pb::LoadBundleRequest>* reader,
                                          pb::LoadBundleResponse* response) {
  const Reader<pb::LoadBundleRequest> read = [reader](pb::LoadBundleRequest* request) { return reader->Read(request); };
  return guard_.Run(*context, "LoadBundle",
                    [&](const Call& call) { return handlers_.LoadBundle(read, call, *response); });
}

grpc::Status AdminServiceImpl::SaveBundle(grpc::ServerContext* context, const pb::SaveBundleRequest* request,
                                          grpc::ServerWriter<pb::SaveBundleResponse>* writer) {
  const Writer<pb::SaveBundleResponse> write = [writer](const pb::SaveBundleResponse& response) {
    return writer->Write(response);
  };
  return guard_.Run(*context, "SaveBundle",
                    [&](const Call& call) { return handlers_.SaveBundle(*request, write, call); });
}

grpc::Status AdminServiceImpl::Compact(grpc::ServerContext* context, const pb::CompactRequest* request,
                                       pb::CompactResponse* response) {
  return guard_.Run(*context, "Compact",
                    [&](const Call& call) { return handlers_.Compact(*request, call, *response); });
}

grpc::Status AdminServiceImpl::MeasureRecall(grpc::ServerContext* context, const pb::MeasureRecallRequest* request,
                                             pb::MeasureRecallResponse* response) {
  return guard_.Run(*context, "MeasureRecall",
                    [&](const Call& call) { return handlers_.MeasureRecall(*request, call, *response); });
}

grpc::Status AdminServiceImpl::GetStatus(grpc::ServerContext* context, const pb::GetStatusRequest*,
                                         pb::GetStatusResponse* response) {
  return guard_.Run(*context, "GetStatus", [&](const Call& call) { return handlers_.GetStatus(call, *response); });
}

grpc::Status AdminServiceImpl::SetAlias(grpc::ServerContext* context, const pb::SetAliasRequest* request,
                                        pb::SetAliasResponse* response) {
  return guard_.Run(*context, "SetAlias",
                    [&](const Call& call) { return handlers_.SetAlias(*request, call, *response); });
}

grpc::Status AdminServiceImpl::DeleteAlias(grpc::ServerContext* context, const pb::DeleteAliasRequest* request,
                                           pb::DeleteAliasResponse*) {
  return guard_.Run(*context, "DeleteAlias", [&](const Call& call) { return handlers_.DeleteAlias(*request, call); });
}

grpc::Status AdminServiceImpl::ListAliases(grpc::ServerContext* context, const pb::ListAliasesRequest* request,
                                           pb::ListAliasesResponse* response) {
  return guard_.Run(*context, "ListAliases",
                    [&](const Call& call) { return handlers_.ListAliases(*request, call, *response); });
}

}  // namespace omics::services
