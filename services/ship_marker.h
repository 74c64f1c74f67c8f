// What a data directory knows of its own shipping: the file `shipping` in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/status.h"

namespace omics::services {

// Tells whether this directory was the last to write under a prefix: it was, if the lease's last holder is `holder` and
// its epoch no later than `epoch`. It is written before the lease is taken, so that no crash in between makes a
// directory forget that it is the last.
struct ShipMarker {
  std::string holder;
  std::int64_t epoch = 0;
  std::string url;        // s3://bucket/prefix
  bool complete = false;  // false while the directory is being restored: nothing in it is worth keeping
};

// Nothing if there is none, or it cannot be understood.
std::optional<ShipMarker> ReadShipMarker(const std::filesystem::path& data_dir);
// Durable when it returns OK. Makes the directory where it is missing.
absl::Status WriteShipMarker(const std::filesystem::path& data_dir, const ShipMarker& marker);

}  // namespace omics::services
