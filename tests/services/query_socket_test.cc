// The query socket of a real server: the answers of the RPC, its errors, and nothing for those who speak otherwise.
#include "base/query_socket.h"

#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/file_descriptor.h"
#include "base/unix_socket.h"
#include "services/query_socket.h"
#include "tests/services/testing.h"

namespace omics::services {
namespace {

constexpr unsigned kSeed = 20261123;
constexpr int kDimension = 16;
constexpr int kRecords = 300;

struct Outcome {
  QueryReplyHeader header;
  std::string message;

  std::string Nearest() const {
    pb::QueryResponse response;
    return header.code == 0 && response.ParseFromString(message) ? response.results(0).hits(0).record().id() : "";
  }
  std::string Reason() const {
    google::rpc::Status status;
    google::rpc::ErrorInfo info;
    if (!status.ParseFromString(message) || status.details_size() == 0) return "";
    return status.details(0).UnpackTo(&info) ? info.reason() : "";
  }
};

// A gateway's side, byte by byte.
class RawConnection {
 public:
  explicit RawConnection(const std::string& path) : socket_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    connected_ = ConnectUnixSocket(socket_.get(), path) == 0;
  }

  bool connected() const { return connected_; }
  bool Send(std::string_view bytes) const {
    return send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  void End() const { shutdown(socket_.get(), SHUT_WR); }

  bool Receive(void* place, std::size_t bytes) const {
    return bytes == 0 || recv(socket_.get(), place, bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes);
  }

  // Nothing if the service closes the connection.
  std::optional<Outcome> ReadReply() const {
    Outcome outcome;
    if (!Receive(&outcome.header, sizeof(outcome.header))) return std::nullopt;
    outcome.message.resize(outcome.header.message_bytes);
    if (!Receive(outcome.message.data(), outcome.message.size())) return std::nullopt;
    return outcome;
  }

 private:
  FileDescriptor socket_;
  bool connected_ = false;
};

std::string Frame(const std::string& token, const std::string& message, std::uint32_t deadline_ms = 0) {
  const QueryRequestHeader header = {deadline_ms, static_cast<std::uint32_t>(token.size()),
                                     static_cast<std::uint32_t>(message.size())};
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + token + message;
}

pb::QueryRequest Nearest(const std::vector<float>& vector) {
  pb::QueryRequest request;
  *request.mutable_collection() = Named("c01");
  request.add_vectors()->mutable_values()->Add(vector.begin(), vector.end());
  request.set_k(3);
  request.mutable_include()->set_document(true);
  return request;
}

class QuerySocketTest : public testing::Test {
 protected:
  QuerySocketTest() : server_([this](Options& options) { options.grpc_unix_socket = directory_ / "s"; }) {
    server_.Create("c01");
    vectors_ = server_.Fill("c01", kRecords, kDimension, kSeed);
  }

  std::string path() const { return QuerySocketPath(directory_ / "s"); }

  std::optional<Outcome> Ask(const RawConnection& connection, const std::string& token, const std::string& message) {
    if (!connection.Send(Frame(token, message))) return std::nullopt;
    return connection.ReadReply();
  }

  TempDir directory_;
  TestServer server_;
  std::vector<std::vector<float>> vectors_;
};

TEST_F(QuerySocketTest, AnswersAreThoseOfTheRpcOneAfterTheOther) {
  const RawConnection connection(path());
  for (int i = 0; i < kRecords; ++i) {
    const pb::QueryRequest request = Nearest(vectors_[i]);
    const auto outcome = Ask(connection, kReadToken, request.SerializeAsString());
    ASSERT_TRUE(outcome) << i;
    ASSERT_EQ(outcome->header.code, 0U) << i;
    pb::QueryResponse expected;
    ASSERT_TRUE(server_.vectors().Query(As(kReadToken).get(), request, &expected).ok());
    ASSERT_EQ(outcome->message, expected.SerializeAsString()) << "query " << i << ", seed " << kSeed;
  }
}

TEST_F(QuerySocketTest, ErrorsCarryCodeAndReasonAndTheConnectionGoesOn) {
  const RawConnection connection(path());
  const std::string good = Nearest(vectors_[0]).SerializeAsString();
  const auto expect = [&](const std::string& token, const std::string& message, grpc::StatusCode code,
                          const std::string& reason) {
    const auto outcome = Ask(connection, token, message);
    ASSERT_TRUE(outcome) << reason;
    EXPECT_EQ(outcome->header.code, static_cast<std::uint32_t>(code)) << reason;
    EXPECT_EQ(outcome->Reason(), reason);
  };
  expect("", good, grpc::StatusCode::UNAUTHENTICATED, "TOKEN_MISSING");
  expect("no-such-token-0123456789", good, grpc::StatusCode::UNAUTHENTICATED, "TOKEN_INVALID");
  expect(kReadToken, Nearest(std::vector<float>(kDimension + 1)).SerializeAsString(),
         grpc::StatusCode::INVALID_ARGUMENT, "DIMENSION_MISMATCH");
  expect(kReadToken, "\xff\xff\xff", grpc::StatusCode::INVALID_ARGUMENT, "");
  pb::QueryRequest missing = Nearest(vectors_[0]);
  *missing.mutable_collection() = Named("no-such-collection");
  expect(kReadToken, missing.SerializeAsString(), grpc::StatusCode::NOT_FOUND, "COLLECTION_NOT_FOUND");
  EXPECT_EQ(Ask(connection, kReadToken, good)->Nearest(), "r0");
}

TEST_F(QuerySocketTest, ARequestInPiecesIsOneRequest) {
  const RawConnection connection(path());
  for (const char byte : Frame(kReadToken, Nearest(vectors_[5]).SerializeAsString())) {
    ASSERT_TRUE(connection.Send({&byte, 1}));
  }
  EXPECT_EQ(connection.ReadReply()->Nearest(), "r5");
}

TEST_F(QuerySocketTest, ALargeRequestAndALargeReplyFit) {
  pb::QueryRequest request = Nearest(vectors_[0]);
  for (int i = 1; i < 1000; ++i) {
    request.add_vectors()->mutable_values()->Add(vectors_[i % kRecords].begin(), vectors_[i % kRecords].end());
  }
  request.set_k(kRecords);
  request.mutable_include()->set_embedding(true);
  const RawConnection connection(path());
  const auto outcome = Ask(connection, kReadToken, request.SerializeAsString());
  ASSERT_TRUE(outcome);
  pb::QueryResponse response;
  ASSERT_TRUE(response.ParseFromString(outcome->message));
  EXPECT_EQ(response.results_size(), 1000);
  EXPECT_EQ(response.results(999).hits_size(), kRecords);
  EXPECT_EQ(Ask(connection, kReadToken, Nearest(vectors_[1]).SerializeAsString())->Nearest(), "r1");
}

TEST_F(QuerySocketTest, EachConnectionGetsItsOwnAnswers) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(16);
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&, t] {
      const RawConnection connection(path());
      for (int i = t; i < kRecords; i += 16) {
        const auto outcome = Ask(connection, kReadToken, Nearest(vectors_[i]).SerializeAsString());
        wrong[t] += outcome && outcome->Nearest() == "r" + std::to_string(i) ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0)) << "seed " << kSeed;
}

