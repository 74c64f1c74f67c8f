#include "gateway/server.h"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "gateway/session.h"

namespace omics::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// When accepting fails (out of descriptors), until the next try.
constexpr std::chrono::milliseconds kAcceptPause{100};

constexpr std::string_view kFull =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 2\r\nConnection: close\r\n\r\n";

absl::Status ListenError(const std::string& address, const error_code& error) {
  if (error == asio::error::address_in_use) {
    return absl::UnavailableError(
        absl::StrCat(address, " is in use: stop the other program or choose another --rest-address"));
  }
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", error.message(), " (--rest-address)"));
}

absl::Status LoadTls(const ServerOptions& options, asio::ssl::context& context) {
  error_code error;
  context.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                          asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1,
                      error);
  context.use_certificate_chain_file(options.tls_certificate, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tls-certificate ", options.tls_certificate, ": ", error.message()));
  }
  context.use_private_key_file(options.tls_key, asio::ssl::context::pem, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat("--tls-key ", options.tls_key, ": ", error.message()));
  return absl::OkStatus();
}

}  // namespace

struct Server::Impl {
  Impl(Router& router_in, ServerOptions options_in)
      : router(router_in),
        options(std::move(options_in)),
        shared{router, options.session, long_requests.get_executor()} {
    for (int i = 0; i < options.threads; ++i) contexts.push_back(std::make_unique<asio::io_context>(1));
  }

  absl::Status Listen();
  // On a thread of its own, until nothing is left to do.
  void Run(asio::io_context& context);
  asio::awaitable<void> Accept();
  void Admit(tcp::socket socket);
  void Ended(std::uint64_t id);
  std::vector<std::shared_ptr<Session>> Sessions();
  bool WaitUntilEmpty(std::chrono::steady_clock::time_point deadline);

  Router& router;
  const ServerOptions options;
  asio::io_context long_requests;
  SessionShared shared;
  asio::ssl::context tls{asio::ssl::context::tls_server};
  // One for each thread that serves connections, so that no thread is woken to hand something to another; a connection
  // stays with its own.
  std::vector<std::unique_ptr<asio::io_context>> contexts;
  // Keep the threads without a connection; a call to the service that is under way keeps its thread, too.
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards;
  std::size_t next_context = 0;  // used by the accepting thread only
  std::optional<tcp::acceptor> acceptor;
  std::string address;
  int port = 0;
  std::vector<std::thread> threads;
  bool started = false;
  bool stopped = false;

  Mutex mutex;
  CondVar ended;
  bool draining ABSL_GUARDED_BY(mutex) = false;
  bool accepting ABSL_GUARDED_BY(mutex) = false;
  std::uint64_t next_id ABSL_GUARDED_BY(mutex) = 0;
  std::unordered_map<std::uint64_t, std::shared_ptr<Session>> sessions ABSL_GUARDED_BY(mutex);
};

void Server::Impl::Run(asio::io_context& context) {
  guards.push_back(asio::make_work_guard(context));
  threads.emplace_back([&context] { context.run(); });
}

absl::Status Server::Impl::Listen() {
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls-certificate and --tls-key go together: give both or none");
  }
  if (!options.tls_certificate.empty()) OMICS_RETURN_IF_ERROR(LoadTls(options, tls));
  OMICS_ASSIGN_OR_RETURN(const HostPort place, ParseHostPort(options.address));
  error_code error;
  tcp::resolver resolver(*contexts.front());
  const auto found = resolver.resolve(place.host, std::to_string(place.port), tcp::resolver::passive, error);
  if (error || found.empty()) return ListenError(options.address, error);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor.emplace(*contexts.front());
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return ListenError(options.address, error);
  port = acceptor->local_endpoint().port();
  const bool v6 = endpoint.protocol() == tcp::v6();
  const std::string host = endpoint.address().to_string();
  address = v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
  return absl::OkStatus();
}

