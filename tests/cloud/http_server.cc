#include "tests/cloud/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace omics::cloud::testing {
namespace {

Asked Parse(const std::string& head, std::string body) {
  const std::vector<std::string> lines = absl::StrSplit(head, "\r\n");
  const std::vector<std::string> first = absl::StrSplit(lines[0], ' ');
  Asked asked{first[0], first.size() > 1 ? first[1] : "", {}, std::move(body)};
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::size_t colon = lines[i].find(':');
    if (colon == std::string::npos) continue;
    asked.headers[absl::AsciiStrToLower(lines[i].substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(lines[i].substr(colon + 1)));
  }
  return asked;
}

std::size_t LengthIn(const std::string& head) {
  const std::string lower = absl::AsciiStrToLower(head);
  const std::size_t at = lower.find("content-length:");
  return at == std::string::npos ? 0 : std::strtoull(lower.c_str() + at + 15, nullptr, 10);
}

}  // namespace

int Listen(int& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 64) != 0) std::abort();
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

bool Readable(int fd, const std::atomic<bool>& ending) {
  while (!ending) {
    pollfd wanted{fd, POLLIN, 0};
    if (poll(&wanted, 1, 20) > 0) return true;
  }
  return false;
}

void SendAll(int fd, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t wrote = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (wrote <= 0) return;
    sent += static_cast<std::size_t>(wrote);
  }
}

void ResetConnection(int fd) {
  const linger at_once{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

bool ReadMessage(int fd, const std::atomic<bool>& ending, std::string& head, std::string& body) {
  std::string text;
  char piece[65536];
  std::size_t end = std::string::npos;
  while (true) {
    if (end == std::string::npos && (end = text.find("\r\n\r\n")) != std::string::npos) head = text.substr(0, end);
    if (end != std::string::npos && text.size() >= end + 4 + LengthIn(head)) break;
    if (!Readable(fd, ending)) return false;
    const ssize_t got = recv(fd, piece, sizeof piece, 0);
    if (got <= 0) {
      body = end == std::string::npos ? "" : text.substr(end + 4);
      return false;
    }
    text.append(piece, static_cast<std::size_t>(got));
  }
  body = text.substr(end + 4);
  return true;
}

HttpServer::HttpServer(std::function<Reply(const Asked&)> handler) : handler_(std::move(handler)) {
  listener_ = Listen(port_);
  thread_ = std::thread([this] { Run(); });
}

HttpServer::~HttpServer() {
  ending_ = true;
  thread_.join();
  while (connections_ > 0) std::this_thread::yield();
  close(listener_);
}

std::string HttpServer::authority() const { return absl::StrCat("127.0.0.1:", port_); }

void HttpServer::Run() {
  while (Readable(listener_, ending_)) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    ++connections_;
    std::thread([this, fd] {
      Serve(fd);
      --connections_;
    }).detach();
  }
}

void HttpServer::Serve(int fd) {
  std::string head;
  std::string body;
  if (!ReadMessage(fd, ending_, head, body)) {
    close(fd);
    return;
  }
  ++asked_;
  const Asked asked = Parse(head, body);
  Reply reply;
  {
    const std::lock_guard<std::mutex> lock(handling_);
    reply = handler_(asked);
  }
  std::string answer = absl::StrCat("HTTP/1.1 ", reply.status, " x\r\nConnection: close\r\n");
  for (const std::string& header : reply.headers) absl::StrAppend(&answer, header, "\r\n");
  absl::StrAppend(&answer, "Content-Length: ", reply.body.size(), "\r\n\r\n");
  const bool no_body = asked.method == "HEAD" || reply.status == 304;
  SendAll(fd, absl::StrCat(answer, no_body ? "" : reply.body.substr(0, reply.cut_after.value_or(reply.body.size()))));
  while (reply.hang && !ending_) Readable(fd, ending_), std::this_thread::yield();
  if (reply.cut_after) {
    shutdown(fd, SHUT_WR);  // what was sent arrives, then the end
  }
  close(fd);
}

}  // namespace omics::cloud::testing
