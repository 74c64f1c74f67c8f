// Collections that the service loads by itself, from the list of --prewarm.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "cloud/download.h"
#include "index/catalog.h"
#include "services/health.h"
#include "services/prewarm_list.h"

namespace omics::services {

// At once, over all sources: more would share the same network, and an import takes a processor and a hundred
// megabytes.
inline constexpr int kPrewarmDownloadsMax = 4;
inline constexpr int kPrewarmImportsMax = 2;
// Between two tries of a source that fails: doubled each time, with a jitter of a fifth.
inline constexpr std::chrono::milliseconds kPrewarmRetryFirst{1000};
inline constexpr std::chrono::milliseconds kPrewarmRetryMax{5 * 60 * 1000};
// A source's progress makes no more than one line of the log in this time.
inline constexpr std::chrono::seconds kPrewarmLogInterval{5};

enum class PrewarmPhase { kWaiting, kDownloading, kImporting, kCurrent, kFailed };

// What is known of one source.
struct PrewarmReport {
  std::string collection;
  std::string url;  // without what may be secret
  std::vector<std::string> aliases;
  PrewarmPhase phase = PrewarmPhase::kWaiting;
  bool served = false;  // the collection answers queries, be it in an older version
  std::int64_t bytes_done = 0;
  std::int64_t bytes_total = 0;  // 0: not known
  std::int64_t rows_done = 0;
  std::int64_t rows_total = 0;
  int failures = 0;    // tries since the last that succeeded
  std::string error;   // of the last try, with file, url and cause; "" if it succeeded
  std::string etag;    // of what is served, if it came from a source
  std::string sha256;  // of its file
};

struct PrewarmSettings {
  std::vector<PrewarmEntry> entries;
  std::filesystem::path directory;  // for downloads; what an earlier process left there is used or removed
  std::chrono::seconds poll{0};     // how often a source is asked again; 0: not after it was loaded
};

// Each source has a thread of its own: it serves what is on disk, asks the source whether that is still what it holds,
// and downloads, imports and swaps in what is new. Whatever fails leaves in place what is served, is logged, and is
// tried again later.
//
// A collection that exists but was not loaded from a source is not replaced: that would lose somebody's records.
//
// Thread safety: construct and destroy on one thread; the other members may be called from any.
class PrewarmSources {
 public:
  // `catalog` and `health` are borrowed and must outlive this object. Nothing is done before Start().
  PrewarmSources(PrewarmSettings settings, std::unique_ptr<cloud::Downloader> downloader, index::Catalog& catalog,
                 Health& health);
  // Ends downloads and imports; a download goes on where it ended when the next process starts.
  ~PrewarmSources();
  PrewarmSources(const PrewarmSources&) = delete;
  PrewarmSources& operator=(const PrewarmSources&) = delete;

  void Start();
  // Returns true once every collection of the list is served, false if Stop() came first.
  bool WaitUntilServed();
  // Wakes and ends everything that waits; the destructor waits for its end.
  void Stop();

  bool Lists(const std::string& collection) const;
  std::size_t size() const { return sources_.size(); }
  PrewarmReport Report(std::size_t index) const;

 private:
  class Slots;
  class Source;

  const PrewarmSettings settings_;
  const std::unique_ptr<cloud::Downloader> downloader_;
  index::Catalog& catalog_;
  Health& health_;
  std::atomic<bool> stop_ = false;
  const std::unique_ptr<Slots> downloads_;
  const std::unique_ptr<Slots> imports_;
  // Guards what reports tell of and wakes those that wait for it, or for the end.
  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<PrewarmReport> reports_ ABSL_GUARDED_BY(mutex_);  // one for each source
  std::vector<std::unique_ptr<Source>> sources_;
  std::vector<std::thread> threads_;
};

}  // namespace omics::services
