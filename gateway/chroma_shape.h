// Answers in the JSON shape that each Chroma client reads (docs/errors.md has the errors; this file the rest).
//
// A collection comes in three shapes:
//   minimal  {id,name,metadata}: lists for Python 0.4.0 to 0.5.3 (some refuse any other key), and v1 lists without
//            ?tenant=, whose clients know no tenants
//   legacy   + tenant, database, configuration_json with "_type", dimension, version: all else in v1, and Python
//            0.5.16 to 0.6.3 (python-httpx) on v2; never log_position, which 0.5.4 to 0.5.7 refuse
//   modern   configuration_json with hnsw, spann and embedding_function; schema, log_position: all else on v2
// configuration_json always tells the metric the collection really has, and for the parameters what the client asked
// for, else Chroma's defaults.
//
// get and query always carry both `include` (1.x) and `included` (0.5.1 to 0.6.3); v1 and python-httpx also
// `data`:null.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "gateway/chroma_read_json.h"
#include "gateway/http.h"

namespace omics::gateway {

enum class CollectionShape { kMinimal, kLegacy, kModern };

// For one collection (create, get), and for a list.
CollectionShape ShapeOfOne(Dialect dialect);
CollectionShape ShapeOfList(Dialect dialect, bool tenant_given);

void AppendCollection(std::string& out, const pb::Collection& collection, CollectionShape shape);

// A metadata object, keys sorted; null where it is empty.
void AppendMetadata(std::string& out, const google::protobuf::Map<std::string, pb::MetadataValue>& metadata);

// A get's answer, made page by page: each page becomes text at once and need not be kept.
// Thread safety: one thread at a time.
class GetAnswer {
 public:
  GetAnswer(const IncludeSet& include, Dialect dialect) : include_(include), dialect_(dialect) {}

  void Add(const pb::GetResponse& page);
  // Of the text so far.
  std::size_t bytes() const { return bytes_; }
  // All of it. Call it once.
  std::string Finish();

 private:
  static constexpr std::size_t kColumns = 5;  // ids, embeddings, documents, uris, metadatas

  const IncludeSet include_;
  const Dialect dialect_;
  std::size_t bytes_ = 0;
  // The elements of each column, a text for each page that has any.
  std::array<std::vector<std::string>, kColumns> columns_;
};

// A query's answer: one list per query vector, in order over `parts`.
std::string QueryAnswer(const std::vector<pb::QueryResponse>& parts, const IncludeSet& include, Dialect dialect);

// "l2", "cosine", "ip".
const char* SpaceName(pb::Metric metric);
// The metric of a space's name; METRIC_UNSPECIFIED if there is none such.
pb::Metric MetricFromSpace(std::string_view space);

}  // namespace omics::gateway
