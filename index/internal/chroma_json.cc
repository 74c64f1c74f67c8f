#include "index/internal/chroma_json.h"

#include <simdjson.h>

#include <cmath>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/internal/chroma_keys.h"

namespace omics::index {
namespace {

namespace dom = simdjson::dom;

absl::Status Malformed() { return absl::InvalidArgumentError("malformed metadata in embeddings_queue"); }

bool ParseObject(std::string_view json, dom::parser& parser, dom::object& object) {
  dom::element root;
  return !json.empty() && parser.parse(json.data(), json.size()).get(root) == simdjson::SUCCESS &&
         root.get(object) == simdjson::SUCCESS;
}

std::optional<std::int64_t> ReadInt(dom::element parent, std::string_view key) {
  std::int64_t value = 0;
  if (parent[key].get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}

std::optional<std::string> ReadText(dom::element parent, std::string_view key) {
  std::string_view value;
  if (parent[key].get(value) != simdjson::SUCCESS) return std::nullopt;
  return std::string(value);
}

// `object` holds M or max_neighbors, ef_construction, ef_search, and in a configuration the space too.
void ReadGraph(dom::element object, ChromaIndexSettings& settings) {
  settings.m = ReadInt(object, "max_neighbors");
  if (!settings.m) settings.m = ReadInt(object, "M");
  settings.ef_construction = ReadInt(object, "ef_construction");
  settings.ef_search = ReadInt(object, "ef_search");
}

absl::StatusOr<MetadataValue> ReadScalar(dom::element element) {
  switch (element.type()) {
    case dom::element_type::STRING:
      return MetadataValue(std::string(element.get_string().value_unsafe()));
    case dom::element_type::INT64:
      return MetadataValue(element.get_int64().value_unsafe());
    case dom::element_type::UINT64:
      return MetadataValue(static_cast<double>(element.get_uint64().value_unsafe()));
    case dom::element_type::DOUBLE:
      return MetadataValue(element.get_double().value_unsafe());
    case dom::element_type::BOOL:
      return MetadataValue(element.get_bool().value_unsafe());
    default:
      return Malformed();
  }
}

absl::StatusOr<MetadataValue> ReadValue(dom::element element) {
  dom::array array;
  if (element.get(array) != simdjson::SUCCESS) return ReadScalar(element);
  std::vector<MetadataValue> values;
  for (const dom::element item : array) {
    OMICS_ASSIGN_OR_RETURN(MetadataValue value, ReadScalar(item));
    values.push_back(std::move(value));
  }
  return JoinChromaList(std::move(values));
}

absl::Status ApplyField(std::string_view key, dom::element value, RecordChange& record) {
  if (value.is_null()) {
    RemoveChromaField(key, record);
    return absl::OkStatus();
  }
  dom::array array;
  if (value.get(array) == simdjson::SUCCESS && array.size() == 0) {
    RemoveChromaField(key, record);
    return absl::OkStatus();
  }
  OMICS_ASSIGN_OR_RETURN(MetadataValue converted, ReadValue(value));
  SetChromaField(key, std::move(converted), record);
  return absl::OkStatus();
}

}  // namespace

ChromaIndexSettings ReadChromaIndexSettings(std::string_view json) {
  ChromaIndexSettings settings;
  dom::parser parser;
  dom::object object;
  if (!ParseObject(json, parser, object)) return settings;
  dom::element part;
  if (object.at_pointer("/keys/#embedding/float_list/vector_index/config").get(part) == simdjson::SUCCESS) {
    dom::element graph;
    if (part["hnsw"].get(graph) == simdjson::SUCCESS) ReadGraph(graph, settings);
    settings.space = ReadText(part, "space");
  } else if (object["hnsw"].get(part) == simdjson::SUCCESS ||
             object["hnsw_configuration"].get(part) == simdjson::SUCCESS) {
    ReadGraph(part, settings);
    settings.space = ReadText(part, "space");
  }
  return settings;
}

std::string JoinChromaConfiguration(std::string_view configuration, std::string_view schema) {
  std::string joined;
  for (const auto& [name, json] : {std::pair("configuration", configuration), std::pair("schema", schema)}) {
    dom::parser parser;
    dom::object object;
    if (!ParseObject(json, parser, object)) continue;
    absl::StrAppend(&joined, joined.empty() ? "{" : ",", "\"", name, "\":", ToAbsl(json));
  }
  if (!joined.empty()) joined.push_back('}');
  return joined;
}

absl::Status ApplyChromaMetadata(std::string_view json, RecordChange& record) {
  if (json.empty() || json == "null") return absl::OkStatus();
  dom::parser parser;
  dom::object object;
  if (!ParseObject(json, parser, object)) return Malformed();
  for (const dom::key_value_pair field : object) OMICS_RETURN_IF_ERROR(ApplyField(field.key, field.value, record));
  return absl::OkStatus();
}

}  // namespace omics::index
