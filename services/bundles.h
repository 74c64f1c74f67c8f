// AdminService.SaveBundle and LoadBundle: a collection as a stream of one file's bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "index/catalog.h"
#include "omics/vector/v1/admin_service.pb.h"
#include "services/authorize.h"
#include "services/guard.h"
#include "services/health.h"
#include "services/spool.h"
#include "services/streams.h"

namespace omics::services {

namespace pb = ::omics::vector::v1;

// A bundle that comes by a stream is not larger: 4 million records of 768 floats with their graphs.
inline constexpr std::int64_t kBundleFileBytesMax = std::int64_t{32} << 30;
// Saves and loads together. Each holds a thread, and the collection on disk twice.
inline constexpr int kBundlesMax = 2;

// Thread safety: all members may be called from any thread.
class Bundles {
 public:
  // `catalog` and `health` are borrowed and must outlive this object. Bundles are kept in `spool_dir` while they are
  // received or sent, and removed on every path out.
  Bundles(index::Catalog& catalog, Health& health, std::filesystem::path spool_dir)
      : catalog_(catalog), health_(health), spool_dir_(std::move(spool_dir)) {}

  // The progress of making the bundle, its summary, its bytes. CANCELLED and DEADLINE_EXCEEDED leave nothing behind;
  // RESOURCE_EXHAUSTED if kBundlesMax already run.
  absl::Status Save(const pb::SaveBundleRequest& request, const Writer<pb::SaveBundleResponse>& write,
                    const Call& call);
  // The collection is there when it returns OK, and not otherwise. INVALID_ARGUMENT if the stream does not begin with
  // the target, or for what is no bundle; DATA_LOSS for a damaged one; NOT_IN_SCOPE for a name or alias that the caller
  // could not use afterwards.
  absl::Status Load(const Reader<pb::LoadBundleRequest>& read, const Call& call, pb::LoadBundleResponse& response);

 private:
  absl::StatusOr<std::unique_ptr<Spool>> Receive(const Reader<pb::LoadBundleRequest>& read, const Call& call) const;

  AuthorizedCatalog catalog_;
  Health& health_;
  const std::filesystem::path spool_dir_;
  std::atomic<int> running_ = 0;
};

}  // namespace omics::services
