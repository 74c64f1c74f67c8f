#include "gateway/strict_check.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace omics::gateway {
namespace {

constexpr std::string_view kEol = "\r\n";

bool IsTokenChar(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsToken(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!IsTokenChar(c)) return false;
  }
  return true;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Takes the next line (without its CRLF) off `rest`. False if there is none.
bool NextLine(std::string_view& rest, std::string_view& line) {
  const std::size_t end = rest.find(kEol);
  if (end == std::string_view::npos) return false;
  line = rest.substr(0, end);
  rest.remove_prefix(end + kEol.size());
  return true;
}

HeadCheck Refuse(int status, const char* reason) {
  HeadCheck check;
  check.status = status;
  check.reason = reason;
  return check;
}

bool PrintableTarget(std::string_view target) {
  for (const char c : target) {
    if (c <= 0x20 || c >= 0x7f) return false;
  }
  return target == "*" || target.starts_with('/');
}

HeadCheck CheckRequestLine(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return Refuse(400, "malformed request line");
  if (!IsToken(line.substr(0, first))) return Refuse(400, "malformed method");
  if (!PrintableTarget(line.substr(first + 1, last - first - 1))) {
    return Refuse(400, "the request target must be a path of printable ASCII characters");
  }
  const std::string_view version = line.substr(last + 1);
  HeadCheck check;
  check.http_1_0 = version == "HTTP/1.0";
  if (!check.http_1_0 && version != "HTTP/1.1") return Refuse(505, "the HTTP versions spoken here are 1.1 and 1.0");
  return check;
}

bool CleanValue(std::string_view value) {
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) return false;
  }
  return true;
}

struct Counts {
  int host = 0;
  int transfer_encoding = 0;
  int content_length = 0;
  int expect = 0;
  std::string_view transfer_coding;
  std::string_view length;
  std::string_view expectation;
};

constexpr std::array<std::string_view, 5> kOnceFields = {"authorization", "x-chroma-token", "user-agent",
                                                         "content-type", "origin"};

// Splits and checks one field line. Returns a reason to refuse, or null.
const char* CheckFieldLine(std::string_view line, std::string_view& name, std::string_view& value) {
  if (line.front() == ' ' || line.front() == '\t') return "folded header lines are not accepted";
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return "a header line has no colon";
  name = line.substr(0, colon);
  value = Trim(line.substr(colon + 1));
  if (!IsToken(name)) return "malformed header name";
  if (!CleanValue(value)) return "a header value has a control character";
  return nullptr;
}

// Remembers what decides the framing. False for the second of a field that may come once only.
bool Count(std::string_view name, std::string_view value, Counts& counts, std::array<bool, kOnceFields.size()>& seen) {
  if (EqualsIgnoreCase(name, "host")) ++counts.host;
  if (EqualsIgnoreCase(name, "transfer-encoding")) ++counts.transfer_encoding, counts.transfer_coding = value;
  if (EqualsIgnoreCase(name, "content-length")) ++counts.content_length, counts.length = value;
  if (EqualsIgnoreCase(name, "expect")) ++counts.expect, counts.expectation = value;
  for (std::size_t i = 0; i < kOnceFields.size(); ++i) {
    if (!EqualsIgnoreCase(name, kOnceFields[i])) continue;
    if (seen[i]) return false;
    seen[i] = true;
  }
  return true;
}

HeadCheck CheckFraming(const Counts& counts, HeadCheck check) {
  if (counts.host > 1 || (counts.host == 0 && !check.http_1_0)) return Refuse(400, "exactly one Host field is needed");
  if (counts.transfer_encoding > 0) {
    if (counts.content_length > 0) return Refuse(400, "Transfer-Encoding and Content-Length exclude each other");
    if (check.http_1_0) return Refuse(400, "HTTP/1.0 has no Transfer-Encoding");
    if (counts.transfer_encoding > 1 || !EqualsIgnoreCase(counts.transfer_coding, "chunked")) {
      return Refuse(501, "the only Transfer-Encoding understood is chunked");
    }
    check.chunked = true;
  }
  if (counts.content_length > 0) {
    if (counts.content_length > 1) return Refuse(400, "more than one Content-Length");
    const char* end = counts.length.data() + counts.length.size();
    const auto [stop, error] = std::from_chars(counts.length.data(), end, check.content_length);
    if (counts.length.empty() || error != std::errc() || stop != end) return Refuse(400, "malformed Content-Length");
    check.has_content_length = true;
  }
  if (counts.expect > 0) {
    if (counts.expect > 1 || !EqualsIgnoreCase(counts.expectation, "100-continue")) {
      return Refuse(417, "the only expectation met is 100-continue");
    }
    check.expect_continue = !check.http_1_0;
  }
  return check;
}

}  // namespace

HeadCheck CheckHead(std::string_view head) {
  if (head.size() > kHeaderBytesMax) return Refuse(431, "the request's header is longer than 16 KiB");
  std::string_view rest = head;
  std::string_view line;
  if (!NextLine(rest, line)) return Refuse(400, "malformed request line");
  const HeadCheck check = CheckRequestLine(line);
  if (check.status != 0) return check;
  Counts counts;
  std::array<bool, kOnceFields.size()> seen{};
  std::size_t fields = 0;
  while (NextLine(rest, line)) {
    if (line.empty()) return rest.empty() ? CheckFraming(counts, check) : Refuse(400, "malformed header");
    if (++fields > kHeaderFieldsMax) return Refuse(431, "more than 100 header fields");
    std::string_view name;
    std::string_view value;
    if (const char* reason = CheckFieldLine(line, name, value)) return Refuse(400, reason);
    if (!Count(name, value, counts, seen)) return Refuse(400, "a header field that may come once came twice");
  }
  return Refuse(400, "malformed header");
}

std::string_view FieldValue(std::string_view head, std::string_view name) {
  std::string_view line;
  NextLine(head, line);
  while (NextLine(head, line) && !line.empty()) {
    const std::size_t colon = line.find(':');
    if (EqualsIgnoreCase(line.substr(0, colon), name)) return Trim(line.substr(colon + 1));
  }
  return {};
}

std::string_view HeadMethod(std::string_view head) { return head.substr(0, head.find(' ')); }

std::string_view HeadTarget(std::string_view head) {
  head.remove_prefix(head.find(' ') + 1);
  return head.substr(0, head.find(' '));
}

bool ConnectionHas(std::string_view head, std::string_view option) {
  std::string_view line;
  NextLine(head, line);
  while (NextLine(head, line) && !line.empty()) {
    const std::size_t colon = line.find(':');
    if (!EqualsIgnoreCase(line.substr(0, colon), "connection")) continue;
    std::string_view list = line.substr(colon + 1);
    while (!list.empty()) {
      const std::size_t comma = std::min(list.find(','), list.size());
      if (EqualsIgnoreCase(Trim(list.substr(0, comma)), option)) return true;
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  return false;
}

}  // namespace omics::gateway
