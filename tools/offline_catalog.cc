#include "tools/offline_catalog.h"

#include "absl/strings/str_cat.h"
#include "base/resources.h"
#include "base/status.h"

namespace omics::tools {

absl::StatusOr<std::unique_ptr<index::Catalog>> OpenOffline(const std::filesystem::path& data_dir,
                                                            std::string_view doing, bool beside_chroma_store) {
  index::CatalogOptions options;
  options.data_dir = data_dir;
  options.build_threads = DetectResources().threads;
  options.beside_chroma_store = beside_chroma_store;
  auto catalog = index::Catalog::Open(options);
  if (catalog.ok() || Reason(catalog.status()) != "DATA_DIR_LOCKED") return catalog;
  absl::Status status(catalog.status().code(),
                      absl::StrCat(catalog.status().message(), "; to ", ToAbsl(doing),
                                   " the running service, give --address instead of --data-dir"));
  return WithReason(std::move(status), "DATA_DIR_LOCKED");
}

}  // namespace omics::tools
