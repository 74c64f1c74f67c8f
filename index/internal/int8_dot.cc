#include "index/internal/int8_dot.h"

#include <vector>

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header (GCC bug 105593)
#endif
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

namespace omics::index {
namespace {

inline const std::uint8_t* Row(const CodeBatch& batch, std::size_t i) {
  return batch.table + batch.rows[i] * batch.stride;
}

inline void FetchAhead(const CodeBatch& batch, std::size_t i) {
  if (i + kRowsAhead < batch.rows.size()) FetchRow(Row(batch, i + kRowsAhead), batch.stride);
}

void DotPlain(const CodeBatch& batch, std::int32_t* out) {
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    const std::uint8_t* row = Row(batch, i);
    std::int32_t sum = 0;
    for (std::size_t j = 0; j < batch.stride; ++j) sum += (row[j] - 128) * batch.query[j];
    out[i] = sum;
  }
}

#if defined(__x86_64__)

inline __m128i Load16(const void* bytes) { return _mm_loadu_si128(static_cast<const __m128i*>(bytes)); }

std::int32_t SumLanes(__m128i sums) {
  sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0xb1)));
}

void DotSse2(const CodeBatch& batch, std::int32_t* out) {
  const __m128i zero = _mm_setzero_si128();
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    FetchAhead(batch, i);
    const std::uint8_t* row = Row(batch, i);
    __m128i low = zero, high = zero;
    for (std::size_t j = 0; j < batch.stride; j += 16) {
      const __m128i a = Load16(row + j);
      const __m128i b = Load16(batch.query + j);
      const __m128i sign = _mm_cmpgt_epi8(zero, b);
      low = _mm_add_epi32(low, _mm_madd_epi16(_mm_unpacklo_epi8(a, zero), _mm_unpacklo_epi8(b, sign)));
      high = _mm_add_epi32(high, _mm_madd_epi16(_mm_unpackhi_epi8(a, zero), _mm_unpackhi_epi8(b, sign)));
    }
    out[i] = SumLanes(_mm_add_epi32(low, high)) - 128 * batch.query_sum;
  }
}

__attribute__((target("avx2"))) inline __m256i Load32(const void* bytes) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(bytes));
}

__attribute__((target("avx2"))) void DotAvx2(const CodeBatch& batch, std::int32_t* out) {
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    FetchAhead(batch, i);
    const std::uint8_t* row = Row(batch, i);
    __m256i sum0 = _mm256_setzero_si256(), sum1 = sum0;
    for (std::size_t j = 0; j < batch.stride; j += 32) {
      const __m256i a0 = _mm256_cvtepu8_epi16(Load16(row + j)), a1 = _mm256_cvtepu8_epi16(Load16(row + j + 16));
      const __m256i b0 = _mm256_cvtepi8_epi16(Load16(batch.query + j));
      const __m256i b1 = _mm256_cvtepi8_epi16(Load16(batch.query + j + 16));
      sum0 = _mm256_add_epi32(sum0, _mm256_madd_epi16(a0, b0));
      sum1 = _mm256_add_epi32(sum1, _mm256_madd_epi16(a1, b1));
    }
    const __m256i sum = _mm256_add_epi32(sum0, sum1);
    out[i] =
        SumLanes(_mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1))) - 128 * batch.query_sum;
  }
}

