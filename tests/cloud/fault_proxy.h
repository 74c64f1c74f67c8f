// Stands between a client and a server and breaks connections in chosen ways.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace omics::cloud::testing {

enum class Fault {
  kNone,
  kRefuse,       // the connection is reset before anything is read
  kLoseAnswer,   // the server does the work, its answer is dropped
  kCut,          // the answer ends within its body
  kDelay,        // the answer comes late, in two pieces
  kCorrupt,      // one byte of the answer's body is another
  kSlowDown,     // S3's 503 instead of the server's answer
  kServerError,  // 500 with a page that is neither JSON nor XML
  kGarbage,      // 200 with bytes that mean nothing
};

// Thread safety: all members may be called from any thread.
class FaultProxy {
 public:
  // Draws each connection's fault with this seed: with `percent` of 100 one of `faults`, else none.
  FaultProxy(std::string upstream_host, int upstream_port, std::uint64_t seed, std::vector<Fault> faults, int percent);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  std::string url() const;
  void SetPercent(int percent) { percent_ = percent; }
  void SetFaults(std::vector<Fault> faults);
  // How often each fault was drawn.
  std::map<Fault, int> injected() const;
  int injected_faults() const;

 private:
  void Run();
  void Serve(int fd, Fault fault, std::uint64_t dice);
  Fault Draw(std::uint64_t& dice);

  const std::string upstream_host_;
  const int upstream_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> percent_;
  std::atomic<bool> ending_{false};
  std::atomic<int> connections_{0};  // being served, each by a thread of its own
  std::thread thread_;

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  std::vector<Fault> faults_;
  std::map<Fault, int> injected_;
};

}  // namespace omics::cloud::testing
