// What the gateway's tests share: a real server on a free port, and a client that sends bytes as they are.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/tokens.h"
#include "gateway/router.h"
#include "gateway/server.h"
#include "gateway/vector_client.h"

namespace omics::gateway::testing {

// 16 characters at least.
inline constexpr char kToken[] = "test-token-0123456789";

// Nothing listens on port 1: every call upstream fails at once.
inline constexpr char kNoService[] = "127.0.0.1:1";

class TestGateway {
 public:
  // `tokens_text` is a tokens file's text; "" lets everybody in.
  explicit TestGateway(const std::string& service_address = kNoService, const std::string& tokens_text = "",
                       ServerOptions options = {}, RouterOptions router_options = {});

  int port() const { return server_->port(); }
  Server& server() { return *server_; }

 private:
  VectorClient service_;
  std::unique_ptr<LiveTokens> tokens_;
  Metrics metrics_{"test_gateway"};
  Router router_;
  std::unique_ptr<Server> server_;
};

struct Reply {
  int status = 0;  // 0: the connection ended without a whole response
  std::string head;
  std::string body;
};

// A blocking loopback connection; every wait ends after ten seconds.
class RawClient {
 public:
  explicit RawClient(int port);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // False if the other side is gone.
  bool Send(std::string_view bytes);
  void ShutdownSend();
  // All that comes until the other side closes.
  std::string ReadAll();
  // True once the other side has closed; false if it sends something more, or nothing happens.
  bool Closed();
  // One response by its Content-Length.
  Reply ReadReply();
  // Sends one request with Host and, where there is a body, JSON's content type and its length.
  Reply Ask(std::string_view method, std::string_view target, std::string_view body = "", std::string_view fields = "");

 private:
  int socket_ = -1;
  std::string pending_;
};

// How many responses `bytes` holds.
int CountResponses(std::string_view bytes);

// The `error` member of an error's body.
std::string ErrorName(const std::string& body);

// A member of a JSON object as JSON text; "" if there is none.
std::string Member(const std::string& json, std::string_view key);

}  // namespace omics::gateway::testing
