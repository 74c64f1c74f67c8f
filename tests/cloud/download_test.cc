#include "cloud/download.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "cloud/s3.h"
#include "tests/cloud/fault_proxy.h"
#include "tests/cloud/http_server.h"
#include "tests/cloud/manual_waiter.h"
#include "tests/cloud/moto.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::cloud {
namespace {

using testing::Asked;
using testing::Fault;
using testing::FaultProxy;
using testing::HttpServer;
using testing::ManualWaiter;
using testing::Moto;
using testing::Reply;

const std::atomic<bool> kGoOn{false};

std::string RandomBytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

std::string Content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Serves `content` as a web server would: ranges, If-Range, If-None-Match.
Reply Serve(const Asked& asked, const std::string& content, const std::string& etag) {
  std::vector<std::string> headers = {"ETag: " + etag};
  if (asked.Header("if-none-match") == etag) return {304, headers, ""};
  const std::string range = asked.Header("range");
  if (range.empty() || (asked.headers.contains("if-range") && asked.Header("if-range") != etag)) {
    return {200, headers, content};
  }
  const std::size_t first = std::stoul(range.substr(range.find('=') + 1));
  if (first >= content.size()) return {416, headers, ""};
  headers.push_back(absl::StrCat("Content-Range: bytes ", first, "-", content.size() - 1, "/", content.size()));
  return {206, headers, content.substr(first)};
}

class DownloadTest : public ::testing::Test {
 protected:
  std::unique_ptr<Downloader> Make(DownloadOptions options = {}) {
    options.unsigned_s3 = true;
    DownloadParts parts;
    parts.waiter = &waiter_;
    return Downloader::Make(std::move(options), std::move(parts)).value();
  }
  absl::StatusOr<Downloaded> Fetch(const Source& source, DownloadOptions options = {}) {
    return Make(std::move(options))->Fetch(source, file_, nullptr, kGoOn);
  }
  void ExpectNothingThere() {
    EXPECT_FALSE(std::filesystem::exists(file_));
    EXPECT_FALSE(std::filesystem::exists(file_.string() + ".part"));
  }

