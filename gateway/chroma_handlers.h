// The handlers behind the routes, in three files: chroma_system.cc (who, versions, tenants, databases),
// chroma_collections.cc, chroma_records.cc. Each reads its body, calls the service, and writes the answer; errors are
// returned as statuses and get their Chroma form in the router.
//
// Where Chroma's versions differ: v1 is read with 0.4.24's tolerance and answered with 0.5.23's meaning, v2 is 1.5.9.
//   version      v1 "0.5.23", v2 "1.0.0" (the constant that Chroma's Rust server sends)
//   pre-flight   5,461 records and base64 for all versions
//   writes       v1 and Python 0.x: add true (201), others null; v2: {} (add 201). delete: null, but a list of ids for
//                v1 of Python 0.4.0 to 0.5.3 and JavaScript 1.x; v2 {"deleted":n}. Given ids count also when missing,
//                with a filter those that went
//   add          an id that exists is left as it is; so is the second of the same id in one request
//   get limit 0  v1: no limit, v2: none
//   n_results    more than the collection has gives what it has; more than 10,000 of a larger collection is refused
//
// A write whose records exceed kUpstreamBytesMax as protobuf goes upstream in several parts: each part is all or
// nothing, the whole is not. Upserts and updates can simply be sent again; so can adds (what is there is skipped).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "gateway/router.h"

namespace omics::gateway {

// The service takes messages of 16 MiB.
inline constexpr std::size_t kUpstreamBytesMax = std::size_t{12} << 20;
// Announced in pre-flight; what Chroma 1.x announces.
inline constexpr int kMaxBatchSize = 5461;
// An answer is built in memory. This is 40,000 records of 768 floats with documents; larger reads go by limit and
// offset.
inline constexpr std::size_t kAnswerBytesMax = std::size_t{256} << 20;
// About what one upstream query may answer; queries of many vectors are cut accordingly.
inline constexpr std::size_t kQueryBytesPerCall = std::size_t{16} << 20;

// chroma_system.cc
HandlerResult Heartbeat(Call& call);
HandlerResult Version(Call& call);
HandlerResult PreFlightChecks(Call& call);
HandlerResult Livez(Call& call);
HandlerResult Readyz(Call& call);
HandlerResult Identity(Call& call);
HandlerResult ResetAll(Call& call);
HandlerResult CreateTenant(Call& call);
HandlerResult GetTenant(Call& call);
HandlerResult CreateDatabase(Call& call);
HandlerResult GetDatabase(Call& call);
HandlerResult ListDatabases(Call& call);
HandlerResult DeleteDatabase(Call& call);

// chroma_collections.cc
HandlerResult ListCollections(Call& call);
HandlerResult CountCollections(Call& call);
HandlerResult CreateCollection(Call& call);
HandlerResult GetCollection(Call& call);
HandlerResult UpdateCollection(Call& call);
HandlerResult DeleteCollection(Call& call);
// 501, in Chroma's words.
HandlerResult ForkCollection(Call& call);
HandlerResult SearchCollection(Call& call);
HandlerResult IndexingStatus(Call& call);

// chroma_records.cc
HandlerResult AddRecords(Call& call);
HandlerResult UpsertRecords(Call& call);
HandlerResult UpdateRecords(Call& call);
HandlerResult DeleteRecords(Call& call);
HandlerResult CountRecords(Call& call);
HandlerResult GetRecords(Call& call);
HandlerResult QueryRecords(Call& call);

// Cuts records into parts of at most kUpstreamBytesMax bytes, in order. INVALID_ARGUMENT for a single larger record.
absl::StatusOr<std::vector<google::protobuf::RepeatedPtrField<pb::RecordChange>>> SplitRecords(
    google::protobuf::RepeatedPtrField<pb::RecordChange> records, std::size_t bytes_max);

// Helpers that the three share.

Response Json(std::string body, int status = 200);
// `null` in v1, {} in v2.
Response Acknowledge(const Call& call);

// The tenant and database of the request: from the path in v2, from ?tenant= and ?database= in v1, else Chroma's
// defaults.
std::string TenantOf(const Call& call);
std::string DatabaseOf(const Call& call);

// A collection by its UUID, from the path. INVALID_ARGUMENT (NOT_A_UUID) for anything else. v1 gives no tenant and
// database there, and Python 0.x in v2 the defaults wherever the collection is (0.5's upsert): the UUID alone decides,
// and the service whether the caller may.
absl::StatusOr<pb::CollectionRef> CollectionById(const Call& call);
pb::CollectionRef CollectionByName(const Call& call);

// ?limit= and ?offset=. INVALID_ARGUMENT unless they are whole numbers of 0 or more.
struct Window {
  std::int64_t limit = -1;  // -1: none
  std::int64_t offset = 0;
};
absl::StatusOr<Window> WindowOf(const Call& call);

}  // namespace omics::gateway
