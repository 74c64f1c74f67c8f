#include "cloud/sigv4.h"

#include <gtest/gtest.h>

#include "absl/time/time.h"
#include "base/digest.h"
#include "tests/support/status_matchers.h"

namespace omics::cloud {
namespace {

std::chrono::system_clock::time_point At(const std::string& time) {
  absl::Time parsed;
  std::string error;
  if (!absl::ParseTime("%E4Y%m%dT%H%M%SZ", time, &parsed, &error)) std::abort();
  return absl::ToChronoTime(parsed);
}

std::string HeaderOf(const HttpRequest& request, const std::string& name) {
  for (const HttpHeader& header : request.headers) {
    if (header.name == name) return header.value;
  }
  return "";
}

struct Vector {
  const char* name;
  const char* url;
  std::vector<HttpHeader> headers;
  const char* session_token;
  const char* signed_headers;
  const char* signature;
};

// Of AWS's "aws-signing-test-suite", v4, where each case is a folder with the name below.
const Vector kSuite[] = {
    {"get-vanilla",
     "https://example.amazonaws.com/",
     {},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query-order-key-case",
     "https://example.amazonaws.com/?Param2=value2&Param1=value1",
     {},
     "",
     "host;x-amz-date",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-unreserved",
     "https://example.amazonaws.com/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
     "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     {},
     "",
     "host;x-amz-date",
     "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-utf8",
     "https://example.amazonaws.com/\xe1\x88\xb4",
     {},
     "",
     "host;x-amz-date",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-header-value-trim",
     "https://example.amazonaws.com/",
     {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
     "",
     "host;my-header1;my-header2;x-amz-date",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-header-key-duplicate",
     "https://example.amazonaws.com/",
     {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
     "",
     "host;my-header1;x-amz-date",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-vanilla-with-session-token",
     "https://example.amazonaws.com/",
     {},
     "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
     "host;x-amz-date;x-amz-security-token",
     "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
};

TEST(SigV4Test, SignsTheCasesOfAwssTestSuite) {
  for (const Vector& vector : kSuite) {
    HttpRequest request;
    request.url = vector.url;
    request.headers = vector.headers;
    const Credentials credentials{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", vector.session_token};
    ASSERT_OK(Sign(request, credentials, {"us-east-1", "service"}, Sha256Hex(""), At("20150830T123600Z")));
    EXPECT_EQ(HeaderOf(request, "Authorization"),
              std::string("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                          "SignedHeaders=") +
                  vector.signed_headers + ", Signature=" + vector.signature)
        << vector.name;
  }
}

// The examples of the S3 API reference, "Signature Calculations for the Authorization Header".
struct S3Example {
  const char* name;
  const char* method;
  const char* url;
  std::vector<HttpHeader> headers;
  const char* body;
  const char* signature;
};
const S3Example kS3[] = {
    {"GET object",
     "GET",
     "https://examplebucket.s3.amazonaws.com/test.txt",
     {{"Range", "bytes=0-9"}},
     "",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT object",
     "PUT",
     "https://examplebucket.s3.amazonaws.com/test%24file.text",
     {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
     "Welcome to Amazon S3.",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET bucket lifecycle",
     "GET",
     "https://examplebucket.s3.amazonaws.com/?lifecycle",
     {},
     "",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"GET bucket (list objects)",
     "GET",
     "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J",
     {},
     "",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

TEST(SigV4Test, SignsTheExamplesOfTheS3Reference) {
  for (const S3Example& example : kS3) {
    HttpRequest request;
    request.method = example.method;
    request.url = example.url;
    request.headers = example.headers;
    const Credentials credentials{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
    ASSERT_OK(Sign(request, credentials, {"us-east-1", "s3"}, Sha256Hex(example.body), At("20130524T000000Z")));
    const std::string authorization = HeaderOf(request, "Authorization");
    EXPECT_EQ(authorization.substr(authorization.rfind('=') + 1), example.signature) << example.name;
  }
}

TEST(SigV4Test, S3TakesThePathAsSentAndOtherServicesEncodeItOnceMore) {
  HttpRequest request;
  request.url = "https://h/a%20b";
  EXPECT_THAT(CanonicalRequest(request, {"r", "s3"}, "x").value(), testing::HasSubstr("GET\n/a%20b\n"));
  EXPECT_THAT(CanonicalRequest(request, {"r", "other"}, "x").value(), testing::HasSubstr("GET\n/a%2520b\n"));
}

}  // namespace
}  // namespace omics::cloud
