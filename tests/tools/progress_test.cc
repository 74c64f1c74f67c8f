#include "tools/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace omics::tools {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

class ProgressTest : public testing::Test {
 protected:
  Progress Make(bool terminal) {
    return Progress(terminal, [this](const std::string& text) { written_.push_back(text); });
  }
  Progress::Clock::time_point At(int milliseconds_after) { return start_ + milliseconds(milliseconds_after); }

  const Progress::Clock::time_point start_ = Progress::Clock::now();
  std::vector<std::string> written_;
};

TEST_F(ProgressTest, PlainLinesComeAtMostOnceASecondAndAtTheEnd) {
  Progress progress = Make(false);
  for (int ms = 0; ms <= 2500; ms += 100) progress.Update("importing", Progress::Unit::kRows, ms, 5000, At(ms));
  progress.Finish();
  EXPECT_THAT(written_, ElementsAre("importing 1,000 of 5,000 rows (20%), 1,000 rows/s, ETA 4s\n",
                                    "importing 2,000 of 5,000 rows (40%), 1,000 rows/s, ETA 3s\n",
                                    "importing 2,500 of 5,000 rows (50%), 1,000 rows/s, ETA 3s\n"));
}

TEST_F(ProgressTest, ATerminalHasOneLineThatIsRedrawnAndThenEnded) {
  Progress progress = Make(true);
  progress.Update("importing", Progress::Unit::kRows, 0, 1000, At(0));
  progress.Update("importing", Progress::Unit::kRows, 10, 1000, At(50));
  progress.Update("importing", Progress::Unit::kRows, 500, 1000, At(500));
  progress.Update("importing", Progress::Unit::kRows, 1000, 1000, At(1000));
  progress.Finish();
  EXPECT_THAT(
      written_,
      ElementsAre("\rimporting [############------------] 500 of 1,000 rows (50%), 1,000 rows/s, ETA 1s\x1b[K",
                  "\rimporting [########################] 1,000 of 1,000 rows (100%), 1,000 rows/s\x1b[K", "\n"));
}

TEST_F(ProgressTest, ANewStepEndsTheOneBefore) {
  Progress progress = Make(false);
  progress.Update("sending", Progress::Unit::kBytes, 0, 2048, At(0));
  progress.Update("sending", Progress::Unit::kBytes, 2048, 2048, At(10));
  progress.Update("importing", Progress::Unit::kRows, 5, 5, At(20));
  progress.Finish();
  progress.Finish();
  EXPECT_THAT(written_, ElementsAre("sending 2.0 KiB of 2.0 KiB (100%)\n", "importing 5 of 5 rows (100%)\n"));
}

TEST_F(ProgressTest, AnUnknownTotalShowsNeitherPartNorTimeLeft) {
  Progress progress = Make(true);
  progress.Update("importing", Progress::Unit::kRows, 0, 0, At(0));
  progress.Update("importing", Progress::Unit::kRows, 700, 0, At(1000));
  EXPECT_THAT(written_, ElementsAre("\rimporting 700 rows, 700 rows/s\x1b[K"));
}

TEST_F(ProgressTest, MoreThanTheTotalIsShownAsFull) {
  Progress progress = Make(true);
  progress.Update("importing", Progress::Unit::kRows, 30, 20, At(0));
  progress.Finish();
  EXPECT_THAT(written_, ElementsAre("\rimporting [########################] 30 of 20 rows (100%)\x1b[K", "\n"));
}

}  // namespace
}  // namespace omics::tools
