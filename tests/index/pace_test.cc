#include "index/internal/pace.h"

#include <gtest/gtest.h>

namespace omics::index {
namespace {

constexpr std::chrono::microseconds kAnyWork{0};

TEST(Pace, WorkGoesOnWhileNoQueryComes) {
  const Pace pace;
  PacedWork work(&pace, kAnyWork);
  EXPECT_FALSE(work.Rest());
  EXPECT_FALSE(work.Rest());
}

TEST(Pace, WorkRestsOnceForTheQueriesSinceItsLastPiece) {
  Pace pace;
  PacedWork work(&pace, kAnyWork);
  pace.QueryBegins();
  pace.QueryBegins();
  EXPECT_TRUE(work.Rest());
  EXPECT_FALSE(work.Rest());
  pace.QueryBegins();
  EXPECT_TRUE(work.Rest());
}

TEST(Pace, QueriesBeforeTheWorkAreNoReasonToRest) {
  Pace pace;
  pace.QueryBegins();
  PacedWork work(&pace, kAnyWork);
  EXPECT_FALSE(work.Rest());
}

TEST(Pace, EveryThreadRestsForTheSameQuery) {
  Pace pace;
  PacedWork one(&pace, kAnyWork), other(&pace, kAnyWork);
  pace.QueryBegins();
  EXPECT_TRUE(one.Rest());
  EXPECT_TRUE(other.Rest());
}

TEST(Pace, WorkThatIsWaitedForDoesNotRest) {
  Pace pace;
  PacedWork work(&pace, kAnyWork);
  {
    const Pace::Hurry one(pace);
    const Pace::Hurry other(pace);
    pace.QueryBegins();
    EXPECT_FALSE(work.Rest());
  }
  pace.QueryBegins();
  EXPECT_TRUE(work.Rest());
}

TEST(Pace, WorkThatHasHardlyBegunDoesNotRest) {
  Pace pace;
  PacedWork work(&pace, std::chrono::hours(1));
  pace.QueryBegins();
  EXPECT_FALSE(work.Rest());
}

TEST(Pace, WithoutOneWorkNeverRests) {
  PacedWork work(nullptr);
  EXPECT_FALSE(work.Rest());
}

}  // namespace
}  // namespace omics::index
