// What gRPC does not say when it cannot listen.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "base/file_descriptor.h"

namespace omics::services {

// UNAVAILABLE with one sentence naming --grpc-address if nothing can be bound there now.
absl::Status CheckCanListen(const HostPort& address);

// Removes the socket that a dead process left at `path`. FAILED_PRECONDITION if something else is there, or if a
// process still listens on it.
absl::Status RemoveStaleSocket(const std::string& path);

// A socket at `path` that owner and group may connect to. Errors as of RemoveStaleSocket(), and those of the
// system. The path must not be longer than an address holds.
absl::StatusOr<FileDescriptor> ListenOnUnixSocket(const std::string& path);

// Owner and group may connect, nobody else.
absl::Status RestrictSocket(const std::string& path);

}  // namespace omics::services
