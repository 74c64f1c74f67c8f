#include "gateway/chroma_json.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::gateway {
namespace {

using ::testing::HasSubstr;

constexpr Dialect kV1{Api::kV1, Client::kPythonRequests};
constexpr Dialect kV2{Api::kV2, Client::kPythonModern};

auto Write(std::string body, WriteKind kind = WriteKind::kAdd, Dialect dialect = kV2) {
  return ParseWrite(body, kind, dialect);
}

auto Get(std::string body, Dialect dialect = kV2) { return ParseGet(body, dialect); }
auto Create(std::string body, Dialect dialect = kV2) { return ParseCreateCollection(body, dialect); }

pb::Filter FilterOf(const std::string& text) {
  pb::Filter filter;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &filter)) << text;
  return filter;
}

TEST(ChromaJsonTest, ColumnsBecomeRowsInAnyOrder) {
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

TEST(ChromaJsonTest, NumbersKeepTheirKind) {
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

TEST(ChromaJsonTest, ANullMetadataValueIsReadByKindAndVersion) {
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

TEST(ChromaJsonTest, OnlyOldUpsertsAndUpdatesMayLeaveEmbeddingsOut) {
  const std::string body = R"({"ids":["a"],"documents":["x"],"embeddings":null})";
  EXPECT_TRUE(Write(body, WriteKind::kUpdate, kV2).ok());
  EXPECT_TRUE(Write(body, WriteKind::kUpsert, kV1).ok());
  EXPECT_EQ(Reason(Write(body, WriteKind::kUpsert, kV2).status()), kReasonJsonShape);
  EXPECT_EQ(Reason(Write(body, WriteKind::kAdd, kV1).status()), kReasonJsonShape);
}

TEST(ChromaJsonTest, BadWritesAreRefusedWithTheRightReason) {
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

TEST(ChromaJsonTest, DeepNestingIsRefusedNotFollowed) {
  const std::string deep = absl::StrCat("{\"x\":", std::string(100'000, '['), std::string(100'000, ']'), "}");
  EXPECT_FALSE(Get(deep).ok());
  std::string where = R"({"a":1})";
  for (int i = 0; i < 1000; ++i) where = absl::StrCat(R"({"$and":[)", where, "]}");
  EXPECT_FALSE(Get(absl::StrCat("{\"where\":", where, "}")).ok());
}

TEST(ChromaJsonTest, TruncatedAndMutatedBodiesNeverCrash) {
  const std::string good = R"({"ids":["a","b"],"embeddings":[[1,0.5],[2,3]],"metadatas":[{"k":[1,2]},{"s":"xA"}],
      "documents":["x",null],"where":{"$and":[{"a":1},{"b":{"$in":["x"]}}]},"where_document":{"$contains":"x"}})";
  constexpr std::uint32_t kSeed = 99;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    std::string body = good.substr(0, random() % 4 == 0 ? random() % good.size() : good.size());
    for (int changes = static_cast<int>(random() % 4); changes > 0 && !body.empty(); --changes) {
      body[random() % body.size()] = "{}[]\",:01.-eEnt\\u"[random() % 18];
    }
    std::string copy = body;
    ParseWrite(copy, WriteKind::kUpsert, kV2).status().IgnoreError();
    copy = body;
    ParseGet(copy, kV1).status().IgnoreError();
    copy = body;
    ParseCreateCollection(copy, kV2).status().IgnoreError();
  }
}

TEST(ChromaJsonTest, WhereIsTranslatedInFull) {
  const struct {
    const char* where;
    const char* filter;
  } kCases[] = {
      {R"({"s":"x"})", R"(metadata{key:"s" operator:OPERATOR_EQUAL values{string_value:"x"}})"},
      {R"({"s":{"$ne":1.5}})", R"(metadata{key:"s" operator:OPERATOR_NOT_EQUAL values{double_value:1.5}})"},
      {R"({"i":{"$gt":1}})", R"(metadata{key:"i" operator:OPERATOR_GREATER values{int_value:1}})"},
      {R"({"i":{"$gte":1}})", R"(metadata{key:"i" operator:OPERATOR_GREATER_OR_EQUAL values{int_value:1}})"},
      {R"({"i":{"$lt":1}})", R"(metadata{key:"i" operator:OPERATOR_LESS values{int_value:1}})"},
      {R"({"i":{"$lte":1}})", R"(metadata{key:"i" operator:OPERATOR_LESS_OR_EQUAL values{int_value:1}})"},
      {R"({"s":{"$in":["x","y"]}})",
       R"(metadata{key:"s" operator:OPERATOR_IN values{string_value:"x"} values{string_value:"y"}})"},
      {R"({"b":{"$nin":[true]}})", R"(metadata{key:"b" operator:OPERATOR_NOT_IN values{bool_value:true}})"},
      {R"({"l":{"$contains":"p"}})", R"(metadata{key:"l" operator:OPERATOR_CONTAINS values{string_value:"p"}})"},
      {R"({"l":{"$not_contains":3}})", R"(metadata{key:"l" operator:OPERATOR_NOT_CONTAINS values{int_value:3}})"},
      {R"({"#document":{"$regex":"a.b"}})", R"(document{operator:OPERATOR_MATCHES pattern:"a.b"})"},
      {R"({"$and":[]})", R"(all_of{})"},
      {R"({"$or":[{"a":1},{"$and":[{"b":2}]}]})",
       R"(any_of{filters{metadata{key:"a" operator:OPERATOR_EQUAL values{int_value:1}}}
          filters{all_of{filters{metadata{key:"b" operator:OPERATOR_EQUAL values{int_value:2}}}}}})"},
  };
  for (const auto& c : kCases) {
    const auto body = Get(absl::StrCat("{\"where\":", c.where, "}"));
    ASSERT_TRUE(body.ok()) << c.where << body.status();
    ASSERT_TRUE(body->filter.has_value()) << c.where;
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*body->filter, FilterOf(c.filter)))
        << c.where << "\n"
        << body->filter->DebugString();
  }
  const auto both = Get(R"({"where_document":{"$not_contains":"x"},"where":{"a":1}})");
  ASSERT_TRUE(both.ok());
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      *both->filter, FilterOf(R"(all_of{filters{metadata{key:"a" operator:OPERATOR_EQUAL values{int_value:1}}}
                                        filters{document{operator:OPERATOR_NOT_CONTAINS pattern:"x"}}})")));
}

