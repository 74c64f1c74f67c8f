// One collection: its records, and the search over them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "index/filter.h"
#include "index/record.h"

namespace omics::index {

// How near two vectors are; smaller is nearer for all three (docs/formats.md has the formulas, which are Chroma's).
enum class Metric { kCosine, kSquaredL2, kInnerProduct };

// "cosine", "l2", "ip": Chroma's words, also used in the catalog.
std::string_view MetricName(Metric metric);
absl::StatusOr<Metric> ParseMetric(std::string_view name);

// Parameters of the HNSW graph.
struct HnswParameters {
  // Links per node on the upper levels, twice that on the lowest: 4 to 128. Where it is 16, graphs of many rows get 32.
  int m = 16;
  int ef_construction = 200;  // candidates kept while building: 16 to 2,000
  int ef_search = 0;          // candidates kept while searching: 1 to 10,000; 0 means the server chooses
};

// INVALID_ARGUMENT naming the parameter and its range.
absl::Status ValidateHnsw(const HnswParameters& parameters);

enum class WriteMode {
  kInsert,  // an id that exists, or stood earlier in the batch, is skipped
  kUpsert,  // new ids are added, existing ones changed; the last of two changes to one id wins
  kUpdate,  // an id that does not exist is skipped
};

struct WriteResult {
  std::int64_t inserted = 0;
  std::int64_t updated = 0;
  std::int64_t skipped = 0;
  std::int64_t sequence_number = 0;  // of this change
};

// The records to delete: those of `ids` that match `filter`. At least one of the two says something.
struct DeleteSpec {
  std::vector<std::string> ids;  // empty means all
  std::optional<Filter> filter;  // absent matches all
};

struct DeleteResult {
  std::int64_t deleted = 0;
  std::int64_t sequence_number = 0;
};

// Parts of a record to return; the id always is.
struct Include {
  bool embedding = false;
  bool document = false;
  bool uri = false;
  bool metadata = false;
};

struct GetSpec {
  std::vector<std::string> ids;  // only these; empty means all
  std::optional<Filter> filter;  // only those that match
  Include include;
  std::int64_t offset = 0;      // records to skip; ignored when `after` is set
  std::int64_t limit = 10'000;  // at most this many
  std::int64_t bytes_max = std::int64_t{3}
                           << 20;  // stop a page once its records hold this much (at least one is given)
  std::int64_t after = -1;         // `next` of the previous page
};

struct GetPage {
  std::vector<Record> records;  // in order of insertion
  std::int64_t next = -1;       // pass as `after` for the next page; -1 when there is none
};

struct Hit {
  Record record;
  float distance = 0;
};

struct QuerySpec {
  std::vector<std::vector<float>> vectors;  // each `dimension` finite floats; in an empty collection any dimension goes
  int k = 10;                               // 1 to 10,000
  int ef = 0;                               // 0 means the collection's own
  bool exact = false;
  std::vector<std::string> ids;  // candidates; empty means all
  std::optional<Filter> filter;  // only those that match
  Include include;
};

inline constexpr int kHitsMax = 10'000;
inline constexpr int kEfMax = 10'000;
inline constexpr int kQueryVectorsMax = 1024;

struct RecallSample {
  double recall = 0;
  int samples = 0;
  int ef = 0;  // used; where each segment had its own, the largest
};

struct CollectionStats {
  std::int64_t records = 0;
  std::int64_t graph_rows = 0;    // searched by graph
  std::int64_t tail_rows = 0;     // waiting for a graph, or too few for one
  std::int64_t deleted_rows = 0;  // in segments, deleted or replaced since
  int segments = 0;
  // The lowest recall@10 of a segment's graph, measured by sampling when it was built; 1 where all is searched exactly.
  double recall = 1;
  std::int64_t disk_bytes = 0;
  bool building = false;
};

// Committed changes, one after the other, as bytes that ApplyChanges() takes (docs/formats.md). None: empty, first >
// last.
struct ChangeBatch {
  std::int64_t first = 1;  // sequence numbers
  std::int64_t last = 0;
  std::string bytes;
};

// Thread safety: any number of calls may run together from any threads. Queries read one immutable snapshot and hold no
// lock while they search; writes are ordered, and concurrent ones share one durable commit.
// Ownership: specs are borrowed for the call; results own their parts.
class Collection {
 public:
  virtual ~Collection() = default;

  virtual Metric metric() const = 0;
  // 0 until the first record sets it.
  virtual int dimension() const = 0;
  // Of the last committed change.
  virtual std::int64_t sequence_number() const = 0;
  virtual std::int64_t Count() const = 0;
  virtual CollectionStats Stats() const = 0;

  // Applies all of `changes` or none; durable on disk and visible to queries when it returns OK.
  // INVALID_ARGUMENT (reason DIMENSION_MISMATCH for a wrong dimension) naming the record; RESOURCE_EXHAUSTED with the
  // reason DISK_FULL or BUILD_BACKLOG (writes outran the graph builder past `deadline`); DEADLINE_EXCEEDED if the turn
  // to write did not come in time (nothing was written then).
  virtual absl::StatusOr<WriteResult> Write(WriteMode mode, std::vector<RecordChange> changes, Deadline deadline) = 0;
  // Which records match is decided when the turn to write has come, so that no write comes in between.
  // INVALID_ARGUMENT for a filter that is not valid, or for a spec that says nothing.
  virtual absl::StatusOr<DeleteResult> Delete(const DeleteSpec& spec, Deadline deadline) = 0;

  // INVALID_ARGUMENT for a filter that is not valid.
  virtual absl::StatusOr<GetPage> Get(const GetSpec& spec, Deadline deadline) const = 0;

  // One list of hits per vector, nearest first; fewer than k where the collection is smaller.
  // INVALID_ARGUMENT for a wrong dimension (reason DIMENSION_MISMATCH), k, ef, filter or a number that is not finite;
  // DEADLINE_EXCEEDED when time runs out, also within a long scan.
  virtual absl::StatusOr<std::vector<std::vector<Hit>>> Query(const QuerySpec& spec, Deadline deadline) const = 0;

  // Builds the graph over all rows now and drops the rows deleted from segments; returns when done.
  virtual absl::Status Compact(Deadline deadline) = 0;

  // Graph answers against exact ones, for `samples` stored rows as queries (evenly spaced; the row itself counts).
  virtual absl::StatusOr<RecallSample> MeasureRecall(int k, int ef, int samples, Deadline deadline) const = 0;

  // The outbox: with CatalogOptions::keep_changes, every change is also kept, in the same commit, until DropChanges().
  //
  // Those that directly follow number `sequence`, until they have `bytes_max` bytes (at least one). None if there are
  // none, or the next one is not kept: it was made before, or by a bulk load; then a bundle must take their place.
  // FAILED_PRECONDITION without keep_changes.
  virtual absl::StatusOr<ChangeBatch> ChangesAfter(std::int64_t sequence, std::int64_t bytes_max) const = 0;
  // Forgets those up to number `up_to`: they are safe elsewhere.
  virtual absl::Status DropChanges(std::int64_t up_to) = 0;
  // Makes those that another copy of this collection made, all or none of `batch`; those that are here already are
  // passed over. They do not go into the outbox. DATA_LOSS naming the number if there is a gap, or if the bytes are
  // not a batch of this collection.
  virtual absl::Status ApplyChanges(std::string_view batch) = 0;
};

}  // namespace omics::index
