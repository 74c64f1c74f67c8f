#include "gateway/chroma_collection_json.h"

#include <string_view>
#include <utility>

#include "base/status.h"
#include "gateway/chroma_configuration_json.h"
#include "gateway/chroma_metadata_json.h"
#include "gateway/json_reader.h"

namespace omics::gateway {

absl::StatusOr<std::string> ParseNameBody(std::string& body) {
  std::optional<std::string> name;
  OMICS_RETURN_IF_ERROR(json::ReadObject(body, [&](std::string_view key, json::od::value value) {
    return key == "name" ? json::ReadString(value, key, name.emplace()) : json::Skip(value, key);
  }));
  if (!name) return json::Missing("name");
  return *std::move(name);
}

absl::StatusOr<CreateCollectionBody> ParseCreateCollection(std::string& body, Dialect dialect) {
  CreateCollectionBody out;
  ClientConfiguration schema;
  bool has_name = false;
  OMICS_RETURN_IF_ERROR(json::ReadObject(body, [&](std::string_view key, json::od::value value) -> absl::Status {
    if (key == "name") {
      has_name = true;
      return json::ReadString(value, key, out.name);
    }
    if (key == "metadata") return json::ReadCollectionMetadata(value, key, dialect, out.metadata);
    bool null;
    OMICS_RETURN_IF_ERROR(json::ReadNull(value, key, null));
    if (null) return absl::OkStatus();
    if (key == "get_or_create") return json::ReadBool(value, key, out.get_or_create);
    if (key == "configuration") return json::ReadConfiguration(value, out.configuration);
    if (key == "schema") return json::ReadSchema(value, schema);
    return json::Skip(value, key);
  }));
  if (!has_name) return json::Missing("name");
  schema.Merge(out.configuration);
  out.configuration = std::move(schema);
  return out;
}

absl::StatusOr<UpdateCollectionBody> ParseUpdateCollection(std::string& body, Dialect dialect) {
  UpdateCollectionBody out;
  OMICS_RETURN_IF_ERROR(json::ReadObject(body, [&](std::string_view key, json::od::value value) -> absl::Status {
    bool null;
    OMICS_RETURN_IF_ERROR(json::ReadNull(value, key, null));
    if (null) return absl::OkStatus();
    if (key == "new_name") return json::ReadString(value, key, out.new_name.emplace());
    if (key == "new_metadata") return json::ReadCollectionMetadata(value, key, dialect, out.new_metadata.emplace());
    if (key == "new_configuration") return json::ReadConfiguration(value, out.new_configuration.emplace());
    return json::Skip(value, key);
  }));
  if (out.new_configuration && !out.new_configuration->space.empty()) {
    return json::Shape("new_configuration: `space` cannot be changed");
  }
  return out;
}

}  // namespace omics::gateway
