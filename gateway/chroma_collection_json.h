// Reads the bodies that make and change tenants, databases and collections. Errors, limits, thread safety and
// ownership: chroma_body.h.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/chroma_configuration.h"
#include "gateway/http.h"
#include "omics/vector/v1/vector_service.pb.h"

namespace omics::gateway {

namespace pb = ::omics::vector::v1;

// {"name": …} of a tenant or a database.
absl::StatusOr<std::string> ParseNameBody(std::string& body);

struct CreateCollectionBody {
  std::string name;
  bool get_or_create = false;
  google::protobuf::Map<std::string, pb::MetadataValue> metadata;
  ClientConfiguration configuration;  // its `space` also from `schema`, where no `configuration` says it
};

// Metadata {} is refused, as Chroma does; null is none.
absl::StatusOr<CreateCollectionBody> ParseCreateCollection(std::string& body, Dialect dialect);

struct UpdateCollectionBody {
  std::optional<std::string> new_name;
  std::optional<google::protobuf::Map<std::string, pb::MetadataValue>> new_metadata;
  std::optional<ClientConfiguration> new_configuration;
};

// A `space` in new_configuration is refused (422): a metric does not change.
absl::StatusOr<UpdateCollectionBody> ParseUpdateCollection(std::string& body, Dialect dialect);

}  // namespace omics::gateway
