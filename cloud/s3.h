// Objects in S3 and in what speaks its API.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cloud/credentials.h"
#include "cloud/http.h"
#include "cloud/retry.h"

namespace omics::cloud {

// Of a file that is put; it is in memory meanwhile. S3 takes 10,000 parts, so larger files have larger ones.
inline constexpr std::int64_t kPutPartBytes = std::int64_t{16} << 20;

struct S3Options {
  std::string endpoint;  // "https://host[:port]", then buckets are in the path; "" is AWS, with the bucket in the host
  std::string region = "us-east-1";
  bool unsigned_requests = false;  // for public buckets
  HttpTimeouts timeouts = {};
  RetryOptions retry = {};
  Waiter* waiter = nullptr;  // null: MachineWaiter()
  WallClock now;             // null: the machine's
};

// An ETag is kept as S3 writes it, quotes included.
struct S3Object {
  std::string key;
  std::int64_t bytes = 0;
  std::string etag;
};

struct S3Body {
  std::string bytes;
  std::string etag;
  std::int64_t total = 0;  // of the whole object
};

struct S3GetOptions {
  std::int64_t first = 0;                           // offset of the first byte wanted
  std::int64_t count = -1;                          // -1: to the end
  std::string if_match;                             // the ETag it must have; "" for any
  std::int64_t bytes_max = std::int64_t{64} << 20;  // it is held in memory; larger objects go through a Downloader
};

// At most one of the two.
struct S3PutOptions {
  std::string if_match;    // replace only the object with this ETag
  bool if_absent = false;  // create only
};

// Every call is tried again as S3Options::retry says. All conditional writes are safe to repeat: when an answer was
// lost and the repetition finds the condition broken, the object that is there is compared with what was sent.
//
// Thread safety: all members may be called from any thread; each call uses a connection of its own.
// Errors name s3://bucket/key, the endpoint, and S3's own code and message. NOT_FOUND: no such key or bucket;
// PERMISSION_DENIED; FAILED_PRECONDITION: the condition does not hold, no credentials, or the bucket is in another
// region; ABORTED: another conditional write is under way; OUT_OF_RANGE: larger than allowed, or a range outside;
// UNAVAILABLE: gave up trying; CANCELLED: `stop`.
class S3 {
 public:
  // `credentials` may be null for unsigned requests. INVALID_ARGUMENT for an endpoint that is no url.
  static absl::StatusOr<std::unique_ptr<S3>> Make(S3Options options, std::shared_ptr<CredentialChain> credentials);
  ~S3();

  absl::StatusOr<S3Body> Get(const std::string& bucket, const std::string& key, const S3GetOptions& options,
                             const std::atomic<bool>* stop) const;
  absl::StatusOr<S3Object> Head(const std::string& bucket, const std::string& key, const std::atomic<bool>* stop) const;
  // Return the ETag of what was written. At most 5 GiB, S3's limit for one request.
  absl::StatusOr<std::string> Put(const std::string& bucket, const std::string& key, std::string_view bytes,
                                  const S3PutOptions& options, const std::atomic<bool>* stop) const;
  // Any size: more than kPutPartBytes go up in parts, each tried again by itself, and appear at once when all are
  // there. Where that fails the parts are given up. The file must not change meanwhile.
  absl::StatusOr<std::string> PutFile(const std::string& bucket, const std::string& key,
                                      const std::filesystem::path& file, const std::atomic<bool>* stop) const;
  // All objects whose keys begin with `prefix`, in the order of their keys. OUT_OF_RANGE if there are more than `max`.
  absl::StatusOr<std::vector<S3Object>> List(const std::string& bucket, const std::string& prefix, std::size_t max,
                                             const std::atomic<bool>* stop) const;
  // OK also when there was none.
  absl::Status Delete(const std::string& bucket, const std::string& key, const std::atomic<bool>* stop) const;

  // A signed GET for whoever reads the body itself; to be made anew for each attempt.
  absl::StatusOr<HttpRequest> GetRequest(const std::string& bucket, const std::string& key,
                                         std::vector<HttpHeader> headers, const std::atomic<bool>* stop) const;
  // What an answer other than 2xx to such a request says.
  absl::Status StatusOf(const HttpResponse& response, const std::string& bucket, const std::string& key) const;

 private:
  struct Impl;
  class Upload;
  explicit S3(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// "bucket" and "key" of "s3://bucket/key". INVALID_ARGUMENT if it has another form.
struct S3Location {
  std::string bucket;
  std::string key;
};
absl::StatusOr<S3Location> ParseS3Url(std::string_view url);

}  // namespace omics::cloud
