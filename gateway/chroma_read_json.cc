#include "gateway/chroma_read_json.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gateway/chroma_body.h"
#include "gateway/chroma_embedding_json.h"
#include "gateway/chroma_where.h"
#include "gateway/json_reader.h"

namespace omics::gateway {
namespace {

using json::ForElements;
using json::NotA;
using json::ReadNull;
using json::Shape;
using json::Skip;
namespace od = simdjson::ondemand;

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
  return dialect.legacy() ? absl::InvalidArgumentError(message) : Shape(message);
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
    return json::ReadFloats(element, *out.emplace_back().mutable_values());
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
  if (!out.ok() || !dialect.legacy()) return out;
  if (out->limit == 0) out->limit.reset();
  // Chroma 0.x takes these two words for a get and does not give them back.
  std::erase_if(out->include.words, [](const std::string& word) { return word == "distances" || word == "data"; });
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
  if (out.ok() && !has_vectors) return json::Missing("query_embeddings");
  if (out.ok() && out->query_vectors.empty() && dialect.legacy()) {
    return absl::InvalidArgumentError("Expected query_embeddings to be a non-empty list");
  }
  return out;
}

absl::StatusOr<ReadBody> ParseDelete(std::string& body, Dialect dialect) {
  return ParseRead(body, dialect, ReadBody(), [&](std::string_view key, od::value value, ReadBody& read) {
    return key == "limit" ? ReadCountMember(value, key, dialect, read.limit) : Skip(value, key);
  });
}

}  // namespace omics::gateway
