#include "services/options.h"

#include <gtest/gtest.h>

#include <string>

#include "base/status.h"

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
  options.grpc_unix_socket = "/" + std::string(107, 'x');
  EXPECT_NE(Refusal(options).find("107"), std::string::npos);
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

}  // namespace
}  // namespace omics::services
