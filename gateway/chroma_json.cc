#include "gateway/chroma_json.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "gateway/json_reader.h"
#include "gateway/json_writer.h"

namespace omics::gateway {
namespace {

using json::ForElements;
using json::ForMembers;
using json::FromError;
using json::NotA;
using json::ReadNull;
using json::Shape;
using json::Skip;
namespace od = simdjson::ondemand;

using MetadataMap = google::protobuf::Map<std::string, pb::MetadataValue>;
using Records = google::protobuf::RepeatedPtrField<pb::RecordChange>;

absl::Status Missing(std::string_view field) { return Shape(absl::StrCat("missing field `", ToAbsl(field), "`")); }

// --- metadata
// ---------------------------------------------------------------------------------------------------------

// How a null metadata value is taken.
enum class NullValue { kRefuse, kDrop, kRemove };

struct MetadataReader {
  NullValue null_value = NullValue::kRefuse;
  std::int64_t values = 0;  // of the whole request

  absl::Status Count() {
    if (++values <= kMetadataValuesMax) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("more than ", kMetadataValuesMax,
                                                   " metadata values in one request: send fewer records at a time"));
  }

  // `removed` gets the keys whose value is null, with kRemove.
  absl::Status Read(od::object object, std::string_view what, MetadataMap& out,
                    google::protobuf::RepeatedPtrField<std::string>* removed);

