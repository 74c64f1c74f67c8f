// The real vectorctl against the real vector-service.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/tokens.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::tools {
namespace {

namespace fs = std::filesystem;

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

constexpr char kToken[] = "vectorctl-test-token-0123456789";
const std::string kCells = OMICS_VECTOR_SOURCE_DIR "/testdata/ontology/cell_ontology_sapbert_768.tar.gz";
const std::string kOldStore = OMICS_VECTOR_SOURCE_DIR "/testdata/chroma-stores/chroma-store-0.4.24.tar.gz";

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Starts a program with these three as its standard files. Variables of ours that this process may have are left out.
pid_t Spawn(std::vector<std::string> words, std::vector<std::string> environment, const std::string& in,
            const std::string& out, const std::string& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, in.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  environment.push_back("PATH=/usr/bin:/bin");
  std::vector<char*> envp;
  for (std::string& variable : environment) envp.push_back(variable.data());
  envp.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) ADD_FAILURE() << "cannot start " << words[0];
  return pid;
}

struct Result {
  int code = -1;
  std::string out;
  std::string err;
};

class VectorctlTest : public testing::Test {
 protected:
  void TearDown() override {
    if (service_ > 0) StopService();
  }

  Result Run(std::vector<std::string> words, std::vector<std::string> environment = {}, const std::string& in = "") {
    words.insert(words.begin(), VECTORCTL);
    std::ofstream(directory_.path() / "in") << in;
    const std::string out = (directory_.path() / "out").string();
    const std::string err = (directory_.path() / "err").string();
    if (!address_.empty()) environment.push_back("OMICS_VECTOR_GRPC_ADDRESS=" + address_);
    const pid_t pid = Spawn(words, environment, (directory_.path() / "in").string(), out, err);
    int status = -1;
    waitpid(pid, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, ReadFile(out), ReadFile(err)};
  }

  // Run() with the token.
  Result RunAs(std::vector<std::string> words) {
    return Run(std::move(words), {std::string("OMICS_VECTOR_TOKEN=") + kToken});
  }

  std::string DataDir() const { return (directory_.path() / "data").string(); }

  // Starts the service on a free port, or on a unix socket only, and waits until it says that it is ready.
  void StartService(bool unix_socket = false, const std::vector<std::string>& more = {}) {
    const fs::path log = directory_.path() / "service.log";
    const std::string socket = (directory_.path() / "socket").string();
    std::vector<std::string> words = {VECTOR_SERVICE,
                                      "--data-dir",
                                      DataDir(),
                                      "--metrics-address=",
                                      "--log-format=json",
                                      unix_socket ? "--grpc-address=" : "--grpc-address=127.0.0.1:0",
                                      "--grpc-unix-socket=" + (unix_socket ? socket : "")};
    words.insert(words.end(), more.begin(), more.end());
    service_ = Spawn(words, {std::string("CHROMA_SERVER_AUTHN_CREDENTIALS=") + kToken}, "/dev/null", "/dev/null",
                     log.string());
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    std::string text;
    while ((text = ReadFile(log)).find("\"msg\":\"ready\"") == std::string::npos) {
      int status = 0;
      ASSERT_EQ(waitpid(service_, &status, WNOHANG), 0) << text;
      ASSERT_LT(std::chrono::steady_clock::now(), give_up) << text;
      usleep(5000);
    }
    const std::string mark = "listening grpc=";
    const std::size_t at = text.find(mark) + mark.size();
    address_ = text.substr(at, text.find('"', at) - at);
  }

