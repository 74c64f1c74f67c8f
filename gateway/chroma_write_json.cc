#include "gateway/chroma_write_json.h"

#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gateway/chroma_body.h"
#include "gateway/chroma_embedding_json.h"
#include "gateway/chroma_metadata_json.h"
#include "gateway/json_reader.h"

namespace omics::gateway {
namespace {

using json::ForElements;
using json::NotA;
using json::ReadNull;
using json::Shape;
using json::Skip;
namespace od = simdjson::ondemand;

using Records = google::protobuf::RepeatedPtrField<pb::RecordChange>;

// The columns of a write, turned into rows as they come.
class WriteReader {
 public:
  WriteReader(WriteKind kind, Dialect dialect)
      : needs_embeddings_(kind == WriteKind::kAdd || (kind == WriteKind::kUpsert && !dialect.legacy())),
        metadata_(NullsIn(kind, dialect)) {}

  absl::Status Read(std::string_view key, od::value value) {
    if (key == "ids") return Column(key, value, ids_, &WriteReader::ReadId);
    if (key == "embeddings") return Column(key, value, embeddings_, &WriteReader::ReadEmbeddingCell);
    if (key == "metadatas") return Column(key, value, metadatas_, &WriteReader::ReadMetadata);
    if (key == "documents") return Column(key, value, documents_, &WriteReader::ReadDocument);
    if (key == "uris") return Column(key, value, uris_, &WriteReader::ReadUri);
    return Skip(value, key);
  }

  absl::StatusOr<Records> Finish() {
    if (ids_ < 0) return json::Missing("ids");
    if (embeddings_ < 0 && ids_ > 0 && needs_embeddings_) return json::Missing("embeddings");
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

  static json::NullValue NullsIn(WriteKind kind, Dialect dialect) {
    if (kind != WriteKind::kAdd) return json::NullValue::kRemove;
    return dialect.legacy() ? json::NullValue::kDrop : json::NullValue::kRefuse;
  }

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
  absl::Status ReadEmbeddingCell(od::value value, pb::RecordChange& record) {
    return json::ReadEmbedding(value, record);
  }
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
  json::MetadataReader metadata_;
  Records records_;
  int ids_ = -1;
  int embeddings_ = -1;
  int metadatas_ = -1;
  int documents_ = -1;
  int uris_ = -1;
};

}  // namespace

absl::StatusOr<Records> ParseWrite(std::string& body, WriteKind kind, Dialect dialect) {
  WriteReader reader(kind, dialect);
  OMICS_RETURN_IF_ERROR(
      json::ReadObject(body, [&](std::string_view key, od::value value) { return reader.Read(key, value); }));
  return reader.Finish();
}

}  // namespace omics::gateway
