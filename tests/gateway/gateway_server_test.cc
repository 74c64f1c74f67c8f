// The server's listening: addresses, and TLS as OpenSSL's own client sees it.
#include "gateway/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "tests/gateway/testing.h"
#include "tests/support/temp_dir.h"

namespace omics::gateway::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class GatewayServerTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.path() / name; }

  // NAME.pem and NAME.key, self-signed for "localhost".
  void MakeCertificate(const std::string& name) const {
    const std::string command = absl::StrCat(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost",
        " -addext subjectAltName=DNS:localhost -keyout ", Path(name + ".key"), " -out ", Path(name + ".pem"),
        " 2>/dev/null");
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }

  ServerOptions Tls(const std::string& certificate, const std::string& key) const {
    ServerOptions options;
    options.address = "127.0.0.1:0";
    options.tls_certificate = certificate.empty() ? "" : Path(certificate);
    options.tls_key = key.empty() ? "" : Path(key);
    return options;
  }

  // All that the server answers to `request` over TLS; "" if the client does not trust it or they have no common
  // version.
  std::string AskOverTls(int port, const std::string& authority, const std::string& request,
                         const std::string& flags = "") const {
    std::ofstream(Path("request")) << request;
    const std::string command =
        absl::StrCat("openssl s_client -quiet -verify_return_error -verify_hostname localhost -CAfile ",
                     Path(authority), " -connect 127.0.0.1:", port, " ", flags, " <", Path("request"), " 2>/dev/null");
    FILE* client = popen(command.c_str(), "r");
    std::string answer;
    char buffer[4096];
    while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, client)) answer.append(buffer, got);
    pclose(client);
    return answer;
  }

  absl::Status StartError(ServerOptions options) {
    VectorClient service(kNoService);
    const LiveTokens tokens(TokenSources{}, TokenSet::AllowAll());
    Metrics metrics("test_gateway");
    Router router(service, tokens, metrics, {});
    return Server(router, std::move(options)).Start();
  }

  TempDir directory_;
};

constexpr char kAlive[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr char kLastAlive[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

TEST_F(GatewayServerTest, TlsServesThoseWhoTrustItAndNobodyInTheClear) {
  MakeCertificate("good");
  MakeCertificate("other");
  TestGateway gateway(kNoService, "", Tls("good.pem", "good.key"));
  // More than one TLS record of 16 KiB.
  const std::string large =
      absl::StrCat("POST /api/v1/collections/x/get HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n",
                   std::string(100'000, ' '));
  const std::string answer = AskOverTls(gateway.port(), "good.pem", absl::StrCat(kAlive, large, kLastAlive));
  EXPECT_EQ(CountResponses(answer), 3);
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 400"));  // spaces are not JSON
  EXPECT_EQ(AskOverTls(gateway.port(), "other.pem", kLastAlive), "");
  RawClient clear(gateway.port());
  clear.Send(kLastAlive);
  EXPECT_THAT(clear.ReadAll(), Not(HasSubstr("HTTP/1.1")));
}

TEST_F(GatewayServerTest, OnlyTls12AndNewer) {
  MakeCertificate("good");
  TestGateway gateway(kNoService, "", Tls("good.pem", "good.key"));
  const auto ask = [&](const std::string& flags) {
    return CountResponses(AskOverTls(gateway.port(), "good.pem", kLastAlive, flags));
  };
  EXPECT_EQ(ask("-tls1_3"), 1);
  EXPECT_EQ(ask("-tls1_2"), 1);
  EXPECT_EQ(ask("-tls1_1 -cipher DEFAULT@SECLEVEL=0"), 0);
}

TEST_F(GatewayServerTest, AHandshakeThatDoesNotComeEndsTheConnection) {
  MakeCertificate("good");
  ServerOptions options = Tls("good.pem", "good.key");
  options.session.head_timeout = std::chrono::milliseconds(100);
  TestGateway gateway(kNoService, "", options);
  RawClient client(gateway.port());
  EXPECT_TRUE(client.Closed());
}

TEST_F(GatewayServerTest, WhatComesTooSlowlyIs408OverTlsAsWell) {
  MakeCertificate("good");
  ServerOptions options = Tls("good.pem", "good.key");
  options.session.body_timeout = std::chrono::milliseconds(100);
  TestGateway gateway(kNoService, "", options);
  const std::string answer =
      AskOverTls(gateway.port(), "good.pem",
                 "POST /api/v1/collections/x/get HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel");
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 408"));
}

TEST_F(GatewayServerTest, CertificatesThatDoNotServeAreNamed) {
  MakeCertificate("good");
  MakeCertificate("other");
  std::ofstream(Path("text")) << "no certificate\n";
  const struct {
    const char* certificate;
    const char* key;
    const char* named;
  } kCases[] = {
      {"good.pem", "", "go together"},          {"", "good.key", "go together"},
      {"absent.pem", "good.key", "absent.pem"}, {"text", "good.key", "--tls-certificate"},
      {"good.pem", "absent.key", "absent.key"}, {"good.pem", "other.key", "--tls-key"},
  };
  for (const auto& c : kCases) {
    const absl::Status status = StartError(Tls(c.certificate, c.key));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << c.certificate << " " << c.key << " " << status;
    EXPECT_THAT(std::string(ToStd(status.message())), HasSubstr(c.named));
  }
}

TEST_F(GatewayServerTest, AddressesThatDoNotServeAreNamed) {
  TestGateway gateway;
  ServerOptions options;
  options.address = absl::StrCat("127.0.0.1:", gateway.port());
  const absl::Status taken = StartError(options);
  EXPECT_TRUE(absl::IsUnavailable(taken)) << taken;
  EXPECT_THAT(std::string(ToStd(taken.message())), HasSubstr("--rest-address"));
  for (const char* address : {"127.0.0.1", "127.0.0.1:65536", ":::", ""}) {
    options.address = address;
    EXPECT_TRUE(absl::IsInvalidArgument(StartError(options))) << address;
  }
}

}  // namespace
}  // namespace omics::gateway::testing
