// What must hold of a request's head before anything is believed of it. Beast alone accepts heads that a proxy before
// it may read differently (request smuggling): folded lines, unknown transfer codings with the body left to be taken
// for the next request, lists in Content-Length, several Host fields. Here they are refused.
//
// Pure functions of the bytes; no HTTP library, no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace omics::gateway {

// Chroma clients send under 1 KiB; the rest is room for proxies' fields and long tokens.
inline constexpr std::size_t kHeaderBytesMax = 16 << 10;
// Proxies add a dozen fields to a client's six.
inline constexpr std::size_t kHeaderFieldsMax = 100;

struct HeadCheck {
  int status = 0;           // 0: fine; else the HTTP status to refuse with
  const char* reason = "";  // one sentence for the client
  // Where status is 0:
  bool chunked = false;
  bool has_content_length = false;
  std::uint64_t content_length = 0;
  bool expect_continue = false;
  bool http_1_0 = false;
};

// `head` is everything up to and with the empty line ("…\r\n\r\n"). Checks, in this order: length; request line (token,
// printable ASCII target that starts with '/', or "*", HTTP/1.0 or 1.1); each line's form (no folding, no control
// characters, no space before the colon, token as name); at most kHeaderFieldsMax fields; exactly one Host on 1.1, at
// most one on 1.0; Transfer-Encoding only as one field saying "chunked", only on 1.1, never beside Content-Length; one
// Content-Length of digits only; Expect only "100-continue"; the fields that decide who asks (Authorization,
// X-Chroma-Token, User-Agent, Content-Type, Origin) at most once.
HeadCheck CheckHead(std::string_view head);

// The value of the only field of that name (case-insensitive) in a head that CheckHead accepted; "" if there is none.
std::string_view FieldValue(std::string_view head, std::string_view name);

// Method and target of a head that CheckHead accepted.
std::string_view HeadMethod(std::string_view head);
std::string_view HeadTarget(std::string_view head);

// True if the comma-separated list in the Connection field(s) of an accepted head has `option`.
bool ConnectionHas(std::string_view head, std::string_view option);

}  // namespace omics::gateway
