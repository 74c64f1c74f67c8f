#include "index/internal/segment.h"

#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/internal/segment_format.h"

namespace omics::index {
namespace {

absl::Status Damaged(const char* what) { return absl::DataLossError(absl::StrCat("its ", what, " is damaged")); }

bool InFile(const SectionRange& section, std::uint64_t file_bytes) {
  return section.offset % kSectionAlignment == 0 && section.offset >= kSegmentHeaderBytes &&
         section.offset <= file_bytes && section.bytes <= file_bytes - section.offset;
}

}  // namespace

// Opens a segment step by step, each step trusting only what the ones before have checked.
class SegmentReader {
 public:
  explicit SegmentReader(const std::filesystem::path& path) : path_(path) {}

  absl::StatusOr<std::shared_ptr<const Segment>> Open() {
    OMICS_ASSIGN_OR_RETURN(fd_, OpenForReading(path_));
    OMICS_RETURN_IF_ERROR(ReadHeader());
    OMICS_RETURN_IF_ERROR(CheckSections());
    OMICS_RETURN_IF_ERROR(VerifyBlocks());
    auto segment = std::shared_ptr<Segment>(new Segment);
    segment->path_ = path_;
    OMICS_ASSIGN_OR_RETURN(segment->file_, MappedFile::Map(fd_.get(), header_.file_bytes));
    Fill(*segment);
    OMICS_RETURN_IF_ERROR(CheckContents(*segment));
    OMICS_RETURN_IF_ERROR(OpenFilterIndex(*segment));
    return std::shared_ptr<const Segment>(std::move(segment));
  }

 private:
  absl::Status ReadHeader() {
    OMICS_RETURN_IF_ERROR(ReadAt(fd_.get(), 0, {reinterpret_cast<char*>(&header_), sizeof(header_)}));
    if (header_.magic != kSegmentMagic) return Damaged("header");
    if (header_.version != kSegmentVersion) {
      return absl::DataLossError(absl::StrCat("its version ", header_.version, " is not ", kSegmentVersion));
    }
    if (XXH3_64bits(&header_, offsetof(SegmentHeader, header_hash)) != header_.header_hash) return Damaged("header");
    std::error_code error;
    if (std::filesystem::file_size(path_, error) != header_.file_bytes || error) return Damaged("size");
    return absl::OkStatus();
  }

  absl::Status CheckSections() const {
    const std::uint64_t rows = header_.rows;
    if (rows == 0 || rows > INT32_MAX || header_.dimension == 0 || header_.dimension > kDimensionMax ||
        header_.metric > static_cast<std::uint32_t>(Metric::kInnerProduct) || header_.m == 0 || header_.m > 1024 ||
        header_.code_dimension == 0 || header_.code_dimension > header_.dimension) {
      return Damaged("header");
    }
    const bool projects = header_.sections[kDirections].bytes != 0;
    if (!projects && header_.code_dimension != header_.dimension) return Damaged("header");
    const std::uint64_t directions = projects ? header_.code_dimension : 0;
    const std::uint64_t links0 = rows * 2 * header_.m * sizeof(std::int32_t);
    const std::pair<SectionKind, std::uint64_t> sizes[] = {{kVectors, rows * header_.dimension * sizeof(float)},
                                                           {kScales, rows * sizeof(float)},
                                                           {kIdentities, rows * sizeof(RowIdentity)},
                                                           {kPayloadOffsets, (rows + 1) * sizeof(std::uint64_t)},
                                                           {kLinks0, links0},
                                                           {kUpperOffsets, (rows + 1) * sizeof(std::uint32_t)},
                                                           {kCodes, rows * RowStride(header_.code_dimension)},
                                                           {kCodeCentre, header_.dimension * sizeof(float)},
                                                           {kDirections, directions * PaddedCodes(header_.dimension)},
                                                           {kDirectionScales, directions * sizeof(float)}};
    for (const SectionRange& section : header_.sections) {
      if (!InFile(section, header_.file_bytes)) return Damaged("section table");
    }
    for (const auto& [kind, bytes] : sizes) {
      if (header_.sections[kind].bytes != bytes) return Damaged("section table");
    }
    return absl::OkStatus();
  }

