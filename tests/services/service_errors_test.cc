// What goes wrong says what it was: the code, the reason, and what to do next.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "services/convert.h"
#include "tests/services/testing.h"

namespace omics::services {
namespace {

using grpc::StatusCode;

class ServiceErrorsTest : public testing::Test {
 protected:
  ServiceErrorsTest() {
    server_.Create("c01");
    server_.Fill("c01", 5, 3, 1);
  }

  grpc::Status Upsert(const pb::RecordChange& change) {
    pb::UpsertRequest request;
    *request.mutable_collection() = Named("c01");
    *request.add_records() = change;
    pb::UpsertResponse response;
    return server_.vectors().Upsert(As(kWriteToken).get(), request, &response);
  }

  grpc::Status Query(pb::QueryRequest request) {
    if (!request.has_collection()) *request.mutable_collection() = Named("c01");
    pb::QueryResponse response;
    return server_.vectors().Query(As(kReadToken).get(), request, &response);
  }

  grpc::Status Get(pb::GetRequest request) {
    if (!request.has_collection()) *request.mutable_collection() = Named("c01");
    pb::GetResponse response;
    return server_.vectors().Get(As(kReadToken).get(), request, &response);
  }

  grpc::Status Create(const pb::CreateCollectionRequest& request) {
    pb::CreateCollectionResponse response;
    return server_.vectors().CreateCollection(As(kWriteToken).get(), request, &response);
  }

  static pb::QueryRequest OneVector() {
    pb::QueryRequest request;
    for (const float value : {1.F, 2.F, 3.F}) {
      if (request.vectors().empty()) request.add_vectors();
      request.mutable_vectors(0)->add_values(value);
    }
    return request;
  }

  std::int64_t Count() {
    pb::CountRequest request;
    *request.mutable_collection() = Named("c01");
    pb::CountResponse response;
    server_.vectors().Count(As(kReadToken).get(), request, &response);
    return response.count();
  }

  static void Expect(const grpc::Status& status, StatusCode code, const std::string& reason, const std::string& part) {
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_EQ(ReasonOf(status), reason) << status.error_message();
    EXPECT_NE(status.error_message().find(part), std::string::npos) << status.error_message();
  }

  TestServer server_;
};

TEST_F(ServiceErrorsTest, AWrongDimensionIsNamed) {
  Expect(Upsert(Change("x", {1, 2})), StatusCode::INVALID_ARGUMENT, "DIMENSION_MISMATCH", "3");
  pb::QueryRequest query = OneVector();
  query.mutable_vectors(0)->add_values(4);
  Expect(Query(query), StatusCode::INVALID_ARGUMENT, "DIMENSION_MISMATCH", "3");
  EXPECT_EQ(Count(), 5);
}

TEST_F(ServiceErrorsTest, NumbersThatAreNotFiniteAreRefused) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    Expect(Upsert(Change("x", {1, bad, 3})), StatusCode::INVALID_ARGUMENT, "", "x");
    pb::QueryRequest query = OneVector();
    query.mutable_vectors(0)->set_values(1, bad);
    Expect(Query(query), StatusCode::INVALID_ARGUMENT, "", "");
  }
  pb::RecordChange change = Change("x", {1, 2, 3});
  (*change.mutable_metadata())["k"].set_double_value(std::nan(""));
  Expect(Upsert(change), StatusCode::INVALID_ARGUMENT, "", "k");
  EXPECT_EQ(Count(), 5);
}

TEST_F(ServiceErrorsTest, AnUnknownCollectionIsNotFound) {
  pb::QueryRequest query = OneVector();
  *query.mutable_collection() = Named("no-such-collection");
  Expect(Query(query), StatusCode::NOT_FOUND, "COLLECTION_NOT_FOUND", "no-such-collection");
  query.mutable_collection()->set_id("00000000-0000-4000-8000-000000000000");
  Expect(Query(query), StatusCode::NOT_FOUND, "COLLECTION_NOT_FOUND", "");
  query.mutable_collection()->clear_key();
  Expect(Query(query), StatusCode::INVALID_ARGUMENT, "", "name");
}

TEST_F(ServiceErrorsTest, AnIdOfAnotherTenantIsNotFound) {
  pb::GetCollectionRequest request;
  *request.mutable_collection() = Named("c01");
  pb::GetCollectionResponse response;
  ASSERT_TRUE(server_.vectors().GetCollection(As(kReadToken).get(), request, &response).ok());
  pb::QueryRequest query = OneVector();
  query.mutable_collection()->set_id(response.collection().id());
  EXPECT_TRUE(Query(query).ok());
  query.mutable_collection()->set_tenant("another-tenant");
  EXPECT_EQ(Query(query).error_code(), StatusCode::NOT_FOUND);
}

