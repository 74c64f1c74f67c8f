#include "index/chroma_store.h"

#include <gmock/gmock.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "tests/index/chroma_testing.h"

namespace omics::index {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::FloatBytes;
using ::testing::HasSubstr;
using testing::IndexItem;
using ::testing::IsEmpty;
using testing::kCollectionId;
using testing::kMetadataSegment;
using testing::kVectorSegment;
using testing::ReadAll;
using testing::ReadFile;
using testing::StoreContents;
using testing::TestData;
using testing::TestSqlite;
using testing::WriteArchive;
using testing::WriteFile;
using testing::WriteIndex;
using testing::WriteSchema;

using Vectors = std::map<std::string, std::vector<float>>;

std::unique_ptr<ChromaStore> MustOpen(const fs::path& path, const TempDir& scratch) {
  auto store = ChromaStore::Open(path, scratch.path(), ChromaLimits());
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

std::string Message(const absl::StatusOr<std::unique_ptr<ChromaStore>>& store) {
  return std::string(store.status().message());
}

bool IsEmptyDirectory(const fs::path& path) { return fs::directory_iterator(path) == fs::directory_iterator(); }

// ---- The stores that five versions of Chroma wrote ----

struct Version {
  const char* name;
  int records;
  bool has_uris;
  bool has_lists;
};

Vectors SentVectors(const fs::path& file) {
  Vectors vectors;
  simdjson::dom::parser parser;
  simdjson::dom::element root = parser.load(file.string());
  for (const auto field : simdjson::dom::object(root)) {
    std::vector<float>& vector = vectors[std::string(field.key)];
    for (const double x : simdjson::dom::array(field.value)) vector.push_back(static_cast<float>(x));
  }
  // Sent after the file was written: three deletes, an upsert of an old and of a new id.
  for (const char* id : {"id5", "id6", "id2299"}) vectors.erase(id);
  for (const char* id : {"id8", "new1"}) vectors[id].assign(16, 1.0f);
  return vectors;
}

// Documents, URIs and metadata by id, read by plain SQL in another way than the engine does.
std::map<std::string, RecordChange> StoredMetadata(const fs::path& database, bool has_lists) {
  std::map<std::string, RecordChange> records;
  TestSqlite db(database);
  const auto text = [](sqlite3_stmt* row, int column) {
    return std::string(reinterpret_cast<const char*>(sqlite3_column_text(row, column)));
  };
  db.ForEach("SELECT embedding_id FROM embeddings",
             [&](sqlite3_stmt* row) { records[text(row, 0)].id = text(row, 0); });
  db.ForEach(
      "SELECT embedding_id, key, string_value, int_value, float_value, bool_value FROM embeddings e JOIN"
      " embedding_metadata m ON m.id = e.id",
      [&](sqlite3_stmt* row) {
        RecordChange& record = records[text(row, 0)];
        const std::string key = text(row, 1);
        if (key == "chroma:document") {
          record.document = text(row, 2);
        } else if (key == "chroma:uri") {
          record.uri = text(row, 2);
        } else if (sqlite3_column_type(row, 2) != SQLITE_NULL) {
          record.metadata[key] = text(row, 2);
        } else if (sqlite3_column_type(row, 3) != SQLITE_NULL) {
          record.metadata[key] = std::int64_t{sqlite3_column_int64(row, 3)};
        } else if (sqlite3_column_type(row, 4) != SQLITE_NULL) {
          record.metadata[key] = sqlite3_column_double(row, 4);
        } else {
          record.metadata[key] = sqlite3_column_int(row, 5) != 0;
        }
      });
  if (!has_lists) return records;
  db.ForEach(
      "SELECT embedding_id, key, string_value FROM embeddings e JOIN embedding_metadata_array m ON m.id = e.id"
      " ORDER BY m.rowid",
      [&](sqlite3_stmt* row) {
        MetadataValue& value = records[text(row, 0)].metadata[text(row, 1)];
        if (!std::holds_alternative<std::vector<std::string>>(value)) value = std::vector<std::string>();
        std::get<std::vector<std::string>>(value).push_back(text(row, 2));
      });
  return records;
}

fs::path FindFile(const fs::path& directory, std::string_view start) {
  for (const auto& file : fs::recursive_directory_iterator(directory)) {
    if (file.path().filename().string().starts_with(start)) return file.path();
  }
  return {};
}

double LargestError(const Vectors& expected, const StoreContents& contents) {
  double largest = 0;
  for (const auto& [id, vector] : expected) {
    const auto found = contents.records.find(id);
    if (found == contents.records.end() || found->second.embedding.size() != vector.size()) return 1e30;
    for (std::size_t i = 0; i < vector.size(); ++i) {
      largest = std::max(largest, std::abs(double{found->second.embedding[i]} - vector[i]));
    }
  }
  return largest;
}

class FixtureStoreTest : public ::testing::TestWithParam<Version> {};

TEST_P(FixtureStoreTest, EverythingSentIsReadAndNothingElse) {
  const std::string name = "chroma-store-" + std::string(GetParam().name);
  TempDir scratch;
  TempDir unpacked;  // by another hand, for the comparison
  ASSERT_EQ(std::system(("tar -xzf " + TestData("chroma-stores/" + name + ".tar.gz").string() + " -C " +
                         unpacked.path().string())
                            .c_str()),
            0);
  const Vectors expected = SentVectors(FindFile(unpacked.path(), "vecs-"));
  const auto expected_metadata = StoredMetadata(FindFile(unpacked.path(), "chroma.sqlite3"), GetParam().has_lists);
  {
    const auto store = MustOpen(TestData("chroma-stores/" + name + ".tar.gz"), scratch);
    ASSERT_NE(store, nullptr);
    ASSERT_EQ(store->collections().size(), 1u);
    const ChromaCollection& collection = store->collections()[0];
    EXPECT_EQ(collection.name, "big-cos");
    EXPECT_EQ(collection.tenant, "default_tenant");
    EXPECT_EQ(collection.database, "default_database");
    EXPECT_EQ(collection.metric, Metric::kCosine);
    EXPECT_EQ(collection.dimension, 16);
    EXPECT_EQ(collection.records, GetParam().records);
    EXPECT_EQ(collection.hnsw.ef_search, 0) << "Chroma's default is nobody's choice";
    EXPECT_EQ(std::get<std::int64_t>(collection.metadata.at("v")), 1);
    EXPECT_EQ(std::get<std::string>(collection.metadata.at("hnsw:space")), "cosine");

    const StoreContents contents = ReadAll(*store, collection);
    ASSERT_EQ(contents.status, absl::OkStatus());
    EXPECT_THAT(contents.lost, IsEmpty());
    EXPECT_EQ(contents.records.size(), static_cast<std::size_t>(GetParam().records));
    EXPECT_EQ(contents.records.size(), expected.size());
    EXPECT_LE(LargestError(expected, contents), 2e-6);
    EXPECT_EQ(contents.order.front(), "id0");
    EXPECT_EQ(contents.order.back(), "new1");
    EXPECT_LE(*std::max_element(contents.batches.begin(), contents.batches.end()), 1000u);

    ASSERT_EQ(contents.records.size(), expected_metadata.size());
    for (const auto& [id, wanted] : expected_metadata) {
      const RecordChange& record = contents.records.at(id);
      EXPECT_EQ(record.document, wanted.document) << id;
      EXPECT_EQ(record.uri, wanted.uri) << id;
      EXPECT_EQ(record.metadata, wanted.metadata) << id;
    }
    // And what a person expects, without any reading of tables.
    EXPECT_EQ(contents.records.at("id8").document, "dd");
    EXPECT_EQ(std::get<std::string>(contents.records.at("id7").metadata.at("s")), "changed");
    EXPECT_EQ(contents.records.at("id7").metadata.count("n"), 0u);
    EXPECT_TRUE(std::get<bool>(contents.records.at("id2").metadata.at("b")));
    EXPECT_EQ(std::get<double>(contents.records.at("id2").metadata.at("f")), 1.0);
    EXPECT_EQ(contents.records.at("id1").uri.has_value(), GetParam().has_uris);
  }
  EXPECT_TRUE(IsEmptyDirectory(scratch.path())) << "the unpacked store was left behind";
}

INSTANTIATE_TEST_SUITE_P(Versions, FixtureStoreTest,
                         ::testing::Values(Version{"0.4.14", 2348, false, false}, Version{"0.4.24", 2348, true, false},
                                           Version{"0.5.23", 2348, true, false}, Version{"0.6.3", 2348, true, false},
                                           Version{"1.4.4", 2298, true, true}),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

struct Ontology {
  const char* file;
  const char* collection;
  int records;
  const char* sample_id;
  const char* sample_name;
};

class OntologyStoreTest : public ::testing::TestWithParam<Ontology> {};

TEST_P(OntologyStoreTest, EveryTermIsRead) {
  TempDir scratch;
  const auto store = MustOpen(TestData("ontology/" + std::string(GetParam().file)), scratch);
  ASSERT_NE(store, nullptr);
  ASSERT_EQ(store->collections().size(), 1u);
  const ChromaCollection& collection = store->collections()[0];
  EXPECT_EQ(collection.name, GetParam().collection);
  EXPECT_EQ(collection.records, GetParam().records);
  EXPECT_EQ(collection.dimension, 768);
  EXPECT_EQ(collection.metric, Metric::kCosine);
  EXPECT_EQ(collection.hnsw.m, 16);
  simdjson::dom::parser parser;
  const auto configuration = parser.parse(collection.client_configuration);
  ASSERT_EQ(configuration.error(), simdjson::SUCCESS);
  EXPECT_TRUE(configuration["schema"]["keys"].is_object());
  EXPECT_TRUE(configuration["configuration"].is_object());

  const StoreContents contents = ReadAll(*store, collection);
  ASSERT_EQ(contents.status, absl::OkStatus());
  EXPECT_THAT(contents.lost, IsEmpty());
  EXPECT_EQ(contents.records.size(), static_cast<std::size_t>(GetParam().records));
  for (const auto& [id, record] : contents.records) {
    ASSERT_EQ(record.embedding.size(), 768u) << id;
    ASSERT_TRUE(record.document.has_value()) << id;
    ASSERT_EQ(std::get<std::string>(record.metadata.at("term_id")), id);
    ASSERT_EQ(record.metadata.size(), 5u) << id;
  }
  const RecordChange& sample = contents.records.at(GetParam().sample_id);
  EXPECT_EQ(std::get<std::string>(sample.metadata.at("name")), GetParam().sample_name);
  EXPECT_THAT(*sample.document, HasSubstr(GetParam().sample_name));
}

INSTANTIATE_TEST_SUITE_P(Ontologies, OntologyStoreTest,
                         ::testing::Values(Ontology{"cell_ontology_sapbert_768.tar.gz", "cell_ontology_v2024_01", 3220,
                                                    "CL:0000540", "neuron"},
                                           Ontology{"uberon_sapbert_768.tar.gz", "uberon_v2024_01", 7407,
                                                    "UBERON:0000955", "brain"}),
                         [](const auto& info) { return std::string(info.param.collection); });

// ---- Small stores, one situation each ----

// Records "a" (1,2), "b" (3,4), "c" (5,6) in index and tables, applied up to position 3.
class SmallStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteSchema(Root(), 2);
    WriteIndex(Root() / kVectorSegment, Items(), 2);
    Run("INSERT INTO max_seq_id VALUES ('" + std::string(kVectorSegment) + "', 3), ('" + kMetadataSegment + "', 3)");
    int seq = 0;
    for (const IndexItem& item : Items()) AddRow(item.id, ++seq);
  }

  static std::vector<IndexItem> Items() {
    return {{.id = "a", .label = 1, .vector = {1, 2}},
            {.id = "b", .label = 2, .vector = {3, 4}},
            {.id = "c", .label = 3, .vector = {5, 6}}};
  }

  fs::path Root() const { return temp_ / "store"; }
  fs::path Database() const { return Root() / "chroma.sqlite3"; }
  void Run(const std::string& sql) { TestSqlite(Database()).Run(sql); }
  void AddRow(const std::string& id, int seq) {
    Run("INSERT INTO embeddings (segment_id, embedding_id, seq_id) VALUES ('" + std::string(kMetadataSegment) + "', '" +
        id + "', " + std::to_string(seq) + ")");
  }
  void Log(std::int64_t seq, int operation, const std::string& id, const std::vector<float>& vector,
           const std::string& metadata = "") {
    TestSqlite(Database())
        .InsertLog(seq, operation, id, FloatBytes(vector), vector.empty() ? "" : "FLOAT32", metadata, kCollectionId);
  }
  // The log is a position ahead in the vector segment only.
  void MetadataIsAt(std::int64_t seq) {
    Run("UPDATE max_seq_id SET seq_id = " + std::to_string(seq) + " WHERE segment_id = '" + kMetadataSegment + "'");
  }
  absl::StatusOr<std::unique_ptr<ChromaStore>> Open(const ChromaLimits& limits = {}) {
    return ChromaStore::Open(Root(), scratch_.path(), limits);
  }
  StoreContents Read() {
    const auto store = Open();
    EXPECT_TRUE(store.ok()) << store.status();
    if (!store.ok() || (*store)->collections().size() != 1) return {};
    StoreContents contents = ReadAll(**store, (*store)->collections()[0]);
    EXPECT_EQ(contents.status, absl::OkStatus());
    EXPECT_EQ((*store)->collections()[0].records,
              static_cast<std::int64_t>(contents.records.size() + contents.lost.size()));
    return contents;
  }
  static Vectors VectorsOf(const StoreContents& contents) {
    Vectors vectors;
    for (const auto& [id, record] : contents.records) vectors[id] = record.embedding;
    return vectors;
  }

  TempDir temp_;
  TempDir scratch_;
};

TEST_F(SmallStoreTest, TheIndexAlone) {
  const StoreContents contents = Read();
  EXPECT_EQ(VectorsOf(contents), (Vectors{{"a", {1, 2}}, {"b", {3, 4}}, {"c", {5, 6}}}));
  EXPECT_THAT(contents.order, ElementsAre("a", "b", "c"));
}

TEST_F(SmallStoreTest, EveryOperationOfTheLogOnPresentAndAbsentRecords) {
  Run("DELETE FROM embeddings WHERE embedding_id IN ('b')");
  for (const char* id : {"d", "f"}) AddRow(id, 9);
  MetadataIsAt(20);
  Log(3, 2, "c", {99, 99});  // already applied
  Log(4, 0, "a", {70, 70});  // ADD of a present one does nothing
  Log(5, 1, "c", {50, 60});
  Log(6, 1, "c", {});  // metadata only
  Log(7, 3, "b", {});
  Log(8, 1, "b", {71, 71});  // UPDATE of an absent one does nothing
  Log(9, 0, "d", {7, 8});
  Log(10, 2, "f", {1, 1});
  Log(11, 3, "f", {});
  Log(12, 0, "f", {9, 10});  // ADD counts again after a DELETE
  TestSqlite(Database())
      .InsertLog(13, 2, "a", FloatBytes({1, 1}), "FLOAT32", "", "99999999-2222-4333-8444-555555555555");
  const StoreContents contents = Read();
  EXPECT_EQ(VectorsOf(contents), (Vectors{{"a", {1, 2}}, {"c", {50, 60}}, {"d", {7, 8}}, {"f", {9, 10}}}));
  EXPECT_THAT(contents.lost, IsEmpty());
}

TEST_F(SmallStoreTest, WholeNumbersInTheLog) {
  const std::int32_t numbers[] = {-3, 70'000};
  TestSqlite(Database())
      .InsertLog(4, 2, "a", std::string(reinterpret_cast<const char*>(numbers), 8), "INT32", "", kCollectionId);
  MetadataIsAt(4);
  EXPECT_EQ(VectorsOf(Read()).at("a"), (std::vector<float>{-3, 70'000}));
}

TEST_F(SmallStoreTest, UnusableVectorsOfTheLogAreLostNotGuessed) {
  Log(4, 2, "a", {1, 2, 3});
  Log(5, 2, "b", {NAN, 1});
  TestSqlite(Database()).InsertLog(6, 2, "c", "12345", "FLOAT32", "", kCollectionId);
  MetadataIsAt(6);
  const StoreContents contents = Read();
  EXPECT_THAT(contents.lost, ElementsAre("a", "b", "c"));
  EXPECT_THAT(contents.records, IsEmpty());
}

TEST_F(SmallStoreTest, MetadataThatLagsBehindTheLogIsReplayed) {
  Run("INSERT INTO embedding_metadata VALUES (1, 'k', 'old', NULL, NULL, NULL), (1, 'gone', NULL, 1, NULL, NULL),"
      " (1, 'chroma:document', 'doc', NULL, NULL, NULL)");
  Log(4, 1, "a", {}, R"({"k":"new","gone":null,"n":1,"f":1.0,"b":true,"l":[1,2],"chroma:document":null})");
  Log(5, 0, "d", {7, 8}, R"({"chroma:document":"new doc","chroma:uri":"u"})");
  Log(6, 3, "b", {});
  Log(7, 3, "c", {}, "{}");
  Log(8, 2, "c", {9, 9}, R"({"again":"yes"})");
  Log(9, 1, "zz", {1, 1}, R"({"nobody":1})");
  const StoreContents contents = Read();
  EXPECT_THAT(contents.order, ElementsAre("a", "d", "c"));
  EXPECT_EQ(VectorsOf(contents), (Vectors{{"a", {1, 2}}, {"d", {7, 8}}, {"c", {9, 9}}}));
  const RecordChange& a = contents.records.at("a");
  EXPECT_FALSE(a.document.has_value());
  EXPECT_EQ(
      a.metadata,
      (Metadata{
          {"k", "new"}, {"n", std::int64_t{1}}, {"f", 1.0}, {"b", true}, {"l", std::vector<std::int64_t>{1, 2}}}));
  EXPECT_EQ(contents.records.at("d").document, "new doc");
  EXPECT_EQ(contents.records.at("d").uri, "u");
  EXPECT_EQ(contents.records.at("c").metadata, (Metadata{{"again", "yes"}}));
}

TEST_F(SmallStoreTest, AllKindsOfMetadataAndLists) {
  Run("INSERT INTO embedding_metadata VALUES (1, 's', 'x', NULL, NULL, NULL), (1, 'i', NULL, -5, NULL, NULL),"
      " (1, 'f', NULL, NULL, 2.0, NULL), (1, 'b', NULL, NULL, NULL, 0), (1, 'none', NULL, NULL, NULL, NULL)");
  Run("INSERT INTO embedding_metadata_array VALUES (1, 'ls', 'z', NULL, NULL, NULL), (1, 'lb', NULL, NULL, NULL, 1),"
      " (1, 'ls', 'a', NULL, NULL, NULL), (1, 'lf', NULL, 1, NULL, NULL), (1, 'lf', NULL, NULL, 2.5, NULL)");
  EXPECT_EQ(Read().records.at("a").metadata, (Metadata{{"s", "x"},
                                                       {"i", std::int64_t{-5}},
                                                       {"f", 2.0},
                                                       {"b", false},
                                                       {"ls", std::vector<std::string>{"z", "a"}},
                                                       {"lb", std::vector<bool>{true}},
                                                       {"lf", std::vector<double>{1.0, 2.5}}}));
}

TEST_F(SmallStoreTest, ADamagedIndexIsRebuiltFromAWholeLog) {
  WriteFile(Root() / kVectorSegment / "header.bin", "nonsense");
  Log(1, 0, "a", {1, 2});
  Log(2, 0, "b", {3, 4});
  Log(3, 2, "c", {5, 6});
  Log(4, 0, "a", {70, 70});
  MetadataIsAt(4);
  const StoreContents contents = Read();
  EXPECT_EQ(VectorsOf(contents), (Vectors{{"a", {1, 2}}, {"b", {3, 4}}, {"c", {5, 6}}}));
  EXPECT_THAT(contents.lost, IsEmpty());
}

TEST_F(SmallStoreTest, ADamagedIndexAndAPurgedLogLoseWhatTheLogDoesNotHave) {
  WriteFile(Root() / kVectorSegment / "header.bin", "nonsense");
  Log(4, 1, "a", {10, 20});  // an update holds the whole vector
  Log(5, 0, "b", {70, 70});  // an ADD of a record that is older: Chroma ignored it
  MetadataIsAt(5);
  const StoreContents contents = Read();
  EXPECT_EQ(VectorsOf(contents), (Vectors{{"a", {10, 20}}}));
  EXPECT_THAT(contents.lost, ElementsAre("b", "c"));
}

TEST_F(SmallStoreTest, ALostIndexDirectoryLosesItsVectors) {
  fs::remove_all(Root() / kVectorSegment);
  EXPECT_THAT(Read().lost, ElementsAre("a", "b", "c"));
}

TEST_F(SmallStoreTest, AHostilePickleRunsNothingAndLosesItsVectors) {
  const fs::path proof = temp_ / "proof";
  WriteFile(Root() / kVectorSegment / "index_metadata.pickle", "cos\nsystem\n(S'touch " + proof.string() + "'\ntR.");
  EXPECT_THAT(Read().lost, ElementsAre("a", "b", "c"));
  EXPECT_FALSE(fs::exists(proof));
}

TEST_F(SmallStoreTest, OrphanedDirectoriesAreIgnored) {
  WriteIndex(Root() / "bbbbbbbb-0000-4000-8000-000000000009", {{.id = "orphan", .label = 1, .vector = {1, 1}}}, 2);
  EXPECT_EQ(Read().records.size(), 3u);
}

TEST_F(SmallStoreTest, TheMetricIsThatOfTheIndex) {
  const auto metric = [this] { return (*Open())->collections()[0].metric; };
  const std::string id = kCollectionId;
  EXPECT_EQ(metric(), Metric::kSquaredL2);
  Run(R"(UPDATE collections SET config_json_str = '{"hnsw_configuration":{"space":"ip"}}')");
  EXPECT_EQ(metric(), Metric::kInnerProduct);
  Run(R"(UPDATE collections SET config_json_str = '{"hnsw":{"space":"cosine"}}')");
  EXPECT_EQ(metric(), Metric::kCosine);
  Run(R"(UPDATE collections SET schema_str =
      '{"keys":{"#embedding":{"float_list":{"vector_index":{"config":{"space":"ip"}}}}}}')");
  EXPECT_EQ(metric(), Metric::kInnerProduct);
  Run("INSERT INTO collection_metadata VALUES ('" + id + "', 'hnsw:space', 'l2', NULL, NULL, NULL)");
  EXPECT_EQ(metric(), Metric::kSquaredL2);
  Run("INSERT INTO segment_metadata VALUES ('" + std::string(kVectorSegment) +
      "', 'hnsw:space', 'cosine', NULL, NULL, NULL)");
  EXPECT_EQ(metric(), Metric::kCosine);
  Run("UPDATE segment_metadata SET str_value = 'hamming'");
  EXPECT_THAT(Message(Open()), HasSubstr("hamming"));
}

TEST_F(SmallStoreTest, GraphParametersAreTakenWhereSomebodyChoseThem) {
  const auto hnsw = [this] { return (*Open())->collections()[0].hnsw; };
  Run(R"(UPDATE collections SET config_json_str = '{"hnsw":{"max_neighbors":16,"ef_construction":100,"ef_search":100}}')");
  EXPECT_EQ(hnsw().m, 16);
  EXPECT_EQ(hnsw().ef_construction, 200);
  EXPECT_EQ(hnsw().ef_search, 0);
  Run(R"(UPDATE collections SET config_json_str = '{"hnsw_configuration":{"M":24,"ef_construction":300,"ef_search":77}}')");
  EXPECT_EQ(hnsw().m, 24);
  EXPECT_EQ(hnsw().ef_construction, 300);
  EXPECT_EQ(hnsw().ef_search, 77);
  const std::string id = kCollectionId;
  Run("INSERT INTO collection_metadata VALUES ('" + id + "', 'hnsw:M', NULL, 100000, NULL, NULL), ('" + id +
      "', 'hnsw:construction_ef', NULL, -1, NULL, NULL), ('" + id + "', 'hnsw:search_ef', NULL, 10, NULL, NULL)");
  EXPECT_EQ(hnsw().m, 128);
  EXPECT_EQ(hnsw().ef_construction, 16);
  EXPECT_EQ(hnsw().ef_search, 0);
}

TEST_F(SmallStoreTest, ACollectionThatNeverHadARecord) {
  Run("UPDATE collections SET dimension = NULL; DELETE FROM embeddings; DELETE FROM max_seq_id");
  fs::remove_all(Root() / kVectorSegment);
  EXPECT_THAT(Read().records, IsEmpty());
}

TEST_F(SmallStoreTest, AWriteAheadFileIsMergedIntoACopy) {
  TestSqlite writer(Database());
  writer.Run("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0");
  writer.Run("INSERT INTO embedding_metadata VALUES (1, 'k', 'only in the wal', NULL, NULL, NULL)");
  ASSERT_GT(fs::file_size(Root() / "chroma.sqlite3-wal"), 0u);
  const std::string before = ReadFile(Database());
  EXPECT_EQ(Read().records.at("a").metadata, (Metadata{{"k", "only in the wal"}}));
  EXPECT_EQ(ReadFile(Database()), before) << "the store itself was written to";
  EXPECT_TRUE(IsEmptyDirectory(scratch_.path()));
}

TEST_F(SmallStoreTest, AWriteUnderWayIsRefused) {
  WriteFile(Root() / "chroma.sqlite3-journal",
            std::string("\xd9\xd5\x05\xf9\x20\xa1\x63\xd7") + std::string(1000, '\1'));
  EXPECT_THAT(Message(Open()), HasSubstr("start Chroma"));
  WriteFile(Root() / "chroma.sqlite3-journal", std::string(1000, '\0'));
  EXPECT_TRUE(Open().ok()) << "a journal that is done with";
}

TEST_F(SmallStoreTest, AStoreThatChangesWhileItIsReadIsNoticed) {
  const auto store = Open();
  ASSERT_TRUE(store.ok());
  const auto sink = [this](std::vector<RecordChange>) {
    Run("CREATE TABLE grown (x); INSERT INTO grown VALUES (zeroblob(100000))");
    return absl::OkStatus();
  };
  std::vector<std::string> lost;
  EXPECT_EQ((*store)->Read((*store)->collections()[0], sink, lost).code(), absl::StatusCode::kUnavailable);
}

TEST_F(SmallStoreTest, TheSinksErrorStopsTheReading) {
  const auto store = Open();
  ASSERT_TRUE(store.ok());
  std::vector<std::string> lost;
  const auto sink = [](std::vector<RecordChange>) { return absl::CancelledError("enough"); };
  EXPECT_EQ((*store)->Read((*store)->collections()[0], sink, lost).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ((*store)->Read(ChromaCollection(), sink, lost).code(), absl::StatusCode::kNotFound);
}

TEST_F(SmallStoreTest, SegmentIdsThatAreNoUuidsNameNoDirectory) {
  Run("UPDATE segments SET id = '../../../etc' WHERE scope = 'VECTOR'");
  EXPECT_THAT(Message(Open()), HasSubstr("not a UUID"));
}

TEST_F(SmallStoreTest, ViewsAndVirtualTablesInPlaceOfTablesAreRefused) {
  Run("ALTER TABLE embeddings RENAME TO hidden; CREATE VIEW embeddings AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL"
      " SELECT id + 1 FROM n) SELECT id, '" +
      std::string(kMetadataSegment) +
      "' AS segment_id, 'x' || id AS embedding_id,"
      " id AS seq_id FROM n");
  EXPECT_THAT(Message(Open()), HasSubstr("not a plain table"));
}

TEST_F(SmallStoreTest, TooMuchWorkIsStopped) {
  // Without its index every look-up of metadata reads the whole table.
  Run("DROP TABLE embedding_metadata; CREATE TABLE embedding_metadata (id INTEGER, key TEXT, string_value TEXT,"
      " int_value INTEGER, float_value REAL, bool_value INTEGER);"
      "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 30000)"
      " INSERT INTO embedding_metadata SELECT -1, 'k', NULL, 1, NULL, NULL FROM n;"
      "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 30000)"
      " INSERT INTO embeddings (segment_id, embedding_id, seq_id) SELECT '" +
      std::string(kMetadataSegment) + "', 'x' || x, 1 FROM n");
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  const StoreContents contents = ReadAll(**store, (*store)->collections()[0]);
  EXPECT_EQ(contents.status.code(), absl::StatusCode::kResourceExhausted) << contents.status;
}

TEST_F(SmallStoreTest, MoreRecordsThanAllowedAreRefused) {
  const auto store = Open({.records_max = 2});
  EXPECT_EQ(store.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Message(store), HasSubstr("more than 2 records"));
}

TEST_F(SmallStoreTest, LargeDocumentsMakeSmallBatches) {
  Run("INSERT INTO embedding_metadata SELECT id, 'chroma:document', hex(zeroblob(5000000)), NULL, NULL, NULL FROM "
      "embeddings");
  EXPECT_THAT(Read().batches, ElementsAre(2, 1));
}

TEST_F(SmallStoreTest, ASQLiteFileCutOffAnywhereIsRefusedOrReadRight) {
  const std::string whole = ReadFile(Database());
  for (std::size_t size = 0; size < whole.size(); size += 1024) {
    WriteFile(Database(), std::string_view(whole).substr(0, size));
    EXPECT_FALSE(Open().ok()) << size;
  }
}

TEST_F(SmallStoreTest, StoresOfOtherProgramsAreRefused) {
  EXPECT_THAT(Message(ChromaStore::Open(temp_.path() / "nowhere", scratch_.path(), {})), HasSubstr("no such file"));
  TempDir empty;
  EXPECT_THAT(Message(ChromaStore::Open(empty.path(), scratch_.path(), {})), HasSubstr("no chroma.sqlite3"));
  Run("DROP TABLE embeddings_queue");
  EXPECT_THAT(Message(Open()), HasSubstr("embeddings_queue"));
}

TEST_F(SmallStoreTest, AStoreIsFoundOneFolderDownIfItIsTheOnlyOne) {
  EXPECT_TRUE(ChromaStore::Open(temp_.path(), scratch_.path(), {}).ok());
  fs::copy(Root(), temp_ / "second", fs::copy_options::recursive);
  EXPECT_THAT(Message(ChromaStore::Open(temp_.path(), scratch_.path(), {})), HasSubstr("side by side"));
}

TEST_F(SmallStoreTest, ArchivesWithAWriteAheadFileAndStrangersBesideTheStore) {
  TestSqlite writer(Database());
  writer.Run("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0");
  writer.Run("INSERT INTO embedding_metadata VALUES (1, 'k', 'v', NULL, NULL, NULL)");
  auto entries = testing::Entries(Root(), "store/");
  entries.push_back({.path = "notes.txt", .bytes = "beside"});
  WriteArchive(temp_ / "a.tar.gz", entries);
  {
    const auto store = MustOpen(temp_ / "a.tar.gz", scratch_);
    ASSERT_NE(store, nullptr);
    EXPECT_EQ(ReadAll(*store, store->collections()[0]).records.at("a").metadata, (Metadata{{"k", "v"}}));
  }
  EXPECT_TRUE(IsEmptyDirectory(scratch_.path()));
}

TEST_F(SmallStoreTest, ARefusedArchiveLeavesNothing) {
  auto entries = testing::Entries(Root(), "store/");
  entries.push_back({.path = "store/../../evil", .bytes = "x"});
  WriteArchive(temp_ / "a.tar.gz", entries);
  EXPECT_THAT(Message(ChromaStore::Open(temp_ / "a.tar.gz", scratch_.path(), {})), HasSubstr("'..'"));
  EXPECT_TRUE(IsEmptyDirectory(scratch_.path()));
}

TEST_F(SmallStoreTest, PathsWithMarksThatMeanSomethingInAUri) {
  const fs::path odd = temp_ / "a b?mode=rw#x%41&ü";
  fs::copy(Root(), odd, fs::copy_options::recursive);
  EXPECT_TRUE(ChromaStore::Open(odd, scratch_.path(), {}).ok());
}

}  // namespace
}  // namespace omics::index
