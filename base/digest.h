// SHA-256, by OpenSSL.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace omics {

using Sha256Digest = std::array<std::uint8_t, 32>;

Sha256Digest Sha256(std::string_view bytes);

// Lower-case hexadecimal.
std::string ToHex(std::string_view bytes);

}  // namespace omics
