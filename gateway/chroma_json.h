// Reads the bodies that Chroma clients send into messages of the service's API.
//
// Errors carry one of three reasons of the gateway's own, which chroma_errors turns into Chroma's HTTP codes:
//   JSON_SYNTAX  not JSON (400)
//   JSON_SHAPE   JSON, but a member is missing or of the wrong type (422)
//   (none)       well-formed, but not acceptable (400)
// Unknown members are read over (and must be valid JSON); a member given twice counts the last time.
//
// What limits a body besides its bytes: kJsonDepthMax, kRecordsMax, kMetadataValuesMax, kQueryVectorsMax,
// kFilterNodesMax.
//
// Thread safety: free functions; any number may run together. Ownership: `body` is changed (its capacity grows by the
// parser's padding) and may be thrown away afterwards; results own all they hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/http.h"
#include "omics/vector/v1/vector_service.pb.h"

namespace omics::gateway {

namespace pb = ::omics::vector::v1;

// A `where` of 64 levels is the service's limit; the clients' own nesting is three.
inline constexpr int kJsonDepthMax = 64;
// Clients split at the announced 5,461 records, the oldest at 41,666.
inline constexpr int kRecordsMax = 100'000;
// Metadata values of one request: each costs some 150 bytes parsed, so this bounds the growth to about 300 MiB.
inline constexpr std::int64_t kMetadataValuesMax = 2'000'000;
// The service's own limit for one call.
inline constexpr int kQueryVectorsMax = 1'024;
inline constexpr int kFilterNodesMax = 1'024;

inline constexpr char kReasonJsonSyntax[] = "JSON_SYNTAX";
inline constexpr char kReasonJsonShape[] = "JSON_SHAPE";

// Whose words a body is in: some are read differently by API version and client.
struct Dialect {
  Api api = Api::kV2;
  Client client = Client::kOther;

  // 0.x semantics: Python up to 0.6 and everything that speaks v1.
  bool legacy() const { return api == Api::kV1 || client == Client::kPythonHttpx; }
};

// The `configuration` of a collection as clients give it, in either form: {"hnsw":{…}} (1.x), or
// {"hnsw_configuration":{…}} (0.5.4 to 0.6.3). Absent members are absent.
struct ClientConfiguration {
  std::string space;  // "l2", "cosine", "ip"; "" if absent
  std::optional<std::int64_t> ef_construction;
  std::optional<std::int64_t> ef_search;
  std::optional<std::int64_t> max_neighbors;
  std::optional<std::int64_t> num_threads;
  std::optional<std::int64_t> batch_size;
  std::optional<std::int64_t> sync_threshold;
  std::optional<double> resize_factor;
  // The JSON of `embedding_function` as sent; kept and given back, never acted on. "" if absent.
  std::string embedding_function;

  // What `other` has replaces what is here.
  void Merge(const ClientConfiguration& other);
  // As it is stored in Collection.client_configuration; "" if nothing is set.
  std::string ToStored() const;
};

// Reads what ToStored() wrote. Anything else (another gateway's) reads as far as it is understood.
ClientConfiguration ParseStoredConfiguration(const std::string& stored);

// {"name": …} of a tenant or a database.
absl::StatusOr<std::string> ParseNameBody(std::string& body);

struct CreateCollectionBody {
  std::string name;
  bool get_or_create = false;
  google::protobuf::Map<std::string, pb::MetadataValue> metadata;
  ClientConfiguration configuration;  // its `space` also from `schema`, where no `configuration` says it
};

// Metadata {} is refused, as Chroma does; null is none.
absl::StatusOr<CreateCollectionBody> ParseCreateCollection(std::string& body, Dialect dialect);

struct UpdateCollectionBody {
  std::optional<std::string> new_name;
  std::optional<google::protobuf::Map<std::string, pb::MetadataValue>> new_metadata;
  std::optional<ClientConfiguration> new_configuration;
};

// A `space` in new_configuration is refused (422): a metric does not change.
absl::StatusOr<UpdateCollectionBody> ParseUpdateCollection(std::string& body, Dialect dialect);

enum class WriteKind { kAdd, kUpsert, kUpdate };

// The columns `ids`, `embeddings` (lists of numbers, or base64 of little-endian float32), `metadatas`, `documents`,
// `uris` as records. A null metadata value takes the key out (update, upsert), is dropped (add, v1) or refused (add,
// v2). Embeddings must be there for add and upsert: the gateway computes none. Only a 0.x upsert may leave them out,
// for records that exist (the service refuses it for new ones).
absl::StatusOr<google::protobuf::RepeatedPtrField<pb::RecordChange>> ParseWrite(std::string& body, WriteKind kind,
                                                                                Dialect dialect);

// Which parts a read returns, and the words in the order the client gave them.
struct IncludeSet {
  bool documents = false;
  bool embeddings = false;
  bool metadatas = false;
  bool distances = false;
  bool uris = false;
  std::vector<std::string> words;

  static IncludeSet ForGet();
  static IncludeSet ForQuery();
};

// What get, query and delete have in common.
struct ReadBody {
  std::optional<std::vector<std::string>> ids;
  std::optional<pb::Filter> filter;  // where and where_document together
  bool where_given = false;          // where or where_document was there and not null, if only {}
  std::optional<std::int64_t> limit;
  std::int64_t offset = 0;
  IncludeSet include;
  // Query only:
  std::vector<pb::QueryVector> query_vectors;
  std::int64_t n_results = 10;
};

// In v1, limit 0 means no limit. Empty filters ({}) are no filter in v1 and refused in v2.
absl::StatusOr<ReadBody> ParseGet(std::string& body, Dialect dialect);
absl::StatusOr<ReadBody> ParseQueryBody(std::string& body, Dialect dialect);
absl::StatusOr<ReadBody> ParseDelete(std::string& body, Dialect dialect);

// Appends the floats in standard base64 of little-endian float32. False if `text` is not that.
bool DecodeBase64Floats(std::string_view text, google::protobuf::RepeatedField<float>& out);

}  // namespace omics::gateway
