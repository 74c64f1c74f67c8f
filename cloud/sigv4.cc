#include "cloud/sigv4.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/digest.h"
#include "base/status.h"
#include "cloud/url.h"

namespace omics::cloud {
namespace {

constexpr char kAlgorithm[] = "AWS4-HMAC-SHA256";

std::string HmacSha256(std::string_view key, std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), digest, &size);
  return {reinterpret_cast<const char*>(digest), size};
}

// Lower-case names, values with single spaces; several of one name joined by commas.
std::map<std::string, std::string> SignedHeaders(const HttpRequest& request, const Url& url) {
  std::map<std::string, std::string> headers = {{"host", url.authority()}};
  for (const HttpHeader& header : request.headers) {
    const std::string name = absl::AsciiStrToLower(header.name);
    std::string value = header.value;
    absl::RemoveExtraAsciiWhitespace(&value);
    const auto [at, added] = headers.emplace(name, value);
    if (!added && name != "host") at->second = absl::StrCat(at->second, ",", value);
  }
  return headers;
}

std::string Names(const std::map<std::string, std::string>& headers) {
  return absl::StrJoin(headers, ";", [](std::string* out, const auto& header) { out->append(header.first); });
}

std::string CanonicalQuery(const std::string& query) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const absl::string_view part : absl::StrSplit(query, '&', absl::SkipEmpty())) {
    const std::size_t sign = part.find('=');
    pairs.emplace_back(part.substr(0, sign), sign == absl::string_view::npos ? "" : part.substr(sign + 1));
  }
  std::sort(pairs.begin(), pairs.end());
  return absl::StrJoin(pairs, "&", absl::PairFormatter("="));
}

std::string SigningKey(const std::string& secret, const std::string& day, const SigningScope& scope) {
  std::string first = absl::StrCat("AWS4", secret);
  std::string key = HmacSha256(first, day);
  OPENSSL_cleanse(first.data(), first.size());
  for (const std::string_view part :
       {std::string_view(scope.region), std::string_view(scope.service), std::string_view("aws4_request")}) {
    key = HmacSha256(key, part);
  }
  return key;
}

}  // namespace

absl::StatusOr<std::string> CanonicalRequest(const HttpRequest& request, const SigningScope& scope,
                                             std::string_view payload_sha256) {
  OMICS_ASSIGN_OR_RETURN(const Url url, ParseUrl(request.url));
  const auto headers = SignedHeaders(request, url);
  const std::string path = scope.service == "s3" ? url.path : PercentEncode(url.path, true);
  std::string lines;
  for (const auto& [name, value] : headers) absl::StrAppend(&lines, name, ":", value, "\n");
  return absl::StrCat(request.method, "\n", path, "\n", CanonicalQuery(url.query), "\n", lines, "\n", Names(headers),
                      "\n", ToAbsl(payload_sha256));
}

absl::Status Sign(HttpRequest& request, const Credentials& credentials, const SigningScope& scope,
                  std::string_view payload_sha256, std::chrono::system_clock::time_point now) {
  const std::string time = absl::FormatTime("%Y%m%dT%H%M%SZ", absl::FromChrono(now), absl::UTCTimeZone());
  const std::string day = time.substr(0, 8);
  request.headers.push_back({"X-Amz-Date", time});
  if (scope.service == "s3") request.headers.push_back({"X-Amz-Content-Sha256", std::string(payload_sha256)});
  if (!credentials.session_token.empty()) {
    request.headers.push_back({"X-Amz-Security-Token", credentials.session_token});
  }
  OMICS_ASSIGN_OR_RETURN(const std::string canonical, CanonicalRequest(request, scope, payload_sha256));
  OMICS_ASSIGN_OR_RETURN(const Url url, ParseUrl(request.url));
  const std::string where = absl::StrCat(day, "/", scope.region, "/", scope.service, "/aws4_request");
  const std::string to_sign = absl::StrCat(kAlgorithm, "\n", time, "\n", where, "\n", Sha256Hex(canonical));
  std::string key = SigningKey(credentials.secret_access_key, day, scope);
  const std::string signature = ToHex(HmacSha256(key, to_sign));
  OPENSSL_cleanse(key.data(), key.size());
  request.headers.push_back(
      {"Authorization",
       absl::StrCat(kAlgorithm, " Credential=", credentials.access_key_id, "/", where,
                    ", SignedHeaders=", Names(SignedHeaders(request, url)), ", Signature=", signature)});
  return absl::OkStatus();
}

}  // namespace omics::cloud
