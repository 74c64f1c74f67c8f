// The JSON that Chroma keeps in its SQLite file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "index/record.h"

namespace omics::index {

// What collections.schema_str or collections.config_json_str says of the index; what is absent is not there.
struct ChromaIndexSettings {
  std::optional<std::string> space;
  std::optional<std::int64_t> m;
  std::optional<std::int64_t> ef_construction;
  std::optional<std::int64_t> ef_search;
};

// Reads settings from a schema (Chroma 1.3 on) or a configuration of any version. Text that is no JSON object has none.
ChromaIndexSettings ReadChromaIndexSettings(std::string_view json);

// {"configuration":…,"schema":…} of those two that are JSON objects; "" if neither is.
std::string JoinChromaConfiguration(std::string_view configuration, std::string_view schema);

// Applies the metadata of one log row to `record`: null takes a key out, "chroma:document" and "chroma:uri" are the
// record's document and URI. Empty text and "null" change nothing. INVALID_ARGUMENT if it is not such JSON.
absl::Status ApplyChromaMetadata(std::string_view json, RecordChange& record);

}  // namespace omics::index
