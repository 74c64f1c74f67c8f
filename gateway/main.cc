// vector-gateway: serves Chroma's REST API from a vector-service.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/resources.h"
#include "base/runtime.h"
#include "base/signals.h"
#include "base/status.h"
#include "base/tokens.h"
#include "cloud/jwt_options.h"
#include "cloud/live_secret.h"
#include "gateway/options.h"
#include "gateway/router.h"
#include "gateway/server.h"
#include "gateway/vector_client.h"

namespace {

using omics::LogInfo;
using omics::ToStd;

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

int Fail(const absl::Status& status, int code) {
  std::fprintf(stderr, "vector-gateway: %s\n", std::string(ToStd(status.message())).c_str());
  return code;
}

omics::gateway::ServerOptions ServerOptionsFrom(const omics::gateway::Options& options) {
  omics::gateway::ServerOptions server;
  server.address = options.rest_address;
  server.tls_certificate = options.tls_certificate;
  server.tls_key = options.tls_key;
  server.threads = options.threads > 0 ? static_cast<int>(options.threads) : omics::DetectResources().threads;
  server.session.body_bytes_max = static_cast<std::uint64_t>(options.body_bytes_max);
  return server;
}

// Reloads tokens on SIGHUP until a signal to stop comes.
void WaitForStop(omics::LiveTokens& tokens, omics::cloud::TokenRefresher* refresher) {
  while (omics::WaitForSignal() == SIGHUP) {
    if (refresher != nullptr) refresher->PollSoon();
    const absl::Status status = tokens.Reload();
    if (status.ok()) {
      LogInfo("tokens reloaded");
    } else {
      omics::LogWarning(absl::StrCat("tokens not reloaded, the old ones stay: ", status.ToString()));
    }
  }
}

int Serve(const omics::gateway::Options& options, omics::LiveTokens& tokens) {
  omics::Metrics metrics("omics_vector_gateway");
  const auto refresher = omics::cloud::StartTokenRefresher(options.token_secret, options.tokens, tokens);
  if (!refresher.ok()) return Fail(refresher.status(), kExitFailure);
  if (*refresher) (*refresher)->AddGauges(metrics);
  if (const absl::Status status = omics::cloud::StartJwtVerifier(options.jwt, tokens, metrics); !status.ok()) {
    return Fail(status, kExitUsage);
  }
  omics::gateway::VectorClient service(options.service_address);
  omics::gateway::Router router(service, tokens, metrics, {options.cors_allow_origins});
  omics::gateway::Server server(router, ServerOptionsFrom(options));
  if (const absl::Status status = server.Start(); !status.ok()) {
    return Fail(status, absl::IsInvalidArgument(status) ? kExitUsage : kExitFailure);
  }
  metrics.AddGauge("connections", "Open client connections.", [&server] { return server.connections(); });
  metrics.AddGauge("resident_bytes", "Resident memory.", [] { return omics::ResidentBytes(); });
  if (const absl::Status status = metrics.Serve(options.metrics_address); !status.ok()) {
    server.Stop(std::chrono::milliseconds(0));
    return Fail(status, kExitFailure);
  }
  LogInfo(absl::StrCat("listening rest=", server.address()));
  if (metrics.port() != 0) {
    const std::string host = options.metrics_address.substr(0, options.metrics_address.rfind(':'));
    LogInfo(absl::StrCat("listening metrics=", host, ":", metrics.port()));
  }
  LogInfo("ready");
  WaitForStop(tokens, refresher->get());
  LogInfo("draining");
  if (!server.Stop(std::chrono::seconds(options.drain_seconds))) {
    omics::LogError("some connections did not end; leaving without them");
    std::_Exit(kExitFailure);
  }
  LogInfo("stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  omics::gateway::Options options;
  if (const auto exit_code = omics::gateway::ParseOptions(argc, argv, options)) return *exit_code;
  if (const absl::Status status = omics::InitLog("vector-gateway", options.log_level, options.log_format);
      !status.ok()) {
    return Fail(status, kExitUsage);
  }
  omics::SetUpRuntime();
  omics::BlockSignals();
  absl::StatusOr<omics::TokenSet> tokens = omics::LoadTokens(options.tokens);
  if (!tokens.ok()) return Fail(tokens.status(), kExitUsage);
  if (tokens->allows_all()) omics::LogWarning("--insecure-no-auth: every caller is an administrator");
  omics::LiveTokens live(options.tokens, *std::move(tokens));
  return Serve(options, live);
}
