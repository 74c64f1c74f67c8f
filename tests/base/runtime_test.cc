#include "base/runtime.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "base/resources.h"

namespace omics {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kOwnAllocator = true;
#else
constexpr bool kOwnAllocator = false;
#endif

std::unique_ptr<char[]> Touched(std::size_t bytes) {
  auto block = std::make_unique_for_overwrite<char[]>(bytes);
  std::memset(block.get(), 1, bytes);
  return block;
}

TEST(RuntimeTest, MemoryThatAThreadFreedCanBeGivenBackThoughLargeBlocksWereFreedBefore) {
  if (kOwnAllocator) GTEST_SKIP() << "the sanitizers bring their own allocator";
  SetUpRuntime();
  Touched(std::size_t{30} << 20).reset();  // would raise glibc's thresholds to twice of that
  const std::int64_t before = ResidentBytes();
  std::int64_t full = 0;
  std::int64_t after = 0;
  std::thread([&] {
    std::vector<std::unique_ptr<char[]>> blocks;
    for (int i = 0; i < 500; ++i) blocks.push_back(Touched(100'000));
    full = ResidentBytes();
    while (!blocks.empty()) blocks.pop_back();
    malloc_trim(0);
    after = ResidentBytes();
  }).join();
  EXPECT_GT(full - before, 40 << 20);
  EXPECT_LT(after - before, 10 << 20);
}

}  // namespace
}  // namespace omics
