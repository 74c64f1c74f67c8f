#include "tools/client.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/status.h"

namespace omics::tools {
namespace {

// The limit of the service, in both directions.
constexpr int kMessageBytesMax = 16 << 20;
// A compaction may be silent for long; the service accepts pings from 10 s on.
constexpr int kKeepaliveMilliseconds = 30'000;
constexpr char kUnixPrefix[] = "unix:";

absl::Status CheckAddress(const std::string& address) {
  if (absl::StartsWith(address, kUnixPrefix) && address.size() > sizeof(kUnixPrefix) - 1) return absl::OkStatus();
  const absl::Status status = ParseHostPort(address).status();
  return status.ok() ? status
                     : absl::InvalidArgumentError(absl::StrCat("--address: ", status.message(), " or unix:/path"));
}

bool IsLocal(const std::string& address) {
  const auto parsed = ParseHostPort(address);
  return !parsed.ok() || IsLoopback(parsed->host);
}

absl::StatusOr<std::string> ReadCertificates(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) return ErrnoStatus(errno, absl::StrCat("--tls-ca: read ", path));
  return text.str();
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const ClientOptions& options) {
  if (!options.tls && options.tls_ca.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  if (!options.tls_ca.empty()) {
    OMICS_ASSIGN_OR_RETURN(ssl.pem_root_certs, ReadCertificates(options.tls_ca));
  }
  return grpc::SslCredentials(ssl);
}

std::string ReasonOf(const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return "";
  for (const auto& detail : details.details()) {
    google::rpc::ErrorInfo info;
    if (detail.Is<google::rpc::ErrorInfo>() && detail.UnpackTo(&info)) return info.reason();
  }
  return "";
}

std::string MessageFor(const grpc::Status& status, const std::string& reason, const ClientOptions& options) {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      // An answer of the service has a reason or comes with details; without, there was nobody to answer.
      if (!reason.empty() || !status.error_details().empty()) break;
      return absl::StrCat("no service answers at ", options.address,
                          ": start one with `vector-service --data-dir DIR`, or name its address with --address (",
                          status.error_message(), ")");
    case grpc::StatusCode::UNAUTHENTICATED:
      return options.token.empty() ? "the service wants a token: give --token or OMICS_VECTOR_TOKEN"
                                   : "the service does not know this token: check --token or OMICS_VECTOR_TOKEN";
    case grpc::StatusCode::PERMISSION_DENIED:
      return absl::StrCat(status.error_message(), ": use a token with a higher role");
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return absl::StrCat("the service at ", options.address, " did not answer in time");
    default:
      break;
  }
  return status.error_message();
}

}  // namespace

void AddClientOptions(Config& config, ClientOptions& options, bool token) {
  config.Group("Connection");
  config.Add({"address", {"OMICS_VECTOR_GRPC_ADDRESS"}, "The service's host:port or unix:/path."}, options.address);
  if (token) {
    config.Add({"token",
                {"OMICS_VECTOR_TOKEN"},
                "The token to show; safer in the environment than on the command line.",
                true},
               options.token);
  }
  config.Add({"tls", {"OMICS_VECTOR_TLS"}, "Speak TLS."}, options.tls);
  config.Add({"tls-ca",
              {"OMICS_VECTOR_TLS_CA"},
              "PEM file of the authority that signed the service's certificate; "
              "means --tls."},
             options.tls_ca);
}

void AddCollectionOptions(Config& config, CollectionOptions& options) {
  config.Group("Collection");
  config.Add({"tenant", {"OMICS_VECTOR_TENANT"}, "Its tenant; empty is default_tenant."}, options.tenant);
  config.Add({"database", {"OMICS_VECTOR_DATABASE"}, "Its database; empty is default_database."}, options.database);
}

pb::CollectionRef ToRef(const CollectionOptions& options) {
  pb::CollectionRef ref;
  ref.set_tenant(options.tenant);
  ref.set_database(options.database);
  ref.set_name(options.name);
  return ref;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const ClientOptions& options) {
  OMICS_RETURN_IF_ERROR(CheckAddress(options.address));
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ChannelCredentials> credentials, Credentials(options));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetMaxSendMessageSize(kMessageBytesMax);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMilliseconds);
  // What is on this machine is not reached through an HTTP proxy.
  if (IsLocal(options.address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(options.address, credentials, arguments);
}

void Authenticate(const ClientOptions& options, grpc::ClientContext& context) {
  if (!options.token.empty()) context.AddMetadata("authorization", absl::StrCat("Bearer ", options.token));
}

void SetTimeout(std::chrono::seconds timeout, grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + timeout);
}

absl::Status FromGrpc(const grpc::Status& status, const ClientOptions& options) {
  if (status.ok()) return absl::OkStatus();
  const std::string reason = ReasonOf(status);
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), MessageFor(status, reason, options));
  return reason.empty() ? result : WithReason(std::move(result), reason);
}

}  // namespace omics::tools
