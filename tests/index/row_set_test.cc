#include "index/internal/row_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace omics::index {
namespace {

using Model = std::set<std::int64_t>;

RowSet FromModel(const Model& model, std::int64_t size) {
  const std::vector<std::uint32_t> rows(model.begin(), model.end());
  RowSet set(size);
  set.InsertAll(rows);
  return set;
}

// Checks every way of reading `set` against the model.
void ExpectSame(const RowSet& set, const Model& model, std::int64_t size) {
  ASSERT_EQ(set.count(), std::ssize(model));
  ASSERT_EQ(set.empty(), model.empty());
  Model visited, stepped;
  set.ForEach([&](std::int64_t row) { visited.insert(row); });
  for (std::int64_t row = set.Next(0); row >= 0; row = set.Next(row + 1)) stepped.insert(row);
  ASSERT_EQ(visited, model);
  ASSERT_EQ(stepped, model);
  for (std::int64_t row = 0; row < size + 70; ++row) ASSERT_EQ(set.Contains(row), model.contains(row)) << row;
}

Model RandomModel(std::int64_t size, double share, std::mt19937& rng) {
  std::bernoulli_distribution in(share);
  Model model;
  for (std::int64_t row = 0; row < size; ++row) {
    if (in(rng)) model.insert(row);
  }
  return model;
}

TEST(RowSetTest, TellsNewRowsFromKnownOnesAndGrows) {
  RowSet set;
  EXPECT_TRUE(set.Insert(200));
  EXPECT_FALSE(set.Insert(200));
  EXPECT_TRUE(set.Insert(3));
  ExpectSame(set, {3, 200}, 201);
}

TEST(RowSetTest, InsertsRowsInAnyOrderAndTwice) {
  RowSet set(300);
  set.InsertAll(std::vector<std::uint32_t>{250, 3, 3, 64, 250, 63, 0, 299});
  ExpectSame(set, {0, 3, 63, 64, 250, 299}, 300);
}

TEST(RowSetTest, ComplementEndsAtTheSize) {
  for (const std::int64_t size : {0, 1, 63, 64, 65, 128, 1000}) {
    ASSERT_EQ(RowSet::All(size).count(), size);
    RowSet none = RowSet::All(size);
    none.Complement(size);
    ExpectSame(none, {}, size);
  }
}

TEST(RowSetTest, SetsOfDifferentRoomCombineLikeModels) {
  std::mt19937 rng(11);
  for (int round = 0; round < 300; ++round) {
    const std::int64_t size_a = rng() % 400, size_b = rng() % 400;
    const double shares[] = {0, 0.01, 0.1, 0.5, 1};
    const Model a = RandomModel(size_a, shares[rng() % 5], rng), b = RandomModel(size_b, shares[rng() % 5], rng);
    Model both, either, only;
    std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(both, both.end()));
    std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::inserter(either, either.end()));
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::inserter(only, only.end()));
    RowSet set = FromModel(a, size_a);
    set.Intersect(FromModel(b, size_b));
    ExpectSame(set, both, size_a);
    set = FromModel(a, size_a);
    set.IntersectSorted(std::vector<std::uint32_t>(b.begin(), b.end()));
    ExpectSame(set, both, size_a);
    set = FromModel(a, size_a);
    set.Unite(FromModel(b, size_b));
    ExpectSame(set, either, 400);
    set = FromModel(a, size_a);
    set.Subtract(FromModel(b, size_b));
    ExpectSame(set, only, size_a);
    EXPECT_EQ(FromModel(a, size_a) == FromModel(b, size_b), a == b);
  }
}

TEST(RowSetTest, FewRowsIntersectALongListByLookingUp) {
  std::mt19937 rng(12);
  const std::int64_t size = 20'000;
  for (int round = 0; round < 50; ++round) {
    const Model few = RandomModel(size, 0.0005, rng), many = RandomModel(size, 0.5, rng);
    Model both;
    std::set_intersection(few.begin(), few.end(), many.begin(), many.end(), std::inserter(both, both.end()));
    RowSet set = FromModel(few, size);
    set.IntersectSorted(std::vector<std::uint32_t>(many.begin(), many.end()));
    ExpectSame(set, both, size);
  }
}

}  // namespace
}  // namespace omics::index
