// How far a long job is: one line that is redrawn on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace omics::tools {

// Thread safety: one thread at a time.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Unit { kRows, kBytes };

  // What is to be shown goes to `write`. On a terminal one line is redrawn at most ten times a second; otherwise there
  // is at most one line a second, and one for the end of each step.
  Progress(bool terminal, std::function<void(const std::string&)> write);
  // To standard error, as a terminal if it is one.
  static Progress ToStandardError();

  // `done` of `total` (0: not known) of the step called `label` ("importing"). A new label begins a new step, which
  // ends the line of the step before.
  void Update(const std::string& label, Unit unit, std::int64_t done, std::int64_t total, Clock::time_point now);

  // Shows the last state of the step and ends its line. Also before anything else is printed.
  void Finish();

 private:
  std::string Line(bool bar) const;
  void Draw();

  const bool terminal_;
  const std::function<void(const std::string&)> write_;

  std::string label_;  // "" when no step is open
  Unit unit_ = Unit::kRows;
  std::int64_t done_ = 0;
  std::int64_t total_ = 0;
  std::int64_t done_at_start_ = 0;
  Clock::time_point start_;
  Clock::time_point now_;
  Clock::time_point drawn_at_;
  std::int64_t drawn_done_ = -1;  // what the last drawn line said
};

}  // namespace omics::tools
