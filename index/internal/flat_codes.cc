#include "index/internal/flat_codes.h"

#include <algorithm>
#include <vector>

#include "index/internal/calibrate.h"

namespace omics::index {
namespace {

constexpr std::int64_t kQueries = 8;
constexpr std::int64_t kNearest = 10;
constexpr float kShareOfOther = 0.3f;
// Of all kQueries * kNearest: codes that do not tell rows apart miss far more.
constexpr std::int64_t kMissedMax = 1;

CodeInput InputOf(const Tail& tail, const std::vector<float>& vectors, const std::vector<float>& scales) {
  CodeInput input = {tail.metric(), static_cast<std::size_t>(tail.dimension()), vectors, scales};
  input.find_directions = false;
  return input;
}

std::vector<float> MovedRow(const Tail& tail, std::int64_t row, std::int64_t other) {
  std::vector<float> query;
  query.reserve(static_cast<std::size_t>(tail.dimension()));
  for (int i = 0; i < tail.dimension(); ++i) {
    query.push_back((1 - kShareOfOther) * tail.Vector(row)[i] + kShareOfOther * tail.Vector(other)[i]);
  }
  return query;
}

}  // namespace

std::shared_ptr<const FlatCodes> FlatCodes::Make(const Tail& tail) {
  const auto rows = static_cast<std::size_t>(tail.rows());
  const auto dimension = static_cast<std::size_t>(tail.dimension());
  std::vector<float> vectors, scales;
  vectors.reserve(rows * dimension);
  scales.reserve(rows);
  for (std::int64_t row = 0; row < tail.rows(); ++row) {
    vectors.insert(vectors.end(), tail.Vector(row), tail.Vector(row) + dimension);
    scales.push_back(tail.Scale(row));
  }
  std::shared_ptr<const FlatCodes> codes(new FlatCodes(MakeCodes(InputOf(tail, vectors, scales))));
  return codes->FindWhatIsNearest(tail) ? codes : nullptr;
}

bool FlatCodes::FindWhatIsNearest(const Tail& tail) const {
  ScratchPool::Lease scratch = TakeScratch();
  const CodesView codes = view();
  const std::int64_t rows = tail.rows();
  const std::int64_t wanted = std::min(kNearest, rows);
  std::int64_t missed = 0;
  for (std::int64_t i = 0; i < kQueries; ++i) {
    const std::int64_t row = i * rows / kQueries;
    const std::vector<float> query = MovedRow(tail, row, (row + rows / 2) % rows);
    const RowDistance exact(tail.metric(), query.data(), query.size());
    CodeScan scan(codes, query.data(), static_cast<std::size_t>(RowsToRerankAfterScan(kNearest)), *scratch);
    std::vector<float> distances;
    for (std::int64_t other = 0; other < rows; ++other) {
      distances.push_back(exact(tail.Vector(other), tail.Scale(other)));
      scan.Add(static_cast<std::uint32_t>(other));
    }
    std::vector<float> sorted = distances;
    std::nth_element(sorted.begin(), sorted.begin() + wanted - 1, sorted.end());
    const float limit = sorted[static_cast<std::size_t>(wanted - 1)];
    const auto hits = scan.Finish();
    const auto found = std::count_if(hits.begin(), hits.end(), [&](const WalkHit& hit) {
      return distances[static_cast<std::size_t>(hit.row)] <= limit;
    });
    missed += std::max<std::int64_t>(0, wanted - found);
  }
  return missed <= kMissedMax;
}

}  // namespace omics::index
