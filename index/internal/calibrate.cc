#include "index/internal/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "index/internal/distance.h"
#include "index/internal/hnsw_walk.h"

namespace omics::index {
namespace {

// Rows asked for. Three thousand neighbours in all: the recall is known to about a quarter of a percent. The samples
// must reach twice that beyond the target.
constexpr std::int64_t kSamples = 300;
constexpr double kMargin = 0.005;

// How far rows are moved towards others, in turn. Rows moved by less are found too easily, by more they lie where no
// row does; over these three the recall is about that of real queries (docs/adr/0007-int8-codes.md).
constexpr std::array<float, 3> kSharesOfOther = {0.2f, 0.3f, 0.4f};

// Rows compared between two looks at `cancelled`.
constexpr std::int64_t kRowsPerCheck = 1024;

// Each is tried until one reaches the target. The last is taken if none does.
constexpr std::array<int, 18> kSteps = {32,  40,  50,  60,  70,  80,  100,   120,   150,
                                        200, 250, 300, 400, 600, 800, 1'000, 1'500, 2'000};
// From here on the target itself is enough: a margin would cost more than it is worth. Wider ones are for tables that
// have so many rows for each unit: for others a scan is nearly as good.
constexpr int kWide = 600;
constexpr std::int64_t kRowsPerWide = 100;

class Calibration {
 public:
  Calibration(const CalibrationInput& input, const std::function<bool()>& cancelled)
      : input_(input),
        cancelled_(cancelled),
        rows_(std::ssize(input.scales)),
        n_(input.codes.space.dimension),
        work_(input.pace) {}

  absl::StatusOr<CalibratedEf> Run() {
    const std::int64_t samples = std::min(kSamples, rows_);
    for (std::int64_t i = 0; i < samples; ++i) AddQuery(i * rows_ / samples, kSharesOfOther[i % kSharesOfOther.size()]);
    if (!FindTruths()) return absl::CancelledError("the calibration of the graph was stopped");
    const Width few = Find(CalibratedEf::kFewHits);
    return CalibratedEf{few.ef, Find(CalibratedEf::kManyHits).ef, static_cast<float>(few.recall)};
  }

 private:
  const float* Vector(std::int64_t row) const { return input_.vectors.data() + static_cast<std::size_t>(row) * n_; }

  void AddQuery(std::int64_t row, float share) {
    // Far from `row` in the order of insertion, so that the two seldom have to do with each other.
    const std::int64_t other = (row + rows_ / 2 + row % 7) % rows_;
    for (std::size_t i = 0; i < n_; ++i) queries_.push_back((1 - share) * Vector(row)[i] + share * Vector(other)[i]);
  }

  const float* Query(std::size_t i) const { return queries_.data() + i * n_; }

  float Distance(const RowDistance& distance, std::int64_t row) const {
    return distance(Vector(row), input_.scales[static_cast<std::size_t>(row)]);
  }

  // Finds the distances of the rows nearest to each query: one pass over the rows for all queries. False if stopped.
  bool FindTruths() {
    std::vector<RowDistance> distances;
    for (std::size_t i = 0; i < queries_.size() / n_; ++i) distances.emplace_back(input_.metric, Query(i), n_);
    truths_.resize(distances.size());
    for (std::int64_t row = 0; row < rows_; ++row) {
      if (row % kRowsPerCheck == 0 && cancelled_ && cancelled_()) return false;
      work_.Rest();
      for (std::size_t i = 0; i < distances.size(); ++i) Offer(Distance(distances[i], row), truths_[i]);
    }
    for (std::vector<float>& truth : truths_) std::sort_heap(truth.begin(), truth.end());
    return true;
  }

  static void Offer(float distance, std::vector<float>& heap) {
    if (heap.size() == CalibratedEf::kManyHits) {
      if (distance >= heap.front()) return;
      std::pop_heap(heap.begin(), heap.end());
      heap.pop_back();
    }
    heap.push_back(distance);
    std::push_heap(heap.begin(), heap.end());
  }

  struct Width {
    int ef = 0;
    double recall = 0;
  };

  Width Find(int k) {
    Width width;
    for (const int ef : kSteps) {
      if (ef < k) continue;
      if (ef > kWide && ef * kRowsPerWide > rows_) break;
      width = {ef, Recall(k, ef)};
      if (width.recall >= kRecallTarget + (ef < kWide ? kMargin : 0)) break;
    }
    return width;
  }

  // A row as near as the k-th counts, whichever of equals it is.
  double Recall(int k, int ef) {
    std::size_t found = 0, wanted = 0;
    for (std::size_t i = 0; i < truths_.size(); ++i) {
      work_.Rest();
      const float* query = Query(i);
      const std::size_t count = std::min(truths_[i].size(), static_cast<std::size_t>(k));
      const float limit = truths_[i][count - 1];
      const CodeWalkResult walked =
          WalkCodes(input_.graph, input_.codes, query, {.ef = std::max(ef, k), .choice = {}}, scratch_);
      const RowDistance distance(input_.metric, query, n_);
      std::size_t near = 0;
      for (const WalkHit& hit : walked.hits.first(std::min<std::size_t>(walked.hits.size(), RowsToRerank(k)))) {
        near += Distance(distance, hit.row) <= limit ? 1 : 0;
      }
      found += std::min(near, count);
      wanted += count;
    }
    return static_cast<double>(found) / static_cast<double>(wanted);
  }

  const CalibrationInput& input_;
  const std::function<bool()>& cancelled_;
  const std::int64_t rows_;
  const std::size_t n_;
  PacedWork work_;
  std::vector<float> queries_;
  std::vector<std::vector<float>> truths_;
  WalkScratch scratch_;
};

}  // namespace

int CalibratedEf::For(int k) const {
  const double slope = static_cast<double>(many - few) / (kManyHits - kFewHits);
  const double ef = few + std::max(slope, 0.0) * std::max(k - kFewHits, 0);
  return std::max(k, static_cast<int>(std::lround(std::min(ef, static_cast<double>(kEfMax)))));
}

absl::StatusOr<CalibratedEf> Calibrate(const CalibrationInput& input, const std::function<bool()>& cancelled) {
  return Calibration(input, cancelled).Run();
}

}  // namespace omics::index
