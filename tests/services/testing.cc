#include "tests/services/testing.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "base/uuid.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "services/security.h"
#include "services/status_to_grpc.h"

namespace omics::services {

std::unique_ptr<grpc::ClientContext> As(const std::string& token) {
  auto context = std::make_unique<grpc::ClientContext>();
  if (!token.empty()) context->AddMetadata("authorization", "Bearer " + token);
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  return context;
}

std::string ReasonOf(const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return "details cannot be parsed";
  EXPECT_EQ(details.code(), status.error_code());
  EXPECT_EQ(details.message(), status.error_message());
  for (const google::protobuf::Any& any : details.details()) {
    google::rpc::ErrorInfo info;
    if (!any.UnpackTo(&info)) continue;
    EXPECT_EQ(info.domain(), kErrorDomain);
    return info.reason();
  }
  return "";
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteFile(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string TokensText() {
  return std::string("reader read ") + kReadToken + "\nwriter write " + kWriteToken + "\nadmin admin " + kAdminToken +
         "\n";
}

Options TestOptions(const TempDir& directory) {
  WriteFile(directory / "tokens", TokensText());
  Options options;
  options.data_dir = directory / "data";
  options.tokens_file = directory / "tokens";
  options.grpc_address = "127.0.0.1:0";
  options.metrics_address = "";
  return options;
}

TestServer::TestServer(const std::function<void(Options&)>& change) {
  Options options = TestOptions(directory_);
  change(options);
  auto security = LoadSecurity(options);
  if (!security.ok()) throw std::runtime_error(security.status().ToString());
  auto server = Server::Start(options, *std::move(security));
  if (!server.ok()) throw std::runtime_error(server.status().ToString());
  server_ = *std::move(server);
  channel_ = grpc::CreateChannel(address(), grpc::InsecureChannelCredentials());
  vectors_ = pb::VectorService::NewStub(channel_);
  admin_ = pb::AdminService::NewStub(channel_);
}

std::string TestServer::address() const { return "127.0.0.1:" + std::to_string(server_->grpc_port()); }

int TestServer::Collections() const {
  pb::ListCollectionsResponse response;
  EXPECT_TRUE(vectors_->ListCollections(As(kReadToken).get(), pb::ListCollectionsRequest(), &response).ok());
  return static_cast<int>(response.total());
}

void TestServer::ExpectNothingSpooled() const {
  const std::filesystem::path spool = directory_.path() / "data/tmp";
  if (std::filesystem::exists(spool)) {
    EXPECT_TRUE(std::filesystem::is_empty(spool));
  }
}

void TestServer::Create(const std::string& name, pb::Metric metric) const {
  pb::CreateCollectionRequest request;
  request.set_name(name);
  request.set_metric(metric);
  pb::CreateCollectionResponse response;
  const grpc::Status status = vectors_->CreateCollection(As(kWriteToken).get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
}

std::vector<std::vector<float>> TestServer::Fill(const std::string& collection, int count, int dimension,
                                                 unsigned seed) const {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> vectors;
  pb::UpsertRequest request;
  *request.mutable_collection() = Named(collection);
  for (int i = 0; i < count; ++i) {
    std::vector<float> vector;
    for (int j = 0; j < dimension; ++j) vector.push_back(normal(random));
    *request.add_records() = Change("r" + std::to_string(i), vector);
    vectors.push_back(std::move(vector));
  }
  pb::UpsertResponse response;
  const grpc::Status status = vectors_->Upsert(As(kWriteToken).get(), request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.inserted(), count);
  return vectors;
}

std::vector<const google::protobuf::MethodDescriptor*> EveryMethod() {
  std::vector<const google::protobuf::MethodDescriptor*> methods;
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const char* file : {"omics/vector/v1/vector_service.proto", "omics/vector/v1/admin_service.proto"}) {
    const auto* descriptor = pool->FindFileByName(file);
    for (int i = 0; i < descriptor->service_count(); ++i) {
      const auto* service = descriptor->service(i);
      for (int j = 0; j < service->method_count(); ++j) methods.push_back(service->method(j));
    }
  }
  return methods;
}

CallOutcome CallMethod(const std::shared_ptr<grpc::Channel>& channel, const google::protobuf::MethodDescriptor& method,
                       grpc::ClientContext& context, const std::string& message) {
  grpc::GenericStub stub(channel);
  const std::string path = "/" + method.service()->full_name() + "/" + method.name();
  grpc::CompletionQueue queue;
  const auto next = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub.PrepareCall(&context, path, &queue);
  call->StartCall(nullptr);
  if (next()) {
    const grpc::Slice slice(message);
    call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    next();
  }
  CallOutcome outcome;
  grpc::ByteBuffer answer;
  for (call->Read(&answer, nullptr); next(); call->Read(&answer, nullptr)) {
    grpc::Slice slice;
    EXPECT_TRUE(answer.DumpToSingleSlice(&slice).ok());
    outcome.responses.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  call->Finish(&outcome.status, nullptr);
  next();
  queue.Shutdown();
  while (next()) {
  }
  return outcome;
}

pb::CollectionRef Named(const std::string& name) {
  pb::CollectionRef ref;
  ref.set_name(name);
  return ref;
}

pb::RecordChange Change(const std::string& id, const std::vector<float>& embedding) {
  pb::RecordChange change;
  change.set_id(id);
  change.mutable_embedding()->Add(embedding.begin(), embedding.end());
  return change;
}

bool WaitUntilServing(const std::shared_ptr<grpc::Channel>& channel, const std::string& name) {
  namespace health = ::grpc::health::v1;
  const auto stub = health::Health::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  context.set_wait_for_ready(true);
  health::HealthCheckRequest request;
  request.set_service(name);
  const auto watch = stub->Watch(&context, request);
  health::HealthCheckResponse response;
  bool serving = false;
  while (!serving && watch->Read(&response)) serving = response.status() == health::HealthCheckResponse::SERVING;
  context.TryCancel();
  watch->Finish();
  return serving;
}

ImportOutcome Import(pb::AdminService::Stub& admin, const pb::ImportChromaTarget& target, const std::string& archive,
                     const std::string& token) {
  constexpr std::size_t kPiece = 256 << 10;
  ImportOutcome outcome;
  const auto context = As(token);
  const auto stream = admin.ImportChroma(context.get());
  std::thread writer([&stream, &target, &archive] {
    pb::ImportChromaRequest request;
    *request.mutable_target() = target;
    bool open = stream->Write(request);
    for (std::size_t done = 0; open && done < archive.size(); done += kPiece) {
      request.set_chunk(archive.substr(done, kPiece));
      open = stream->Write(request);
    }
    stream->WritesDone();
  });
  pb::ImportChromaResponse response;
  while (stream->Read(&response)) {
    if (response.has_progress()) ++outcome.progress_messages;
    if (response.has_imported()) outcome.imported.push_back(response.imported());
  }
  writer.join();
  outcome.status = stream->Finish();
  return outcome;
}

}  // namespace omics::services
