// VectorService as gRPC calls it: every RPC goes through the guard, under its name in the table of rules, to its
// handler. Query does so in query_calls.h.
#pragma once

#include "omics/vector/v1/vector_service.grpc.pb.h"
#include "services/guard.h"
#include "services/vector_handlers.h"

namespace omics::services {

// Thread safety: gRPC calls the members from many threads.
class VectorServiceImpl final : public pb::VectorService::WithAsyncMethod_Query<pb::VectorService::Service> {
 public:
  // Both are borrowed and must outlive this object.
  VectorServiceImpl(Guard& guard, VectorHandlers& handlers) : guard_(guard), handlers_(handlers) {}

  grpc::Status CreateCollection(grpc::ServerContext* context, const pb::CreateCollectionRequest* request,
                                pb::CreateCollectionResponse* response) override;
  grpc::Status GetCollection(grpc::ServerContext* context, const pb::GetCollectionRequest* request,
                             pb::GetCollectionResponse* response) override;
  grpc::Status ListCollections(grpc::ServerContext* context, const pb::ListCollectionsRequest* request,
                               pb::ListCollectionsResponse* response) override;
  grpc::Status UpdateCollection(grpc::ServerContext* context, const pb::UpdateCollectionRequest* request,
                                pb::UpdateCollectionResponse* response) override;
  grpc::Status DeleteCollection(grpc::ServerContext* context, const pb::DeleteCollectionRequest* request,
                                pb::DeleteCollectionResponse* response) override;
  grpc::Status Insert(grpc::ServerContext* context, grpc::ServerReader<pb::InsertRequest>* reader,
                      pb::InsertResponse* response) override;
  grpc::Status Upsert(grpc::ServerContext* context, const pb::UpsertRequest* request,
                      pb::UpsertResponse* response) override;
  grpc::Status Update(grpc::ServerContext* context, const pb::UpdateRequest* request,
                      pb::UpdateResponse* response) override;
  grpc::Status Delete(grpc::ServerContext* context, const pb::DeleteRequest* request,
                      pb::DeleteResponse* response) override;
  grpc::Status Get(grpc::ServerContext* context, const pb::GetRequest* request, pb::GetResponse* response) override;
  grpc::Status Count(grpc::ServerContext* context, const pb::CountRequest* request,
                     pb::CountResponse* response) override;
  grpc::Status QueryStream(grpc::ServerContext* context,
                           grpc::ServerReaderWriter<pb::QueryStreamResponse, pb::QueryStreamRequest>* stream) override;
  grpc::Status Export(grpc::ServerContext* context, const pb::ExportRequest* request,
                      grpc::ServerWriter<pb::ExportResponse>* writer) override;

 private:
  Guard& guard_;
  VectorHandlers& handlers_;
};

}  // namespace omics::services
