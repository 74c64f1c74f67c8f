// A data directory opened by vectorctl itself, while no service has it.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "index/catalog.h"

namespace omics::tools {

// `doing` is the verb of the hint that a running service has the directory: "import into", "load into", "save from".
// `beside_chroma_store` as in index::CatalogOptions. FAILED_PRECONDITION with the reason DATA_DIR_LOCKED.
absl::StatusOr<std::unique_ptr<index::Catalog>> OpenOffline(const std::filesystem::path& data_dir,
                                                            std::string_view doing, bool beside_chroma_store);

}  // namespace omics::tools
