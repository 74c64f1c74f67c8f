#include "tools/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "tools/format.h"

namespace omics::tools {
namespace {

constexpr int kBarWidth = 24;
constexpr std::chrono::milliseconds kRedrawInterval{100};
constexpr std::chrono::milliseconds kLineInterval{1000};
// A rate over less time than this says nothing.
constexpr double kRateSecondsMin = 0.2;

std::string Amount(Progress::Unit unit, std::int64_t amount) {
  return unit == Progress::Unit::kBytes ? Bytes(amount) : WithCommas(amount);
}

std::string Bar(double part) {
  const int full = static_cast<int>(part * kBarWidth);
  return absl::StrCat("[", std::string(full, '#'), std::string(kBarWidth - full, '-'), "] ");
}

}  // namespace

Progress::Progress(bool terminal, std::function<void(const std::string&)> write)
    : terminal_(terminal), write_(std::move(write)) {}

Progress Progress::ToStandardError() {
  return Progress(isatty(STDERR_FILENO) == 1, [](const std::string& text) {
    std::fputs(text.c_str(), stderr);
    std::fflush(stderr);
  });
}

void Progress::Update(const std::string& label, Unit unit, std::int64_t done, std::int64_t total,
                      Clock::time_point now) {
  if (label != label_) {
    Finish();
    label_ = label;
    unit_ = unit;
    done_at_start_ = done;
    start_ = drawn_at_ = now;
  }
  done_ = done;
  total_ = total;
  now_ = now;
  if (now - drawn_at_ >= (terminal_ ? kRedrawInterval : kLineInterval)) Draw();
}

void Progress::Finish() {
  if (label_.empty()) return;
  if (drawn_done_ != done_) Draw();
  if (terminal_) write_("\n");
  label_.clear();
  drawn_done_ = -1;
}

void Progress::Draw() {
  drawn_at_ = now_;
  drawn_done_ = done_;
  // "\x1b[K" clears what a longer line before left behind.
  write_(terminal_ ? absl::StrCat("\r", Line(true), "\x1b[K") : absl::StrCat(Line(false), "\n"));
}

std::string Progress::Line(bool bar) const {
  const double part = total_ > 0 ? std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0) : 0;
  std::string line = absl::StrCat(label_, " ");
  if (bar && total_ > 0) absl::StrAppend(&line, Bar(part));
  absl::StrAppend(&line, Amount(unit_, done_));
  if (total_ > 0) absl::StrAppend(&line, " of ", Amount(unit_, total_));
  if (unit_ == Unit::kRows) absl::StrAppend(&line, " rows");
  if (total_ > 0) absl::StrAppend(&line, " (", static_cast<int>(part * 100), "%)");

  const double seconds = std::chrono::duration<double>(now_ - start_).count();
  if (seconds < kRateSecondsMin || done_ <= done_at_start_) return line;
  const double rate = static_cast<double>(done_ - done_at_start_) / seconds;
  absl::StrAppend(&line, ", ", Amount(unit_, std::llround(rate)), unit_ == Unit::kRows ? " rows/s" : "/s");
  if (total_ > done_) {
    const double left = std::ceil(static_cast<double>(total_ - done_) / rate);
    absl::StrAppend(&line, ", ETA ", Duration(std::chrono::seconds(static_cast<std::int64_t>(left))));
  }
  return line;
}

}  // namespace omics::tools
