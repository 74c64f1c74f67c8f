#include "index/internal/builder.h"

#include <sys/resource.h>

#include <utility>

namespace omics::index {
namespace {

// Against a thread of ordinary priority a niced one gets about a tenth of a processor: queries hardly notice a build,
// and with nothing else to do it has all of it.
constexpr int kNiceness = 10;

}  // namespace

Builder::Builder() : thread_([this] { Run(); }) {}

Builder::~Builder() {
  stopping_ = true;
  {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  }
  thread_.join();
}

void Builder::Schedule(const std::shared_ptr<BuildTarget>& target, TimePoint when) {
  MutexLock lock(mutex_);
  entries_[target.get()] = {target, when};
  changed_.NotifyAll();
}

std::shared_ptr<BuildTarget> Builder::TakeDue(TimePoint now, TimePoint& next) {
  next = TimePoint::max();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (entry->second.when > now) {
      next = std::min(next, entry->second.when);
      ++entry;
      continue;
    }
    std::shared_ptr<BuildTarget> target = entry->second.target.lock();
    entry = entries_.erase(entry);
    if (target) return target;
  }
  return nullptr;
}

void Builder::Run() {
  // On Linux this concerns the calling thread alone; the threads of a build are begun by it and inherit it.
  setpriority(PRIO_PROCESS, 0, kNiceness);
  while (true) {
    std::shared_ptr<BuildTarget> target;
    {
      MutexLock lock(mutex_);
      while (!stopping() && !target) {
        TimePoint next;
        target = TakeDue(std::chrono::steady_clock::now(), next);
        if (!target) changed_.WaitUntil(mutex_, next);
      }
    }
    if (stopping()) return;
    const TimePoint again = target->BuildDue(std::chrono::steady_clock::now());
    if (again != TimePoint::max()) Schedule(target, again);
  }
}

}  // namespace omics::index
