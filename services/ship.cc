#include "services/ship.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "index/bundle.h"
#include "services/convert.h"

namespace omics::services {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kObjectsPerCollectionMax = 100'000;
// Between two tries of a bundle that failed, and of what is left at the end.
constexpr std::chrono::milliseconds kBundleRetry{5000};
constexpr std::chrono::milliseconds kFinishRetry{500};
// Catalogs and epochs kept, beside those that count: for whoever looks for what went wrong.
constexpr std::size_t kOldObjectsKept = 2;

absl::Status LeaseLost(cloud::LeaseState state) {
  return WithReason(
      absl::UnavailableError(state == cloud::LeaseState::kTaken
                                 ? "another process has taken over the writing: send writes there, or restart this one"
                                 : "S3 cannot be reached to renew the lease for writing: try again in a few seconds; "
                                   "queries are answered"),
      "LEASE_LOST");
}

// Removed meanwhile.
absl::Status UnlessGone(const absl::Status& status) { return absl::IsNotFound(status) ? absl::OkStatus() : status; }

}  // namespace

Shipping::~Shipping() {
  StopThreads();
  lease_.reset();  // its thread tells of changes until then
}

void Shipping::StopThreads() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
  if (bundle_thread_.joinable()) bundle_thread_.join();
}

absl::Status Shipping::CheckWrites() const {
  if (began_ && lease_->Left() > cloud::BootTime{0}) return absl::OkStatus();
  return LeaseLost(lease_->state());
}

void Shipping::SetListener(std::function<void(bool)> listener) {
  {
    MutexLock lock(mutex_);
    listener_ = std::move(listener);
  }
  Tell();
}

void Shipping::Tell() {
  if (!began_) return;
  const absl::Status status = CheckWrites();
  if (!status.ok()) LogError(absl::StrCat("writes are refused: ", status.message()));
  MutexLock lock(mutex_);
  if (listener_) listener_(status.ok());
}

ShippingReport Shipping::Report() const {
  ShippingReport report;
  report.url = settings_.url;
  report.may_write = CheckWrites().ok();
  report.lease_seconds_left = std::chrono::duration<double>(lease_->Left()).count();
  MutexLock lock(mutex_);
  report.lag_seconds = std::chrono::duration<double>(Clock::now() - complete_).count();
  report.failures = failures_;
  report.error = error_;
  return report;
}

void Shipping::AddMetrics(Metrics& metrics) const {
  metrics.AddGauge("ship_lag_seconds", "Age of the oldest change that may not be in S3 yet.",
                   [this] { return Report().lag_seconds; });
  metrics.AddGauge("lease_seconds_left", "Until the lease for writing runs out, unless it is renewed.",
                   [this] { return Report().lease_seconds_left; });
  metrics.AddCounter("ship_failures_total", "Tries to put changes or bundles into S3 that failed.",
                     [this] { return static_cast<double>(Report().failures); });
}

void Shipping::Failed(const absl::Status& status) {
  if (stop_) return;
  {
    MutexLock lock(mutex_);
    ++failures_;
    error_ = status.ToString();
  }
  LogError(absl::StrCat("not shipped to ", settings_.url, ", tried again soon: ", status.ToString()));
}

absl::StatusOr<std::shared_ptr<index::Collection>> Shipping::Open(const index::CollectionInfo& info) const {
  return catalog_->OpenCollection(RefOf(info));
}

absl::Status Shipping::Put(const std::string& name, std::string_view bytes) {
  return s3_->Put(bucket_, Key(name), bytes, {}, &stop_).status();
}

absl::StatusOr<std::string> Shipping::Get(const std::string& key, std::int64_t bytes_max,
                                          const std::atomic<bool>* stop) const {
  OMICS_ASSIGN_OR_RETURN(cloud::S3Body body, s3_->Get(bucket_, key, {.bytes_max = bytes_max}, stop));
  return std::move(body.bytes);
}

void Shipping::Run() {
  auto due = Clock::now();
  while (!stop_) {
    due = std::max(due + settings_.interval, Clock::now());
    {
      MutexLock lock(mutex_);
      while (!stop_ && Clock::now() < due) changed_.WaitUntil(mutex_, due);
    }
    if (stop_) return;
    try {
      if (const auto whole = Round(); !whole.ok()) Failed(whole.status());
    } catch (const std::exception& error) {
      Failed(absl::InternalError(error.what()));
    }
  }
}

