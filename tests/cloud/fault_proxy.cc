#include "tests/cloud/fault_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/cloud/http_server.h"

namespace omics::cloud::testing {
namespace {

constexpr char kSlowDownBody[] =
    "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

int Connect(const std::string& host, int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

std::string OneAnswer(const std::string& status, const std::string& body) {
  return absl::StrCat("HTTP/1.1 ", status, "\r\nConnection: close\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
}

// Everything the server says until it closes.
std::string ReadAll(int fd, const std::atomic<bool>& ending) {
  std::string all;
  char piece[65536];
  while (Readable(fd, ending)) {
    const ssize_t got = recv(fd, piece, sizeof piece, 0);
    if (got <= 0) break;
    all.append(piece, static_cast<std::size_t>(got));
  }
  return all;
}

// One request a connection: the server must close after its answer.
std::string WithClose(const std::string& head) {
  const std::size_t line = head.find("\r\n");
  return absl::StrCat(head.substr(0, line), "\r\nConnection: close", head.substr(line), "\r\n\r\n");
}

}  // namespace

FaultProxy::FaultProxy(std::string upstream_host, int upstream_port, std::uint64_t seed, std::vector<Fault> faults,
                       int percent)
    : upstream_host_(std::move(upstream_host)),
      upstream_port_(upstream_port),
      percent_(percent),
      random_(seed),
      faults_(std::move(faults)) {
  listener_ = Listen(port_);
  thread_ = std::thread([this] { Run(); });
}

FaultProxy::~FaultProxy() {
  ending_ = true;
  thread_.join();
  while (connections_ > 0) std::this_thread::yield();
  close(listener_);
}

std::string FaultProxy::url() const { return absl::StrCat("http://127.0.0.1:", port_); }

void FaultProxy::SetFaults(std::vector<Fault> faults) {
  const std::lock_guard<std::mutex> lock(mutex_);
  faults_ = std::move(faults);
}

std::map<Fault, int> FaultProxy::injected() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return injected_;
}

int FaultProxy::injected_faults() const {
  int sum = 0;
  for (const auto& [fault, count] : injected()) sum += fault == Fault::kNone ? 0 : count;
  return sum;
}

Fault FaultProxy::Draw(std::uint64_t& dice) {
  const std::lock_guard<std::mutex> lock(mutex_);
  dice = random_();
  const bool breaks = !faults_.empty() && static_cast<int>(random_() % 100) < percent_;
  const Fault fault = breaks ? faults_[random_() % faults_.size()] : Fault::kNone;
  ++injected_[fault];
  return fault;
}

void FaultProxy::Run() {
  while (Readable(listener_, ending_)) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    std::uint64_t dice = 0;
    const Fault fault = Draw(dice);
    ++connections_;
    std::thread([this, fd, fault, dice] {
      Serve(fd, fault, dice);
      --connections_;
    }).detach();
  }
}

void FaultProxy::Serve(int fd, Fault fault, std::uint64_t dice) {
  std::string head;
  std::string body;
  if (fault == Fault::kRefuse || !ReadMessage(fd, ending_, head, body)) return ResetConnection(fd);
  std::string answer;
  if (fault == Fault::kSlowDown) {
    answer = OneAnswer("503 Slow Down", kSlowDownBody);
  } else if (fault == Fault::kServerError) {
    answer = OneAnswer("500 Internal Server Error", "<html>oops</html>");
  } else if (fault == Fault::kGarbage) {
    answer = OneAnswer("200 OK", "{\"SecretString\": \x01\x02 not at all");
  } else {
    const int upstream = Connect(upstream_host_, upstream_port_);
    if (upstream < 0) return ResetConnection(fd);
    SendAll(upstream, WithClose(head) + body);
    answer = ReadAll(upstream, ending_);
    close(upstream);
  }
  const std::size_t end = answer.find("\r\n\r\n");
  const std::size_t begin = end == std::string::npos ? 0 : end + 4;
  const std::size_t bytes = answer.size() - begin;
  if (fault == Fault::kLoseAnswer) return ResetConnection(fd);
  if (fault == Fault::kCut) answer.resize(begin + (bytes == 0 ? 0 : dice % bytes));
  if (fault == Fault::kCorrupt && bytes > 0) answer[begin + dice % bytes] ^= static_cast<char>(1 + dice % 255);
  if (fault == Fault::kDelay) {
    SendAll(fd, answer.substr(0, answer.size() / 2));
    std::this_thread::sleep_for(std::chrono::milliseconds(dice % 60));
    answer = answer.substr(answer.size() / 2);
  }
  SendAll(fd, answer);
  shutdown(fd, SHUT_WR);
  close(fd);
}

}  // namespace omics::cloud::testing
