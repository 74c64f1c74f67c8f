#include "tests/cloud/jwt_testing.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <cstdlib>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace omics::cloud::testing {
namespace {

void Must(bool good) {
  if (!good) std::abort();
}

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

EVP_PKEY* MakeKey(int bits, unsigned exponent) {
  EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr);
  BIGNUM* const number = BN_new();
  BN_set_word(number, exponent);
  EVP_PKEY* key = nullptr;
  Must(EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) == 1 &&
       EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, number) == 1 && EVP_PKEY_generate(context, &key) == 1);
  BN_free(number);
  EVP_PKEY_CTX_free(context);
  return key;
}

std::string SignWith(EVP_PKEY* key, std::string_view text, bool pss) {
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* of_key = nullptr;
  Must(EVP_DigestSignInit(context, &of_key, EVP_sha256(), nullptr, key) == 1);
  if (pss) Must(EVP_PKEY_CTX_set_rsa_padding(of_key, RSA_PKCS1_PSS_PADDING) == 1);
  std::size_t size = 0;
  Must(EVP_DigestSign(context, nullptr, &size, Bytes(text), text.size()) == 1);
  std::string signature(size, '\0');
  Must(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, Bytes(text), text.size()) ==
       1);
  EVP_MD_CTX_free(context);
  signature.resize(size);
  return signature;
}

}  // namespace

std::string EncodeBase64Url(std::string_view bytes) { return absl::WebSafeBase64Escape(ToAbsl(bytes)); }

SigningKey::SigningKey(std::string kid, int bits, unsigned exponent)
    : kid_(std::move(kid)), key_(MakeKey(bits, exponent)) {}

SigningKey::~SigningKey() { EVP_PKEY_free(key_); }

std::string SigningKey::Number(const char* name) const {
  BIGNUM* number = nullptr;
  Must(EVP_PKEY_get_bn_param(key_, name, &number) == 1);
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number)), '\0');
  BN_bn2bin(number, reinterpret_cast<unsigned char*>(bytes.data()));
  BN_free(number);
  return EncodeBase64Url(bytes);
}

std::string SigningKey::Jwk(std::string_view more) const {
  return absl::StrCat(R"({"kty":"RSA","kid":")", kid_, R"(","n":")", Number(OSSL_PKEY_PARAM_RSA_N), R"(","e":")",
                      Number(OSSL_PKEY_PARAM_RSA_E), "\"", ToAbsl(more), "}");
}

std::string SigningKey::Pem() const {
  BIO* const memory = BIO_new(BIO_s_mem());
  Must(PEM_write_bio_PUBKEY(memory, key_) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory, &text);
  std::string pem(text, static_cast<std::size_t>(size));
  BIO_free(memory);
  return pem;
}

std::string SigningKey::Sign(std::string_view text) const { return SignWith(key_, text, false); }

std::string SigningKey::SignPss(std::string_view text) const { return SignWith(key_, text, true); }

std::string SigningKey::Token(std::string_view claims) const {
  return Token(absl::StrCat(R"({"alg":"RS256","kid":")", kid_, R"("})"), claims);
}

std::string SigningKey::Token(std::string_view header, std::string_view claims) const {
  const std::string text = Unsigned(header, claims);
  return absl::StrCat(text, ".", EncodeBase64Url(Sign(text)));
}

std::string Unsigned(std::string_view header, std::string_view claims) {
  return absl::StrCat(EncodeBase64Url(header), ".", EncodeBase64Url(claims));
}

std::string HmacSha256(std::string_view secret, std::string_view text) {
  unsigned char code[32];
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), Bytes(text), text.size(), code, nullptr);
  return {reinterpret_cast<const char*>(code), sizeof(code)};
}

std::string KeySet(std::initializer_list<std::string> keys) {
  return absl::StrCat(R"({"keys":[)", absl::StrJoin(keys, ","), "]}");
}

}  // namespace omics::cloud::testing
