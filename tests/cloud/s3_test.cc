#include "cloud/s3.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <random>

#include "absl/strings/str_cat.h"
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

// One moto for all: each TEST is a process of its own under ctest.
TEST(S3Test, AgainstMotoObjectsAreWrittenReadListedAndRemoved) {
  Moto moto;
  moto.CreateBucket("bucket");
  const auto s3 = S3::Make({.endpoint = moto.url()}, testing::TestCredentials()).value();
  for (const std::string key : {"plain", "with space & <\"'>+%25", "d/\xc3\xa4/\xe1\x88\xb4", "a/../b", "a//b"}) {
    const auto etag = s3->Put("bucket", key, "content of " + key, {}, nullptr);
    ASSERT_OK(etag);
    const auto got = s3->Get("bucket", key, {}, nullptr);
    ASSERT_OK(got);
    EXPECT_EQ(got->bytes, "content of " + key);
    EXPECT_EQ(got->etag, *etag);
    const auto head = s3->Head("bucket", key, nullptr);
    ASSERT_OK(head);
    EXPECT_EQ(head->bytes, static_cast<std::int64_t>(got->bytes.size()));
    EXPECT_EQ(head->etag, *etag);
    const auto listed = s3->List("bucket", key, 10, nullptr);
    ASSERT_OK(listed);
    ASSERT_EQ(listed->size(), 1u) << key;
    EXPECT_EQ(listed->front().key, key);
    EXPECT_EQ(listed->front().etag, *etag);
    ASSERT_OK(s3->Delete("bucket", key, nullptr));
    EXPECT_THAT(s3->Get("bucket", key, {}, nullptr), HasCode(absl::StatusCode::kNotFound, "NoSuchKey"));
    EXPECT_OK(s3->Delete("bucket", key, nullptr));
  }
  const auto absent = s3->Get("no-such-bucket", "k", {}, nullptr);
  EXPECT_THAT(absent, HasCode(absl::StatusCode::kNotFound, "s3://no-such-bucket/k at " + moto.url()));
  EXPECT_THAT(absent, HasCode(absl::StatusCode::kNotFound, "NoSuchBucket"));
}

