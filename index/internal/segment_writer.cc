#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <unordered_map>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/uuid.h"
#include "index/internal/calibrate.h"
#include "index/internal/codes.h"
#include "index/internal/filter_index.h"
#include "index/internal/hnsw_builder.h"
#include "index/internal/segment.h"
#include "index/internal/segment_format.h"

namespace omics::index {
namespace {

// Half a kilobyte of links a row; more would be read slower than a few more rows.
constexpr int kStrongerLinksMax = 64;

// Twice the links, chosen from twice the candidates, but no fewer than the defaults: a client may have asked for less.
HnswParameters Stronger(HnswParameters hnsw) {
  const HnswParameters defaults;
  hnsw.m = std::clamp(2 * hnsw.m, defaults.m, std::max(kStrongerLinksMax, hnsw.m));
  hnsw.ef_construction = std::max(2 * hnsw.ef_construction, defaults.ef_construction);
  return hnsw;
}

template <typename T>
std::string_view Bytes(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

class SegmentWriter {
 public:
  SegmentWriter(FileWriter file, const SegmentSpec& spec, const std::vector<SegmentRow>& rows)
      : file_(std::move(file)), spec_(spec), rows_(rows) {
    header_.metric = static_cast<std::uint32_t>(spec.metric);
    header_.dimension = static_cast<std::uint32_t>(spec.dimension);
    header_.rows = rows.size();
  }

  absl::Status Write() {
    OMICS_RETURN_IF_ERROR(file_.Append(std::string(kSegmentHeaderBytes, '\0')));
    OMICS_RETURN_IF_ERROR(WriteVectors());
    OMICS_RETURN_IF_ERROR(WriteIdentities());
    OMICS_RETURN_IF_ERROR(WritePayloads());
    OMICS_RETURN_IF_ERROR(WriteFilterIndex());
    OMICS_RETURN_IF_ERROR(WriteSearch());
    OMICS_RETURN_IF_ERROR(WriteChecksums());
    header_.file_bytes = file_.size();
    header_.header_hash = XXH3_64bits(&header_, offsetof(SegmentHeader, header_hash));
    OMICS_RETURN_IF_ERROR(file_.Flush());
    OMICS_RETURN_IF_ERROR(file_.WriteAt(0, {reinterpret_cast<const char*>(&header_), sizeof(header_)}));
    return file_.Sync();
  }

 private:
  absl::Status Begin(SectionKind kind) {
    OMICS_RETURN_IF_ERROR(file_.PadTo(kSectionAlignment));
    header_.sections[kind].offset = file_.size();
    return absl::OkStatus();
  }
  void End(SectionKind kind) { header_.sections[kind].bytes = file_.size() - header_.sections[kind].offset; }

  template <typename T>
  absl::Status WriteSection(SectionKind kind, const std::vector<T>& values) {
    OMICS_RETURN_IF_ERROR(Begin(kind));
    OMICS_RETURN_IF_ERROR(file_.Append(Bytes(std::span<const T>(values))));
    End(kind);
    return absl::OkStatus();
  }

  absl::Status WriteVectors() {
    OMICS_RETURN_IF_ERROR(Begin(kVectors));
    for (const SegmentRow& row : rows_) {
      const std::span<const float> vector(row.source->Vector(row.row), header_.dimension);
      OMICS_RETURN_IF_ERROR(file_.Append(Bytes(vector)));
      scales_.push_back(row.source->Scale(row.row));
    }
    End(kVectors);
    CountCrowdedRows();
    return WriteSection(kScales, scales_);
  }

  void CountCrowdedRows() {
    std::unordered_map<std::uint64_t, std::uint64_t> copies;  // by the hash of the vector's bytes
    for (const SegmentRow& row : rows_) {
      ++copies[XXH3_64bits(row.source->Vector(row.row), header_.dimension * sizeof(float))];
    }
    for (const auto& [hash, count] : copies) {
      if (count > static_cast<std::uint64_t>(spec_.hnsw.m)) header_.crowded_rows += count;
    }
  }

  absl::Status WriteIdentities() {
    std::vector<RowIdentity> identities;
    identities.reserve(rows_.size());
    for (const SegmentRow& row : rows_) identities.push_back(row.source->Identity(row.row));
    return WriteSection(kIdentities, identities);
  }

  absl::Status WritePayloads() {
    std::vector<std::uint64_t> offsets = {0};
    offsets.reserve(rows_.size() + 1);
    OMICS_RETURN_IF_ERROR(Begin(kPayloads));
    for (const SegmentRow& row : rows_) {
      const std::string_view payload = row.source->Payload(row.row);
      OMICS_RETURN_IF_ERROR(file_.Append(payload));
      offsets.push_back(offsets.back() + payload.size());
    }
    End(kPayloads);
    return WriteSection(kPayloadOffsets, offsets);
  }

  absl::Status WriteFilterIndex() {
    OMICS_ASSIGN_OR_RETURN(const std::string bytes, BuildFilterIndex(std::ssize(rows_), [this](std::int64_t i) {
                             const SegmentRow& row = rows_[static_cast<std::size_t>(i)];
                             return row.source->Payload(row.row);
                           }));
    OMICS_RETURN_IF_ERROR(Begin(kFilterIndex));
    OMICS_RETURN_IF_ERROR(file_.Append(bytes));
    End(kFilterIndex);
    return absl::OkStatus();
  }

  // Graph and codes are made from the vectors as they stand in the new file, so that they are in memory once.
  absl::Status WriteSearch() {
    OMICS_RETURN_IF_ERROR(file_.Flush());
    OMICS_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Map(file_.descriptor(), file_.size()));
    const std::span<const float> vectors(
        reinterpret_cast<const float*>(mapped.data() + header_.sections[kVectors].offset),
        header_.rows * header_.dimension);
    const CodeTable table = MakeCodes({spec_.metric, header_.dimension, vectors, scales_, spec_.pace});
    OMICS_RETURN_IF_ERROR(WriteCodes(table));
    OMICS_ASSIGN_OR_RETURN(const SearchParts parts, BuildToTarget(vectors, {table.space, table.rows}));
    header_.ef_few = static_cast<std::uint32_t>(parts.ef.few);
    header_.ef_many = static_cast<std::uint32_t>(parts.ef.many);
    header_.recall = parts.ef.recall;
    return WriteGraph(parts.graph);
  }

  struct SearchParts {
    HnswGraph graph;
    CalibratedEf ef;
  };

  // Where the graph as asked for does not reach the target, however widely it is walked, one with more links is tried.
  absl::StatusOr<SearchParts> BuildToTarget(std::span<const float> vectors, const CodesView& codes) const {
    const HnswParameters suited = SuitedTo(spec_.hnsw, std::ssize(rows_));
    OMICS_ASSIGN_OR_RETURN(SearchParts parts, Build(vectors, codes, suited));
    if (parts.ef.recall >= kRecallTarget || !Walkable(header_)) return parts;
    OMICS_ASSIGN_OR_RETURN(SearchParts stronger, Build(vectors, codes, Stronger(suited)));
    return stronger.ef.recall > parts.ef.recall ? std::move(stronger) : std::move(parts);
  }

  absl::StatusOr<SearchParts> Build(std::span<const float> vectors, const CodesView& codes,
                                    const HnswParameters& hnsw) const {
    HnswBuild build;
    build.codes = codes;
    build.m = hnsw.m;
    build.ef_construction = hnsw.ef_construction;
    build.threads = spec_.threads;
    build.vectors = vectors;
    build.scales = scales_;
    if (spec_.cancelled) build.cancelled = spec_.cancelled;
    build.pace = spec_.pace;
    SearchParts parts;
    OMICS_ASSIGN_OR_RETURN(parts.graph, BuildHnsw(build));
    const CalibrationInput input = {spec_.metric, vectors, scales_, parts.graph.view(), codes, spec_.pace};
    OMICS_ASSIGN_OR_RETURN(parts.ef, Calibrate(input, spec_.cancelled));
    return parts;
  }

  absl::Status WriteGraph(const HnswGraph& graph) {
    header_.m = static_cast<std::uint32_t>(graph.m);
    header_.entry_point = graph.entry_point;
    header_.max_level = graph.max_level;
    OMICS_RETURN_IF_ERROR(WriteSection(kLinks0, graph.links0));
    OMICS_RETURN_IF_ERROR(WriteSection(kUpperOffsets, graph.upper_offsets));
    return WriteSection(kUpperLinks, graph.upper_links);
  }

  absl::Status WriteCodes(const CodeTable& codes) {
    header_.code_dimension = codes.space.code_dimension;
    header_.code_unit = codes.space.unit;
    OMICS_RETURN_IF_ERROR(WriteSection(kCodes, codes.rows));
    OMICS_RETURN_IF_ERROR(WriteSection(kCodeCentre, codes.centre));
    OMICS_RETURN_IF_ERROR(WriteSection(kDirections, codes.directions));
    return WriteSection(kDirectionScales, codes.direction_scales);
  }

  absl::Status WriteChecksums() {
    OMICS_RETURN_IF_ERROR(file_.PadTo(kSectionAlignment));
    OMICS_RETURN_IF_ERROR(file_.Flush());
    const std::uint64_t end = file_.size();
    std::vector<std::uint64_t> sums;
    std::vector<char> block(kChecksumBlockBytes);
    for (std::uint64_t begin = kSegmentHeaderBytes; begin < end; begin += kChecksumBlockBytes) {
      const std::uint64_t bytes = std::min(kChecksumBlockBytes, end - begin);
      OMICS_RETURN_IF_ERROR(ReadAt(file_.descriptor(), begin, {block.data(), bytes}));
      sums.push_back(XXH3_64bits(block.data(), bytes));
    }
    header_.checksums_hash = XXH3_64bits(sums.data(), sums.size() * sizeof(std::uint64_t));
    return WriteSection(kChecksums, sums);
  }

  FileWriter file_;
  const SegmentSpec& spec_;
  const std::vector<SegmentRow>& rows_;
  std::vector<float> scales_;
  SegmentHeader header_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Segment>> WriteSegment(const std::filesystem::path& directory,
                                                            const SegmentSpec& spec,
                                                            const std::vector<SegmentRow>& rows) {
  const std::filesystem::path path = directory / absl::StrCat(MakeUuid(), kSegmentSuffix);
  const std::filesystem::path partial = path.string() + kPartialSuffix;
  OMICS_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(partial));
  absl::Cleanup remove_partial = [&partial] {
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
  };
  OMICS_RETURN_IF_ERROR(SegmentWriter(std::move(file), spec, rows).Write());
  std::error_code error;
  std::filesystem::rename(partial, path, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("rename ", partial.string()));
  OMICS_RETURN_IF_ERROR(SyncDirectory(directory));
  return Segment::Open(path);
}

}  // namespace omics::index
