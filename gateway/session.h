// One connection: read a head, check it strictly, authenticate, read the body, answer, again. The only file beside
// server.* that includes Beast.
//
// Every wait has a deadline (session_options.h): a head or a body that comes too slowly is answered with 408,
// everything else that is late ends the connection. After any framing error, and after any refusal of a request whose
// body was not read, the connection is closed: what follows on it could be anything.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cstdint>
#include <memory>

#include "gateway/memory_share.h"
#include "gateway/router.h"
#include "gateway/session_options.h"

namespace omics::gateway {

// Framing of a chunked body (sizes, extensions, trailers) beyond the body itself.
inline constexpr std::uint64_t kFramingBytesMax = 64 << 10;
// Read buffer of a connection; also the longest chunk header or set of trailers.
inline constexpr std::size_t kReadBufferBytes = 64 << 10;

// What all connections share. Must outlive them.
struct SessionShared {
  Router& router;
  SessionOptions options;
  // Where requests run that may keep a thread for long, so that other connections of the same thread need not wait.
  boost::asio::any_io_executor long_requests;
  MemoryPool memory{options.in_flight_bytes_max};
};

// Thread safety: Drain() and Cancel() may be called from any thread.
class Session {
 public:
  virtual ~Session() = default;
  // Serves the connection to its end; never throws.
  virtual boost::asio::awaitable<void> Run() = 0;
  // Ends after the request in progress, at once if there is none.
  virtual void Drain() = 0;
  // Ends now.
  virtual void Cancel() = 0;
};

// `tls` is null for plain TCP.
std::shared_ptr<Session> MakeSession(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context* tls,
                                     SessionShared& shared);

}  // namespace omics::gateway
