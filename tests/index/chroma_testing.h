// Small Chroma stores and archives for tests, written by hand after Chroma's format.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "index/chroma_store.h"
#include "tests/support/temp_dir.h"

namespace omics::index::testing {

namespace fs = std::filesystem;

inline fs::path TestData(std::string_view name) { return fs::path(OMICS_VECTOR_SOURCE_DIR) / "testdata" / name; }

inline std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void WriteFile(const fs::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(file.flush()) << path;
}

template <typename T>
void Append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

struct ArchiveEntry {
  std::string path;
  std::string bytes = "";
  mode_t type = S_IFREG;
  std::string link = "";  // target of a link
  bool hard = false;
};

inline void WriteArchive(const fs::path& path, const std::vector<ArchiveEntry>& entries, bool gzip = true) {
  archive* writer = archive_write_new();
  if (gzip) archive_write_add_filter_gzip(writer);
  archive_write_set_format_pax_restricted(writer);
  ASSERT_EQ(archive_write_open_filename(writer, path.c_str()), ARCHIVE_OK);
  for (const ArchiveEntry& entry : entries) {
    archive_entry* header = archive_entry_new();
    archive_entry_set_pathname(header, entry.path.c_str());
    archive_entry_set_filetype(header, entry.type);
    archive_entry_set_perm(header, 0644);
    if (!entry.link.empty() && entry.hard) archive_entry_set_hardlink(header, entry.link.c_str());
    if (!entry.link.empty() && !entry.hard) archive_entry_set_symlink(header, entry.link.c_str());
    if (entry.type == S_IFREG && !entry.hard)
      archive_entry_set_size(header, static_cast<la_int64_t>(entry.bytes.size()));
    ASSERT_EQ(archive_write_header(writer, header), ARCHIVE_OK) << archive_error_string(writer);
    if (!entry.bytes.empty()) archive_write_data(writer, entry.bytes.data(), entry.bytes.size());
    archive_entry_free(header);
  }
  ASSERT_EQ(archive_write_close(writer), ARCHIVE_OK);
  archive_write_free(writer);
}

// All regular files of a directory, as entries below `prefix`.
inline std::vector<ArchiveEntry> Entries(const fs::path& directory, const std::string& prefix) {
  std::vector<ArchiveEntry> entries;
  for (const auto& file : fs::recursive_directory_iterator(directory)) {
    if (!file.is_regular_file()) continue;
    entries.push_back({.path = prefix + fs::relative(file.path(), directory).string(), .bytes = ReadFile(file.path())});
  }
  return entries;
}

// A second opinion on a SQLite file: plain SQLite without any of the engine's code.
class TestSqlite {
 public:
  explicit TestSqlite(const fs::path& path) {
    EXPECT_EQ(sqlite3_open(path.c_str(), &handle_), SQLITE_OK) << path;
    Run("PRAGMA synchronous=OFF");
  }
  ~TestSqlite() { sqlite3_close(handle_); }
  TestSqlite(const TestSqlite&) = delete;
  TestSqlite& operator=(const TestSqlite&) = delete;

  void Run(const std::string& sql) {
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
        << sql << ": " << (error ? error : "");
    sqlite3_free(error);
  }

  void ForEach(const std::string& sql, const std::function<void(sqlite3_stmt*)>& visit) {
    sqlite3_stmt* statement = nullptr;
    ASSERT_EQ(sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr), SQLITE_OK) << sqlite3_errmsg(handle_);
    while (sqlite3_step(statement) == SQLITE_ROW) visit(statement);
    sqlite3_finalize(statement);
  }

