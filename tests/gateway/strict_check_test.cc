#include "gateway/strict_check.h"

#include <gtest/gtest.h>

#include <string>

namespace omics::gateway {
namespace {

std::string Head(const std::string& fields, const std::string& line = "POST /x HTTP/1.1") {
  return line + "\r\nHost: a\r\n" + fields + "\r\n";
}

TEST(StrictCheckTest, AcceptsWhatChromaClientsSend) {
  const HeadCheck check = CheckHead(Head("User-Agent: python-httpx/0.27\r\nAccept: */*\r\nContent-Length: 12\r\n"));
  EXPECT_EQ(check.status, 0) << check.reason;
  EXPECT_TRUE(check.has_content_length);
  EXPECT_EQ(check.content_length, 12u);
  EXPECT_FALSE(check.chunked);
  EXPECT_TRUE(CheckHead(Head("Transfer-Encoding: Chunked\r\n")).chunked);
  EXPECT_TRUE(CheckHead(Head("Expect: 100-continue\r\n")).expect_continue);
  EXPECT_EQ(CheckHead("GET / HTTP/1.0\r\n\r\n").status, 0);
}

TEST(StrictCheckTest, RefusesEachAmbiguityWithItsStatus) {
  const struct {
    std::string head;
    int status;
  } kCases[] = {
      {Head("Host: b\r\n"), 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {Head("Transfer-Encoding: gzip\r\n"), 501},
      {Head("Transfer-Encoding: chunked, gzip\r\n"), 501},
      {Head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 501},
      {Head("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), 400},
      {Head("Transfer-Encoding: chunked\r\n", "POST /x HTTP/1.0"), 400},
      {Head("Content-Length: 1\r\nContent-Length: 1\r\n"), 400},
      {Head("Content-Length: 1, 1\r\n"), 400},
      {Head("Content-Length: +1\r\n"), 400},
      {Head("Content-Length: -1\r\n"), 400},
      {Head("Content-Length: \r\n"), 400},
      {Head("Content-Length: 18446744073709551616\r\n"), 400},
      {Head("X: a\r\n b\r\n"), 400},
      {Head("X : a\r\n"), 400},
      {Head("X: a\nb\r\n"), 400},
      {Head("X: a\rb\r\n"), 400},
      {Head(std::string("X: a\0b\r\n", 8)), 400},
      {Head("no colon\r\n"), 400},
      {Head(": empty name\r\n"), 400},
      {Head("Expect: something\r\n"), 417},
      {Head("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), 400},
      {Head("x-chroma-token: a\r\nX-Chroma-Token: b\r\n"), 400},
      {Head("", "GET /a b HTTP/1.1"), 400},
      {Head("", "GET http://a/ HTTP/1.1"), 400},
      {Head("", "GET /\xc3\xa9 HTTP/1.1"), 400},
      {Head("", "GE T / HTTP/1.1"), 400},
      {Head("", "GET / HTTP/2.0"), 505},
      {Head("", "GET /"), 400},
      {Head("X: " + std::string(kHeaderBytesMax, 'a') + "\r\n"), 431},
  };
  for (const auto& c : kCases) EXPECT_EQ(CheckHead(c.head).status, c.status) << c.head.substr(0, 200);
}

TEST(StrictCheckTest, ExactlyAHundredFieldsAreAccepted) {
  std::string fields;
  for (std::size_t i = 1; i < kHeaderFieldsMax; ++i) fields += "a:\r\n";  // and Host
  EXPECT_EQ(CheckHead(Head(fields)).status, 0);
  EXPECT_EQ(CheckHead(Head(fields + "a:\r\n")).status, 431);
}

TEST(StrictCheckTest, FieldsAreFoundWithoutRegardToCase) {
  const std::string head = Head("X-CHROMA-token:  secret \r\nConnection: Keep-Alive, Close\r\n", "GET /a?b=c HTTP/1.1");
  EXPECT_EQ(FieldValue(head, "x-chroma-token"), "secret");
  EXPECT_EQ(FieldValue(head, "authorization"), "");
  EXPECT_EQ(HeadMethod(head), "GET");
  EXPECT_EQ(HeadTarget(head), "/a?b=c");
  EXPECT_TRUE(ConnectionHas(head, "close"));
  EXPECT_FALSE(ConnectionHas(head, "upgrade"));
}

// Whatever a head is cut or changed to, the check ends, and what it accepts has one Host.
TEST(StrictCheckTest, SurvivesEverySingleByteChange) {
  const std::string good = Head("Content-Length: 5\r\nUser-Agent: x\r\n");
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = good;
      changed[i] = static_cast<char>(byte);
      const HeadCheck check = CheckHead(changed);
      if (check.status != 0) continue;
      EXPECT_TRUE(check.http_1_0 || !FieldValue(changed, "host").empty() || i >= good.find("a\r\n"))
          << i << " " << byte;
    }
    EXPECT_NE(CheckHead(good.substr(0, i)).status, 0) << i;
  }
}

}  // namespace
}  // namespace omics::gateway
