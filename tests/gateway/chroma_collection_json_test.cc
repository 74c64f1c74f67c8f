#include "gateway/chroma_collection_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "gateway/chroma_body.h"

namespace omics::gateway {
namespace {

using ::testing::HasSubstr;

constexpr Dialect kV2{Api::kV2, Client::kPythonModern};

auto Create(std::string body) { return ParseCreateCollection(body, kV2); }

TEST(ChromaCollectionJsonTest, ConfigurationIsReadInBothForms) {
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

TEST(ChromaCollectionJsonTest, ConfigurationErrorsAreChromas) {
  EXPECT_EQ(Reason(Create(R"({"name":"abc","configuration":{"hnsw":{"space":"bad"}}})").status()), kReasonJsonShape);
  EXPECT_THAT(std::string(ToStd(Create(R"({"name":"abc","configuration":{"hnsw":{},"spann":{}}})").status().message())),
              HasSubstr("Multiple vector index"));
  EXPECT_TRUE(absl::IsInvalidArgument(Create(R"({"name":"abc","metadata":{}})").status()));
  EXPECT_EQ(Reason(Create("{}").status()), kReasonJsonShape);
  EXPECT_TRUE(Create(R"({"name":"abc","metadata":null,"configuration":null,"schema":null,"get_or_create":true})").ok());
  std::string update = R"({"new_configuration":{"hnsw":{"space":"ip"}}})";
  EXPECT_EQ(Reason(ParseUpdateCollection(update, kV2).status()), kReasonJsonShape);
}

TEST(ChromaCollectionJsonTest, TheSchemasVectorIndexSaysTheMetric) {
  const auto body = Create(R"({"name":"abc","schema":{"defaults":{"float_list":{"vector_index":{"enabled":false,
      "config":{"space":"l2"}}}},"keys":{"#embedding":{"float_list":{"vector_index":{"enabled":true,
      "config":{"space":"cosine","hnsw":{"ef_search":77}}}}}}}})");
  ASSERT_TRUE(body.ok()) << body.status();
  EXPECT_EQ(body->configuration.space, "cosine");
  EXPECT_EQ(body->configuration.ef_search, 77);
}

}  // namespace
}  // namespace omics::gateway
