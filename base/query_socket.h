// The bytes on the query socket, by which a gateway asks the service on the same machine for the one thing that comes
// most often, without gRPC. docs/adr/0009-query-socket.md says why.
//
// A stream socket beside gRPC's own, open to whoever may open that one. On a connection requests and replies take
// turns: the next request is sent when the reply has come. Headers are the structs below as they lie in memory. A side
// that sees anything else closes the connection; who then still wants an answer asks over gRPC. Should the bytes ever
// change, so does the name, and programs of two versions do not meet here.
//
//   request: QueryRequestHeader, the caller's token, omics.vector.v1.QueryRequest
//   reply:   QueryReplyHeader, omics.vector.v1.QueryResponse, or google.rpc.Status where code is not 0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace omics {

struct QueryRequestHeader {
  std::uint32_t deadline_ms = 0;  // from now; 0: none
  std::uint32_t token_bytes = 0;
  std::uint32_t message_bytes = 0;
};

struct QueryReplyHeader {
  std::uint32_t code = 0;  // google.rpc.Code
  std::uint32_t message_bytes = 0;
};

inline constexpr std::size_t kQuerySocketTokenBytesMax = std::size_t{16} << 10;
inline constexpr std::size_t kQuerySocketRequestBytesMax = std::size_t{16} << 20;
inline constexpr std::size_t kQuerySocketReplyBytesMax = std::size_t{64} << 20;

// Where the query socket of a service is that has gRPC's at `grpc_socket`.
inline std::string QuerySocketPath(std::string_view grpc_socket) { return std::string(grpc_socket) + ".query1"; }

}  // namespace omics
