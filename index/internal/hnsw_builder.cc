#include "index/internal/hnsw_builder.h"

#include <faiss/IndexHNSW.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/FaissException.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <new>
#include <vector>

#include "base/status.h"

namespace omics::index {
namespace {

constexpr std::int64_t kManyRows = 32 << 10;

// Rows handed to FAISS between two looks at `cancelled`: a second or less of building.
constexpr std::size_t kBatchRows = 2048;

// What a row adds to its distance from any other: half its squared length, or, where a distance is an inner product,
// what the centre adds to that.
std::vector<float> OwnParts(const HnswBuild& build) {
  const CodeSpace& space = build.codes.space;
  const std::size_t stride = space.stride();
  std::vector<float> parts(build.scales.size());
  for (std::size_t row = 0; row < parts.size(); ++row) {
    parts[row] = ReadTrailer(build.codes.rows.data() + row * stride, stride).bias;
    if (space.metric == Metric::kSquaredL2 || !std::isfinite(build.scales[row])) continue;
    double product = 0;
    const float* vector = build.vectors.data() + row * space.dimension;
    for (std::size_t i = 0; i < space.dimension; ++i) product += double{space.centre[i]} * vector[i];
    parts[row] = static_cast<float>(-product * build.scales[row] * space.unit * space.unit);
  }
  return parts;
}

// A row's codes in the form of a query's.
class RowAsQuery {
 public:
  explicit RowAsQuery(const CodesView& codes) : codes_(codes) {}

  void Set(std::size_t row) {
    if (row == row_) return;
    row_ = row;
    const std::uint8_t* bytes = codes_.rows.data() + row * stride_;
    query_ = buffer_.Get(stride_);
    sum_ = 0;
    const std::size_t count = codes_.space.code_dimension;
    for (std::size_t i = 0; i < count; ++i) {
      query_[i] = static_cast<std::int8_t>(bytes[i] ^ kZeroCode);
      sum_ += query_[i];
    }
    std::fill(query_ + count, query_ + stride_, std::int8_t{0});
    scale_ = ReadTrailer(bytes, stride_).scale;
  }

  std::size_t row() const { return row_; }

  // The inner product with a row, both less the centre.
  float Product(std::size_t row) const {
    const auto other = static_cast<std::uint32_t>(row);
    std::int32_t product = 0;
    dot_({codes_.rows.data(), stride_, {&other, 1}, query_, sum_}, &product);
    return scale_ * ReadTrailer(codes_.rows.data() + row * stride_, stride_).scale * static_cast<float>(product);
  }

 private:
  const CodesView& codes_;
  const std::size_t stride_ = codes_.space.stride();
  const DotCodesFn dot_ = BestDotKernel();
  CodeBuffer buffer_;
  std::size_t row_ = SIZE_MAX;
  std::int8_t* query_ = nullptr;
  std::int32_t sum_ = 0;
  float scale_ = 0;
};

// FAISS asks for distances from a row that it was given by its place in memory, and between two rows of which the
// second stays the same for many calls. They are ordered as the true ones are, with a constant of the table's added.
class Computer : public faiss::DistanceComputer {
 public:
  Computer(const HnswBuild& build, std::span<const float> own)
      : codes_(build.codes), own_(own), work_(build.pace), query_(codes_), pair_(codes_) {}
  // Called once for each row that is added, by a thread that holds no lock then.
  void set_query(const float* place) override {
    work_.Rest();
    const auto offset = reinterpret_cast<const std::uint8_t*>(place) - codes_.rows.data();
    query_.Set(static_cast<std::size_t>(offset) / codes_.space.stride());
  }
  float operator()(faiss::Index::idx_t row) override { return Distance(query_, static_cast<std::size_t>(row)); }
  float symmetric_dis(faiss::Index::idx_t a, faiss::Index::idx_t b) override {
    pair_.Set(static_cast<std::size_t>(b));
    return Distance(pair_, static_cast<std::size_t>(a));
  }

 private:
  float Distance(const RowAsQuery& query, std::size_t row) const {
    return own_[query.row()] + own_[row] - query.Product(row);
  }

