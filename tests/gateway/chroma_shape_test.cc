#include "gateway/chroma_shape.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <set>
#include <string>

namespace omics::gateway {
namespace {

using Keys = std::set<std::string>;

constexpr Dialect kV1Requests{Api::kV1, Client::kPythonRequests};
constexpr Dialect kV1Httpx{Api::kV1, Client::kPythonHttpx};
constexpr Dialect kV2Httpx{Api::kV2, Client::kPythonHttpx};
constexpr Dialect kV2Modern{Api::kV2, Client::kPythonModern};
constexpr Dialect kV2Node{Api::kV2, Client::kNode};

Keys KeysOf(const std::string& json) {
  simdjson::dom::parser parser;
  Keys keys;
  simdjson::dom::object object;
  EXPECT_EQ(parser.parse(json).get(object), simdjson::SUCCESS);
  for (const auto field : object) keys.emplace(field.key);
  return keys;
}

std::string At(const std::string& json, const char* pointer) {
  simdjson::dom::parser parser;
  simdjson::dom::element element;
  EXPECT_EQ(parser.parse(json).at_pointer(pointer).get(element), simdjson::SUCCESS) << pointer << " in " << json;
  return simdjson::minify(element);
}

pb::Collection Mondo() {
  pb::Collection collection;
  collection.set_id("e8a6c3db-431d-48f4-b06b-e8054556c165");
  collection.set_name("mondo");
  collection.set_tenant("default_tenant");
  collection.set_database("default_database");
  collection.set_metric(pb::METRIC_COSINE);
  (*collection.mutable_metadata())["hnsw:space"].set_string_value("cosine");
  return collection;
}

std::string Shaped(const pb::Collection& collection, CollectionShape shape) {
  std::string out;
  AppendCollection(out, collection, shape);
  return out;
}

TEST(ChromaShapeTest, UserAgentsAreToldApart) {
  EXPECT_EQ(ClientFromUserAgent("python-requests/2.31.0"), Client::kPythonRequests);
  EXPECT_EQ(ClientFromUserAgent("python-httpx/0.23.3"), Client::kPythonHttpx);
  EXPECT_EQ(ClientFromUserAgent("Chroma Python Client v1.5.9 (https://github.com/chroma-core/chroma)"),
            Client::kPythonModern);
  EXPECT_EQ(ClientFromUserAgent("node"), Client::kNode);
  EXPECT_EQ(ClientFromUserAgent("Chroma Javascript Client v2.4.6 (…)"), Client::kNode);
  EXPECT_EQ(ClientFromUserAgent("curl/8"), Client::kOther);
}

TEST(ChromaShapeTest, EachClientGetsTheKeysItTolerates) {
  const Keys minimal = {"id", "name", "metadata"};
  const Keys legacy = {"id", "name", "metadata", "tenant", "database", "configuration_json", "dimension", "version"};
  Keys modern = legacy;
  modern.insert({"schema", "log_position"});
  EXPECT_EQ(KeysOf(Shaped(Mondo(), ShapeOfOne(kV1Requests))), legacy);
  EXPECT_EQ(KeysOf(Shaped(Mondo(), ShapeOfOne(kV1Httpx))), legacy);
  EXPECT_EQ(KeysOf(Shaped(Mondo(), ShapeOfOne(kV2Httpx))), legacy);
  EXPECT_EQ(KeysOf(Shaped(Mondo(), ShapeOfOne(kV2Modern))), modern);
  EXPECT_EQ(KeysOf(Shaped(Mondo(), ShapeOfOne(kV2Node))), modern);
  EXPECT_EQ(KeysOf(Shaped(Mondo(), ShapeOfList(kV1Requests, true))), minimal);
  EXPECT_EQ(KeysOf(Shaped(Mondo(), ShapeOfList(kV1Httpx, false))), minimal);
  EXPECT_EQ(KeysOf(Shaped(Mondo(), ShapeOfList(kV1Httpx, true))), legacy);
  EXPECT_EQ(KeysOf(Shaped(Mondo(), ShapeOfList(kV2Modern, false))), modern);
}

// As the 1.4.4 server printed it; the server's own order of keys.
TEST(ChromaShapeTest, ModernConfigurationAndSchemaAreTheServersOwn) {
  const std::string json = Shaped(Mondo(), CollectionShape::kModern);
  EXPECT_EQ(At(json, "/configuration_json"),
            R"({"hnsw":{"space":"cosine","ef_construction":100,"ef_search":100,"max_neighbors":16,)"
            R"("resize_factor":1.2,"sync_threshold":1000},"spann":null,"embedding_function":null})");
  EXPECT_EQ(
      At(json, "/schema"),
      R"({"defaults":{"string":{"fts_index":{"enabled":false,"config":{}},"string_inverted_index":{"enabled":true,)"
      R"("config":{}}},"float_list":{"vector_index":{"enabled":false,"config":{"space":"cosine","hnsw":)"
      R"({"ef_construction":100,"max_neighbors":16,"ef_search":100,"num_threads":2,"batch_size":100,)"
      R"("sync_threshold":1000,"resize_factor":1.2}}}},"sparse_vector":{"sparse_vector_index":{"enabled":false,)"
      R"("config":{"embedding_function":{"type":"unknown"},"bm25":false}}},"int":{"int_inverted_index":{"enabled":)"
      R"(true,"config":{}}},"float":{"float_inverted_index":{"enabled":true,"config":{}}},"bool":)"
      R"({"bool_inverted_index":{"enabled":true,"config":{}}}},"keys":{"#document":{"string":{"fts_index":)"
      R"({"enabled":true,"config":{}},"string_inverted_index":{"enabled":false,"config":{}}}},"#embedding":)"
      R"({"float_list":{"vector_index":{"enabled":true,"config":{"space":"cosine","source_key":"#document","hnsw":)"
      R"({"ef_construction":100,"max_neighbors":16,"ef_search":100,"num_threads":2,"batch_size":100,)"
      R"("sync_threshold":1000,"resize_factor":1.2}}}}}}})");
  EXPECT_EQ(At(json, "/dimension"), "null");
}

TEST(ChromaShapeTest, LegacyConfigurationHasItsTypeMarksAndTheTrueMetric) {
  EXPECT_EQ(At(Shaped(Mondo(), CollectionShape::kLegacy), "/configuration_json"),
            R"({"hnsw_configuration":{"space":"cosine","ef_construction":100,"ef_search":10,"num_threads":2,"M":16,)"
            R"("resize_factor":1.2,"batch_size":100,"sync_threshold":1000,"_type":"HNSWConfigurationInternal"},)"
            R"("_type":"CollectionConfigurationInternal"})");
}

TEST(ChromaShapeTest, WhatTheClientConfiguredComesBack) {
  pb::Collection collection = Mondo();
  collection.mutable_hnsw()->set_ef_search(77);
  collection.set_client_configuration(
      R"({"hnsw":{"sync_threshold":5,"space":"l2"},"embedding_function":{"type":"known","name":"x","config":{}}})");
  const std::string json = Shaped(collection, CollectionShape::kModern);
  EXPECT_EQ(At(json, "/configuration_json/hnsw/ef_search"), "77");
  EXPECT_EQ(At(json, "/configuration_json/hnsw/sync_threshold"), "5");
  EXPECT_EQ(At(json, "/configuration_json/hnsw/space"), R"("cosine")");
  EXPECT_EQ(At(json, "/configuration_json/embedding_function"), R"({"type":"known","name":"x","config":{}})");
  collection.set_client_configuration("not json at all");
  EXPECT_EQ(At(Shaped(collection, CollectionShape::kModern), "/configuration_json/embedding_function"), "null");
}

pb::GetResponse OnePage() {
  pb::GetResponse page;
  auto* a = page.add_records();
  a->set_id("a");
  a->add_embedding(1);
  a->add_embedding(0.5f);
  a->set_document("alpha \"T\" cell");
  auto& metadata = *a->mutable_metadata();
  metadata["s"].set_string_value("x");
  metadata["i"].set_int_value(1);
  metadata["f"].set_double_value(2);
  metadata["b"].set_bool_value(true);
  metadata["l"].mutable_int_list()->add_values(3);
  page.add_records()->set_id("b");
  return page;
}

std::string Got(const std::vector<pb::GetResponse>& pages, const IncludeSet& include, Dialect dialect) {
  GetAnswer answer(include, dialect);
  for (const pb::GetResponse& page : pages) answer.Add(page);
  return answer.Finish();
}

TEST(ChromaShapeTest, GetAnswersAreColumnsOverAllPages) {
  IncludeSet include = IncludeSet::ForGet();
  EXPECT_EQ(Got({OnePage()}, include, kV2Modern),
            R"({"ids":["a","b"],"embeddings":null,"documents":["alpha \"T\" cell",null],"uris":null,)"
            R"("metadatas":[{"b":true,"f":2.0,"i":1,"l":[3],"s":"x"},null],"include":["documents","metadatas"],)"
            R"("included":["documents","metadatas"]})");
  include = IncludeSet();
  include.embeddings = include.uris = true;
  include.words = {"embeddings", "uris"};
  EXPECT_EQ(Got({OnePage(), pb::GetResponse(), OnePage()}, include, kV1Requests),
            R"({"ids":["a","b","a","b"],"embeddings":[[1.0,0.5],[],[1.0,0.5],[]],"documents":null,)"
            R"("uris":[null,null,null,null],"metadatas":null,"data":null,"include":["embeddings","uris"],)"
            R"("included":["embeddings","uris"]})");
  EXPECT_EQ(At(Got({}, IncludeSet::ForGet(), kV2Modern), "/documents"), "[]");
}

TEST(ChromaShapeTest, QueryAnswersNestOneListPerVector) {
  pb::QueryResponse part;
  auto* hit = part.add_results()->add_hits();
  hit->mutable_record()->set_id("c");
  hit->set_distance(0.055088878f);
  part.add_results();
  const std::string json = QueryAnswer({part}, IncludeSet::ForQuery(), kV2Node);
  EXPECT_EQ(json, R"({"ids":[["c"],[]],"embeddings":null,"documents":[[null],[]],"uris":null,"metadatas":[[null],[]],)"
                  R"("distances":[[0.055088878],[]],"include":["documents","metadatas","distances"],)"
                  R"("included":["documents","metadatas","distances"]})");
  EXPECT_EQ(At(QueryAnswer({part}, IncludeSet(), kV2Node), "/distances"), "null");
}

}  // namespace
}  // namespace omics::gateway
