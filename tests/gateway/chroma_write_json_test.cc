#include "gateway/chroma_write_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "base/status.h"
#include "gateway/chroma_body.h"

namespace omics::gateway {
namespace {

constexpr Dialect kV1{Api::kV1, Client::kPythonRequests};
constexpr Dialect kV2{Api::kV2, Client::kPythonModern};

auto Write(std::string body, WriteKind kind = WriteKind::kAdd, Dialect dialect = kV2) {
  return ParseWrite(body, kind, dialect);
}

TEST(ChromaWriteJsonTest, ColumnsBecomeRowsInAnyOrder) {
  const auto records =
      Write(R"({"documents":["T cell",null],"metadatas":[{"s":"x","i":1,"f":1.5,"b":true,"l":["p","q"]},
      null],"extra":{"deep":[1,{"a":null}]},"uris":null,"embeddings":[[1,0.5],"AACAPwAAAEA="],"ids":["a","b"]})");
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 2);
  const pb::RecordChange& a = records->Get(0);
  EXPECT_EQ(a.id(), "a");
  EXPECT_THAT(a.embedding(), ::testing::ElementsAre(1.0f, 0.5f));
  EXPECT_EQ(a.document(), "T cell");
  EXPECT_EQ(a.metadata().at("i").int_value(), 1);
  EXPECT_EQ(a.metadata().at("f").double_value(), 1.5);
  EXPECT_TRUE(a.metadata().at("b").bool_value());
  EXPECT_EQ(a.metadata().at("l").string_list().values_size(), 2);
  const pb::RecordChange& b = records->Get(1);
  EXPECT_THAT(b.embedding(), ::testing::ElementsAre(1.0f, 2.0f));
  EXPECT_FALSE(b.has_document());
  EXPECT_FALSE(b.has_uri());
}

