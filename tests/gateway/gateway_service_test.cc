// The gateway in front of the real vector-service, over a unix socket: what each generation of clients sends and reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/query_socket.h"
#include "base/status.h"
#include "tests/gateway/process.h"
#include "tests/gateway/testing.h"
#include "tests/support/temp_dir.h"

namespace omics::gateway::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kReaderToken[] = "reader-token-0123456789";
constexpr char kPython15[] = "User-Agent: Chroma Python Client v1.5.9 (https://github.com/chroma-core/chroma)\r\n";
constexpr char kPython06[] = "User-Agent: python-httpx/0.27.0\r\n";
constexpr char kPython04[] = "User-Agent: python-requests/2.31.0\r\n";
constexpr char kNode[] = "User-Agent: node\r\n";
constexpr char kV2[] = "/api/v2/tenants/default_tenant/databases/default_database/collections";

constexpr char kNearest[] = R"({"query_embeddings":[[1,1,0]],"n_results":1})";

// A vector-service process with a directory, a socket and tokens of its own.
class ServiceProcess {
 public:
  ServiceProcess() { Start(); }
  ~ServiceProcess() {
    if (process_) Stop();
  }

  std::string address() const { return "unix:" + Path("socket"); }
  std::string query_socket() const { return QuerySocketPath(Path("socket")); }
  static std::string Tokens() { return absl::StrCat("owner admin ", kToken, "\nreader read ", kReaderToken, "\n"); }

  void Start() {
    std::ofstream(Path("tokens")) << Tokens();
    process_.emplace(std::vector<std::string>{
        VECTOR_SERVICE_BINARY, "--data-dir=" + Path("data"), "--grpc-address=", "--grpc-unix-socket=" + Path("socket"),
        "--metrics-address=", "--tokens-file=" + Path("tokens"), "--log-format=json"});
    process_->WaitForLine("\"msg\":\"ready\"");
  }

  void Stop() {
    process_->Signal(SIGTERM);
    EXPECT_EQ(process_->Wait(), 0);
    process_.reset();
  }

 private:
  std::string Path(const char* name) const { return directory_.path() / name; }

  TempDir directory_;
  std::optional<Process> process_;
};

class ServiceTest : public ::testing::Test {
 protected:
  ServiceTest() : gateway_(service_.address(), ServiceProcess::Tokens()), client_(gateway_.port()) {}

  Reply Ask(std::string_view method, const std::string& target, std::string_view body = "",
            std::string_view fields = kPython15, std::string_view token = kToken) {
    return client_.Ask(method, target, body,
                       absl::StrCat("Authorization: Bearer ", ToAbsl(token), "\r\n", ToAbsl(fields)));
  }

  // Makes a collection and returns its id.
  std::string Create(const std::string& name, const std::string& rest = "") {
    const Reply reply = Ask("POST", kV2, absl::StrCat("{\"name\":\"", name, "\"", rest, "}"));
    EXPECT_EQ(reply.status, 200) << reply.body;
    const std::string id = Member(reply.body, "id");
    return id.size() == 38 ? id.substr(1, 36) : "";
  }

  static std::string V2(const std::string& id, const std::string& what = "") {
    return absl::StrCat(kV2, "/", id, what);
  }
  static std::string V1(const std::string& id, const std::string& what = "") {
    return absl::StrCat("/api/v1/collections/", id, what);
  }

  void AddThree(const std::string& id) {
    const Reply reply = Ask("POST", V2(id, "/add"), R"({"ids":["a","b","c"],"embeddings":[[1,0,0],[0,2,0],[1,1,0]],
        "documents":["alpha T cell","beta",null],"metadatas":[{"s":"x","i":1},{"s":"y","l":["p","q"]},null]})");
    ASSERT_EQ(reply.status, 201) << reply.body;
    ASSERT_EQ(reply.body, "{}");
  }

  ServiceProcess service_;
  TestGateway gateway_;
  RawClient client_;
};

