#include "base/signals.h"

#include <signal.h>

#include <cerrno>
#include <initializer_list>

namespace omics {
namespace {

sigset_t HandledSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  return set;
}

}  // namespace

void BlockSignals() {
  const sigset_t set = HandledSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

bool StopSignalPending() {
  sigset_t set;
  sigpending(&set);
  return sigismember(&set, SIGTERM) == 1 || sigismember(&set, SIGINT) == 1;
}

int WaitForSignal() {
  const sigset_t set = HandledSignals();
  int number = 0;
  while (sigwait(&set, &number) == EINTR) {
  }
  return number;
}

}  // namespace omics
