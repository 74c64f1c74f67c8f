#include "tests/gateway/testing.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <simdjson.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::gateway::testing {
namespace {

ServerOptions OnFreePort(ServerOptions options) {
  options.address = "127.0.0.1:0";
  return options;
}

TokenSet TokensOf(const std::string& text) {
  return text.empty() ? TokenSet::AllowAll() : TokenSet::FromFileText(text).value();
}

}  // namespace

TestGateway::TestGateway(const std::string& service_address, const std::string& tokens_text, ServerOptions options,
                         RouterOptions router_options)
    : service_(service_address),
      tokens_(std::make_unique<LiveTokens>(TokenSources{}, TokensOf(tokens_text))),
      router_(service_, *tokens_, metrics_, std::move(router_options)),
      server_(std::make_unique<Server>(router_, OnFreePort(std::move(options)))) {
  const absl::Status status = server_->Start();
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

RawClient::RawClient(int port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  timeval wait{.tv_sec = 10, .tv_usec = 0};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
}

RawClient::~RawClient() { close(socket_); }

bool RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void RawClient::ShutdownSend() { shutdown(socket_, SHUT_WR); }

std::string RawClient::ReadAll() {
  std::string all = std::move(pending_);
  char buffer[16384];
  ssize_t got;
  while ((got = recv(socket_, buffer, sizeof buffer, 0)) > 0) all.append(buffer, static_cast<std::size_t>(got));
  return all;
}

bool RawClient::Closed() {
  char byte;
  return pending_.empty() && recv(socket_, &byte, 1, 0) == 0;
}

Reply RawClient::ReadReply() {
  Reply reply;
  std::size_t head_end;
  std::size_t length = 0;
  char buffer[16384];
  while (true) {
    head_end = pending_.find("\r\n\r\n");
    if (head_end != std::string::npos) {
      const std::size_t at = pending_.find("Content-Length: ");
      length = at < head_end ? std::strtoull(pending_.c_str() + at + 16, nullptr, 10) : 0;
      if (pending_.size() >= head_end + 4 + length) break;
    }
    const ssize_t got = recv(socket_, buffer, sizeof buffer, 0);
    if (got <= 0) return reply;
    pending_.append(buffer, static_cast<std::size_t>(got));
  }
  reply.head = pending_.substr(0, head_end + 4);
  reply.body = pending_.substr(head_end + 4, length);
  reply.status = std::atoi(reply.head.c_str() + 9);
  pending_.erase(0, head_end + 4 + length);
  return reply;
}

Reply RawClient::Ask(std::string_view method, std::string_view target, std::string_view body, std::string_view fields) {
  std::string request =
      absl::StrCat(ToAbsl(method), " ", ToAbsl(target), " HTTP/1.1\r\nHost: test\r\n", ToAbsl(fields));
  if (!body.empty()) {
    absl::StrAppend(&request, "Content-Type: application/json\r\nContent-Length: ", body.size(), "\r\n");
  }
  absl::StrAppend(&request, "\r\n", ToAbsl(body));
  if (!Send(request)) return {};
  return ReadReply();
}

int CountResponses(std::string_view bytes) {
  int count = 0;
  for (std::size_t at = bytes.find("HTTP/1.1 "); at != std::string_view::npos; at = bytes.find("HTTP/1.1 ", at + 9)) {
    ++count;
  }
  return count;
}

std::string Member(const std::string& json, std::string_view key) {
  simdjson::dom::parser parser;
  simdjson::dom::element value;
  if (parser.parse(json)[key].get(value)) return "";
  return simdjson::minify(value);
}

std::string ErrorName(const std::string& body) {
  const std::string quoted = Member(body, "error");
  return quoted.size() < 2 ? "" : quoted.substr(1, quoted.size() - 2);
}

}  // namespace omics::gateway::testing
