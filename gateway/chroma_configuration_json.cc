#include "gateway/chroma_configuration_json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "gateway/chroma_body.h"

namespace omics::gateway::json {
namespace {

absl::Status ReadSpace(od::value value, std::string& out) {
  OMICS_RETURN_IF_ERROR(ReadString(value, "configuration space", out));
  if (out == "l2" || out == "cosine" || out == "ip") return absl::OkStatus();
  return Shape("configuration: unknown space, expected one of `l2`, `cosine`, `ip`");
}

std::optional<std::int64_t>* IntMember(std::string_view key, ClientConfiguration& out) {
  if (key == "ef_construction") return &out.ef_construction;
  if (key == "ef_search") return &out.ef_search;
  if (key == "max_neighbors" || key == "M") return &out.max_neighbors;
  if (key == "num_threads") return &out.num_threads;
  if (key == "batch_size") return &out.batch_size;
  if (key == "sync_threshold") return &out.sync_threshold;
  return nullptr;
}

// One member of an "hnsw" object.
absl::Status ReadHnswMember(std::string_view key, od::value value, ClientConfiguration& out) {
  bool null;
  OMICS_RETURN_IF_ERROR(ReadNull(value, "configuration", null));
  if (null) return absl::OkStatus();
  if (key == "space") return ReadSpace(value, out.space);
  if (key == "resize_factor") {
    Number number;
    OMICS_RETURN_IF_ERROR(ReadNumber(value, "configuration resize_factor", number));
    out.resize_factor = number.double_value;
    return absl::OkStatus();
  }
  if (auto* member = IntMember(key, out)) {
    std::int64_t number;
    OMICS_RETURN_IF_ERROR(ReadInt(value, "configuration", number));
    *member = number;
    return absl::OkStatus();
  }
  return Skip(value, "configuration");
}

absl::Status ReadHnsw(od::value value, ClientConfiguration& out) {
  od::object object;
  if (value.get_object().get(object)) return NotA(od::json_type::object, value, "configuration");
  return ForMembers(object, "configuration",
                    [&](std::string_view key, od::value member) { return ReadHnswMember(key, member, out); });
}

// A spann index is served by the graph as well; only its metric counts.
absl::Status ReadSpann(od::value value, ClientConfiguration& out) {
  od::object object;
  if (value.get_object().get(object)) return NotA(od::json_type::object, value, "configuration");
  return ForMembers(object, "configuration", [&](std::string_view key, od::value member) -> absl::Status {
    bool null;
    OMICS_RETURN_IF_ERROR(ReadNull(member, "configuration", null));
    if (null) return absl::OkStatus();
    return key == "space" ? ReadSpace(member, out.space) : Skip(member, "configuration");
  });
}

// Looks for "vector_index" → "config" → "space" and its "hnsw" anywhere in a schema; the enabled one (under
// "#embedding") comes last in what clients send, and so wins.
absl::Status ReadSchemaNode(od::value value, bool in_vector_index, int depth, ClientConfiguration& out) {
  if (depth > kJsonDepthMax) return Shape("schema: nested too deeply");
  od::json_type type;
  OMICS_RETURN_IF_ERROR(ReadType(value, "schema", type));
  if (type != od::json_type::object) return Skip(value, "schema", depth);
  od::object object;
  if (value.get_object().get(object)) return NotA(od::json_type::object, value, "schema");
  return ForMembers(object, "schema", [&](std::string_view key, od::value member) -> absl::Status {
    bool null;
    OMICS_RETURN_IF_ERROR(ReadNull(member, "schema", null));
    if (null) return absl::OkStatus();
    if (in_vector_index && key == "space") return ReadSpace(member, out.space);
    if (in_vector_index && key == "hnsw") return ReadHnsw(member, out);
    if (in_vector_index && key == "embedding_function") return ReadRaw(member, "schema", out.embedding_function);
    return ReadSchemaNode(member, in_vector_index || key == "vector_index", depth + 1, out);
  });
}

}  // namespace

absl::Status ReadConfiguration(od::value value, ClientConfiguration& out) {
  od::object object;
  if (value.get_object().get(object)) return NotA(od::json_type::object, value, "configuration");
  int indexes = 0;
  return ForMembers(object, "configuration", [&](std::string_view key, od::value member) -> absl::Status {
    bool null;
    OMICS_RETURN_IF_ERROR(ReadNull(member, "configuration", null));
    if (null) return absl::OkStatus();
    const bool hnsw = key == "hnsw" || key == "hnsw_configuration";
    if ((hnsw || key == "spann") && ++indexes > 1) {
      return absl::InvalidArgumentError("Multiple vector index configurations provided");
    }
    if (hnsw) return ReadHnsw(member, out);
    if (key == "spann") return ReadSpann(member, out);
    if (key == "embedding_function") return ReadRaw(member, "configuration", out.embedding_function);
    return Skip(member, "configuration");
  });
}

absl::Status ReadSchema(od::value value, ClientConfiguration& out) { return ReadSchemaNode(value, false, 0, out); }

}  // namespace omics::gateway::json