 private:
  absl::Status ReadValue(od::value value, std::string_view what, std::string_view key, MetadataMap& out);
  absl::Status ReadList(od::value value, std::string_view what, std::string_view key, MetadataMap& out);
};

absl::Status BadMetadataValue(std::string_view what, std::string_view key) {
  return Shape(absl::StrCat(ToAbsl(what), ".", ToAbsl(key),
                            ": a metadata value is a string, a number, a boolean, or a list of one of these"));
}

absl::Status ReadScalar(od::value value, std::string_view what, od::json_type type, pb::MetadataValue& out) {
  if (type == od::json_type::string) return json::ReadString(value, what, *out.mutable_string_value());
  if (type == od::json_type::boolean) {
    bool truth;
    OMICS_RETURN_IF_ERROR(json::ReadBool(value, what, truth));
    out.set_bool_value(truth);
    return absl::OkStatus();
  }
  json::Number number;
  OMICS_RETURN_IF_ERROR(json::ReadNumber(value, what, number));
  number.is_int ? out.set_int_value(number.int_value) : out.set_double_value(number.double_value);
  return absl::OkStatus();
}

bool IsScalar(od::json_type type) {
  return type == od::json_type::string || type == od::json_type::boolean || type == od::json_type::number;
}

// Appends `element` to the list in `out`. False if the list is of another type.
bool AppendToList(pb::MetadataValue&& element, pb::MetadataValue& out) {
  const auto kind = out.kind_case();
  const auto fits = [&](pb::MetadataValue::KindCase list) {
    return kind == pb::MetadataValue::KIND_NOT_SET || kind == list;
  };
  switch (element.kind_case()) {
    case pb::MetadataValue::kStringValue:
      if (!fits(pb::MetadataValue::kStringList)) return false;
      out.mutable_string_list()->add_values(std::move(*element.mutable_string_value()));
      return true;
    case pb::MetadataValue::kIntValue:
      if (!fits(pb::MetadataValue::kIntList)) return false;
      out.mutable_int_list()->add_values(element.int_value());
      return true;
    case pb::MetadataValue::kDoubleValue:
      if (!fits(pb::MetadataValue::kDoubleList)) return false;
      out.mutable_double_list()->add_values(element.double_value());
      return true;
    default:
      if (!fits(pb::MetadataValue::kBoolList)) return false;
      out.mutable_bool_list()->add_values(element.bool_value());
      return true;
  }
}

absl::Status MetadataReader::ReadList(od::value value, std::string_view what, std::string_view key, MetadataMap& out) {
  od::array array;
  if (value.get_array().get(array)) return NotA(od::json_type::array, value, what);
  pb::MetadataValue list;
  OMICS_RETURN_IF_ERROR(ForElements(array, what, [&](od::value element) -> absl::Status {
    OMICS_RETURN_IF_ERROR(Count());
    od::json_type type;
    OMICS_RETURN_IF_ERROR(json::ReadType(element, what, type));
    if (!IsScalar(type)) return BadMetadataValue(what, key);
    pb::MetadataValue scalar;
    OMICS_RETURN_IF_ERROR(ReadScalar(element, what, type, scalar));
    return AppendToList(std::move(scalar), list) ? absl::OkStatus() : BadMetadataValue(what, key);
  }));
  // An empty list has no type to keep; Chroma drops it as well.
  if (list.kind_case() != pb::MetadataValue::KIND_NOT_SET) out[std::string(key)] = std::move(list);
  return absl::OkStatus();
}

absl::Status MetadataReader::ReadValue(od::value value, std::string_view what, std::string_view key, MetadataMap& out) {
  od::json_type type;
  OMICS_RETURN_IF_ERROR(json::ReadType(value, what, type));
  if (type == od::json_type::array) return ReadList(value, what, key, out);
  if (!IsScalar(type)) return BadMetadataValue(what, key);
  return ReadScalar(value, what, type, out[std::string(key)]);
}

absl::Status MetadataReader::Read(od::object object, std::string_view what, MetadataMap& out,
                                  google::protobuf::RepeatedPtrField<std::string>* removed) {
  return ForMembers(object, what, [&](std::string_view key, od::value value) -> absl::Status {
    OMICS_RETURN_IF_ERROR(Count());
    bool null;
    OMICS_RETURN_IF_ERROR(ReadNull(value, what, null));
    if (!null) return ReadValue(value, what, key, out);
    if (null_value == NullValue::kRefuse) return BadMetadataValue(what, key);
    if (null_value == NullValue::kRemove && removed != nullptr) removed->Add(std::string(key));
    return absl::OkStatus();
  });
}

// The metadata of a collection. `given` is false for null.
absl::Status ReadCollectionMetadata(od::value value, std::string_view what, Dialect dialect, MetadataMap& out,
                                    bool& given) {
  out.clear();
  bool null;
  OMICS_RETURN_IF_ERROR(ReadNull(value, what, null));
  given = !null;
  if (null) return absl::OkStatus();
  od::object object;
  if (value.get_object().get(object)) return NotA(od::json_type::object, value, what);
  MetadataReader reader;
  if (dialect.legacy()) reader.null_value = NullValue::kDrop;
  OMICS_RETURN_IF_ERROR(reader.Read(object, what, out, nullptr));
  if (reader.values > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(dialect.api == Api::kV1
                                        ? "Expected metadata to be a non-empty dict, got 0 metadata attributes"
                                        : "Validation error: metadata: Metadata cannot be empty");
}

// --- configuration
// ----------------------------------------------------------------------------------------------------

absl::Status ReadSpace(od::value value, std::string& out) {
  OMICS_RETURN_IF_ERROR(json::ReadString(value, "configuration space", out));
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
    json::Number number;
    OMICS_RETURN_IF_ERROR(json::ReadNumber(value, "configuration resize_factor", number));
    out.resize_factor = number.double_value;
    return absl::OkStatus();
  }
  if (auto* member = IntMember(key, out)) {
    std::int64_t number;
    OMICS_RETURN_IF_ERROR(json::ReadInt(value, "configuration", number));
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
    if (key == "embedding_function") return json::ReadRaw(member, "configuration", out.embedding_function);
    return Skip(member, "configuration");
  });
}

// Looks for "vector_index" → "config" → "space" and its "hnsw" anywhere in a schema; the enabled one (under
// "#embedding") comes last in what clients send, and so wins.
absl::Status ReadSchema(od::value value, bool in_vector_index, int depth, ClientConfiguration& out) {
  if (depth > kJsonDepthMax) return Shape("schema: nested too deeply");
  od::json_type type;
  OMICS_RETURN_IF_ERROR(json::ReadType(value, "schema", type));
  if (type != od::json_type::object) return Skip(value, "schema", depth);
  od::object object;
  if (value.get_object().get(object)) return NotA(od::json_type::object, value, "schema");
  return ForMembers(object, "schema", [&](std::string_view key, od::value member) -> absl::Status {
    bool null;
    OMICS_RETURN_IF_ERROR(ReadNull(member, "schema", null));
    if (null) return absl::OkStatus();
    if (in_vector_index && key == "space") return ReadSpace(member, out.space);
    if (in_vector_index && key == "hnsw") return ReadHnsw(member, out);
    if (in_vector_index && key == "embedding_function") return json::ReadRaw(member, "schema", out.embedding_function);
    return ReadSchema(member, in_vector_index || key == "vector_index", depth + 1, out);
  });
}

