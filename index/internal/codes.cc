#include "index/internal/codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "index/internal/code_directions.h"
#include "index/internal/code_kernels.h"
#include "index/internal/distance.h"

namespace omics::index {
namespace {

constexpr float kLargestCode = 127;

// Numbers whose largest is below this are written as zeros: 127 divided by it is still a float.
constexpr float kSmallest = 1e-30f;

// What a query of l2 may weigh, so that no product leaves float32: beyond, it is so far from all rows that their own
// lengths do not matter.
constexpr double kWeightMax = 1e30;

// What codes of numbers up to `largest` were multiplied with.
float CodesPerUnit(float largest) { return largest < kSmallest ? 0 : kLargestCode / largest; }

// Writes `numbers` as codes of a row; returns what one step of a code stands for.
float WriteRowCodes(std::span<const float> numbers, std::uint8_t* out) {
  const float largest = LargestMagnitude(numbers.data(), numbers.size());
  RoundToCodes(numbers.data(), numbers.size(), CodesPerUnit(largest), reinterpret_cast<std::int8_t*>(out));
  for (std::size_t i = 0; i < numbers.size(); ++i) out[i] ^= kZeroCode;  // adds 128
  return largest / kLargestCode;
}

class TableMaker {
 public:
  explicit TableMaker(const CodeInput& input)
      : input_(input), n_(input.dimension), rows_(input.scales.size()), work_(input.pace), relative_(n_) {
    table_.space.metric = input.metric;
    table_.space.dimension = static_cast<std::uint32_t>(n_);
  }

  CodeTable Make() {
    FindCentre();
    FindUnit();
    const std::vector<float> directions = Directions();
    WriteDirections(directions);
    WriteRows(directions);
    return std::move(table_);
  }

 private:
  const float* Vector(std::size_t row) const { return input_.vectors.data() + row * n_; }
  // A row so short that its scale leaves float32 counts as the zero vector.
  double Scale(std::size_t row) const { return std::isfinite(input_.scales[row]) ? input_.scales[row] : 0; }

  void FindCentre() {
    std::vector<double> sums(n_);
    for (std::size_t row = 0; row < rows_; ++row) {
      const double scale = Scale(row);
      for (std::size_t i = 0; i < n_; ++i) sums[i] += Vector(row)[i] * scale;
    }
    for (const double sum : sums) table_.centre.push_back(static_cast<float>(sum / static_cast<double>(rows_)));
    table_.space.centre = table_.centre;
  }

  double SquaredLength(std::size_t row) const {
    const double scale = Scale(row);
    double squares = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      const double x = Vector(row)[i] * scale - table_.centre[i];
      squares += x * x;
    }
    return squares;
  }

  void FindUnit() {
    for (std::size_t row = 0; row < rows_; ++row) squared_lengths_.push_back(SquaredLength(row));
    const double longest = *std::max_element(squared_lengths_.begin(), squared_lengths_.end());
    if (longest > 0) table_.space.unit = 1 / std::sqrt(longest);
  }

  // The row relative to the centre, in units.
  std::span<const float> Relative(std::size_t row) {
    const double scale = Scale(row);
    for (std::size_t i = 0; i < n_; ++i) {
      relative_[i] = static_cast<float>((Vector(row)[i] * scale - table_.centre[i]) * table_.space.unit);
    }
    return relative_;
  }

  std::vector<float> Directions() {
    if (!input_.find_directions || n_ < kDirectionsFromDimension || n_ > kDirectionsToDimension ||
        rows_ < kDirectionsFromRows)
      return {};
    const std::size_t count = std::min(rows_, kDirectionsSampleMax);
    std::vector<float> sample;
    sample.reserve(count * n_);
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<const float> row = Relative(i * rows_ / count);
      sample.insert(sample.end(), row.begin(), row.end());
    }
    return FindDirections(sample, n_, work_);
  }

