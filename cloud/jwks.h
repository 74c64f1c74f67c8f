// The public keys of an identity provider: a JSON Web Key Set (RFC 7517), as far as RS256 needs it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace omics::cloud {

// An immutable set of RSA keys, each with its key id.
//
// Thread safety: const after construction; any number of threads may call its members.
class JwkSet {
 public:
  // Keeps the keys that are meant for what they are used for here: `kty` RSA, `use` sig, `alg` RS256 or not there, a
  // `kid`, 2,048 to 8,192 bits, an exponent from 65,537. Others are left out. INVALID_ARGUMENT if nothing is left, if
  // two of those left have the same `kid`, for more than 100 keys, and for what is no key set.
  static absl::StatusOr<JwkSet> Parse(std::string_view text);

  bool Contains(std::string_view kid) const { return keys_.find(kid) != keys_.end(); }
  // True if `signature` is that of `text` by the key `kid`: RSASSA-PKCS1-v1_5 with SHA-256. False if there is no such
  // key.
  bool Verifies(std::string_view kid, std::string_view text, std::string_view signature) const;

  std::size_t size() const { return keys_.size(); }
  bool operator==(const JwkSet& other) const { return content_ == other.content_; }

 private:
  std::map<std::string, std::shared_ptr<evp_pkey_st>, std::less<>> keys_;
  std::map<std::string, std::string> content_;  // by key id: modulus and exponent, as they came
};

}  // namespace omics::cloud
