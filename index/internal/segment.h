// A segment: an immutable file of rows with the HNSW graph over them, mapped into memory.
//
// The format (docs/formats.md) is little-endian: a header of 4,096 bytes, sections that begin at multiples of 64, and
// the XXH3-64 of every 64 KiB of what lies between. All of it is verified when a segment is opened; a damaged segment
// is DATA_LOSS, and the rows are built again from SQLite.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "index/collection.h"
#include "index/internal/calibrate.h"
#include "index/internal/codes.h"
#include "index/internal/file.h"
#include "index/internal/filter_index.h"
#include "index/internal/hnsw_graph.h"
#include "index/internal/hnsw_walk.h"
#include "index/internal/pace.h"
#include "index/internal/row_source.h"

namespace omics::index {

// Thread safety: const members may be called from any thread.
class Segment : public RowSource {
 public:
  static absl::StatusOr<std::shared_ptr<const Segment>> Open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  Metric metric() const { return metric_; }
  int dimension() const { return dimension_; }
  std::int64_t rows() const { return static_cast<std::int64_t>(identities_.size()); }
  std::int64_t bytes() const { return static_cast<std::int64_t>(file_.size()); }
  const HnswGraphView& graph() const { return graph_; }
  const CodesView& codes() const { return codes_; }
  const CalibratedEf& calibrated_ef() const { return calibrated_ef_; }
  // For walks over this segment.
  ScratchPool::Lease TakeScratch() const { return scratch_.Take(); }
  const FilterIndexView& filter_index() const { return filter_index_; }
  // False where exact copies of vectors abound: HNSW fills a copy's links with its copies, so that a walk does not get
  // from one heap of copies to the next. Such a segment is scanned.
  bool walkable() const { return walkable_; }
  // Sorted by position, no position twice.
  std::span<const RowIdentity> identities() const { return identities_; }

  const float* Vector(std::int64_t row) const override {
    return vectors_.data() + static_cast<std::size_t>(row) * static_cast<std::size_t>(dimension_);
  }
  float Scale(std::int64_t row) const override { return scales_[static_cast<std::size_t>(row)]; }
  RowIdentity Identity(std::int64_t row) const override { return identities_[static_cast<std::size_t>(row)]; }
  std::string_view Payload(std::int64_t row) const override;
  std::int64_t Find(const RowIdentity& identity, std::int64_t rows) const override;

 private:
  friend class SegmentReader;
  Segment() = default;

  std::filesystem::path path_;
  MappedFile file_;
  Metric metric_ = Metric::kSquaredL2;
  int dimension_ = 0;
  std::span<const float> vectors_;
  std::span<const float> scales_;
  std::span<const RowIdentity> identities_;
  std::span<const std::uint64_t> payload_offsets_;  // rows + 1
  std::span<const char> payloads_;
  HnswGraphView graph_;
  CodesView codes_;
  CalibratedEf calibrated_ef_;
  mutable ScratchPool scratch_;
  FilterIndexView filter_index_;
  bool walkable_ = true;
};

// One row to write, where it is now.
struct SegmentRow {
  const RowSource* source = nullptr;
  std::int64_t row = 0;
};

struct SegmentSpec {
  Metric metric = Metric::kSquaredL2;
  int dimension = 0;
  HnswParameters hnsw;
  int threads = 1;
  std::function<bool()> cancelled;
  const Pace* pace = nullptr;  // as HnswBuild has it
};

// Writes `rows` (at least one, sorted by position, no position twice) with a new graph to a new file in `directory`,
// durably, and opens it. Leaves nothing behind on an error. CANCELLED if asked to stop.
absl::StatusOr<std::shared_ptr<const Segment>> WriteSegment(const std::filesystem::path& directory,
                                                            const SegmentSpec& spec,
                                                            const std::vector<SegmentRow>& rows);

// ".segment"; a file of this name is complete. Unfinished ones end in ".segment.partial".
inline constexpr char kSegmentSuffix[] = ".segment";
inline constexpr char kPartialSuffix[] = ".partial";

}  // namespace omics::index
