#include "base/metrics.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

namespace omics {
namespace {

using testing::HasSubstr;

// The whole answer to one GET.
std::string Fetch(int port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd);
    return "";
  }
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  EXPECT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, static_cast<std::size_t>(got));
  close(fd);
  return answer;
}

TEST(MetricsTest, GaugesOfOneNameDifferInTheirLabels) {
  Metrics metrics("test");
  metrics.AddGauge("served", "Of whom.", [] { return 1.0; }, {{"collection", "a"}});
  metrics.AddGauge("other", "Between them.", [] { return 7.0; });
  metrics.AddGauge("served", "Of whom.", [] { return 0.0; }, {{"collection", "b"}});
  ASSERT_TRUE(metrics.Serve("127.0.0.1:0").ok());
  const std::string answer = Fetch(metrics.port(), "/metrics");
  EXPECT_THAT(answer, HasSubstr("test_served{collection=\"a\"} 1\ntest_served{collection=\"b\"} 0"));
  EXPECT_EQ(answer.find("# TYPE test_served"), answer.rfind("# TYPE test_served"));
}

TEST(MetricsTest, ScrapeShowsRequestsDurationsAndGauges) {
  Metrics metrics("test");
  double size = 1;
  metrics.AddGauge("size", "How large.", [&size] { return size; });
  ASSERT_TRUE(metrics.Serve("127.0.0.1:0").ok());
  ASSERT_GT(metrics.port(), 0);
  metrics.Finished("Query", "OK", std::chrono::milliseconds(3));
  metrics.Finished("Query", "OK", std::chrono::milliseconds(30));
  metrics.Finished("Query", "NOT_FOUND", std::chrono::milliseconds(1));
  metrics.AddInFlight(2);
  metrics.AddInFlight(-1);
  size = 42;

  const std::string answer = Fetch(metrics.port(), "/metrics");
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("test_requests_total{code=\"OK\",method=\"Query\"} 2"));
  EXPECT_THAT(answer, HasSubstr("test_requests_total{code=\"NOT_FOUND\",method=\"Query\"} 1"));
  EXPECT_THAT(answer, HasSubstr("test_request_duration_seconds_count{method=\"Query\"} 3"));
  EXPECT_THAT(answer, HasSubstr("test_request_duration_seconds_bucket{method=\"Query\",le=\"0.005\"} 2"));
  EXPECT_THAT(answer, HasSubstr("test_requests_in_flight 1"));
  EXPECT_THAT(answer, HasSubstr("test_size 42"));
}

TEST(MetricsTest, NoOtherRouteAnswers) {
  Metrics metrics("test");
  ASSERT_TRUE(metrics.Serve("localhost:0").ok());
  for (const char* path : {"/", "/etc/passwd", "/../../etc/passwd", "/metrics/../etc", "/index.html"}) {
    EXPECT_THAT(Fetch(metrics.port(), path), testing::Not(HasSubstr(" 200 "))) << path;
  }
}

TEST(MetricsTest, APortInUseIsNamedWithTheFlag) {
  Metrics first("first");
  ASSERT_TRUE(first.Serve("127.0.0.1:0").ok());
  Metrics second("second");
  const std::string port = std::to_string(first.port());
  const absl::Status status = second.Serve("127.0.0.1:" + port);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("port " + port + " is in use"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("--metrics-address"));
  EXPECT_EQ(second.port(), 0);
  EXPECT_THAT(Fetch(first.port(), "/metrics"), HasSubstr(" 200 ")) << "the first one still serves";
}

TEST(MetricsTest, NoAddressMeansNoPort) {
  Metrics metrics("test");
  EXPECT_TRUE(metrics.Serve("").ok());
  EXPECT_EQ(metrics.port(), 0);
  metrics.Finished("Query", "OK", std::chrono::seconds(1));
}

TEST(MetricsTest, BadAddressesAreRefused) {
  Metrics metrics("test");
  EXPECT_EQ(metrics.Serve("9090").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(metrics.Serve("192.0.2.1:0").code(), absl::StatusCode::kUnavailable);
}

TEST(MetricsTest, CountsOfManyThreadsAddUp) {
  Metrics metrics("test");
  ASSERT_TRUE(metrics.Serve("127.0.0.1:0").ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&metrics] {
      for (int i = 0; i < 1000; ++i) metrics.Finished("Get", i % 2 ? "OK" : "ABORTED", std::chrono::microseconds(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string answer = Fetch(metrics.port(), "/metrics");
  EXPECT_THAT(answer, HasSubstr("test_requests_total{code=\"OK\",method=\"Get\"} 2000"));
  EXPECT_THAT(answer, HasSubstr("test_request_duration_seconds_count{method=\"Get\"} 4000"));
}

}  // namespace
}  // namespace omics
