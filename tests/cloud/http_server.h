// A scripted HTTP/1.1 server on loopback: what a test wants an answer to be, down to where the connection breaks.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace omics::cloud::testing {

struct Asked {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  std::string Header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct Reply {
  int status = 200;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
  std::optional<std::size_t> cut_after;  // bytes of the body; then the connection is reset
  bool hang = false;                     // after what is sent, until the server ends
};

// One request a connection. Thread safety: as for any object; the handler is called by one thread at a time.
class HttpServer {
 public:
  explicit HttpServer(std::function<Reply(const Asked&)> handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string authority() const;  // "127.0.0.1:PORT"
  std::string url() const { return "http://" + authority(); }
  int asked() const { return asked_; }

 private:
  void Run();
  void Serve(int fd);

  std::function<Reply(const Asked&)> handler_;
  std::mutex handling_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> asked_{0};
  std::atomic<bool> ending_{false};
  std::atomic<int> connections_{0};  // being served, each by a thread of its own
  std::thread thread_;
};

// A listening socket on a free port of loopback.
int Listen(int& port);
// Waits until there is something to read or `ending`; false for the latter.
bool Readable(int fd, const std::atomic<bool>& ending);
void SendAll(int fd, const std::string& bytes);
// Closes so that the other side sees a reset.
void ResetConnection(int fd);
// Reads one request or answer with its Content-Length; false if the connection ends before that.
bool ReadMessage(int fd, const std::atomic<bool>& ending, std::string& head, std::string& body);

}  // namespace omics::cloud::testing