asio::awaitable<void> Server::Impl::Accept() {
  while (true) {
    auto [error, socket] = co_await acceptor->async_accept(*contexts[next_context], kAwait);
    if (error == asio::error::operation_aborted || !acceptor->is_open()) co_return;
    if (!error) {
      next_context = (next_context + 1) % contexts.size();
      Admit(std::move(socket));
      continue;
    }
    LogWarning(absl::StrCat("cannot accept a connection: ", error.message()));
    asio::steady_timer pause(acceptor->get_executor(), kAcceptPause);
    co_await pause.async_wait(kAwait);
  }
}

void Server::Impl::Admit(tcp::socket socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  const bool secure = !options.tls_certificate.empty();
  std::shared_ptr<Session> session;
  std::uint64_t id = 0;
  const auto executor = socket.get_executor();
  {
    MutexLock lock(mutex);
    if (!draining && sessions.size() < static_cast<std::size_t>(options.connections_max)) {
      session = MakeSession(std::move(socket), secure ? &tls : nullptr, shared);
      id = next_id++;
      sessions.emplace(id, session);
    }
  }
  if (session == nullptr) {
    if (!secure) socket.write_some(asio::buffer(kFull.data(), kFull.size()), ignored);
    return;
  }
  asio::co_spawn(executor, session->Run(), [this, id](std::exception_ptr) { Ended(id); });
}

void Server::Impl::Ended(std::uint64_t id) {
  std::shared_ptr<Session> last;  // destroyed after the lock is gone
  MutexLock lock(mutex);
  const auto found = sessions.find(id);
  last = std::move(found->second);
  sessions.erase(found);
  ended.NotifyAll();
}

std::vector<std::shared_ptr<Session>> Server::Impl::Sessions() {
  MutexLock lock(mutex);
  std::vector<std::shared_ptr<Session>> all;
  for (const auto& [id, session] : sessions) all.push_back(session);
  return all;
}

bool Server::Impl::WaitUntilEmpty(std::chrono::steady_clock::time_point deadline) {
  MutexLock lock(mutex);
  while (!sessions.empty() || accepting) {
    if (!ended.WaitUntil(mutex, deadline)) return sessions.empty() && !accepting;
  }
  return true;
}

Server::Server(Router& router, ServerOptions options) : impl_(std::make_unique<Impl>(router, std::move(options))) {}

Server::~Server() {
  if (impl_->started && !impl_->stopped) Stop(std::chrono::milliseconds(0));
}

absl::Status Server::Start() {
  OMICS_RETURN_IF_ERROR(impl_->Listen());
  {
    MutexLock lock(impl_->mutex);
    impl_->accepting = true;
  }
  asio::co_spawn(impl_->acceptor->get_executor(), impl_->Accept(), [impl = impl_.get()](std::exception_ptr) {
    MutexLock lock(impl->mutex);
    impl->accepting = false;
    impl->ended.NotifyAll();
  });
  for (const auto& context : impl_->contexts) {
    impl_->Run(*context);
    impl_->Run(impl_->long_requests);
  }
  impl_->started = true;
  return absl::OkStatus();
}

std::string Server::address() const { return impl_->address; }
int Server::port() const { return impl_->port; }

int Server::connections() const {
  MutexLock lock(impl_->mutex);
  return static_cast<int>(impl_->sessions.size());
}

bool Server::Stop(std::chrono::milliseconds drain) {
  impl_->stopped = true;
  impl_->router.SetDraining();
  {
    MutexLock lock(impl_->mutex);
    impl_->draining = true;
  }
  asio::post(impl_->acceptor->get_executor(), [impl = impl_.get()] { impl->acceptor->close(); });
  for (const auto& session : impl_->Sessions()) session->Drain();
  if (!impl_->WaitUntilEmpty(std::chrono::steady_clock::now() + drain)) {
    for (const auto& session : impl_->Sessions()) session->Cancel();
    if (!impl_->WaitUntilEmpty(std::chrono::steady_clock::now() + kCutOff)) return false;
  }
  impl_->guards.clear();
  for (std::thread& thread : impl_->threads) thread.join();
  return true;
}

}  // namespace omics::gateway
