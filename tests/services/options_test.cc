#include "services/options.h"

#include <gtest/gtest.h>

#include <string>

#include "base/status.h"
#include "services/security.h"

namespace omics::services {
namespace {

std::string Refusal(const Options& options) { return std::string(ToStd(CheckOptions(options).message())); }

TEST(OptionsTest, TheDefaultsAreAccepted) { EXPECT_EQ(CheckOptions(Options()), absl::OkStatus()); }

TEST(OptionsTest, AnAddressThatOthersReachNeedsProtection) {
  for (const char* address : {"0.0.0.0:50051", "[::]:50051", "192.0.2.1:50051", "vector.example:50051"}) {
    Options options;
    options.grpc_address = address;
    EXPECT_NE(Refusal(options).find("--grpc-behind-proxy"), std::string::npos) << address;
    options.grpc_behind_proxy = true;
    EXPECT_EQ(Refusal(options), "") << address;
    options.grpc_behind_proxy = false;
    options.tls_certificate = "c.pem";
    options.tls_key = "k.pem";
    EXPECT_EQ(Refusal(options), "") << address;
  }
}

TEST(OptionsTest, LoopbackNeedsNone) {
  for (const char* address : {"127.0.0.1:0", "localhost:50051", "[::1]:50051", "127.1.2.3:1"}) {
    Options options;
    options.grpc_address = address;
    EXPECT_EQ(Refusal(options), "") << address;
  }
}

TEST(OptionsTest, HalfATlsPairIsRefused) {
  Options options;
  options.tls_key = "k.pem";
  EXPECT_NE(Refusal(options).find("--tls-certificate"), std::string::npos);
}

TEST(OptionsTest, SomethingMustListen) {
  Options options;
  options.grpc_address = "";
  EXPECT_NE(Refusal(options).find("--grpc-unix-socket"), std::string::npos);
  options.grpc_unix_socket = "/run/s";
  EXPECT_EQ(Refusal(options), "");
}

TEST(OptionsTest, ASocketPathMustFitIntoItsAddress) {
  Options options;
  options.grpc_unix_socket = "/" + std::string(99, 'x');
  EXPECT_EQ(Refusal(options), "");
  options.grpc_unix_socket = "/" + std::string(100, 'x');
  EXPECT_NE(Refusal(options).find("100"), std::string::npos);
}

TEST(OptionsTest, FlagsAndEnvironmentReachTheOptions) {
  Options options;
  Config config("vector-service", "");
  AddOptions(config, options);
  setenv("OMICS_VECTOR_DRAIN_SECONDS", "3", 1);
  setenv("PERSIST_DIRECTORY", "/from/chroma", 1);
  const char* arguments[] = {"vector-service", "--grpc-address=", "--grpc-unix-socket=/run/s", "--reflection=off",
                             "--prewarm-collections=a,b"};
  EXPECT_EQ(config.Parse(5, arguments), std::nullopt);
  unsetenv("OMICS_VECTOR_DRAIN_SECONDS");
  unsetenv("PERSIST_DIRECTORY");
  EXPECT_EQ(options.grpc_address, "");
  EXPECT_EQ(options.grpc_unix_socket, "/run/s");
  EXPECT_FALSE(options.reflection);
  EXPECT_EQ(options.prewarm_collections, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options.drain_seconds, 3);
  EXPECT_EQ(options.data_dir, "/from/chroma");
}

TEST(OptionsTest, WhatAwsCallsItsSettingsCountsAfterOurNames) {
  Options options;
  Config config("vector-service", "");
  AddOptions(config, options);
  setenv("OMICS_VECTOR_PREWARM", R"([{"collection": "cells", "url": "file:///a"}])", 1);
  setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1", 1);
  setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:2", 1);
  setenv("AWS_REGION", "eu-west-1", 1);
  setenv("OMICS_VECTOR_AWS_REGION", "eu-north-1", 1);
  const char* arguments[] = {"vector-service", "--prewarm-hosts=a,b:8443", "--prewarm-poll-seconds=60",
                             "--s3-unsigned"};
  EXPECT_EQ(config.Parse(4, arguments), std::nullopt);
  for (const char* name :
       {"OMICS_VECTOR_PREWARM", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "OMICS_VECTOR_AWS_REGION"}) {
    unsetenv(name);
  }
  EXPECT_NE(options.prewarm, "");
  EXPECT_EQ(options.s3_endpoint, "http://127.0.0.1:1");
  EXPECT_EQ(options.aws_region, "eu-north-1");
  EXPECT_EQ(options.prewarm_hosts, (std::vector<std::string>{"a", "b:8443"}));
  EXPECT_EQ(options.prewarm_poll_seconds, 60);
  EXPECT_TRUE(options.s3_unsigned);
}

TEST(OptionsTest, TheSecretsOptionsReachTheOptionsAndAreEnoughToStart) {
  Options options;
  Config config("vector-service", "");
  AddOptions(config, options);
  setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:5000", 1);
  const char* arguments[] = {"vector-service", "--tokens-secret=omics/tokens", "--tokens-poll-seconds=7",
                             "--token-overlap-hours=0"};
  EXPECT_EQ(config.Parse(4, arguments), std::nullopt);
  unsetenv("AWS_ENDPOINT_URL_SECRETS_MANAGER");
  EXPECT_EQ(options.token_secret.secret, "omics/tokens");
  EXPECT_EQ(options.token_secret.poll_seconds, 7);
  EXPECT_EQ(options.token_secret.overlap_hours, 0);
  EXPECT_EQ(options.token_secret.endpoint, "http://127.0.0.1:5000");
  const auto security = LoadSecurity(options);
  ASSERT_TRUE(security.ok()) << security.status();
  EXPECT_EQ(security->tokens.size(), 0u) << "nobody is let in before the secret is read";
  EXPECT_FALSE(LoadSecurity(Options()).ok());
}

}  // namespace
}  // namespace omics::services
