// The first half of Shipping: how a process takes the lease and makes its data directory what the bucket holds.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/uuid.h"
#include "index/restore.h"
#include "services/ship.h"
#include "services/ship_marker.h"

namespace omics::services {
namespace {

namespace fs = std::filesystem;

// Objects under a prefix: a thousand collections have about three hundred each at most.
constexpr std::size_t kObjectsMax = 1'000'000;
// A bundle comes in pieces of this size, each tried again by itself.
constexpr std::int64_t kPieceBytes = std::int64_t{16} << 20;
constexpr std::int64_t kChangesObjectBytesMax = std::int64_t{256} << 20;
constexpr std::int64_t kStartsBytesMax = std::int64_t{256} << 20;

// Changes are tried again by the next round anyway.
constexpr cloud::RetryOptions kShipRetry = {
    .attempts_max = 4, .delay_max = std::chrono::milliseconds(2'000), .total_max = std::chrono::milliseconds(10'000)};
// Several tries in a third of the lease's time.
constexpr cloud::RetryOptions kLeaseRetry = {.attempts_max = 2,
                                             .delay_first = std::chrono::milliseconds(100),
                                             .delay_max = std::chrono::milliseconds(500),
                                             .total_max = std::chrono::milliseconds(2'000)};
constexpr cloud::HttpTimeouts kLeaseTimeouts = {.connect = std::chrono::milliseconds(2'000),
                                                .stall = std::chrono::seconds(2),
                                                .total = std::chrono::milliseconds(3'000)};

std::string HostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

absl::StatusOr<std::unique_ptr<cloud::S3>> MakeS3(cloud::S3Options options) {
  cloud::CredentialsOptions credentials;
  credentials.region = options.region;
  return cloud::S3::Make(std::move(options), std::make_shared<cloud::CredentialChain>(std::move(credentials)));
}

// The catalog's file and what belongs to it: without them the directory counts as empty.
void RemoveCatalog(const fs::path& data_dir) {
  std::error_code ignored;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    fs::remove(data_dir / absl::StrCat("catalog.sqlite3", suffix), ignored);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Shipping>> Shipping::Prepare(ShipSettings settings, const std::atomic<bool>* stop) {
  std::unique_ptr<Shipping> shipping(new Shipping(std::move(settings)));
  OMICS_RETURN_IF_ERROR(shipping->Connect());
  OMICS_RETURN_IF_ERROR(shipping->TakeLease(stop));
  const absl::Status read = shipping->ReadBucket(stop);
  const absl::Status status = read.ok() ? shipping->RestoreData(stop) : read;
  if (status.ok()) return shipping;
  shipping->lease_->Release().IgnoreError();
  return Annotate(status, absl::StrCat("restore from ", shipping->settings_.url));
}

absl::Status Shipping::Connect() {
  // A url of a bucket alone is one without a prefix.
  std::string url = settings_.url;
  while (url.ends_with('/')) url.pop_back();
  OMICS_ASSIGN_OR_RETURN(const cloud::S3Location place, cloud::ParseS3Url(url + "/x"));
  bucket_ = place.bucket;
  prefix_ = place.key.substr(0, place.key.size() - 1);
  cloud::S3Options options = settings_.s3;
  options.retry = kShipRetry;
  OMICS_ASSIGN_OR_RETURN(s3_, MakeS3(options));
  options.retry = kLeaseRetry;
  options.timeouts = kLeaseTimeouts;
  OMICS_ASSIGN_OR_RETURN(lease_s3_, MakeS3(options));
  return absl::OkStatus();
}

absl::Status Shipping::TakeLease(const std::atomic<bool>* stop) {
  cloud::LeaseOptions options;
  options.bucket = bucket_;
  options.key = Key("lease.json");
  options.time = settings_.lease_time;
  options.host = HostName();
  const auto choose = [this](const cloud::LeaseHolder& last) { return ChooseHolder(last); };
  OMICS_ASSIGN_OR_RETURN(lease_, cloud::Lease::Take(*lease_s3_, options, choose, stop));
  LogInfo(absl::StrCat("holding the lease ", Url("lease.json"), " epoch=", lease_->epoch()));
  lease_->Start([this](cloud::LeaseState) { Tell(); });
  return absl::OkStatus();
}

absl::StatusOr<std::string> Shipping::ChooseHolder(const cloud::LeaseHolder& last) {
  const std::optional<ShipMarker> marker = ReadShipMarker(settings_.data_dir);
  const bool was_last = marker && marker->complete && marker->url == settings_.url && marker->holder == last.holder &&
                        last.epoch <= marker->epoch;
  own_data_ = was_last || last.epoch == 0;
  holder_ = was_last ? marker->holder : MakeUuid();
  if (own_data_) {
    OMICS_RETURN_IF_ERROR(
        WriteShipMarker(settings_.data_dir, {holder_, last.epoch + 1, settings_.url, /*complete=*/true}));
    return holder_;
  }
  if (!marker && index::HasCatalog(settings_.data_dir)) {
    return absl::FailedPreconditionError(
        absl::StrCat(settings_.data_dir.string(), " holds data that were never shipped, and ", settings_.url,
                     " is in use: give another --ship-to prefix, or an empty --data-dir"));
  }
  return holder_;
}

absl::Status Shipping::ReadBucket(const std::atomic<bool>* stop) {
  OMICS_ASSIGN_OR_RETURN(const std::vector<cloud::S3Object> catalogs,
                         s3_->List(bucket_, Key("catalog/"), kObjectsMax, stop));
  if (!catalogs.empty()) newest_catalog_ = catalogs.back().key;
  if (!newest_catalog_.empty() && newest_catalog_ >= Key(CatalogKey(lease_->epoch(), 0))) {
    return absl::FailedPreconditionError(
        absl::StrCat(Url("lease.json"), " is of epoch ", lease_->epoch(), ", but s3://", bucket_, "/", newest_catalog_,
                     " is not older: the lease's object was removed; write it again with the catalog's epoch"));
  }
  OMICS_ASSIGN_OR_RETURN(const std::vector<cloud::S3Object> epochs,
                         s3_->List(bucket_, Key("epochs/"), kObjectsMax, stop));
  if (!epochs.empty()) {
    OMICS_ASSIGN_OR_RETURN(const std::string text, Get(epochs.back().key, kStartsBytesMax, stop));
    const auto starts = ParseEpochStarts(text);
    if (!starts.ok()) return Annotate(starts.status(), epochs.back().key);
    starts_ = *starts;
  }
  OMICS_ASSIGN_OR_RETURN(const std::vector<cloud::S3Object> objects,
                         s3_->List(bucket_, Key("collections/"), kObjectsMax, stop));
  for (const cloud::S3Object& object : objects) {
    std::optional<ShippedObject> shipped = ParseShippedKey(std::string_view(object.key).substr(prefix_.size()));
    if (!shipped) continue;
    shipped->key = object.key;
    shipped->bytes = object.bytes;
    std::vector<ShippedObject>& of_collection = objects_[shipped->collection];
    of_collection.push_back(*std::move(shipped));
  }
  return absl::OkStatus();
}

absl::Status Shipping::RestoreData(const std::atomic<bool>* stop) {
  const fs::path& data_dir = settings_.data_dir;
  if (!index::HasCatalog(data_dir) && !newest_catalog_.empty()) own_data_ = false;
  if (own_data_) return absl::OkStatus();
  const std::optional<ShipMarker> marker = ReadShipMarker(data_dir);
  if (marker && !marker->complete) RemoveCatalog(data_dir);
  if (index::HasCatalog(data_dir)) {
    OMICS_ASSIGN_OR_RETURN(const fs::path aside, index::SetDataAside(data_dir));
    LogWarning(absl::StrCat("another process has written to ", settings_.url, " since ", data_dir.string(),
                            " was last in use: what was in it is now in ", aside.string()));
  }
  OMICS_RETURN_IF_ERROR(WriteShipMarker(data_dir, {holder_, lease_->epoch(), settings_.url, /*complete=*/false}));
  if (newest_catalog_.empty()) return absl::OkStatus();
  LogInfo(absl::StrCat("restoring ", data_dir.string(), " from s3://", bucket_, "/", newest_catalog_));
  OMICS_ASSIGN_OR_RETURN(const std::string backup,
                         Get(newest_catalog_, static_cast<std::int64_t>(index::kCatalogBytesMax), stop));
  return index::RestoreDataDir(
      data_dir, backup,
      [&](const index::CollectionInfo& info, const absl::Status& damage) -> absl::StatusOr<fs::path> {
        if (!damage.ok()) OMICS_RETURN_IF_ERROR(PassOverBundle(info.id, damage));
        return FetchBundle(info.id, stop);
      },
      settings_.threads);
}

ShippedState Shipping::StateOf(const std::string& id) const {
  const auto objects = objects_.find(id);
  const auto starts = starts_.find(id);
  return PlanRestore(objects == objects_.end() ? std::vector<ShippedObject>() : objects->second,
                     starts == starts_.end() ? EpochStarts::mapped_type() : starts->second);
}

absl::Status Shipping::PassOverBundle(const std::string& id, const absl::Status& damage) {
  const ShippedState before = StateOf(id);
  const std::string& damaged = before.bundles.front().key;
  std::erase_if(objects_.at(id), [&](const ShippedObject& object) { return object.key == damaged; });
  if (StateOf(id).last < before.last) {
    return Annotate(damage, absl::StrCat("s3://", bucket_, "/", damaged,
                                         ", and what is older does not reach as far; to go back to that, remove it"));
  }
  LogError(absl::StrCat("damaged bundle=s3://", bucket_, "/", damaged,
                        ", restoring from the one before and the changes since: ", damage.ToString()));
  return absl::OkStatus();
}

absl::StatusOr<fs::path> Shipping::FetchBundle(const std::string& id, const std::atomic<bool>* stop) const {
  const ShippedState state = StateOf(id);
  if (state.bundles.empty()) return fs::path();
  const ShippedObject& bundle = state.bundles.front();
  const fs::path directory = settings_.data_dir / "tmp" / "ship";
  const fs::path file = directory / (id + ".tar.zst");
  std::error_code ignored;
  fs::create_directories(directory, ignored);
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  std::string etag;
  for (std::int64_t at = 0; at < bundle.bytes;) {
    OMICS_ASSIGN_OR_RETURN(
        const cloud::S3Body piece,
        s3_->Get(bucket_, bundle.key,
                 {.first = at, .count = std::min(kPieceBytes, bundle.bytes - at), .if_match = etag}, stop));
    etag = piece.etag;
    at += std::ssize(piece.bytes);
    if (!out.write(piece.bytes.data(), std::ssize(piece.bytes)) || piece.bytes.empty()) {
      return ErrnoStatus(errno, absl::StrCat("write ", file.string(), " from s3://", bucket_, "/", bundle.key));
    }
  }
  if (!out.flush()) return ErrnoStatus(errno, absl::StrCat("write ", file.string()));
  return file;
}

absl::Status Shipping::Attach(index::Catalog& catalog) {
  catalog_ = &catalog;
  OMICS_ASSIGN_OR_RETURN(const std::vector<index::CollectionInfo> live, catalog.ListAllCollections());
  for (const index::CollectionInfo& info : live) {
    const absl::Status status = CatchUp(info);
    if (!status.ok()) return Annotate(status, absl::StrCat("collection '", info.name, "' from ", settings_.url));
  }
  {
    // Of what the catalog no longer has, so that its objects go.
    MutexLock lock(mutex_);
    for (const auto& [id, objects] : objects_) progress_[id];
  }
  OMICS_RETURN_IF_ERROR(BeginEpoch());
  objects_.clear();
  {
    MutexLock lock(mutex_);
    complete_ = Clock::now();
  }
  began_ = true;
  Tell();
  thread_ = std::thread([this] { Run(); });
  bundle_thread_ = std::thread([this] { RunBundles(); });
  return absl::OkStatus();
}

absl::Status Shipping::CatchUp(const index::CollectionInfo& info) {
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<index::Collection> collection, Open(info));
  const ShippedState state = StateOf(info.id);
  Progress progress;
  if (!state.bundles.empty()) progress.bundle_bytes = state.bundles.front().bytes;
  for (const ShippedObject& object : state.changes) {
    progress.changes_bytes += object.bytes;
    ++progress.changes;
    if (object.last <= collection->sequence_number()) continue;
    OMICS_ASSIGN_OR_RETURN(const std::string bytes, Get(object.key, kChangesObjectBytesMax, nullptr));
    const absl::Status applied = collection->ApplyChanges(bytes);
    if (!applied.ok()) return Annotate(applied, absl::StrCat("s3://", bucket_, "/", object.key));
  }
  if (collection->sequence_number() < state.last) {
    return absl::DataLossError(absl::StrCat("the data directory has changes up to ", collection->sequence_number(),
                                            " and S3 up to ", state.last, ", but not those between: empty ",
                                            settings_.data_dir.string(), " and start again"));
  }
  progress.shipped = state.last;
  OMICS_RETURN_IF_ERROR(collection->DropChanges(state.last));
  if (!own_data_) {
    LogInfo(absl::StrCat("restored collection=", info.name, " records=", collection->Count(),
                         " sequence_number=", collection->sequence_number(), " changes=", state.changes.size()));
  }
  MutexLock lock(mutex_);
  progress_[info.id] = progress;
  return absl::OkStatus();
}

// First the catalog, then the beginnings: from then on nothing that an earlier holder puts counts. A directory that was
// the last itself has no such holder to fear, and its catalog may name what is not in S3 yet.
absl::Status Shipping::BeginEpoch() {
  OMICS_ASSIGN_OR_RETURN(const std::vector<index::CollectionInfo> live, catalog_->ListAllCollections());
  EpochStarts starts;
  for (const index::CollectionInfo& info : live) {
    OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<index::Collection> collection, Open(info));
    auto& epochs = starts[info.id] = starts_[info.id];
    if (epochs.size() >= kEpochsRemembered) epochs.erase(epochs.begin());
    epochs.emplace_back(lease_->epoch(), collection->sequence_number());
  }
  if (!own_data_) {
    const std::int64_t changes = catalog_->changes();
    OMICS_ASSIGN_OR_RETURN(const std::string backup, catalog_->Backup());
    OMICS_RETURN_IF_ERROR(Put(CatalogKey(lease_->epoch(), catalog_number_++), backup));
    catalog_changes_ = changes;
  }
  OMICS_RETURN_IF_ERROR(Put(EpochKey(lease_->epoch()), EpochStartsToText(starts)));
  starts_ = std::move(starts);
  return WriteShipMarker(settings_.data_dir, {holder_, lease_->epoch(), settings_.url, /*complete=*/true});
}

}  // namespace omics::services
