#include "index/internal/chroma_hnsw.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/index/chroma_testing.h"

namespace omics::index {
namespace {

using testing::IndexItem;
using testing::ReadFile;
using testing::WriteFile;
using testing::WriteIndex;

constexpr int kDimension = 4;
constexpr std::int64_t kRecordsMax = 1000;
constexpr std::size_t kSlotBytes = 4 + 4 * 32 + 4 * kDimension + 8;

const std::vector<IndexItem>& Items() {
  static const auto& items = *new std::vector<IndexItem>{
      {.id = "a", .label = 5, .vector = {1, 0, 0, 0}, .length = 2},
      {.id = "b", .label = 9, .vector = {0, 0.6f, 0.8f, 0}, .length = 10},
      {.id = "c", .label = 6, .vector = {0, 0, 0, 1}, .length = 0.5f},
  };
  return items;
}

using Contents = std::map<std::string, std::vector<float>>;

const Contents& Expected() {
  static const auto& contents = *new Contents{{"a", {2, 0, 0, 0}}, {"b", {0, 6, 8, 0}}, {"c", {0, 0, 0, 0.5f}}};
  return contents;
}

// What can be read of the index; nothing if it is damaged as a whole.
Contents ReadIndex(const std::filesystem::path& directory, bool unit_vectors = true) {
  Contents contents;
  const auto index = ChromaHnsw::Open(directory, kDimension, unit_vectors, kRecordsMax);
  if (!index.ok()) {
    EXPECT_TRUE(absl::IsDataLoss(index.status())) << index.status();
    return contents;
  }
  for (const IndexItem& item : Items()) {
    std::vector<float> vector;
    const auto found = (*index)->Read(item.id, vector);
    EXPECT_TRUE(found.ok()) << found.status();
    if (found.ok() && *found) contents[item.id] = vector;
  }
  return contents;
}

void ExpectRightOrLost(const Contents& contents) {
  for (const auto& [id, vector] : contents) EXPECT_EQ(vector, Expected().at(id)) << id;
}

TEST(ChromaHnswTest, UnitVectorsGetTheirLengthBack) {
  TempDir temp;
  WriteIndex(temp.path(), Items(), kDimension);
  EXPECT_EQ(ReadIndex(temp.path()), Expected());
}

TEST(ChromaHnswTest, OtherMetricsTakeVectorsAsTheyAre) {
  TempDir temp;
  WriteIndex(temp.path(), Items(), kDimension);
  std::filesystem::remove(temp / "length.bin");
  EXPECT_EQ(ReadIndex(temp.path(), false).at("b"), (std::vector<float>{0, 0.6f, 0.8f, 0}));
}

TEST(ChromaHnswTest, WithoutPickleNothingIsRead) {
  TempDir temp;
  WriteIndex(temp.path(), Items(), kDimension);
  std::filesystem::remove(temp / "index_metadata.pickle");
  WriteFile(temp / "header.bin", "preallocated");
  const auto index = ChromaHnsw::Open(temp.path(), kDimension, true, kRecordsMax);
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_EQ(*index, nullptr);
}

TEST(ChromaHnswTest, DeletedAndUnknownIdsAreNotThere) {
  TempDir temp;
  std::vector<IndexItem> items = Items();
  items[1].deleted = true;
  WriteIndex(temp.path(), items, kDimension);
  const auto index = ChromaHnsw::Open(temp.path(), kDimension, true, kRecordsMax);
  ASSERT_TRUE(index.ok());
  EXPECT_TRUE((*index)->Contains("a"));
  EXPECT_FALSE((*index)->Contains("b"));
  EXPECT_FALSE((*index)->Contains("zz"));
  EXPECT_FALSE((*index)->Contains(""));
}

TEST(ChromaHnswTest, PreallocatedSlotsBehindTheFilledOnesAreNotRead) {
  TempDir temp;
  WriteIndex(temp.path(), Items(), kDimension);
  WriteFile(temp / "data_level0.bin", ReadFile(temp / "data_level0.bin") + std::string(10 * kSlotBytes, '\5'));
  WriteFile(temp / "length.bin", ReadFile(temp / "length.bin") + std::string(40, '\5'));
  EXPECT_EQ(ReadIndex(temp.path()), Expected());
}

TEST(ChromaHnswTest, EachMissingOrShortFileIsDamage) {
  for (const char* name : {"header.bin", "data_level0.bin", "length.bin"}) {
    TempDir temp;
    WriteIndex(temp.path(), Items(), kDimension);
    const std::string whole = ReadFile(temp / name);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, whole.size() / 2, whole.size() - 1}) {
      WriteFile(temp / name, std::string_view(whole).substr(0, size));
      EXPECT_TRUE(ReadIndex(temp.path()).empty()) << name << " " << size;
    }
    std::filesystem::remove(temp / name);
    EXPECT_TRUE(ReadIndex(temp.path()).empty()) << name;
  }
}

