#include <grpc/health/v1/health.grpc.pb.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "tools/client.h"
#include "tools/commands.h"

namespace omics::tools {
namespace {

namespace health = ::grpc::health::v1;

constexpr char kCommand[] = "health";
constexpr std::chrono::seconds kTimeout{5};

absl::StatusOr<health::HealthCheckResponse> Check(const ClientOptions& options, const std::string& service) {
  const auto channel = Connect(options);
  if (!channel.ok()) return channel.status();
  grpc::ClientContext context;
  SetTimeout(kTimeout, context);
  health::HealthCheckRequest request;
  request.set_service(service);
  health::HealthCheckResponse response;
  const grpc::Status status = health::Health::NewStub(*channel)->Check(&context, request, &response);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
    return absl::NotFoundError(absl::StrCat("the service has no health name \"", service, "\""));
  }
  if (!status.ok()) return FromGrpc(status, options);
  return response;
}

}  // namespace

int RunHealth(int argc, const char* const* argv) {
  ClientOptions options;
  std::string service;
  bool live = false;
  Config config("vectorctl health",
                "Asks grpc.health.v1; needs no token. Ends with 0 if the answer is SERVING, else 1.");
  config.NoConfigFile();
  config.Group("Request");
  config.Add({"service",
              {},
              "The name to ask for: empty for the service as a whole, omics.vector.v1.VectorService, "
              "omics.vector.v1.AdminService, or a prewarmed collection."},
             service);
  config.Add({"live", {}, "Any answer will do, also NOT_SERVING: for checks that restart what has hung."}, live);
  AddClientOptions(config, options, false);
  config.Examples(
      "  vectorctl health\n"
      "  vectorctl health --service omics.vector.v1.VectorService --address 127.0.0.1:50051");
  if (const auto code = config.Parse(argc, argv)) return *code;

  const auto response = Check(options, service);
  if (!response.ok()) return Fail(kCommand, response.status());
  std::printf("%s\n", health::HealthCheckResponse::ServingStatus_Name(response->status()).c_str());
  return live || response->status() == health::HealthCheckResponse::SERVING ? 0 : 1;
}

}  // namespace omics::tools
