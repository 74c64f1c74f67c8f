// The gateway's side of the query socket against a service that breaks off, says nonsense, or says nothing. What a real
// service answers is in gateway_service_test.
#include "gateway/query_socket_client.h"

#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/query_socket.h"
#include "base/unix_socket.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::gateway {
namespace {

using Answer = std::optional<absl::StatusOr<pb::QueryResponse>>;

constexpr char kToken[] = "test-token-0123456789";

// Serves one connection after the other, each as the script says.
class ScriptedService {
 public:
  // Gets the connection's socket; returns when it is to be closed.
  using Script = std::function<void(int)>;

  ScriptedService(const std::string& path, std::vector<Script> scripts) : socket_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    EXPECT_EQ(BindUnixSocket(socket_.get(), path), 0);
    EXPECT_EQ(listen(socket_.get(), 8), 0);
    thread_ = std::thread([this, scripts = std::move(scripts)] {
      for (const Script& script : scripts) {
        const FileDescriptor connection(accept(socket_.get(), nullptr, nullptr));
        if (connection.get() < 0) return;
        script(connection.get());
      }
    });
  }
  ~ScriptedService() {
    shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }

 private:
  FileDescriptor socket_;
  std::thread thread_;
};

// The header of the next request, and its token and message in `rest`.
QueryRequestHeader ReadRequest(int socket, std::string& rest) {
  QueryRequestHeader header;
  EXPECT_EQ(recv(socket, &header, sizeof(header), MSG_WAITALL), static_cast<ssize_t>(sizeof(header)));
  rest.resize(header.token_bytes + header.message_bytes);
  EXPECT_EQ(recv(socket, rest.data(), rest.size(), MSG_WAITALL), static_cast<ssize_t>(rest.size()));
  return header;
}

std::string Frame(std::uint32_t code, const std::string& message) {
  const QueryReplyHeader header = {code, static_cast<std::uint32_t>(message.size())};
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + message;
}

void Send(int socket, const std::string& bytes) { send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL); }

void WaitForEnd(int socket) {
  char byte = 0;
  EXPECT_EQ(recv(socket, &byte, 1, 0), 0);
}

// Replies with the record "r" and the length of the message `times` times.
ScriptedService::Script Echo(int times) {
  return [times](int socket) {
    for (int i = 0; i < times; ++i) {
      std::string rest;
      const QueryRequestHeader header = ReadRequest(socket, rest);
      EXPECT_EQ(rest.substr(0, header.token_bytes), kToken);
      pb::QueryResponse response;
      response.add_results()->add_hits()->mutable_record()->set_id("r" + std::to_string(header.message_bytes));
      Send(socket, Frame(0, response.SerializeAsString()));
    }
  };
}

ScriptedService::Script SendThenEnd(const std::string& bytes) {
  return [bytes](int socket) {
    std::string rest;
    ReadRequest(socket, rest);
    Send(socket, bytes);
  };
}

class QuerySocketClientTest : public testing::Test {
 protected:
  QuerySocketClientTest() : path_(directory_.path() / "s") {}

  Answer Ask(QuerySocketClient& client, Deadline deadline = kNoDeadline) {
    boost::asio::io_context context;
    const CallContext caller = {kToken, deadline};
    Answer answer;
    boost::asio::co_spawn(
        context, [&]() -> boost::asio::awaitable<void> { answer = co_await client.Query(caller, request_); },
        [](const std::exception_ptr& thrown) { EXPECT_EQ(thrown, nullptr); });
    context.run();
    return answer;
  }

  void ExpectEcho(const Answer& answer) {
    ASSERT_TRUE(answer);
    ASSERT_OK(*answer);
    EXPECT_EQ((*answer)->results(0).hits(0).record().id(), "r" + std::to_string(request_.ByteSizeLong()));
  }

  TempDir directory_;
  const std::string path_;
  pb::QueryRequest request_ = [] {
    pb::QueryRequest request;
    request.mutable_collection()->set_name("c01");
    for (int i = 0; i < 768; ++i) request.mutable_vectors()->Add()->add_values(0.5f);
    return request;
  }();
};