void AppendInt(std::string& out, Separator& separator, std::string_view key, const std::optional<std::int64_t>& value) {
  if (!value) return;
  AppendJsonKey(out, separator, key);
  AppendJsonInt(out, *value);
}

// --- records
// ----------------------------------------------------------------------------------------------------------

absl::Status AppendFloat(od::value element, google::protobuf::RepeatedField<float>& out) {
  double number;
  if (element.get_double().get(number)) return NotA(od::json_type::number, element, "embeddings");
  const auto narrow = static_cast<float>(number);
  if (!std::isfinite(narrow)) {
    return absl::InvalidArgumentError(
        "Validation error: embeddings: Embeddings must not contain NaN or Infinity values");
  }
  out.Add(narrow);
  return absl::OkStatus();
}

absl::Status ReadFloats(od::value value, google::protobuf::RepeatedField<float>& out) {
  od::array array;
  if (value.get_array().get(array)) return NotA(od::json_type::array, value, "embeddings");
  return ForElements(array, "embeddings", [&](od::value element) { return AppendFloat(element, out); });
}

absl::Status ReadBase64(od::value value, google::protobuf::RepeatedField<float>& out) {
  std::string_view text;
  if (value.get_string().get(text)) return NotA(od::json_type::string, value, "embeddings");
  if (!DecodeBase64Floats(text, out)) {
    return absl::InvalidArgumentError("an embedding is not base64 of little-endian 32-bit floats");
  }
  for (const float number : out) {
    if (!std::isfinite(number)) return absl::InvalidArgumentError("Non-finite float value in a base64 embedding");
  }
  return absl::OkStatus();
}

absl::Status ReadEmbedding(od::value value, pb::RecordChange& out) {
  od::json_type type;
  OMICS_RETURN_IF_ERROR(json::ReadType(value, "embeddings", type));
  out.clear_embedding();
  if (type == od::json_type::string) {
    OMICS_RETURN_IF_ERROR(ReadBase64(value, *out.mutable_embedding()));
  } else {
    OMICS_RETURN_IF_ERROR(ReadFloats(value, *out.mutable_embedding()));
  }
  if (out.embedding_size() > 0) return absl::OkStatus();
  return absl::InvalidArgumentError("Validation error: embeddings: Each embedding must have at least 1 dimension");
}

// The columns of a write, turned into rows as they come.
class WriteReader {
 public:
  WriteReader(WriteKind kind, Dialect dialect)
      : needs_embeddings_(kind == WriteKind::kAdd || (kind == WriteKind::kUpsert && !dialect.legacy())) {
    metadata_.null_value = kind != WriteKind::kAdd ? NullValue::kRemove
                           : dialect.legacy()      ? NullValue::kDrop
                                                   : NullValue::kRefuse;
  }

  absl::Status Read(std::string_view key, od::value value) {
    if (key == "ids") return Column(key, value, ids_, &WriteReader::ReadId);
    if (key == "embeddings") return Column(key, value, embeddings_, &WriteReader::ReadEmbeddingCell);
    if (key == "metadatas") return Column(key, value, metadatas_, &WriteReader::ReadMetadata);
    if (key == "documents") return Column(key, value, documents_, &WriteReader::ReadDocument);
    if (key == "uris") return Column(key, value, uris_, &WriteReader::ReadUri);
    return Skip(value, key);
  }

  absl::StatusOr<Records> Finish() {
    if (ids_ < 0) return Missing("ids");
    if (embeddings_ < 0 && ids_ > 0 && needs_embeddings_) return Missing("embeddings");
    for (const int column : {embeddings_, metadatas_, documents_, uris_}) {
      if (column >= 0 && column != ids_) {
        return absl::InvalidArgumentError("Inconsistent number of IDs, embeddings, documents, URIs and metadatas");
      }
    }
    OMICS_RETURN_IF_ERROR(CheckRows());
    return std::move(records_);
  }