absl::StatusOr<bool> Shipping::Round() {
  OMICS_RETURN_IF_ERROR(CheckWrites());
  const auto begun = Clock::now();
  // Before the records: it must not name a collection that they do not cover.
  const std::int64_t changes = catalog_->changes();
  std::string backup;
  if (changes != catalog_changes_) {
    OMICS_ASSIGN_OR_RETURN(backup, catalog_->Backup());
  }
  OMICS_ASSIGN_OR_RETURN(const std::vector<index::CollectionInfo> live, catalog_->ListAllCollections());
  absl::Status failure;
  for (const index::CollectionInfo& info : live) {
    const absl::Status status = UnlessGone(ShipChanges(info));
    if (!status.ok()) failure.Update(Annotate(status, absl::StrCat("collection '", info.name, "'")));
  }
  OMICS_RETURN_IF_ERROR(failure);
  {
    MutexLock lock(mutex_);
    for (const auto& [id, progress] : progress_) {
      const auto is_it = [&id = id](const index::CollectionInfo& info) { return info.id == id; };
      if (progress.needs_bundle && std::any_of(live.begin(), live.end(), is_it)) return false;
    }
  }
  if (!backup.empty()) {
    OMICS_RETURN_IF_ERROR(ShipCatalog(changes, backup));
    if (catalog_->changes() == changes) OMICS_RETURN_IF_ERROR(RemoveDropped(live));
  }
  MutexLock lock(mutex_);
  complete_ = begun;
  error_.clear();
  return true;
}

absl::Status Shipping::ShipChanges(const index::CollectionInfo& info) {
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<index::Collection> collection, Open(info));
  Progress progress;
  {
    MutexLock lock(mutex_);
    progress = progress_[info.id];
  }
  const std::int64_t wanted = collection->sequence_number();
  std::int64_t shipped = progress.shipped;
  while (shipped < wanted) {
    OMICS_ASSIGN_OR_RETURN(const index::ChangeBatch batch, collection->ChangesAfter(shipped, kShipBatchBytes));
    const bool is_kept = batch.first <= batch.last;
    if (is_kept) {
      OMICS_RETURN_IF_ERROR(Put(ChangesKey(info.id, lease_->epoch(), batch.first, batch.last), batch.bytes));
      OMICS_RETURN_IF_ERROR(collection->DropChanges(batch.last));
      shipped = batch.last;
    }
    MutexLock lock(mutex_);
    Progress& now = progress_[info.id];
    now.shipped = std::max(now.shipped, shipped);
    shipped = now.shipped;  // a bundle may have come further
    now.changes_bytes += std::ssize(batch.bytes);
    now.changes += is_kept ? 1 : 0;
    const bool has_gap = !is_kept && shipped < wanted;
    if (has_gap) now.needs_bundle = true;
    if (BundleDue(now)) changed_.NotifyAll();
    if (has_gap) return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status Shipping::ShipCatalog(std::int64_t changes, const std::string& backup) {
  OMICS_RETURN_IF_ERROR(Put(CatalogKey(lease_->epoch(), catalog_number_), backup));
  ++catalog_number_;
  catalog_changes_ = changes;
  for (const char* folder : {"catalog/", "epochs/"}) {
    OMICS_ASSIGN_OR_RETURN(std::vector<cloud::S3Object> objects,
                           s3_->List(bucket_, Key(folder), kObjectsPerCollectionMax, &stop_));
    while (objects.size() > kOldObjectsKept + 1) {
      OMICS_RETURN_IF_ERROR(CheckWrites());
      OMICS_RETURN_IF_ERROR(s3_->Delete(bucket_, objects.front().key, &stop_));
      objects.erase(objects.begin());
    }
  }
  return absl::OkStatus();
}

// Only after the catalog without them is in S3, and while nobody else can have begun: then no one will ask for them.
absl::Status Shipping::RemoveDropped(const std::vector<index::CollectionInfo>& live) {
  std::vector<std::string> dropped;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, progress] : progress_) {
      const auto is_it = [&id = id](const index::CollectionInfo& info) { return info.id == id; };
      if (std::none_of(live.begin(), live.end(), is_it)) dropped.push_back(id);
    }
  }
  for (const std::string& id : dropped) {
    OMICS_ASSIGN_OR_RETURN(
        const std::vector<cloud::S3Object> objects,
        s3_->List(bucket_, Key(absl::StrCat("collections/", id, "/")), kObjectsPerCollectionMax, &stop_));
    for (const cloud::S3Object& object : objects) {
      OMICS_RETURN_IF_ERROR(CheckWrites());
      OMICS_RETURN_IF_ERROR(s3_->Delete(bucket_, object.key, &stop_));
    }
    MutexLock lock(mutex_);
    progress_.erase(id);
  }
  return absl::OkStatus();
}

void Shipping::RunBundles() {
  while (!stop_) {
    bool more = false;
    try {
      more = ShipNextBundle();
    } catch (const std::exception& error) {
      Failed(absl::InternalError(error.what()));
    }
    MutexLock lock(mutex_);
    if (!more && !stop_) changed_.WaitUntil(mutex_, Clock::now() + kBundleRetry);
  }
}

