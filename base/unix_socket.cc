#include "base/unix_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>

namespace omics {
namespace {

int WithAddress(int (*call)(int, const sockaddr*, socklen_t), int socket, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  path.copy(address.sun_path, path.size());
  return call(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

}  // namespace

int BindUnixSocket(int socket, const std::string& path) { return WithAddress(::bind, socket, path); }

int ConnectUnixSocket(int socket, const std::string& path) { return WithAddress(::connect, socket, path); }

}  // namespace omics
