// SHA-256, by OpenSSL.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace omics {

using Sha256Digest = std::array<std::uint8_t, 32>;

Sha256Digest Sha256(std::string_view bytes);
// In lower-case hexadecimal.
std::string Sha256Hex(std::string_view bytes);

// Of what comes piece by piece.
// Thread safety: one thread at a time.
class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  Sha256Hasher(Sha256Hasher&&) noexcept;
  Sha256Hasher& operator=(Sha256Hasher&&) noexcept;

  void Add(std::string_view bytes);
  // Of all that was added so far, in lower-case hexadecimal; more may be added after it.
  std::string Hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Lower-case hexadecimal.
std::string ToHex(std::string_view bytes);

}  // namespace omics
