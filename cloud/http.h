// One outgoing HTTP request, over libcurl.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace omics::cloud {

struct HttpHeader {
  std::string name;
  std::string value;
};

struct HttpTimeouts {
  std::chrono::milliseconds connect{5'000};  // name look-up, TCP and TLS
  std::chrono::seconds stall{20};            // so long without a byte ends the request
  std::chrono::milliseconds total{0};        // 0: none, for large bodies
};

struct HttpResponse {
  int status = 0;
  std::vector<HttpHeader> headers;
  std::string body;             // empty where the sink took it
  std::int64_t body_bytes = 0;  // of what came, the sink's too

  // The value of the first header of this name (in any case), or "".
  std::string Header(std::string_view name) const;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<HttpHeader> headers;
  std::string body;  // what to send
  HttpTimeouts timeouts = {};
  // A larger body ends the request with OUT_OF_RANGE, before it is read where its length is announced.
  std::int64_t response_bytes_max = std::int64_t{1} << 20;
  // Called once when the headers are there, before the first byte of the body; an error ends the request with it.
  std::function<absl::Status(const HttpResponse& head)> on_head = {};
  // Takes the body of a 2xx answer piece by piece; an error ends the request with it. Without it the body is collected.
  std::function<absl::Status(std::string_view piece)> sink = {};
  // Once true, the request ends with CANCELLED within a tenth of a second.
  const std::atomic<bool>* stop = nullptr;
};

// Sends the request and reads the answer, whatever its status. Certificates are verified (AWS_CA_BUNDLE or
// SSL_CERT_FILE name others than the system's); redirects are not followed; a proxy that the environment names is used
// for https only, never for plain http, which carries credentials of the machine's own endpoints.
//
// Thread safety: any number of threads may call it; a call uses a connection of its own.
// Errors name method and url (MaskUrl) and the cause: UNAVAILABLE for what a later try may mend (no connection, broken
// off, nothing came), DEADLINE_EXCEEDED for HttpTimeouts::total, FAILED_PRECONDITION for a certificate that cannot be
// trusted, INVALID_ARGUMENT for a url or header that cannot be sent.
absl::StatusOr<HttpResponse> SendHttp(const HttpRequest& request);

}  // namespace omics::cloud
