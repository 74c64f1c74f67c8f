#include "index/internal/chroma_hnsw.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/internal/chroma_pickle.h"

namespace omics::index {
namespace {

static_assert(std::endian::native == std::endian::little, "the files are little-endian and read as they are");

constexpr std::size_t kHeaderBytes = 100;
constexpr std::int32_t kVersion = 1;
// hnswlib itself stops at 10,000 links.
constexpr std::uint64_t kLinksMax = 10'000;
constexpr std::uint32_t kDeletedBit = 1u << 16;
// 30 million ids of 20 bytes, each written up to three times.
constexpr std::int64_t kPickleBytesMax = std::int64_t{2} << 30;
constexpr std::int64_t kScanBytes = 1 << 20;
// hnswlib normalises in float32; what is further from 1 was not written by it.
constexpr double kUnitTolerance = 1e-3;

template <typename T>
T Load(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

absl::Status Damaged(std::string_view file, std::string_view problem) {
  return absl::DataLossError(absl::StrCat(ToAbsl(file), " of a vector segment ", ToAbsl(problem)));
}

// One file, read by position: a store that changes under us yields an error, not a signal.
class InputFile {
 public:
  InputFile() = default;
  ~InputFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  absl::Status Open(const std::filesystem::path& path) {
    descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor_ < 0 && errno == ENOENT) return absl::NotFoundError(path.filename().string());
    if (descriptor_ < 0) return ErrnoStatus(errno, absl::StrCat("open ", path.string()));
    struct stat status = {};
    if (fstat(descriptor_, &status) != 0) return ErrnoStatus(errno, path.string());
    if (!S_ISREG(status.st_mode)) return Damaged(path.filename().string(), "is not a regular file");
    size_ = status.st_size;
    return absl::OkStatus();
  }

  std::int64_t size() const { return size_; }

  absl::Status Read(std::int64_t offset, char* bytes, std::size_t size) const {
    while (size > 0) {
      const ssize_t count = pread(descriptor_, bytes, size, offset);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return ErrnoStatus(errno, "read a vector segment");
      if (count == 0)
        return absl::UnavailableError("a vector segment became shorter while it was read; stop Chroma first");
      offset += count;
      bytes += count;
      size -= static_cast<std::size_t>(count);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> ReadAll() const {
    std::string bytes(static_cast<std::size_t>(size_), '\0');
    OMICS_RETURN_IF_ERROR(Read(0, bytes.data(), bytes.size()));
    return bytes;
  }

 private:
  int descriptor_ = -1;
  std::int64_t size_ = 0;
};

absl::Status OpenPart(const std::filesystem::path& directory, const char* name, InputFile& file) {
  const absl::Status status = file.Open(directory / name);
  return absl::IsNotFound(status) ? Damaged(name, "is missing") : status;
}

absl::StatusOr<std::string> ReadSmallFile(const std::filesystem::path& path, std::int64_t bytes_max) {
  InputFile file;
  OMICS_RETURN_IF_ERROR(file.Open(path));
  if (file.size() <= bytes_max) return file.ReadAll();
  return Damaged(path.filename().string(), absl::StrCat("has more than ", bytes_max, " bytes"));
}

}  // namespace

struct ChromaHnsw::Files {
  InputFile vectors;
  InputFile lengths;
};

ChromaHnsw::ChromaHnsw() : files_(std::make_unique<Files>()) {}
ChromaHnsw::~ChromaHnsw() = default;

absl::StatusOr<std::unique_ptr<ChromaHnsw>> ChromaHnsw::Open(const std::filesystem::path& directory, int dimension,
                                                             bool unit_vectors, std::int64_t records_max) {
  absl::StatusOr<std::string> pickle = ReadSmallFile(directory / "index_metadata.pickle", kPickleBytesMax);
  if (absl::IsNotFound(pickle.status())) return nullptr;
  if (!pickle.ok()) return pickle.status();
  absl::StatusOr<std::string> header = ReadSmallFile(directory / "header.bin", kHeaderBytes);
  if (absl::IsNotFound(header.status())) return Damaged("header.bin", "is missing");
  if (!header.ok()) return header.status();

  std::unique_ptr<ChromaHnsw> index(new ChromaHnsw());
  index->dimension_ = dimension;
  index->unit_vectors_ = unit_vectors;
  index->pickle_ = *std::move(pickle);
  OMICS_ASSIGN_OR_RETURN(index->layout_, ReadLayout(*header, dimension, records_max));
  OMICS_RETURN_IF_ERROR(OpenPart(directory, "data_level0.bin", index->files_->vectors));
  if (unit_vectors) OMICS_RETURN_IF_ERROR(OpenPart(directory, "length.bin", index->files_->lengths));
  OMICS_RETURN_IF_ERROR(index->CheckSizes());
  if (unit_vectors) OMICS_RETURN_IF_ERROR(index->ReadNorms());
  OMICS_RETURN_IF_ERROR(index->ReadIds(records_max));
  return index;
}

// The fields that only a search in the graph needs (level, entry point, level multiplier, ef) are not looked at.
absl::StatusOr<ChromaHnsw::Layout> ChromaHnsw::ReadLayout(std::string_view header, int dimension,
                                                          std::int64_t records_max) {
  if (header.size() != kHeaderBytes) return Damaged("header.bin", "does not have 100 bytes");
  const char* bytes = header.data();
  const auto offset_level0 = Load<std::uint64_t>(bytes + 4);
  const auto capacity = Load<std::uint64_t>(bytes + 12);
  const auto count = Load<std::uint64_t>(bytes + 20);
  const auto slot_bytes = Load<std::uint64_t>(bytes + 28);
  const auto label_offset = Load<std::uint64_t>(bytes + 36);
  const auto vector_offset = Load<std::uint64_t>(bytes + 44);
  const auto links = Load<std::uint64_t>(bytes + 68);
  if (Load<std::int32_t>(bytes) != kVersion) return Damaged("header.bin", "has an unknown version");
  if (count > capacity || count > static_cast<std::uint64_t>(records_max)) {
    return Damaged("header.bin", "counts more vectors than there can be");
  }
  if (links < 1 || links > 2 * kLinksMax) return Damaged("header.bin", "has an impossible number of links");
  const std::uint64_t expected_vector = 4 + 4 * links;
  const std::uint64_t expected_label = expected_vector + 4 * static_cast<std::uint64_t>(dimension);
  if (offset_level0 != 0 || vector_offset != expected_vector || label_offset != expected_label ||
      slot_bytes != expected_label + 8) {
    return Damaged("header.bin", absl::StrCat("does not fit vectors of ", dimension, " dimensions"));
  }
  return Layout{.slots = static_cast<std::int64_t>(count),
                .slot_bytes = static_cast<std::int64_t>(slot_bytes),
                .vector_offset = static_cast<std::int64_t>(vector_offset),
                .label_offset = static_cast<std::int64_t>(label_offset)};
}

// Chroma writes the filled slots or the whole preallocated capacity. Division, since a product could overflow.
absl::Status ChromaHnsw::CheckSizes() const {
  if (files_->vectors.size() / layout_.slot_bytes < layout_.slots) return Damaged("data_level0.bin", "is cut off");
  if (!unit_vectors_) return absl::OkStatus();
  const auto norm_bytes = static_cast<std::int64_t>(sizeof(float));
  if (files_->lengths.size() / norm_bytes < layout_.slots) return Damaged("length.bin", "is cut off");
  return absl::OkStatus();
}

absl::Status ChromaHnsw::ReadNorms() {
  norms_.resize(static_cast<std::size_t>(layout_.slots));
  return files_->lengths.Read(0, reinterpret_cast<char*>(norms_.data()), norms_.size() * sizeof(float));
}

absl::StatusOr<std::vector<std::pair<std::uint64_t, std::int64_t>>> ChromaHnsw::ReadLabels() const {
  const std::int64_t block_slots = std::max<std::int64_t>(1, kScanBytes / layout_.slot_bytes);
  std::vector<char> block(static_cast<std::size_t>(std::min(block_slots, layout_.slots) * layout_.slot_bytes));
  std::vector<std::pair<std::uint64_t, std::int64_t>> labels;
  labels.reserve(static_cast<std::size_t>(layout_.slots));
  for (std::int64_t first = 0; first < layout_.slots; first += block_slots) {
    const std::int64_t count = std::min(block_slots, layout_.slots - first);
    OMICS_RETURN_IF_ERROR(files_->vectors.Read(first * layout_.slot_bytes, block.data(),
                                               static_cast<std::size_t>(count * layout_.slot_bytes)));
    for (std::int64_t i = 0; i < count; ++i) {
      const char* slot = block.data() + i * layout_.slot_bytes;
      const bool deleted = (Load<std::uint32_t>(slot) & kDeletedBit) != 0;
      labels.emplace_back(Load<std::uint64_t>(slot + layout_.label_offset), deleted ? -1 : first + i);
    }
  }
  std::sort(labels.begin(), labels.end());
  for (std::size_t i = 1; i < labels.size(); ++i) {
    if (labels[i].first == labels[i - 1].first) labels[i].second = labels[i - 1].second = -1;
  }
  std::erase_if(labels, [](const auto& label) { return label.second < 0; });
  return labels;
}

absl::Status ChromaHnsw::ReadIds(std::int64_t records_max) {
  absl::StatusOr<ChromaPickle> pickle = ReadChromaPickle(pickle_, records_max);
  if (!pickle.ok()) return absl::DataLossError(pickle.status().message());
  applied_seq_id_ = pickle->max_seq_id;
  OMICS_ASSIGN_OR_RETURN(const auto labels, ReadLabels());
  slots_.reserve(pickle->id_to_label.size());
  for (const auto& [id, label] : pickle->id_to_label) {
    const auto wanted = static_cast<std::uint64_t>(label);
    const auto found = std::lower_bound(labels.begin(), labels.end(), wanted,
                                        [](const auto& entry, std::uint64_t value) { return entry.first < value; });
    if (found != labels.end() && found->first == wanted) slots_.emplace_back(id, found->second);
  }
  std::sort(slots_.begin(), slots_.end());
  const auto same_id = [](const auto& a, const auto& b) { return a.first == b.first; };
  if (std::adjacent_find(slots_.begin(), slots_.end(), same_id) == slots_.end()) return absl::OkStatus();
  return Damaged("index_metadata.pickle", "has an id twice");
}

std::int64_t ChromaHnsw::Find(std::string_view id) const {
  const auto found = std::lower_bound(slots_.begin(), slots_.end(), id,
                                      [](const auto& entry, std::string_view value) { return entry.first < value; });
  return found != slots_.end() && found->first == id ? found->second : -1;
}

absl::StatusOr<bool> ChromaHnsw::Read(std::string_view id, std::vector<float>& vector) const {
  const std::int64_t slot = Find(id);
  if (slot < 0) return false;
  vector.resize(static_cast<std::size_t>(dimension_));
  OMICS_RETURN_IF_ERROR(files_->vectors.Read(slot * layout_.slot_bytes + layout_.vector_offset,
                                             reinterpret_cast<char*>(vector.data()), vector.size() * sizeof(float)));
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * x;
  if (!std::isfinite(squares)) return false;
  if (!unit_vectors_) return true;
  const float norm = norms_[static_cast<std::size_t>(slot)];
  if (!std::isfinite(norm) || norm < 0) return false;
  if (norm > 0 && std::abs(std::sqrt(squares) - 1) > kUnitTolerance) return false;
  for (float& x : vector) x *= norm;
  return std::all_of(vector.begin(), vector.end(), [](float x) { return std::isfinite(x); });
}

}  // namespace omics::index