 private:
  using ReadCell = absl::Status (WriteReader::*)(od::value, pb::RecordChange&);

  // `count` is -1 for a column that is absent or null.
  absl::Status Column(std::string_view what, od::value value, int& count, ReadCell read) {
    bool null;
    OMICS_RETURN_IF_ERROR(ReadNull(value, what, null));
    count = null ? -1 : 0;
    if (null) return absl::OkStatus();
    od::array array;
    if (value.get_array().get(array)) return NotA(od::json_type::array, value, what);
    return ForElements(array, what, [&](od::value cell) -> absl::Status {
      if (count == kRecordsMax) {
        return absl::InvalidArgumentError(absl::StrCat("more than ", kRecordsMax, " records in one request"));
      }
      if (count == records_.size()) records_.Add();
      bool cell_null;
      OMICS_RETURN_IF_ERROR(ReadNull(cell, what, cell_null));
      pb::RecordChange& record = records_[count++];
      return cell_null ? NullCell(what) : (this->*read)(cell, record);
    });
  }

  absl::Status NullCell(std::string_view what) const {
    const bool required = what == "ids" || (what == "embeddings" && needs_embeddings_);
    return required ? Shape(absl::StrCat(ToAbsl(what), ": a value is null")) : absl::OkStatus();
  }

  absl::Status ReadId(od::value value, pb::RecordChange& record) {
    OMICS_RETURN_IF_ERROR(json::ReadString(value, "ids", *record.mutable_id()));
    if (!record.id().empty()) return absl::OkStatus();
    return absl::InvalidArgumentError("Empty ID, ID must have at least one character");
  }
  absl::Status ReadEmbeddingCell(od::value value, pb::RecordChange& record) { return ReadEmbedding(value, record); }
  absl::Status ReadMetadata(od::value value, pb::RecordChange& record) {
    od::object object;
    if (value.get_object().get(object)) return NotA(od::json_type::object, value, "metadatas");
    return metadata_.Read(object, "metadatas", *record.mutable_metadata(), record.mutable_remove_metadata_keys());
  }
  absl::Status ReadDocument(od::value value, pb::RecordChange& record) {
    return json::ReadString(value, "documents", *record.mutable_document());
  }
  absl::Status ReadUri(od::value value, pb::RecordChange& record) {
    return json::ReadString(value, "uris", *record.mutable_uri());
  }

  absl::Status CheckRows() const {
    int dimension = 0;
    for (const pb::RecordChange& record : records_) {
      if (record.embedding_size() == 0) continue;
      if (dimension == 0) dimension = record.embedding_size();
      if (record.embedding_size() != dimension) {
        return WithReason(absl::InvalidArgumentError("Inconsistent dimensions in provided embeddings"),
                          "DIMENSION_MISMATCH");
      }
    }
    return absl::OkStatus();
  }

  bool needs_embeddings_;
  MetadataReader metadata_;
  Records records_;
  int ids_ = -1;
  int embeddings_ = -1;
  int metadatas_ = -1;
  int documents_ = -1;
  int uris_ = -1;
};

// --- reads
// ------------------------------------------------------------------------------------------------------------

absl::Status ReadIds(od::value value, std::optional<std::vector<std::string>>& out) {
  out.reset();
  bool null;
  OMICS_RETURN_IF_ERROR(ReadNull(value, "ids", null));
  if (null) return absl::OkStatus();
  od::array array;
  if (value.get_array().get(array)) return NotA(od::json_type::array, value, "ids");
  out.emplace();
  return ForElements(array, "ids", [&](od::value element) -> absl::Status {
    if (out->size() == kRecordsMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kRecordsMax, " ids in one request"));
    }
    return json::ReadString(element, "ids", out->emplace_back());
  });
}

absl::Status SetInclude(const std::string& word, Dialect dialect, IncludeSet& out) {
  if (word == "documents") {
    out.documents = true;
  } else if (word == "embeddings") {
    out.embeddings = true;
  } else if (word == "metadatas") {
    out.metadatas = true;
  } else if (word == "distances") {
    out.distances = true;
  } else if (word == "uris") {
    out.uris = true;
  } else if (word != "data" || !dialect.legacy()) {
    return Shape("include: expected one of `distances`, `documents`, `embeddings`, `metadatas`, `uris`");
  }
  return absl::OkStatus();
}

