// The table of routes, and what happens to a request before and after its handler: matching, authentication, role,
// foreign web pages, media type, CORS, deadlines, errors, metrics.
//
// Where no token is required (--insecure-no-auth), the caller's own browser is let in as well, with whatever page it
// shows: a request with a method other than GET whose Origin is not among the allowed ones is then refused. With tokens
// there is no need: a page does not know them.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "base/metrics.h"
#include "base/tokens.h"
#include "gateway/chroma_errors.h"
#include "gateway/http.h"
#include "gateway/memory_share.h"
#include "gateway/vector_client.h"

namespace omics::gateway {

// What a route asks of the caller. kOpen needs no token at all.
enum class Access { kOpen, kRead, kWrite, kAdmin };

using PathParameters = std::vector<std::pair<std::string_view, std::string>>;

// One request on its way through a handler. Ownership: the router's, for the time of the handler.
struct Call {
  VectorClient& service;
  CallContext context;  // the caller's token, the deadline
  Principal principal;
  Dialect dialect;
  PathParameters path;  // decoded, by the names in the pattern
  QueryParameters query;
  std::string body;
  MemoryShare& memory;   // counts the body already, and all that the handler makes of size
  ErrorSubject subject;  // tenant, database and collection of the request
  bool ready = true;     // false once the gateway is draining

  std::string_view Path(std::string_view name) const;
};

using HandlerResult = boost::asio::awaitable<absl::StatusOr<Response>>;
using Handler = HandlerResult (*)(Call& call);

struct Route {
  std::string_view name;     // for metrics and logs: a fixed word
  std::string_view method;   // "GET"
  std::string_view pattern;  // "/api/v2/tenants/{tenant}"; segments in braces are parameters
  Api api;
  Access access;
  Handler handler;
};

// Every route there is. In v1 a trailing slash is accepted as well.
std::span<const Route> Routes();

struct RouteMatch {
  const Route* route = nullptr;  // null: nothing matches
  PathParameters parameters;
  bool decodable = true;  // false: a parameter has a broken escape, or is not UTF-8
  std::string allow;      // without a route: the methods under which the path exists, "GET, POST"; "" if there is none
};

// `path` is the target without its query, still encoded. Exemption from authentication hangs on the matched route,
// never on how the path begins.
RouteMatch MatchRoute(std::string_view method, std::string_view path);

struct RouterOptions {
  std::vector<std::string> cors_allow_origins;  // "*" for all; empty: no CORS
};

// Thread safety: all members may be called from any thread. Must outlive the requests in it; so must what it is given.
class Router {
 public:
  Router(VectorClient& service, const LiveTokens& tokens, Metrics& metrics, RouterOptions options);

  // A request that may go on to its body.
  struct Admission {
    const Route* route = nullptr;
    PathParameters parameters;
    QueryParameters query;
    Dialect dialect;
    Principal principal;
    std::string token;
    std::chrono::steady_clock::time_point started;
  };

  // Decides from the head alone, before any of the body is read. A Response is the refusal (or the answer to a CORS
  // preflight).
  std::variant<Admission, Response> Admit(const RequestHead& head);

  // True if Handle() will be done with it in less time than handing it to another thread would be worth.
  static bool IsShort(const Admission& admission, std::string_view body);

  // Runs the handler; whatever happens, there is a response.
  // `memory` must last until the response is written.
  boost::asio::awaitable<Response> Handle(Admission admission, std::string body, MemoryShare& memory);

  // A refusal by the session (body too large, framing), in the words of the client. Counted like all others.
  Response Refuse(const Admission& admission, const absl::Status& status);

  // The Access-Control-Allow-Origin for `origin`, or "".
  std::string AllowedOrigin(std::string_view origin) const;

  // From now on /readyz says 503.
  void SetDraining() { ready_.store(false); }

 private:
  absl::StatusOr<Principal> Authenticate(const RequestHead& head, std::string& token) const;
  absl::Status Authorize(const RequestHead& head, Admission& admission) const;
  absl::Status CheckOrigin(const RequestHead& head, const Admission& admission) const;
  Response Preflight(const RequestHead& head) const;
  void Count(const Route& route, const Response& response, std::chrono::steady_clock::time_point started);

  VectorClient& service_;
  const LiveTokens& tokens_;
  Metrics& metrics_;
  const RouterOptions options_;
  std::atomic<bool> ready_{true};
};

}  // namespace omics::gateway