__attribute__((target("avx512f,avx512bw"))) void DotAvx512(const CodeBatch& batch, std::int32_t* out) {
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    FetchAhead(batch, i);
    const std::uint8_t* row = Row(batch, i);
    __m512i sum0 = _mm512_setzero_si512(), sum1 = sum0;
    for (std::size_t j = 0; j < batch.stride; j += 64) {
      const __m512i a0 = _mm512_cvtepu8_epi16(Load32(row + j)), a1 = _mm512_cvtepu8_epi16(Load32(row + j + 32));
      const __m512i b0 = _mm512_cvtepi8_epi16(Load32(batch.query + j));
      const __m512i b1 = _mm512_cvtepi8_epi16(Load32(batch.query + j + 32));
      sum0 = _mm512_add_epi32(sum0, _mm512_madd_epi16(a0, b0));
      sum1 = _mm512_add_epi32(sum1, _mm512_madd_epi16(a1, b1));
    }
    out[i] = _mm512_reduce_add_epi32(_mm512_add_epi32(sum0, sum1)) - 128 * batch.query_sum;
  }
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) void DotVnni(const CodeBatch& batch, std::int32_t* out) {
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    FetchAhead(batch, i);
    const std::uint8_t* row = Row(batch, i);
    __m512i sum0 = _mm512_setzero_si512(), sum1 = sum0;
    std::size_t j = 0;
    for (; j + 128 <= batch.stride; j += 128) {
      sum0 = _mm512_dpbusd_epi32(sum0, _mm512_loadu_si512(row + j), _mm512_loadu_si512(batch.query + j));
      sum1 = _mm512_dpbusd_epi32(sum1, _mm512_loadu_si512(row + j + 64), _mm512_loadu_si512(batch.query + j + 64));
    }
    if (j < batch.stride) {
      sum0 = _mm512_dpbusd_epi32(sum0, _mm512_loadu_si512(row + j), _mm512_loadu_si512(batch.query + j));
    }
    out[i] = _mm512_reduce_add_epi32(_mm512_add_epi32(sum0, sum1)) - 128 * batch.query_sum;
  }
}

std::vector<DotKernel> FindKernels() {
  std::vector<DotKernel> kernels;
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0;
  if (avx512 && __builtin_cpu_supports("avx512vnni") != 0) kernels.push_back({"avx512-vnni", DotVnni});
  if (avx512) kernels.push_back({"avx512bw", DotAvx512});
  if (__builtin_cpu_supports("avx2") != 0) kernels.push_back({"avx2", DotAvx2});
  kernels.push_back({"sse2", DotSse2});
  kernels.push_back({"plain", DotPlain});
  return kernels;
}

#elif defined(__aarch64__)

// Taking 128 off by flipping the highest bit leaves the products signed, as SDOT wants them.
inline int8x16_t SignedCodes(const std::uint8_t* row) {
  return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(row), vdupq_n_u8(0x80)));
}

void DotNeon(const CodeBatch& batch, std::int32_t* out) {
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    FetchAhead(batch, i);
    const std::uint8_t* row = Row(batch, i);
    int32x4_t sum = vdupq_n_s32(0);
    for (std::size_t j = 0; j < batch.stride; j += 16) {
      const int8x16_t a = SignedCodes(row + j), b = vld1q_s8(batch.query + j);
      // Two products of at most 127 * 127 fit into 16 bits.
      const int16x8_t products = vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b);
      sum = vpadalq_s16(sum, products);
    }
    out[i] = vaddvq_s32(sum);
  }
}

// clang 14 has the instruction only where all of the program may use it.
#if !defined(__clang__) || defined(__ARM_FEATURE_DOTPROD)
#define OMICS_VECTOR_SDOT 1
#if !defined(__clang__)
__attribute__((target("arch=armv8.2-a+dotprod")))
#endif
void DotSdot(const CodeBatch& batch, std::int32_t* out) {
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    FetchAhead(batch, i);
    const std::uint8_t* row = Row(batch, i);
    int32x4_t sum0 = vdupq_n_s32(0), sum1 = sum0;
    for (std::size_t j = 0; j < batch.stride; j += 32) {
      sum0 = vdotq_s32(sum0, SignedCodes(row + j), vld1q_s8(batch.query + j));
      sum1 = vdotq_s32(sum1, SignedCodes(row + j + 16), vld1q_s8(batch.query + j + 16));
    }
    out[i] = vaddvq_s32(vaddq_s32(sum0, sum1));
  }
}
#endif

std::vector<DotKernel> FindKernels() {
  std::vector<DotKernel> kernels;
#if defined(OMICS_VECTOR_SDOT)
  constexpr unsigned long kDotProduct = 1ul << 20;  // HWCAP_ASIMDDP of <asm/hwcap.h>
  if ((getauxval(AT_HWCAP) & kDotProduct) != 0) kernels.push_back({"neon-sdot", DotSdot});
#endif
  kernels.push_back({"neon", DotNeon});
  kernels.push_back({"plain", DotPlain});
  return kernels;
}

#else

std::vector<DotKernel> FindKernels() { return {{"plain", DotPlain}}; }

#endif

}  // namespace

std::span<const DotKernel> DotKernels() {
  static const std::vector<DotKernel> kernels = FindKernels();
  return kernels;
}

}  // namespace omics::index