TEST(S3Test, AgainstMotoRangesConditionsFilesAndPagesWork) {
  Moto moto;
  moto.CreateBucket("bucket");
  const auto s3 = S3::Make({.endpoint = moto.url()}, testing::TestCredentials()).value();
  const std::string one = s3->Put("bucket", "k", "0123456789", {.if_absent = true}, nullptr).value();
  EXPECT_THAT(s3->Put("bucket", "k", "other", {.if_absent = true}, nullptr),
              HasCode(absl::StatusCode::kFailedPrecondition, "PreconditionFailed"));
  EXPECT_THAT(s3->Put("bucket", "k", "other", {.if_match = "\"0123\""}, nullptr),
              HasCode(absl::StatusCode::kFailedPrecondition, "412"));
  const auto part = s3->Get("bucket", "k", {.first = 3, .count = 4, .if_match = one}, nullptr);
  ASSERT_OK(part);
  EXPECT_EQ(part->bytes, "3456");
  EXPECT_EQ(part->total, 10);
  EXPECT_THAT(s3->Get("bucket", "k", {.first = 20}, nullptr), HasCode(absl::StatusCode::kOutOfRange, "416"));
  EXPECT_THAT(s3->Get("bucket", "k", {.if_match = "\"0123\""}, nullptr),
              HasCode(absl::StatusCode::kFailedPrecondition, "412"));
  EXPECT_THAT(s3->Get("bucket", "k", {.bytes_max = 9}, nullptr), HasCode(absl::StatusCode::kOutOfRange, "9 bytes"));
  const TempDir directory;
  const std::string large(3'000'000, 'z');
  std::ofstream(directory.path() / "f") << large;
  ASSERT_OK(s3->PutFile("bucket", "k", directory.path() / "f", nullptr));
  EXPECT_EQ(s3->Get("bucket", "k", {}, nullptr)->bytes, large);
  EXPECT_THAT(s3->PutFile("bucket", "k", directory.path() / "absent", nullptr),
              HasCode(absl::StatusCode::kNotFound, "absent"));
  for (int i = 0; i < 1'003; ++i) ASSERT_OK(s3->Put("bucket", absl::StrCat("p/", 1000 + i), "", {}, nullptr));
  EXPECT_EQ(s3->List("bucket", "p/", 2'000, nullptr)->size(), 1'003u);
  EXPECT_EQ(s3->List("bucket", "p/", 2'000, nullptr)->back().key, "p/2002");
  EXPECT_THAT(s3->List("bucket", "p/", 1'002, nullptr), HasCode(absl::StatusCode::kOutOfRange, "more than 1002"));
}

TEST(S3Test, AgainstMotoAConditionalWriteWhoseAnswerWasLostCountsOnce) {
  Moto moto;
  moto.CreateBucket("bucket");
  FaultProxy proxy("127.0.0.1", moto.port(), 1, {Fault::kLoseAnswer}, 100);
  // The first connection loses its answer; waiting for the second try mends the line.
  class Mending final : public Waiter {
   public:
    explicit Mending(FaultProxy& proxy) : proxy_(proxy) {}
    std::chrono::steady_clock::time_point Now() const override { return {}; }
    bool Wait(std::chrono::milliseconds, const std::atomic<bool>*) override { return proxy_.SetPercent(0), true; }

   private:
    FaultProxy& proxy_;
  };
  Mending waiter(proxy);
  const auto s3 = S3::Make({.endpoint = proxy.url(), .waiter = &waiter}, testing::TestCredentials()).value();
  const auto written = s3->Put("bucket", "lease", "mine", {.if_absent = true}, nullptr);
  ASSERT_OK(written);
  EXPECT_EQ(s3->Head("bucket", "lease", nullptr)->etag, *written);
  EXPECT_THAT(s3->Put("bucket", "lease", "mine", {.if_absent = true}, nullptr),
              HasCode(absl::StatusCode::kFailedPrecondition, "412"));
}

// Random bytes, so that parts in a wrong order show.
std::string RandomBytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (std::size_t at = 0; at + sizeof(std::uint64_t) <= size; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + at, &word, sizeof(word));
  }
  return bytes;
}

TEST(S3Test, AgainstMotoALargeFileGoesUpInPartsThroughFaults) {
  Moto moto;
  moto.CreateBucket("bucket");
  const TempDir directory;
  const std::string content = RandomBytes(2 * kPutPartBytes + 12'345, 1);
  std::ofstream(directory.path() / "f", std::ios::binary) << content;
  ManualWaiter waiter;
  int uploads = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    FaultProxy proxy("127.0.0.1", moto.port(), seed,
                     {Fault::kCut, Fault::kLoseAnswer, Fault::kSlowDown, Fault::kRefuse, Fault::kGarbage}, 30);
    const auto s3 = S3::Make({.endpoint = proxy.url(), .waiter = &waiter}, testing::TestCredentials()).value();
    const std::string key = absl::StrCat("large/", seed);
    const auto etag = s3->PutFile("bucket", key, directory.path() / "f", nullptr);
    proxy.SetPercent(0);
    const auto there = s3->Get("bucket", key, {}, nullptr);
    if (!etag.ok()) {
      EXPECT_TRUE(IsRetryable(etag.status())) << etag.status();
      EXPECT_TRUE(!there.ok() || there->bytes == content) << "half an object";
      continue;
    }
    ++uploads;
    ASSERT_OK(there);
    EXPECT_TRUE(there->bytes == content) << "seed " << seed;
    EXPECT_EQ(there->etag, *etag);
  }
  EXPECT_GE(uploads, 3);
}

TEST(S3Test, AnUploadThatFailsGivesItsPartsUp) {
  std::vector<std::string> asked_for;
  HttpServer server([&](const Asked& asked) {
    asked_for.push_back(absl::StrCat(asked.method, " ", asked.target));
    if (asked.method == "POST") return Reply{200, {}, "<R><UploadId>an/id</UploadId></R>"};
    if (asked.method == "PUT") return Reply{403, {}, "<Error><Code>AccessDenied</Code></Error>"};
    return Reply{204, {}, ""};
  });
  const TempDir directory;
  std::ofstream(directory.path() / "f") << std::string(kPutPartBytes + 1, 'x');
  const auto s3 = S3::Make({.endpoint = server.url()}, testing::TestCredentials()).value();
  EXPECT_THAT(s3->PutFile("bucket", "k", directory.path() / "f", nullptr),
              HasCode(absl::StatusCode::kPermissionDenied, "AccessDenied"));
  EXPECT_EQ(asked_for,
            (std::vector<std::string>{"POST /bucket/k?uploads=", "PUT /bucket/k?partNumber=1&uploadId=an%2Fid",
                                      "DELETE /bucket/k?uploadId=an%2Fid"}));
}

TEST(S3Test, SlowDownIsTriedAgainAndOtherRefusalsAreNot) {
  int slow = 3;
  HttpServer server([&](const Asked& asked) {
    if (asked.target.find("denied") != std::string::npos) {
      return Reply{403, {}, "<Error><Code>AccessDenied</Code><Message>no\nway</Message></Error>"};
    }
    if (asked.target.find("elsewhere") != std::string::npos) {
      return Reply{301, {"x-amz-bucket-region: eu-west-1"}, "<Error><Code>PermanentRedirect</Code></Error>"};
    }
    if (slow-- > 0) return Reply{503, {"Retry-After: 2"}, "<Error><Code>SlowDown</Code></Error>"};
    return Reply{200, {"ETag: \"e\""}, asked.Header("authorization")};
  });
  ManualWaiter waiter;
  const auto s3 = S3::Make({.endpoint = server.url(), .waiter = &waiter}, testing::TestCredentials()).value();
  const auto got = s3->Get("bucket", "k", {}, nullptr);
  ASSERT_OK(got);
  EXPECT_THAT(got->bytes, ::testing::StartsWith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
  EXPECT_EQ(waiter.waits(), std::vector<std::chrono::milliseconds>(3, std::chrono::milliseconds(2'000)));
  EXPECT_THAT(s3->Get("bucket", "denied", {}, nullptr),
              HasCode(absl::StatusCode::kPermissionDenied, "403 AccessDenied: no\\nway"));
  EXPECT_THAT(s3->Get("bucket", "elsewhere", {}, nullptr), HasCode(absl::StatusCode::kFailedPrecondition, "eu-west-1"));
  const auto open = S3::Make({.endpoint = server.url(), .unsigned_requests = true}, nullptr).value();
  EXPECT_EQ(open->Get("bucket", "k", {}, nullptr)->bytes, "") << "an unsigned request carried an Authorization";
}

TEST(S3Test, NamesThatAreNoneAreRefusedBeforeAnythingIsSent) {
  HttpServer server([](const Asked&) { return Reply{}; });
  const auto s3 = S3::Make({.endpoint = server.url()}, testing::TestCredentials()).value();
  for (const std::string bucket : {"", "ab", "a/b/c", "a..b", "-abc", "evil.com/?", "a@b"}) {
    EXPECT_THAT(s3->Get(bucket, "k", {}, nullptr), HasCode(absl::StatusCode::kInvalidArgument, "bucket")) << bucket;
  }
  EXPECT_THAT(s3->Get("bucket", std::string(1'025, 'k'), {}, nullptr),
              HasCode(absl::StatusCode::kInvalidArgument, "1,024"));
  EXPECT_EQ(server.asked(), 0);
  EXPECT_THAT(S3::Make({.endpoint = "nonsense"}, nullptr), HasCode(absl::StatusCode::kInvalidArgument, "endpoint"));
}

}  // namespace
}  // namespace omics::cloud
