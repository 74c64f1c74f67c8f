// What `vectorctl bundle` does, against a running service and offline on a data directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/client.h"
#include "tools/progress.h"

namespace omics::tools {

struct SavedBundle {
  std::int64_t records = 0;
  std::int64_t sequence_number = 0;
  std::int64_t bytes = 0;  // of the file
  std::string sha256;      // of the file, hex
};

// Writes a new file, which is there when it is whole. ALREADY_EXISTS if there is one of that name.
absl::StatusOr<SavedBundle> SaveRemote(const CollectionOptions& collection, const std::filesystem::path& file,
                                       const ClientOptions& options, Progress& progress);
absl::StatusOr<SavedBundle> SaveOffline(const CollectionOptions& collection, const std::filesystem::path& file,
                                        const std::filesystem::path& data_dir, Progress& progress);

struct BundleLoadJob {
  std::filesystem::path file;
  CollectionOptions collection;  // its name "" is the one that it was saved under
  bool replace = false;
  std::vector<std::string> aliases;
};

struct LoadedBundle {
  std::string name;
  std::int64_t records = 0;
  std::int64_t sequence_number = 0;
};

// On an error nothing has changed there.
absl::StatusOr<LoadedBundle> LoadRemote(const BundleLoadJob& job, const ClientOptions& options, Progress& progress);
// The data directory is made if it is missing, and must not be in use (FAILED_PRECONDITION, DATA_DIR_LOCKED).
absl::StatusOr<LoadedBundle> LoadOffline(const BundleLoadJob& job, const std::filesystem::path& data_dir,
                                         Progress& progress);

struct S3Settings {
  std::string endpoint;  // "" is AWS's
  std::string region = "us-east-1";
};

// Puts the file at s3://bucket/key, and at the same key with ".sha256" what `sha256sum` would print for it.
// OUT_OF_RANGE for more than 5 GiB; else the errors of cloud::S3.
absl::Status PushBundle(const std::filesystem::path& file, const SavedBundle& bundle, const std::string& url,
                        const S3Settings& settings, Progress& progress);

}  // namespace omics::tools
