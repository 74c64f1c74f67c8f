// The file that a bundle is: a POSIX tar of regular files in one zstd frame with a checksum, so that `tar --zstd -tf`
// lists it. Every header is the one that TarHeader() gives for a name and a size, byte for byte: nothing else is read.
//
// Errors name the member and the cause: INVALID_ARGUMENT for what is no bundle, DATA_LOSS for one that is damaged or
// cut off.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "index/bundle.h"
#include "index/internal/file.h"

namespace omics::index {

inline constexpr std::size_t kTarBlockBytes = 512;
// What is read or written at once.
inline constexpr std::size_t kBundlePieceBytes = std::size_t{1} << 20;

// 512 bytes. The name has at most 100 characters.
std::string TarHeader(std::string_view name, std::int64_t bytes);

// Thread safety: one thread at a time.
class BundleWriter {
 public:
  static absl::StatusOr<BundleWriter> Create(const std::filesystem::path& file);
  ~BundleWriter();
  BundleWriter(BundleWriter&&) noexcept;

  // The next member, then exactly `bytes` bytes of it.
  absl::Status Begin(std::string_view name, std::int64_t bytes);
  absl::Status Append(std::string_view bytes);
  // Durable when it returns OK.
  absl::Status Finish();

  // Of the file, after Finish().
  std::int64_t bytes() const;
  std::string Sha256Hex();

 private:
  struct State;
  explicit BundleWriter(std::unique_ptr<State> state);
  absl::Status Compress(std::string_view bytes, bool last);
  absl::Status Pad();
  std::unique_ptr<State> state_;
};

// Thread safety: one thread at a time.
class BundleReader {
 public:
  static absl::StatusOr<BundleReader> Open(const std::filesystem::path& file);
  ~BundleReader();
  BundleReader(BundleReader&&) noexcept;

  // The first member.
  absl::StatusOr<BundleManifest> ReadManifest();
  // The next member, which must be `member`; its bytes go to `sink` piece by piece, and their sum is checked at the
  // end: what came before is not to be trusted until then.
  absl::Status ReadMember(const BundleMember& member, absl::FunctionRef<absl::Status(std::string_view)> sink);
  // Nothing comes after the last member.
  absl::Status ReadEnd();

  // Of the file.
  std::int64_t bytes() const;

 private:
  struct State;
  explicit BundleReader(std::unique_ptr<State> state);
  absl::Status Fill(std::span<char> out, std::string_view what);
  absl::Status CheckPadding(std::int64_t member_bytes, std::string_view what);
  std::unique_ptr<State> state_;
};

}  // namespace omics::index