bool Shipping::BundleDue(const Progress& progress) const {
  return progress.needs_bundle || progress.changes > settings_.bundle_changes_max ||
         progress.changes_bytes > std::max(kBundleChangesBytesMin, progress.bundle_bytes / 2);
}

// True if one was shipped.
bool Shipping::ShipNextBundle() {
  const auto live = catalog_->ListAllCollections();
  if (!live.ok() || !CheckWrites().ok()) return false;
  for (const index::CollectionInfo& info : *live) {
    {
      MutexLock lock(mutex_);
      if (!BundleDue(progress_[info.id])) continue;
    }
    const absl::Status status = UnlessGone(ShipBundle(info));
    if (status.ok()) return true;
    Failed(Annotate(status, absl::StrCat("bundle of collection '", info.name, "'")));
  }
  return false;
}

absl::Status Shipping::ShipBundle(const index::CollectionInfo& info) {
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<index::Collection> collection, Open(info));
  const fs::path directory = settings_.data_dir / "tmp" / "ship";
  const fs::path file = directory / (info.id + ".tar.zst");
  std::error_code ignored;
  fs::create_directories(directory, ignored);
  fs::remove(file, ignored);
  index::BundleLimits limits;
  limits.progress = [this](std::int64_t, std::int64_t) {
    return stop_ ? absl::CancelledError("the service is stopping") : absl::OkStatus();
  };
  const auto manifest = index::SaveBundle(*catalog_, RefOf(info), file, limits);
  OMICS_RETURN_IF_ERROR(manifest.status());
  const std::string name = BundleKey(info.id, lease_->epoch(), manifest->sequence_number);
  const auto put = s3_->PutFile(bucket_, Key(name), file, &stop_);
  fs::remove(file, ignored);
  OMICS_RETURN_IF_ERROR(put.status());
  {
    MutexLock lock(mutex_);
    Progress& progress = progress_[info.id];
    progress.shipped = std::max(progress.shipped, manifest->sequence_number);
    progress.bundle_bytes = manifest->file_bytes;
    progress.changes_bytes = 0;
    progress.changes = 0;
    progress.needs_bundle = false;
  }
  LogInfo(absl::StrCat("shipped bundle=", Url(name), " records=", manifest->records, " bytes=", manifest->file_bytes));
  OMICS_RETURN_IF_ERROR(collection->DropChanges(manifest->sequence_number));
  return RemoveCovered(info.id);
}

// What is older than the last two bundles. They count now, while the lease is held, and so they always will: nothing
// that the older one covers is asked for again, even if a removal arrives late.
absl::Status Shipping::RemoveCovered(const std::string& id) {
  OMICS_ASSIGN_OR_RETURN(
      const std::vector<cloud::S3Object> listed,
      s3_->List(bucket_, Key(absl::StrCat("collections/", id, "/")), kObjectsPerCollectionMax, &stop_));
  std::vector<ShippedObject> objects;
  for (const cloud::S3Object& object : listed) {
    std::optional<ShippedObject> shipped = ParseShippedKey(std::string_view(object.key).substr(prefix_.size()));
    if (shipped) objects.push_back(*std::move(shipped));
  }
  const auto starts = starts_.find(id);
  const ShippedState state =
      PlanRestore(objects, starts == starts_.end() ? EpochStarts::mapped_type() : starts->second);
  if (state.bundles.size() < 2) return absl::OkStatus();
  const std::int64_t covered = state.bundles[1].last;
  for (const ShippedObject& object : objects) {
    if (object.last > covered || (object.is_bundle && object.last == covered)) continue;
    OMICS_RETURN_IF_ERROR(CheckWrites());
    OMICS_RETURN_IF_ERROR(s3_->Delete(bucket_, Key(object.key), &stop_));
  }
  return absl::OkStatus();
}

absl::Status Shipping::Finish() {
  StopThreads();
  stop_ = false;  // it also ends requests
  const auto latest = Clock::now() + kShipAtEnd;
  while (true) {
    const absl::StatusOr<bool> whole = Round();
    if (whole.ok() && *whole) break;
    if (whole.ok() && ShipNextBundle()) continue;
    if (!whole.ok()) Failed(whole.status());
    if (Clock::now() > latest || lease_->state() == cloud::LeaseState::kTaken) {
      return whole.ok() ? absl::DeadlineExceededError("a bundle could not be shipped in time") : whole.status();
    }
    std::this_thread::sleep_for(kFinishRetry);
  }
  LogInfo(absl::StrCat("all changes are shipped to ", settings_.url));
  began_ = false;
  return lease_->Release();
}

}  // namespace omics::services
