#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/uuid.h"
#include "index/internal/catalog_impl.h"
#include "index/internal/collection_spec.h"

namespace omics::index {

absl::StatusOr<CollectionInfo> Catalog::Impl::CreateCollection(const CollectionSpec& spec, bool get_or_create,
                                                               bool* created, const Visible& visible) {
  if (created) *created = false;
  OMICS_RETURN_IF_ERROR(ValidateCollectionName(spec.name));
  MutexLock change(change_mutex_);
  const absl::StatusOr<CollectionInfo> existing = GetCollection({spec.tenant, spec.database, spec.name, ""}, nullptr);
  if (existing.ok() && get_or_create && (!visible || visible(*existing))) return existing;
  if (existing.ok()) return NameTaken(spec.name, *existing);
  OMICS_ASSIGN_OR_RETURN(Staged staged, StageLocked(spec));
  const absl::Status published = PublishLocked(staged.info, staged.collection, PublishOptions());
  if (!published.ok()) {
    RemoveCollectionFiles(staged.info.id).IgnoreError();
    return published;
  }
  if (created) *created = true;
  return staged.info;
}

absl::StatusOr<Catalog::Impl::Staged> Catalog::Impl::Stage(const CollectionSpec& spec) {
  MutexLock change(change_mutex_);
  return StageLocked(spec);
}

absl::StatusOr<CollectionInfo> Catalog::Impl::AddRow(const CollectionSpec& spec, const std::string& id) {
  OMICS_RETURN_IF_ERROR(ValidateSpec(spec));
  CollectionInfo info = {id,          spec.tenant, spec.database, spec.name,
                         spec.metric, spec.hnsw,   spec.metadata, spec.client_configuration};
  {
    MutexLock lock(mutex_);
    OMICS_RETURN_IF_ERROR(CheckDatabase(spec.tenant, spec.database));
    // A collection of the name may still go, or be replaced; work for an alias's name would be for nothing.
    OMICS_RETURN_IF_ERROR(CheckNameFree(info, /*replace=*/true));
    if (by_id_.contains(id) || by_former_id_.contains(id) || staged_numbers_.contains(id)) {
      return CatalogExists("COLLECTION_EXISTS", absl::StrCat("a collection with the id ", id, " already exists"));
    }
  }
  OMICS_ASSIGN_OR_RETURN(staged_numbers_[id], store_.AddCollection(info));
  return info;
}

absl::StatusOr<Catalog::Impl::Staged> Catalog::Impl::StageLocked(const CollectionSpec& spec) {
  Staged staged;
  OMICS_ASSIGN_OR_RETURN(staged.info, AddRow(spec, MakeUuid()));
  const CollectionImpl::Place place = {dir_.collection(staged.info.id), spec.metric, spec.hnsw};
  absl::StatusOr<std::shared_ptr<CollectionImpl>> collection = CollectionImpl::Create(place, options_, builder_);
  if (!collection.ok()) {
    RemoveCollectionFiles(staged.info.id).IgnoreError();
    return collection.status();
  }
  staged.collection = *std::move(collection);
  return staged;
}

absl::StatusOr<Catalog::Impl::Staged> Catalog::Impl::StageFiles(const CollectionSpec& spec, const std::string& id,
                                                                const FillDirectory& fill) {
  if (!id.empty() && !IsUuid(id)) return absl::InvalidArgumentError("a collection's id is a UUID");
  Staged staged;
  {
    MutexLock change(change_mutex_);
    OMICS_ASSIGN_OR_RETURN(staged.info, AddRow(spec, id.empty() ? MakeUuid() : absl::AsciiStrToLower(id)));
  }
  const CollectionImpl::Place place = {dir_.collection(staged.info.id), spec.metric, spec.hnsw};
  absl::StatusOr<std::shared_ptr<CollectionImpl>> collection = OpenFilled(place, fill);
  if (!collection.ok()) {
    MutexLock change(change_mutex_);
    RemoveCollectionFiles(staged.info.id).IgnoreError();
    return collection.status();
  }
  staged.collection = *std::move(collection);
  return staged;
}

absl::StatusOr<std::shared_ptr<CollectionImpl>> Catalog::Impl::OpenFilled(const CollectionImpl::Place& place,
                                                                          const FillDirectory& fill) {
  std::error_code error;
  std::filesystem::create_directory(place.directory, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("make directory ", place.directory.string()));
  OMICS_RETURN_IF_ERROR(fill(place.directory));
  OMICS_RETURN_IF_ERROR(SyncDirectory(dir_.collections()));
  return CollectionImpl::Open(place, options_, builder_);
}

absl::Status Catalog::Impl::Publish(const CollectionInfo& info, std::shared_ptr<Collection> collection,
                                    const PublishOptions& options) {
  MutexLock change(change_mutex_);
  return PublishLocked(info, std::static_pointer_cast<CollectionImpl>(std::move(collection)), options);
}

absl::Status Catalog::Impl::PublishLocked(const CollectionInfo& info, std::shared_ptr<CollectionImpl> collection,
                                          const PublishOptions& options) {
  EntryPtr replaced;
  {
    MutexLock lock(mutex_);
    OMICS_RETURN_IF_ERROR(CheckDatabase(info.tenant, info.database));
    OMICS_RETURN_IF_ERROR(CheckNameFree(info, options.replace));
    for (const std::string& alias : options.aliases) OMICS_RETURN_IF_ERROR(CheckAlias(alias, info, options.visible));
    if (const auto found = by_name_.find(KeyOf(info)); found != by_name_.end()) replaced = found->second;
  }
  if (options_.keep_changes) OMICS_RETURN_IF_ERROR(collection->KeepChanges());
  OMICS_RETURN_IF_ERROR(store_.MakeLive(info, replaced ? replaced->info.id : "", options));
  auto entry = std::make_shared<Entry>();
  entry->info = info;
  {
    MutexLock open(entry->open_mutex);
    entry->collection = std::move(collection);
  }
  {
    MutexLock lock(mutex_);
    if (replaced) {
      HandOn(replaced, entry);
      RemoveLive(replaced->info);
    }
    AddLive(staged_numbers_[info.id], entry);
    for (const std::string& alias : options.aliases) by_alias_[{info.tenant, info.database, alias}] = entry;
  }
  staged_numbers_.erase(info.id);
  if (replaced) RemoveFiles({replaced});
  return absl::OkStatus();
}

void Catalog::Impl::Discard(const CollectionInfo& info, Collection& collection) {
  MutexLock change(change_mutex_);
  static_cast<CollectionImpl&>(collection).MarkDropped();
  // What cannot be removed now is removed by the next Open(): its row still says 'creating'.
  RemoveCollectionFiles(info.id).IgnoreError();
}

absl::Status Catalog::Impl::DropRows(const std::vector<std::string>& ids, const std::vector<std::string>& database_ids,
                                     const std::vector<std::string>& tenants) {
  const absl::Status dropped = store_.Drop(ids, database_ids, tenants);
  if (Reason(dropped) != "DISK_FULL") return dropped;
  ReleaseReserve(dir_);
  return store_.Drop(ids, database_ids, tenants);
}

void Catalog::Impl::RemoveFiles(const std::vector<EntryPtr>& entries) {
  for (const EntryPtr& entry : entries) {
    {
      MutexLock open(entry->open_mutex);
      if (entry->collection) entry->collection->MarkDropped();
      entry->collection = nullptr;
      entry->removed = true;
    }
    // As above: the row says 'dropping'.
    RemoveCollectionFiles(entry->info.id).IgnoreError();
  }
  MakeReserve(dir_);
}

absl::Status Catalog::Impl::RemoveCollectionFiles(const std::string& id) {
  staged_numbers_.erase(id);
  std::error_code error;
  std::filesystem::remove_all(dir_.collection(id), error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("remove ", dir_.collection(id).string()));
  return store_.Forget(id);
}

}  // namespace omics::index
