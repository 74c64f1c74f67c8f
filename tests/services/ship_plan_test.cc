#include "services/ship_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace omics::services {
namespace {

const std::string kId = "0b9f6f3e-6f0e-4d38-9d5b-5f4f1a1d3c11";
using Starts = std::vector<std::pair<std::int64_t, std::int64_t>>;

ShippedObject Bundle(std::int64_t epoch, std::int64_t last) { return *ParseShippedKey(BundleKey(kId, epoch, last)); }
ShippedObject Changes(std::int64_t epoch, std::int64_t first, std::int64_t last) {
  return *ParseShippedKey(ChangesKey(kId, epoch, first, last));
}
std::vector<std::int64_t> Firsts(const ShippedState& state) {
  std::vector<std::int64_t> firsts;
  for (const ShippedObject& object : state.changes) firsts.push_back(object.first);
  return firsts;
}

TEST(ShipPlanTest, KeysSayWhatTheyAreAndSortInTheirOrder) {
  EXPECT_EQ(ChangesKey(kId, 7, 9, 10),
            "collections/" + kId + "/changes/00000007/0000000000000009-0000000000000010.zst");
  EXPECT_EQ(BundleKey(kId, 7, 9), "collections/" + kId + "/bundles/00000007/0000000000000009.tar.zst");
  EXPECT_LT(ChangesKey(kId, 9, 1, 2), ChangesKey(kId, 10, 1, 2));
  EXPECT_LT(CatalogKey(9, 99), CatalogKey(10, 0));
  const ShippedObject changes = Changes(3, 4, 5);
  EXPECT_EQ(changes.collection, kId);
  EXPECT_EQ(std::tuple(changes.is_bundle, changes.epoch, changes.first, changes.last), std::tuple(false, 3, 4, 5));
  EXPECT_TRUE(Bundle(3, 9).is_bundle);
  const std::vector<std::string> others = {"lease.json",
                                           CatalogKey(1, 1),
                                           "collections/x/changes/1/1-2.zst",
                                           "collections/" + kId + "/changes/1/2-1.zst",
                                           "collections/" + kId + "/changes/1/1.zst",
                                           "collections/" + kId + "/bundles/1/1.zst",
                                           "collections/" + kId + "/bundles/1/-1.tar.zst",
                                           "collections/" + kId + "/other/1/1-2.zst"};
  for (const std::string& key : others) {
    EXPECT_FALSE(ParseShippedKey(key)) << key;
  }
}

TEST(ShipPlanTest, WhatBeganWhereSurvivesTheRoundTrip) {
  const EpochStarts starts = {{kId, {{1, 0}, {5, 100}}}, {"1b9f6f3e-6f0e-4d38-9d5b-5f4f1a1d3c11", {}}};
  EXPECT_EQ(ParseEpochStarts(EpochStartsToText(starts)).value(), starts);
  EXPECT_EQ(ParseEpochStarts("").value(), EpochStarts());
  EXPECT_THAT(ParseEpochStarts("x 1:2"), HasCode(absl::StatusCode::kDataLoss, "collection"));
  EXPECT_THAT(ParseEpochStarts(kId + " 1:2:3"), HasCode(absl::StatusCode::kDataLoss, "epochs"));
  EXPECT_THAT(ParseEpochStarts(kId + " 1:-2"), HasCode(absl::StatusCode::kDataLoss, "epochs"));
}

TEST(ShipPlanTest, TheNewestBundleAndWhatFollowsItUpToTheFirstGap) {
  const ShippedState state = PlanRestore(
      {Changes(1, 1, 5), Bundle(1, 5), Changes(1, 6, 9), Bundle(1, 7), Changes(1, 10, 12), Changes(1, 14, 20)},
      {{1, 0}});
  EXPECT_EQ(state.bundles.size(), 2u);
  EXPECT_EQ(state.bundles.front().last, 7);
  EXPECT_THAT(Firsts(state), ::testing::ElementsAre(6, 10));
  EXPECT_EQ(state.last, 12);
}

TEST(ShipPlanTest, WithoutABundleItBeginsAtTheFirstChange) {
  EXPECT_EQ(PlanRestore({Changes(1, 1, 5), Changes(2, 6, 7)}, {{2, 5}}).last, 7);
  EXPECT_EQ(PlanRestore({Changes(1, 2, 5)}, {}).last, 0);
  EXPECT_EQ(PlanRestore({}, {}).last, 0);
}

TEST(ShipPlanTest, WhatAnEarlierHolderPutsAfterTheNextBeganDoesNotCount) {
  // Epoch 6 began after number 100; the holder of epoch 5 wakes late.
  const Starts starts = {{5, 0}, {6, 100}};
  EXPECT_EQ(PlanRestore({Changes(5, 1, 100), Changes(5, 101, 110)}, starts).last, 100);
  EXPECT_EQ(PlanRestore({Changes(5, 1, 100), Changes(5, 90, 110)}, starts).last, 100);
  EXPECT_EQ(PlanRestore({Changes(5, 1, 100), Bundle(5, 110)}, starts).last, 100);
  const ShippedState state =
      PlanRestore({Changes(5, 1, 100), Changes(5, 101, 120), Changes(6, 101, 105), Bundle(5, 120)}, starts);
  EXPECT_EQ(state.last, 105);
  EXPECT_EQ(state.changes.back().epoch, 6);
}

TEST(ShipPlanTest, AnEpochThatBeganFurtherThanALaterOneDoesNotWidenWhatCounts) {
  // Epoch 6 had 110 on its own disk, lost it before it shipped, and epoch 7 began after 100 again.
  const Starts starts = {{5, 0}, {6, 110}, {7, 100}};
  EXPECT_EQ(PlanRestore({Changes(5, 1, 100), Changes(5, 101, 110)}, starts).last, 100);
  EXPECT_EQ(PlanRestore({Changes(5, 1, 100), Changes(6, 101, 110), Changes(7, 101, 103)}, starts).last, 103);
}

}  // namespace
}  // namespace omics::services
