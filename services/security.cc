#include "services/security.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::services {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

std::unique_ptr<BIO, Free> Memory(const std::string& text) {
  return std::unique_ptr<BIO, Free>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

absl::StatusOr<std::string> ReadPem(const std::string& path, const char* flag) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return absl::InvalidArgumentError(absl::StrCat(flag, " ", path, ": ", std::generic_category().message(errno)));
  std::string text(kPemBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (!text.empty() && text.size() <= kPemBytesMax) return text;
  return absl::InvalidArgumentError(absl::StrCat(flag, " ", path, " is empty, a directory, or larger than 1 MiB"));
}

int NoPassphrase(char*, int, int, void*) { return 0; }

absl::Status CheckPair(const TlsPair& pair) {
  const std::unique_ptr<X509, Free> certificate(
      PEM_read_bio_X509(Memory(pair.certificate_pem).get(), nullptr, NoPassphrase, nullptr));
  const std::unique_ptr<EVP_PKEY, Free> key(
      PEM_read_bio_PrivateKey(Memory(pair.key_pem).get(), nullptr, NoPassphrase, nullptr));
  const bool match = certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!certificate) return absl::InvalidArgumentError("--tls-certificate holds no PEM certificate");
  if (!key) return absl::InvalidArgumentError("--tls-key holds no PEM private key without a passphrase");
  if (!match) return absl::InvalidArgumentError("--tls-key does not belong to --tls-certificate");
  return absl::OkStatus();
}

absl::StatusOr<std::optional<TlsPair>> LoadTls(const Options& options) {
  std::optional<TlsPair> pair;
  if (options.tls_certificate.empty()) return pair;
  pair.emplace();
  OMICS_ASSIGN_OR_RETURN(pair->certificate_pem, ReadPem(options.tls_certificate, "--tls-certificate"));
  OMICS_ASSIGN_OR_RETURN(pair->key_pem, ReadPem(options.tls_key, "--tls-key"));
  OMICS_RETURN_IF_ERROR(CheckPair(*pair));
  return pair;
}

}  // namespace

absl::StatusOr<Security> LoadSecurity(const Options& options) {
  Security security;
  security.sources.credentials = options.authn_credentials;
  security.sources.tokens_file = options.tokens_file;
  security.sources.tokens_secret = options.token_secret.secret;
  security.sources.insecure_no_auth = options.insecure_no_auth;
  security.sources.end_users = !options.jwt.issuer.empty();
  OMICS_ASSIGN_OR_RETURN(security.tokens, LoadTokens(security.sources));
  OMICS_ASSIGN_OR_RETURN(security.tls, LoadTls(options));
  return security;
}

}  // namespace omics::services