TEST(ChromaWriteJsonTest, NumbersKeepTheirKind) {
  const auto records =
      Write(R"({"ids":["a"],"embeddings":[[1]],"metadatas":[{"one":1,"onef":1.0,"max":9223372036854775807,
          "over":9223372036854775808,"huge":123456789012345678901234567890,"min":-9223372036854775808}]})");
  ASSERT_TRUE(records.ok()) << records.status();
  const auto& metadata = records->Get(0).metadata();
  EXPECT_TRUE(metadata.at("one").has_int_value());
  EXPECT_TRUE(metadata.at("onef").has_double_value());
  EXPECT_EQ(metadata.at("max").int_value(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(metadata.at("min").int_value(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(metadata.at("over").double_value(), 9223372036854775808.0);
  EXPECT_EQ(metadata.at("huge").double_value(), 123456789012345678901234567890.0);
}

TEST(ChromaWriteJsonTest, AnEmptyListTakesTheKeyAwayInAChangeAndIsNothingInAnAdd) {
  const std::string body = R"({"ids":["a"],"embeddings":[[1]],"metadatas":[{"l":[],"x":1}]})";
  for (const WriteKind kind : {WriteKind::kAdd, WriteKind::kUpdate, WriteKind::kUpsert}) {
    const auto records = Write(body, kind);
    ASSERT_TRUE(records.ok()) << records.status();
    EXPECT_FALSE(records->Get(0).metadata().contains("l"));
    EXPECT_EQ(records->Get(0).remove_metadata_keys_size(), kind == WriteKind::kAdd ? 0 : 1);
  }
}

TEST(ChromaWriteJsonTest, ANullMetadataValueIsReadByKindAndVersion) {
  const std::string body = R"({"ids":["a"],"embeddings":[[1]],"metadatas":[{"k":null,"x":1}]})";
  EXPECT_EQ(Reason(Write(body, WriteKind::kAdd, kV2).status()), kReasonJsonShape);
  const auto dropped = Write(body, WriteKind::kAdd, kV1);
  ASSERT_TRUE(dropped.ok());
  EXPECT_EQ(dropped->Get(0).remove_metadata_keys_size(), 0);
  EXPECT_EQ(dropped->Get(0).metadata().size(), 1u);
  for (const WriteKind kind : {WriteKind::kUpsert, WriteKind::kUpdate}) {
    const auto removed = Write(body, kind, kV2);
    ASSERT_TRUE(removed.ok());
    EXPECT_THAT(removed->Get(0).remove_metadata_keys(), ::testing::ElementsAre("k"));
  }
}

TEST(ChromaWriteJsonTest, OnlyOldUpsertsAndUpdatesMayLeaveEmbeddingsOut) {
  const std::string body = R"({"ids":["a"],"documents":["x"],"embeddings":null})";
  EXPECT_TRUE(Write(body, WriteKind::kUpdate, kV2).ok());
  EXPECT_TRUE(Write(body, WriteKind::kUpsert, kV1).ok());
  EXPECT_EQ(Reason(Write(body, WriteKind::kUpsert, kV2).status()), kReasonJsonShape);
  EXPECT_EQ(Reason(Write(body, WriteKind::kAdd, kV1).status()), kReasonJsonShape);
}

TEST(ChromaWriteJsonTest, BadWritesAreRefusedWithTheRightReason) {
  const struct {
    const char* body;
    const char* reason;
  } kCases[] = {
      {"", kReasonJsonSyntax},
      {"{bad", kReasonJsonSyntax},
      {"[]", kReasonJsonShape},
      {"{} {}", kReasonJsonSyntax},
      {"{}}", kReasonJsonSyntax},
      {R"({"ids":["a"],"embeddings":[[NaN]]})", kReasonJsonSyntax},
      {R"({"ids":["a"],"embeddings":[[-Infinity]]})", kReasonJsonSyntax},
      {R"({"ids":["a"],"embeddings":[[1e39]]})", ""},
      {R"({"ids":["a"],"embeddings":[[null]]})", kReasonJsonShape},
      {R"({"ids":["a"],"embeddings":[["1"]]})", kReasonJsonShape},
      {R"({"ids":["a"],"embeddings":[null]})", kReasonJsonShape},
      {R"({"ids":["a"],"embeddings":null})", kReasonJsonShape},
      {R"({"ids":["a"]})", kReasonJsonShape},
      {R"({"ids":["a"],"embeddings":[[]]})", ""},
      {R"({"ids":["a","b"],"embeddings":[[1]]})", ""},
      {R"({"ids":["a"],"embeddings":[[1],[2]]})", ""},
      {R"({"ids":["a","b"],"embeddings":[[1],[1,2]]})", "DIMENSION_MISMATCH"},
      {R"({"ids":[""],"embeddings":[[1]]})", ""},
      {R"({"ids":[5],"embeddings":[[1]]})", kReasonJsonShape},
      {R"({"ids":"a","embeddings":[[1]]})", kReasonJsonShape},
      {R"({"ids":["a"],"embeddings":["AACA"]})", ""},
      {R"({"ids":["a"],"embeddings":["AADAfw=="]})", ""},  // NaN
      {R"({"ids":["a"],"embeddings":["####"]})", ""},
      {R"({"ids":["a"],"embeddings":[[1]],"metadatas":[{"k":{"n":1}}]})", kReasonJsonShape},
      {R"({"ids":["a"],"embeddings":[[1]],"metadatas":[{"k":[1,"a"]}]})", kReasonJsonShape},
      {R"({"ids":["a"],"embeddings":[[1]],"metadatas":[[]]})", kReasonJsonShape},
      {R"({"ids":["a"],"embeddings":[[1]],"unknown":nul})", kReasonJsonSyntax},
      {R"({"ids":["a"],"embeddings":[[1]],"unknown":[1,]})", kReasonJsonSyntax},
      {"{\"ids\":[\"\xff\"],\"embeddings\":[[1]]}", kReasonJsonSyntax},
      {R"({"ids":["\ud800"],"embeddings":[[1]]})", kReasonJsonSyntax},
  };
  for (const auto& c : kCases) {
    const auto records = Write(c.body);
    EXPECT_TRUE(absl::IsInvalidArgument(records.status())) << c.body << " " << records.status();
    EXPECT_EQ(Reason(records.status()), c.reason) << c.body << " " << records.status();
  }
}

}  // namespace
}  // namespace omics::gateway
