// Reads the bodies that write records. Errors, limits, thread safety and ownership: chroma_body.h.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "gateway/http.h"
#include "omics/vector/v1/vector_service.pb.h"

namespace omics::gateway {

namespace pb = ::omics::vector::v1;

enum class WriteKind { kAdd, kUpsert, kUpdate };

// The columns `ids`, `embeddings` (lists of numbers, or base64 of little-endian float32), `metadatas`, `documents`,
// `uris` as records. A null metadata value takes the key out (update, upsert), is dropped (add, v1) or refused (add,
// v2). Embeddings must be there for add and upsert: the gateway computes none. Only a 0.x upsert may leave them out,
// for records that exist (the service refuses it for new ones).
absl::StatusOr<google::protobuf::RepeatedPtrField<pb::RecordChange>> ParseWrite(std::string& body, WriteKind kind,
                                                                                Dialect dialect);

}  // namespace omics::gateway
