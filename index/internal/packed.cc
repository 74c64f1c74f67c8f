#include "index/internal/packed.h"

#include <zstd.h>

#include <memory>

#include "absl/strings/str_cat.h"

namespace omics::index {
namespace {

// Most of it is vectors, which hardly get smaller at any level.
constexpr int kLevel = 1;

}  // namespace

absl::StatusOr<std::string> Pack(std::string_view bytes) {
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  if (!context) return absl::ResourceExhaustedError("no memory to compress");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string packed(ZSTD_compressBound(bytes.size()), '\0');
  const std::size_t size = ZSTD_compress2(context.get(), packed.data(), packed.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size)) return absl::InternalError(absl::StrCat("zstd: ", ZSTD_getErrorName(size)));
  packed.resize(size);
  return packed;
}

absl::StatusOr<std::string> UnpackBytes(std::string_view packed, std::size_t bytes_max) {
  const unsigned long long size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) {
    return absl::DataLossError("it is not compressed by zstd, or cut off");
  }
  if (size > bytes_max) {
    return absl::DataLossError(absl::StrCat("it unpacks to ", size, " bytes; at most ", bytes_max, " are expected"));
  }
  std::string bytes(static_cast<std::size_t>(size), '\0');
  const std::size_t got = ZSTD_decompress(bytes.data(), bytes.size(), packed.data(), packed.size());
  if (ZSTD_isError(got)) return absl::DataLossError(absl::StrCat("zstd: ", ZSTD_getErrorName(got)));
  if (got != bytes.size()) return absl::DataLossError("it is cut off");
  return bytes;
}

}  // namespace omics::index