TEST(ChromaJsonTest, WrongWhereClausesAre400) {
  for (const char* where :
       {R"({"s":"x","i":1})", R"({"s":{"$eq":"x","$ne":"y"}})", R"({"s":{}})", R"({"s":null})", R"({"s":{"$bogus":1}})",
        R"({"s":{"$gt":"a"}})", R"({"s":{"$in":[]}})", R"({"s":{"$in":["x",1]}})", R"({"i":{"$in":[1,2.5]}})",
        R"({"$not":[{"s":1}]})", R"({"t":["p"]})", R"({"t":{"$eq":["p"]}})", "[]", "\"x\"", R"({"$and":{}})",
        R"({"s":{"$regex":"x"}})"}) {
    const auto body = Get(absl::StrCat("{\"where\":", where, "}"));
    EXPECT_TRUE(absl::IsInvalidArgument(body.status())) << where;
    EXPECT_THAT(std::string(ToStd(body.status().message())), HasSubstr("Invalid where clause")) << where;
  }
  for (const char* where : {R"({"$contains":5})", R"({"bogus":"x"})", R"({"$contains":"a","$regex":"b"})"}) {
    const auto body = Get(absl::StrCat("{\"where_document\":", where, "}"));
    EXPECT_THAT(std::string(ToStd(body.status().message())), HasSubstr("Invalid where document clause")) << where;
  }
}

TEST(ChromaJsonTest, EmptyFiltersAreNoneInV1AndRefusedInV2) {
  const char* body = R"({"ids":["a"],"where":{},"where_document":{},"limit":3})";
  const auto v1 = Get(body, kV1);
  ASSERT_TRUE(v1.ok()) << v1.status();
  EXPECT_FALSE(v1->filter.has_value());
  EXPECT_EQ(v1->limit, 3);
  EXPECT_EQ(v1->ids->size(), 1u);
  EXPECT_TRUE(absl::IsInvalidArgument(Get(body, kV2).status()));
  const auto nulls = Get(R"({"ids":null,"where":null,"where_document":null,"limit":null,"offset":null})", kV2);
  ASSERT_TRUE(nulls.ok());
  EXPECT_FALSE(nulls->filter || nulls->ids || nulls->limit);
  EXPECT_FALSE(Get(R"({"where":{"$and":[{}]}})", kV1).ok());
}

