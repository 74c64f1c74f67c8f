#include "index/internal/hnsw_builder.h"

#include <faiss/IndexHNSW.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/FaissException.h>
#include <omp.h>

#include <algorithm>
#include <new>
#include <optional>

#include "base/status.h"
#include "index/internal/distance.h"

namespace omics::index {
namespace {

// Rows handed to FAISS between two looks at `cancelled`: a second or less of building.
constexpr std::size_t kBatchRows = 2048;

// FAISS asks for distances from a vector that it was given, and between two stored rows.
class Computer : public faiss::DistanceComputer {
 public:
  explicit Computer(const HnswBuild& build) : build_(build) {}
  void set_query(const float* query) override {
    distance_.emplace(build_.metric, query, static_cast<std::size_t>(build_.dimension));
  }
  float operator()(faiss::Index::idx_t row) override { return (*distance_)(Row(row), Scale(row)); }
  float symmetric_dis(faiss::Index::idx_t a, faiss::Index::idx_t b) override {
    const auto n = static_cast<std::size_t>(build_.dimension);
    if (build_.metric == Metric::kSquaredL2) return SquaredL2(Row(a), Row(b), n);
    return 1.0f - Dot(Row(a), Row(b), n) * Scale(a) * Scale(b);
  }

 private:
  const float* Row(faiss::Index::idx_t row) const { return build_.vectors.data() + row * build_.dimension; }
  float Scale(faiss::Index::idx_t row) const { return build_.scales[static_cast<std::size_t>(row)]; }
  const HnswBuild& build_;
  std::optional<RowDistance> distance_;
};

// The storage seam: counts the rows, which live in `build.vectors`, and makes computers.
class Storage : public faiss::Index {
 public:
  explicit Storage(const HnswBuild& build) : faiss::Index(build.dimension, faiss::METRIC_L2), build_(build) {
    is_trained = true;
  }
  void add(idx_t n, const float*) override { ntotal += n; }
  void search(idx_t, const float*, idx_t, float*, idx_t*, const faiss::SearchParameters*) const override {
    FAISS_THROW_MSG("the storage of a graph under construction is not searched");
  }
  void reset() override { ntotal = 0; }
  faiss::DistanceComputer* get_distance_computer() const override { return new Computer(build_); }

 private:
  const HnswBuild& build_;
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
  const auto dimension = static_cast<std::size_t>(build.dimension);
  for (std::size_t first = 0; first < rows; first += kBatchRows) {
    if (build.cancelled()) return absl::CancelledError("the graph build was stopped");
    const std::size_t count = std::min(kBatchRows, rows - first);
    index.add(static_cast<faiss::Index::idx_t>(count), build.vectors.data() + first * dimension);
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
