// The running service: engine, tokens, metrics, gRPC listeners and health, composed.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "services/options.h"
#include "services/security.h"

namespace omics::services {

// Thread safety: all members may be called from any thread, Stop() once.
class Server {
 public:
  // Opens the data directory, listens, and begins to load collections; returns once it listens, logging each listener,
  // and logs `ready` when "" is SERVING. `options` must have passed CheckOptions(). The status is one sentence for the
  // operator: the data directory is locked or is a Chroma store, a port is in use.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Options& options, Security security);

  // Stops at once what Stop() did not stop before.
  ~Server();

  // The TCP port of gRPC, or 0 if it listens on a unix socket only; the port of the metrics, or 0.
  int grpc_port() const;
  int metrics_port() const;

  // Reads the tokens again, those of a secret a moment later; a bad file keeps the present ones and is logged.
  void ReloadTokens();

  // Health says NOT_SERVING and new calls are refused, running ones get --drain-seconds, and what is left is cancelled.
  void Stop();

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace omics::services
