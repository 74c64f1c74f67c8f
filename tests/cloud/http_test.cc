#include "cloud/http.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/cloud/http_server.h"
#include "tests/support/status_matchers.h"

namespace omics::cloud {
namespace {

using testing::Asked;
using testing::HttpServer;
using testing::Reply;

TEST(HttpTest, SendsMethodHeadersAndBodyAndReadsTheAnswer) {
  HttpServer server([](const Asked& asked) {
    return Reply{201, {"X-Said: " + asked.Header("x-mine")}, asked.method + " " + asked.target + " " + asked.body};
  });
  HttpRequest request;
  request.method = "PUT";
  request.url = server.url() + "/a/../b?c=d";
  request.headers = {{"X-Mine", "hello"}};
  request.body = std::string("with\0zero", 9);
  const auto response = SendHttp(request);
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->Header("x-said"), "hello");
  EXPECT_EQ(response->body, std::string("PUT /a/../b?c=d with\0zero", 25));
}

TEST(HttpTest, ABodyOverTheLimitIsRefusedAnnouncedOrNot) {
  HttpServer server([](const Asked&) { return Reply{200, {}, std::string(5'000, 'x')}; });
  HttpRequest request;
  request.url = server.url();
  request.response_bytes_max = 4'999;
  EXPECT_THAT(SendHttp(request), HasCode(absl::StatusCode::kOutOfRange, "4999 bytes"));
  request.response_bytes_max = 5'000;
  EXPECT_OK(SendHttp(request));
}

TEST(HttpTest, ABrokenConnectionIsUnavailableAndTheSinkHasWhatCame) {
  HttpServer server([](const Asked&) { return Reply{200, {}, std::string(5'000, 'x'), 1'234}; });
  HttpRequest request;
  request.url = server.url();
  std::size_t got = 0;
  request.sink = [&](std::string_view piece) { return got += piece.size(), absl::OkStatus(); };
  EXPECT_THAT(SendHttp(request), HasCode(absl::StatusCode::kUnavailable, server.url()));
  EXPECT_EQ(got, 1'234u);
}

TEST(HttpTest, ErrorsOfTheSinkAndOfTheHeadEndTheRequest) {
  HttpServer server([](const Asked&) { return Reply{200, {}, "body"}; });
  HttpRequest request;
  request.url = server.url();
  request.sink = [](std::string_view) { return absl::ResourceExhaustedError("full"); };
  EXPECT_THAT(SendHttp(request), HasCode(absl::StatusCode::kResourceExhausted, "full"));
  request.on_head = [](const HttpResponse& head) { return absl::DataLossError(std::to_string(head.status)); };
  EXPECT_THAT(SendHttp(request), HasCode(absl::StatusCode::kDataLoss, "200"));
}

TEST(HttpTest, StopAndTimeoutsEndASilentServer) {
  HttpServer server([](const Asked&) { return Reply{200, {}, "12345", 2, true}; });
  HttpRequest request;
  request.url = server.url() + "/x?token=s3cr3t";
  request.timeouts.total = std::chrono::milliseconds(150);
  const auto late = SendHttp(request);
  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded, "x?***"));
  EXPECT_EQ(late.status().ToString().find("s3cr3t"), std::string::npos);
  request.timeouts = {.stall = std::chrono::seconds(1)};
  EXPECT_THAT(SendHttp(request), HasCode(absl::StatusCode::kUnavailable, ""));
  request.timeouts = {};
  std::atomic<bool> stop{false};
  request.stop = &stop;
  request.sink = [&](std::string_view) { return stop = true, absl::OkStatus(); };
  const auto before = std::chrono::steady_clock::now();
  EXPECT_THAT(SendHttp(request), HasCode(absl::StatusCode::kCancelled, "stopped"));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
}

TEST(HttpTest, RedirectsAreLeftToTheCaller) {
  HttpServer server([](const Asked&) { return Reply{302, {"Location: http://127.0.0.1:1/"}, ""}; });
  HttpRequest request;
  request.url = server.url();
  const auto response = SendHttp(request);
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 302);
  EXPECT_EQ(response->Header("location"), "http://127.0.0.1:1/");
}

TEST(HttpTest, NoServerNoSchemeAndNoHeaderWithLineBreaks) {
  HttpRequest request;
  {
    HttpServer server([](const Asked&) { return Reply{}; });
    request.url = server.url();
  }
  EXPECT_THAT(SendHttp(request), HasCode(absl::StatusCode::kUnavailable, request.url));
  request.headers = {{"A", "b\r\nC: d"}};
  EXPECT_THAT(SendHttp(request), HasCode(absl::StatusCode::kInvalidArgument, "header A"));
  request.url = "file:///etc/passwd";
  EXPECT_THAT(SendHttp(request), HasCode(absl::StatusCode::kInvalidArgument, "https://"));
}

TEST(HttpTest, PlainHttpIgnoresTheEnvironmentsProxy) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("all_proxy", "http://127.0.0.1:1", 1);
  setenv("no_proxy", "", 1);
  HttpServer server([](const Asked&) { return Reply{200, {}, "direct"}; });
  HttpRequest request;
  request.url = server.url();
  EXPECT_EQ(SendHttp(request)->body, "direct");
  unsetenv("http_proxy");
  unsetenv("all_proxy");
  unsetenv("no_proxy");
}

}  // namespace
}  // namespace omics::cloud
