#include "cloud/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status.h"

namespace omics::cloud {
namespace {

struct Free {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

// OpenSSL's functions for SHA-256 fail only without memory, as all of C++ does.
struct Sha256Stream::State {
  std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr);
}
Sha256Stream::~Sha256Stream() = default;
Sha256Stream::Sha256Stream(Sha256Stream&&) noexcept = default;
Sha256Stream& Sha256Stream::operator=(Sha256Stream&&) noexcept = default;

void Sha256Stream::Add(std::string_view bytes) { EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()); }

std::string Sha256Stream::Hex() const {
  const std::unique_ptr<EVP_MD_CTX, Free> copy(EVP_MD_CTX_new());
  EVP_MD_CTX_copy_ex(copy.get(), state_->context.get());
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(copy.get(), digest, &size);
  return ToHex({reinterpret_cast<const char*>(digest), size});
}

absl::StatusOr<FileDigest> Sha256OfFile(const std::filesystem::path& path, std::int64_t bytes_max) {
  const std::unique_ptr<std::FILE, Free> file(std::fopen(path.c_str(), "rbe"));
  if (!file) return ErrnoStatus(errno, absl::StrCat("read ", path.string()));
  std::string piece(1 << 18, '\0');
  FileDigest result;
  while (result.bytes < bytes_max) {
    const auto wanted = std::min<std::int64_t>(static_cast<std::int64_t>(piece.size()), bytes_max - result.bytes);
    const std::size_t got = std::fread(piece.data(), 1, static_cast<std::size_t>(wanted), file.get());
    if (got == 0) break;
    result.stream.Add({piece.data(), got});
    result.bytes += static_cast<std::int64_t>(got);
  }
  if (std::ferror(file.get()) != 0) return ErrnoStatus(errno, absl::StrCat("read ", path.string()));
  result.sha256 = result.stream.Hex();
  return result;
}

std::string Sha256Hex(std::string_view bytes) {
  const Sha256Digest digest = Sha256(bytes);
  return ToHex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace omics::cloud
