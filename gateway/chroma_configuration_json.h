// Reads a ClientConfiguration. Includes simdjson: for the files that read JSON only.
#pragma once

#include "absl/status/status.h"
#include "gateway/chroma_configuration.h"
#include "gateway/json_reader.h"

namespace omics::gateway::json {

// The value of `configuration`, in either form. Members that are null are as absent.
absl::Status ReadConfiguration(od::value value, ClientConfiguration& out);

// The value of `schema` (1.x): what its vector index says beside all that the service does not have.
absl::Status ReadSchema(od::value value, ClientConfiguration& out);

}  // namespace omics::gateway::json
