// Queries to a service on the same machine, past gRPC (base/query_socket.h).
//
// Connections are kept and used in turns; a query takes the one that was used last, or makes another.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file_descriptor.h"
#include "base/mutex.h"
#include "gateway/vector_client.h"

namespace omics::gateway {

// Connections kept beside those in use.
inline constexpr std::size_t kIdleQueryConnectionsMax = 64;

// Thread safety: all members may be called from any thread.
class QuerySocketClient {
 public:
  // `path` is that of the query socket. Connects when first used.
  explicit QuerySocketClient(std::string path);

  // The reply, or the service's own error with its reason; DEADLINE_EXCEEDED. Nothing if the service is not to be had
  // this way, or no longer: a query changes nothing, so it may be asked again over gRPC, which then knows what is
  // wrong. To be awaited by a coroutine that no two threads run at a time. `request` must live until then.
  boost::asio::awaitable<std::optional<absl::StatusOr<pb::QueryResponse>>> Query(const CallContext& context,
                                                                                 const pb::QueryRequest& request);

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  // -1 if the service is not there.
  FileDescriptor Take();
  FileDescriptor Connect();
  void GiveBack(FileDescriptor socket);

  const std::string path_;
  std::atomic<TimePoint::rep> absent_until_ = 0;
  Mutex mutex_;
  std::vector<FileDescriptor> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace omics::gateway
