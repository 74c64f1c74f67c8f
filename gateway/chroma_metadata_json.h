// Reads metadata objects, of records and of collections, and the scalars that filters share with them. Includes
// simdjson: for the files that read JSON only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "gateway/http.h"
#include "gateway/json_reader.h"
#include "omics/vector/v1/vector_service.pb.h"

namespace omics::gateway::json {

namespace pb = ::omics::vector::v1;

using MetadataMap = google::protobuf::Map<std::string, pb::MetadataValue>;

// How a null metadata value is taken.
enum class NullValue { kRefuse, kDrop, kRemove };

// Reads the metadata of one request: all its objects together may have kMetadataValuesMax values.
//
// Thread safety: none; one reader for each request.
class MetadataReader {
 public:
  explicit MetadataReader(NullValue null_value) : null_value_(null_value) {}

  // `what` names the object in errors. `removed` gets the keys whose value is null or an empty list, with kRemove; null
  // if there is no use for them.
  absl::Status Read(od::object object, std::string_view what, MetadataMap& out,
                    google::protobuf::RepeatedPtrField<std::string>* removed);

  // Read so far, lists counted by their elements.
  std::int64_t values() const { return values_; }

 private:
  absl::Status Count();
  absl::Status ReadValue(od::value value, std::string_view what, std::string_view key, MetadataMap& out);
  absl::Status ReadList(od::value value, std::string_view what, std::string_view key, MetadataMap& out);

  NullValue null_value_;
  std::int64_t values_ = 0;
};

// The metadata of a collection; null is none, {} is refused, as Chroma does.
absl::Status ReadCollectionMetadata(od::value value, std::string_view what, Dialect dialect, MetadataMap& out);

bool IsScalar(od::json_type type);
// A value of the scalar type `type`.
absl::Status ReadScalar(od::value value, std::string_view what, od::json_type type, pb::MetadataValue& out);

}  // namespace omics::gateway::json