absl::Status ReadInclude(od::value value, Dialect dialect, IncludeSet& out) {
  // More would be repetitions.
  constexpr std::size_t kWordsMax = 16;
  out = IncludeSet();
  od::array array;
  if (value.get_array().get(array)) return NotA(od::json_type::array, value, "include");
  return ForElements(array, "include", [&](od::value element) -> absl::Status {
    std::string word;
    OMICS_RETURN_IF_ERROR(json::ReadString(element, "include", word));
    OMICS_RETURN_IF_ERROR(SetInclude(word, dialect, out));
    if (out.words.size() == kWordsMax) return Shape("include: too many words");
    out.words.push_back(std::move(word));
    return absl::OkStatus();
  });
}

absl::Status NegativeNumber(std::string_view what, Dialect dialect) {
  const std::string message = absl::StrCat(ToAbsl(what), ": a negative number makes no sense here");
  return dialect.api == Api::kV1 ? absl::InvalidArgumentError(message) : Shape(message);
}

// A whole number of 0 or more; null leaves `out` as it is.
absl::Status ReadCountMember(od::value value, std::string_view what, Dialect dialect,
                             std::optional<std::int64_t>& out) {
  bool null;
  OMICS_RETURN_IF_ERROR(ReadNull(value, what, null));
  if (null) return absl::OkStatus();
  std::int64_t number;
  OMICS_RETURN_IF_ERROR(json::ReadInt(value, what, number));
  if (number < 0) return NegativeNumber(what, dialect);
  // Chroma's own type is a 32-bit number; nothing larger can be meant.
  out = std::min<std::int64_t>(number, std::numeric_limits<std::int32_t>::max());
  return absl::OkStatus();
}

absl::Status ReadQueryVectors(od::value value, std::vector<pb::QueryVector>& out) {
  out.clear();
  od::array array;
  if (value.get_array().get(array)) return NotA(od::json_type::array, value, "query_embeddings");
  return ForElements(array, "query_embeddings", [&](od::value element) -> absl::Status {
    if (out.size() == kQueryVectorsMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("more than ", kQueryVectorsMax, " query embeddings in one request"));
    }
    return ReadFloats(element, *out.emplace_back().mutable_values());
  });
}

// `where` and `where_document`, put together.
class FilterReader {
 public:
  explicit FilterReader(Dialect dialect) : dialect_(dialect) {}

  absl::Status Where(od::value value, ReadBody& out) {
    where_.Clear();
    OMICS_RETURN_IF_ERROR(NoteGiven(value, out));
    return json::ReadWhere(value, dialect_, where_, has_where_);
  }
  absl::Status WhereDocument(od::value value, ReadBody& out) {
    where_document_.Clear();
    OMICS_RETURN_IF_ERROR(NoteGiven(value, out));
    return json::ReadWhereDocument(value, dialect_, where_document_, has_where_document_);
  }
  void Finish(ReadBody& out) {
    if (has_where_ && has_where_document_) {
      auto* both = out.filter.emplace().mutable_all_of();
      *both->add_filters() = std::move(where_);
      *both->add_filters() = std::move(where_document_);
    } else if (has_where_ || has_where_document_) {
      out.filter = std::move(has_where_ ? where_ : where_document_);
    }
  }

 private:
  static absl::Status NoteGiven(od::value value, ReadBody& out) {
    od::json_type type;
    OMICS_RETURN_IF_ERROR(json::ReadType(value, "where", type));
    out.where_given |= type != od::json_type::null;
    return absl::OkStatus();
  }

  Dialect dialect_;
  bool has_where_ = false;
  bool has_where_document_ = false;
  pb::Filter where_;
  pb::Filter where_document_;
};

// Calls `own(key, value, handled)` for the members that are not common to all reads.
template <typename Own>
absl::StatusOr<ReadBody> ParseRead(std::string& body, Dialect dialect, ReadBody out, Own own) {
  FilterReader filter(dialect);
  OMICS_RETURN_IF_ERROR(json::ReadObject(body, [&](std::string_view key, od::value value) -> absl::Status {
    if (key == "ids") return ReadIds(value, out.ids);
    if (key == "where") return filter.Where(value, out);
    if (key == "where_document") return filter.WhereDocument(value, out);
    return own(key, value, out);
  }));
  filter.Finish(out);
  return out;
}

}  // namespace

