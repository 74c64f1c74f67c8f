// Keeps builds out of the way of queries.
//
// A low priority alone does not: inside a container, and inside each of Linux's automatic groups, it weighs the threads
// of one program against each other only, and against the gateway or a client on the same processors a build takes all
// that its program is due. So a thread that builds rests after each piece of work while queries come, unless a writer
// waits for the build.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace omics::index {

// Thread safety: all members may be called from any thread.
class Pace {
 public:
  void QueryBegins() { queries_.fetch_add(1, std::memory_order_relaxed); }
  std::int64_t queries() const { return queries_.load(std::memory_order_relaxed); }

  // While one lives nothing rests.
  class Hurry {
   public:
    explicit Hurry(Pace& pace) : pace_(pace) { pace_.hurries_.fetch_add(1, std::memory_order_relaxed); }
    ~Hurry() { pace_.hurries_.fetch_sub(1, std::memory_order_relaxed); }
    Hurry(const Hurry&) = delete;
    Hurry& operator=(const Hurry&) = delete;

   private:
    Pace& pace_;
  };
  bool hurried() const { return hurries_.load(std::memory_order_relaxed) > 0; }

 private:
  std::atomic<std::int64_t> queries_ = 0;
  std::atomic<int> hurries_ = 0;
};

// One thread's work at a pace. Thread safety: one thread at a time.
class PacedWork {
 public:
  // A rest takes this many times as long as the work before it, so that a build has a quarter of a processor for each
  // of its threads. Eight callers then get .79 of what they get at rest and a p99 1.2 times as long; without rests .54
  // and 2.5, with rests as long as the work .76 and 1.8 (docs/performance.md).
  static constexpr int kRestsPerWork = 3;
  // A build can be stopped soon.
  static constexpr std::chrono::milliseconds kRestMax{20};

  // Shorter work goes on: a shorter rest would take longer than it should.
  static constexpr std::chrono::microseconds kWorkMin{500};

  // Without a `pace` nothing rests. Borrowed.
  explicit PacedWork(const Pace* pace, std::chrono::microseconds work_min = kWorkMin);

  // To be called between two pieces of work, of a millisecond at most. Sleeps if queries came since the rest before and
  // there is no hurry, and says so.
  bool Rest();

 private:
  const Pace* pace_;
  const std::chrono::microseconds work_min_;
  std::int64_t seen_ = 0;
  std::chrono::steady_clock::time_point since_;
};

}  // namespace omics::index
