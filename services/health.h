// grpc.health.v1: the service as a whole (""), each of its two services, and each collection of --prewarm-collections.
#pragma once

#include <string>
#include <vector>

#include "base/mutex.h"
#include "index/catalog.h"

namespace grpc {
class HealthCheckServiceInterface;
}  // namespace grpc

namespace omics::services {

// Thread safety: all members may be called from any thread.
class Health {
 public:
  // `collections` are names in the default tenant and database.
  explicit Health(std::vector<std::string> collections) : collections_(std::move(collections)) {}

  const std::vector<std::string>& collections() const { return collections_; }

  // Takes the running server's health service, which must outlive this object's use, and makes every name NOT_SERVING.
  void Attach(grpc::HealthCheckServiceInterface& service);

  // The service as a whole and its two services are SERVING.
  void SetReady();
  bool ready() const;
  // Not ready although it answers: a balancer should prefer another. What was SetReady() before comes back with true.
  void SetMayWrite(bool may_write);

  // A collection was loaded, made or removed. Those that have no health name are ignored.
  void SetCollection(const index::CollectionInfo& collection, bool serving);

  // Every name is NOT_SERVING from now on.
  void Stop();

 private:
  void Show() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::vector<std::string> collections_;

  mutable Mutex mutex_;
  grpc::HealthCheckServiceInterface* service_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool may_write_ ABSL_GUARDED_BY(mutex_) = true;
};

}  // namespace omics::services
