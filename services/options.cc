#include "services/options.h"

#include <sys/un.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/address.h"
#include "base/query_socket.h"
#include "base/status.h"
#include "cloud/s3.h"
#include "services/prewarm_list.h"

namespace omics::services {
namespace {

constexpr std::int64_t kThreadsMax = 1024;
constexpr std::int64_t kDrainSecondsMax = 3600;
constexpr std::int64_t kDownloadBytesMax = std::int64_t{1} << 40;
// Beyond it a lost disk would cost more than anyone expects of a service that ships.
constexpr std::int64_t kShipSecondsMax = 3600;
constexpr std::int64_t kLeaseSecondsMax = 600;
constexpr std::int64_t kPollSecondsMax = 30 * 24 * 3600;

// "grpc-address" → OMICS_VECTOR_GRPC_ADDRESS, then `others`.
OptionNames Names(std::string name, std::string help, std::vector<std::string> others = {}) {
  OptionNames names;
  names.environment = {absl::StrCat("OMICS_VECTOR_", absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"-", "_"}})))};
  names.environment.insert(names.environment.end(), others.begin(), others.end());
  names.name = std::move(name);
  names.help = std::move(help);
  return names;
}

OptionNames CredentialsNames() {
  OptionNames names;
  names.name = "authn-credentials";
  names.environment = {"CHROMA_SERVER_AUTHN_CREDENTIALS"};
  names.help = "The token that clients send, with the role admin; at least 16 bytes.";
  names.secret = true;
  return names;
}

void AddListeners(Config& config, Options& options) {
  config.Group("Listeners");
  config.Add(Names("grpc-address", "Host and port to serve gRPC on; port 0 takes a free one, empty is none."),
             options.grpc_address);
  config.Add(Names("grpc-unix-socket", "Path of a unix socket to serve gRPC on (mode 0660); empty is none."),
             options.grpc_unix_socket);
  config.Add(Names("grpc-behind-proxy", "Allow a --grpc-address that others can reach without TLS of our own."),
             options.grpc_behind_proxy);
  config.Add(Names("metrics-address", "Host and port to serve Prometheus metrics on; empty is none."),
             options.metrics_address);
  config.Add(Names("tls-certificate", "PEM file with the certificate chain; makes --grpc-address TLS."),
             options.tls_certificate);
  config.Add(Names("tls-key", "PEM file with the certificate's private key."), options.tls_key);
  config.Add(Names("reflection", "Answer gRPC reflection, which needs no token."), options.reflection);
}

void AddAccess(Config& config, Options& options) {
  config.Group("Access");
  config.Add(CredentialsNames(), options.authn_credentials);
  config.Add(
      Names(
          "tokens-file",
          "File with one token per line: NAME ROLE sha256:HEX [tenant=NAMES] [database=NAMES] [collections=PATTERNS]. "
          "Watched: a change is in force within seconds; SIGHUP reads it at once."),
      options.tokens_file);
  cloud::AddTokenSecretOptions(config, options.token_secret);
  cloud::AddJwtOptions(config, options.jwt);
  config.Add(Names("insecure-no-auth", "Accept every caller as admin."), options.insecure_no_auth);
  config.Add(Names("allow-reset", "Allow the RPC that removes everything."), options.allow_reset);
}

OptionNames PrewarmNames() {
  OptionNames names = Names("prewarm",
                            "Collections that the service loads by itself, as JSON or a file that holds it: "
                            "[{\"collection\": NAME, \"url\": \"s3://…\", \"sha256\": HEX, \"aliases\": [NAME]}]; the "
                            "last two may be left out. Ready when each is served.");
  names.mask = MaskPrewarmList;
  return names;
}

void AddPrewarm(Config& config, Options& options) {
  config.Group("Prewarm");
  config.Add(Names("prewarm-collections", "Collections that must be loaded before the service is ready, by comma."),
             options.prewarm_collections);
  config.Add(PrewarmNames(), options.prewarm);
  config.Add(Names("prewarm-bytes-max", "Bytes that one downloaded file may have."), options.prewarm_bytes_max, 1,
             kDownloadBytesMax);
  config.Add(Names("prewarm-hosts",
                   "Hosts (host or host:port) that may be downloaded from, also after redirects, by comma; none is "
                   "those that the list names."),
             options.prewarm_hosts);
  config.Add(Names("prewarm-poll-seconds", "Seconds after which a source is asked again; 0 asks at start only."),
             options.prewarm_poll_seconds, 0, kPollSecondsMax);
  config.Add(Names("s3-endpoint", "URL of an S3 that is not AWS's.", {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}),
             options.s3_endpoint);
  config.Add(Names("aws-region", "Region of buckets and secrets.", {"AWS_REGION", "AWS_DEFAULT_REGION"}),
             options.aws_region);
  config.Add(Names("s3-unsigned", "Ask S3 without credentials: for public buckets."), options.s3_unsigned);
}

