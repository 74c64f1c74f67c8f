// Reads embeddings: lists of numbers, or base64 of little-endian float32. Every float is finite. Includes simdjson: for
// the files that read JSON only.
#pragma once

#include "absl/status/status.h"
#include "gateway/json_reader.h"
#include "omics/vector/v1/vector_service.pb.h"

namespace omics::gateway::json {

namespace pb = ::omics::vector::v1;

// Appends a list of numbers.
absl::Status ReadFloats(od::value value, google::protobuf::RepeatedField<float>& out);

// The embedding of a record, in either form; it has at least one number.
absl::Status ReadEmbedding(od::value value, pb::RecordChange& out);

}  // namespace omics::gateway::json
