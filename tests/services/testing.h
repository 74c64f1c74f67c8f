// A real server on a free port with a data directory of its own, and a real client.
#pragma once

#include <google/protobuf/descriptor.h>
#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "omics/vector/v1/admin_service.grpc.pb.h"
#include "omics/vector/v1/vector_service.grpc.pb.h"
#include "services/options.h"
#include "services/server.h"
#include "tests/support/temp_dir.h"

namespace omics::services {

namespace pb = ::omics::vector::v1;

inline constexpr char kReadToken[] = "read-token-0123456789abcdef";
inline constexpr char kWriteToken[] = "write-token-0123456789abcdef";
inline constexpr char kAdminToken[] = "admin-token-0123456789abcdef";

// A context with a token ("" for none) and a deadline that no test should reach.
std::unique_ptr<grpc::ClientContext> As(const std::string& token);

// The reason in the rich details of `status`; "" if there is none. The domain must be ours.
std::string ReasonOf(const grpc::Status& status);

std::string ReadFile(const std::filesystem::path& path);
void WriteFile(const std::filesystem::path& path, const std::string& text);

// The three tokens above, as a tokens file.
std::string TokensText();

// What a server under test is started with: free ports, the three tokens. The directory must outlive the server.
Options TestOptions(const TempDir& directory);

// A running server and its clients.
class TestServer {
 public:
  TestServer() : TestServer([](Options&) {}) {}
  explicit TestServer(const std::function<void(Options&)>& change);

  Server& server() { return *server_; }
  const TempDir& directory() const { return directory_; }
  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  pb::VectorService::Stub& vectors() const { return *vectors_; }
  pb::AdminService::Stub& admin() const { return *admin_; }
  std::string address() const;
  // How many collections a reader can list.
  int Collections() const;
  // Fails the test if anything is left of a stream that brought or took a file.
  void ExpectNothingSpooled() const;

  // Makes a collection of the default tenant and database, and fails the test if that is refused.
  void Create(const std::string& name, pb::Metric metric = pb::METRIC_SQUARED_L2) const;
  // Stores `count` records "r0" … of `dimension` floats, and returns their vectors.
  std::vector<std::vector<float>> Fill(const std::string& collection, int count, int dimension, unsigned seed) const;

 private:
  TempDir directory_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::VectorService::Stub> vectors_;
  std::unique_ptr<pb::AdminService::Stub> admin_;
};

// Every RPC of both services, from the descriptor pool.
std::vector<const google::protobuf::MethodDescriptor*> EveryMethod();

// How a call of any RPC ended.
struct CallOutcome {
  grpc::Status status;
  std::vector<std::string> responses;  // serialized
};
// Sends one serialized message to any RPC and ends the stream, if it is one; reads what comes until the call ends.
CallOutcome CallMethod(const std::shared_ptr<grpc::Channel>& channel, const google::protobuf::MethodDescriptor& method,
                       grpc::ClientContext& context, const std::string& message);

pb::CollectionRef Named(const std::string& name);
pb::RecordChange Change(const std::string& id, const std::vector<float>& embedding);

// Waits on the health service until `name` is SERVING; false when 20 s pass first.
bool WaitUntilServing(const std::shared_ptr<grpc::Channel>& channel, const std::string& name);

// What one import through a stream gave.
struct ImportOutcome {
  grpc::Status status;
  std::vector<pb::ImportedCollection> imported;
  int progress_messages = 0;
};
ImportOutcome Import(pb::AdminService::Stub& admin, const pb::ImportChromaTarget& target, const std::string& archive,
                     const std::string& token = kAdminToken);

}  // namespace omics::services
