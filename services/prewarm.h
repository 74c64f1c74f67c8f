// Opens collections when the service starts, so that nobody's first query waits for the disk.
#pragma once

#include <atomic>
#include <thread>

#include "index/catalog.h"
#include "services/health.h"
#include "services/prewarm_sources.h"

namespace omics::services {

// First the collections that have a health name and those of the sources, then the service is ready, then others up to
// kPrewarmOthersMax. A listed collection that does not exist is logged and stays NOT_SERVING under its own name; one
// that cannot be read keeps the whole service from becoming ready, and so does a source of which no version is served.
//
// Thread safety: construct and destroy on one thread; the work runs on one of its own.
class Prewarm {
 public:
  // All are borrowed and must outlive this object. Starts the sources, and stops them at its end.
  Prewarm(const index::Catalog& catalog, Health& health, PrewarmSources& sources);
  // Waits for the collection that is being opened, if any.
  ~Prewarm();

 private:
  void Run();
  bool OpenListed();
  void OpenOthers();

  const index::Catalog& catalog_;
  Health& health_;
  PrewarmSources& sources_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// Each open collection costs memory and file descriptors: the rest are opened by their first query.
inline constexpr std::size_t kPrewarmOthersMax = 64;

}  // namespace omics::services
