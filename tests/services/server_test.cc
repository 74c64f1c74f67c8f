// Listeners, TLS, health, reflection and stopping, with real clients in one process.
#include "services/server.h"

#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <string>

#include "base/status.h"
#include "base/unix_socket.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/services/testing.h"

namespace omics::services {
namespace {

using grpc::StatusCode;
using HealthStatus = ::grpc::health::v1::HealthCheckResponse;

grpc::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& name,
                         HealthStatus& response) {
  const auto stub = ::grpc::health::v1::Health::NewStub(channel);
  ::grpc::health::v1::HealthCheckRequest request;
  request.set_service(name);
  return stub->Check(As("").get(), request, &response);
}

bool AnswersOver(const std::shared_ptr<grpc::Channel>& channel) {
  pb::GetIdentityResponse response;
  return pb::AdminService::NewStub(channel)
      ->GetIdentity(As(kReadToken).get(), pb::GetIdentityRequest(), &response)
      .ok();
}

absl::Status StartStatus(const Options& options) {
  auto security = LoadSecurity(options);
  if (!security.ok()) return security.status();
  return Server::Start(options, *std::move(security)).status();
}

TEST(ServerTest, HealthNamesTheWholeAndBothServices) {
  TestServer server;
  for (const char* name : {"", "omics.vector.v1.VectorService", "omics.vector.v1.AdminService"}) {
    EXPECT_TRUE(WaitUntilServing(server.channel(), name)) << name;
  }
  HealthStatus response;
  EXPECT_EQ(CheckHealth(server.channel(), "some_collection", response).error_code(), StatusCode::NOT_FOUND);
}

TEST(ServerTest, APrewarmedCollectionHasItsOwnHealthAndAMissingOneBlocksNobody) {
  TestServer server([](Options& options) { options.prewarm_collections = {"cell_type"}; });
  EXPECT_TRUE(WaitUntilServing(server.channel(), ""));
  HealthStatus response;
  ASSERT_TRUE(CheckHealth(server.channel(), "cell_type", response).ok());
  EXPECT_EQ(response.status(), HealthStatus::NOT_SERVING);
  server.Create("cell_type");
  EXPECT_TRUE(WaitUntilServing(server.channel(), "cell_type"));
  pb::DeleteCollectionRequest request;
  *request.mutable_collection() = Named("cell_type");
  pb::DeleteCollectionResponse deleted;
  ASSERT_TRUE(server.vectors().DeleteCollection(As(kWriteToken).get(), request, &deleted).ok());
  ASSERT_TRUE(CheckHealth(server.channel(), "cell_type", response).ok());
  EXPECT_EQ(response.status(), HealthStatus::NOT_SERVING);
}

// The answer to "which services are there", or the failure's code.
std::string Reflect(const std::shared_ptr<grpc::Channel>& channel, StatusCode& code) {
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  const auto context = As("");
  const auto call =
      stub.PrepareCall(context.get(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  const auto next = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  next();
  const grpc::Slice list_services("\x3a\x00", 2);  // field 7, an empty string
  call->WriteLast(grpc::ByteBuffer(&list_services, 1), grpc::WriteOptions(), nullptr);
  next();
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  std::string text;
  if (next()) {
    grpc::Slice slice;
    answer.DumpToSingleSlice(&slice);
    text.assign(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  next();
  code = status.error_code();
  return text;
}

TEST(ServerTest, ReflectionListsTheServicesUnlessItIsOff) {
  StatusCode code;
  const TestServer with;
  const std::string services = Reflect(with.channel(), code);
  for (const char* name : {"omics.vector.v1.VectorService", "omics.vector.v1.AdminService", "grpc.health.v1.Health"}) {
    EXPECT_NE(services.find(name), std::string::npos) << name;
  }
  const TestServer without([](Options& options) { options.reflection = false; });
  EXPECT_EQ(Reflect(without.channel(), code), "");
  EXPECT_EQ(code, StatusCode::UNIMPLEMENTED);
}

TEST(ServerTest, AUnixSocketServesBesideTcpWithModeForOwnerAndGroup) {
  const TempDir directory;
  const std::string path = directory / "s";
  {
    const TestServer server([&path](Options& options) { options.grpc_unix_socket = path; });
    EXPECT_TRUE(AnswersOver(grpc::CreateChannel("unix:" + path, grpc::InsecureChannelCredentials())));
    EXPECT_TRUE(AnswersOver(server.channel()));
    struct stat found {};
    ASSERT_EQ(stat(path.c_str(), &found), 0);
    EXPECT_TRUE(S_ISSOCK(found.st_mode));
    EXPECT_EQ(found.st_mode & 0777, 0660U);
  }
}

TEST(ServerTest, AUnixSocketAloneIsEnough) {
  const TempDir directory;
  const std::string path = directory / "s";
  Options options = TestOptions(directory);
  options.grpc_address = "";
  options.grpc_unix_socket = path;
  const auto server = Server::Start(options, *LoadSecurity(options));
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->grpc_port(), 0);
  EXPECT_TRUE(AnswersOver(grpc::CreateChannel("unix:" + path, grpc::InsecureChannelCredentials())));
}

// A bound socket, listening or left behind.
void MakeSocket(const std::string& path, bool listening, int& fd) {
  fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(BindUnixSocket(fd, path), 0);
  if (listening) {
    ASSERT_EQ(listen(fd, 1), 0);
  }
}

TEST(ServerTest, AStaleSocketIsReplacedALiveOneIsNot) {
  const TempDir directory;
  Options options = TestOptions(directory);
  int fd = -1;
  options.grpc_unix_socket = directory / "live";
  MakeSocket(options.grpc_unix_socket, true, fd);
  EXPECT_NE(StartStatus(options).message().find("another process listens"), absl::string_view::npos);
  close(fd);
  options.grpc_unix_socket = directory / "stale";
  MakeSocket(options.grpc_unix_socket, false, fd);
  close(fd);
  EXPECT_EQ(StartStatus(options), absl::OkStatus());
  options.grpc_unix_socket = directory / "tokens";
  EXPECT_NE(StartStatus(options).message().find("not a socket"), absl::string_view::npos);
  EXPECT_EQ(ReadFile(directory / "tokens"), TokensText());
}

TEST(ServerTest, APortInUseNamesTheFlag) {
  const TestServer first;
  const TempDir directory;
  Options options = TestOptions(directory);
  options.grpc_address = first.address();
  const absl::Status status = StartStatus(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("in use"), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("--grpc-address"), absl::string_view::npos) << status;
}

// A self-signed pair for "localhost", made by OpenSSL's program.
void MakeCertificate(const TempDir& directory, const std::string& name) {
  const std::string command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2" +
                              std::string(" -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout ") +
                              (directory / (name + ".key")) + " -out " + (directory / (name + ".pem")) + " 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

TEST(ServerTest, TlsServesThoseWhoTrustItAndNobodyInTheClear) {
  const TempDir directory;
  MakeCertificate(directory, "good");
  const TestServer server([&directory](Options& options) {
    options.tls_certificate = directory / "good.pem";
    options.tls_key = directory / "good.key";
  });
  grpc::SslCredentialsOptions trust;
  trust.pem_root_certs = ReadFile(directory / "good.pem");
  const std::string address = "localhost" + server.address().substr(server.address().rfind(':'));
  EXPECT_TRUE(AnswersOver(grpc::CreateChannel(address, grpc::SslCredentials(trust))));
  EXPECT_FALSE(AnswersOver(server.channel()));
}

TEST(ServerTest, BadTlsFilesAreNamed) {
  const TempDir directory;
  MakeCertificate(directory, "one");
  MakeCertificate(directory, "two");
  WriteFile(directory / "text", "no certificate");
  Options options = TestOptions(directory);
  const auto refusal = [&options](const std::string& certificate, const std::string& key) {
    options.tls_certificate = certificate;
    options.tls_key = key;
    return LoadSecurity(options).status().ToString();
  };
  EXPECT_NE(refusal(directory / "missing", directory / "one.key").find("--tls-certificate"), std::string::npos);
  EXPECT_NE(refusal(directory / "text", directory / "one.key").find("--tls-certificate"), std::string::npos);
  EXPECT_NE(refusal(directory / "one.pem", directory / "text").find("--tls-key"), std::string::npos);
  EXPECT_NE(refusal(directory / "one.pem", directory / "two.key").find("does not belong"), std::string::npos);
  EXPECT_EQ(refusal(directory / "one.pem", directory / "one.key"), "OK");
}

TEST(ServerTest, NoTokenIsARefusalThatSaysTheWayOut) {
  const TempDir directory;
  Options options = TestOptions(directory);
  options.tokens_file = "";
  const std::string refusal = LoadSecurity(options).status().ToString();
  EXPECT_NE(refusal.find("--insecure-no-auth"), std::string::npos) << refusal;
}

TEST(ServerTest, ADirectoryWithAChromaStoreOnlyNamesTheImport) {
  const TempDir directory;
  Options options = TestOptions(directory);
  std::filesystem::create_directories(options.data_dir);
  WriteFile(std::filesystem::path(options.data_dir) / "chroma.sqlite3", "SQLite format 3");
  const absl::Status status = StartStatus(options);
  EXPECT_EQ(Reason(status), "CHROMA_STORE");
  EXPECT_NE(status.message().find("vectorctl import"), absl::string_view::npos) << status;
}

TEST(ServerTest, DataSurviveARestart) {
  const TempDir directory;
  const Options options = TestOptions(directory);
  for (const int round : {0, 1}) {
    const auto server = Server::Start(options, *LoadSecurity(options));
    ASSERT_TRUE(server.ok()) << server.status();
    const auto channel =
        grpc::CreateChannel("127.0.0.1:" + std::to_string((*server)->grpc_port()), grpc::InsecureChannelCredentials());
    const auto stub = pb::VectorService::NewStub(channel);
    pb::CreateCollectionRequest request;
    request.set_name("stays");
    request.set_get_or_create(true);
    pb::CreateCollectionResponse response;
    ASSERT_TRUE(stub->CreateCollection(As(kWriteToken).get(), request, &response).ok());
    EXPECT_EQ(response.created(), round == 0);
    (*server)->Stop();
  }
}

TEST(ServerTest, StoppingFinishesWhatRunsRefusesWhatComesAndIgnoresHealthWatches) {
  TestServer server;
  ASSERT_TRUE(WaitUntilServing(server.channel(), ""));
  server.Create("c01");
  // A health watch stays open all the while; it must not hold up the end.
  const auto health = ::grpc::health::v1::Health::NewStub(server.channel());
  const auto watch_context = As("");
  const auto watch = health->Watch(watch_context.get(), {});
  HealthStatus state;
  ASSERT_TRUE(watch->Read(&state));
  ASSERT_EQ(state.status(), HealthStatus::SERVING);

  pb::InsertResponse inserted;
  const auto context = As(kWriteToken);
  const auto writer = server.vectors().Insert(context.get(), &inserted);
  pb::InsertRequest request;
  *request.mutable_collection() = Named("c01");
  *request.add_records() = Change("a", {1});
  ASSERT_TRUE(writer->Write(request));
  pb::CountRequest count;
  *count.mutable_collection() = Named("c01");
  pb::CountResponse counted;
  while (counted.count() == 0) {  // until the stream's first message is stored
    ASSERT_TRUE(server.vectors().Count(As(kReadToken).get(), count, &counted).ok());
  }

  const auto start = std::chrono::steady_clock::now();
  auto stopped = std::async(std::launch::async, [&server] { server.server().Stop(); });
  ASSERT_TRUE(watch->Read(&state));
  EXPECT_EQ(state.status(), HealthStatus::NOT_SERVING);
  grpc::Status refused;
  do {
    refused = server.vectors().Count(As(kReadToken).get(), count, &counted);
  } while (refused.ok());
  EXPECT_EQ(refused.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(refused), "NOT_READY");
  *request.mutable_records(0) = Change("b", {2});
  EXPECT_TRUE(writer->Write(request));
  writer->WritesDone();
  const grpc::Status finished = writer->Finish();
  EXPECT_TRUE(finished.ok()) << finished.error_message();
  EXPECT_EQ(inserted.inserted(), 2);
  stopped.get();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(8));
}

TEST(ServerTest, WhatDoesNotEndWithinTheDrainIsCancelled) {
  TestServer server([](Options& options) { options.drain_seconds = 1; });
  server.Create("c01");
  const auto context = As(kReadToken);
  const auto stream = server.vectors().QueryStream(context.get());
  pb::QueryStreamRequest request;
  *request.mutable_query()->mutable_collection() = Named("c01");
  request.mutable_query()->add_vectors()->add_values(1);
  ASSERT_TRUE(stream->Write(request));
  pb::QueryStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  const auto start = std::chrono::steady_clock::now();
  server.server().Stop();
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_GE(took, std::chrono::milliseconds(900));
  EXPECT_LT(took, std::chrono::seconds(8));
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_FALSE(stream->Finish().ok());
}

}  // namespace
}  // namespace omics::services
