#include "gateway/memory_share.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

namespace omics::gateway {
namespace {

TEST(MemoryShareTest, WhatOneHoldsTheOthersLack) {
  MemoryPool pool(100);
  std::optional<MemoryShare> first(pool);
  MemoryShare second(pool);
  EXPECT_TRUE(first->Add(60).ok());
  EXPECT_TRUE(second.Add(40).ok());
  EXPECT_TRUE(absl::IsUnavailable(second.Add(1)));
  EXPECT_TRUE(absl::IsUnavailable(second.CouldAdd(1)));
  first.reset();
  EXPECT_TRUE(second.CouldAdd(60).ok());
  EXPECT_FALSE(second.CouldAdd(61).ok());
  EXPECT_TRUE(second.Add(60).ok());
}

TEST(MemoryShareTest, ARefusalCountsNothing) {
  MemoryPool pool(100);
  MemoryShare share(pool);
  EXPECT_FALSE(share.Add(101).ok());
  EXPECT_TRUE(share.Add(100).ok());
}

TEST(MemoryShareTest, WhatABodyIsParsedIntoTakesItsPlace) {
  MemoryPool pool(100);
  MemoryShare share(pool);
  ASSERT_TRUE(share.Add(80).ok());
  EXPECT_TRUE(share.Replace(90).ok());
  EXPECT_TRUE(share.CouldAdd(10).ok());
  EXPECT_FALSE(share.CouldAdd(11).ok());
  EXPECT_TRUE(share.Replace(5).ok());
  EXPECT_TRUE(share.CouldAdd(95).ok());
  EXPECT_FALSE(share.Replace(101).ok());
  EXPECT_TRUE(share.CouldAdd(95).ok());
}

TEST(MemoryShareTest, ManyThreadsNeverHoldMoreThanThereIs) {
  constexpr std::int64_t kBytesMax = 1000;
  MemoryPool pool(kBytesMax);
  std::atomic<std::int64_t> held{0};
  std::atomic<bool> too_much{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20'000; ++i) {
        const std::int64_t bytes = 100 + (i * 7 + t * 13) % 400;
        MemoryShare share(pool);
        if (!share.Add(bytes).ok()) continue;
        if (held.fetch_add(bytes) + bytes > kBytesMax) too_much = true;
        held -= bytes;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(too_much);
  EXPECT_TRUE(MemoryShare(pool).CouldAdd(kBytesMax).ok());
}

}  // namespace
}  // namespace omics::gateway
