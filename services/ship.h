// Shipping: S3 is the system of record, the disk a cache.
//
// Every committed change is put into S3 within --ship-seconds, bundles from time to time, and what is in S3 is restored
// where the data directory is empty. One process at a time holds the lease; only it acknowledges writes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "cloud/lease.h"
#include "cloud/s3.h"
#include "index/catalog.h"
#include "services/ship_plan.h"

namespace omics::services {

// Of changes in one object, about: a request is never divided.
inline constexpr std::int64_t kShipBatchBytes = std::int64_t{4} << 20;
// A new bundle is due once the changes since the last have half its bytes, and at least so many.
inline constexpr std::int64_t kBundleChangesBytesMin = std::int64_t{4} << 20;
// After the drain, what is left is shipped for at most so long.
inline constexpr std::chrono::seconds kShipAtEnd{60};

struct ShipSettings {
  std::string url;  // s3://bucket/prefix
  std::chrono::milliseconds interval{5000};
  // A holder that was killed keeps the next one waiting for a quarter more than this; one that cannot reach S3 stops
  // acknowledging writes after it.
  std::chrono::seconds lease_time{15};
  std::filesystem::path data_dir;
  cloud::S3Options s3;
  int threads = 1;  // that restore collections
  // A new bundle is also due after so many objects with changes: a restore reads each.
  int bundle_changes_max = 256;
};

// How shipping is going.
struct ShippingReport {
  std::string url;
  bool may_write = false;
  double lease_seconds_left = 0;  // unless it is renewed
  double lag_seconds = 0;         // age of the oldest change that may not be in S3 yet
  std::int64_t failures = 0;      // tries that failed
  std::string error;              // of the last of them; "" once all was shipped after it
};

// Thread safety: construct, Attach(), Finish() and destroy on one thread; the other members may be called from any.
class Shipping {
 public:
  // Waits for the lease, then makes the data directory what the bucket holds, unless this directory was the last to
  // write there. One that another has overtaken is moved aside, never removed. A directory whose data were never
  // shipped is taken as it is if the prefix is unused, and refused (FAILED_PRECONDITION) otherwise.
  // CANCELLED once `stop` is true.
  static absl::StatusOr<std::unique_ptr<Shipping>> Prepare(ShipSettings settings, const std::atomic<bool>* stop);
  // Stops at once; what is not shipped yet stays on disk and is shipped by the next process.
  ~Shipping();
  Shipping(const Shipping&) = delete;
  Shipping& operator=(const Shipping&) = delete;

  // Brings the opened catalog (with keep_changes) up to what was shipped, says in S3 that this epoch begins, and starts
  // shipping. It is borrowed and must live until Finish() or the destructor.
  absl::Status Attach(index::Catalog& catalog);

  // OK while writes may be acknowledged: the lease has time left. Else UNAVAILABLE with the reason LEASE_LOST.
  absl::Status CheckWrites() const;
  // Tells of each change of that, and once at once.
  void SetListener(std::function<void(bool may_write)> listener);
  ShippingReport Report() const;
  void AddMetrics(Metrics& metrics) const;

  // Nothing is written any more: ships all that is left and gives up the lease. An error says what is not shipped.
  absl::Status Finish();

 private:
  using Clock = std::chrono::steady_clock;
  // What is in S3 of one collection.
  struct Progress {
    std::int64_t shipped = 0;  // all changes up to here
    std::int64_t bundle_bytes = 0;
    std::int64_t changes_bytes = 0;  // since the bundle
    int changes = 0;
    bool needs_bundle = false;  // something is neither in a bundle nor in the outbox
  };
  struct Marker;

  explicit Shipping(ShipSettings settings) : settings_(std::move(settings)) {}
  absl::Status Connect();
  absl::Status TakeLease(const std::atomic<bool>* stop);
  absl::StatusOr<std::string> ChooseHolder(const cloud::LeaseHolder& last);
  absl::Status ReadBucket(const std::atomic<bool>* stop);
  absl::Status RestoreData(const std::atomic<bool>* stop);
  ShippedState StateOf(const std::string& id) const;
  absl::StatusOr<std::filesystem::path> FetchBundle(const std::string& id, const std::atomic<bool>* stop) const;
  // The newest bundle counts no more, if nothing is lost without it; else the damage.
  absl::Status PassOverBundle(const std::string& id, const absl::Status& damage);
  absl::Status CatchUp(const index::CollectionInfo& info);
  absl::Status BeginEpoch();

  std::string Key(const std::string& name) const { return prefix_ + name; }
  std::string Url(const std::string& name) const { return "s3://" + bucket_ + "/" + prefix_ + name; }
  absl::Status Put(const std::string& name, std::string_view bytes);
  absl::StatusOr<std::string> Get(const std::string& key, std::int64_t bytes_max, const std::atomic<bool>* stop) const;
  absl::StatusOr<std::shared_ptr<index::Collection>> Open(const index::CollectionInfo& info) const;

  void Run();
  void RunBundles();
  // Ships all there is; true if S3 covers everything then.
  absl::StatusOr<bool> Round();
  absl::Status ShipChanges(const index::CollectionInfo& info);
  absl::Status ShipCatalog(std::int64_t changes, const std::string& backup);
  absl::Status RemoveDropped(const std::vector<index::CollectionInfo>& live);
  bool BundleDue(const Progress& progress) const;
  bool ShipNextBundle();
  absl::Status ShipBundle(const index::CollectionInfo& info);
  absl::Status RemoveCovered(const std::string& id);
  void Failed(const absl::Status& status);
  void Tell();
  void StopThreads();

  const ShipSettings settings_;
  std::string bucket_;
  std::string prefix_;  // "" or with a slash at its end
  std::unique_ptr<cloud::S3> s3_;
  std::unique_ptr<cloud::S3> lease_s3_;  // gives up soon
  std::unique_ptr<cloud::Lease> lease_;
  std::string holder_;
  bool own_data_ = false;  // the directory has all that is in S3, and perhaps more

  // Of Prepare() and Attach().
  std::map<std::string, std::vector<ShippedObject>> objects_;  // by collection, without damaged bundles
  EpochStarts starts_;
  std::string newest_catalog_;  // its key; "" if there is none

  index::Catalog* catalog_ = nullptr;
  std::int64_t catalog_number_ = 0;
  std::int64_t catalog_changes_ = -1;  // that were shipped last

  mutable Mutex mutex_;
  CondVar changed_;
  std::map<std::string, Progress> progress_ ABSL_GUARDED_BY(mutex_);
  Clock::time_point complete_ ABSL_GUARDED_BY(mutex_) = Clock::now();  // when the last whole round began
  std::int64_t failures_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string error_ ABSL_GUARDED_BY(mutex_);
  std::function<void(bool)> listener_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> began_ = false;  // the epoch did
  std::atomic<bool> stop_ = false;
  std::thread thread_;
  std::thread bundle_thread_;
};

}  // namespace omics::services
