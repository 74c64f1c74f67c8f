#include "base/metrics.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <future>
#include <map>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/mutex.h"
#include "base/status.h"

namespace omics {
namespace {

// Seconds: from a search of 100 µs to a long import.
const prometheus::Histogram::BucketBoundaries kDurationBuckets = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

// Gauges and counters whose values are functions, called when a scrape comes.
class ReadGauges : public prometheus::Collectable {
 public:
  void Add(prometheus::MetricType type, const std::string& name, const std::string& help, std::function<double()> read,
           const std::map<std::string, std::string>& labels) {
    MutexLock lock(mutex_);
    gauges_.push_back({type, name, help, std::move(read), {}});
    for (const auto& [label, value] : labels) gauges_.back().labels.push_back({label, value});
  }

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families;
    MutexLock lock(mutex_);
    for (const Gauge& gauge : gauges_) {
      prometheus::ClientMetric metric;
      (gauge.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = gauge.read();
      metric.label = gauge.labels;
      const auto family = std::find_if(families.begin(), families.end(),
                                       [&gauge](const auto& known) { return known.name == gauge.name; });
      if (family != families.end()) {
        family->metric.push_back(metric);
      } else {
        families.push_back({gauge.name, gauge.help, gauge.type, {metric}});
      }
    }
    return families;
  }

 private:
  struct Gauge {
    prometheus::MetricType type;
    std::string name;
    std::string help;
    std::function<double()> read;
    std::vector<prometheus::ClientMetric::Label> labels;
  };
  mutable Mutex mutex_;
  std::vector<Gauge> gauges_ ABSL_GUARDED_BY(mutex_);
};

absl::Status CannotListen(const std::string& address, std::string_view why) {
  return absl::UnavailableError(absl::StrCat("cannot serve metrics on ", address, ": ", ToAbsl(why),
                                             "; choose another address with --metrics-address (\"\" for none)"));
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  void SetPort(int port) {
    if (storage.ss_family == AF_INET6) {
      reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port = htons(static_cast<std::uint16_t>(port));
    } else {
      reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(static_cast<std::uint16_t>(port));
    }
  }
};

absl::StatusOr<SocketAddress> Resolve(const std::string& address) {
  OMICS_ASSIGN_OR_RETURN(const HostPort parsed, ParseHostPort(address));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(parsed.host.c_str(), std::to_string(parsed.port).c_str(), &hints, &found)) {
    return CannotListen(address, gai_strerror(error));
  }
  SocketAddress result;
  std::memcpy(&result.storage, found->ai_addr, found->ai_addrlen);
  result.size = found->ai_addrlen;
  freeaddrinfo(found);
  return result;
}

// The address as the web server wants it: numbers only.
std::string Numeric(const SocketAddress& address) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  getnameinfo(address.get(), address.size, host.data(), host.size(), port.data(), port.size(),
              NI_NUMERICHOST | NI_NUMERICSERV);
  const bool v6 = address.storage.ss_family == AF_INET6;
  return absl::StrCat(v6 ? "[" : "", host.data(), v6 ? "]:" : ":", port.data());
}

// The web server does not say why it cannot listen, so the address is tried first.
absl::Status TryListen(const std::string& text, const SocketAddress& address) {
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const bool listens = fd >= 0 && bind(fd, address.get(), address.size) == 0 && listen(fd, 1) == 0;
  const int error_number = errno;
  if (fd >= 0) close(fd);
  if (listens) return absl::OkStatus();
  if (error_number != EADDRINUSE) return CannotListen(text, std::generic_category().message(error_number));
  return CannotListen(text, absl::StrCat("port ", text.substr(text.rfind(':') + 1), " is in use"));
}

void Knock(const SocketAddress& address) {
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  // Only the attempt matters: it wakes the listener.
  static_cast<void>(connect(fd, address.get(), address.size));
  close(fd);
}

// What one finished request changes; owned by the registry.
struct Series {
  prometheus::Counter* requests = nullptr;
  prometheus::Histogram* duration = nullptr;
};

}  // namespace

struct Metrics::Impl {
  explicit Impl(std::string name_prefix) : prefix(std::move(name_prefix)) {}

