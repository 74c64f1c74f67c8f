// Listens, accepts, and stops in three phases.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gateway/router.h"
#include "gateway/session_options.h"

namespace omics::gateway {

// A gateway behind a load balancer sees a few dozen connections; each costs 64 KiB of buffer.
inline constexpr int kConnectionsMax = 1'024;

struct ServerOptions {
  std::string address = "127.0.0.1:8000";  // host:port, port 0 for any
  std::string tls_certificate;             // PEM files; both or none
  std::string tls_key;
  int threads = 1;
  int connections_max = kConnectionsMax;
  SessionOptions session;
};

// Thread safety: Start() and Stop() once each, from one thread.
class Server {
 public:
  // `router` must outlive the server.
  Server(Router& router, ServerOptions options);
  // Stops at once if Stop() was not called.
  ~Server();

  // Listens and serves from threads of its own. INVALID_ARGUMENT for a bad address or certificate, UNAVAILABLE if the
  // port is taken.
  absl::Status Start();
  // The address listened on, with the real port: "127.0.0.1:8000".
  std::string address() const;
  int port() const;
  int connections() const;

  // Phase 1: /readyz says 503, no new connections. Phase 2: requests in progress end, up to `drain`; connections
  // without one are closed. Phase 3: what is left is cut off. False if even that did not end everything within kCutOff:
  // the process must then leave without destroying what the threads use.
  bool Stop(std::chrono::milliseconds drain);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

inline constexpr std::chrono::seconds kCutOff{3};

}  // namespace omics::gateway
