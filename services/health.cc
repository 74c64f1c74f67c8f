#include "services/health.h"

#include <grpcpp/health_check_service_interface.h>

#include <algorithm>

namespace omics::services {
namespace {

constexpr const char* kServiceNames[] = {"", "omics.vector.v1.VectorService", "omics.vector.v1.AdminService"};

}  // namespace

void Health::Attach(grpc::HealthCheckServiceInterface& service) {
  const MutexLock lock(mutex_);
  service_ = &service;
  for (const char* name : kServiceNames) service_->SetServingStatus(name, false);
  for (const std::string& name : collections_) service_->SetServingStatus(name, false);
}

void Health::SetReady() {
  const MutexLock lock(mutex_);
  if (service_ == nullptr) return;
  ready_ = true;
  Show();
}

void Health::SetMayWrite(bool may_write) {
  const MutexLock lock(mutex_);
  may_write_ = may_write;
  if (service_ != nullptr) Show();
}

void Health::Show() {
  for (const char* name : kServiceNames) service_->SetServingStatus(name, ready_ && may_write_);
}

bool Health::ready() const {
  const MutexLock lock(mutex_);
  return ready_ && may_write_;
}

void Health::SetCollection(const index::CollectionInfo& collection, bool serving) {
  if (collection.tenant != index::kDefaultTenant || collection.database != index::kDefaultDatabase) return;
  if (std::find(collections_.begin(), collections_.end(), collection.name) == collections_.end()) return;
  const MutexLock lock(mutex_);
  if (service_ != nullptr) service_->SetServingStatus(collection.name, serving);
}

void Health::Stop() {
  const MutexLock lock(mutex_);
  ready_ = false;
  if (service_ != nullptr) service_->Shutdown();
  service_ = nullptr;
}

}  // namespace omics::services
