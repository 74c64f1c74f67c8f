#include "cloud/url.h"

#include <curl/curl.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"

namespace omics::cloud {
namespace {

// Longer than any presigned url.
constexpr std::size_t kUrlBytesMax = 8192;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Handle = std::unique_ptr<CURLU, FreeUrl>;

std::string Part(const Handle& handle, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle.get(), part, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

absl::Status BadUrl(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("the url ", MaskUrl(text), " ", ToAbsl(why)));
}

absl::StatusOr<Handle> Parse(std::string_view text) {
  if (text.size() > kUrlBytesMax) return BadUrl(text.substr(0, 200), "is longer than 8 KiB");
  Handle handle(curl_url());
  if (handle == nullptr) return absl::ResourceExhaustedError("no memory for a url");
  const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, std::string(text).c_str(), 0);
  if (code != CURLUE_OK) return BadUrl(text, absl::StrCat("cannot be read: ", curl_url_strerror(code)));
  return handle;
}

}  // namespace

std::string Url::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : absl::StrCat("[", host, "]");
  return default_port() ? name : absl::StrCat(name, ":", port);
}

absl::StatusOr<Url> ParseUrl(std::string_view text) {
  OMICS_ASSIGN_OR_RETURN(const Handle handle, Parse(text));
  Url url;
  url.scheme = Part(handle, CURLUPART_SCHEME);
  if (url.scheme != "http" && url.scheme != "https") return BadUrl(text, "must begin with https:// or http://");
  if (!Part(handle, CURLUPART_USER).empty() || !Part(handle, CURLUPART_PASSWORD).empty()) {
    return BadUrl(text, "has a user or a password in it: leave them out");
  }
  url.host = absl::AsciiStrToLower(Part(handle, CURLUPART_HOST));
  if (url.host.size() > 2 && url.host.front() == '[') url.host = url.host.substr(1, url.host.size() - 2);
  if (url.host.empty()) return BadUrl(text, "names no host");
  url.port = static_cast<std::uint16_t>(std::atoi(Part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT).c_str()));
  url.path = Part(handle, CURLUPART_PATH);
  url.query = Part(handle, CURLUPART_QUERY);
  return url;
}

absl::StatusOr<std::string> ResolveUrl(std::string_view base, std::string_view location) {
  OMICS_ASSIGN_OR_RETURN(const Handle handle, Parse(base));
  if (location.size() > kUrlBytesMax ||
      curl_url_set(handle.get(), CURLUPART_URL, std::string(location).c_str(), 0) != CURLUE_OK) {
    return BadUrl(base, absl::StrCat("redirects to what is no url: ", MaskUrl(location.substr(0, 200))));
  }
  return Part(handle, CURLUPART_URL);
}

std::string MaskUrl(std::string_view text) {
  std::string shown(text.substr(0, text.find('#')));
  const std::size_t query = shown.find('?');
  if (query != std::string::npos) shown = absl::StrCat(shown.substr(0, query), "?***");
  const std::size_t scheme = shown.find("://");
  if (scheme != std::string::npos) {
    const std::size_t host = scheme + 3;
    const std::size_t at = shown.substr(0, shown.find('/', host)).rfind('@');
    if (at != std::string::npos && at >= host) shown.replace(host, at - host, "***");
  }
  return OneLine(shown);
}

std::string PercentEncode(std::string_view text, bool keep_slash) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash)) {
      encoded.push_back(c);
    } else {
      encoded.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return encoded;
}

}  // namespace omics::cloud
