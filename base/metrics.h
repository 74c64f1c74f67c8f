// Prometheus metrics on a port of their own, with no other route.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace omics {

// Requests by method and result, their durations, requests in flight, and gauges read at scrape time.
//
// Thread safety: all members may be called from any thread.
class Metrics {
 public:
  // `prefix` heads every name, for example "omics_vector_service".
  explicit Metrics(std::string prefix);
  ~Metrics();

  // Starts serving GET /metrics on `address` ("127.0.0.1:9090", port 0 for any; "" for none).
  // UNAVAILABLE "port 9090 is in use…" naming the flag --metrics-address.
  absl::Status Serve(const std::string& address);
  // The port served, or 0.
  int port() const;

  // Counts one finished request: <prefix>_requests_total{method,code} and <prefix>_request_duration_seconds{method}.
  // `method` and `code` must come from a fixed set, never from the client.
  void Finished(std::string_view method, std::string_view code, std::chrono::steady_clock::duration duration);
  void AddInFlight(int delta);

  // A gauge <prefix>_<name>, whose value `read` gives at each scrape. Those of one name differ in their labels.
  void AddGauge(const std::string& name, const std::string& help, std::function<double()> read,
                const std::map<std::string, std::string>& labels = {});
  // Likewise a counter, whose value never falls.
  void AddCounter(const std::string& name, const std::string& help, std::function<double()> read,
                  const std::map<std::string, std::string>& labels = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace omics
