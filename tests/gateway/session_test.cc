// The real server on a loopback socket against what hostile and clumsy clients send.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/gateway/testing.h"

namespace omics::gateway::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kUuid[] = "0f2de906-0917-453a-b635-9120de20ef52";

// The request that an attacker wants to have taken for one of its own.
constexpr char kSmuggled[] = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr char kAlive[] = "alive";

struct Payload {
  std::string name;
  std::string bytes;
  bool well_formed = false;
};

std::string Chunked(const std::string& fields) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n5\r\nhello\r\n0\r\n\r\n";
}

std::string Sized(const std::string& fields) { return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\nhello"; }

std::string ManyTrailers() {
  std::string trailers;
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&trailers, "X-T", i, ": ", std::string(40, 'z'), "\r\n");
  return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + trailers + "\r\n";
}

std::string ManyFields() {
  std::string request = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 1500; ++i) request += "a:\r\n";
  return request + "\r\n";
}

// The 41 payloads on which Boost 1.81's parser was measured.
std::vector<Payload> Payloads() {
  const std::string te = "Transfer-Encoding: chunked\r\n";
  const std::string chunk_head = "POST / HTTP/1.1\r\nHost: a\r\n" + te + "\r\n";
  return {
      {"http10+chunked", "POST / HTTP/1.0\r\nHost: a\r\n" + te + "\r\n5\r\nhello\r\n0\r\n\r\n"},
      {"TE:gzip then CL", Sized("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n")},
      {"CL then TE:gzip", Sized("Content-Length: 5\r\nTransfer-Encoding: gzip\r\n")},
      {"CL + TE:chunked", Chunked("Content-Length: 5\r\n" + te)},
      {"TE:chunked + CL", Chunked(te + "Content-Length: 5\r\n")},
      {"TE: identity only", Sized("Transfer-Encoding: identity\r\n")},
      {"TE: gzip only", Sized("Transfer-Encoding: gzip\r\n")},
      {"TE: chunked, gzip", Chunked("Transfer-Encoding: chunked, gzip\r\n")},
      {"TE: xchunked", Chunked("Transfer-Encoding: xchunked\r\n")},
      {"two TE", Chunked(te + te)},
      {"TE space before colon", Chunked("Transfer-Encoding : chunked\r\n")},
      {"TE vertical tab", Chunked("Transfer-Encoding: \x0b"
                                  "chunked\r\n")},
      {"dup CL same", Sized("Content-Length: 5\r\nContent-Length: 5\r\n")},
      {"dup CL diff", Sized("Content-Length: 5\r\nContent-Length: 6\r\n")},
      {"CL 5, 5", Sized("Content-Length: 5, 5\r\n")},
      {"CL +5", Sized("Content-Length: +5\r\n")},
      {"CL 0x5", Sized("Content-Length: 0x5\r\n")},
      {"CL 2^64+5", Sized("Content-Length: 18446744073709551621\r\n")},
      {"chunk 2^64+5", chunk_head + "10000000000000005\r\nhello\r\n0\r\n\r\n"},
      {"LF only", "POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello"},
      {"obs-fold", Sized("X-A: b\r\n c\r\nContent-Length: 5\r\n")},
      {"obs-fold CL", Sized("Content-Length:\r\n 5\r\n")},
      {"obs-fold TE", Chunked("Transfer-Encoding:\r\n chunked\r\n")},
      {"trailers auth", chunk_head + "5\r\nhello\r\n0\r\nAuthorization: Bearer evil\r\nX-Chroma-Token: evil\r\n\r\n"},
      {"trailers Host", chunk_head + "5\r\nhello\r\n0\r\nHost: evil\r\nConnection: close\r\n\r\n"},
      {"chunk ext", chunk_head + "5;a=\"b\nc\"\r\nhello\r\n0\r\n\r\n"},
      {"chunk LF term", chunk_head + "5\nhello\r\n0\r\n\r\n"},
      {"two Host", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
      {"no Host", "GET / HTTP/1.1\r\n\r\n"},
      {"http/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"},
      {"http/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
      {"NUL in value", "GET / HTTP/1.1\r\nHost: a\r\nX: a" + std::string(1, '\0') + "b\r\n\r\n"},
      {"CR in value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"},
      {"tab target", "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"utf8 target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"hdr 7k", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(7000, 'a') + "\r\n\r\n", true},
      {"hdr 9k", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(9000, 'a') + "\r\n\r\n", true},
      {"1500 tiny headers", ManyFields()},
      {"trailers 250KB", ManyTrailers()},
      {"chunk-ext 2MB", chunk_head + "5;a=" + std::string(2'000'000, 'x') + "\r\nhello\r\n0\r\n\r\n"},
      {"body shorter than CL", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n"},
  };
}

// The same against a route that reads its body, so that the framing behind the head is tried as well.
std::string OnRealRoute(std::string bytes) {
  if (bytes.starts_with("POST / ")) {
    bytes.replace(5, 1, absl::StrCat("/api/v1/collections/", kUuid, "/get"));
  }
  return bytes;
}

// The route's path with a UUID for each of its parameters.
std::string TargetOf(const Route& route) {
  std::string target(route.pattern);
  for (std::size_t brace; (brace = target.find('{')) != std::string::npos;) {
    target.replace(brace, target.find('}') - brace + 1, kUuid);
  }
  return target;
}

std::string Exchange(const TestGateway& gateway, const std::string& bytes) {
  RawClient client(gateway.port());
  client.Send(bytes);
  client.ShutdownSend();
  return client.ReadAll();
}

TEST(SessionTest, NoneOfThe41PayloadsGetsASecondRequestExecuted) {
  TestGateway gateway;
  ASSERT_EQ(Payloads().size(), 41u);
  for (const Payload& payload : Payloads()) {
    for (const std::string& bytes : {payload.bytes, OnRealRoute(payload.bytes)}) {
      const std::string answer = Exchange(gateway, bytes + kSmuggled);
      if (payload.well_formed) {
        EXPECT_EQ(CountResponses(answer), 2) << payload.name;
        EXPECT_THAT(answer, HasSubstr(kAlive)) << payload.name;
        continue;
      }
      EXPECT_LE(CountResponses(answer), 1) << payload.name << "\n" << answer;
      EXPECT_THAT(answer, Not(HasSubstr(kAlive))) << payload.name;
      EXPECT_THAT(answer, Not(HasSubstr("HTTP/1.1 2"))) << payload.name;
      EXPECT_THAT(answer, Not(HasSubstr("HTTP/1.1 500"))) << payload.name;
    }
  }
}

TEST(SessionTest, WellFormedBodiesAreReadAndTheConnectionGoesOn) {
  TestGateway gateway;
  for (const std::string& bytes : {Sized("Content-Length: 5\r\n"), Chunked("Transfer-Encoding: chunked\r\n")}) {
    const std::string answer = Exchange(gateway, OnRealRoute(bytes) + kSmuggled);
    EXPECT_EQ(CountResponses(answer), 2);
    EXPECT_THAT(answer, HasSubstr("HTTP/1.1 400"));  // "hello" is not JSON
    EXPECT_THAT(answer, HasSubstr(kAlive));
  }
}

TEST(SessionTest, TheTokenIsCheckedBeforeTheBodyIsRead) {
  TestGateway gateway(kNoService, absl::StrCat("ci admin ", kToken, "\n"));
  RawClient client(gateway.port());
  // 100 MiB are announced, none is sent: the refusal must come all the same, and no 100 Continue.
  const std::string target = absl::StrCat("/api/v2/tenants/t/databases/d/collections/", kUuid, "/add");
  client.Send(absl::StrCat("POST ", target, " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n",
                           "Content-Type: application/json\r\nContent-Length: 104857600\r\n\r\n"));
  const Reply reply = client.ReadReply();
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(ErrorName(reply.body), "AuthError");
  EXPECT_THAT(reply.head, HasSubstr("Connection: close"));
}

TEST(SessionTest, ExpectContinueIsAnsweredToAKnownCaller) {
  TestGateway gateway(kNoService, absl::StrCat("ci admin ", kToken, "\n"));
  RawClient client(gateway.port());
  client.Send(absl::StrCat("POST /api/v1/collections/", kUuid, "/get HTTP/1.1\r\nHost: a\r\nX-Chroma-Token: ", kToken,
                           "\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
  EXPECT_EQ(client.ReadReply().status, 100);
  client.Send("hello");
  EXPECT_EQ(client.ReadReply().status, 400);
}

TEST(SessionTest, ABodyAboveTheLimitIs413BeforeItIsSent) {
  ServerOptions options;
  options.session.body_bytes_max = 1024;
  TestGateway gateway(kNoService, "", options);
  RawClient sized(gateway.port());
  sized.Send(
      absl::StrCat("POST /api/v1/collections/", kUuid, "/get HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n"));
  EXPECT_EQ(sized.ReadReply().status, 413);
  RawClient chunked(gateway.port());
  chunked.Send(absl::StrCat("POST /api/v1/collections/", kUuid,
                            "/get HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n"));
  EXPECT_EQ(chunked.ReadReply().status, 413);
}

TEST(SessionTest, ChunkFramingBeyondTheAllowanceIsRefused) {
  ServerOptions options;
  options.session.body_bytes_max = 64 << 10;
  TestGateway gateway(kNoService, "", options);
  RawClient client(gateway.port());
  std::string request = absl::StrCat("POST /api/v1/collections/", kUuid,
                                     "/get HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 40'000; ++i) request += "1\r\n \r\n";  // 40 KB of body in 240 KB
  client.Send(request);
  EXPECT_EQ(client.ReadReply().status, 413);
}

TEST(SessionTest, TooManyBodyBytesInFlightAre503WithRetryAfter) {
  ServerOptions options;
  options.session.in_flight_bytes_max = 1000;
  TestGateway gateway(kNoService, "", options);
  RawClient client(gateway.port());
  const Reply reply = client.Ask("POST", absl::StrCat("/api/v1/collections/", kUuid, "/get"), std::string(1001, ' '));
  EXPECT_EQ(reply.status, 503);
  EXPECT_THAT(reply.head, HasSubstr("Retry-After: "));
}

TEST(SessionTest, ConnectionsBeyondTheLimitGet503) {
  ServerOptions options;
  options.connections_max = 1;
  TestGateway gateway(kNoService, "", options);
  RawClient first(gateway.port());
  ASSERT_EQ(first.Ask("GET", "/livez").status, 200);
  RawClient second(gateway.port());
  EXPECT_EQ(second.ReadReply().status, 503);
  EXPECT_EQ(first.Ask("GET", "/livez").status, 200);
}

TEST(SessionTest, HeaderBeyond16KiBIs431) {
  TestGateway gateway;
  RawClient client(gateway.port());
  client.Send("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'a') + "\r\n\r\n");
  EXPECT_EQ(client.ReadReply().status, 431);
}

TEST(SessionTest, RequestsArePipelinedInOrder) {
  TestGateway gateway;
  const std::string get_version = "GET /api/v2/version HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string answer = Exchange(gateway, kSmuggled + get_version + kSmuggled);
  EXPECT_EQ(CountResponses(answer), 3);
  EXPECT_LT(answer.find(kAlive), answer.find("\"1.0.0\""));
}

TEST(SessionTest, UnknownRoutesAndMethodsHaveAnEmptyBody) {
  TestGateway gateway;
  RawClient client(gateway.port());
  const Reply unknown = client.Ask("GET", "/nope");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.body, "");
  const Reply method = client.Ask("DELETE", "/api/v2/heartbeat");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.body, "");
  EXPECT_THAT(method.head, HasSubstr("Allow: GET\r\n"));
  EXPECT_EQ(client.Ask("GET", "/api/v2/heartbeat/").status, 404);
  EXPECT_EQ(client.Ask("GET", "/api/v1/heartbeat/").status, 200);
}

TEST(SessionTest, OpenRoutesNeedNoTokenAndAllOthersDo) {
  TestGateway gateway(kNoService, absl::StrCat("ci admin ", kToken, "\n"));
  RawClient client(gateway.port());
  for (const Route& route : Routes()) {
    const std::string target = TargetOf(route);
    const Reply reply = client.Ask(route.method, target);
    const int refused = route.api == Api::kV1 ? 401 : 403;
    if (route.access == Access::kOpen) {
      EXPECT_NE(reply.status, refused) << target;
    } else {
      EXPECT_EQ(reply.status, refused) << target;
      EXPECT_EQ(ErrorName(reply.body), route.api == Api::kV1 ? "AuthorizationError" : "AuthError") << target;
    }
  }
}

TEST(SessionTest, TheTokenIsTakenInEverySpelling) {
  TestGateway gateway(kNoService, absl::StrCat("ci admin ", kToken, "\n"));
  RawClient client(gateway.port());
  // base64 of "admin:test-token-0123456789"
  const std::string basic = "Authorization: Basic YWRtaW46dGVzdC10b2tlbi0wMTIzNDU2Nzg5\r\n";
  for (const std::string& field :
       {absl::StrCat("Authorization: Bearer ", kToken, "\r\n"), absl::StrCat("Authorization: ", kToken, "\r\n"),
        absl::StrCat("x-chroma-token: ", kToken, "\r\n"), basic,
        absl::StrCat("X-Chroma-Token: wrong-token-0123456789\r\nAuthorization: Bearer ", kToken, "\r\n")}) {
    // The caller is known; the service is not there.
    EXPECT_EQ(client.Ask("GET", "/api/v2/auth/identity", "", field).status, 503) << field;
  }
  EXPECT_EQ(client.Ask("GET", "/api/v2/auth/identity", "", "X-Chroma-Token: wrong-token-0123456789\r\n").status, 403);
  EXPECT_EQ(client.Ask("GET", "/api/v1/tenants/t", "", "X-Chroma-Token: wrong-token-0123456789\r\n").status, 401);
}

TEST(SessionTest, ARoleThatIsTooLowIsRefusedBeforeTheBody) {
  TestGateway gateway(kNoService, absl::StrCat("reader read ", kToken, "\n"));
  RawClient client(gateway.port());
  const std::string fields = absl::StrCat("X-Chroma-Token: ", kToken, "\r\n");
  const std::string collection = absl::StrCat("/api/v2/tenants/t/databases/d/collections/", kUuid);
  EXPECT_EQ(client.Ask("DELETE", collection, "", fields).status, 403);
  EXPECT_EQ(client.Ask("GET", collection, "", fields).status, 503);
  const Reply add = client.Ask("POST", collection + "/add", "{}", fields);
  EXPECT_EQ(add.status, 403);
  EXPECT_THAT(add.body, HasSubstr("read"));
}

TEST(SessionTest, AMissingServiceIs503WithinASecond) {
  TestGateway gateway;
  RawClient client(gateway.port());
  const auto start = std::chrono::steady_clock::now();
  const Reply reply = client.Ask("GET", "/api/v2/tenants/default_tenant");
  EXPECT_EQ(reply.status, 503);
  EXPECT_THAT(reply.head, HasSubstr("Retry-After: "));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  EXPECT_EQ(client.Ask("GET", "/readyz").status, 503);
  EXPECT_EQ(client.Ask("GET", "/livez").status, 200);
}

TEST(SessionTest, BrowsersAreAnsweredOnlyFromAllowedOrigins) {
  TestGateway gateway(kNoService, "", {}, {{"https://allowed.example"}});
  RawClient client(gateway.port());
  const Reply preflight = client.Ask("OPTIONS", "/api/v2/heartbeat", "", "Origin: https://allowed.example\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_THAT(preflight.head, HasSubstr("Access-Control-Allow-Origin: https://allowed.example\r\n"));
  const Reply other = client.Ask("GET", "/api/v2/heartbeat", "", "Origin: https://other.example\r\n");
  EXPECT_EQ(other.status, 200);
  EXPECT_THAT(other.head, Not(HasSubstr("Access-Control")));
  // A page of another origin can send a form without asking first: its media type gives it away.
  client.Send("POST /api/v1/tenants HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(client.ReadReply().status, 415);
}

TEST(SessionTest, AForeignPageMayChangeNothingWhereNoTokenIsRequired) {
  TestGateway gateway(kNoService, "", {}, {{"https://allowed.example"}});
  RawClient client(gateway.port());
  for (const Route& route : Routes()) {
    const std::string target = TargetOf(route);
    for (const char* origin : {"Origin: https://foreign.example\r\n", "Origin: null\r\n"}) {
      const Reply reply = client.Ask(route.method, target, "", origin);
      EXPECT_EQ(reply.status == 403, route.method != "GET") << target << " " << reply.status;
    }
    for (const char* origin : {"", "Origin: https://allowed.example\r\n"}) {
      EXPECT_NE(client.Ask(route.method, target, "", origin).status, 403) << target;
    }
  }
  const Reply reset = client.Ask("POST", "/api/v2/reset", "", "Origin: https://foreign.example\r\n");
  EXPECT_EQ(ErrorName(reset.body), "AuthError");
  EXPECT_THAT(reset.body, HasSubstr("--cors-allow-origins"));
}

TEST(SessionTest, APageThatKnowsTheTokenIsACallerLikeAnyOther) {
  TestGateway gateway(kNoService, absl::StrCat("ci admin ", kToken, "\n"));
  RawClient client(gateway.port());
  const std::string fields = absl::StrCat("Origin: https://foreign.example\r\nX-Chroma-Token: ", kToken, "\r\n");
  EXPECT_EQ(client.Ask("POST", "/api/v2/reset", "", fields).status, 503);
}

TEST(SessionTest, AHeadThatComesTooSlowlyIs408) {
  ServerOptions options;
  options.session.head_timeout = std::chrono::milliseconds(500);
  TestGateway gateway(kNoService, "", options);
  RawClient slow(gateway.port());
  RawClient silent(gateway.port());
  slow.Send("GET /livez HTT");
  const Reply reply = slow.ReadReply();
  EXPECT_EQ(reply.status, 408);
  EXPECT_THAT(reply.head, HasSubstr("Connection: close"));
  EXPECT_TRUE(slow.Closed());
  EXPECT_TRUE(silent.Closed());
}

TEST(SessionTest, ABodyThatComesTooSlowlyIs408) {
  ServerOptions options;
  options.session.body_timeout = std::chrono::milliseconds(100);
  TestGateway gateway(kNoService, "", options);
  RawClient client(gateway.port());
  client.Send(
      absl::StrCat("POST /api/v1/collections/", kUuid, "/get HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"));
  EXPECT_EQ(client.ReadReply().status, 408);
  EXPECT_TRUE(client.Closed());
}

TEST(SessionTest, TheDeadlineOfOneReadDoesNotReachIntoTheNextRequest) {
  ServerOptions options;
  options.session.head_timeout = std::chrono::milliseconds(500);
  options.session.body_timeout = std::chrono::milliseconds(500);
  TestGateway gateway(kNoService, "", options);
  RawClient client(gateway.port());
  const std::string target = absl::StrCat("/api/v1/collections/", kUuid, "/get");
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1200);
  while (std::chrono::steady_clock::now() < end) {
    ASSERT_EQ(client.Ask("GET", "/livez").status, 200);
    ASSERT_EQ(client.Ask("POST", target, "hello").status, 400);
  }
}

TEST(SessionTest, AnIdleConnectionIsClosedWithoutAWord) {
  ServerOptions options;
  options.session.idle_timeout = std::chrono::milliseconds(100);
  TestGateway gateway(kNoService, "", options);
  RawClient client(gateway.port());
  ASSERT_EQ(client.Ask("GET", "/livez").status, 200);
  EXPECT_TRUE(client.Closed());
}

TEST(SessionTest, DrainingEndsIdleConnectionsAndRefusesNewOnes) {
  TestGateway gateway;
  RawClient client(gateway.port());
  ASSERT_EQ(client.Ask("GET", "/livez").status, 200);
  EXPECT_TRUE(gateway.server().Stop(std::chrono::seconds(5)));
  EXPECT_EQ(client.ReadAll(), "");
  EXPECT_EQ(gateway.server().connections(), 0);
}

TEST(SessionTest, ARequestInProgressIsFinishedWhileDraining) {
  TestGateway gateway;
  RawClient client(gateway.port());
  const std::string head =
      absl::StrCat("POST /api/v1/collections/", kUuid, "/get HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n",
                   "Content-Length: 5\r\n\r\n");
  client.Send(head);
  ASSERT_EQ(client.ReadReply().status, 100);  // the server now waits for the body
  std::thread stop([&] { EXPECT_TRUE(gateway.server().Stop(std::chrono::seconds(8))); });
  client.Send("hello");
  const Reply reply = client.ReadReply();
  EXPECT_EQ(reply.status, 400);
  stop.join();
}

TEST(SessionTest, StuckConnectionsAreCutOffAfterTheDrain) {
  TestGateway gateway;
  RawClient client(gateway.port());
  client.Send(absl::StrCat("POST /api/v1/collections/", kUuid,
                           "/get HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
  ASSERT_EQ(client.ReadReply().status, 100);
  EXPECT_TRUE(gateway.server().Stop(std::chrono::milliseconds(50)));
  EXPECT_EQ(client.ReadAll(), "");
}

}  // namespace
}  // namespace omics::gateway::testing
