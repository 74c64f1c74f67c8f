#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>

#include "base/config.h"
#include "base/log.h"
#include "base/runtime.h"
#include "base/signals.h"
#include "base/status.h"
#include "services/options.h"
#include "services/security.h"
#include "services/server.h"
#include "services/ship.h"

namespace omics::services {
namespace {

constexpr int kFailed = 1;
constexpr int kBadConfiguration = 2;
// Running calls that ignore their cancellation do not hold up the end longer than this; what is stored is safe.
constexpr std::chrono::seconds kForceAfterDrain{4};

std::optional<int> ReadOptions(int argc, const char* const* argv, Options& options) {
  Config config("vector-service", "Vector search over gRPC for biomedical ontologies.");
  AddOptions(config, options);
  return config.Parse(argc, argv);
}

int Fail(const absl::Status& status, int exit_code) {
  std::fprintf(stderr, "vector-service: %s\n", std::string(ToStd(status.message())).c_str());
  return exit_code;
}

void Reload(int argc, const char* const* argv, Server& server) {
  Options fresh;
  if (ReadOptions(argc, argv, fresh).has_value()) {
    LogError("the configuration cannot be read again: log level and tokens stay as they are");
    return;
  }
  if (const absl::Status status = SetLogLevel(fresh.log_level); !status.ok()) LogError(ToStd(status.message()));
  server.ReloadTokens();
}

// Ends the process on the next signal that asks for it: the operator does not want to wait.
void ForceOnSignal() {
  while (WaitForSignal() == SIGHUP) {
  }
  LogWarning("second signal: leaving at once");
  _exit(kFailed);
}

void ForceAfter(std::chrono::seconds limit) {
  std::this_thread::sleep_for(limit);
  LogWarning("some work did not end in time: leaving it");
  _exit(0);
}

int Serve(int argc, const char* const* argv, const Options& options) {
  auto security = LoadSecurity(options);
  if (!security.ok()) return Fail(security.status(), kBadConfiguration);
  auto server = Server::Start(options, *std::move(security));
  if (absl::IsCancelled(server.status())) return 0;  // a signal came before it was up
  if (!server.ok()) return Fail(server.status(), kFailed);
  while (WaitForSignal() == SIGHUP) Reload(argc, argv, **server);
  std::thread(ForceOnSignal).detach();
  const auto shipping = options.ship_to.empty() ? std::chrono::seconds(0) : kShipAtEnd;
  std::thread(ForceAfter, std::chrono::seconds(options.drain_seconds) + shipping + kForceAfterDrain).detach();
  (*server)->Stop();
  server->reset();
  return 0;
}

int Main(int argc, const char* const* argv) {
  Options options;
  if (const std::optional<int> done = ReadOptions(argc, argv, options)) return *done;
  if (const auto status = InitLog("vector-service", options.log_level, options.log_format); !status.ok()) {
    return Fail(status, kBadConfiguration);
  }
  SetUpRuntime();
  umask(0027);  // nobody but the owner and the group reads the data
  // SQLite's temporary files go where the data is: the only place that can be written to in a container whose root
  // cannot.
  setenv("SQLITE_TMPDIR", options.data_dir.c_str(), /*overwrite=*/0);
  BlockSignals();
  return Serve(argc, argv, options);
}

}  // namespace
}  // namespace omics::services

int main(int argc, char** argv) { return omics::services::Main(argc, argv); }
