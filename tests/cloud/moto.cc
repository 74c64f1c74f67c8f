#include "tests/cloud/moto.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/text.h"
#include "cloud/http.h"
#include "cloud/sigv4.h"

namespace omics::cloud::testing {
namespace {

constexpr char kPython[] = OMICS_VECTOR_SOURCE_DIR "/.cache/clients/moto/bin/python";
constexpr char kScript[] = OMICS_VECTOR_SOURCE_DIR "/tests/cloud/moto_server.py";

int ReadPort(int fd) {
  std::string line;
  char c = 0;
  while (read(fd, &c, 1) == 1 && c != '\n') line.push_back(c);
  return std::atoi(line.c_str());
}

}  // namespace

Moto::Moto() {
  if (access(kPython, X_OK) != 0) throw std::runtime_error("there is no moto: run tests/compat/environments.py moto");
  int to[2];
  int from[2];
  if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) std::abort();
  pid_ = fork();
  if (pid_ == 0) {
    dup2(to[0], 0);
    dup2(from[1], 1);
    dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
    execl(kPython, kPython, kScript, nullptr);
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  input_ = to[1];
  port_ = ReadPort(from[0]);
  close(from[0]);
  if (port_ == 0) throw std::runtime_error("moto did not start");
}

Moto::~Moto() {
  close(input_);
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

std::string Moto::url() const { return absl::StrCat("http://127.0.0.1:", port_); }

std::shared_ptr<CredentialChain> TestCredentials() {
  CredentialsOptions options;
  options.environment = [](const char* name) {
    const std::string variable = name;
    return variable == "AWS_ACCESS_KEY_ID"       ? "AKIDEXAMPLE"
           : variable == "AWS_SECRET_ACCESS_KEY" ? "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
                                                 : "";
  };
  return std::make_shared<CredentialChain>(std::move(options));
}

void Moto::CreateBucket(const std::string& name) const {
  HttpRequest request;
  request.method = "PUT";
  request.url = absl::StrCat(url(), "/", name);
  const auto keys = TestCredentials()->Get();
  ASSERT_TRUE(Sign(request, **keys, {"us-east-1", "s3"}, Sha256Hex(""), std::chrono::system_clock::now()).ok());
  const auto response = SendHttp(request);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->status, 200) << response->body;
}

void Moto::Send(const std::string& target, const std::string& body) const {
  HttpRequest request;
  request.method = "POST";
  request.url = absl::StrCat(url(), "/");
  request.headers = {{"Content-Type", "application/x-amz-json-1.1"}, {"X-Amz-Target", target}};
  request.body = body;
  const auto keys = TestCredentials()->Get();
  ASSERT_TRUE(
      Sign(request, **keys, {"us-east-1", "secretsmanager"}, Sha256Hex(body), std::chrono::system_clock::now()).ok());
  const auto response = SendHttp(request);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->status, 200) << response->body;
}

void Moto::CreateSecret(const std::string& name, const std::string& text) const {
  Send("secretsmanager.CreateSecret",
       absl::StrCat(R"({"Name":")", name, R"(","SecretString":")", JsonLine(text), R"(","ClientRequestToken":")",
                    Sha256Hex(text).substr(0, 36), R"("})"));
}

void Moto::PutSecret(const std::string& name, const std::string& text) const {
  static std::mt19937_64 random(std::random_device{}());
  Send("secretsmanager.PutSecretValue",
       absl::StrCat(R"({"SecretId":")", name, R"(","SecretString":")", JsonLine(text), R"(","ClientRequestToken":")",
                    Sha256Hex(absl::StrCat(text, random())).substr(0, 36), R"("})"));
}

}  // namespace omics::cloud::testing
