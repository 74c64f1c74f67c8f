// Unix sockets by their path (unix(7)).
#pragma once

#include <string>

namespace omics {

// bind(2) and connect(2): 0, or -1 and errno, ENAMETOOLONG where an address does not hold the whole path.
int BindUnixSocket(int socket, const std::string& path);
int ConnectUnixSocket(int socket, const std::string& path);

}  // namespace omics
