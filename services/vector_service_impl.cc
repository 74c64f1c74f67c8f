#include "services/vector_service_impl.h"

namespace omics::services {

grpc::Status VectorServiceImpl::CreateCollection(grpc::ServerContext* context,
                                                 const pb::CreateCollectionRequest* request,
                                                 pb::CreateCollectionResponse* response) {
  return guard_.Run(*context, "CreateCollection",
                    [&](const Call& call) { return handlers_.CreateCollection(*request, call, *response); });
}

grpc::Status VectorServiceImpl::GetCollection(grpc::ServerContext* context, const pb::GetCollectionRequest* request,
                                              pb::GetCollectionResponse* response) {
  return guard_.Run(*context, "GetCollection",
                    [&](const Call& call) { return handlers_.GetCollection(*request, call, *response); });
}

grpc::Status VectorServiceImpl::ListCollections(grpc::ServerContext* context, const pb::ListCollectionsRequest* request,
                                                pb::ListCollectionsResponse* response) {
  return guard_.Run(*context, "ListCollections",
                    [&](const Call& call) { return handlers_.ListCollections(*request, call, *response); });
}

grpc::Status VectorServiceImpl::UpdateCollection(grpc::ServerContext* context,
                                                 const pb::UpdateCollectionRequest* request,
                                                 pb::UpdateCollectionResponse* response) {
  return guard_.Run(*context, "UpdateCollection",
                    [&](const Call& call) { return handlers_.UpdateCollection(*request, call, *response); });
}

grpc::Status VectorServiceImpl::DeleteCollection(grpc::ServerContext* context,
                                                 const pb::DeleteCollectionRequest* request,
                                                 pb::DeleteCollectionResponse*) {
  return guard_.Run(*context, "DeleteCollection",
                    [&](const Call& call) { return handlers_.DeleteCollection(*request, call); });
}

grpc::Status VectorServiceImpl::Insert(grpc::ServerContext* context, grpc::ServerReader<pb::InsertRequest>* reader,
                                       pb::InsertResponse* response) {
  const Reader<pb::InsertRequest> read = [reader](pb::InsertRequest* request) { return reader->Read(request); };
  return guard_.Run(*context, "Insert", [&](const Call& call) { return handlers_.Insert(read, call, *response); });
}

grpc::Status VectorServiceImpl::Upsert(grpc::ServerContext* context, const pb::UpsertRequest* request,
                                       pb::UpsertResponse* response) {
  return guard_.Run(*context, "Upsert", [&](const Call& call) { return handlers_.Upsert(*request, call, *response); });
}

grpc::Status VectorServiceImpl::Update(grpc::ServerContext* context, const pb::UpdateRequest* request,
                                       pb::UpdateResponse* response) {
  return guard_.Run(*context, "Update", [&](const Call& call) { return handlers_.Update(*request, call, *response); });
}

grpc::Status VectorServiceImpl::Delete(grpc::ServerContext* context, const pb::DeleteRequest* request,
                                       pb::DeleteResponse* response) {
  return guard_.Run(*context, "Delete", [&](const Call& call) { return handlers_.Delete(*request, call, *response); });
}

grpc::Status VectorServiceImpl::Get(grpc::ServerContext* context, const pb::GetRequest* request,
                                    pb::GetResponse* response) {
  return guard_.Run(*context, "Get", [&](const Call& call) { return handlers_.Get(*request, call, *response); });
}

grpc::Status VectorServiceImpl::Count(grpc::ServerContext* context, const pb::CountRequest* request,
                                      pb::CountResponse* response) {
  return guard_.Run(*context, "Count", [&](const Call& call) { return handlers_.Count(*request, call, *response); });
}

grpc::Status VectorServiceImpl::QueryStream(
    grpc::ServerContext* context, grpc::ServerReaderWriter<pb::QueryStreamResponse, pb::QueryStreamRequest>* stream) {
  const Reader<pb::QueryStreamRequest> read = [stream](pb::QueryStreamRequest* request) {
    return stream->Read(request);
  };
  const Writer<pb::QueryStreamResponse> write = [stream](const pb::QueryStreamResponse& response) {
    return stream->Write(response);
  };
  return guard_.Run(*context, "QueryStream",
                    [&](const Call& call) { return handlers_.QueryStream(read, write, call); });
}

grpc::Status VectorServiceImpl::Export(grpc::ServerContext* context, const pb::ExportRequest* request,
                                       grpc::ServerWriter<pb::ExportResponse>* writer) {
  const Writer<pb::ExportResponse> write = [writer](const pb::ExportResponse& response) {
    return writer->Write(response);
  };
  return guard_.Run(*context, "Export", [&](const Call& call) { return handlers_.Export(*request, write, call); });
}

}  // namespace omics::services