TEST(ChromaJsonTest, LimitsAndIncludeFollowTheVersion) {
  EXPECT_FALSE(Get(R"({"limit":0})", kV1)->limit.has_value());
  EXPECT_EQ(Get(R"({"limit":0})", kV2)->limit, 0);
  EXPECT_EQ(Reason(Get(R"({"limit":-1})", kV2).status()), kReasonJsonShape);
  EXPECT_EQ(Reason(Get(R"({"limit":-1})", kV1).status()), "");
  EXPECT_EQ(Reason(Get(R"({"include":["data"]})", kV2).status()), kReasonJsonShape);
  EXPECT_TRUE(Get(R"({"include":["data"]})", kV1).ok());
  EXPECT_EQ(Reason(Get(R"({"include":null})", kV2).status()), kReasonJsonShape);
  const auto none = Get(R"({"include":[]})");
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->include.documents || none->include.metadatas);
  EXPECT_THAT(Get("{}")->include.words, ::testing::ElementsAre("documents", "metadatas"));
}

TEST(ChromaJsonTest, QueriesTakeFloatsOnly) {
  std::string body = R"({"query_embeddings":[[1,2],[3,4]],"n_results":3})";
  const auto query = ParseQueryBody(body, kV2);
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(query->query_vectors.size(), 2u);
  EXPECT_EQ(query->n_results, 3);
  for (std::string bad :
       {R"({"query_embeddings":["AAAA"]})", R"({"query_texts":["x"]})", R"({"query_embeddings":null})"}) {
    EXPECT_EQ(Reason(ParseQueryBody(bad, kV2).status()), kReasonJsonShape) << bad;
  }
}

TEST(ChromaJsonTest, ConfigurationIsReadInBothForms) {
  const auto modern =
      Create(R"({"name":"abc","configuration":{"hnsw":{"space":"cosine","ef_construction":200,"ef_search":50,
      "max_neighbors":32},"spann":null,"embedding_function":{"type":"known","name":"default","config":{"a":[1]}}}})");
  ASSERT_TRUE(modern.ok()) << modern.status();
  EXPECT_EQ(modern->configuration.space, "cosine");
  EXPECT_EQ(modern->configuration.max_neighbors, 32);
  EXPECT_EQ(modern->configuration.embedding_function, R"({"type":"known","name":"default","config":{"a":[1]}})");
  const auto legacy = Create(R"({"name":"abc","configuration":{"hnsw_configuration":{"space":"ip","M":24,
      "_type":"HNSWConfigurationInternal"},"_type":"CollectionConfigurationInternal"}})");
  ASSERT_TRUE(legacy.ok()) << legacy.status();
  EXPECT_EQ(legacy->configuration.space, "ip");
  EXPECT_EQ(legacy->configuration.max_neighbors, 24);
  const auto stored = ParseStoredConfiguration(modern->configuration.ToStored());
  EXPECT_EQ(stored.ef_construction, 200);
  EXPECT_EQ(stored.embedding_function, modern->configuration.embedding_function);
}

TEST(ChromaJsonTest, ConfigurationErrorsAreChromas) {
  EXPECT_EQ(Reason(Create(R"({"name":"abc","configuration":{"hnsw":{"space":"bad"}}})").status()), kReasonJsonShape);
  EXPECT_THAT(std::string(ToStd(Create(R"({"name":"abc","configuration":{"hnsw":{},"spann":{}}})").status().message())),
              HasSubstr("Multiple vector index"));
  EXPECT_TRUE(absl::IsInvalidArgument(Create(R"({"name":"abc","metadata":{}})").status()));
  EXPECT_EQ(Reason(Create("{}").status()), kReasonJsonShape);
  EXPECT_TRUE(Create(R"({"name":"abc","metadata":null,"configuration":null,"schema":null,"get_or_create":true})").ok());
  std::string update = R"({"new_configuration":{"hnsw":{"space":"ip"}}})";
  EXPECT_EQ(Reason(ParseUpdateCollection(update, kV2).status()), kReasonJsonShape);
}

TEST(ChromaJsonTest, TheSchemasVectorIndexSaysTheMetric) {
  const auto body = Create(R"({"name":"abc","schema":{"defaults":{"float_list":{"vector_index":{"enabled":false,
      "config":{"space":"l2"}}}},"keys":{"#embedding":{"float_list":{"vector_index":{"enabled":true,
      "config":{"space":"cosine","hnsw":{"ef_search":77}}}}}}}})");
  ASSERT_TRUE(body.ok()) << body.status();
  EXPECT_EQ(body->configuration.space, "cosine");
  EXPECT_EQ(body->configuration.ef_search, 77);
}

}  // namespace
}  // namespace omics::gateway
