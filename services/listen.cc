#include "services/listen.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unix_socket.h"

namespace omics::services {
namespace {

FileDescriptor StreamSocket(int family) { return FileDescriptor(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

// 0, or the errno of the bind.
int TryBind(const addrinfo& address) {
  const FileDescriptor socket = StreamSocket(address.ai_family);
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(socket.get(), address.ai_addr, address.ai_addrlen) != 0) return errno;
  // Two sockets may share a bound port that nobody listens on; only listening shows the conflict.
  return listen(socket.get(), 1) == 0 ? 0 : errno;
}

bool SomebodyListens(const std::string& path) { return ConnectUnixSocket(StreamSocket(AF_UNIX).get(), path) == 0; }

}  // namespace

absl::Status CheckCanListen(const HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = absl::StrCat(address.port);
  if (const int error = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return absl::UnavailableError(
        absl::StrCat("--grpc-address: the host '", address.host, "' cannot be resolved: ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, freeaddrinfo);
  const int error = TryBind(*found);
  if (error == 0) return absl::OkStatus();
  if (error == EADDRINUSE) {
    return absl::UnavailableError(absl::StrCat(
        "port ", port, " of ", address.host, " is in use: stop what listens there, or choose another --grpc-address"));
  }
  return absl::UnavailableError(absl::StrCat("cannot listen on --grpc-address ", address.host, ":", port, ": ",
                                             std::generic_category().message(error)));
}

absl::Status RemoveStaleSocket(const std::string& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return absl::OkStatus();
  if (!S_ISSOCK(found.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat("--grpc-unix-socket ", path, " exists and is not a socket"));
  }
  if (SomebodyListens(path)) {
    return absl::FailedPreconditionError(
        absl::StrCat("another process listens on --grpc-unix-socket ", path, ": stop it, or choose another path"));
  }
  if (unlink(path.c_str()) != 0) return ErrnoStatus(errno, absl::StrCat("remove the stale socket ", path));
  return absl::OkStatus();
}

absl::StatusOr<FileDescriptor> ListenOnUnixSocket(const std::string& path) {
  OMICS_RETURN_IF_ERROR(RemoveStaleSocket(path));
  FileDescriptor socket = StreamSocket(AF_UNIX);
  if (BindUnixSocket(socket.get(), path) != 0) return ErrnoStatus(errno, absl::StrCat("bind ", path));
  // Before anyone can connect.
  OMICS_RETURN_IF_ERROR(RestrictSocket(path));
  if (listen(socket.get(), SOMAXCONN) != 0) return ErrnoStatus(errno, absl::StrCat("listen on ", path));
  return socket;
}

absl::Status RestrictSocket(const std::string& path) {
  if (chmod(path.c_str(), 0660) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("chmod ", path));
}

}  // namespace omics::services