TEST_F(QuerySocketClientTest, AServiceThatIsNotThereIsNoError) {
  QuerySocketClient client(path_);
  EXPECT_FALSE(Ask(client));
}

TEST_F(QuerySocketClientTest, QueriesShareOneConnectionInTurns) {
  const ScriptedService service(path_, {Echo(3)});
  QuerySocketClient client(path_);
  for (int i = 0; i < 3; ++i) ExpectEcho(Ask(client));
}

TEST_F(QuerySocketClientTest, TheServicesErrorComesWithItsReason) {
  google::rpc::ErrorInfo info;
  info.set_reason("DIMENSION_MISMATCH");
  google::rpc::Status status;
  status.set_code(3);
  status.set_message("has dimension 3");
  status.add_details()->PackFrom(info);
  const ScriptedService service(path_, {SendThenEnd(Frame(3, status.SerializeAsString()))});
  QuerySocketClient client(path_);
  const Answer answer = Ask(client);
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, HasReason(absl::StatusCode::kInvalidArgument, "DIMENSION_MISMATCH"));
  EXPECT_THAT(*answer, HasCode(absl::StatusCode::kInvalidArgument, "has dimension 3"));
}

TEST_F(QuerySocketClientTest, AServiceThatHasGoneSinceTheLastQueryIsNoErrorAndIsFoundAgain) {
  const ScriptedService service(path_, {Echo(1), Echo(1)});
  QuerySocketClient client(path_);
  ExpectEcho(Ask(client));
  EXPECT_FALSE(Ask(client));
  ExpectEcho(Ask(client));
}

TEST_F(QuerySocketClientTest, AReplyThatBreaksOffIsNoAnswer) {
  pb::QueryResponse response;
  response.add_results()->add_hits()->mutable_record()->set_id("half");
  const std::string whole = Frame(0, response.SerializeAsString());
  std::vector<ScriptedService::Script> scripts;
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) scripts.push_back(SendThenEnd(whole.substr(0, bytes)));
  scripts.push_back(Echo(1));
  const ScriptedService service(path_, scripts);
  QuerySocketClient client(path_);
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) EXPECT_FALSE(Ask(client)) << bytes;
  ExpectEcho(Ask(client));
}

TEST_F(QuerySocketClientTest, NonsenseIsNoAnswerAndItsConnectionIsNotUsedAgain) {
  const QueryReplyHeader huge = {0, 0xffffffff};
  const auto nonsense = [&](const std::string& bytes) {
    return [bytes](int socket) {
      SendThenEnd(bytes)(socket);
      WaitForEnd(socket);
    };
  };
  const ScriptedService service(
      path_, {nonsense(std::string(reinterpret_cast<const char*>(&huge), sizeof(huge))), nonsense(Frame(0, "") + "x")});
  QuerySocketClient client(path_);
  EXPECT_FALSE(Ask(client));
  EXPECT_FALSE(Ask(client));
}

TEST_F(QuerySocketClientTest, AServiceThatDoesNotAnswerIsGivenUpAtTheDeadline) {
  const ScriptedService service(path_, {[](int socket) {
                                  std::string rest;
                                  EXPECT_GT(ReadRequest(socket, rest).deadline_ms, 0U);
                                  WaitForEnd(socket);
                                }});
  QuerySocketClient client(path_);
  const Answer answer = Ask(client, std::chrono::steady_clock::now() + std::chrono::milliseconds(50));
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, HasCode(absl::StatusCode::kDeadlineExceeded, "in time"));
}

TEST_F(QuerySocketClientTest, AnAnswerInTimeIsNotDisturbedByItsDeadline) {
  const ScriptedService service(path_, {Echo(2)});
  QuerySocketClient client(path_);
  ExpectEcho(Ask(client, std::chrono::steady_clock::now() + std::chrono::minutes(1)));
  ExpectEcho(Ask(client, std::chrono::steady_clock::now() + std::chrono::minutes(1)));
}

}  // namespace
}  // namespace omics::gateway