  void InsertLog(std::int64_t seq_id, int operation, const std::string& id, const std::string& vector,
                 const std::string& encoding, const std::string& metadata, const std::string& collection) {
    sqlite3_stmt* statement = nullptr;
    ASSERT_EQ(
        sqlite3_prepare_v2(handle_,
                           "INSERT INTO embeddings_queue (seq_id, operation, topic, id, vector, encoding, metadata)"
                           " VALUES (?1, ?2, 'persistent://default/default/' || ?3, ?4, ?5, ?6, ?7)",
                           -1, &statement, nullptr),
        SQLITE_OK);
    sqlite3_bind_int64(statement, 1, seq_id);
    sqlite3_bind_int(statement, 2, operation);
    sqlite3_bind_text(statement, 3, collection.c_str(), -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(statement, 4, id.c_str(), -1, SQLITE_TRANSIENT);
    if (!vector.empty())
      sqlite3_bind_blob(statement, 5, vector.data(), static_cast<int>(vector.size()), SQLITE_TRANSIENT);
    if (!encoding.empty()) sqlite3_bind_text(statement, 6, encoding.c_str(), -1, SQLITE_TRANSIENT);
    if (!metadata.empty()) sqlite3_bind_text(statement, 7, metadata.c_str(), -1, SQLITE_TRANSIENT);
    EXPECT_EQ(sqlite3_step(statement), SQLITE_DONE) << sqlite3_errmsg(handle_);
    sqlite3_finalize(statement);
  }

 private:
  sqlite3* handle_ = nullptr;
};

inline std::string FloatBytes(const std::vector<float>& vector) {
  return {reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)};
}

inline constexpr char kCollectionId[] = "11111111-2222-4333-8444-555555555555";
inline constexpr char kVectorSegment[] = "aaaaaaaa-0000-4000-8000-000000000001";
inline constexpr char kMetadataSegment[] = "aaaaaaaa-0000-4000-8000-000000000002";

struct IndexItem {
  std::string id;
  std::uint64_t label = 0;
  std::vector<float> vector;  // as Chroma stores it
  float length = 1;
  bool deleted = false;
};

inline std::string PickleText(std::string_view text) {
  std::string bytes = "X";
  Append(bytes, static_cast<std::uint32_t>(text.size()));
  return bytes.append(text);
}

inline std::string PickleInt(std::int32_t value) {
  std::string bytes = "J";
  Append(bytes, value);
  return bytes;
}

// What the Rust server writes.
inline std::string MakePickle(const std::vector<IndexItem>& items) {
  std::string bytes = "\x80\x03}(" + PickleText("dimensionality") + "N" + PickleText("total_elements_added") +
                      PickleInt(static_cast<std::int32_t>(items.size())) + PickleText("max_seq_id") + "N" +
                      PickleText("id_to_label") + "}(";
  for (const IndexItem& item : items) bytes += PickleText(item.id) + PickleInt(static_cast<std::int32_t>(item.label));
  bytes += "u" + PickleText("label_to_id") + "}(";
  for (const IndexItem& item : items) bytes += PickleInt(static_cast<std::int32_t>(item.label)) + PickleText(item.id);
  return bytes + "u" + PickleText("id_to_seq_id") + "}(uu.";
}

inline void WriteIndex(const fs::path& directory, const std::vector<IndexItem>& items, int dimension) {
  fs::create_directories(directory);
  constexpr std::uint64_t kLinks = 32;
  const std::uint64_t vector_offset = 4 + 4 * kLinks;
  const std::uint64_t label_offset = vector_offset + 4 * static_cast<std::uint64_t>(dimension);
  std::string header;
  Append(header, std::int32_t{1});
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1000}, std::uint64_t{items.size()},
                                    label_offset + 8, label_offset, vector_offset}) {
    Append(header, value);
  }
  Append(header, std::int32_t{1});
  Append(header, std::uint32_t{0});
  for (const std::uint64_t value : {kLinks / 2, kLinks, kLinks / 2}) Append(header, value);
  Append(header, 0.36);
  Append(header, std::uint64_t{100});
  ASSERT_EQ(header.size(), 100u);
  std::string vectors;
  std::string lengths;
  for (const IndexItem& item : items) {
    Append(vectors, item.deleted ? std::uint32_t{1} << 16 : std::uint32_t{0});
    vectors.append(4 * kLinks, '\0');
    vectors += FloatBytes(item.vector);
    Append(vectors, item.label);
    Append(lengths, item.length);
  }
  WriteFile(directory / "header.bin", header);
  WriteFile(directory / "data_level0.bin", vectors);
  WriteFile(directory / "length.bin", lengths);
  WriteFile(directory / "link_lists.bin", "");
  WriteFile(directory / "index_metadata.pickle", MakePickle(items));
}

