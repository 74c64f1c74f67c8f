#include "services/server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/resource_quota.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/resources.h"
#include "base/signals.h"
#include "base/status.h"
#include "base/tokens.h"
#include "cloud/download.h"
#include "cloud/jwt_options.h"
#include "cloud/live_secret.h"
#include "cloud/url.h"
#include "index/catalog.h"
#include "services/admin_service_impl.h"
#include "services/guard.h"
#include "services/health.h"
#include "services/listen.h"
#include "services/prewarm.h"
#include "services/prewarm_list.h"
#include "services/prewarm_sources.h"
#include "services/query_calls.h"
#include "services/query_socket.h"
#include "services/ship.h"
#include "services/spool.h"
#include "services/vector_service_impl.h"

namespace omics::services {
namespace {

// A write of a thousand 1,536-float records takes 7 MiB; more belongs into a stream.
constexpr int kRequestBytesMax = 16 << 20;
// Calls that one connection may have open: a client with more in flight is better served by a second connection.
constexpr int kStreamsPerConnectionMax = 256;
// A token and a few tracing headers.
constexpr int kMetadataBytesMax = 16 << 10;
// Each running call but a query holds one of these threads, an idle stream too. Beyond, gRPC answers
// RESOURCE_EXHAUSTED.
constexpr int kCallThreadsMax = 256;
// Query threads to begin with, beyond those that the processors can feed: one or two may wait for a page of a file.
constexpr int kSpareQueryThreads = 2;
// gRPC's own buffers: a quarter of the memory, but room for a few of the largest messages.
constexpr std::int64_t kBufferBytesMin = std::int64_t{128} << 20;
// Clients come back to a balancer now and then, and dead ones are let go.
constexpr std::chrono::milliseconds kConnectionAge = std::chrono::hours(1);
constexpr std::chrono::milliseconds kConnectionAgeGrace = std::chrono::hours(1);
constexpr std::chrono::milliseconds kConnectionIdle = std::chrono::minutes(10);
// Clients may ping every 10 s; a second less forgives a late clock.
constexpr std::chrono::milliseconds kClientPingInterval = std::chrono::seconds(9);
constexpr std::chrono::milliseconds kServerPingInterval = std::chrono::minutes(1);
constexpr std::chrono::milliseconds kServerPingTimeout = std::chrono::seconds(20);
// After draining, calls are turned away by the guard for this long before gRPC's own shutdown begins: that one ends a
// call that arrives meanwhile with a bare CANCELLED, which no client takes for "try again elsewhere".
constexpr std::chrono::milliseconds kTurnAway{500};
// What is left then (health watches, mostly) gets this to finish before it is cancelled.
constexpr std::chrono::milliseconds kCancelAfter{500};

// How soon a signal is noticed while the service is not up yet.
constexpr std::chrono::milliseconds kSignalInterval{50};

// gRPC's own reports go to our log, below what anyone sees by default.
void LogFromGrpc(gpr_log_func_args* args) { LogDebug(absl::StrCat("grpc: ", args->message)); }

// Reflection for this server or not: the library by itself switches it on for every server of a program that links it.
class ReflectionOption final : public grpc::ServerBuilderOption {
 public:
  explicit ReflectionOption(bool on) : on_(on) {}
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    auto reflection = std::make_unique<grpc::reflection::ProtoServerReflectionPlugin>();
    std::erase_if(*plugins, [&reflection](const auto& plugin) { return plugin->name() == reflection->name(); });
    if (on_) plugins->push_back(std::move(reflection));
  }