void AddShipping(Config& config, Options& options) {
  config.Group("Shipping");
  config.Add(Names("ship-to",
                   "s3://BUCKET/PREFIX that every change is put to, and an empty data directory restored from; one "
                   "service at a time writes there. Empty: the data directory is all there is."),
             options.ship_to);
  config.Add(Names("ship-seconds", "Seconds within which a change is put to --ship-to."), options.ship_seconds, 1,
             kShipSecondsMax);
  config.Add(Names("lease-seconds",
                   "Seconds without S3 after which writes are refused; a service that was killed keeps the next one "
                   "waiting a quarter longer."),
             options.lease_seconds, 1, kLeaseSecondsMax);
}

absl::Status CheckShipping(const Options& options) {
  if (options.ship_to.empty()) return absl::OkStatus();
  const auto place = cloud::ParseS3Url(options.ship_to + "/x");
  if (!place.ok()) return Annotate(place.status(), "--ship-to");
  if (!options.s3_unsigned) return absl::OkStatus();
  return absl::InvalidArgumentError("--ship-to writes to S3, which takes credentials: leave out --s3-unsigned");
}

absl::Status CheckPrewarm(const Options& options) {
  const auto entries = LoadPrewarmList(options.prewarm);
  return entries.ok() ? absl::OkStatus() : Annotate(entries.status(), "--prewarm");
}

absl::Status CheckGrpcAddress(const Options& options) {
  if (options.grpc_address.empty()) return absl::OkStatus();
  const auto address = ParseHostPort(options.grpc_address);
  if (!address.ok()) return Annotate(address.status(), "--grpc-address");
  const bool protected_otherwise = !options.tls_certificate.empty() || options.grpc_behind_proxy;
  if (IsLoopback(address->host) || protected_otherwise) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--grpc-address ", options.grpc_address,
                   " can be reached from other machines and tokens would travel in the clear: "
                   "give --tls-certificate and --tls-key, or --grpc-behind-proxy if something else encrypts"));
}

absl::Status CheckSocketPath(const std::string& path) {
  // Less the final zero, and what the query socket beside it adds.
  const std::size_t bytes_max = sizeof(sockaddr_un::sun_path) - 1 - QuerySocketPath("").size();
  if (path.size() <= bytes_max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--grpc-unix-socket is longer than the ", bytes_max, " bytes that its path may have"));
}

}  // namespace

void AddOptions(Config& config, Options& options) {
  config.Add(Names("data-dir", "Directory that holds all data.", {"PERSIST_DIRECTORY"}), options.data_dir);
  config.Add(Names("threads", "Threads that build graphs; 0 takes what the cgroup gives."), options.threads, 0,
             kThreadsMax);
  config.Add(Names("drain-seconds", "Seconds that running calls get after SIGTERM."), options.drain_seconds, 0,
             kDrainSecondsMax);
  AddListeners(config, options);
  AddAccess(config, options);
  AddPrewarm(config, options);
  AddShipping(config, options);
  config.Group("Log");
  config.Add(Names("log-level", "trace, debug, info, warn or error. SIGHUP reads it again."), options.log_level);
  config.Add(Names("log-format", "auto, json or text."), options.log_format);
  config.AddCheck([&options] { return CheckOptions(options); });
}

absl::Status CheckOptions(const Options& options) {
  if (options.grpc_address.empty() && options.grpc_unix_socket.empty()) {
    return absl::InvalidArgumentError("nothing to listen on: give --grpc-address or --grpc-unix-socket");
  }
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls-certificate and --tls-key go together: give both or neither");
  }
  if (options.data_dir.empty()) return absl::InvalidArgumentError("--data-dir is empty: name a directory");
  OMICS_RETURN_IF_ERROR(CheckSocketPath(options.grpc_unix_socket));
  OMICS_RETURN_IF_ERROR(CheckPrewarm(options));
  OMICS_RETURN_IF_ERROR(CheckShipping(options));
  return CheckGrpcAddress(options);
}

}  // namespace omics::services
