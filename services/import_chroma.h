// AdminService.ImportChroma: spools the archive to disk, then imports it.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>

#include "absl/status/status.h"
#include "index/catalog.h"
#include "index/chroma_import.h"
#include "omics/vector/v1/admin_service.pb.h"
#include "services/authorize.h"
#include "services/guard.h"
#include "services/health.h"
#include "services/streams.h"

namespace omics::services {

namespace pb = ::omics::vector::v1;

// An archive is not larger: 4 million records of 768 floats and their documents.
inline constexpr std::int64_t kArchiveBytesMax = std::int64_t{16} << 30;
// Each holds a thread, and its archive on disk twice.
inline constexpr int kImportsMax = 2;
// Thread safety: all members may be called from any thread.
class ChromaImporter {
 public:
  // `catalog` and `health` are borrowed and must outlive this object. Archives are kept in `spool_dir`, which is made
  // when it is needed, and removed on every path out of Run().
  ChromaImporter(index::Catalog& catalog, Health& health, std::filesystem::path spool_dir)
      : catalog_(catalog), health_(health), spool_dir_(std::move(spool_dir)) {}

  // One import. CANCELLED or DEADLINE_EXCEEDED leave nothing behind; RESOURCE_EXHAUSTED if kImportsMax already run or
  // the archive is larger than kArchiveBytesMax; INVALID_ARGUMENT if the stream does not begin with the target.
  absl::Status Run(const Reader<pb::ImportChromaRequest>& read, const Writer<pb::ImportChromaResponse>& write,
                   const Call& call);

 private:
  absl::Status CheckNameIsFree(const index::ImportTarget& target, const Call& call) const;
  absl::Status Report(const std::vector<index::ImportReport>& reports, const Writer<pb::ImportChromaResponse>& write,
                      const Call& call) const;

  AuthorizedCatalog catalog_;
  Health& health_;
  const std::filesystem::path spool_dir_;
  std::atomic<int> running_ = 0;
};

}  // namespace omics::services
