// The real program: its log lines, exit codes, signals, and what is left after it was killed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/services/testing.h"

namespace omics::services {
namespace {

// A running vector-service whose standard error is read.
class Process {
 public:
  Process(const TempDir& directory, std::vector<std::string> more = {}) {
    WriteFile(directory / "tokens", TokensText());
    std::vector<std::string> arguments = {VECTOR_SERVICE,
                                          "--data-dir=" + (directory / "data"),
                                          "--tokens-file=" + (directory / "tokens"),
                                          "--grpc-address=127.0.0.1:0",
                                          "--metrics-address=",
                                          "--log-format=text"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDERR_FILENO);
      execv(VECTOR_SERVICE, pointers.data());
      _exit(127);
    }
    close(ends[1]);
    errors_ = fdopen(ends[0], "r");
  }

  ~Process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    fclose(errors_);
  }

  // Reads standard error until a line holds `text`, and returns that line; "" at its end.
  std::string ReadUntil(const std::string& text) {
    char* line = nullptr;
    std::size_t capacity = 0;
    std::string found;
    while (found.empty() && getline(&line, &capacity, errors_) > 0) {
      output_ += line;
      if (std::string(line).find(text) != std::string::npos) found = line;
    }
    free(line);
    return found;
  }

  // Waits for `ready` and returns the port.
  std::string Address() {
    const std::string marker = "listening grpc=";
    std::string line = ReadUntil(marker);
    EXPECT_NE(line, "") << output_;
    EXPECT_NE(ReadUntil("ready"), "") << output_;
    line = line.substr(line.find(marker) + marker.size());
    return line.substr(0, line.find_first_of(" \n\""));
  }

  void Signal(int signal) const { kill(pid_, signal); }

  // The exit code, or 1000 + the signal that ended it.
  int Wait() {
    ReadUntil("\x01 never there");
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

  pid_t pid() const { return pid_; }
  const std::string& output() const { return output_; }

 private:
  pid_t pid_ = -1;
  FILE* errors_ = nullptr;
  std::string output_;
};

struct Client {
  explicit Client(const std::string& address)
      : channel(grpc::CreateChannel(address, grpc::InsecureChannelCredentials())),
        vectors(pb::VectorService::NewStub(channel)) {}

