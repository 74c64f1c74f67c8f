#include "index/internal/bundle_file.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/digest.h"
#include "base/status.h"
#include "base/text.h"
#include "index/internal/bundle_manifest.h"

namespace omics::index {
namespace {

// Vectors hardly compress at any level; texts and links do at this one, at some 300 MB a second.
constexpr int kCompressionLevel = 3;
// A reader holds a window in memory: no larger one than level 3 asks for, with room for others.
constexpr int kWindowLogMax = 23;
// In eleven octal digits.
constexpr std::int64_t kOctalSizeMax = (std::int64_t{1} << 33) - 1;
constexpr std::size_t kSizeField = 124;
constexpr std::size_t kSizeFieldBytes = 12;
constexpr std::size_t kChecksumField = 148;
constexpr std::size_t kChecksumFieldBytes = 8;

void Put(std::string& header, std::size_t place, std::string_view text) { header.replace(place, text.size(), text); }

std::string SizeField(std::int64_t bytes) {
  if (bytes <= kOctalSizeMax) return absl::StrFormat("%011o", bytes);
  std::string field(kSizeFieldBytes, '\0');  // GNU's form for larger files: binary, marked by its first bit
  field[0] = '\x80';
  for (std::size_t i = 0; i < sizeof(bytes); ++i) field[kSizeFieldBytes - 1 - i] = static_cast<char>(bytes >> (8 * i));
  return field;
}

std::size_t PaddingOf(std::int64_t bytes) {
  return (kTarBlockBytes - static_cast<std::size_t>(bytes) % kTarBlockBytes) % kTarBlockBytes;
}

std::string Member(std::string_view what) { return absl::StrCat("bundle member ", ToAbsl(what)); }

struct Compressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct Decompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

std::string TarHeader(std::string_view name, std::int64_t bytes) {
  std::string header(kTarBlockBytes, '\0');
  Put(header, 0, name);
  Put(header, 100, "0000644");  // mode
  Put(header, 108, "0000000");  // user
  Put(header, 116, "0000000");  // group
  Put(header, kSizeField, SizeField(bytes));
  Put(header, 136, "00000000000");  // time
  Put(header, 156, "0");            // a regular file
  Put(header, 257, std::string_view("ustar\00000", 8));
  Put(header, kChecksumField, std::string(kChecksumFieldBytes, ' '));
  unsigned sum = 0;
  for (const unsigned char byte : header) sum += byte;
  Put(header, kChecksumField, std::string_view(absl::StrFormat("%06o", sum) + std::string(1, '\0')));
  return header;
}

struct BundleWriter::State {
  FileWriter file;
  std::unique_ptr<ZSTD_CCtx, Compressor> context;
  std::vector<char> out;
  Sha256Hasher hasher;
  std::string member;
  std::int64_t member_bytes = 0;
  std::int64_t left = 0;  // of the member
};

BundleWriter::BundleWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
BundleWriter::~BundleWriter() = default;
BundleWriter::BundleWriter(BundleWriter&&) noexcept = default;

absl::StatusOr<BundleWriter> BundleWriter::Create(const std::filesystem::path& file) {
  OMICS_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(file));
  auto state = std::make_unique<State>(State{.file = std::move(writer),
                                             .context = std::unique_ptr<ZSTD_CCtx, Compressor>(ZSTD_createCCtx()),
                                             .out = std::vector<char>(ZSTD_CStreamOutSize())});
  if (!state->context) return absl::ResourceExhaustedError("out of memory while packing a bundle");
  ZSTD_CCtx_setParameter(state->context.get(), ZSTD_c_compressionLevel, kCompressionLevel);
  ZSTD_CCtx_setParameter(state->context.get(), ZSTD_c_checksumFlag, 1);
  return BundleWriter(std::move(state));
}

absl::Status BundleWriter::Compress(std::string_view bytes, bool last) {
  ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
  while (true) {
    ZSTD_outBuffer out = {state_->out.data(), state_->out.size(), 0};
    const std::size_t left =
        ZSTD_compressStream2(state_->context.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) return absl::InternalError(absl::StrCat("zstd: ", ZSTD_getErrorName(left)));
    const std::string_view packed(state_->out.data(), out.pos);
    state_->hasher.Add(packed);
    OMICS_RETURN_IF_ERROR(state_->file.Append(packed));
    if (last ? left == 0 : in.pos == in.size) return absl::OkStatus();
  }
}

absl::Status BundleWriter::Pad() {
  if (state_->left != 0) return absl::InternalError(Member(state_->member) + " is shorter than was said");
  return Compress(std::string(PaddingOf(state_->member_bytes), '\0'), false);
}

absl::Status BundleWriter::Begin(std::string_view name, std::int64_t bytes) {
  OMICS_RETURN_IF_ERROR(Pad());
  state_->member = name;
  state_->member_bytes = state_->left = bytes;
  return Compress(TarHeader(name, bytes), false);
}

absl::Status BundleWriter::Append(std::string_view bytes) {
  state_->left -= static_cast<std::int64_t>(bytes.size());
  if (state_->left < 0) return absl::InternalError(Member(state_->member) + " is longer than was said");
  return Compress(bytes, false);
}

absl::Status BundleWriter::Finish() {
  OMICS_RETURN_IF_ERROR(Pad());
  OMICS_RETURN_IF_ERROR(Compress(std::string(2 * kTarBlockBytes, '\0'), true));
  return state_->file.Sync();
}

std::int64_t BundleWriter::bytes() const { return static_cast<std::int64_t>(state_->file.size()); }

std::string BundleWriter::Sha256Hex() { return state_->hasher.Hex(); }

struct BundleReader::State {
  FileDescriptor file;
  std::uint64_t size = 0;
  std::uint64_t read = 0;
  std::unique_ptr<ZSTD_DCtx, Decompressor> context;
  std::vector<char> packed;
  ZSTD_inBuffer in = {nullptr, 0, 0};
  bool frame_ended = false;
  std::vector<char> piece;