  void StopService() {
    kill(service_, SIGTERM);
    int status = -1;
    waitpid(service_, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    service_ = -1;
  }

  const TempDir directory_;
  pid_t service_ = -1;
  std::string address_;
};

void ExpectFailure(const Result& result, int code, const std::string& part) {
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr(part));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(VectorctlTest, AnImportedStoreIsServedWithItsRecall) {
  StartService();
  const Result imported = RunAs({"import", kCells, "--collection", "cells"});
  ASSERT_EQ(imported.code, 0) << imported.err;
  EXPECT_EQ(imported.out, "imported cells: 3,220 records, 768 dimensions, cosine\n");
  EXPECT_THAT(imported.err,
              AllOf(HasSubstr("sending "), HasSubstr("importing 3,220 of 3,220 rows (100%)"), Not(HasSubstr("\r"))));

  const Result compacted = RunAs({"compact", "cells"});
  EXPECT_EQ(compacted.code, 0) << compacted.err;
  EXPECT_THAT(compacted.out, HasSubstr("compacted cells: 3,220 records, 3,220 in the graph"));

  const Result recall = RunAs({"recall", "cells", "--k=5", "--samples", "50"});
  EXPECT_EQ(recall.code, 0) << recall.err;
  EXPECT_THAT(recall.out, MatchesRegex("recall@5 (0\\.99|1\\.00)[0-9]+ over 50 rows of cells \\(ef [0-9]+\\)\n"));

  const Result table = RunAs({"status"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, AllOf(HasSubstr("COLLECTION"), HasSubstr("cells         3,220        768  cosine")));
  const Result json = RunAs({"status", "--json"});
  EXPECT_THAT(json.out, AllOf(HasSubstr("\"name\": \"cells\""), HasSubstr("\"records\": \"3220\"")));
}

TEST_F(VectorctlTest, ADirectoryIsPackedOnTheWayToTheService) {
  StartService();
  const std::string store = (directory_.path() / "store").string();
  fs::create_directory(store);
  ASSERT_EQ(std::system(("tar -xzf " + kOldStore + " -C " + store).c_str()), 0);
  const Result imported = RunAs({"import", store});
  EXPECT_EQ(imported.code, 0) << imported.err;
  const Result archive = RunAs({"import", kOldStore, "--collection", "second"});
  EXPECT_EQ(archive.code, 0) << archive.err;
  const auto rest = [](const std::string& out) { return out.substr(out.find(':')); };
  EXPECT_EQ(rest(imported.out), rest(archive.out)) << "the same records either way";
}

TEST_F(VectorctlTest, TheUnixSocketServesToo) {
  StartService(true);
  EXPECT_THAT(address_, testing::StartsWith("unix:/"));
  EXPECT_EQ(Run({"health"}).out, "SERVING\n");
  EXPECT_EQ(RunAs({"import", kCells}).code, 0);
  EXPECT_THAT(RunAs({"status"}).out, HasSubstr("cell_ontology_v2024_01"));
}

TEST_F(VectorctlTest, TlsIsCheckedAgainstTheAuthorityGiven) {
  const std::string key = (directory_.path() / "key.pem").string();
  const std::string certificate = (directory_.path() / "certificate.pem").string();
  ASSERT_EQ(std::system(("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "
                         "subjectAltName=IP:127.0.0.1 -keyout " +
                         key + " -out " + certificate + " 2>/dev/null")
                            .c_str()),
            0);
  StartService(false, {"--tls-certificate=" + certificate, "--tls-key=" + key});
  EXPECT_EQ(Run({"health", "--tls-ca", certificate}).out, "SERVING\n");
  EXPECT_EQ(RunAs({"status", "--tls-ca", certificate}).code, 0);
  EXPECT_EQ(Run({"health", "--tls"}).code, 1) << "the system's authorities did not sign it";
  EXPECT_EQ(Run({"health"}).code, 1) << "plain text is not answered";
  ExpectFailure(Run({"health", "--tls-ca", key + ".missing"}), 1, "--tls-ca: read " + key + ".missing");
}

TEST_F(VectorctlTest, ASecondImportNeedsReplace) {
  StartService();
  ASSERT_EQ(RunAs({"import", kOldStore, "--collection", "old"}).code, 0);
  const Result again = RunAs({"import", kOldStore, "--collection", "old"});
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err, HasSubstr("vectorctl import: collection 'old' exists"));
  EXPECT_EQ(RunAs({"import", kOldStore, "--collection", "old", "--replace"}).code, 0);
}

TEST_F(VectorctlTest, ABrokenArchiveChangesNothing) {
  StartService();
  const std::string bytes = ReadFile(kCells);
  const std::string half = (directory_.path() / "half.tar.gz").string();
  std::ofstream(half) << bytes.substr(0, bytes.size() / 2);
  const Result imported = RunAs({"import", half});
  EXPECT_EQ(imported.code, 1);
  EXPECT_THAT(imported.err, HasSubstr("vectorctl import: "));
  EXPECT_THAT(RunAs({"status"}).out, HasSubstr("no collections"));
}

TEST_F(VectorctlTest, HealthNeedsNoTokenAndNamesWhatIsUnknown) {
  StartService();
  EXPECT_EQ(Run({"health"}).out, "SERVING\n");
  EXPECT_EQ(Run({"health", "--service=omics.vector.v1.VectorService"}).code, 0);
  ExpectFailure(Run({"health", "--service", "nobody"}), 1, "no health name \"nobody\"");
}

TEST_F(VectorctlTest, LiveIsContentWithAServiceThatIsNotReady) {
  StartService(false, {"--prewarm-collections=absent"});
  EXPECT_EQ(Run({"health", "--service", "absent"}).code, 1);
  const Result live = Run({"health", "--live", "--service", "absent"});
  EXPECT_EQ(live.code, 0) << live.err;
  EXPECT_EQ(live.out, "NOT_SERVING\n");
  StopService();
  EXPECT_EQ(Run({"health", "--live"}).code, 1) << "no service, no life";
}

TEST_F(VectorctlTest, MissingAndWrongTokensAreToldApart) {
  StartService();
  ExpectFailure(Run({"status"}), 1, "the service wants a token: give --token or OMICS_VECTOR_TOKEN");
  ExpectFailure(Run({"status", "--token", "wrong-token-0123456789"}), 1, "does not know this token");
  ExpectFailure(Run({"import", kCells, "--token=wrong-token-0123456789"}), 1, "does not know this token");
  ExpectFailure(RunAs({"compact", "nothing"}), 1, "nothing");
}

TEST_F(VectorctlTest, WhereNoServiceAnswersItSaysHowToStartOne) {
  for (const std::string address : {"127.0.0.1:1", "unix:/nonexistent/socket"}) {
    for (const std::string command : {"health", "status"}) {
      ExpectFailure(Run({command, "--address", address}), 1, "no service answers at " + address + ": start one with");
    }
    ExpectFailure(Run({"import", kCells, "--address", address}), 1, "no service answers");
  }
}

TEST_F(VectorctlTest, AnOfflineImportIsReadyWhenTheServiceStarts) {
  const Result imported = Run({"import", kCells, "--data-dir", DataDir()});
  ASSERT_EQ(imported.code, 0) << imported.err;
  EXPECT_EQ(imported.out, "imported cell_ontology_v2024_01: 3,220 records, 768 dimensions, cosine\n");
  EXPECT_THAT(imported.err, HasSubstr("building the graph of cell_ontology_v2024_01 3,220 of 3,220 rows (100%)"));
  EXPECT_TRUE(fs::is_empty(fs::path(DataDir()) / "tmp")) << "nothing of the unpacked archive is left";
  StartService();
  const Result status = RunAs({"status"});
  EXPECT_THAT(status.out, HasSubstr("cell_ontology_v2024_01    3,220        768  cosine  3,220     0"));
}

TEST_F(VectorctlTest, ADataDirectoryInUseIsLeftAlone) {
  StartService();
  const Result result = Run({"import", kCells, "--data-dir", DataDir()});
  ExpectFailure(result, 1, "in use by process " + std::to_string(service_));
  EXPECT_THAT(result.err, HasSubstr("give --address instead of --data-dir"));
}

TEST_F(VectorctlTest, AChromaDirectoryIsImportedInPlace) {
  fs::create_directory(DataDir());
  ASSERT_EQ(std::system(("tar -xzf " + kOldStore + " --strip-components=1 -C " + DataDir()).c_str()), 0);
  ASSERT_TRUE(fs::exists(fs::path(DataDir()) / "chroma.sqlite3"));
  const Result imported = Run({"import", DataDir(), "--data-dir", DataDir()});
  EXPECT_EQ(imported.code, 0) << imported.err;
  StartService();
  EXPECT_THAT(RunAs({"status"}).out, HasSubstr("big-cos"));
}

TEST_F(VectorctlTest, ACreatedTokenFitsItsLine) {
  const Result created = Run({"token", "create", "--role", "write", "--name", "loader"});
  ASSERT_EQ(created.code, 0) << created.err;
  std::istringstream lines(created.out);
  std::string word;
  std::string token;
  std::string line;
  lines >> word >> token >> word >> std::ws;
  std::getline(lines, line);
  const auto tokens = TokenSet::FromFileText(line);
  ASSERT_OK(tokens);
  const auto principal = tokens->Check(token);
  ASSERT_OK(principal);
  EXPECT_EQ(principal->name, "loader");
  EXPECT_EQ(principal->role, Role::kWrite);
  EXPECT_NE(Run({"token", "create"}).out, Run({"token", "create"}).out);

  const Result hash = Run({"token", "hash"}, {}, token + "\n");
  EXPECT_EQ(hash.code, 0) << hash.err;
  EXPECT_THAT(created.out, HasSubstr(" " + hash.out));
}

TEST_F(VectorctlTest, ACreatedTokenIsBoundAsAsked) {
  const Result created = Run({"token", "create", "--tenant=lab,my%20lab", "--database", "cells", "--collections=a*,b"});
  ASSERT_EQ(created.code, 0) << created.err;
  const std::string line = created.out.substr(created.out.find("line:  ") + 7);
  EXPECT_THAT(line, HasSubstr(" tenant=lab,my%20lab database=cells collections=a*,b\n"));
  std::istringstream words(created.out);
  std::string token;
  words >> token >> token;
  const auto tokens = TokenSet::FromFileText(line);
  ASSERT_OK(tokens);
  EXPECT_TRUE(tokens->Check(token)->scope.CoversCollection("my lab", "cells", "abc"));
  EXPECT_FALSE(tokens->Check(token)->scope.CoversCollection("other", "cells", "abc"));
}

TEST_F(VectorctlTest, BadUsageEndsWithTwo) {
  ExpectFailure(Run({"token", "create", "--tenant=*"}), 2, "line 1: tenant=: only collections may have a *");
  ExpectFailure(Run({"token", "create", "--tenant=a b"}), 2, "no value may hold a space");
  ExpectFailure(Run({"token", "create", "--collections=a # "}), 2, "no value may hold a space");
  ExpectFailure(Run({"token", "create", "--database=a,,b"}), 2, "empty name");
  ExpectFailure(Run({}), 2, "name a command");
  ExpectFailure(Run({"explode"}), 2, "no command \"explode\"");
  ExpectFailure(Run({"import"}), 2, "STORE is missing");
  ExpectFailure(Run({"recall", "x", "--k=0"}), 2, "1 to 10000");
  ExpectFailure(Run({"token", "create", "--role=boss"}), 2, "read, write or admin");
  ExpectFailure(Run({"health", "--config", "file"}), 2, "unknown option --config");
  ExpectFailure(Run({"token", "hash"}, {}, "short\n"), 1, "a token must be");
  ExpectFailure(Run({"health", "--address", "nonsense"}), 1, "--address: \"nonsense\" is not host:port");
}

TEST_F(VectorctlTest, EveryCommandHasHelpWithExamples) {
  EXPECT_THAT(Run({"--version"}).out, MatchesRegex("vectorctl [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  EXPECT_THAT(Run({"--help"}).out, HasSubstr("Commands:"));
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"import"}, {"health"}, {"status"}, {"compact"}, {"recall"}, {"token", "create"}, {"token", "hash"}}) {
    std::vector<std::string> words = command;
    words.push_back("--help");
    const Result help = Run(words);
    EXPECT_EQ(help.code, 0);
    EXPECT_EQ(help.err, "");
    EXPECT_THAT(help.out,
                AllOf(HasSubstr("Usage: vectorctl " + command.front()), HasSubstr("Examples:\n  vectorctl ")));
  }
}

}  // namespace
}  // namespace omics::tools