  grpc::Status Create(const std::string& name) const {
    pb::CreateCollectionRequest request;
    request.set_name(name);
    request.set_get_or_create(true);
    pb::CreateCollectionResponse response;
    return vectors->CreateCollection(As(kWriteToken).get(), request, &response);
  }

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<pb::VectorService::Stub> vectors;
};

TEST(ProcessTest, SigtermEndsAnIdleServiceWithZeroAtOnce) {
  const TempDir directory;
  for (const int signal : {SIGTERM, SIGINT}) {
    Process process(directory);
    process.Address();
    const auto start = std::chrono::steady_clock::now();
    process.Signal(signal);
    EXPECT_EQ(process.Wait(), 0) << process.output();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  }
}

TEST(ProcessTest, SigtermLetsARunningStreamFinishAndExitsWithZero) {
  const TempDir directory;
  Process process(directory);
  const Client client(process.Address());
  ASSERT_TRUE(client.Create("c01").ok());
  const auto context = As(kReadToken);
  const auto stream = client.vectors->QueryStream(context.get());
  pb::QueryStreamRequest request;
  *request.mutable_query()->mutable_collection() = Named("c01");
  request.mutable_query()->add_vectors()->add_values(1);
  pb::QueryStreamResponse response;
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  process.Signal(SIGTERM);
  ASSERT_NE(process.ReadUntil("stopping"), "");
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(stream->Write(request));
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_TRUE(response.has_response());
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(process.Wait(), 0) << process.output();
}

TEST(ProcessTest, ASecondSignalForcesTheEnd) {
  const TempDir directory;
  Process process(directory);
  const Client client(process.Address());
  ASSERT_TRUE(client.Create("c01").ok());
  const auto context = As(kWriteToken);
  pb::InsertResponse response;
  const auto stream = client.vectors->Insert(context.get(), &response);
  pb::InsertRequest request;
  *request.mutable_collection() = Named("c01");
  ASSERT_TRUE(stream->Write(request));
  pb::CountRequest count;
  *count.mutable_collection() = Named("c01");
  pb::CountResponse counted;
  ASSERT_TRUE(client.vectors->Count(As(kReadToken).get(), count, &counted).ok());
  const auto start = std::chrono::steady_clock::now();
  process.Signal(SIGTERM);
  ASSERT_NE(process.ReadUntil("stopping"), "");
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 1) << process.output();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(ProcessTest, SighupReadsTheTokensAgain) {
  const TempDir directory;
  Process process(directory);
  const Client client(process.Address());
  WriteFile(directory / "tokens", "only write a-fresh-token-0123456789\n");
  process.Signal(SIGHUP);
  ASSERT_NE(process.ReadUntil("tokens read again"), "");
  EXPECT_EQ(client.Create("c01").error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST(ProcessTest, ASecondProcessOnTheSameDataIsRefusedNamingTheFirst) {
  const TempDir directory;
  Process first(directory);
  first.Address();
  Process second(directory);
  EXPECT_EQ(second.Wait(), 1);
  EXPECT_NE(second.output().find(std::to_string(first.pid())), std::string::npos) << second.output();
}

TEST(ProcessTest, BadUsageEndsWithTwoAndOneSentence) {
  const TempDir directory;
  const std::pair<std::string, std::string> cases[] = {
      {"--grpc-address=0.0.0.0:0", "--grpc-behind-proxy"},
      {"--tokens-file=", "--insecure-no-auth"},
      {"--tokens-file=/no/such/file", "/no/such/file"},
      {"--log-level=loud", "loud"},
      {"--no-such-flag", "no-such-flag"},
      {"--tls-key=/no/such/key", "--tls-certificate"},
  };
  for (const auto& [flag, expected] : cases) {
    Process process(directory, {flag});
    EXPECT_EQ(process.Wait(), 2) << flag << "\n" << process.output();
    EXPECT_NE(process.output().find(expected), std::string::npos) << flag << "\n" << process.output();
  }
}

// Writes batches over two connections until the service is gone. Every id whose write was acknowledged is in `stored`;
// those of the batch under way when it died are in `perhaps`.
struct Writes {
  std::set<std::string> stored;
  std::set<std::string> perhaps;
};

Writes WriteUntilKilled(const std::string& address, const std::string& prefix, std::promise<void>& some_written) {
  const Client client(address);
  Writes writes;
  for (int batch = 0;; ++batch) {
    pb::UpsertRequest request;
    *request.mutable_collection() = Named("c01");
    std::set<std::string> ids;
    for (int i = 0; i < 20; ++i) {
      const std::string id = prefix + std::to_string(batch) + "-" + std::to_string(i);
      *request.add_records() = Change(id, {static_cast<float>(batch), static_cast<float>(i), 1});
      ids.insert(id);
    }
    pb::UpsertResponse response;
    if (!client.vectors->Upsert(As(kWriteToken).get(), request, &response).ok()) {
      writes.perhaps = ids;
      return writes;
    }
    writes.stored.insert(ids.begin(), ids.end());
    if (batch == 3) some_written.set_value();
  }
}

std::set<std::string> StoredIds(const Client& client) {
  std::set<std::string> ids;
  pb::ExportRequest request;
  *request.mutable_collection() = Named("c01");
  request.mutable_include()->set_embedding(true);
  const auto context = As(kReadToken);
  const auto reader = client.vectors->Export(context.get(), request);
  pb::ExportResponse response;
  while (reader->Read(&response)) {
    for (const auto& record : response.records()) {
      EXPECT_EQ(record.embedding_size(), 3) << record.id();
      EXPECT_TRUE(ids.insert(record.id()).second) << record.id() << " twice";
    }
  }
  EXPECT_TRUE(reader->Finish().ok());
  return ids;
}

bool Holds(const std::set<std::string>& all, const std::set<std::string>& part) {
  return std::includes(all.begin(), all.end(), part.begin(), part.end());
}

TEST(ProcessTest, AfterAKillExactlyTheAcknowledgedRecordsAreServed) {
  const unsigned seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const TempDir directory;
  std::set<std::string> acknowledged;
  for (int round = 0; round < 5; ++round) {
    Process process(directory);
    const std::string address = process.Address();
    ASSERT_TRUE(Client(address).Create("c01").ok());
    std::promise<void> written[2];
    std::future<Writes> writers[2];
    for (int i = 0; i < 2; ++i) {
      const std::string prefix = std::to_string(round) + (i == 0 ? "a" : "b");
      writers[i] = std::async(std::launch::async, WriteUntilKilled, address, prefix, std::ref(written[i]));
    }
    for (auto& promise : written) promise.get_future().wait();
    // Not a wait for anything: the moment of the kill is what varies.
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 100'000));
    process.Signal(SIGKILL);
    EXPECT_EQ(process.Wait(), 1000 + SIGKILL);

    Process again(directory);
    const std::set<std::string> stored = StoredIds(Client(again.Address()));
    std::set<std::string> expected = acknowledged;
    for (auto& writer : writers) {
      const Writes writes = writer.get();
      expected.insert(writes.stored.begin(), writes.stored.end());
      // The batch under way may have been stored, but then as a whole.
      if (Holds(stored, writes.perhaps)) expected.insert(writes.perhaps.begin(), writes.perhaps.end());
    }
    ASSERT_EQ(stored, expected) << "seed " << seed << " round " << round;
    acknowledged = stored;
    again.Signal(SIGTERM);
    EXPECT_EQ(again.Wait(), 0);
  }
}

}  // namespace
}  // namespace omics::services