// --- public
// -----------------------------------------------------------------------------------------------------------

void ClientConfiguration::Merge(const ClientConfiguration& other) {
  const auto take = [](auto& mine, const auto& theirs) {
    if (theirs) mine = theirs;
  };
  if (!other.space.empty()) space = other.space;
  take(ef_construction, other.ef_construction);
  take(ef_search, other.ef_search);
  take(max_neighbors, other.max_neighbors);
  take(num_threads, other.num_threads);
  take(batch_size, other.batch_size);
  take(sync_threshold, other.sync_threshold);
  take(resize_factor, other.resize_factor);
  if (!other.embedding_function.empty()) embedding_function = other.embedding_function;
}

std::string ClientConfiguration::ToStored() const {
  std::string hnsw;
  Separator members;
  AppendInt(hnsw, members, "ef_construction", ef_construction);
  AppendInt(hnsw, members, "ef_search", ef_search);
  AppendInt(hnsw, members, "max_neighbors", max_neighbors);
  AppendInt(hnsw, members, "num_threads", num_threads);
  AppendInt(hnsw, members, "batch_size", batch_size);
  AppendInt(hnsw, members, "sync_threshold", sync_threshold);
  if (resize_factor) {
    AppendJsonKey(hnsw, members, "resize_factor");
    AppendJsonDouble(hnsw, *resize_factor);
  }
  if (hnsw.empty() && embedding_function.empty()) return "";
  std::string out = "{";
  Separator separator;
  if (!hnsw.empty()) {
    AppendJsonKey(out, separator, "hnsw");
    out.append("{").append(hnsw).append("}");
  }
  if (!embedding_function.empty()) {
    AppendJsonKey(out, separator, "embedding_function");
    out.append(embedding_function);
  }
  return out.append("}");
}

ClientConfiguration ParseStoredConfiguration(const std::string& stored) {
  ClientConfiguration out;
  if (stored.empty()) return out;
  std::string wrapped = absl::StrCat("{\"configuration\":", stored, "}");
  const absl::Status read =
      json::ReadObject(wrapped, [&](std::string_view, od::value value) { return ReadConfiguration(value, out); });
  // What cannot be read is shown with the members read so far: the text is another program's, and only for display.
  read.IgnoreError();
  return out;
}

absl::StatusOr<std::string> ParseNameBody(std::string& body) {
  std::optional<std::string> name;
  OMICS_RETURN_IF_ERROR(json::ReadObject(body, [&](std::string_view key, od::value value) {
    return key == "name" ? json::ReadString(value, key, name.emplace()) : Skip(value, key);
  }));
  if (!name) return Missing("name");
  return *std::move(name);
}

absl::StatusOr<CreateCollectionBody> ParseCreateCollection(std::string& body, Dialect dialect) {
  CreateCollectionBody out;
  ClientConfiguration schema;
  bool has_name = false;
  OMICS_RETURN_IF_ERROR(json::ReadObject(body, [&](std::string_view key, od::value value) -> absl::Status {
    if (key == "name") {
      has_name = true;
      return json::ReadString(value, key, out.name);
    }
    bool given;
    if (key == "metadata") return ReadCollectionMetadata(value, key, dialect, out.metadata, given);
    bool null;
    OMICS_RETURN_IF_ERROR(ReadNull(value, key, null));
    if (null) return absl::OkStatus();
    if (key == "get_or_create") return json::ReadBool(value, key, out.get_or_create);
    if (key == "configuration") return ReadConfiguration(value, out.configuration);
    if (key == "schema") return ReadSchema(value, false, 0, schema);
    return Skip(value, key);
  }));
  if (!has_name) return Missing("name");
  schema.Merge(out.configuration);
  out.configuration = std::move(schema);
  return out;
}