TEST_F(QuerySocketTest, WhatIsNoRequestEndsItsConnectionAndNoOther) {
  const RawConnection other(path());
  const std::string good = Frame(kReadToken, Nearest(vectors_[2]).SerializeAsString());
  const auto header = [](std::uint32_t token, std::uint32_t message) {
    const QueryRequestHeader bytes = {0, token, message};
    return std::string(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
  };
  const std::string wrong[] = {header(kQuerySocketTokenBytesMax + 1, 1),
                               header(1, kQuerySocketRequestBytesMax + 1),
                               header(0xffffffff, 0xffffffff),
                               good + good,
                               good + "x",
                               "x"};
  for (const std::string& bytes : wrong) {
    const RawConnection connection(path());
    ASSERT_TRUE(connection.Send(bytes));
    if (bytes.size() < sizeof(QueryRequestHeader)) connection.End();
    // Two requests at once: the first may be answered when the second comes a moment later.
    std::optional<Outcome> outcome = connection.ReadReply();
    if (outcome && outcome->header.code == 0) {
      connection.End();
      while (outcome) outcome = connection.ReadReply();
    }
    EXPECT_FALSE(outcome) << testing::PrintToString(bytes.substr(0, 12));
  }
  const RawConnection half(path());
  ASSERT_TRUE(half.Send(good.substr(0, good.size() / 2)));
  half.End();
  EXPECT_FALSE(half.ReadReply());
  ASSERT_TRUE(other.Send(good));
  EXPECT_EQ(other.ReadReply()->Nearest(), "r2");
}

TEST_F(QuerySocketTest, BeyondTheLimitConnectionsAreClosedUntilOthersGo) {
  const std::string message = Nearest(vectors_[3]).SerializeAsString();
  std::vector<RawConnection> connections;
  for (int i = 0; i < kQueryConnectionsMax; ++i) {
    connections.emplace_back(path());
    ASSERT_EQ(Ask(connections.back(), kReadToken, message)->Nearest(), "r3") << i;
  }
  EXPECT_FALSE(Ask(RawConnection(path()), kReadToken, message));
  connections.pop_back();
  // Its thread notices in its own time.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::optional<Outcome> outcome;
  while (!outcome && std::chrono::steady_clock::now() < deadline) {
    outcome = Ask(RawConnection(path()), kReadToken, message);
  }
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->Nearest(), "r3");
}

TEST_F(QuerySocketTest, OwnerAndGroupAloneMayConnect) {
  struct stat found {};
  ASSERT_EQ(stat(path().c_str(), &found), 0);
  EXPECT_TRUE(S_ISSOCK(found.st_mode));
  EXPECT_EQ(found.st_mode & 0777, 0660U);
}

TEST_F(QuerySocketTest, StoppingEndsConnectionsAndRemovesTheSocket) {
  const RawConnection connection(path());
  ASSERT_TRUE(Ask(connection, kReadToken, Nearest(vectors_[4]).SerializeAsString()));
  server_.server().Stop();
  EXPECT_FALSE(Ask(connection, kReadToken, Nearest(vectors_[4]).SerializeAsString()));
  EXPECT_FALSE(RawConnection(path()).connected());
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST(QuerySocketStartTest, WhatADeadProcessLeftIsReplaced) {
  const TempDir directory;
  {
    const FileDescriptor left(socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(BindUnixSocket(left.get(), QuerySocketPath(directory / "s")), 0);
  }
  const TestServer server([&directory](Options& options) { options.grpc_unix_socket = directory / "s"; });
  EXPECT_TRUE(RawConnection(QuerySocketPath(directory / "s")).connected());
}

}  // namespace
}  // namespace omics::services