  TempDir directory_;
  std::filesystem::path file_ = directory_.path() / "file";
  ManualWaiter waiter_;
};

TEST_F(DownloadTest, AFileComesWholeAndIsNotFetchedAgainWhileItsEtagStays) {
  const std::string content = RandomBytes(700'000, 1);
  HttpServer server([&](const Asked& asked) { return Serve(asked, content, "\"v1\""); });
  std::int64_t last = 0;
  const auto downloaded = Make()->Fetch(
      {server.url() + "/x", Sha256Hex(content), ""}, file_, [&](std::int64_t bytes, std::int64_t) { last = bytes; },
      kGoOn);
  ASSERT_OK(downloaded);
  EXPECT_TRUE(downloaded->changed);
  EXPECT_EQ(downloaded->etag, "\"v1\"");
  EXPECT_EQ(downloaded->sha256, Sha256Hex(content));
  EXPECT_EQ(downloaded->bytes, 700'000);
  EXPECT_EQ(last, 700'000);
  EXPECT_EQ(Content(file_), content);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 1);
  const auto again = Fetch({server.url() + "/x", "", "\"v1\""});
  ASSERT_OK(again);
  EXPECT_FALSE(again->changed);
  EXPECT_EQ(again->etag, "\"v1\"");
  EXPECT_TRUE(Fetch({server.url() + "/x", "", "\"v0\""})->changed);
}

TEST_F(DownloadTest, BrokenConnectionsAreResumedWhereTheyEnded) {
  const std::string content = RandomBytes(1'000'000, 2);
  std::size_t sent = 0;
  HttpServer server([&](const Asked& asked) {
    Reply reply = Serve(asked, content, "\"v1\"");
    reply.cut_after = std::min<std::size_t>(reply.body.size(), 70'001);
    sent += *reply.cut_after;
    return reply;
  });
  const auto downloaded = Fetch({server.url() + "/x", "", ""});
  ASSERT_OK(downloaded);
  EXPECT_EQ(Content(file_), content);
  EXPECT_EQ(sent, content.size()) << "bytes were sent twice";
  EXPECT_EQ(server.asked(), 15);
}

TEST_F(DownloadTest, AnotherVersionInTheMiddleBeginsAnew) {
  const std::string first = RandomBytes(500'000, 3);
  const std::string second = RandomBytes(400'000, 4);
  int asked_times = 0;
  HttpServer server([&](const Asked& asked) {
    Reply reply = ++asked_times <= 2 ? Serve(asked, first, "\"v1\"") : Serve(asked, second, "\"v2\"");
    if (asked_times <= 2) reply.cut_after = 150'000;
    return reply;
  });
  const auto downloaded = Fetch({server.url() + "/x", "", ""});
  ASSERT_OK(downloaded);
  EXPECT_EQ(downloaded->etag, "\"v2\"");
  EXPECT_EQ(Content(file_), second);
}

TEST_F(DownloadTest, AServerThatAnswersWithAPartOfAnotherVersionIsNotBelieved) {
  const std::string first = RandomBytes(300'000, 5);
  const std::string second = RandomBytes(300'000, 6);
  int asked_times = 0;
  HttpServer server([&](Asked asked) {
    asked.headers.erase("if-range");
    Reply reply = ++asked_times == 1 ? Serve(asked, first, "\"v1\"") : Serve(asked, second, "\"v2\"");
    if (asked_times == 1) reply.cut_after = 100'000;
    return reply;
  });
  ASSERT_OK(Fetch({server.url() + "/x", "", ""}));
  EXPECT_EQ(Content(file_), second);
}

TEST_F(DownloadTest, WhatAnEarlierTryLeftIsResumedAndDamageInItIsFound) {
  const std::string content = RandomBytes(600'000, 7);
  bool broken = true;
  std::vector<std::string> ranges;
  HttpServer server([&](const Asked& asked) {
    ranges.push_back(asked.Header("range"));
    if (broken && ranges.size() % 20 != 1) return Reply{503, {}, ""};
    Reply reply = Serve(asked, content, "\"v1\"");
    if (broken) reply.cut_after = 250'000;
    return reply;
  });
  const Source source{server.url() + "/x", "", ""};
  for (const bool damage : {false, true}) {
    broken = true;
    ranges.clear();
    std::filesystem::remove(file_);
    EXPECT_THAT(Fetch(source), HasCode(absl::StatusCode::kUnavailable, "gave up after"));
    EXPECT_FALSE(std::filesystem::exists(file_));
    if (damage) {
      std::fstream part(file_.string() + ".part", std::ios::in | std::ios::out | std::ios::binary);
      part.seekp(100).put(static_cast<char>(content[100] ^ 1));
    }
    broken = false;
    ranges.clear();
    ASSERT_OK(Fetch(source));
    EXPECT_EQ(ranges, std::vector<std::string>{damage ? "" : "bytes=250000-"});
    EXPECT_EQ(Content(file_), content);
  }
}

TEST_F(DownloadTest, OtherBytesThanTheDigestSaysAreThrownAway) {
  HttpServer server([&](const Asked& asked) { return Serve(asked, "tampered", "\"v1\""); });
  EXPECT_THAT(Fetch({server.url() + "/x?sig=s3cr3t", Sha256Hex("original"), ""}),
              HasCode(absl::StatusCode::kDataLoss, Sha256Hex("tampered")));
  ExpectNothingThere();
  EXPECT_THAT(Fetch({server.url() + "/x", "abc", ""}), HasCode(absl::StatusCode::kInvalidArgument, "64 hex"));
}

TEST_F(DownloadTest, TooLargeASourceIsRefused) {
  HttpServer server([&](const Asked& asked) { return Serve(asked, std::string(1'001, 'x'), "\"v1\""); });
  EXPECT_THAT(Fetch({server.url() + "/x", "", ""}, {.bytes_max = 1'000}),
              HasCode(absl::StatusCode::kOutOfRange, "1000 bytes"));
  EXPECT_OK(Fetch({server.url() + "/x", "", ""}, {.bytes_max = 1'001}));
  EXPECT_THAT(Fetch({"file://" + file_.string(), "", ""}, {.bytes_max = 1'000}),
              HasCode(absl::StatusCode::kOutOfRange, "1001 bytes"));
}

TEST_F(DownloadTest, OnlyAllowedHostsAreAskedAlsoAfterRedirects) {
  HttpServer inner([&](const Asked& asked) { return Serve(asked, "inner", "\"v1\""); });
  HttpServer outer([&](const Asked&) { return Reply{302, {"Location: " + inner.url() + "/y?sig=s3cr3t"}, ""}; });
  const Source source{outer.url() + "/x", "", ""};
  const auto refused = Fetch(source);
  EXPECT_THAT(refused, HasCode(absl::StatusCode::kPermissionDenied, inner.authority()));
  EXPECT_EQ(refused.status().ToString().find("s3cr3t"), std::string::npos);
  EXPECT_EQ(inner.asked(), 0);
  EXPECT_THAT(Fetch(source, {.hosts = {"example.com"}}),
              HasCode(absl::StatusCode::kPermissionDenied, outer.authority()));
  ASSERT_OK(Fetch(source, {.hosts = {outer.authority(), inner.authority()}}));
  EXPECT_EQ(Content(file_), "inner");
  HttpServer loop([&](const Asked&) { return Reply{301, {"Location: /again"}, ""}; });
  EXPECT_THAT(Fetch({loop.url(), "", ""}), HasCode(absl::StatusCode::kFailedPrecondition, "more than five times"));
}

TEST_F(DownloadTest, UrlsThatMustNotBeAsked) {
  for (const char* const url : {"http://example.com/x", "http://169.254.169.254/latest/meta-data/", "ftp://h/x", "x",
                                "s3://bucket", "s3://b/", "s3://../x", "file://relative", "https://u:p@h/x"}) {
    EXPECT_THAT(Fetch({url, "", ""}), HasCode(absl::StatusCode::kInvalidArgument, "")) << url;
  }
  for (const char* const host : {"https://h", "*.amazonaws.com", "", "a/b"}) {
    EXPECT_THAT(Downloader::Make({.hosts = {host}}).status(), HasCode(absl::StatusCode::kInvalidArgument, "host"))
        << host;
  }
}

TEST_F(DownloadTest, NotFoundAndForbiddenAreNotTriedAgain) {
  int status = 404;
  HttpServer server([&](const Asked&) { return Reply{status, {}, ""}; });
  EXPECT_THAT(Fetch({server.url() + "/x", "", ""}), HasCode(absl::StatusCode::kNotFound, file_.string()));
  status = 403;
  EXPECT_THAT(Fetch({server.url() + "/x", "", ""}), HasCode(absl::StatusCode::kPermissionDenied, server.url()));
  EXPECT_EQ(server.asked(), 2);
}

TEST_F(DownloadTest, StopLeavesThePartForTheNextTry) {
  const std::string content = RandomBytes(3'000'000, 8);
  std::string range;
  HttpServer server([&](const Asked& asked) {
    range = asked.Header("range");
    return Serve(asked, content, "\"v1\"");
  });
  std::atomic<bool> stop{false};
  const auto stopped = Make()->Fetch(
      {server.url(), "", ""}, file_, [&](std::int64_t, std::int64_t) { stop = true; }, stop);
  EXPECT_THAT(stopped, HasCode(absl::StatusCode::kCancelled, file_.string()));
  ASSERT_OK(Fetch({server.url(), "", ""}));
  EXPECT_NE(range, "");
  EXPECT_EQ(Content(file_), content);
}

TEST_F(DownloadTest, LocalFilesAreCopiedWhenTheyChanged) {
  const std::filesystem::path from = directory_.path() / "a b";
  std::ofstream(from) << "local";
  const std::string url = "file://" + directory_.path().string() + "/a%20b";
  const auto downloaded = Fetch({url, Sha256Hex("local"), ""});
  ASSERT_OK(downloaded);
  EXPECT_EQ(Content(file_), "local");
  EXPECT_FALSE(Fetch({url, "", downloaded->etag})->changed);
  std::ofstream(from) << "another";
  EXPECT_TRUE(Fetch({url, "", downloaded->etag})->changed);
  EXPECT_THAT(Fetch({url, Sha256Hex("local"), ""}), HasCode(absl::StatusCode::kDataLoss, "sha256"));
  EXPECT_EQ(Content(file_), "another") << "the former file must stay";
  EXPECT_THAT(Fetch({"file:///dev/zero", "", ""}), HasCode(absl::StatusCode::kInvalidArgument, "regular"));
  EXPECT_THAT(Fetch({"file:///absent", "", ""}), HasCode(absl::StatusCode::kNotFound, "/absent"));
}

TEST_F(DownloadTest, AFolderThatIsNotThereIsNamed) {
  HttpServer server([&](const Asked& asked) { return Serve(asked, "x", "\"v1\""); });
  EXPECT_THAT(Make()->Fetch({server.url(), "", ""}, "/absent/folder/file", nullptr, kGoOn),
              HasCode(absl::StatusCode::kNotFound, "/absent/folder/file.part"));
}

// OMICS_VECTOR_TEST_FAULTS says how many faults to inject.
TEST(DownloadCampaign, FaultsBetweenMotoAndTheDownloaderNeverGiveAWrongFile) {
  const char* const wanted = std::getenv("OMICS_VECTOR_TEST_FAULTS");
  const int faults = wanted == nullptr ? 40 : std::atoi(wanted);
  const char* const chosen = std::getenv("OMICS_VECTOR_TEST_SEED");
  const std::uint64_t seed = chosen == nullptr ? std::random_device{}() : std::strtoull(chosen, nullptr, 10);
  std::cout << "seed " << seed << "\n";
  Moto moto;
  moto.CreateBucket("bucket");
  const auto direct = S3::Make({.endpoint = moto.url()}, testing::TestCredentials()).value();
  FaultProxy proxy("127.0.0.1", moto.port(), seed,
                   {Fault::kRefuse, Fault::kCut, Fault::kDelay, Fault::kCorrupt, Fault::kSlowDown, Fault::kLoseAnswer,
                    Fault::kServerError, Fault::kGarbage},
                   60);
  ManualWaiter waiter;
  const TempDir directory;
  const std::filesystem::path file = directory.path() / "file";
  DownloadParts parts;
  parts.credentials = testing::TestCredentials();
  parts.waiter = &waiter;
  const auto downloader = Downloader::Make({.s3_endpoint = proxy.url()}, parts).value();
  std::mt19937_64 random(seed);
  std::map<absl::StatusCode, int> outcomes;
  for (int i = 0; proxy.injected_faults() < faults; ++i) {
    const std::string content = RandomBytes(1 + random() % 400'000, random());
    ASSERT_OK(direct->Put("bucket", "key", content, {}, nullptr));
    std::filesystem::remove(file);
    const auto downloaded = downloader->Fetch({"s3://bucket/key", Sha256Hex(content), ""}, file, nullptr, kGoOn);
    ++outcomes[downloaded.status().code()];
    EXPECT_EQ(std::filesystem::exists(file), downloaded.ok());
    if (downloaded.ok()) {
      ASSERT_EQ(Sha256Hex(Content(file)), Sha256Hex(content)) << "download " << i;
      continue;
    }
    const std::string message = downloaded.status().ToString();
    EXPECT_THAT(message, ::testing::HasSubstr("s3://bucket/key"));
    EXPECT_THAT(message, ::testing::HasSubstr(file.string()));
    const auto code = downloaded.status().code();
    EXPECT_TRUE(code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kUnavailable) << message;
  }
  for (const auto& [code, count] : outcomes) std::cout << absl::StatusCodeToString(code) << " " << count << "\n";
  EXPECT_GT(outcomes[absl::StatusCode::kOk], 0);
}

}  // namespace
}  // namespace omics::cloud
