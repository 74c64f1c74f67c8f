#include "index/internal/code_kernels.h"

#include <algorithm>
#include <cmath>

// Highway compiles this file once per CPU target; what stands between the two namespace macros exists once per target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "index/internal/code_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace omics::index::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

float LargestKernel(const float* numbers, std::size_t n) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  auto largest = hn::Zero(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) largest = hn::Max(largest, hn::Abs(hn::LoadU(d, numbers + i)));
  float result = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; i < n; ++i) result = std::max(result, std::abs(numbers[i]));
  return result;
}

std::int32_t RoundKernel(const float* numbers, std::size_t n, float factor, std::int8_t* codes) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<std::int32_t, decltype(d)> d32;
  const hn::Rebind<std::int8_t, decltype(d)> d8;
  const std::size_t lanes = hn::Lanes(d);
  const auto factors = hn::Set(d, factor);
  auto sums = hn::Zero(d32);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto rounded = hn::NearestInt(hn::Mul(hn::LoadU(d, numbers + i), factors));
    sums = hn::Add(sums, rounded);
    hn::StoreU(hn::DemoteTo(d8, rounded), d8, codes + i);
  }
  std::int32_t sum = hn::GetLane(hn::SumOfLanes(d32, sums));
  for (; i < n; ++i) {
    codes[i] = static_cast<std::int8_t>(std::lrintf(numbers[i] * factor));
    sum += codes[i];
  }
  return sum;
}

}  // namespace omics::index::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace omics::index {

HWY_EXPORT(LargestKernel);
HWY_EXPORT(RoundKernel);

float LargestMagnitude(const float* numbers, std::size_t n) { return HWY_DYNAMIC_DISPATCH(LargestKernel)(numbers, n); }

std::int32_t RoundToCodes(const float* numbers, std::size_t n, float factor, std::int8_t* codes) {
  return HWY_DYNAMIC_DISPATCH(RoundKernel)(numbers, n, factor, codes);
}

}  // namespace omics::index
#endif  // HWY_ONCE
