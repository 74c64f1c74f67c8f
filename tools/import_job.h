// The two ways of `vectorctl import`: into a running service, and offline into a data directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/client.h"
#include "tools/progress.h"

namespace omics::tools {

struct ImportJob {
  std::filesystem::path store;  // a Chroma directory or an archive of one
  std::string tenant;           // "" is the default
  std::string database;
  std::string collection;  // "" imports every collection under its own name
  std::string source;      // the collection of the store; "" if there is one
  bool replace = false;
};

struct ImportedCollection {
  std::string name;
  std::int64_t records = 0;
  int dimension = 0;
  std::string metric;
  std::vector<std::string> lost_ids;
};

// Sends the store to the service, and shows how far that and the import are. On an error nothing has changed there.
absl::StatusOr<std::vector<ImportedCollection>> ImportRemote(const ImportJob& job, const ClientOptions& options,
                                                             Progress& progress);

// Imports into `data_dir`, which is made if it is missing and must not be in use (FAILED_PRECONDITION,
// DATA_DIR_LOCKED), and builds the graphs, so that a service that starts there is ready at once.
absl::StatusOr<std::vector<ImportedCollection>> ImportOffline(const ImportJob& job,
                                                              const std::filesystem::path& data_dir,
                                                              Progress& progress);

}  // namespace omics::tools