  absl::Status Refill() {
    const std::uint64_t count = std::min<std::uint64_t>(packed.size(), size - read);
    OMICS_RETURN_IF_ERROR(ReadAt(file.get(), read, {packed.data(), count}));
    read += count;
    in = {packed.data(), count, 0};
    return absl::OkStatus();
  }
};

BundleReader::BundleReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
BundleReader::~BundleReader() = default;
BundleReader::BundleReader(BundleReader&&) noexcept = default;

absl::StatusOr<BundleReader> BundleReader::Open(const std::filesystem::path& file) {
  if (!LooksLikeBundle(file)) {
    OMICS_RETURN_IF_ERROR(OpenForReading(file).status());
    return absl::InvalidArgumentError(absl::StrCat(file.string(), " is no bundle: it does not begin like a .tar.zst"));
  }
  auto state = std::make_unique<State>();
  OMICS_ASSIGN_OR_RETURN(state->file, OpenForReading(file));
  std::error_code error;
  state->size = std::filesystem::file_size(file, error);
  if (error) return ErrnoStatus(error.value(), file.string());
  state->context.reset(ZSTD_createDCtx());
  if (!state->context) return absl::ResourceExhaustedError("out of memory while reading a bundle");
  ZSTD_DCtx_setParameter(state->context.get(), ZSTD_d_windowLogMax, kWindowLogMax);
  state->packed.resize(kBundlePieceBytes);
  state->piece.resize(kBundlePieceBytes);
  return BundleReader(std::move(state));
}

std::int64_t BundleReader::bytes() const { return static_cast<std::int64_t>(state_->size); }

absl::Status BundleReader::Fill(std::span<char> out, std::string_view what) {
  ZSTD_outBuffer buffer = {out.data(), out.size(), 0};
  while (buffer.pos < buffer.size) {
    if (state_->in.pos == state_->in.size && state_->read < state_->size) OMICS_RETURN_IF_ERROR(state_->Refill());
    const std::size_t before = buffer.pos;
    const bool empty = state_->in.pos == state_->in.size;
    if (state_->frame_ended) return absl::DataLossError(Member(what) + " is missing or cut off");
    const std::size_t left = ZSTD_decompressStream(state_->context.get(), &buffer, &state_->in);
    if (ZSTD_isError(left)) {
      return absl::DataLossError(absl::StrCat(Member(what), " is damaged: zstd: ", ZSTD_getErrorName(left)));
    }
    state_->frame_ended = left == 0;
    if (empty && buffer.pos == before) return absl::DataLossError(Member(what) + " is cut off");
  }
  return absl::OkStatus();
}

absl::Status BundleReader::CheckPadding(std::int64_t member_bytes, std::string_view what) {
  std::string padding(PaddingOf(member_bytes), '\0');
  OMICS_RETURN_IF_ERROR(Fill(padding, what));
  if (padding.find_first_not_of('\0') == std::string::npos) return absl::OkStatus();
  return absl::DataLossError(Member(what) + " is followed by what is none of a bundle");
}

absl::StatusOr<BundleManifest> BundleReader::ReadManifest() {
  std::string header(kTarBlockBytes, '\0');
  OMICS_RETURN_IF_ERROR(Fill(header, kManifestMember));
  std::int64_t bytes = 0;
  for (const char digit : std::string_view(header).substr(kSizeField, kSizeFieldBytes - 1)) {
    if (digit >= '0' && digit <= '7') bytes = bytes * 8 + (digit - '0');
  }
  if (header != TarHeader(kManifestMember, bytes)) {
    const std::string name = OneLine(header.substr(0, std::min<std::size_t>(header.find('\0'), 100)));
    return absl::InvalidArgumentError(absl::StrCat("this is no bundle: its first member is '", name, "', not ",
                                                   kManifestMember, " as `vectorctl bundle save` packs it"));
  }
  if (bytes > static_cast<std::int64_t>(kManifestBytesMax)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Member(kManifestMember), " has more than ", kManifestBytesMax, " bytes"));
  }
  std::string json(static_cast<std::size_t>(bytes), '\0');
  OMICS_RETURN_IF_ERROR(Fill(json, kManifestMember));
  OMICS_RETURN_IF_ERROR(CheckPadding(bytes, kManifestMember));
  return ManifestFromJson(json);
}

