#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics {
namespace {

// The longest host name of the DNS; an address is shorter.
constexpr std::size_t kHostSizeMax = 253;

absl::Status BadAddress(std::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("\"", absl::CHexEscape(ToAbsl(text.substr(0, 300))),
                                                 "\" is not host:port with a port of 0 to 65535 (such as "
                                                 "127.0.0.1:8000 or [::1]:8000)"));
}

bool ParsePort(std::string_view text, std::uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

bool IsIpv6(const std::string& host) {
  in6_addr address;
  return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool IsHostName(std::string_view host) {
  const auto fits = [](unsigned char c) { return c > ' ' && c < 0x7f && !std::strchr(":/[]@\"'\\", c); };
  return !host.empty() && host.size() <= kHostSizeMax && std::all_of(host.begin(), host.end(), fits);
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  HostPort result;
  if (colon == std::string_view::npos || !ParsePort(text.substr(colon + 1), result.port)) return BadAddress(text);
  const std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  result.host = bracketed ? host.substr(1, host.size() - 2) : host;
  if (bracketed ? !IsIpv6(result.host) : !IsHostName(host)) return BadAddress(text);
  return result;
}

bool IsLoopback(std::string_view host) {
  const std::string name(host);
  in_addr v4;
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  if (inet_pton(AF_INET6, name.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return absl::EqualsIgnoreCase(name, "localhost");
}

}  // namespace omics
