#include "index/internal/chroma_catalog.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/uuid.h"
#include "index/catalog.h"
#include "index/internal/chroma_json.h"
#include "index/internal/chroma_keys.h"

namespace omics::index {
namespace {

// Chroma itself becomes unusable long before.
constexpr std::size_t kCollectionsMax = 10'000;
constexpr std::size_t kMetadataRowsMax = 10'000;
constexpr std::size_t kSequenceBytes = 8;
constexpr std::string_view kPersistedHnsw = "urn:chroma:segment/vector/hnsw-local-persisted";
// What Chroma's configuration and schema say where nobody chose anything.
constexpr std::int64_t kDefaultEfConstruction = 100;
constexpr std::int64_t kDefaultEfSearch[] = {10, 100};

using Columns = std::set<std::string, std::less<>>;

// The column, or NULL where this version of Chroma does not have it.
std::string Column(const Columns& columns, std::string_view alias, std::string_view name) {
  return columns.contains(name) ? absl::StrCat(ToAbsl(alias), ".", ToAbsl(name)) : "NULL";
}

absl::Status RequireColumns(const ChromaDatabase& database, std::string_view table,
                            std::initializer_list<const char*> names) {
  OMICS_ASSIGN_OR_RETURN(const Columns columns, database.Columns(table));
  for (const char* name : names) {
    if (columns.contains(std::string_view(name))) continue;
    return absl::InvalidArgumentError(absl::StrCat("chroma.sqlite3 has no ", ToAbsl(table), ".", name,
                                                   ": it is not a store of Chroma 0.4.0 or newer"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::int64_t> ReadSequence(const ChromaStatement& row, int column) {
  if (row.Type(column) != ChromaColumnType::kBlob) return row.Int(column);
  const std::string_view bytes = row.Text(column);
  if (bytes.size() != kSequenceBytes) return absl::InvalidArgumentError("max_seq_id holds a number of a foreign log");
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return static_cast<std::int64_t>(value);
}

// collection_metadata or segment_metadata of one owner.
absl::StatusOr<Metadata> ReadOwnMetadata(const ChromaDatabase& database, std::string_view table,
                                         std::string_view owner_column, std::string_view owner) {
  OMICS_ASSIGN_OR_RETURN(const Columns columns, database.Columns(table));
  Metadata metadata;
  if (columns.empty()) return metadata;
  OMICS_ASSIGN_OR_RETURN(ChromaStatement row,
                         database.Prepare(absl::StrCat("SELECT key, str_value, int_value, float_value, ",
                                                       Column(columns, "t", "bool_value"), " FROM ", ToAbsl(table),
                                                       " t WHERE ", ToAbsl(owner_column), " = ?1")));
  row.Bind(1, owner);
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return metadata;
    if (metadata.size() >= kMetadataRowsMax) return absl::InvalidArgumentError("a collection with too much metadata");
    if (auto value = ReadChromaValue(row, 1)) metadata.insert_or_assign(std::string(row.Text(0)), *std::move(value));
  }
}

std::optional<std::int64_t> FindInt(const Metadata& metadata, std::string_view key) {
  const auto found = metadata.find(key);
  if (found == metadata.end() || !std::holds_alternative<std::int64_t>(found->second)) return std::nullopt;
  return std::get<std::int64_t>(found->second);
}

ChromaIndexSettings FromMetadata(const Metadata& metadata) {
  ChromaIndexSettings settings;
  if (const auto space = metadata.find("hnsw:space"); space != metadata.end()) {
    const auto* text = std::get_if<std::string>(&space->second);
    settings.space = text ? *text : "";
  }
  settings.m = FindInt(metadata, "hnsw:M");
  settings.ef_construction = FindInt(metadata, "hnsw:construction_ef");
  settings.ef_search = FindInt(metadata, "hnsw:search_ef");
  return settings;
}

// A configuration always spells everything out, so Chroma's default in it is nobody's choice.
ChromaIndexSettings WithoutDefaults(ChromaIndexSettings settings) {
  if (settings.ef_construction == kDefaultEfConstruction) settings.ef_construction.reset();
  return settings;
}

template <typename T>
void TakeIfAbsent(std::optional<T>& target, std::optional<T>& source) {
  if (!target) target = std::move(source);
}

int Clamp(std::int64_t value, int min, int max) { return static_cast<int>(std::clamp<std::int64_t>(value, min, max)); }

HnswParameters ToHnsw(const ChromaIndexSettings& settings) {
  HnswParameters hnsw;
  if (settings.m) hnsw.m = Clamp(*settings.m, 4, 128);
  if (settings.ef_construction) hnsw.ef_construction = Clamp(*settings.ef_construction, 16, 2000);
  const bool chosen = settings.ef_search &&
                      std::count(std::begin(kDefaultEfSearch), std::end(kDefaultEfSearch), *settings.ef_search) == 0;
  if (chosen) hnsw.ef_search = Clamp(*settings.ef_search, 1, kEfMax);
  return hnsw;
}

class CatalogReader {
 public:
  explicit CatalogReader(const ChromaDatabase& database) : database_(database) {}

  absl::StatusOr<std::vector<ChromaSource>> Run() {
    OMICS_RETURN_IF_ERROR(RequireColumns(database_, "collections", {"id", "name", "dimension"}));
    OMICS_RETURN_IF_ERROR(RequireColumns(database_, "segments", {"id", "type", "scope", "collection"}));
    OMICS_RETURN_IF_ERROR(RequireColumns(database_, "embeddings", {"id", "segment_id", "embedding_id", "seq_id"}));
    OMICS_RETURN_IF_ERROR(
        RequireColumns(database_, "embedding_metadata", {"id", "key", "string_value", "int_value", "float_value"}));
    OMICS_RETURN_IF_ERROR(RequireColumns(database_, "max_seq_id", {"segment_id", "seq_id"}));
    OMICS_RETURN_IF_ERROR(RequireColumns(database_, "embeddings_queue",
                                         {"seq_id", "operation", "topic", "id", "vector", "encoding", "metadata"}));
    OMICS_ASSIGN_OR_RETURN(ChromaStatement row, PrepareCollections());
    std::vector<ChromaSource> sources;
    while (true) {
      OMICS_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return sources;
      if (sources.size() >= kCollectionsMax) return absl::ResourceExhaustedError("the store has too many collections");
      const std::string name(row.Text(1));
      absl::StatusOr<ChromaSource> source = ReadOne(row);
      if (!source.ok()) return Annotate(source.status(), absl::StrCat("collection '", name, "'"));
      sources.push_back(*std::move(source));
    }
  }

 private:
  absl::StatusOr<ChromaStatement> PrepareCollections() {
    OMICS_ASSIGN_OR_RETURN(const Columns columns, database_.Columns("collections"));
    OMICS_ASSIGN_OR_RETURN(const Columns databases, database_.Columns("databases"));
    const bool has_database = columns.contains("database_id") && !databases.empty();
    return database_.Prepare(
        absl::StrCat("SELECT c.id, c.name, c.dimension, ", Column(columns, "c", "config_json_str"), ", ",
                     Column(columns, "c", "schema_str"), has_database ? ", d.name, d.tenant_id" : ", NULL, NULL",
                     " FROM collections c", has_database ? " LEFT JOIN databases d ON d.id = c.database_id" : "",
                     " ORDER BY c.rowid"));
  }

  absl::StatusOr<ChromaSource> ReadOne(const ChromaStatement& row) {
    ChromaSource source;
    ChromaCollection& collection = source.collection;
    collection.id = row.Text(0);
    collection.name = row.Text(1);
    if (!IsUuid(collection.id)) return absl::InvalidArgumentError("its id is not a UUID");
    const std::int64_t dimension = row.Int(2);
    if (dimension < 0 || dimension > static_cast<std::int64_t>(kDimensionMax)) {
      return absl::InvalidArgumentError(absl::StrCat("a dimension of ", dimension));
    }
    collection.dimension = static_cast<int>(dimension);
    collection.database = row.IsNull(5) ? kDefaultDatabase : std::string(row.Text(5));
    collection.tenant = row.IsNull(6) ? kDefaultTenant : std::string(row.Text(6));
    collection.client_configuration = JoinChromaConfiguration(row.Text(3), row.Text(4));
    OMICS_ASSIGN_OR_RETURN(collection.metadata,
                           ReadOwnMetadata(database_, "collection_metadata", "collection_id", collection.id));
    OMICS_RETURN_IF_ERROR(ReadSegments(source));
    OMICS_RETURN_IF_ERROR(ReadSettings(row.Text(3), row.Text(4), source));
    return source;
  }

  absl::Status ReadSegments(ChromaSource& source) {
    OMICS_ASSIGN_OR_RETURN(
        ChromaStatement row,
        database_.Prepare("SELECT id, type, scope FROM segments WHERE collection = ?1 ORDER BY rowid"));
    row.Bind(1, source.collection.id);
    while (true) {
      OMICS_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      // A segment's id names a directory, so nothing but a UUID may pass.
      if (!IsUuid(row.Text(0))) return absl::InvalidArgumentError("the id of a segment is not a UUID");
      if (row.Text(2) == "METADATA" && source.metadata_segment.empty()) {
        source.metadata_segment = row.Text(0);
        OMICS_ASSIGN_OR_RETURN(const auto applied, ReadApplied(source.metadata_segment));
        source.metadata_applied = applied.value_or(0);
      }
      if (row.Text(2) == "VECTOR" && row.Text(1) == kPersistedHnsw && source.vector_segment.empty()) {
        source.vector_segment = row.Text(0);
        OMICS_ASSIGN_OR_RETURN(const auto applied, ReadApplied(source.vector_segment));
        source.vector_applied_known = applied.has_value();
        source.vector_applied = applied.value_or(0);
      }
    }
  }

  absl::StatusOr<std::optional<std::int64_t>> ReadApplied(std::string_view segment) {
    OMICS_ASSIGN_OR_RETURN(ChromaStatement row,
                           database_.Prepare("SELECT seq_id FROM max_seq_id WHERE segment_id = ?1"));
    row.Bind(1, segment);
    OMICS_ASSIGN_OR_RETURN(const bool found, row.Step());
    if (!found || row.IsNull(0)) return std::optional<std::int64_t>();
    OMICS_ASSIGN_OR_RETURN(const std::int64_t applied, ReadSequence(row, 0));
    return std::optional<std::int64_t>(applied);
  }

  // The index was made by the metadata; schema and configuration of a store that was upgraded may say something else.
  absl::Status ReadSettings(std::string_view configuration, std::string_view schema, ChromaSource& source) {
    Metadata segment;
    if (!source.vector_segment.empty()) {
      OMICS_ASSIGN_OR_RETURN(segment,
                             ReadOwnMetadata(database_, "segment_metadata", "segment_id", source.vector_segment));
    }
    ChromaIndexSettings settings = FromMetadata(segment);
    ChromaIndexSettings fallbacks[] = {FromMetadata(source.collection.metadata),
                                       WithoutDefaults(ReadChromaIndexSettings(schema)),
                                       WithoutDefaults(ReadChromaIndexSettings(configuration))};
    for (ChromaIndexSettings& fallback : fallbacks) {
      TakeIfAbsent(settings.space, fallback.space);
      TakeIfAbsent(settings.m, fallback.m);
      TakeIfAbsent(settings.ef_construction, fallback.ef_construction);
      TakeIfAbsent(settings.ef_search, fallback.ef_search);
    }
    source.collection.hnsw = ToHnsw(settings);
    OMICS_ASSIGN_OR_RETURN(source.collection.metric, ParseMetric(settings.space.value_or("l2")));
    return absl::OkStatus();
  }

  const ChromaDatabase& database_;
};

}  // namespace

absl::StatusOr<std::vector<ChromaSource>> ReadChromaCatalog(const ChromaDatabase& database) {
  return CatalogReader(database).Run();
}

}  // namespace omics::index