absl::Status BundleReader::ReadMember(const BundleMember& member,
                                      absl::FunctionRef<absl::Status(std::string_view)> sink) {
  std::string header(kTarBlockBytes, '\0');
  OMICS_RETURN_IF_ERROR(Fill(header, member.name));
  if (header != TarHeader(member.name, member.bytes)) {
    const std::string name = OneLine(header.substr(0, std::min<std::size_t>(header.find('\0'), 100)));
    return absl::InvalidArgumentError(absl::StrCat("in the place of ", Member(member.name), " of ", member.bytes,
                                                   " bytes stands another member, '", name, "'"));
  }
  Sha256Hasher hasher;
  for (std::int64_t left = member.bytes; left > 0;) {
    const auto count = static_cast<std::size_t>(std::min<std::int64_t>(left, kBundlePieceBytes));
    OMICS_RETURN_IF_ERROR(Fill({state_->piece.data(), count}, member.name));
    hasher.Add({state_->piece.data(), count});
    OMICS_RETURN_IF_ERROR(sink({state_->piece.data(), count}));
    left -= static_cast<std::int64_t>(count);
  }
  if (hasher.Hex() != member.sha256) {
    return absl::DataLossError(Member(member.name) + " is damaged: its SHA-256 is not that of the manifest");
  }
  return CheckPadding(member.bytes, member.name);
}

absl::Status BundleReader::ReadEnd() {
  constexpr char kEnd[] = "(the end)";
  std::string end(2 * kTarBlockBytes, '\0');
  OMICS_RETURN_IF_ERROR(Fill(end, kEnd));
  if (end.find_first_not_of('\0') != std::string::npos) {
    const std::string name = OneLine(end.substr(0, std::min<std::size_t>(end.find('\0'), 100)));
    return absl::InvalidArgumentError(
        absl::StrCat("the bundle has a member that its manifest does not name: '", name, "'"));
  }
  char more = 0;
  const absl::Status over = Fill({&more, 1}, kEnd);
  if (over.ok() || state_->in.pos != state_->in.size || state_->read != state_->size) {
    return absl::InvalidArgumentError("the bundle goes on after its end");
  }
  return state_->frame_ended ? absl::OkStatus() : over;
}

bool LooksLikeBundle(const std::filesystem::path& file) {
  constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";
  const absl::StatusOr<FileDescriptor> fd = OpenForReading(file);
  std::string begin(kZstdMagic.size(), '\0');
  return fd.ok() && ReadAt(fd->get(), 0, begin).ok() && begin == kZstdMagic;
}

}  // namespace omics::index
