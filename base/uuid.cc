#include "base/uuid.h"

#include <openssl/rand.h>

#include <array>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "base/digest.h"

namespace omics {
namespace {

constexpr std::size_t kUuidSize = 36;

bool IsDashPosition(std::size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

}  // namespace

std::string MakeUuid() {
  std::array<unsigned char, 16> bytes;
  // Fails only when the operating system gives no randomness: an id that may repeat is worse than no process.
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) std::abort();
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const std::string hex = ToHex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  std::string uuid;
  uuid.reserve(kUuidSize);
  for (const char digit : hex) {
    if (IsDashPosition(uuid.size())) uuid.push_back('-');
    uuid.push_back(digit);
  }
  return uuid;
}

bool IsUuid(std::string_view text) {
  if (text.size() != kUuidSize) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool fits = IsDashPosition(i) ? text[i] == '-' : absl::ascii_isxdigit(static_cast<unsigned char>(text[i]));
    if (!fits) return false;
  }
  return true;
}

}  // namespace omics