 private:
  const bool on_;
};

void SetConnectionLimits(grpc::ServerBuilder& builder) {
  const auto add = [&builder](const char* name, std::int64_t value) {
    builder.AddChannelArgument(name, static_cast<int>(value));
  };
  add(GRPC_ARG_ALLOW_REUSEPORT, 0);
  add(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  add(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  add(GRPC_ARG_MAX_CONNECTION_AGE_MS, kConnectionAge.count());
  add(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kConnectionAgeGrace.count());
  add(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kConnectionIdle.count());
  add(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kClientPingInterval.count());
  add(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  add(GRPC_ARG_KEEPALIVE_TIME_MS, kServerPingInterval.count());
  add(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kServerPingTimeout.count());
}

void SetMessageLimits(grpc::ServerBuilder& builder, std::int64_t memory_bytes) {
  builder.SetMaxReceiveMessageSize(kRequestBytesMax);
  builder.SetMaxSendMessageSize(static_cast<int>(kResponseBytesMax));
  // A small compressed message can be a huge one: only plain ones are taken.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  grpc::ResourceQuota quota("vector-service");
  quota.Resize(static_cast<std::size_t>(std::max(memory_bytes / 4, kBufferBytesMin)));
  quota.SetMaxThreads(kCallThreadsMax);
  builder.SetResourceQuota(quota);
}

std::shared_ptr<grpc::ServerCredentials> Credentials(const Security& security) {
  if (!security.tls) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({security.tls->key_pem, security.tls->certificate_pem});
  return grpc::SslServerCredentials(options);
}

absl::StatusOr<std::unique_ptr<index::Catalog>> OpenCatalog(const Options& options, int threads) {
  index::CatalogOptions catalog_options;
  catalog_options.keep_changes = !options.ship_to.empty();
  catalog_options.data_dir = options.data_dir;
  catalog_options.build_threads = threads;
  return index::Catalog::Open(catalog_options);
}

// Waiting for another's lease and restoring take as long as they take: a signal ends them.
absl::StatusOr<std::unique_ptr<Shipping>> PrepareShipping(const Options& options, int threads) {
  if (options.ship_to.empty()) return nullptr;
  ShipSettings settings;
  settings.url = options.ship_to;
  settings.interval = std::chrono::seconds(options.ship_seconds);
  settings.lease_time = std::chrono::seconds(options.lease_seconds);
  settings.data_dir = options.data_dir;
  settings.s3.endpoint = options.s3_endpoint;
  if (!options.aws_region.empty()) settings.s3.region = options.aws_region;
  settings.threads = threads;
  std::atomic<bool> stop = false, done = false;
  std::thread watcher([&] {
    while (!done && !stop) {
      stop = StopSignalPending();
      std::this_thread::sleep_for(kSignalInterval);
    }
  });
  auto shipping = Shipping::Prepare(std::move(settings), &stop);
  done = true;
  watcher.join();
  return shipping;
}

std::filesystem::path SpoolDir(const Options& options) { return std::filesystem::path(options.data_dir) / "tmp"; }

absl::StatusOr<PrewarmSettings> Sources(const Options& options) {
  PrewarmSettings settings;
  OMICS_ASSIGN_OR_RETURN(settings.entries, LoadPrewarmList(options.prewarm));
  settings.directory = SpoolDir(options) / "prewarm";
  settings.poll = std::chrono::seconds(options.prewarm_poll_seconds);
  return settings;
}

cloud::DownloadOptions Downloads(const Options& options, const std::vector<PrewarmEntry>& entries) {
  cloud::DownloadOptions downloads;
  downloads.bytes_max = options.prewarm_bytes_max;
  downloads.hosts = options.prewarm_hosts;
  downloads.s3_endpoint = options.s3_endpoint;
  if (!options.aws_region.empty()) downloads.region = options.aws_region;
  downloads.unsigned_s3 = options.s3_unsigned;
  if (!downloads.hosts.empty()) return downloads;
  for (const PrewarmEntry& entry : entries) {
    if (const auto url = cloud::ParseUrl(entry.url); url.ok()) downloads.hosts.push_back(url->authority());
  }
  return downloads;
}

std::vector<std::string> HealthNames(const Options& options, const PrewarmSettings& sources) {
  std::vector<std::string> names = options.prewarm_collections;
  for (const PrewarmEntry& entry : sources.entries) {
    if (std::find(names.begin(), names.end(), entry.collection) == names.end()) names.push_back(entry.collection);
  }
  return names;
}

}  // namespace

// In order of construction: what stands below uses what stands above.
struct Server::Parts {
  Parts(const Options& from, Security given, const Resources& resources, std::unique_ptr<index::Catalog> opened,
        std::unique_ptr<Shipping> to_ship, PrewarmSettings sources, std::unique_ptr<cloud::Downloader> downloader)
      : options(from),
        security(std::move(given)),
        health(HealthNames(options, sources)),
        metrics("omics_vector_service"),
        tokens(security.sources, security.tokens),
        catalog(std::move(opened)),
        shipping(std::move(to_ship)),
        prewarm_sources(std::move(sources), std::move(downloader), *catalog, health),
        guard(tokens, metrics),
        vector_handlers(*catalog, health),
        admin_handlers(*catalog, health, prewarm_sources, SpoolDir(options),
                       {.threads = resources.threads,
                        .memory_bytes = resources.memory_bytes,
                        .allow_reset = options.allow_reset,
                        .shipping = shipping.get()}),
        vector_service(guard, vector_handlers),
        admin_service(guard, admin_handlers) {}

  absl::Status RefreshTokens();
  absl::Status ServeMetrics();
  void AddPrewarmMetrics();
  absl::Status Ship();
  absl::Status ServeGrpc(const Resources& resources);
  absl::Status AddTcp(grpc::ServerBuilder& builder);
  absl::Status AddUnixSocket(grpc::ServerBuilder& builder);
  absl::Status AnnounceListeners();

  const Options options;
  const Security security;
  Health health;
  Metrics metrics;
  LiveTokens tokens;
  std::unique_ptr<cloud::TokenRefresher> token_refresher;  // null where there is nothing to watch
  std::unique_ptr<index::Catalog> catalog;
  std::unique_ptr<Shipping> shipping;  // null without --ship-to
  PrewarmSources prewarm_sources;
  Guard guard;
  VectorHandlers vector_handlers;
  AdminHandlers admin_handlers;
  VectorServiceImpl vector_service;
  AdminServiceImpl admin_service;
  std::unique_ptr<grpc::Server> grpc;
  std::unique_ptr<QueryCalls> query_calls;
  std::unique_ptr<QuerySocket> query_socket;  // null without --grpc-unix-socket
  int grpc_port = 0;
  std::unique_ptr<Prewarm> prewarm;
};

double LowestRecall(const index::Catalog& catalog) {
  double lowest = 1;
  for (const auto& collection : catalog.OpenCollections()) lowest = std::min(lowest, collection->Stats().recall);
  return lowest;
}

absl::Status Server::Parts::RefreshTokens() {
  cloud::TokenSecretOptions secret = options.token_secret;
  secret.region = options.aws_region;
  OMICS_ASSIGN_OR_RETURN(token_refresher, cloud::StartTokenRefresher(secret, security.sources, tokens));
  if (token_refresher) token_refresher->AddGauges(metrics);
  return cloud::StartJwtVerifier(options.jwt, tokens, metrics);
}

absl::Status Server::Parts::ServeMetrics() {
  metrics.AddGauge("resident_bytes", "Resident memory of the process.",
                   [] { return static_cast<double>(ResidentBytes()); });
  metrics.AddGauge("ready", "1 when the service as a whole is SERVING.", [this] { return health.ready() ? 1.0 : 0.0; });
  metrics.AddGauge("lowest_recall", "Lowest recall@10 of an open collection, as sampled when its graphs were built.",
                   [this] { return LowestRecall(*catalog); });
  AddPrewarmMetrics();
  return metrics.Serve(options.metrics_address);
}

absl::Status Server::Parts::Ship() {
  if (!shipping) return absl::OkStatus();
  OMICS_RETURN_IF_ERROR(shipping->Attach(*catalog));
  shipping->AddMetrics(metrics);
  guard.FenceWrites([this] { return shipping->CheckWrites(); });
  shipping->SetListener([this](bool may_write) { health.SetMayWrite(may_write); });
  return absl::OkStatus();
}

void Server::Parts::AddPrewarmMetrics() {
  const auto add = [this](const char* name, const char* help, double (*read)(const PrewarmReport&)) {
    for (std::size_t i = 0; i < prewarm_sources.size(); ++i) {
      metrics.AddGauge(name, help, [this, i, read] { return read(prewarm_sources.Report(i)); },
                       {{"collection", prewarm_sources.Report(i).collection}});
    }
  };
  add("prewarm_served", "1 when a version of the collection answers queries.",
      [](const PrewarmReport& report) { return report.served ? 1.0 : 0.0; });
  add("prewarm_current", "1 when the collection is what its source held when it was last asked.",
      [](const PrewarmReport& report) { return report.phase == PrewarmPhase::kCurrent ? 1.0 : 0.0; });
  add("prewarm_failures", "Tries to load the collection since the last that succeeded.",
      [](const PrewarmReport& report) { return static_cast<double>(report.failures); });
  add("prewarm_downloaded_bytes", "Bytes of the collection's last download.",
      [](const PrewarmReport& report) { return static_cast<double>(report.bytes_done); });
}

absl::Status Server::Parts::AddTcp(grpc::ServerBuilder& builder) {
  if (options.grpc_address.empty()) return absl::OkStatus();
  OMICS_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(options.grpc_address));
  OMICS_RETURN_IF_ERROR(CheckCanListen(address));
  builder.AddListeningPort(options.grpc_address, Credentials(security), &grpc_port);
  return absl::OkStatus();
}

absl::Status Server::Parts::AddUnixSocket(grpc::ServerBuilder& builder) {
  if (options.grpc_unix_socket.empty()) return absl::OkStatus();
  OMICS_RETURN_IF_ERROR(RemoveStaleSocket(options.grpc_unix_socket));
  builder.AddListeningPort(absl::StrCat("unix:", options.grpc_unix_socket), grpc::InsecureServerCredentials());
  return absl::OkStatus();
}

absl::Status Server::Parts::ServeGrpc(const Resources& resources) {
  gpr_set_log_function(LogFromGrpc);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  SetConnectionLimits(builder);
  SetMessageLimits(builder, resources.memory_bytes);
  builder.SetOption(std::make_unique<ReflectionOption>(options.reflection));
  builder.RegisterService(&vector_service);
  builder.RegisterService(&admin_service);
  query_calls = std::make_unique<QueryCalls>(vector_service, guard, vector_handlers, builder);
  OMICS_RETURN_IF_ERROR(AddTcp(builder));
  OMICS_RETURN_IF_ERROR(AddUnixSocket(builder));
  grpc = builder.BuildAndStart();
  if (grpc == nullptr) {
    return absl::UnavailableError("cannot listen on --grpc-address or --grpc-unix-socket: run with --log-level debug");
  }
  query_calls->Start(resources.threads + kSpareQueryThreads);
  health.Attach(*grpc->GetHealthCheckService());
  return AnnounceListeners();
}

absl::Status Server::Parts::AnnounceListeners() {
  if (!options.grpc_unix_socket.empty()) {
    OMICS_RETURN_IF_ERROR(RestrictSocket(options.grpc_unix_socket));
    OMICS_ASSIGN_OR_RETURN(query_socket, QuerySocket::Listen(options.grpc_unix_socket, guard, vector_handlers));
    LogInfo(absl::StrCat("listening grpc=unix:", options.grpc_unix_socket));
  }
  if (!options.grpc_address.empty()) {
    const std::size_t host_end = options.grpc_address.rfind(':');
    LogInfo(absl::StrCat("listening grpc=", options.grpc_address.substr(0, host_end), ":", grpc_port));
  }
  if (metrics.port() != 0) {
    const std::size_t host_end = options.metrics_address.rfind(':');
    LogInfo(absl::StrCat("listening metrics=", options.metrics_address.substr(0, host_end), ":", metrics.port()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options, Security security) {
  const Resources resources = DetectResources();
  const int threads = options.threads > 0 ? static_cast<int>(options.threads) : resources.threads;
  LogInfo(absl::StrCat("vector-service ", OMICS_VECTOR_VERSION, " data_dir=", options.data_dir, " threads=", threads,
                       " memory_bytes=", resources.memory_bytes, " (", resources.source, ")"));
  if (security.tokens.allows_all()) LogWarning("--insecure-no-auth: every caller is admin");
  OMICS_ASSIGN_OR_RETURN(std::unique_ptr<Shipping> shipping, PrepareShipping(options, threads));
  OMICS_ASSIGN_OR_RETURN(std::unique_ptr<index::Catalog> catalog, OpenCatalog(options, threads));
  SweepSpools(SpoolDir(options));
  Resources given = resources;
  given.threads = threads;
  OMICS_ASSIGN_OR_RETURN(PrewarmSettings sources, Sources(options));
  OMICS_ASSIGN_OR_RETURN(auto downloader, cloud::Downloader::Make(Downloads(options, sources.entries)));
  auto parts = std::make_unique<Parts>(options, std::move(security), given, std::move(catalog), std::move(shipping),
                                       std::move(sources), std::move(downloader));
  OMICS_RETURN_IF_ERROR(parts->Ship());
  OMICS_RETURN_IF_ERROR(parts->RefreshTokens());
  OMICS_RETURN_IF_ERROR(parts->ServeMetrics());
  OMICS_RETURN_IF_ERROR(parts->ServeGrpc(given));
  parts->prewarm = std::make_unique<Prewarm>(*parts->catalog, parts->health, parts->prewarm_sources);
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  parts_->health.Stop();
  parts_->prewarm.reset();
  parts_->query_socket.reset();
  parts_->grpc->Shutdown(std::chrono::system_clock::now());
}

int Server::grpc_port() const { return parts_->grpc_port; }

int Server::metrics_port() const { return parts_->metrics.port(); }

void Server::ReloadTokens() {
  if (parts_->token_refresher) parts_->token_refresher->PollSoon();
  const absl::Status status = parts_->tokens.Reload();
  if (status.ok()) {
    LogInfo("tokens read again");
  } else {
    LogError(absl::StrCat("tokens not read again, the former ones stay in force: ", status.ToString()));
  }
}

void Server::Stop() {
  LogInfo(absl::StrCat("stopping: running calls get up to ", parts_->options.drain_seconds, " s"));
  parts_->health.Stop();
  parts_->prewarm_sources.Stop();
  const int left =
      parts_->guard.Drain(std::chrono::steady_clock::now() + std::chrono::seconds(parts_->options.drain_seconds));
  if (left > 0) LogWarning(absl::StrCat("cancelling ", left, " calls that did not end in time"));
  std::this_thread::sleep_for(kTurnAway);
  parts_->query_socket.reset();
  parts_->grpc->Shutdown(std::chrono::system_clock::now() + kCancelAfter);
  if (parts_->shipping) {
    const absl::Status shipped = parts_->shipping->Finish();
    if (!shipped.ok()) {
      LogError(
          absl::StrCat("not all is in ", parts_->options.ship_to, ", what is left is on disk: ", shipped.ToString()));
    }
  }
  LogInfo("stopped");
}

}  // namespace omics::services
