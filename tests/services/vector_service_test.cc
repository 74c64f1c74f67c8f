// The data plane through a real client: what goes in comes out, and answers equal a plain model's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tests/services/testing.h"

namespace omics::services {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr unsigned kSeed = 20240611;

class VectorServiceTest : public testing::Test {
 protected:
  pb::VectorService::Stub& stub() { return server_.vectors(); }

  pb::UpsertResponse Upsert(const std::vector<pb::RecordChange>& records) {
    pb::UpsertRequest request;
    *request.mutable_collection() = Named("c01");
    for (const auto& record : records) *request.add_records() = record;
    pb::UpsertResponse response;
    const grpc::Status status = stub().Upsert(As(kWriteToken).get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  // Every page of a Get.
  std::vector<pb::Record> GetAll(pb::GetRequest request, int* pages = nullptr) {
    *request.mutable_collection() = Named("c01");
    std::vector<pb::Record> records;
    do {
      pb::GetResponse response;
      const grpc::Status status = stub().Get(As(kReadToken).get(), request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      if (!status.ok()) break;
      EXPECT_LT(response.ByteSizeLong(), 4U << 20);
      records.insert(records.end(), response.records().begin(), response.records().end());
      request.set_page_token(response.next_page_token());
      if (pages != nullptr) ++*pages;
    } while (!request.page_token().empty());
    return records;
  }

  static std::vector<std::string> Ids(const std::vector<pb::Record>& records) {
    std::vector<std::string> ids;
    for (const auto& record : records) ids.push_back(record.id());
    return ids;
  }

  static pb::Include Everything() {
    pb::Include include;
    include.set_embedding(true);
    include.set_document(true);
    include.set_uri(true);
    include.set_metadata(true);
    return include;
  }

  std::int64_t Count() {
    pb::CountRequest request;
    *request.mutable_collection() = Named("c01");
    pb::CountResponse response;
    EXPECT_TRUE(stub().Count(As(kReadToken).get(), request, &response).ok());
    return response.count();
  }

  TestServer server_;
};

TEST_F(VectorServiceTest, ACollectionComesBackAsItWasMade) {
  pb::CreateCollectionRequest request;
  request.set_name("cell_ontology_v2024_01");
  request.set_metric(pb::METRIC_COSINE);
  request.mutable_hnsw()->set_m(24);
  (*request.mutable_metadata())["version"].set_string_value("2024-01");
  (*request.mutable_metadata())["terms"].set_int_value(3220);
  (*request.mutable_metadata())["weight"].set_double_value(1.0);
  (*request.mutable_metadata())["tags"].mutable_string_list()->add_values("cell");
  request.set_client_configuration(R"({"hnsw":{"space":"cosine"}})");
  pb::CreateCollectionResponse made;
  ASSERT_TRUE(stub().CreateCollection(As(kWriteToken).get(), request, &made).ok());
  EXPECT_TRUE(made.created());
  pb::GetCollectionRequest get;
  get.mutable_collection()->set_id(made.collection().id());
  pb::GetCollectionResponse got;
  ASSERT_TRUE(stub().GetCollection(As(kReadToken).get(), get, &got).ok());
  const pb::Collection& collection = got.collection();
  EXPECT_EQ(collection.SerializeAsString().size(), made.collection().SerializeAsString().size());
  EXPECT_EQ(collection.id(), made.collection().id());
  EXPECT_EQ(collection.tenant(), "default_tenant");
  EXPECT_EQ(collection.database(), "default_database");
  EXPECT_EQ(collection.metric(), pb::METRIC_COSINE);
  EXPECT_EQ(collection.dimension(), 0);
  EXPECT_EQ(collection.hnsw().m(), 24);
  EXPECT_EQ(collection.hnsw().ef_construction(), 200);
  EXPECT_EQ(collection.metadata().at("version").string_value(), "2024-01");
  EXPECT_EQ(collection.metadata().at("terms").int_value(), 3220);
  EXPECT_EQ(collection.metadata().at("weight").kind_case(), pb::MetadataValue::kDoubleValue);
  EXPECT_THAT(collection.metadata().at("tags").string_list().values(), ElementsAre("cell"));
  EXPECT_EQ(collection.client_configuration(), R"({"hnsw":{"space":"cosine"}})");
}

TEST_F(VectorServiceTest, CollectionsAreListedPageByPage) {
  for (int i = 0; i < 7; ++i) server_.Create("list" + std::to_string(i));
  pb::ListCollectionsRequest request;
  request.set_page_size(3);
  std::vector<std::string> names;
  std::vector<int> sizes;
  do {
    pb::ListCollectionsResponse response;
    ASSERT_TRUE(stub().ListCollections(As(kReadToken).get(), request, &response).ok());
    for (const auto& collection : response.collections()) names.push_back(collection.name());
    sizes.push_back(response.collections_size());
    EXPECT_EQ(response.total(), 7);
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ElementsAre("list0", "list1", "list2", "list3", "list4", "list5", "list6"));
  EXPECT_THAT(sizes, ElementsAre(3, 3, 1));
}

TEST_F(VectorServiceTest, ListsOfHeavyCollectionsStayBelowFourMebibytes) {
  for (int i = 0; i < 12; ++i) {
    pb::CreateCollectionRequest request;
    request.set_name("heavy" + std::to_string(i));
    (*request.mutable_metadata())["text"].set_string_value(std::string(500'000, 'x'));
    pb::CreateCollectionResponse response;
    ASSERT_TRUE(stub().CreateCollection(As(kWriteToken).get(), request, &response).ok());
  }
  pb::ListCollectionsRequest request;
  int listed = 0;
  int pages = 0;
  do {
    pb::ListCollectionsResponse response;
    ASSERT_TRUE(stub().ListCollections(As(kReadToken).get(), request, &response).ok());
    EXPECT_LE(response.ByteSizeLong(), std::size_t{3} << 20 | 1024);
    listed += response.collections_size();
    ++pages;
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, 12);
  EXPECT_GE(pages, 2);
}

TEST_F(VectorServiceTest, ACollectionIsRenamedAndItsMetadataReplaced) {
  server_.Create("before");
  pb::UpdateCollectionRequest request;
  *request.mutable_collection() = Named("before");
  request.set_new_name("after");
  (*request.mutable_metadata())["k"].set_bool_value(true);
  request.set_replace_metadata(true);
  request.mutable_hnsw()->set_ef_search(77);
  pb::UpdateCollectionResponse response;
  const grpc::Status status = stub().UpdateCollection(As(kWriteToken).get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.collection().name(), "after");
  EXPECT_TRUE(response.collection().metadata().at("k").bool_value());
  EXPECT_EQ(response.collection().hnsw().ef_search(), 77);
  EXPECT_EQ(response.collection().hnsw().m(), 16);
  pb::GetCollectionRequest get;
  *get.mutable_collection() = Named("before");
  pb::GetCollectionResponse got;
  const grpc::Status gone = stub().GetCollection(As(kReadToken).get(), get, &got);
  EXPECT_EQ(gone.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(gone), "COLLECTION_NOT_FOUND");
}

TEST_F(VectorServiceTest, ARecordComesBackWithAllItsParts) {
  server_.Create("c01");
  pb::RecordChange change = Change("CL:0000540", {1.5F, -2, 0.25F});
  change.set_document("neuron");
  change.set_uri("http://purl.obolibrary.org/obo/CL_0000540");
  auto& metadata = *change.mutable_metadata();
  metadata["text"].set_string_value("t");
  metadata["whole"].set_int_value(1);
  metadata["real"].set_double_value(1.0);
  metadata["yes"].set_bool_value(true);
  metadata["ints"].mutable_int_list()->add_values(-5);
  metadata["reals"].mutable_double_list()->add_values(2.0);
  metadata["bools"].mutable_bool_list()->add_values(false);
  const pb::UpsertResponse written = Upsert({change});
  EXPECT_EQ(written.inserted(), 1);
  EXPECT_GT(written.sequence_number(), 0);
  pb::GetRequest request;
  *request.mutable_include() = Everything();
  const std::vector<pb::Record> records = GetAll(request);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_THAT(records[0].embedding(), ElementsAre(1.5F, -2, 0.25F));
  EXPECT_EQ(records[0].document(), "neuron");
  EXPECT_EQ(records[0].uri(), change.uri());
  EXPECT_EQ(records[0].metadata().size(), metadata.size());
  for (const auto& [key, value] : metadata) {
    EXPECT_EQ(records[0].metadata().at(key).SerializeAsString(), value.SerializeAsString()) << key;
  }
}

TEST_F(VectorServiceTest, PartsThatAreNotAskedForAreLeftOut) {
  server_.Create("c01");
  pb::RecordChange change = Change("a", {1, 2});
  change.set_document("");
  Upsert({change});
  const auto bare = GetAll(pb::GetRequest());
  ASSERT_EQ(bare.size(), 1U);
  EXPECT_TRUE(bare[0].embedding().empty());
  EXPECT_FALSE(bare[0].has_document());
  pb::GetRequest with_document;
  with_document.mutable_include()->set_document(true);
  const auto records = GetAll(with_document);
  EXPECT_TRUE(records[0].has_document());
  EXPECT_FALSE(records[0].has_uri());
}

TEST_F(VectorServiceTest, InsertSkipsWhatExistsUpsertChangesItUpdateSkipsWhatDoesNot) {
  server_.Create("c01");
  Upsert({Change("a", {1, 0}), Change("b", {2, 0})});

  pb::InsertResponse inserted;
  const auto context = As(kWriteToken);
  const auto writer = stub().Insert(context.get(), &inserted);
  pb::InsertRequest insert;
  *insert.mutable_collection() = Named("c01");
  *insert.add_records() = Change("b", {9, 9});
  *insert.add_records() = Change("c", {3, 0});
  ASSERT_TRUE(writer->Write(insert));
  pb::InsertRequest second;
  *second.add_records() = Change("c", {8, 8});
  *second.add_records() = Change("d", {4, 0});
  ASSERT_TRUE(writer->Write(second));
  writer->WritesDone();
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(inserted.inserted(), 2);
  EXPECT_EQ(inserted.skipped(), 2);

  const pb::UpsertResponse upserted = Upsert({Change("a", {1, 1}), Change("e", {5, 0})});
  EXPECT_EQ(upserted.inserted(), 1);
  EXPECT_EQ(upserted.updated(), 1);

  pb::UpdateRequest update;
  *update.mutable_collection() = Named("c01");
  *update.add_records() = Change("b", {2, 2});
  *update.add_records() = Change("missing", {7, 7});
  pb::UpdateResponse updated;
  ASSERT_TRUE(stub().Update(As(kWriteToken).get(), update, &updated).ok());
  EXPECT_EQ(updated.updated(), 1);
  EXPECT_EQ(updated.skipped(), 1);
  EXPECT_GT(updated.sequence_number(), upserted.sequence_number());

  pb::GetRequest request;
  request.mutable_include()->set_embedding(true);
  std::map<std::string, std::vector<float>> stored;
  for (const auto& record : GetAll(request))
    stored[record.id()] = {record.embedding().begin(), record.embedding().end()};
  const std::map<std::string, std::vector<float>> expected = {
      {"a", {1, 1}}, {"b", {2, 2}}, {"c", {3, 0}}, {"d", {4, 0}}, {"e", {5, 0}}};
  EXPECT_EQ(stored, expected);
}

TEST_F(VectorServiceTest, MetadataIsMergedAndKeysAreTakenOut) {
  server_.Create("c01");
  pb::RecordChange change = Change("a", {1});
  (*change.mutable_metadata())["keep"].set_int_value(1);
  (*change.mutable_metadata())["drop"].set_int_value(2);
  Upsert({change});
  pb::RecordChange merge;
  merge.set_id("a");
  (*merge.mutable_metadata())["new"].set_int_value(3);
  merge.add_remove_metadata_keys("drop");
  Upsert({merge});
  pb::GetRequest request;
  request.mutable_include()->set_metadata(true);
  const auto records = GetAll(request);
  ASSERT_EQ(records.size(), 1U);
  std::vector<std::string> keys;
  for (const auto& [key, value] : records[0].metadata()) keys.push_back(key);
  EXPECT_THAT(keys, UnorderedElementsAre("keep", "new"));
}

TEST_F(VectorServiceTest, DeletedRecordsAreGone) {
  server_.Create("c01");
  server_.Fill("c01", 10, 4, kSeed);
  pb::DeleteRequest request;
  *request.mutable_collection() = Named("c01");
  for (const char* id : {"r1", "r3", "missing"}) request.add_ids(id);
  pb::DeleteResponse response;
  ASSERT_TRUE(stub().Delete(As(kWriteToken).get(), request, &response).ok());
  EXPECT_EQ(response.deleted(), 2);
  EXPECT_EQ(Count(), 8);
  EXPECT_THAT(Ids(GetAll(pb::GetRequest())), ElementsAre("r0", "r2", "r4", "r5", "r6", "r7", "r8", "r9"));
}

TEST_F(VectorServiceTest, FiltersNarrowGetQueryAndDelete) {
  server_.Create("c01");
  std::vector<pb::RecordChange> changes;
  for (int i = 0; i < 10; ++i) {
    pb::RecordChange change = Change(absl::StrCat("r", i), {static_cast<float>(i), 1});
    change.set_document(i % 2 == 0 ? "left lung" : "heart");
    (*change.mutable_metadata())["rank"].set_int_value(i);
    changes.push_back(change);
  }
  Upsert(changes);
  pb::Filter filter;
  pb::Filter& document = *filter.mutable_all_of()->add_filters();
  document.mutable_document()->set_operator_(pb::DocumentFilter::OPERATOR_CONTAINS);
  document.mutable_document()->set_pattern("lung");
  pb::Filter& rank = *filter.mutable_all_of()->add_filters();
  rank.mutable_metadata()->set_key("rank");
  rank.mutable_metadata()->set_operator_(pb::MetadataFilter::OPERATOR_GREATER);
  rank.mutable_metadata()->add_values()->set_double_value(3.5);

  pb::GetRequest get;
  *get.mutable_filter() = filter;
  EXPECT_THAT(Ids(GetAll(get)), ElementsAre("r4", "r6", "r8"));
  get.set_offset(1);
  get.set_limit(1);
  EXPECT_THAT(Ids(GetAll(get)), ElementsAre("r6"));

  pb::QueryRequest query;
  *query.mutable_collection() = Named("c01");
  query.add_vectors()->mutable_values()->Add(0);
  query.mutable_vectors(0)->add_values(1);
  query.set_k(2);
  *query.mutable_filter() = filter;
  pb::QueryResponse found;
  ASSERT_TRUE(stub().Query(As(kReadToken).get(), query, &found).ok());
  ASSERT_EQ(found.results_size(), 1);
  ASSERT_EQ(found.results(0).hits_size(), 2);
  EXPECT_EQ(found.results(0).hits(0).record().id(), "r4");
  EXPECT_EQ(found.results(0).hits(1).record().id(), "r6");

  pb::DeleteRequest request;
  *request.mutable_collection() = Named("c01");
  *request.mutable_filter() = filter;
  for (const char* id : {"r4", "r5", "r8"}) request.add_ids(id);
  pb::DeleteResponse response;
  ASSERT_TRUE(stub().Delete(As(kWriteToken).get(), request, &response).ok());
  EXPECT_EQ(response.deleted(), 2);
  EXPECT_EQ(Count(), 8);
}

TEST_F(VectorServiceTest, GetTakesIdsOffsetAndLimit) {
  server_.Create("c01");
  server_.Fill("c01", 20, 2, kSeed);
  pb::GetRequest some;
  for (const char* id : {"r7", "r3", "missing", "r15"}) some.add_ids(id);
  EXPECT_THAT(Ids(GetAll(some)), ElementsAre("r3", "r7", "r15"));
  pb::GetRequest range;
  range.set_offset(17);
  range.set_limit(2);
  EXPECT_THAT(Ids(GetAll(range)), ElementsAre("r17", "r18"));
  range.set_limit(0);
  EXPECT_TRUE(GetAll(range).empty());
  range.set_offset(100);
  range.set_limit(5);
  EXPECT_TRUE(GetAll(range).empty());
}

TEST_F(VectorServiceTest, LargeGetsComeInPagesThatDefaultClientsTake) {
  server_.Create("c01");
  server_.Fill("c01", 3000, 1024, kSeed);  // 12 MiB of floats
  pb::GetRequest request;
  request.mutable_include()->set_embedding(true);
  int pages = 0;
  const auto records = GetAll(request, &pages);
  EXPECT_GE(pages, 4);
  ASSERT_EQ(records.size(), 3000U);
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(records[i].id(), "r" + std::to_string(i));
  request.set_limit(1700);
  request.set_offset(200);
  const auto limited = GetAll(request);
  ASSERT_EQ(limited.size(), 1700U);
  EXPECT_EQ(limited.front().id(), "r200");
  EXPECT_EQ(limited.back().id(), "r1899");
}

TEST_F(VectorServiceTest, PagesOfTheHeaviestRecordsFitToo) {
  server_.Create("c01");
  for (int i = 0; i < 6; ++i) {
    pb::RecordChange change = Change("h" + std::to_string(i), std::vector<float>(65'536, 0.5F));
    change.set_document(std::string(1 << 20, 'd'));
    (*change.mutable_metadata())["m"].set_string_value(std::string(1'000'000, 'm'));
    Upsert({change});
  }
  pb::GetRequest request;
  *request.mutable_include() = Everything();
  EXPECT_EQ(GetAll(request).size(), 6U);
}

TEST_F(VectorServiceTest, ExportGivesEveryRecordInOrder) {
  server_.Create("c01");
  const auto vectors = server_.Fill("c01", 2500, 512, kSeed);
  pb::ExportRequest request;
  *request.mutable_collection() = Named("c01");
  request.mutable_include()->set_embedding(true);
  const auto context = As(kReadToken);
  const auto reader = stub().Export(context.get(), request);
  pb::ExportResponse response;
  std::size_t next = 0;
  int messages = 0;
  while (reader->Read(&response)) {
    ++messages;
    EXPECT_LT(response.ByteSizeLong(), 2U << 20);
    for (const auto& record : response.records()) {
      ASSERT_EQ(record.id(), "r" + std::to_string(next));
      ASSERT_TRUE(std::equal(record.embedding().begin(), record.embedding().end(), vectors[next].begin()));
      ++next;
    }
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(next, vectors.size());
  EXPECT_GE(messages, 4);
}

// Squared L2 by a plain loop, nearest first.
std::vector<std::pair<double, std::string>> Nearest(const std::vector<std::vector<float>>& rows,
                                                    const std::vector<float>& query) {
  std::vector<std::pair<double, std::string>> nearest;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < query.size(); ++j) sum += std::pow(double{rows[i][j]} - double{query[j]}, 2);
    nearest.emplace_back(sum, "r" + std::to_string(i));
  }
  std::sort(nearest.begin(), nearest.end());
  return nearest;
}

void ExpectNearest(const pb::QueryResult& result, const std::vector<std::pair<double, std::string>>& nearest, int k) {
  ASSERT_EQ(result.hits_size(), k);
  for (int i = 0; i < k; ++i) {
    EXPECT_EQ(result.hits(i).record().id(), nearest[i].second);
    EXPECT_NEAR(result.hits(i).distance(), nearest[i].first, 1e-4);
  }
}

TEST_F(VectorServiceTest, QueriesEqualAPlainScan) {
  server_.Create("c01");
  const auto rows = server_.Fill("c01", 500, 16, kSeed);
  pb::QueryRequest request;
  *request.mutable_collection() = Named("c01");
  request.set_k(7);
  for (int i = 0; i < 100; ++i) request.add_vectors()->mutable_values()->Add(rows[i].begin(), rows[i].end());
  pb::QueryResponse response;
  const grpc::Status status = stub().Query(As(kReadToken).get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.results_size(), 100);
  for (int i = 0; i < 100; ++i) ExpectNearest(response.results(i), Nearest(rows, rows[i]), 7);
}

TEST_F(VectorServiceTest, ManyVectorsWithManyHitsEachKeepTheirOrder) {
  server_.Create("c01");
  const auto rows = server_.Fill("c01", 400, 8, kSeed);
  pb::QueryRequest request;
  *request.mutable_collection() = Named("c01");
  request.set_k(5000);  // two query vectors at a time reach the engine
  for (int i = 0; i < 9; ++i) request.add_vectors()->mutable_values()->Add(rows[i].begin(), rows[i].end());
  pb::QueryResponse response;
  ASSERT_TRUE(stub().Query(As(kReadToken).get(), request, &response).ok());
  ASSERT_EQ(response.results_size(), 9);
  for (int i = 0; i < 9; ++i) ExpectNearest(response.results(i), Nearest(rows, rows[i]), 400);
}

TEST_F(VectorServiceTest, AQueryMayBeNarrowedToIdsAndCarriesTheAskedParts) {
  server_.Create("c01");
  const auto rows = server_.Fill("c01", 50, 8, kSeed);
  pb::QueryRequest request;
  *request.mutable_collection() = Named("c01");
  request.add_vectors()->mutable_values()->Add(rows[5].begin(), rows[5].end());
  for (const char* id : {"r5", "r9", "missing"}) request.add_ids(id);
  request.mutable_include()->set_embedding(true);
  pb::QueryResponse response;
  ASSERT_TRUE(stub().Query(As(kReadToken).get(), request, &response).ok());
  ASSERT_EQ(response.results(0).hits_size(), 2);
  EXPECT_EQ(response.results(0).hits(0).record().id(), "r5");
  EXPECT_EQ(response.results(0).hits(1).record().id(), "r9");
  EXPECT_TRUE(std::equal(rows[9].begin(), rows[9].end(), response.results(0).hits(1).record().embedding().begin()));
}

TEST_F(VectorServiceTest, AnEmptyCollectionHasNoHits) {
  server_.Create("c01");
  pb::QueryRequest request;
  *request.mutable_collection() = Named("c01");
  request.add_vectors()->add_values(1);
  pb::QueryResponse response;
  const grpc::Status status = stub().Query(As(kReadToken).get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.results_size(), 1);
  EXPECT_EQ(response.results(0).hits_size(), 0);
}

TEST_F(VectorServiceTest, AStreamOfQueriesAnswersInOrderAndSurvivesABadOne) {
  server_.Create("c01");
  const auto rows = server_.Fill("c01", 100, 8, kSeed);
  const auto context = As(kReadToken);
  const auto stream = stub().QueryStream(context.get());
  for (int i = 0; i < 30; ++i) {
    pb::QueryStreamRequest request;
    *request.mutable_query()->mutable_collection() = Named("c01");
    request.mutable_query()->set_k(i == 10 ? -1 : 3);
    request.mutable_query()->add_vectors()->mutable_values()->Add(rows[i].begin(), rows[i].end());
    ASSERT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  pb::QueryStreamResponse response;
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(stream->Read(&response));
    if (i == 10) {
      EXPECT_EQ(response.failure().code(), grpc::StatusCode::INVALID_ARGUMENT);
      EXPECT_NE(response.failure().message().find("k"), std::string::npos);
    } else {
      ASSERT_TRUE(response.has_response());
      ExpectNearest(response.response().results(0), Nearest(rows, rows[i]), 3);
    }
  }
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace omics::services