  const CodesView& codes_;
  const std::span<const float> own_;
  PacedWork work_;
  RowAsQuery query_;
  RowAsQuery pair_;
};

// The storage seam: counts the rows, which live in `build.codes`, and makes computers. To FAISS a row is as many floats
// as its codes have bytes for; it only hands their place on.
class Storage : public faiss::Index {
 public:
  explicit Storage(const HnswBuild& build)
      : faiss::Index(static_cast<idx_t>(build.codes.space.stride() / sizeof(float)), faiss::METRIC_L2),
        build_(build),
        own_(OwnParts(build)) {
    is_trained = true;
  }
  void add(idx_t n, const float*) override { ntotal += n; }
  void search(idx_t, const float*, idx_t, float*, idx_t*, const faiss::SearchParameters*) const override {
    FAISS_THROW_MSG("the storage of a graph under construction is not searched");
  }
  void reset() override { ntotal = 0; }
  faiss::DistanceComputer* get_distance_computer() const override { return new Computer(build_, own_); }

 private:
  const HnswBuild& build_;
  const std::vector<float> own_;
};

int Threads(const HnswBuild& build) {
#ifdef OMICS_VECTOR_SINGLE_THREADED_BUILD
  (void)build;
  return 1;
#else
  return std::max(1, build.threads);
#endif
}

absl::Status AddRows(const HnswBuild& build, faiss::IndexHNSW& index) {
  omp_set_num_threads(Threads(build));
  const std::size_t rows = build.scales.size();
  const std::size_t stride = build.codes.space.stride();
  for (std::size_t first = 0; first < rows; first += kBatchRows) {
    if (build.cancelled()) return absl::CancelledError("the graph build was stopped");
    const std::size_t count = std::min(kBatchRows, rows - first);
    const std::uint8_t* place = build.codes.rows.data() + first * stride;
    index.add(static_cast<faiss::Index::idx_t>(count), reinterpret_cast<const float*>(place));
  }
  return absl::OkStatus();
}

void CopyLinks(const faiss::HNSW& hnsw, std::size_t row, int level, std::int32_t* out) {
  std::size_t begin = 0, end = 0;
  hnsw.neighbor_range(static_cast<faiss::Index::idx_t>(row), level, &begin, &end);
  std::copy(hnsw.neighbors.begin() + static_cast<std::ptrdiff_t>(begin),
            hnsw.neighbors.begin() + static_cast<std::ptrdiff_t>(end), out);
}

HnswGraph CopyGraph(const faiss::HNSW& hnsw, int m, std::size_t rows) {
  HnswGraph graph;
  graph.m = m;
  graph.entry_point = hnsw.entry_point;
  graph.max_level = hnsw.max_level;
  const auto width = static_cast<std::size_t>(m);
  graph.links0.resize(rows * 2 * width, -1);
  graph.upper_offsets.reserve(rows + 1);
  graph.upper_offsets.push_back(0);
  for (std::size_t row = 0; row < rows; ++row) {
    CopyLinks(hnsw, row, 0, graph.links0.data() + row * 2 * width);
    const int levels = hnsw.levels[row] - 1;  // FAISS counts level 0 too
    for (int level = 1; level <= levels; ++level) {
      graph.upper_links.resize(graph.upper_links.size() + width, -1);
      CopyLinks(hnsw, row, level, graph.upper_links.data() + graph.upper_links.size() - width);
    }
    graph.upper_offsets.push_back(graph.upper_offsets.back() + static_cast<std::uint32_t>(std::max(levels, 0)));
  }
  return graph;
}

}  // namespace

HnswParameters SuitedTo(HnswParameters hnsw, std::int64_t rows) {
  const HnswParameters defaults;
  if (rows >= kManyRows && hnsw.m == defaults.m) hnsw.m = 2 * defaults.m;
  return hnsw;
}

absl::StatusOr<HnswGraph> BuildHnsw(const HnswBuild& build) {
  try {
    Storage storage(build);
    faiss::IndexHNSW index(&storage, build.m);
    index.hnsw.efConstruction = build.ef_construction;
    OMICS_RETURN_IF_ERROR(AddRows(build, index));
    return CopyGraph(index.hnsw, build.m, build.scales.size());
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("memory ran out while building the graph");
  } catch (const faiss::FaissException& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace omics::index
