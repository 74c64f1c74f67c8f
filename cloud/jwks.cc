#include "cloud/jwks.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "cloud/base64url.h"
#include "cloud/json.h"

namespace omics::cloud {
namespace {

// Providers have two to six; a set is searched by hand when something is wrong with it.
constexpr std::size_t kKeysMax = 100;
// Below, a key can be factored; above, a check takes milliseconds and no provider has them.
constexpr int kModulusBitsMin = 2048;
constexpr int kModulusBitsMax = 8192;
// NIST FIPS 186-5: an odd number above 2^16. The largest in use is that one.
constexpr BN_ULONG kExponentMin = 65537;
constexpr int kExponentBitsMax = 64;

struct Free {
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(OSSL_PARAM_BLD* builder) const { OSSL_PARAM_BLD_free(builder); }
  void operator()(OSSL_PARAM* parameters) const { OSSL_PARAM_free(parameters); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;
using Key = std::shared_ptr<EVP_PKEY>;

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

Owned<BIGNUM> Number(const std::string& text) {
  const auto bytes = DecodeBase64Url(text);
  if (!bytes || bytes->size() > kModulusBitsMax / 8) return nullptr;
  return Owned<BIGNUM>(BN_bin2bn(Bytes(*bytes), static_cast<int>(bytes->size()), nullptr));
}

bool InRange(const BIGNUM& modulus, const BIGNUM& exponent) {
  const int bits = BN_num_bits(&modulus);
  if (bits < kModulusBitsMin || bits > kModulusBitsMax || !BN_is_odd(&modulus)) return false;
  return BN_is_odd(&exponent) && BN_num_bits(&exponent) <= kExponentBitsMax && BN_get_word(&exponent) >= kExponentMin;
}

Key MakeKey(const BIGNUM& modulus, const BIGNUM& exponent) {
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, &modulus) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, &exponent) != 1) {
    return nullptr;
  }
  const Owned<OSSL_PARAM> parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* key = nullptr;
  if (parameters && context && EVP_PKEY_fromdata_init(context.get()) == 1) {
    EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get());
  }
  ERR_clear_error();
  return {key, EVP_PKEY_free};
}

// Null for a key that is not for us.
Key ReadKey(const FlatJson& jwk) {
  const bool rs256 = jwk.Text("alg") == "RS256" || !jwk.Has("alg");
  if (jwk.Text("kty") != "RSA" || jwk.Text("use") != "sig" || !rs256 || jwk.Text("kid").empty()) return nullptr;
  const Owned<BIGNUM> modulus = Number(jwk.Text("n"));
  const Owned<BIGNUM> exponent = Number(jwk.Text("e"));
  return modulus && exponent && InRange(*modulus, *exponent) ? MakeKey(*modulus, *exponent) : nullptr;
}

}  // namespace

absl::StatusOr<JwkSet> JwkSet::Parse(std::string_view text) {
  const auto keys = ReadFlatJsonList(text, "keys");
  if (!keys.ok()) return keys.status();
  if (keys->size() > kKeysMax) return absl::InvalidArgumentError(absl::StrCat("it has more than ", kKeysMax, " keys"));
  JwkSet set;
  for (const FlatJson& jwk : *keys) {
    Key key = ReadKey(jwk);
    if (key == nullptr) continue;
    const std::string kid = jwk.Text("kid");
    if (!set.keys_.emplace(kid, std::move(key)).second) {
      return absl::InvalidArgumentError("it has two keys of one kid");
    }
    set.content_[kid] = absl::StrCat(jwk.Text("n"), " ", jwk.Text("e"));
  }
  if (set.keys_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("none of its ", keys->size(),
                                                   " keys is an RSA key for RS256 (use sig, ", kModulusBitsMin,
                                                   " bits or more, with a kid)"));
  }
  return set;
}

bool JwkSet::Verifies(std::string_view kid, std::string_view text, std::string_view signature) const {
  const auto key = keys_.find(kid);
  if (key == keys_.end()) return false;
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const bool good = context &&
                    EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key->second.get()) == 1 &&
                    EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(text), text.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace omics::cloud
