#include "index/catalog.h"

#include <utility>

#include "base/status.h"
#include "index/internal/catalog_impl.h"

namespace omics::index {

StagedCollection::StagedCollection(Catalog& catalog, CollectionInfo info, std::shared_ptr<Collection> collection)
    : catalog_(catalog), info_(std::move(info)), collection_(std::move(collection)) {}

StagedCollection::~StagedCollection() {
  if (!published_) catalog_.impl_->Discard(info_, *collection_);
}

absl::StatusOr<CollectionInfo> StagedCollection::Publish(const PublishOptions& options) {
  OMICS_RETURN_IF_ERROR(catalog_.impl_->Publish(info_, collection_, options));
  published_ = true;
  return info_;
}

absl::StatusOr<CollectionInfo> StagedCollection::Publish(bool replace) {
  PublishOptions options;
  options.replace = replace;
  return Publish(options);
}

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(CatalogOptions options) {
  const DataDir dir = {options.data_dir};
  if (!options.beside_chroma_store) OMICS_RETURN_IF_ERROR(RefuseChromaStore(dir));
  OMICS_ASSIGN_OR_RETURN(FileDescriptor lock, LockDataDir(dir));
  OMICS_ASSIGN_OR_RETURN(CatalogStore store, CatalogStore::Open(dir.catalog_file()));
  auto impl = std::make_unique<Impl>(std::move(options), dir, std::move(lock), std::move(store));
  OMICS_RETURN_IF_ERROR(impl->Load());
  return std::unique_ptr<Catalog>(new Catalog(std::move(impl)));
}

Catalog::Catalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Catalog::~Catalog() = default;

absl::Status Catalog::CreateTenant(const std::string& name) { return impl_->CreateTenant(name); }
absl::Status Catalog::GetTenant(const std::string& name) const { return impl_->GetTenant(name); }
absl::StatusOr<std::vector<std::string>> Catalog::ListTenants() const { return impl_->ListTenants(); }
absl::StatusOr<Database> Catalog::CreateDatabase(const std::string& tenant, const std::string& name) {
  return impl_->CreateDatabase(tenant, name);
}
absl::StatusOr<Database> Catalog::GetDatabase(const std::string& tenant, const std::string& name) const {
  return impl_->GetDatabase(tenant, name);
}
absl::StatusOr<std::vector<Database>> Catalog::ListDatabases(const std::string& tenant) const {
  return impl_->ListDatabases(tenant);
}
absl::Status Catalog::DeleteDatabase(const std::string& tenant, const std::string& name) {
  return impl_->DeleteDatabase(tenant, name);
}
absl::Status Catalog::Reset() { return impl_->Reset(); }
absl::StatusOr<CollectionInfo> Catalog::CreateCollection(const CollectionSpec& spec, bool get_or_create, bool* created,
                                                         const Visible& visible) {
  return impl_->CreateCollection(spec, get_or_create, created, visible);
}
absl::StatusOr<CollectionInfo> Catalog::GetCollection(const CollectionRef& ref, const Visible& visible) const {
  return impl_->GetCollection(ref, visible);
}
absl::StatusOr<CollectionPage> Catalog::ListCollections(const std::string& tenant, const std::string& database,
                                                        std::int64_t offset, std::int64_t limit,
                                                        const Visible& visible) const {
  return impl_->ListCollections(tenant, database, offset, limit, visible);
}
absl::StatusOr<std::vector<CollectionInfo>> Catalog::ListAllCollections(const Visible& visible) const {
  return impl_->ListAllCollections(visible);
}
absl::StatusOr<CollectionInfo> Catalog::UpdateCollection(const CollectionRef& ref, const CollectionUpdate& update,
                                                         const Visible& visible) {
  return impl_->UpdateCollection(ref, update, visible);
}
absl::Status Catalog::DeleteCollection(const CollectionRef& ref, const Visible& visible) {
  return impl_->DeleteCollection(ref, visible);
}
absl::StatusOr<std::shared_ptr<Collection>> Catalog::OpenCollection(const CollectionRef& ref,
                                                                    const Visible& visible) const {
  return impl_->OpenCollection(ref, visible);
}

std::vector<std::shared_ptr<Collection>> Catalog::OpenCollections() const { return impl_->OpenCollections(); }

std::int64_t Catalog::changes() const { return impl_->changes(); }
absl::StatusOr<std::string> Catalog::Backup() const { return impl_->Backup(); }

absl::StatusOr<Alias> Catalog::SetAlias(const std::string& name, const CollectionRef& ref, const Visible& visible) {
  return impl_->SetAlias(name, ref, visible);
}
absl::Status Catalog::DeleteAlias(const std::string& tenant, const std::string& database, const std::string& name,
                                  const Visible& visible) {
  return impl_->DeleteAlias(tenant, database, name, visible);
}
absl::StatusOr<std::vector<Alias>> Catalog::ListAliases(const std::string& tenant, const std::string& database,
                                                        const Visible& visible) const {
  return impl_->ListAliases(tenant, database, visible);
}
absl::StatusOr<CollectionSource> Catalog::GetSource(const CollectionRef& ref) const { return impl_->GetSource(ref); }
absl::Status Catalog::SetSource(const CollectionRef& ref, const CollectionSource& source) {
  return impl_->SetSource(ref, source);
}

absl::StatusOr<std::unique_ptr<StagedCollection>> Catalog::StageFiles(const CollectionSpec& spec, const std::string& id,
                                                                      const FillDirectory& fill) {
  OMICS_ASSIGN_OR_RETURN(Impl::Staged staged, impl_->StageFiles(spec, id, fill));
  return std::unique_ptr<StagedCollection>(
      new StagedCollection(*this, std::move(staged.info), std::move(staged.collection)));
}

absl::StatusOr<std::unique_ptr<StagedCollection>> Catalog::StageCollection(const CollectionSpec& spec) {
  OMICS_ASSIGN_OR_RETURN(Impl::Staged staged, impl_->Stage(spec));
  return std::unique_ptr<StagedCollection>(
      new StagedCollection(*this, std::move(staged.info), std::move(staged.collection)));
}

}  // namespace omics::index
