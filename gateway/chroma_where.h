// Reads `where` and `where_document` into the service's filters, both of which may nest to kFilterDepthMax levels and
// kFilterNodesMax conditions. Includes simdjson: for the files that read JSON only.
#pragma once

#include "absl/status/status.h"
#include "gateway/http.h"
#include "gateway/json_reader.h"
#include "omics/vector/v1/vector_service.pb.h"

namespace omics::gateway::json {

namespace pb = ::omics::vector::v1;

// Sets `present` unless the value is null, or {} where that means nothing (0.x).
absl::Status ReadWhere(od::value value, Dialect dialect, pb::Filter& out, bool& present);
absl::Status ReadWhereDocument(od::value value, Dialect dialect, pb::Filter& out, bool& present);

}  // namespace omics::gateway::json
