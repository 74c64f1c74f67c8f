// One file from somewhere else onto our disk: s3://, https://, http:// on loopback, file://.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cloud/credentials.h"
#include "cloud/http.h"
#include "cloud/retry.h"

namespace omics::cloud {

struct DownloadOptions {
  std::int64_t bytes_max = std::int64_t{8} << 30;  // a larger source is refused
  // "host" (any port) or "host:port" that may be asked, also after redirects. The host that an s3:// bucket resolves to
  // is always allowed. Empty: only the host and port of the url itself.
  std::vector<std::string> hosts;
  std::string s3_endpoint;  // "https://host[:port]"; "" is AWS
  std::string region = "us-east-1";
  bool unsigned_s3 = false;  // a public bucket: no credentials are looked for
};

struct Source {
  std::string url;     // s3://bucket/key, https://…, http://… on loopback only, file:///path
  std::string sha256;  // hex of what must come; "" when it is not known
  std::string etag;    // of what is held already; "" when nothing is held
};

struct Downloaded {
  bool changed = false;    // false: the source is still the one of Source::etag, and nothing was written
  std::string etag;        // "" if the source has none; of a file its size and time of change
  std::string sha256;      // hex, of the bytes that came
  std::int64_t bytes = 0;  // of the whole file
};

// Bytes so far and in all (-1: not known), at most four times a second and once at the end.
using DownloadProgress = std::function<void(std::int64_t bytes, std::int64_t total)>;

// How it is done; the defaults are for production.
struct DownloadParts {
  std::shared_ptr<CredentialChain> credentials;  // null: one of its own
  RetryOptions retry = {};                       // between two failures without progress
  HttpTimeouts timeouts = {};
  Waiter* waiter = nullptr;  // null: MachineWaiter()
};

// Thread safety: all members may be called from any thread; two calls must not name the same file at once.
class Downloader {
 public:
  // INVALID_ARGUMENT for an endpoint or host that cannot be understood.
  static absl::StatusOr<std::unique_ptr<Downloader>> Make(DownloadOptions options, DownloadParts parts = {});
  ~Downloader();

  // Fetches into `file`: written as "<file>.part", synced, renamed at the end. A broken connection is resumed where it
  // ended, as long as the ETag stays the same; so is a .part that an earlier try left, as far as "<file>.part.state"
  // vouches for its bytes (ETag, size, digest; written when a try ends and every 64 MiB). Transient failures are tried
  // again with back-off.
  //
  // Errors name url, file and cause; a url's query string and user part never show. INVALID_ARGUMENT: the url;
  // PERMISSION_DENIED: a host that is not allowed, or access refused; NOT_FOUND; OUT_OF_RANGE: larger than bytes_max;
  // DATA_LOSS: other bytes than `sha256` says (the .part is removed); RESOURCE_EXHAUSTED with the reason DISK_FULL;
  // UNAVAILABLE: gave up trying; CANCELLED: `stop` became true (the .part stays for the next try).
  absl::StatusOr<Downloaded> Fetch(const Source& source, const std::filesystem::path& file,
                                   const DownloadProgress& progress, const std::atomic<bool>& stop);

 private:
  struct Impl;
  explicit Downloader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace omics::cloud