// Answers of Chroma 1.4.4 to the same requests.
TEST_F(ServiceTest, AModernClientGetsWhatChroma1Answers) {
  const std::string id = Create("qqq", R"(,"metadata":{"hnsw:space":"cosine"})");
  EXPECT_EQ(Ask("POST", V2(id, "/query"), R"({"query_embeddings":[[3,2,1]]})").body,
            R"({"ids":[[]],"embeddings":null,"documents":[[]],"uris":null,"metadatas":[[]],"distances":[[]],)"
            R"("include":["documents","metadatas","distances"],"included":["documents","metadatas","distances"]})");
  AddThree(id);
  EXPECT_EQ(Ask("GET", V2(id, "/count?read_level=index_and_wal")).body, "3");
  const Reply query = Ask("POST", V2(id, "/query"),
                          R"({"ids":null,"query_embeddings":[[3,2,1]],"n_results":5,"where":null,"where_document":null,
                              "include":["documents","metadatas","distances"]})");
  EXPECT_EQ(Member(query.body, "ids"), R"([["c","a","b"]])");
  EXPECT_EQ(Member(query.body, "documents"), R"([[null,"alpha T cell","beta"]])");
  EXPECT_EQ(Member(query.body, "metadatas"), R"([[null,{"i":1,"s":"x"},{"l":["p","q"],"s":"y"}]])");
  EXPECT_THAT(Member(query.body, "distances"), StartsWith("[[0.0550888"));
  EXPECT_EQ(Ask("POST", V2(id, "/update"), R"({"ids":["a","zz"],"metadatas":[{"s":null,"new":1},{}]})").body, "{}");
  EXPECT_EQ(Ask("POST", V2(id, "/upsert"), R"({"ids":["n"],"embeddings":["AAAAAAAAAAAAAIA/"]})").body, "{}");
  EXPECT_EQ(Ask("POST", V2(id, "/get"), R"({"ids":["n","a"],"include":["metadatas","embeddings"]})").body,
            R"({"ids":["a","n"],"embeddings":[[1.0,0.0,0.0],[0.0,0.0,1.0]],"documents":null,"uris":null,)"
            R"("metadatas":[{"i":1,"new":1},null],"include":["metadatas","embeddings"],)"
            R"("included":["metadatas","embeddings"]})");
  EXPECT_EQ(Ask("POST", V2(id, "/delete"), R"({"ids":["a","n"],"where":null,"where_document":null})").body,
            R"({"deleted":2})");
  EXPECT_EQ(Member(Ask("POST", V2(id, "/get"), R"({"limit":1,"offset":1})").body, "ids"), R"(["c"])");
  EXPECT_EQ(Ask("PUT", V2(id), R"({"new_name":"renamed","new_configuration":{"hnsw":{"ef_search":77}}})").body, "{}");
  EXPECT_THAT(Ask("GET", absl::StrCat(kV2, "/renamed")).body, HasSubstr(R"("ef_search":77)"));
  EXPECT_EQ(Ask("DELETE", absl::StrCat(kV2, "/renamed")).body, "{}");
  const Reply gone = Ask("GET", V2(id, "/count"));
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(ErrorName(gone.body), "NotFoundError");
}

TEST_F(ServiceTest, OldClientsGetTheirOwnAnswers) {
  const std::string home = "?tenant=default_tenant&database=default_database";
  const Reply created = Ask("POST", "/api/v1/collections" + home,
                            R"({"name":"mondo","metadata":{"hnsw:space":"cosine"},"get_or_create":true})", kPython04);
  ASSERT_EQ(created.status, 200) << created.body;
  EXPECT_EQ(Member(created.body, "log_position"), "");
  EXPECT_THAT(Member(created.body, "configuration_json"), HasSubstr("CollectionConfigurationInternal"));
  const std::string id = Member(created.body, "id").substr(1, 36);
  EXPECT_EQ(Ask("GET", "/api/v1/collections" + home, "", kPython04).body,
            absl::StrCat(R"([{"id":")", id, R"(","name":"mondo","metadata":{"hnsw:space":"cosine"}}])"));
  const Reply add = Ask(
      "POST", V1(id, "/add"),
      R"({"ids":["a","b"],"embeddings":[[1,0],[0,1]],"metadatas":[{"k":null},{"x":1}],"documents":null})", kPython04);
  EXPECT_EQ(add.status, 201) << add.body;
  EXPECT_EQ(add.body, "true");
  EXPECT_EQ(Ask("POST", V1(id, "/get"), R"({"where":{},"where_document":{},"sort":null,"limit":0})", kPython04).body,
            R"({"ids":["a","b"],"embeddings":null,"documents":[null,null],"uris":null,"metadatas":[null,{"x":1}],)"
            R"("data":null,"include":["documents","metadatas"],"included":["documents","metadatas"]})");
  EXPECT_EQ(Ask("POST", V1(id, "/update"), R"({"ids":["a"],"documents":["d"]})", kPython04).body, "null");
  EXPECT_EQ(Ask("POST", V1(id, "/upsert"), R"({"ids":["a"],"documents":["d2"]})", kPython04).body, "null");
  EXPECT_EQ(Ask("POST", V1(id, "/delete"), R"({"ids":["a","zz"]})", kPython04).body, R"(["a","zz"])");
  EXPECT_EQ(Ask("POST", V1(id, "/delete"), R"({"ids":["b"]})", kPython06).body, "null");
  EXPECT_EQ(Ask("GET", V1(id, "/count"), "", kPython04).body, "0");
  EXPECT_EQ(Ask("POST", V1(id, "/delete"), "{}", kPython04).status, 400);
}