  void WriteDirections(const std::vector<float>& directions) {
    const std::size_t count = directions.size() / n_;
    const std::size_t stride = PaddedCodes(n_);
    table_.directions.resize(count * stride, kZeroCode);
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<const float> direction(directions.data() + i * n_, n_);
      table_.direction_scales.push_back(WriteRowCodes(direction, table_.directions.data() + i * stride));
    }
    table_.space.code_dimension = static_cast<std::uint32_t>(count == 0 ? n_ : count);
    table_.space.directions = table_.directions;
    table_.space.direction_scales = table_.direction_scales;
  }

  void WriteRows(const std::vector<float>& directions) {
    const std::size_t stride = table_.space.stride();
    table_.rows.resize(rows_ * stride, kZeroCode);
    std::vector<float> coordinates(directions.size() / n_);
    for (std::size_t row = 0; row < rows_; ++row) {
      work_.Rest();
      std::span<const float> numbers = Relative(row);
      for (std::size_t i = 0; i < coordinates.size(); ++i) {
        coordinates[i] = Dot(directions.data() + i * n_, numbers.data(), n_);
      }
      if (!coordinates.empty()) numbers = coordinates;
      std::uint8_t* out = table_.rows.data() + row * stride;
      RowTrailer trailer;
      trailer.scale = WriteRowCodes(numbers, out);
      if (input_.metric == Metric::kSquaredL2) {
        trailer.bias = static_cast<float>(squared_lengths_[row] * table_.space.unit * table_.space.unit / 2);
      }
      std::memcpy(out + stride - sizeof(trailer), &trailer, sizeof(trailer));
    }
  }

  const CodeInput& input_;
  const std::size_t n_;
  const std::size_t rows_;
  PacedWork work_;
  std::vector<float> relative_;
  std::vector<double> squared_lengths_;
  CodeTable table_;
};

}  // namespace

void QueryCode::Encode(const CodeSpace& space, const float* query, DotCodesFn dot) {
  const bool relative = space.metric == Metric::kSquaredL2;
  std::span<const float> numbers(query, space.dimension);
  double length = 1;
  const float largest = LargestMagnitude(query, space.dimension);
  if (relative || largest < kSmallest || largest > 1 / kSmallest) {
    length = MakeRelative(space, query);
    numbers = numbers_;
  }
  if (space.projects()) {
    Project(space, numbers, dot);
    numbers = numbers_;
  }
  Quantise(numbers, space.stride());
  // How long the query is matters only where rows have a bias.
  weight_ = relative ? static_cast<float>(std::min(kWeightMax, weight_ * length * space.unit)) : 1.0f;
}

// Leaves in `numbers_` the query, for squared L2 less the centre, scaled so that the largest is 1; returns what it was.
// In double, since either step may leave float32.
double QueryCode::MakeRelative(const CodeSpace& space, const float* query) {
  const double share = space.metric == Metric::kSquaredL2 ? 1 : 0;
  double largest = 0;
  for (std::size_t i = 0; i < space.dimension; ++i) {
    largest = std::max(largest, std::abs(query[i] - share * space.centre[i]));
  }
  const double factor = largest > 0 ? 1 / largest : 0;
  numbers_.resize(space.dimension);
  for (std::size_t i = 0; i < space.dimension; ++i) {
    numbers_[i] = static_cast<float>((query[i] - share * space.centre[i]) * factor);
  }
  return largest;
}

// Leaves in `numbers_` the coordinates along the directions; for squared L2 as long as they are, otherwise scaled.
void QueryCode::Project(const CodeSpace& space, std::span<const float> numbers, DotCodesFn dot) {
  const std::size_t stride = PaddedCodes(numbers.size());
  Quantise(numbers, stride);
  const float step = space.metric == Metric::kSquaredL2 ? weight_ : 1 / kLargestCode;
  const std::size_t count = space.code_dimension;
  while (every_direction_.size() < count) {
    every_direction_.push_back(static_cast<std::uint32_t>(every_direction_.size()));
  }
  dots_.resize(std::max(dots_.size(), count));
  dot({space.directions.data(), stride, std::span(every_direction_).first(count), codes_, sum_}, dots_.data());
  numbers_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    numbers_[i] = static_cast<float>(dots_[i]) * space.direction_scales[i] * step;
  }
}

// Leaves in `weight_` what one step of a code stands for.
void QueryCode::Quantise(std::span<const float> numbers, std::size_t stride) {
  std::int8_t* codes = buffer_.Get(stride);
  const float largest = LargestMagnitude(numbers.data(), numbers.size());
  sum_ = RoundToCodes(numbers.data(), numbers.size(), CodesPerUnit(largest), codes);
  std::fill(codes + numbers.size(), codes + stride, std::int8_t{0});
  codes_ = codes;
  weight_ = largest / kLargestCode;
}

void QueryCode::Order(const CodesView& table, std::span<const std::uint32_t> rows, DotCodesFn dot, float* out) {
  const std::size_t stride = table.space.stride();
  if (dots_.size() < rows.size()) dots_.resize(rows.size());
  dot({table.rows.data(), stride, rows, codes_, sum_}, dots_.data());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const RowTrailer trailer = ReadTrailer(table.rows.data() + rows[i] * stride, stride);
    out[i] = trailer.bias - trailer.scale * weight_ * static_cast<float>(dots_[i]);
  }
}

CodeTable MakeCodes(const CodeInput& input) { return TableMaker(input).Make(); }

}  // namespace omics::index
