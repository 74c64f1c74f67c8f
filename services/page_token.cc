#include "services/page_token.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace omics::services {

std::string EncodePageToken(const PageToken& token) {
  return absl::WebSafeBase64Escape(absl::StrCat(token.position, ",", token.remaining));
}

absl::StatusOr<PageToken> DecodePageToken(std::string_view text) {
  std::string plain;
  PageToken token;
  if (absl::WebSafeBase64Unescape(ToAbsl(text), &plain)) {
    const std::vector<std::string> parts = absl::StrSplit(plain, ',');
    if (parts.size() == 2 && absl::SimpleAtoi(parts[0], &token.position) &&
        absl::SimpleAtoi(parts[1], &token.remaining) && token.position >= 0 && token.remaining >= -1) {
      return token;
    }
  }
  return absl::InvalidArgumentError("page_token is not one that this service gave: start again without it");
}

}  // namespace omics::services