TEST_F(ServiceErrorsTest, LimitsOfAQueryAreNamed) {
  pb::QueryRequest query = OneVector();
  query.set_k(10'001);
  Expect(Query(query), StatusCode::INVALID_ARGUMENT, "", "k must be 1 to 10000, was 10001");
  query.set_k(-1);
  Expect(Query(query), StatusCode::INVALID_ARGUMENT, "", "k must be");
  query.set_k(1);
  query.set_ef(10'001);
  Expect(Query(query), StatusCode::INVALID_ARGUMENT, "", "ef must be");
  query.set_ef(0);
  for (int i = 0; i < 1024; ++i) *query.add_vectors() = query.vectors(0);
  Expect(Query(query), StatusCode::INVALID_ARGUMENT, "", "1025 query vectors");
  query.clear_vectors();
  Expect(Query(query), StatusCode::INVALID_ARGUMENT, "", "no query vectors");
  query = OneVector();
  for (int i = 0; i <= kIdsMax; ++i) query.add_ids("r");
  Expect(Query(query), StatusCode::INVALID_ARGUMENT, "", "100001 ids");
}

TEST_F(ServiceErrorsTest, LimitsOfWritesAndListsAreNamed) {
  pb::UpsertRequest upsert;
  *upsert.mutable_collection() = Named("c01");
  for (int i = 0; i <= kRecordsPerWriteMax; ++i) upsert.add_records();
  pb::UpsertResponse upserted;
  Expect(server_.vectors().Upsert(As(kWriteToken).get(), upsert, &upserted), StatusCode::INVALID_ARGUMENT, "",
         "100001 records");
  pb::ListCollectionsRequest list;
  list.set_page_size(1001);
  pb::ListCollectionsResponse listed;
  Expect(server_.vectors().ListCollections(As(kReadToken).get(), list, &listed), StatusCode::INVALID_ARGUMENT, "",
         "page_size");
  pb::GetRequest get;
  get.set_offset(-1);
  Expect(Get(get), StatusCode::INVALID_ARGUMENT, "", "offset");
  get.set_offset(0);
  get.set_page_token("forged");
  Expect(Get(get), StatusCode::INVALID_ARGUMENT, "", "page_token");
}

// Each filter that means nothing, and a word of its refusal.
TEST_F(ServiceErrorsTest, FiltersThatMeanNothingAreRefusedEverywhere) {
  const auto metadata = [](pb::MetadataFilter::Operator op, int values) {
    pb::Filter filter;
    filter.mutable_metadata()->set_key("k");
    filter.mutable_metadata()->set_operator_(op);
    for (int i = 0; i < values; ++i) filter.mutable_metadata()->add_values()->set_string_value("v");
    return filter;
  };
  pb::Filter pattern;
  pattern.mutable_document()->set_operator_(pb::DocumentFilter::OPERATOR_MATCHES);
  pattern.mutable_document()->set_pattern("(lung");
  pb::Filter silent;
  silent.mutable_all_of()->add_filters();
  pb::Filter deep;
  for (pb::Filter* level = &deep; deep.ByteSizeLong() < 150;) level = level->mutable_all_of()->add_filters();
  const std::pair<pb::Filter, std::string> cases[] = {
      {metadata(pb::MetadataFilter::OPERATOR_UNSPECIFIED, 1), "operator"},
      {metadata(pb::MetadataFilter::OPERATOR_EQUAL, 2), "k"},
      {metadata(pb::MetadataFilter::OPERATOR_IN, 0), "k"},
      {metadata(pb::MetadataFilter::OPERATOR_LESS, 1), "number"},
      {pattern, "(lung"},
      {silent, "says nothing"},
      {deep, "levels"},
  };
  for (const auto& [filter, word] : cases) {
    SCOPED_TRACE(filter.ShortDebugString());
    pb::QueryRequest query = OneVector();
    *query.mutable_filter() = filter;
    Expect(Query(query), StatusCode::INVALID_ARGUMENT, "", word);
    pb::GetRequest get;
    *get.mutable_filter() = filter;
    Expect(Get(get), StatusCode::INVALID_ARGUMENT, "", word);
    pb::DeleteRequest request;
    *request.mutable_collection() = Named("c01");
    *request.mutable_filter() = filter;
    pb::DeleteResponse response;
    Expect(server_.vectors().Delete(As(kWriteToken).get(), request, &response), StatusCode::INVALID_ARGUMENT, "", word);
  }
  EXPECT_EQ(Count(), 5);
}

TEST_F(ServiceErrorsTest, ADeleteWithoutIdsRemovesNothing) {
  pb::DeleteRequest request;
  *request.mutable_collection() = Named("c01");
  pb::DeleteResponse response;
  Expect(server_.vectors().Delete(As(kWriteToken).get(), request, &response), StatusCode::INVALID_ARGUMENT, "", "ids");
  EXPECT_EQ(Count(), 5);
}

TEST_F(ServiceErrorsTest, BadCollectionsAreRefused) {
  pb::CreateCollectionRequest request;
  request.set_name("c01");
  Expect(Create(request), StatusCode::ALREADY_EXISTS, "COLLECTION_EXISTS", "c01");
  request.set_name("../up");
  Expect(Create(request), StatusCode::INVALID_ARGUMENT, "", "");
  request.set_name("fine-name");
  request.mutable_hnsw()->set_m(1000);
  Expect(Create(request), StatusCode::INVALID_ARGUMENT, "", "hnsw m must be 4 to 128");
  request.clear_hnsw();
  request.set_metric(static_cast<pb::Metric>(99));
  Expect(Create(request), StatusCode::INVALID_ARGUMENT, "", "metric 99");
  request.clear_metric();
  (*request.mutable_metadata())["unset"];
  Expect(Create(request), StatusCode::INVALID_ARGUMENT, "", "unset");
  request.clear_metadata();
  request.set_client_configuration(std::string((64 << 10) + 1, ' '));
  Expect(Create(request), StatusCode::INVALID_ARGUMENT, "", "");
  request.clear_client_configuration();
  request.set_tenant("nobody");
  Expect(Create(request), StatusCode::NOT_FOUND, "TENANT_NOT_FOUND", "nobody");
  request.clear_tenant();
  request.set_database("nowhere");
  Expect(Create(request), StatusCode::NOT_FOUND, "DATABASE_NOT_FOUND", "nowhere");
}

TEST_F(ServiceErrorsTest, ANewRecordNeedsAnEmbeddingAndAnId) {
  Expect(Upsert(Change("new", {})), StatusCode::INVALID_ARGUMENT, "", "new");
  Expect(Upsert(Change("", {1, 2, 3})), StatusCode::INVALID_ARGUMENT, "", "id");
  Expect(Upsert(Change(std::string(1025, 'i'), {1, 2, 3})), StatusCode::INVALID_ARGUMENT, "", "1025");
}

TEST_F(ServiceErrorsTest, OneBadRecordKeepsTheWholeWriteOut) {
  pb::UpsertRequest request;
  *request.mutable_collection() = Named("c01");
  *request.add_records() = Change("good", {1, 2, 3});
  *request.add_records() = Change("bad", {1, 2});
  pb::UpsertResponse response;
  EXPECT_FALSE(server_.vectors().Upsert(As(kWriteToken).get(), request, &response).ok());
  EXPECT_EQ(Count(), 5);
}

TEST_F(ServiceErrorsTest, AMessageOverSixteenMebibytesIsRefused) {
  pb::RecordChange change = Change("large", {1, 2, 3});
  change.set_document(std::string(17 << 20, 'x'));
  EXPECT_EQ(Upsert(change).error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Count(), 5);
}

TEST_F(ServiceErrorsTest, AnAnswerOverSixtyFourMebibytesIsRefusedWithAdvice) {
  pb::RecordChange change = Change("r0", {1, 2, 3});
  change.set_document(std::string(1 << 20, 'x'));
  ASSERT_TRUE(Upsert(change).ok());
  pb::QueryRequest query = OneVector();
  for (int i = 0; i < 70; ++i) *query.add_vectors() = query.vectors(0);
  query.mutable_include()->set_document(true);
  Expect(Query(query), StatusCode::INVALID_ARGUMENT, "", "64 MiB");
}

TEST_F(ServiceErrorsTest, CompressedMessagesAreRefused) {
  pb::CountRequest request;
  *request.mutable_collection() = Named("c01");
  request.mutable_collection()->set_tenant(std::string(10'000, 'a'));
  pb::CountResponse response;
  const auto context = As(kReadToken);
  context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
  EXPECT_EQ(server_.vectors().Count(context.get(), request, &response).error_code(), StatusCode::UNIMPLEMENTED);
}

TEST_F(ServiceErrorsTest, LargeMetadataIsRefused) {
  pb::CountRequest request;
  *request.mutable_collection() = Named("c01");
  pb::CountResponse response;
  const auto context = As(kReadToken);
  context->AddMetadata("x-large", std::string(20'000, 'a'));
  EXPECT_EQ(server_.vectors().Count(context.get(), request, &response).error_code(), StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ServiceErrorsTest, ADeadlineInThePastDoesNoWork) {
  pb::UpsertRequest request;
  *request.mutable_collection() = Named("c01");
  *request.add_records() = Change("late", {1, 2, 3});
  pb::UpsertResponse response;
  const auto context = As(kWriteToken);
  context->set_deadline(std::chrono::system_clock::now() - std::chrono::seconds(1));
  EXPECT_EQ(server_.vectors().Upsert(context.get(), request, &response).error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(Count(), 5);
}

TEST_F(ServiceErrorsTest, ADeadlineReachesIntoALongScan) {
  server_.Create("large");
  server_.Fill("large", 3000, 1024, 7);
  pb::QueryRequest query;
  *query.mutable_collection() = Named("large");
  query.set_exact(true);
  for (int i = 0; i < 1000; ++i) query.add_vectors()->mutable_values()->Resize(1024, 0.5F);
  pb::QueryResponse response;
  const auto context = As(kReadToken);
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(30));
  EXPECT_EQ(server_.vectors().Query(context.get(), query, &response).error_code(), StatusCode::DEADLINE_EXCEEDED);
  // The thread that served it is free again at once, not after the thousand scans.
  const auto start = std::chrono::steady_clock::now();
  server_.server().Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace omics::services
