// An identity provider of a test's own: RSA keys and the tokens signed with them.
#pragma once

#include <string>
#include <string_view>

struct evp_pkey_st;

namespace omics::cloud::testing {

// Without padding.
std::string EncodeBase64Url(std::string_view bytes);

// A key pair made by OpenSSL.
class SigningKey {
 public:
  explicit SigningKey(std::string kid, int bits = 2048, unsigned exponent = 65537);
  ~SigningKey();
  SigningKey(const SigningKey&) = delete;
  SigningKey& operator=(const SigningKey&) = delete;

  const std::string& kid() const { return kid_; }
  // {"kty":"RSA",…} with `more` members at its end: ",\"use\":\"sig\"".
  std::string Jwk(std::string_view more = R"(,"use":"sig","alg":"RS256")") const;
  // The public key as PEM text.
  std::string Pem() const;
  std::string Sign(std::string_view text) const;
  // RSASSA-PSS with SHA-256: what PS256 names.
  std::string SignPss(std::string_view text) const;

  // A token whose header names RS256 and this key.
  std::string Token(std::string_view claims) const;
  // One with any header.
  std::string Token(std::string_view header, std::string_view claims) const;

 private:
  std::string Number(const char* name) const;

  const std::string kid_;
  evp_pkey_st* key_;
};

// Of header and claims, with the dot between them.
std::string Unsigned(std::string_view header, std::string_view claims);
std::string HmacSha256(std::string_view secret, std::string_view text);
// {"keys":[…]}
std::string KeySet(std::initializer_list<std::string> keys);

}  // namespace omics::cloud::testing