TEST_F(ServiceTest, Python05UpsertsWhereverTheCollectionIsThoughItNamesTheDefaults) {
  const std::string elsewhere = "/api/v2/tenants/default_tenant/databases/elsewhere";
  ASSERT_EQ(Ask("POST", "/api/v2/tenants/default_tenant/databases", R"({"name":"elsewhere"})").status, 200);
  const std::string quoted =
      Member(Ask("POST", absl::StrCat(elsewhere, "/collections"), R"({"name":"mondo"})").body, "id");
  ASSERT_EQ(quoted.size(), 38) << quoted;
  const std::string id = quoted.substr(1, 36);
  const char* one = R"({"ids":["a"],"embeddings":[[1,2]]})";
  EXPECT_EQ(Ask("POST", V2(id, "/upsert"), one, kPython06).status, 200);
  EXPECT_EQ(Ask("GET", absl::StrCat(elsewhere, "/collections/", id, "/count"), "", kPython06).body, "1");
  EXPECT_EQ(Ask("POST", V2(id, "/upsert"), one).status, 404);
}

TEST_F(ServiceTest, ErrorsHaveTheNamesThatEachClientKnows) {
  const std::string id = Create("taken");
  AddThree(id);
  const Reply v2_taken = Ask("POST", kV2, R"({"name":"taken"})");
  EXPECT_EQ(v2_taken.status, 409);
  EXPECT_EQ(v2_taken.body, R"({"error":"ChromaError","message":"Collection [taken] already exists"})");
  EXPECT_EQ(ErrorName(Ask("POST", kV2, R"({"name":"taken"})", kPython06).body), "UniqueConstraintError");
  EXPECT_EQ(ErrorName(Ask("POST", "/api/v1/collections", R"({"name":"taken"})", kNode).body),
            "UniqueConstraintError('Collection taken already exists')");
  const Reply v1_missing = Ask("GET", "/api/v1/collections/nope", "", kPython04);
  EXPECT_EQ(v1_missing.status, 400);
  EXPECT_EQ(v1_missing.body, R"({"error":"InvalidCollection","message":"Collection nope does not exist."})");
  EXPECT_EQ(ErrorName(Ask("GET", "/api/v1/collections/notauuid/count", "", kPython04).body), "InvalidUUID");
  const char* wrong = R"({"query_embeddings":[[1,2]]})";
  EXPECT_EQ(ErrorName(Ask("POST", V1(id, "/query"), wrong, kPython04).body), "InvalidDimension");
  EXPECT_EQ(ErrorName(Ask("POST", V2(id, "/query"), wrong).body), "InvalidArgumentError");
  EXPECT_EQ(Ask("POST", V2(id, "/add"), R"({"ids":["n"],"embeddings":[[NaN,1,2]]})").status, 400);
  EXPECT_EQ(Ask("POST", V2(id, "/search"), R"({"searches":[]})").status, 501);
  EXPECT_EQ(Ask("POST", V2(id, "/fork"), R"({"new_name":"x"})").status, 501);
  EXPECT_EQ(Ask("POST", "/api/v2/reset").status, 403);
  EXPECT_EQ(Ask("GET", "/api/v2/tenants/default_tenant/databases/nodb/collections").body, "[]");
  EXPECT_EQ(Ask("POST", "/api/v2/tenants/default_tenant/databases/nodb/collections", R"({"name":"abc"})").status, 400);
  EXPECT_EQ(Ask("GET", V2(id, "/count")).body, "3");
}

