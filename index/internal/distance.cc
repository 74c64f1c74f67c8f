#include "index/internal/distance.h"

#include <cmath>

// Highway compiles this file once per CPU target; what stands between the two namespace macros exists once per target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "index/internal/distance.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace omics::index::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Four accumulators hide the latency of the multiply-add; a fifth loop takes what is left by whole vectors, the last
// loop by single floats.
template <typename Step, typename ScalarStep>
float Accumulate(const float* a, const float* b, std::size_t n, Step step, ScalarStep scalar_step) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  auto sum0 = hn::Zero(d), sum1 = hn::Zero(d), sum2 = hn::Zero(d), sum3 = hn::Zero(d);
  std::size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    sum0 = step(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum0);
    sum1 = step(hn::LoadU(d, a + i + lanes), hn::LoadU(d, b + i + lanes), sum1);
    sum2 = step(hn::LoadU(d, a + i + 2 * lanes), hn::LoadU(d, b + i + 2 * lanes), sum2);
    sum3 = step(hn::LoadU(d, a + i + 3 * lanes), hn::LoadU(d, b + i + 3 * lanes), sum3);
  }
  for (; i + lanes <= n; i += lanes) sum0 = step(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum0);
  const auto sum = hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3));
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < n; ++i) total = scalar_step(a[i], b[i], total);
  return total;
}

float DotKernel(const float* a, const float* b, std::size_t n) {
  return Accumulate(
      a, b, n, [](auto x, auto y, auto sum) HWY_ATTR { return hn::MulAdd(x, y, sum); },
      [](float x, float y, float sum) { return sum + x * y; });
}

float SquaredL2Kernel(const float* a, const float* b, std::size_t n) {
  return Accumulate(
      a, b, n,
      [](auto x, auto y, auto sum) HWY_ATTR {
        const auto difference = hn::Sub(x, y);
        return hn::MulAdd(difference, difference, sum);
      },
      [](float x, float y, float sum) { return sum + (x - y) * (x - y); });
}

}  // namespace omics::index::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace omics::index {

HWY_EXPORT(DotKernel);
HWY_EXPORT(SquaredL2Kernel);

float Dot(const float* a, const float* b, std::size_t n) { return HWY_DYNAMIC_DISPATCH(DotKernel)(a, b, n); }

float SquaredL2(const float* a, const float* b, std::size_t n) {
  return HWY_DYNAMIC_DISPATCH(SquaredL2Kernel)(a, b, n);
}

float RowScale(Metric metric, const float* row, std::size_t n) {
  if (metric != Metric::kCosine) return 1.0f;
  // In double: the square of a float's norm can overflow or vanish in float32.
  double squares = 0;
  for (std::size_t i = 0; i < n; ++i) squares += static_cast<double>(row[i]) * row[i];
  return squares > 0 ? static_cast<float>(1.0 / std::sqrt(squares)) : 0.0f;
}

RowDistance::RowDistance(Metric metric, const float* query, std::size_t n)
    : query_(query), n_(n), query_scale_(RowScale(metric, query, n)), squared_l2_(metric == Metric::kSquaredL2) {}

}  // namespace omics::index
#endif  // HWY_ONCE