absl::StatusOr<UpdateCollectionBody> ParseUpdateCollection(std::string& body, Dialect dialect) {
  UpdateCollectionBody out;
  OMICS_RETURN_IF_ERROR(json::ReadObject(body, [&](std::string_view key, od::value value) -> absl::Status {
    bool null;
    OMICS_RETURN_IF_ERROR(ReadNull(value, key, null));
    if (null) return absl::OkStatus();
    bool given;
    if (key == "new_name") return json::ReadString(value, key, out.new_name.emplace());
    if (key == "new_metadata") return ReadCollectionMetadata(value, key, dialect, out.new_metadata.emplace(), given);
    if (key == "new_configuration") return ReadConfiguration(value, out.new_configuration.emplace());
    return Skip(value, key);
  }));
  if (out.new_configuration && !out.new_configuration->space.empty()) {
    return Shape("new_configuration: `space` cannot be changed");
  }
  return out;
}

absl::StatusOr<Records> ParseWrite(std::string& body, WriteKind kind, Dialect dialect) {
  WriteReader reader(kind, dialect);
  OMICS_RETURN_IF_ERROR(
      json::ReadObject(body, [&](std::string_view key, od::value value) { return reader.Read(key, value); }));
  return reader.Finish();
}

IncludeSet IncludeSet::ForGet() {
  IncludeSet set;
  set.documents = set.metadatas = true;
  set.words = {"documents", "metadatas"};
  return set;
}

IncludeSet IncludeSet::ForQuery() {
  IncludeSet set = ForGet();
  set.distances = true;
  set.words.emplace_back("distances");
  return set;
}

absl::StatusOr<ReadBody> ParseGet(std::string& body, Dialect dialect) {
  ReadBody start;
  start.include = IncludeSet::ForGet();
  auto out = ParseRead(body, dialect, std::move(start), [&](std::string_view key, od::value value, ReadBody& read) {
    if (key == "limit") return ReadCountMember(value, key, dialect, read.limit);
    if (key == "include") return ReadInclude(value, dialect, read.include);
    if (key != "offset") return Skip(value, key);
    std::optional<std::int64_t> offset;
    OMICS_RETURN_IF_ERROR(ReadCountMember(value, key, dialect, offset));
    read.offset = offset.value_or(0);
    return absl::OkStatus();
  });
  if (out.ok() && dialect.api == Api::kV1 && out->limit == 0) out->limit.reset();
  return out;
}

absl::StatusOr<ReadBody> ParseQueryBody(std::string& body, Dialect dialect) {
  ReadBody start;
  start.include = IncludeSet::ForQuery();
  bool has_vectors = false;
  auto out = ParseRead(body, dialect, std::move(start), [&](std::string_view key, od::value value, ReadBody& read) {
    if (key == "query_embeddings") {
      has_vectors = true;
      return ReadQueryVectors(value, read.query_vectors);
    }
    if (key == "include") return ReadInclude(value, dialect, read.include);
    if (key != "n_results") return Skip(value, key);
    std::optional<std::int64_t> count;
    OMICS_RETURN_IF_ERROR(ReadCountMember(value, key, dialect, count));
    read.n_results = count.value_or(10);
    return absl::OkStatus();
  });
  if (out.ok() && !has_vectors) return Missing("query_embeddings");
  return out;
}

absl::StatusOr<ReadBody> ParseDelete(std::string& body, Dialect dialect) {
  return ParseRead(body, dialect, ReadBody(), [&](std::string_view key, od::value value, ReadBody& read) {
    return key == "limit" ? ReadCountMember(value, key, dialect, read.limit) : Skip(value, key);
  });
}

bool DecodeBase64Floats(std::string_view text, google::protobuf::RepeatedField<float>& out) {
  static_assert(std::endian::native == std::endian::little);
  if (text.size() % 4 != 0) return false;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  const std::size_t bytes = text.size() / 4 * 3 - padding;
  if (bytes % sizeof(float) != 0) return false;
  const auto digit = [](char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
  };
  std::string decoded;
  decoded.reserve(bytes + 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t group = 0;
    for (std::size_t j = i; j < i + 4; ++j) {
      const int value = j >= text.size() - padding ? 0 : digit(text[j]);
      if (value < 0) return false;
      group = group << 6 | static_cast<std::uint32_t>(value);
    }
    for (const int shift : {16, 8, 0}) decoded.push_back(static_cast<char>(group >> shift & 0xff));
  }
  out.Resize(static_cast<int>(bytes / sizeof(float)), 0);
  std::memcpy(out.mutable_data(), decoded.data(), bytes);
  return true;
}

}  // namespace omics::gateway