  absl::Status VerifyBlocks() const {
    const SectionRange& checksums = header_.sections[kChecksums];
    const std::uint64_t covered = checksums.offset - kSegmentHeaderBytes;
    const std::uint64_t blocks = (covered + kChecksumBlockBytes - 1) / kChecksumBlockBytes;
    if (checksums.bytes != blocks * sizeof(std::uint64_t)) return Damaged("checksum table");
    std::vector<std::uint64_t> sums(blocks);
    OMICS_RETURN_IF_ERROR(ReadAt(fd_.get(), checksums.offset, {reinterpret_cast<char*>(sums.data()), checksums.bytes}));
    if (XXH3_64bits(sums.data(), checksums.bytes) != header_.checksums_hash) return Damaged("checksum table");
    // By read(), not through the mapping: the pages stay in the cache without counting as this process's memory.
    std::vector<char> block(kChecksumBlockBytes);
    for (std::uint64_t i = 0; i < blocks; ++i) {
      const std::uint64_t begin = i * kChecksumBlockBytes;
      const std::uint64_t bytes = std::min(kChecksumBlockBytes, covered - begin);
      OMICS_RETURN_IF_ERROR(ReadAt(fd_.get(), kSegmentHeaderBytes + begin, {block.data(), bytes}));
      if (XXH3_64bits(block.data(), bytes) != sums[i]) {
        return absl::DataLossError(absl::StrCat("its block ", i, " of ", blocks, " is damaged"));
      }
    }
    return absl::OkStatus();
  }

  template <typename T>
  std::span<const T> Section(const Segment& segment, SectionKind kind) const {
    const SectionRange& section = header_.sections[kind];
    return {reinterpret_cast<const T*>(segment.file_.data() + section.offset), section.bytes / sizeof(T)};
  }

  void Fill(Segment& segment) const {
    segment.metric_ = static_cast<Metric>(header_.metric);
    segment.dimension_ = static_cast<int>(header_.dimension);
    segment.vectors_ = Section<float>(segment, kVectors);
    segment.scales_ = Section<float>(segment, kScales);
    segment.identities_ = Section<RowIdentity>(segment, kIdentities);
    segment.payload_offsets_ = Section<std::uint64_t>(segment, kPayloadOffsets);
    segment.payloads_ = Section<char>(segment, kPayloads);
    segment.walkable_ = Walkable(header_);
    segment.calibrated_ef_ = {static_cast<int>(header_.ef_few), static_cast<int>(header_.ef_many), header_.recall};
    CodeSpace& space = segment.codes_.space;
    space.metric = segment.metric_;
    space.dimension = header_.dimension;
    space.code_dimension = header_.code_dimension;
    space.unit = header_.code_unit;
    space.centre = Section<float>(segment, kCodeCentre);
    space.directions = Section<std::uint8_t>(segment, kDirections);
    space.direction_scales = Section<float>(segment, kDirectionScales);
    segment.codes_.rows = Section<std::uint8_t>(segment, kCodes);
    segment.graph_.m = static_cast<int>(header_.m);
    segment.graph_.entry_point = header_.entry_point;
    segment.graph_.max_level = header_.max_level;
    segment.graph_.links0 = Section<std::int32_t>(segment, kLinks0);
    segment.graph_.upper_offsets = Section<std::uint32_t>(segment, kUpperOffsets);
    segment.graph_.upper_links = Section<std::int32_t>(segment, kUpperLinks);
  }

  // Checksums say that the bytes are what the writer wrote; this says that they make sense.
  static absl::Status CheckContents(const Segment& segment) {
    const auto& offsets = segment.payload_offsets_;
    if (offsets.front() != 0 || offsets.back() != segment.payloads_.size() ||
        !std::is_sorted(offsets.begin(), offsets.end())) {
      return Damaged("payload table");
    }
    for (std::size_t i = 1; i < segment.identities_.size(); ++i) {
      if (segment.identities_[i].position <= segment.identities_[i - 1].position) return Damaged("row order");
    }
    return CheckGraph(segment.graph_, segment.rows());
  }

  absl::Status OpenFilterIndex(Segment& segment) const {
    const std::span<const char> bytes = Section<char>(segment, kFilterIndex);
    OMICS_ASSIGN_OR_RETURN(segment.filter_index_, FilterIndexView::Open({bytes.data(), bytes.size()}, segment.rows()));
    return absl::OkStatus();
  }

  const std::filesystem::path& path_;
  FileDescriptor fd_;
  SegmentHeader header_;
};

absl::StatusOr<std::shared_ptr<const Segment>> Segment::Open(const std::filesystem::path& path) {
  absl::StatusOr<std::shared_ptr<const Segment>> segment = SegmentReader(path).Open();
  if (!segment.ok()) return Annotate(segment.status(), absl::StrCat("segment ", path.string()));
  return segment;
}

std::string_view Segment::Payload(std::int64_t row) const {
  const auto r = static_cast<std::size_t>(row);
  return {payloads_.data() + payload_offsets_[r], payload_offsets_[r + 1] - payload_offsets_[r]};
}

std::int64_t Segment::Find(const RowIdentity& identity, std::int64_t) const {
  const auto found =
      std::lower_bound(identities_.begin(), identities_.end(), identity.position,
                       [](const RowIdentity& row, std::int64_t position) { return row.position < position; });
  if (found == identities_.end() || !(*found == identity)) return -1;
  return found - identities_.begin();
}

}  // namespace omics::index
