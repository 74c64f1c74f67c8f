// A program under test, its log read from standard error.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace omics::gateway::testing {

// Thread safety: none. Failures of the helper itself fail the test.
class Process {
 public:
  // `arguments` begin with the program's path. The test's own environment is passed on.
  explicit Process(const std::vector<std::string>& arguments);
  // Kills the program if it still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Reads the log up to the first line with `text` and returns that line; "" if there is none within twenty seconds.
  std::string WaitForLine(std::string_view text);
  void Signal(int signal);
  // Waits for the end; the exit code, or -1 if a signal ended the program.
  int Wait();
  // What the log said and WaitForLine() has not returned. Only after Wait().
  std::string RestOfLog();

 private:
  // False at the end of the log, or when nothing came in time.
  bool ReadMore();

  pid_t pid_ = 0;
  int log_ = -1;
  std::string pending_;
};

}  // namespace omics::gateway::testing
