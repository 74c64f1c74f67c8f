#include "base/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

namespace omics {
namespace {

TEST(SignalsTest, OneThreadReceivesWhatIsSentToTheProcess) {
  BlockSignals();
  std::thread([] {}).join();
  for (const int number : {SIGHUP, SIGINT, SIGTERM}) {
    ASSERT_EQ(kill(getpid(), number), 0);
    EXPECT_EQ(WaitForSignal(), number);
  }
}

TEST(SignalsTest, AWriteToAClosedPipeDoesNotEndTheProcess) {
  BlockSignals();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_EQ(write(ends[1], "x", 1), -1);
  close(ends[1]);
}

}  // namespace
}  // namespace omics