  const std::string prefix;
  const std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  const std::shared_ptr<ReadGauges> gauges = std::make_shared<ReadGauges>();
  prometheus::Family<prometheus::Counter>& requests = prometheus::BuildCounter()
                                                          .Name(prefix + "_requests_total")
                                                          .Help("Finished requests by method and result.")
                                                          .Register(*registry);
  prometheus::Family<prometheus::Histogram>& durations = prometheus::BuildHistogram()
                                                             .Name(prefix + "_request_duration_seconds")
                                                             .Help("Time from a request's arrival to its end.")
                                                             .Register(*registry);
  prometheus::Gauge& in_flight = prometheus::BuildGauge()
                                     .Name(prefix + "_requests_in_flight")
                                     .Help("Requests being served now.")
                                     .Register(*registry)
                                     .Add({});

  // The registry's own look-up takes a microsecond, ten times the rest of a count.
  Series Find(std::string_view method, std::string_view code);

  mutable Mutex mutex;
  std::map<std::string, std::map<std::string, Series, std::less<>>, std::less<>> series ABSL_GUARDED_BY(mutex);
  SocketAddress address ABSL_GUARDED_BY(mutex);
  int port ABSL_GUARDED_BY(mutex) = 0;
  std::unique_ptr<prometheus::Exposer> exposer ABSL_GUARDED_BY(mutex);
};

Series Metrics::Impl::Find(std::string_view method, std::string_view code) {
  MutexLock lock(mutex);
  auto by_method = series.find(method);
  if (by_method == series.end()) by_method = series.emplace(method, decltype(by_method->second)()).first;
  const auto found = by_method->second.find(code);
  if (found != by_method->second.end()) return found->second;
  const std::string method_label(method);
  const Series added{&requests.Add({{"code", std::string(code)}, {"method", method_label}}),
                     &durations.Add({{"method", method_label}}, kDurationBuckets)};
  return by_method->second.emplace(code, added).first->second;
}

Metrics::Metrics(std::string prefix) : impl_(std::make_unique<Impl>(std::move(prefix))) {}

// The web server looks for its end only when a connection comes or every two seconds: knock until it is gone.
Metrics::~Metrics() {
  std::unique_ptr<prometheus::Exposer> exposer;
  SocketAddress address;
  {
    MutexLock lock(impl_->mutex);
    exposer = std::move(impl_->exposer);
    address = impl_->address;
  }
  if (!exposer) return;
  const std::future<void> stopped = std::async(std::launch::async, [&exposer] { exposer.reset(); });
  while (stopped.wait_for(std::chrono::milliseconds(5)) != std::future_status::ready) Knock(address);
}

absl::Status Metrics::Serve(const std::string& address) {
  if (address.empty()) return absl::OkStatus();
  OMICS_ASSIGN_OR_RETURN(SocketAddress socket_address, Resolve(address));
  OMICS_RETURN_IF_ERROR(TryListen(address, socket_address));
  MutexLock lock(impl_->mutex);
  try {
    impl_->exposer = std::make_unique<prometheus::Exposer>(
        std::vector<std::string>{"listening_ports", Numeric(socket_address), "num_threads", "2", "request_timeout_ms",
                                 "5000", "max_request_size", "8192"});
    impl_->exposer->RegisterCollectable(impl_->registry);
    impl_->exposer->RegisterCollectable(impl_->gauges);
    impl_->port = impl_->exposer->GetListeningPorts().at(0);
  } catch (const std::exception& e) {
    impl_->exposer.reset();
    return CannotListen(address, e.what());
  }
  socket_address.SetPort(impl_->port);
  impl_->address = socket_address;
  return absl::OkStatus();
}

int Metrics::port() const {
  MutexLock lock(impl_->mutex);
  return impl_->port;
}

void Metrics::Finished(std::string_view method, std::string_view code, std::chrono::steady_clock::duration duration) {
  const Series series = impl_->Find(method, code);
  series.requests->Increment();
  series.duration->Observe(std::chrono::duration<double>(duration).count());
}

void Metrics::AddInFlight(int delta) { impl_->in_flight.Increment(delta); }

void Metrics::AddGauge(const std::string& name, const std::string& help, std::function<double()> read,
                       const std::map<std::string, std::string>& labels) {
  impl_->gauges->Add(prometheus::MetricType::Gauge, absl::StrCat(impl_->prefix, "_", name), help, std::move(read),
                     labels);
}

void Metrics::AddCounter(const std::string& name, const std::string& help, std::function<double()> read,
                         const std::map<std::string, std::string>& labels) {
  impl_->gauges->Add(prometheus::MetricType::Counter, absl::StrCat(impl_->prefix, "_", name), help, std::move(read),
                     labels);
}

}  // namespace omics
