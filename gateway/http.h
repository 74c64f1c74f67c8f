// A request and a response without any HTTP library: what the session hands to the router and gets back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace omics::gateway {

// Chroma's two API versions, by the first path segments; kNone for our own routes (/livez, /readyz).
enum class Api { kNone, kV1, kV2 };

// Which Chroma client speaks, as far as its User-Agent tells; the answers' shapes depend on it.
enum class Client {
  kOther,
  kPythonRequests,  // "python-requests/…": Python 0.4.0 to 0.5.3
  kPythonHttpx,     // "python-httpx/…": Python 0.5.4 to 0.6.3
  kPythonModern,    // "Chroma Python Client v…": Python 1.0 and later
  kNode,            // "node": JavaScript 1.x and 3.x
};

// Whose words a body is in: some are read differently by API version and client.
struct Dialect {
  Api api = Api::kV2;
  Client client = Client::kOther;

  // 0.x semantics: Python up to 0.6 and everything that speaks v1.
  bool legacy() const { return api == Api::kV1 || client == Client::kPythonHttpx; }
};

Client ClientFromUserAgent(std::string_view user_agent);

// What the request line and the fields say. Taken once, before the body is read: nothing that comes later (a chunked
// body can carry more fields behind it) changes what was checked.
struct RequestHead {
  std::string method;  // as sent, for example "GET"
  std::string target;  // as sent: path and query
  std::string user_agent;
  std::string content_type;
  std::string authorization;  // the whole value of Authorization; "" if there is none
  std::string chroma_token;   // the whole value of X-Chroma-Token; "" if there is none
  std::string origin;
  bool has_body = false;  // Content-Length above 0, or chunked
};

struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::string allow;            // the methods of a 405
  int retry_after_seconds = 0;  // 0: no Retry-After
  bool close = false;           // the connection ends after this response
};

// The decoded pairs of a query string in their order.
using QueryParameters = std::vector<std::pair<std::string, std::string>>;

// "%41+b" -> "A b" ('+' only if `plus_is_space`). False for a broken escape, an escaped NUL, or what is not UTF-8.
bool PercentDecode(std::string_view text, bool plus_is_space, std::string& out);

// False if a pair is not decodable. At most kQueryParametersMax pairs.
bool ParseQuery(std::string_view query, QueryParameters& out);

// No Chroma client sends more than five.
inline constexpr std::size_t kQueryParametersMax = 32;

// The first value of `name`, or "".
std::string_view FindParameter(const QueryParameters& parameters, std::string_view name);

// "Bad Request" for 400 and so on, of the codes that the gateway sends.
std::string_view StatusText(int status);

}  // namespace omics::gateway