TEST_F(ServiceTest, AReaderMayGetOrCreateOnlyWhatExists) {
  Create("present");
  const auto as_reader = [&](const std::string& body) { return Ask("POST", kV2, body, kPython15, kReaderToken); };
  EXPECT_EQ(as_reader(R"({"name":"present","get_or_create":true})").status, 200);
  const Reply absent = as_reader(R"({"name":"absent","get_or_create":true})");
  EXPECT_EQ(absent.status, 403);
  EXPECT_EQ(ErrorName(absent.body), "AuthError");
  EXPECT_EQ(as_reader(R"({"name":"other"})").status, 403);
  EXPECT_EQ(Ask("GET", absl::StrCat(kV2, "_count")).body, "1");
}

TEST_F(ServiceTest, TheMetricIsTakenFromMetadataThenConfiguration) {
  Create("by-metadata", R"(,"metadata":{"hnsw:space":"ip"},"configuration":{"hnsw":{"space":"cosine"}})");
  Create("by-configuration", R"(,"configuration":{"hnsw":{"space":"cosine","max_neighbors":32},"embedding_function":
      {"type":"known","name":"default","config":{}}})");
  Create("by-default");
  const auto space = [&](const std::string& name) {
    const std::string json = Ask("GET", absl::StrCat(kV2, "/", name)).body;
    return Member(Member(Member(json, "configuration_json"), "hnsw"), "space");
  };
  EXPECT_EQ(space("by-metadata"), R"("ip")");
  EXPECT_EQ(space("by-configuration"), R"("cosine")");
  EXPECT_EQ(space("by-default"), R"("l2")");
  const std::string json = Member(Ask("GET", absl::StrCat(kV2, "/by-configuration")).body, "configuration_json");
  EXPECT_EQ(Member(json, "embedding_function"), R"({"type":"known","name":"default","config":{}})");
  EXPECT_EQ(Member(Member(json, "hnsw"), "max_neighbors"), "32");
}

TEST_F(ServiceTest, TenantsAndDatabasesComeAndGo) {
  EXPECT_EQ(Ask("POST", "/api/v2/tenants", R"({"name":"lab"})").body, "{}");
  EXPECT_EQ(ErrorName(Ask("POST", "/api/v2/tenants", R"({"name":"lab"})").body), "ChromaError");
  EXPECT_EQ(Ask("POST", "/api/v2/tenants/lab/databases", R"({"name":"db1"})").body, "{}");
  EXPECT_EQ(Member(Ask("GET", "/api/v2/tenants/lab/databases/db1?tenant=lab").body, "name"), R"("db1")");
  EXPECT_EQ(Member(Ask("GET", "/api/v1/databases/db1?tenant=lab", "", kPython04).body, "tenant"), R"("lab")");
  EXPECT_THAT(Ask("GET", "/api/v2/tenants/lab/databases?limit=1").body, HasSubstr("db1"));
  EXPECT_EQ(Ask("DELETE", "/api/v2/tenants/lab/databases/db1").body, "{}");
  EXPECT_EQ(Ask("GET", "/api/v2/tenants/lab/databases/db1").status, 404);
  EXPECT_EQ(Member(Ask("GET", "/api/v2/auth/identity").body, "tenant"), R"("*")");
}

