// Query has threads of its own: many at once, beside calls that hold all others, and while the server stops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "services/query_calls.h"
#include "tests/services/testing.h"

namespace omics::services {
namespace {

constexpr unsigned kSeed = 20261123;
constexpr int kDimension = 16;

pb::QueryRequest Nearest(const std::vector<float>& vector) {
  pb::QueryRequest request;
  *request.mutable_collection() = Named("c01");
  request.add_vectors()->mutable_values()->Add(vector.begin(), vector.end());
  request.set_k(1);
  return request;
}

// One query on its way.
struct Asked {
  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<pb::QueryResponse>> reader;
  pb::QueryResponse response;
  grpc::Status status;
};

class QueryCallsTest : public testing::Test {
 protected:
  QueryCallsTest() {
    server_.Create("c01");
    vectors_ = server_.Fill("c01", 300, kDimension, kSeed);
  }

  void Ask(const std::string& token, const pb::QueryRequest& request) {
    Asked& asked = *asked_.emplace_back(std::make_unique<Asked>());
    asked.context = As(token);
    asked.reader = server_.vectors().AsyncQuery(asked.context.get(), request, &queue_);
    asked.reader->Finish(&asked.response, &asked.status, &asked);
  }

  void TakeAll() {
    for (std::size_t i = 0; i < asked_.size(); ++i) {
      void* tag = nullptr;
      bool ok = false;
      ASSERT_TRUE(queue_.Next(&tag, &ok));
      ASSERT_TRUE(ok);
    }
  }

  TestServer server_;
  std::vector<std::vector<float>> vectors_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Asked>> asked_;
};

TEST_F(QueryCallsTest, MoreAtOnceThanThereAreThreadsAreEachAnsweredAsTheyShould) {
  constexpr int kCount = 3 * kQueryThreadsMax;
  for (int i = 0; i < kCount; ++i) {
    if (i % 3 == 0) Ask(kReadToken, Nearest(vectors_[i]));
    if (i % 3 == 1) Ask(kReadToken, Nearest(std::vector<float>(kDimension + 1)));
    if (i % 3 == 2) Ask("", Nearest(vectors_[i]));
  }
  TakeAll();
  for (int i = 0; i < kCount; ++i) {
    const Asked& asked = *asked_[i];
    if (i % 3 == 0) {
      ASSERT_TRUE(asked.status.ok()) << asked.status.error_message();
      EXPECT_EQ(asked.response.results(0).hits(0).record().id(), "r" + std::to_string(i)) << "seed " << kSeed;
    } else {
      EXPECT_EQ(ReasonOf(asked.status), i % 3 == 1 ? "DIMENSION_MISMATCH" : "TOKEN_MISSING");
    }
  }
}

TEST_F(QueryCallsTest, IdleStreamsThatHoldEveryOtherThreadKeepNoQueryWaiting) {
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReaderWriter<pb::QueryStreamRequest, pb::QueryStreamResponse>>> streams;
  // A connection may have 256 calls open; the threads for them are 256 in all.
  const auto crowd = grpc::CreateCustomChannel(server_.address(), grpc::InsecureChannelCredentials(), [] {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return arguments;
  }());
  const auto stub = pb::VectorService::NewStub(crowd);
  int holding = 0;
  for (int i = 0; i < 256; ++i) {
    contexts.push_back(As(kReadToken));
    streams.push_back(stub->QueryStream(contexts.back().get()));
    pb::QueryStreamRequest request;
    pb::QueryStreamResponse response;
    *request.mutable_query() = Nearest(vectors_[i]);
    holding += streams.back()->Write(request) && streams.back()->Read(&response) ? 1 : 0;
  }
  // The last find no thread any more: some are gRPC's own.
  ASSERT_GT(holding, 200);
  ASSERT_LT(holding, 256);
  for (int i = 0; i < 20; ++i) {
    pb::QueryResponse response;
    const grpc::Status status = server_.vectors().Query(As(kReadToken).get(), Nearest(vectors_[i]), &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.results(0).hits(0).record().id(), "r" + std::to_string(i)) << "seed " << kSeed;
  }
  for (std::size_t i = 0; i < streams.size(); ++i) {
    contexts[i]->TryCancel();
    streams[i]->Finish();
  }
}

TEST_F(QueryCallsTest, CallsThatEndBeforeTheirAnswerLeaveRoomForOthers) {
  for (int i = 0; i < 3 * kQueryThreadsMax; ++i) {
    Ask(kReadToken, Nearest(vectors_[i]));
    asked_.back()->context->TryCancel();
  }
  TakeAll();
  pb::QueryResponse response;
  const grpc::Status status = server_.vectors().Query(As(kReadToken).get(), Nearest(vectors_[7]), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.results(0).hits(0).record().id(), "r7") << "seed " << kSeed;
}

TEST_F(QueryCallsTest, StoppingAnswersOrRefusesEveryQuery) {
  std::thread stop([this] { server_.server().Stop(); });
  for (int i = 0; i < 3 * kQueryThreadsMax; ++i) Ask(kReadToken, Nearest(vectors_[i]));
  TakeAll();
  stop.join();
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (asked_[i]->status.ok()) {
      EXPECT_EQ(asked_[i]->response.results(0).hits(0).record().id(), "r" + std::to_string(i)) << "seed " << kSeed;
    } else {
      EXPECT_EQ(asked_[i]->status.error_code(), grpc::StatusCode::UNAVAILABLE) << asked_[i]->status.error_message();
    }
  }
}

}  // namespace
}  // namespace omics::services
