// A real moto server: S3, Secrets Manager and STS on loopback.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "cloud/credentials.h"

namespace omics::cloud::testing {

// Thread safety: none. Fails the test when the environment `moto` has not been made
// (tests/compat/environments.py moto).
class Moto {
 public:
  Moto();
  ~Moto();
  Moto(const Moto&) = delete;
  Moto& operator=(const Moto&) = delete;

  int port() const { return port_; }
  std::string url() const;
  void CreateBucket(const std::string& name) const;
  void CreateSecret(const std::string& name, const std::string& text) const;
  // Stores a new version, which becomes AWSCURRENT.
  void PutSecret(const std::string& name, const std::string& text) const;

 private:
  void Send(const std::string& target, const std::string& body) const;

  pid_t pid_ = 0;
  int input_ = -1;
  int port_ = 0;
};

// Keys that moto takes as well as any.
std::shared_ptr<CredentialChain> TestCredentials();

}  // namespace omics::cloud::testing
