// The connection to a running service, for all commands.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/config.h"
#include "omics/vector/v1/collections.pb.h"

namespace omics::tools {

namespace pb = ::omics::vector::v1;

// Where the service is and who asks.
struct ClientOptions {
  std::string address = "127.0.0.1:50051";  // or "unix:/path"
  std::string token;
  bool tls = false;
  std::string tls_ca;  // PEM file; "" means the system's authorities
};

// Adds --address, --tls, --tls-ca and, with `token`, --token.
void AddClientOptions(Config& config, ClientOptions& options, bool token);

// Where a collection is; its name comes as an argument.
struct CollectionOptions {
  std::string tenant;
  std::string database;
  std::string name;
};

// Adds --tenant and --database.
void AddCollectionOptions(Config& config, CollectionOptions& options);
pb::CollectionRef ToRef(const CollectionOptions& options);

// A channel that connects when it is first used. INVALID_ARGUMENT if the address or the CA file is none.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const ClientOptions& options);

// Puts the token into the call's metadata.
void Authenticate(const ClientOptions& options, grpc::ClientContext& context);
void SetTimeout(std::chrono::seconds timeout, grpc::ClientContext& context);

// The status with its reason, and with a message that says what to do about the errors that come from the way here: no
// service at the address, no or a wrong token, a role too low, time run out.
absl::Status FromGrpc(const grpc::Status& status, const ClientOptions& options);

}  // namespace omics::tools