// The tables as Chroma 1.5 makes them, with one collection "small" of `dimension` and squared L2.
inline void WriteSchema(const fs::path& root, int dimension) {
  fs::create_directories(root);
  TestSqlite db(root / "chroma.sqlite3");
  db.Run(R"sql(
    CREATE TABLE collections (id TEXT PRIMARY KEY, name TEXT NOT NULL, dimension INTEGER, database_id TEXT NOT NULL,
      config_json_str TEXT, schema_str TEXT);
    CREATE TABLE tenants (id TEXT PRIMARY KEY);
    CREATE TABLE databases (id TEXT PRIMARY KEY, name TEXT NOT NULL, tenant_id TEXT NOT NULL);
    CREATE TABLE collection_metadata (collection_id TEXT, key TEXT NOT NULL, str_value TEXT, int_value INTEGER,
      float_value REAL, bool_value INTEGER, PRIMARY KEY (collection_id, key));
    CREATE TABLE segment_metadata (segment_id TEXT, key TEXT NOT NULL, str_value TEXT, int_value INTEGER,
      float_value REAL, bool_value INTEGER, PRIMARY KEY (segment_id, key));
    CREATE TABLE segments (id TEXT PRIMARY KEY, type TEXT NOT NULL, scope TEXT NOT NULL, collection TEXT NOT NULL);
    CREATE TABLE embeddings (id INTEGER PRIMARY KEY, segment_id TEXT NOT NULL, embedding_id TEXT NOT NULL,
      seq_id BLOB NOT NULL, created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, UNIQUE (segment_id, embedding_id));
    CREATE TABLE embedding_metadata (id INTEGER, key TEXT NOT NULL, string_value TEXT, int_value INTEGER,
      float_value REAL, bool_value INTEGER, PRIMARY KEY (id, key));
    CREATE TABLE embedding_metadata_array (id INTEGER NOT NULL, key TEXT NOT NULL, string_value TEXT, int_value INTEGER,
      float_value REAL, bool_value INTEGER);
    CREATE TABLE max_seq_id (segment_id TEXT PRIMARY KEY, seq_id INTEGER);
    CREATE TABLE embeddings_queue (seq_id INTEGER PRIMARY KEY, created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
      operation INTEGER NOT NULL, topic TEXT NOT NULL, id TEXT NOT NULL, vector BLOB, encoding TEXT, metadata TEXT);
    INSERT INTO tenants VALUES ('default_tenant');
    INSERT INTO databases VALUES ('00000000-0000-0000-0000-000000000000', 'default_database', 'default_tenant');)sql");
  const std::string id = kCollectionId;
  db.Run("INSERT INTO collections VALUES ('" + id + "', 'small', " + std::to_string(dimension) +
         ", '00000000-0000-0000-0000-000000000000', '{}', NULL)");
  db.Run("INSERT INTO segments VALUES ('" + std::string(kVectorSegment) +
         "', 'urn:chroma:segment/vector/hnsw-local-persisted', 'VECTOR', '" + id + "'), ('" + kMetadataSegment +
         "', 'urn:chroma:segment/metadata/sqlite', 'METADATA', '" + id + "')");
}

// Everything of one collection by id, in order, and what was lost.
struct StoreContents {
  std::vector<std::string> order;
  std::map<std::string, RecordChange> records;
  std::vector<std::string> lost;
  std::vector<std::size_t> batches;
  absl::Status status;
};

inline StoreContents ReadAll(const ChromaStore& store, const ChromaCollection& collection) {
  StoreContents contents;
  const auto sink = [&contents](std::vector<RecordChange> batch) {
    contents.batches.push_back(batch.size());
    for (RecordChange& record : batch) {
      contents.order.push_back(record.id);
      EXPECT_TRUE(contents.records.emplace(record.id, std::move(record)).second);
    }
    return absl::OkStatus();
  };
  contents.status = store.Read(collection, sink, contents.lost);
  return contents;
}

}  // namespace omics::index::testing