TEST(ChromaHnswTest, EveryHeaderFieldBrokenNeverGivesAWrongVector) {
  struct Field {
    const char* name;
    std::size_t offset;
    std::size_t width;
    bool needed;  // to find the vectors
  };
  const Field fields[] = {{"version", 0, 4, true},
                          {"offsetLevel0", 4, 8, true},
                          {"max_elements", 12, 8, false},
                          {"cur_element_count", 20, 8, false},
                          {"size_data_per_element", 28, 8, true},
                          {"label_offset", 36, 8, true},
                          {"offsetData", 44, 8, true},
                          {"maxlevel", 52, 4, false},
                          {"enterpoint", 56, 4, false},
                          {"maxM", 60, 8, false},
                          {"maxM0", 68, 8, true},
                          {"M", 76, 8, false},
                          {"mult", 84, 8, false},
                          {"ef_construction", 92, 8, false}};
  TempDir temp;
  WriteIndex(temp.path(), Items(), kDimension);
  const std::string whole = ReadFile(temp / "header.bin");
  for (const Field& field : fields) {
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{2}, std::uint64_t{133}, std::uint64_t{1} << 31,
                                      std::uint64_t{1} << 62, ~std::uint64_t{0}, ~std::uint64_t{0} / 156 + 1}) {
      std::string header = whole;
      std::memcpy(header.data() + field.offset, &value, field.width);
      if (header == whole) continue;
      WriteFile(temp / "header.bin", header);
      const Contents contents = ReadIndex(temp.path());
      ExpectRightOrLost(contents);
      EXPECT_TRUE(contents.empty() || !field.needed) << field.name << " " << value;
    }
  }
}

TEST(ChromaHnswTest, EverySlotFieldBrokenLosesThatVectorOnly) {
  TempDir temp;
  WriteIndex(temp.path(), Items(), kDimension);
  const std::string whole = ReadFile(temp / "data_level0.bin");
  const auto with = [&](std::size_t offset, auto value) {
    std::string bytes = whole;
    std::memcpy(bytes.data() + kSlotBytes + offset, &value, sizeof(value));
    WriteFile(temp / "data_level0.bin", bytes);
    const Contents contents = ReadIndex(temp.path());
    ExpectRightOrLost(contents);
    return contents;
  };
  constexpr std::size_t kVector = 4 + 4 * 32;
  constexpr std::size_t kLabel = kVector + 4 * kDimension;
  EXPECT_EQ(with(0, std::uint32_t{1} << 16).count("b"), 0u) << "deleted";
  EXPECT_EQ(with(4, std::uint32_t{12345}).size(), 3u) << "a link, which is not read";
  for (const float broken :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30f, 5.0f}) {
    const Contents contents = with(kVector + 4, broken);
    EXPECT_EQ(contents.count("b"), 0u) << broken;
    EXPECT_EQ(contents.size(), 2u) << broken;
  }
  EXPECT_EQ(with(kLabel, std::uint64_t{77}).size(), 2u) << "a label of nobody";
  EXPECT_EQ(with(kLabel, std::uint64_t{5}).count("a"), 0u) << "a label twice: neither slot can be trusted";
  EXPECT_EQ(with(kLabel, ~std::uint64_t{0}).size(), 2u);
}

TEST(ChromaHnswTest, BrokenNormsLoseThatVectorOnly) {
  for (const float broken : {std::numeric_limits<float>::quiet_NaN(), -1.0f, std::numeric_limits<float>::infinity()}) {
    TempDir temp;
    std::vector<IndexItem> items = Items();
    items[2].length = broken;
    WriteIndex(temp.path(), items, kDimension);
    const Contents contents = ReadIndex(temp.path());
    ExpectRightOrLost(contents);
    EXPECT_EQ(contents.size(), 2u);
  }
}

TEST(ChromaHnswTest, AZeroVectorStaysZero) {
  TempDir temp;
  std::vector<IndexItem> items = Items();
  items[0].vector = {0, 0, 0, 0};
  items[0].length = 0;
  WriteIndex(temp.path(), items, kDimension);
  EXPECT_EQ(ReadIndex(temp.path()).at("a"), (std::vector<float>{0, 0, 0, 0}));
}

TEST(ChromaHnswTest, AnIdTwiceIsDamage) {
  TempDir temp;
  std::vector<IndexItem> items = Items();
  items[2].id = "a";
  WriteIndex(temp.path(), items, kDimension);
  EXPECT_TRUE(ReadIndex(temp.path()).empty());
}

TEST(ChromaHnswTest, LinksInPlaceOfFilesAreNotFollowed) {
  TempDir temp;
  WriteIndex(temp / "real", Items(), kDimension);
  WriteIndex(temp / "linked", Items(), kDimension);
  std::filesystem::remove(temp / "linked/data_level0.bin");
  std::filesystem::create_symlink(temp / "real/data_level0.bin", temp / "linked/data_level0.bin");
  EXPECT_FALSE(ChromaHnsw::Open(temp / "linked", kDimension, true, kRecordsMax).ok());
}

}  // namespace
}  // namespace omics::index
