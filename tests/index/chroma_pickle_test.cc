#include "index/internal/chroma_pickle.h"

#include <gmock/gmock.h>

#include <set>

#include "index/internal/archive.h"
#include "tests/index/chroma_testing.h"

namespace omics::index {
namespace {

using testing::Append;
using ::testing::HasSubstr;
using testing::MakePickle;
using testing::PickleInt;
using testing::PickleText;

constexpr std::int64_t kRecordsMax = 10'000;

// Short texts as Python's protocol 5 writes them, each remembered.
std::string Short(std::string_view text) {
  return std::string("\x8c") + static_cast<char>(text.size()) + std::string(text) + "\x94";
}

std::string PythonHead(std::string_view module = "chromadb.segment.impl.vector.local_persistent_hnsw",
                       std::string_view name = "PersistentData") {
  return "\x80\x05" + Short(module) + Short(name) + "\x93\x94)\x81\x94}\x94(";
}

void ExpectRefused(const std::string& bytes, const std::string& word, std::int64_t records_max = kRecordsMax) {
  const auto pickle = ReadChromaPickle(bytes, records_max);
  EXPECT_EQ(pickle.status().code(), absl::StatusCode::kInvalidArgument) << word;
  EXPECT_THAT(std::string(pickle.status().message()), HasSubstr(word));
}

TEST(ChromaPickleTest, WhatTheRustServerWrites) {
  const std::string bytes = MakePickle({{.id = "b", .label = 7, .vector = {}}, {.id = "a", .label = 3, .vector = {}}});
  const auto pickle = ReadChromaPickle(bytes, kRecordsMax);
  ASSERT_TRUE(pickle.ok()) << pickle.status();
  EXPECT_THAT(pickle->id_to_label, ::testing::ElementsAre(std::pair("b", 7), std::pair("a", 3)));
  EXPECT_FALSE(pickle->max_seq_id.has_value());
}

TEST(ChromaPickleTest, WhatPythonWrites) {
  // Also every way to write a number: BININT1, BININT2, BININT (negative), LONG1 of several widths, SETITEM.
  const std::string bytes = PythonHead() + Short("max_seq_id") + std::string("\x8a\x05\x00\x00\x00\x00\x01", 7) +
                            Short("id_to_label") + "}\x94(" + Short("one") + "K\xff" + Short("two") + "M\x34\x12" +
                            Short("three") + "J\xff\xff\xff\xff" + Short("four") + "\x8a\x01\xfe" + Short("five") +
                            std::string("\x8a\x00", 2) + "u" + "u" + Short("total_elements_added") + "K\x05s" + "b.";
  const auto pickle = ReadChromaPickle(bytes, kRecordsMax);
  ASSERT_TRUE(pickle.ok()) << pickle.status();
  EXPECT_EQ(pickle->max_seq_id, std::int64_t{1} << 32);
  EXPECT_THAT(pickle->id_to_label,
              ::testing::ElementsAre(std::pair("one", 255), std::pair("two", 0x1234), std::pair("three", -1),
                                     std::pair("four", -2), std::pair("five", 0)));
}

TEST(ChromaPickleTest, TheRealOnesOfFiveVersions) {
  for (const char* version : {"0.4.14", "0.4.24", "0.5.23", "0.6.3", "1.4.4"}) {
    TempDir temp;
    ASSERT_EQ(UnpackArchive(testing::TestData("chroma-stores/chroma-store-" + std::string(version) + ".tar.gz"),
                            temp.path(), {.files_max = 100, .unpacked_bytes_max = 1 << 30, .ratio_max = 1000}),
              absl::OkStatus());
    std::string bytes;
    for (const auto& file : std::filesystem::recursive_directory_iterator(temp.path())) {
      if (file.path().filename() == "index_metadata.pickle") bytes = testing::ReadFile(file.path());
    }
    const auto pickle = ReadChromaPickle(bytes, kRecordsMax);
    ASSERT_TRUE(pickle.ok()) << pickle.status();
    EXPECT_EQ(pickle->id_to_label.size(), 2000u);
    EXPECT_EQ(pickle->max_seq_id.has_value(), std::string_view(version).starts_with("0.4"));
    std::set<std::string_view> ids;
    std::set<std::int64_t> labels;
    for (const auto& [id, label] : pickle->id_to_label) {
      ids.insert(id);
      labels.insert(label);
    }
    EXPECT_EQ(ids.size(), 2000u);
    EXPECT_EQ(ids.count("id0") + ids.count("id1999"), 2u);
    EXPECT_EQ(labels.size(), 2000u);
    EXPECT_EQ(*labels.begin(), 1);
    EXPECT_EQ(*labels.rbegin(), 2000);
  }
}

TEST(ChromaPickleTest, NoOtherClassAndNothingIsCalled) {
  ExpectRefused(PythonHead("os", "system") + "ub.", "class 'os.system' is not allowed");
  ExpectRefused(PythonHead("chromadb.segment.impl.vector.local_persistent_hnsw", "os.system") + "ub.", "not allowed");
  ExpectRefused(
      "\x80\x03"
      "cos\nsystem\n(X\x02\0\0\0idtR.",
      "opcode 0x63 is not allowed");
  const std::string shell =
      "\x80\x05" + Short("chromadb.segment.impl.vector.local_persistent_hnsw") + Short("PersistentData");
  ExpectRefused(shell + "\x93)R.", "opcode 0x52 is not allowed");
  // Every opcode but the twenty-one that are needed.
  const std::string allowed = std::string("\x80\x95\x8cX\x94\x93)\x81}(JKM\x8ahjsuNb.");
  for (int opcode = 0; opcode < 256; ++opcode) {
    if (allowed.find(static_cast<char>(opcode)) != std::string::npos) continue;
    ExpectRefused(std::string("\x80\x03") + static_cast<char>(opcode) + std::string(64, '0'), "is not allowed");
  }
}

TEST(ChromaPickleTest, DepthMemoStackAndCountsAreBounded) {
  ExpectRefused("\x80\x03" + std::string(100'000, '('), "too deep");
  ExpectRefused("\x80\x03" + std::string(100'000, '}'), "too many dictionaries");
  ExpectRefused("\x80\x03" + std::string(100'000, 'N'), "stack is full");
  ExpectRefused("\x80\x03N" + std::string(100'000, '\x94'), "memo is full");
  ExpectRefused(std::string("\x80\x03j\xff\xff\xff\xff", 7), "memo entry");
  ExpectRefused(std::string("\x80\x03h\x00", 4), "memo entry");
  std::vector<testing::IndexItem> items(101);
  for (std::size_t i = 0; i < items.size(); ++i) items[i].id = std::to_string(i);
  ExpectRefused(MakePickle(items), "too many ids", 100);
}

TEST(ChromaPickleTest, MalformedOnesAreRefused) {
  ExpectRefused("", "cut off");
  ExpectRefused("\x80\x06.", "newer pickle protocol");
  ExpectRefused("\x80\x03.", "no state");
  ExpectRefused("\x80\x03}.", "no id_to_label");
  ExpectRefused("\x80\x03}(" + PickleText("id_to_label") + "u.", "without a dictionary");
  ExpectRefused("\x80\x03u.", "without a mark");
  ExpectRefused("\x80\x03(u.", "without a dictionary");
  ExpectRefused("\x80\x03}(" + PickleText("id_to_label") + "su.", "without a dictionary");
  ExpectRefused("\x80\x03}(\x94u.", "nothing to remember");
  ExpectRefused("\x80\x03}(" + PickleText("a") + ")u.", "unknown kind");
  ExpectRefused("\x80\x03}(NNu.", "no text");
  ExpectRefused("\x80\x03}}b.", "without an object");
  ExpectRefused("\x80\x03N)\x81.", "no known class");
  ExpectRefused(std::string("\x80\x03\x8a\x09", 4) + std::string(9, '\1'), "64 bits");
  // A text whose length reaches far beyond the file.
  ExpectRefused(std::string("\x80\x03X\xff\xff\xff\xff"
                            "abc",
                            10),
                "cut off");
  // The state as its own id_to_label.
  ExpectRefused("\x80\x03}\x94(" + PickleText("id_to_label") + std::string("h\x00", 2) + "u.", "within itself");
}

TEST(ChromaPickleTest, CutOffAnywhereIsRefused) {
  const std::string whole = MakePickle({{.id = "b", .label = 7, .vector = {}}, {.id = "a", .label = 3, .vector = {}}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ReadChromaPickle(std::string_view(whole).substr(0, size), kRecordsMax).ok()) << size;
  }
}

}  // namespace
}  // namespace omics::index