TEST_F(ServiceTest, AWriteOfManyMegabytesIsSplitAndReadBackWhole) {
  const std::string id = Create("large");
  std::string ids = "[";
  std::string embeddings = "[";
  std::string documents = "[";
  constexpr int kRecords = 5000;
  const std::string text(4'000, 'x');  // 20 MB in all: two messages upstream
  for (int i = 0; i < kRecords; ++i) {
    absl::StrAppend(&ids, i ? "," : "", "\"r", i, "\"");
    absl::StrAppend(&embeddings, i ? "," : "", "[", i, ",1]");
    absl::StrAppend(&documents, i ? "," : "", "\"", text, "\"");
  }
  const std::string body =
      absl::StrCat("{\"ids\":", ids, "],\"embeddings\":", embeddings, "],\"documents\":", documents, "]}");
  ASSERT_GT(body.size(), 16u << 20);
  EXPECT_EQ(Ask("POST", V2(id, "/add"), body).status, 201);
  EXPECT_EQ(Ask("POST", V2(id, "/upsert"), body).status, 200);
  EXPECT_EQ(Ask("GET", V2(id, "/count")).body, absl::StrCat(kRecords));
  const Reply all = Ask("POST", V2(id, "/get"), "{}");  // seven pages of 3 MiB
  EXPECT_EQ(Member(all.body, "ids"), ids + "]");
  const Reply some = Ask("POST", V2(id, "/get"), R"({"limit":3000,"offset":1500,"include":["documents"]})");
  EXPECT_THAT(Member(some.body, "ids"), StartsWith(R"(["r1500","r1501")"));
  EXPECT_THAT(Member(some.body, "ids"), ::testing::EndsWith(R"("r4499"])"));
}

// What belongs to a call upstream is freed by the thread that serves the connection, while the thread that tells the
// ends of calls goes on: with AddressSanitizer a use after that is seen at once, without it one time in some hundred.
TEST_F(ServiceTest, ManyConnectionsWriteAndReadAtOnce) {
  const std::string id = Create("busy");
  constexpr int kConnections = 8;
  constexpr int kRounds = 150;
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kConnections; ++t) {
    threads.emplace_back([&, t] {
      RawClient client(gateway_.port());
      const std::string fields = absl::StrCat("Authorization: Bearer ", kToken, "\r\n", kPython15);
      for (int i = 0; i < kRounds; ++i) {
        const std::string record = absl::StrCat("{\"ids\":[\"", t, "-", i, "\"],\"embeddings\":[[", i, ",1]]}");
        if (client.Ask("POST", V2(id, "/add"), record, fields).status != 201) ++refused;
        if (client.Ask("GET", V2(id, "/count"), "", fields).status != 200) ++refused;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(Ask("GET", V2(id, "/count")).body, absl::StrCat(kConnections * kRounds));
}

// Connections that programs have to the unix socket at `path`.
int Connections(const std::string& path) {
  constexpr char kConnected[] = " 03 ";
  int count = 0;
  std::ifstream table("/proc/net/unix");
  for (std::string line; std::getline(table, line);) {
    count += line.ends_with(" " + path) && line.find(kConnected) != std::string::npos ? 1 : 0;
  }
  return count;
}

TEST_F(ServiceTest, QueriesGoByTheQuerySocketAlsoAfterTheServiceCameBack) {
  const std::string id = Create("by_socket");
  AddThree(id);
  const auto nearest = [&] { return Member(Ask("POST", V2(id, "/query"), kNearest).body, "ids"); };
  EXPECT_EQ(Connections(service_.query_socket()), 0);
  EXPECT_EQ(nearest(), R"([["c"]])");
  EXPECT_EQ(nearest(), R"([["c"]])");
  EXPECT_EQ(Connections(service_.query_socket()), 1);
  service_.Stop();
  EXPECT_EQ(Ask("POST", V2(id, "/query"), kNearest).status, 503);
  service_.Start();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (Connections(service_.query_socket()) == 0 && std::chrono::steady_clock::now() < deadline) nearest();
  EXPECT_EQ(nearest(), R"([["c"]])");
  EXPECT_EQ(Connections(service_.query_socket()), 1);
}

TEST_F(ServiceTest, AServiceThatGoesAndComesBackIsNoticed) {
  EXPECT_EQ(Ask("GET", "/readyz").status, 200);
  service_.Stop();
  EXPECT_EQ(Ask("GET", "/readyz").status, 503);
  EXPECT_EQ(Ask("GET", kV2).status, 503);
  service_.Start();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  int status = 0;
  while (status != 200 && std::chrono::steady_clock::now() < deadline) status = Ask("GET", kV2).status;
  EXPECT_EQ(status, 200);
}

}  // namespace
}  // namespace omics::gateway::testing
