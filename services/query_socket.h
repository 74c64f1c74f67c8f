// Queries of a gateway on the same machine, on a socket of their own (base/query_socket.h): for one of the size that an
// application asks, gRPC takes longer than the search. Guard and handler are those of the RPC.
//
// One thread for each connection: it waits for a request, answers it, and nobody has to be woken for it.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "base/file_descriptor.h"
#include "services/guard.h"
#include "services/vector_handlers.h"

namespace omics::services {

// A gateway has as many connections as queries under way. Beyond, connections are closed at once, and it asks over
// gRPC.
inline constexpr int kQueryConnectionsMax = 128;

// Thread safety: the members are called by one thread.
class QuerySocket {
 public:
  // Listens beside gRPC's socket at `grpc_socket`, and answers from now on. `guard` and `handlers` are borrowed and
  // must outlive this object. Errors as of ListenOnUnixSocket().
  static absl::StatusOr<std::unique_ptr<QuerySocket>> Listen(const std::string& grpc_socket, Guard& guard,
                                                             const VectorHandlers& handlers);

  // Takes no more requests, and waits for those that are being answered: they are told that their client has gone.
  ~QuerySocket();

 private:
  class Connection;

  QuerySocket(std::string path, FileDescriptor socket, Guard& guard, const VectorHandlers& handlers);
  void Accept();
  void Admit(FileDescriptor accepted);

  const std::string path_;
  const FileDescriptor socket_;
  Guard& guard_;
  const VectorHandlers& handlers_;
  std::list<Connection> connections_;  // used by the accepting thread, and by the destructor when that has ended
  std::thread acceptor_;               // last: starts when everything else is there
};

}  // namespace omics::services
