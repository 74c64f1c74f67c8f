#include "gateway/chroma_shape.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gateway/chroma_configuration.h"
#include "gateway/json_writer.h"

namespace omics::gateway {
namespace {

using MetadataMap = google::protobuf::Map<std::string, pb::MetadataValue>;

// Chroma's own defaults, shown where a client has set nothing.
constexpr std::int64_t kEfConstruction = 100;
constexpr std::int64_t kEfSearch = 100;
constexpr std::int64_t kLegacyEfSearch = 10;  // 0.x
constexpr std::int64_t kMaxNeighbors = 16;
// The service's own default, which it reports where nobody asked for anything; clients then see Chroma's.
constexpr std::int32_t kServiceEfConstruction = 200;
constexpr std::int64_t kNumThreads = 2;
constexpr std::int64_t kBatchSize = 100;
constexpr std::int64_t kSyncThreshold = 1000;
constexpr double kResizeFactor = 1.2;

template <typename Values, typename Append>
void AppendList(std::string& out, const Values& values, Append append) {
  out.push_back('[');
  Separator separator;
  for (const auto& value : values) {
    separator.Next(out);
    append(out, value);
  }
  out.push_back(']');
}

void AppendValue(std::string& out, const pb::MetadataValue& value) {
  switch (value.kind_case()) {
    case pb::MetadataValue::kStringValue:
      return AppendJsonString(out, value.string_value());
    case pb::MetadataValue::kIntValue:
      return AppendJsonInt(out, value.int_value());
    case pb::MetadataValue::kDoubleValue:
      return AppendJsonDouble(out, value.double_value());
    case pb::MetadataValue::kBoolValue:
      return AppendJsonBool(out, value.bool_value());
    case pb::MetadataValue::kStringList:
      return AppendList(out, value.string_list().values(), AppendJsonString);
    case pb::MetadataValue::kIntList:
      return AppendList(out, value.int_list().values(), AppendJsonInt);
    case pb::MetadataValue::kDoubleList:
      return AppendList(out, value.double_list().values(), AppendJsonDouble);
    case pb::MetadataValue::kBoolList:
      return AppendList(out, value.bool_list().values(), AppendJsonBool);
    case pb::MetadataValue::KIND_NOT_SET:
      out.append("null");
  }
}

void AppendKeyInt(std::string& out, Separator& separator, std::string_view key, std::int64_t value) {
  AppendJsonKey(out, separator, key);
  AppendJsonInt(out, value);
}

void AppendKeyString(std::string& out, Separator& separator, std::string_view key, std::string_view value) {
  AppendJsonKey(out, separator, key);
  AppendJsonString(out, value);
}

std::int64_t OrDefault(std::int32_t set, const std::optional<std::int64_t>& asked, std::int64_t fallback) {
  return set != 0 ? set : asked.value_or(fallback);
}

// The parameters both forms show.
struct Shown {
  std::int64_t ef_construction;
  std::int64_t ef_search;
  std::int64_t max_neighbors;
  double resize_factor;
  std::int64_t sync_threshold;
};

Shown ShownParameters(const pb::Collection& collection, const ClientConfiguration& asked,
                      std::int64_t ef_search = kEfSearch) {
  const std::int32_t ef_construction = collection.hnsw().ef_construction();
  return {OrDefault(ef_construction == kServiceEfConstruction ? 0 : ef_construction, asked.ef_construction,
                    kEfConstruction),
          OrDefault(collection.hnsw().ef_search(), asked.ef_search, ef_search),
          OrDefault(collection.hnsw().m(), asked.max_neighbors, kMaxNeighbors),
          asked.resize_factor.value_or(kResizeFactor), asked.sync_threshold.value_or(kSyncThreshold)};
}

void AppendLegacyConfiguration(std::string& out, const pb::Collection& collection, const ClientConfiguration& asked) {
  const Shown shown = ShownParameters(collection, asked, kLegacyEfSearch);
  out.append("{\"hnsw_configuration\":{");
  Separator s;
  AppendKeyString(out, s, "space", SpaceName(collection.metric()));
  AppendKeyInt(out, s, "ef_construction", shown.ef_construction);
  AppendKeyInt(out, s, "ef_search", shown.ef_search);
  AppendKeyInt(out, s, "num_threads", asked.num_threads.value_or(kNumThreads));
  AppendKeyInt(out, s, "M", shown.max_neighbors);
  AppendJsonKey(out, s, "resize_factor");
  AppendJsonDouble(out, shown.resize_factor);
  AppendKeyInt(out, s, "batch_size", asked.batch_size.value_or(kBatchSize));
  AppendKeyInt(out, s, "sync_threshold", shown.sync_threshold);
  AppendKeyString(out, s, "_type", "HNSWConfigurationInternal");
  out.append("},\"_type\":\"CollectionConfigurationInternal\"}");
}

void AppendModernConfiguration(std::string& out, const pb::Collection& collection, const ClientConfiguration& asked) {
  const Shown shown = ShownParameters(collection, asked);
  out.append("{\"hnsw\":{");
  Separator s;
  AppendKeyString(out, s, "space", SpaceName(collection.metric()));
  AppendKeyInt(out, s, "ef_construction", shown.ef_construction);
  AppendKeyInt(out, s, "ef_search", shown.ef_search);
  AppendKeyInt(out, s, "max_neighbors", shown.max_neighbors);
  AppendJsonKey(out, s, "resize_factor");
  AppendJsonDouble(out, shown.resize_factor);
  AppendKeyInt(out, s, "sync_threshold", shown.sync_threshold);
  out.append("},\"spann\":null,\"embedding_function\":");
  out.append(asked.embedding_function.empty() ? "null" : asked.embedding_function).append("}");
}

// The index of one vector field in a schema, as Chroma 1.x prints it.
std::string VectorIndex(const pb::Collection& collection, const ClientConfiguration& asked, bool enabled) {
  const Shown shown = ShownParameters(collection, asked);
  std::string out = absl::StrCat("{\"vector_index\":{\"enabled\":", enabled ? "true" : "false",
                                 ",\"config\":{\"space\":\"", SpaceName(collection.metric()), "\"");
  if (!asked.embedding_function.empty()) out.append(",\"embedding_function\":").append(asked.embedding_function);
  if (enabled) out.append(",\"source_key\":\"#document\"");
  out.append(",\"hnsw\":{");
  Separator s;
  AppendKeyInt(out, s, "ef_construction", shown.ef_construction);
  AppendKeyInt(out, s, "max_neighbors", shown.max_neighbors);
  AppendKeyInt(out, s, "ef_search", shown.ef_search);
  AppendKeyInt(out, s, "num_threads", asked.num_threads.value_or(kNumThreads));
  AppendKeyInt(out, s, "batch_size", asked.batch_size.value_or(kBatchSize));
  AppendKeyInt(out, s, "sync_threshold", shown.sync_threshold);
  AppendJsonKey(out, s, "resize_factor");
  AppendJsonDouble(out, shown.resize_factor);
  return out.append("}}}}");
}

void AppendSchema(std::string& out, const pb::Collection& collection, const ClientConfiguration& asked) {
  out.append(
      R"({"defaults":{"string":{"fts_index":{"enabled":false,"config":{}},"string_inverted_index":{"enabled":true,)"
      R"("config":{}}},"float_list":)");
  out.append(VectorIndex(collection, asked, false));
  out.append(
      R"(,"sparse_vector":{"sparse_vector_index":{"enabled":false,"config":{"embedding_function":{"type":"unknown"},)"
      R"("bm25":false}}},"int":{"int_inverted_index":{"enabled":true,"config":{}}},"float":{"float_inverted_index":)"
      R"({"enabled":true,"config":{}}},"bool":{"bool_inverted_index":{"enabled":true,"config":{}}}},"keys":)"
      R"({"#document":{"string":{"fts_index":{"enabled":true,"config":{}},"string_inverted_index":{"enabled":false,)"
      R"("config":{}}}},"#embedding":{"float_list":)");
  out.append(VectorIndex(collection, asked, true)).append("}}}");
}

void AppendDimension(std::string& out, Separator& s, const pb::Collection& collection) {
  AppendJsonKey(out, s, "dimension");
  collection.dimension() == 0 ? void(out.append("null")) : AppendJsonInt(out, collection.dimension());
}

void AppendFull(std::string& out, Separator& s, const pb::Collection& collection, bool modern) {
  const ClientConfiguration asked = ParseStoredConfiguration(collection.client_configuration());
  AppendJsonKey(out, s, "configuration_json");
  modern ? AppendModernConfiguration(out, collection, asked) : AppendLegacyConfiguration(out, collection, asked);
  if (modern) {
    AppendJsonKey(out, s, "schema");
    AppendSchema(out, collection, asked);
  }
  AppendDimension(out, s, collection);
  AppendKeyString(out, s, "tenant", collection.tenant());
  AppendKeyString(out, s, "database", collection.database());
  if (modern) AppendKeyInt(out, s, "log_position", 0);
  AppendKeyInt(out, s, "version", 0);
}

// --- columns
// ----------------------------------------------------------------------------------------------------------

void AppendEmbedding(std::string& out, const pb::Record& record) {
  AppendJsonFloats(out, {record.embedding().data(), static_cast<std::size_t>(record.embedding_size())});
}

void AppendDocument(std::string& out, const pb::Record& record) {
  record.has_document() ? AppendJsonString(out, record.document()) : void(out.append("null"));
}

void AppendUri(std::string& out, const pb::Record& record) {
  record.has_uri() ? AppendJsonString(out, record.uri()) : void(out.append("null"));
}

void AppendRecordMetadata(std::string& out, const pb::Record& record) { AppendMetadata(out, record.metadata()); }

void AppendId(std::string& out, const pb::Record& record) { AppendJsonString(out, record.id()); }

using AppendCell = void (*)(std::string&, const pb::Record&);

// The cells of one page, with commas between them.
std::string Cells(const pb::GetResponse& page, AppendCell append) {
  // A float is printed in 12 bytes or so; a short text is not worth a guess.
  constexpr int kFloatTextBytes = 13;
  std::string out;
  if (append == AppendEmbedding && page.records_size() > 0) {
    out.reserve(static_cast<std::size_t>(page.records_size()) * page.records(0).embedding_size() * kFloatTextBytes);
  }
  Separator separator;
  for (const pb::Record& record : page.records()) {
    separator.Next(out);
    append(out, record);
  }
  return out;
}

// A column of a get or a query.
struct Column {
  const char* key;
  bool IncludeSet::*wanted;  // null: always
  AppendCell append;
};

// In Chroma's order.
constexpr std::array<Column, 5> kColumnsInOrder = {{{"ids", nullptr, AppendId},
                                                    {"embeddings", &IncludeSet::embeddings, AppendEmbedding},
                                                    {"documents", &IncludeSet::documents, AppendDocument},
                                                    {"uris", &IncludeSet::uris, AppendUri},
                                                    {"metadatas", &IncludeSet::metadatas, AppendRecordMetadata}}};

bool Wanted(const Column& column, const IncludeSet& include) {
  return column.wanted == nullptr || include.*column.wanted;
}

// One list per query vector; `append` takes a hit.
template <typename Append>
void AppendQueryColumn(std::string& out, const std::vector<pb::QueryResponse>& parts, Append append) {
  out.push_back('[');
  Separator separator;
  for (const pb::QueryResponse& part : parts) {
    for (const pb::QueryResult& result : part.results()) {
      separator.Next(out);
      AppendList(out, result.hits(), append);
    }
  }
  out.push_back(']');
}

// All columns; `write(i)` writes the i-th if it is wanted.
template <typename Write>
void AppendColumns(std::string& out, Separator& s, const IncludeSet& include, Write write) {
  for (std::size_t i = 0; i < kColumnsInOrder.size(); ++i) {
    AppendJsonKey(out, s, kColumnsInOrder[i].key);
    Wanted(kColumnsInOrder[i], include) ? write(i) : void(out.append("null"));
  }
}

void AppendTail(std::string& out, Separator& s, const IncludeSet& include, Dialect dialect) {
  if (dialect.legacy()) {
    AppendJsonKey(out, s, "data");
    out.append("null");
  }
  for (const char* key : {"include", "included"}) {
    AppendJsonKey(out, s, key);
    AppendList(out, include.words, AppendJsonString);
  }
}

}  // namespace

CollectionShape ShapeOfOne(Dialect dialect) {
  return dialect.legacy() ? CollectionShape::kLegacy : CollectionShape::kModern;
}

CollectionShape ShapeOfList(Dialect dialect, bool tenant_given) {
  if (dialect.api != Api::kV1) return ShapeOfOne(dialect);
  const bool minimal = dialect.client == Client::kPythonRequests || !tenant_given;
  return minimal ? CollectionShape::kMinimal : CollectionShape::kLegacy;
}

void AppendCollection(std::string& out, const pb::Collection& collection, CollectionShape shape) {
  out.push_back('{');
  Separator s;
  AppendKeyString(out, s, "id", collection.id());
  AppendKeyString(out, s, "name", collection.name());
  AppendJsonKey(out, s, "metadata");
  AppendMetadata(out, collection.metadata());
  if (shape != CollectionShape::kMinimal) AppendFull(out, s, collection, shape == CollectionShape::kModern);
  out.push_back('}');
}

void AppendMetadata(std::string& out, const MetadataMap& metadata) {
  if (metadata.empty()) {
    out.append("null");
    return;
  }
  std::vector<const MetadataMap::value_type*> members;
  members.reserve(metadata.size());
  for (const auto& member : metadata) members.push_back(&member);
  std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  out.push_back('{');
  Separator separator;
  for (const auto* member : members) {
    AppendJsonKey(out, separator, member->first);
    AppendValue(out, member->second);
  }
  out.push_back('}');
}

void GetAnswer::Add(const pb::GetResponse& page) {
  if (page.records().empty()) return;
  for (std::size_t i = 0; i < kColumns; ++i) {
    if (!Wanted(kColumnsInOrder[i], include_)) continue;
    columns_[i].push_back(Cells(page, kColumnsInOrder[i].append));
    bytes_ += columns_[i].back().size();
  }
}

std::string GetAnswer::Finish() {
  constexpr std::size_t kFrameBytes = 512;
  std::string out;
  out.reserve(bytes_ + kFrameBytes);
  out.push_back('{');
  Separator s;
  AppendColumns(out, s, include_, [&](std::size_t i) {
    out.push_back('[');
    Separator pages;
    for (std::string& cells : columns_[i]) {
      pages.Next(out);
      out.append(cells);
      cells = std::string();
    }
    out.push_back(']');
  });
  AppendTail(out, s, include_, dialect_);
  return out.append("}");
}

std::string QueryAnswer(const std::vector<pb::QueryResponse>& parts, const IncludeSet& include, Dialect dialect) {
  std::string out = "{";
  Separator s;
  AppendColumns(out, s, include, [&](std::size_t i) {
    const AppendCell append = kColumnsInOrder[i].append;
    AppendQueryColumn(out, parts, [&](std::string& text, const pb::Hit& hit) { append(text, hit.record()); });
  });
  AppendJsonKey(out, s, "distances");
  if (include.distances) {
    AppendQueryColumn(out, parts, [](std::string& text, const pb::Hit& hit) { AppendJsonFloat(text, hit.distance()); });
  } else {
    out.append("null");
  }
  AppendTail(out, s, include, dialect);
  return out.append("}");
}

const char* SpaceName(pb::Metric metric) {
  if (metric == pb::METRIC_COSINE) return "cosine";
  return metric == pb::METRIC_INNER_PRODUCT ? "ip" : "l2";
}

pb::Metric MetricFromSpace(std::string_view space) {
  if (space == "l2") return pb::METRIC_SQUARED_L2;
  if (space == "cosine") return pb::METRIC_COSINE;
  return space == "ip" ? pb::METRIC_INNER_PRODUCT : pb::METRIC_UNSPECIFIED;
}

}  // namespace omics::gateway
