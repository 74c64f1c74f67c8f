// Base64url as JSON Web Tokens have it (RFC 7515): without padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace omics::cloud {

// Nothing for whatever is not the one right spelling of some bytes: another character (padding and white space too), a
// length that cannot be, bits that no byte needs. So no two texts stand for the same bytes.
std::optional<std::string> DecodeBase64Url(std::string_view text);

}  // namespace omics::cloud
