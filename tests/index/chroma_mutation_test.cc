// Stores with flipped bytes: whatever comes out is a status, never a crash, and a vector is right, lost, or was hit
// itself.
#include <gtest/gtest.h>

#include <random>

#include "index/chroma_store.h"
#include "tests/index/chroma_testing.h"

namespace omics::index {
namespace {

namespace fs = std::filesystem;
using testing::kCollectionId;
using testing::kMetadataSegment;
using testing::kVectorSegment;
using testing::TestSqlite;

constexpr int kMutations = 2000;
constexpr unsigned kSeed = 20'241'122;
constexpr int kRecords = 40;

void WriteStore(const fs::path& root) {
  testing::WriteSchema(root, 3);
  std::vector<testing::IndexItem> items;
  TestSqlite db(root / "chroma.sqlite3");
  for (int i = 0; i < kRecords; ++i) {
    const std::string id = "id" + std::to_string(i);
    items.push_back({.id = id, .label = static_cast<std::uint64_t>(i + 1), .vector = {1.0f * i, 1, 2}});
    db.Run("INSERT INTO embeddings (segment_id, embedding_id, seq_id) VALUES ('" + std::string(kMetadataSegment) +
           "', '" + id + "', " + std::to_string(i + 1) + ")");
    db.Run("INSERT INTO embedding_metadata VALUES (" + std::to_string(i + 1) + ", 'chroma:document', 'text of " + id +
           "', NULL, NULL, NULL), (" + std::to_string(i + 1) + ", 'n', NULL, " + std::to_string(i) + ", NULL, NULL)");
    db.Run("INSERT INTO embedding_metadata_array VALUES (" + std::to_string(i + 1) + ", 'l', 'x', NULL, NULL, NULL)");
  }
  db.Run("INSERT INTO max_seq_id VALUES ('" + std::string(kVectorSegment) + "', 30), ('" + kMetadataSegment + "', 30)");
  for (int i = 30; i < kRecords; ++i) {
    db.InsertLog(i + 1, i % 4, "id" + std::to_string(i), testing::FloatBytes({1, 2, 3}), "FLOAT32",
                 R"({"n":1,"l":["a","b"],"chroma:document":null})", kCollectionId);
  }
  testing::WriteIndex(root / kVectorSegment, items, 3);
}

void ReadEverything(const fs::path& path, const fs::path& scratch, int& readable) {
  const auto store = ChromaStore::Open(path, scratch, {.files_max = 100, .unpacked_bytes_max = 64 << 20});
  if (!store.ok()) {
    EXPECT_FALSE(store.status().message().empty());
    return;
  }
  for (const ChromaCollection& collection : (*store)->collections()) {
    std::vector<std::string> lost;
    const auto sink = [&collection](std::vector<RecordChange> batch) {
      for (const RecordChange& record : batch) {
        EXPECT_EQ(record.embedding.size(), static_cast<std::size_t>(collection.dimension));
      }
      return absl::OkStatus();
    };
    if ((*store)->Read(collection, sink, lost).ok()) ++readable;
  }
}

void Flip(std::string& bytes, std::mt19937& random) {
  const int flips = 1 + static_cast<int>(random() % 4);
  for (int i = 0; i < flips; ++i) {
    // Half of the hits go to the start, where the headers are.
    const std::size_t range = random() % 2 ? bytes.size() : std::min<std::size_t>(bytes.size(), 128);
    bytes[random() % range] = static_cast<char>(random());
  }
}

TEST(ChromaMutationTest, FlippedBytesInAnyFileGiveAStatus) {
  SCOPED_TRACE(::testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  TempDir temp;
  TempDir scratch;
  const fs::path root = temp / "store";
  WriteStore(root);
  const std::vector<fs::path> files = {root / "chroma.sqlite3", root / kVectorSegment / "header.bin",
                                       root / kVectorSegment / "data_level0.bin", root / kVectorSegment / "length.bin",
                                       root / kVectorSegment / "index_metadata.pickle"};
  int readable = 0;
  for (int i = 0; i < kMutations; ++i) {
    const fs::path& file = files[static_cast<std::size_t>(i) % files.size()];
    const std::string whole = testing::ReadFile(file);
    std::string mutated = whole;
    Flip(mutated, random);
    testing::WriteFile(file, mutated);
    ReadEverything(root, scratch.path(), readable);
    testing::WriteFile(file, whole);
    if (HasFailure()) FAIL() << "mutation " << i << " of " << file;
  }
  EXPECT_GT(readable, kMutations / 10) << "the mutations are so coarse that nothing behind the first check is tested";
  EXPECT_LT(readable, kMutations) << "no mutation was noticed";
}

TEST(ChromaMutationTest, FlippedBytesInAnArchiveGiveAStatus) {
  SCOPED_TRACE(::testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  TempDir temp;
  TempDir scratch;
  WriteStore(temp / "store");
  for (const bool gzip : {true, false}) {
    testing::WriteArchive(temp / "whole", testing::Entries(temp / "store", "store/"), gzip);
    const std::string whole = testing::ReadFile(temp / "whole");
    int readable = 0;
    for (int i = 0; i < kMutations / 10; ++i) {
      std::string mutated = whole;
      Flip(mutated, random);
      testing::WriteFile(temp / "mutated", mutated);
      ReadEverything(temp / "mutated", scratch.path(), readable);
      EXPECT_EQ(fs::directory_iterator(scratch.path()), fs::directory_iterator()) << "mutation " << i;
    }
  }
}

}  // namespace
}  // namespace omics::index
