// The parts of a url, and how one is shown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace omics::cloud {

// An http or https url. The fragment is dropped.
struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; an IPv6 address without brackets
  std::uint16_t port = 0;
  std::string path;   // percent-encoded, at least "/"
  std::string query;  // percent-encoded, without '?'

  bool default_port() const { return port == (scheme == "https" ? 443 : 80); }
  // "host" or "host:port" when the port is not the scheme's own: what the Host header says.
  std::string authority() const;
};

// INVALID_ARGUMENT for anything but http and https, for a user or password in the url, and for what is no url.
absl::StatusOr<Url> ParseUrl(std::string_view text);

// What a Location header that came in answer to `base` leads to.
absl::StatusOr<std::string> ResolveUrl(std::string_view base, std::string_view location);

// `text` without what may be a secret: the user part and the values of the query (a presigned url's signature) become
// "***". Always one line.
std::string MaskUrl(std::string_view text);

// Percent-encodes all but letters, digits, '-', '.', '_', '~', and '/' if `keep_slash`.
std::string PercentEncode(std::string_view text, bool keep_slash);

}  // namespace omics::cloud
