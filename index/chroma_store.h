// Reads a Chroma store of any version from 0.4.0 on: the directory itself, or a .tar / .tar.gz of one.
//
// The store is untrusted input: archives may hold regular files and directories only, with bounded count, size and
// ratio, no links, no absolute or `..` paths; SQLite is opened read-only, immutable and defensive; pickles are read by
// opcode from an allow-list and never executed. docs/chroma-store.md describes what is read from where.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/collection.h"
#include "index/record.h"

namespace omics::index {

struct ChromaLimits {
  std::int64_t files_max = 10'000;
  std::int64_t unpacked_bytes_max = std::int64_t{64} << 30;
  std::int64_t ratio_max = 200;  // unpacked to packed bytes, judged once 16 MiB are unpacked
  std::int64_t records_max = 50'000'000;
};

// One collection of a store.
struct ChromaCollection {
  std::string id;  // Chroma's UUID
  std::string name;
  std::string tenant;
  std::string database;
  Metric metric = Metric::kSquaredL2;
  HnswParameters hnsw;
  int dimension = 0;
  Metadata metadata;                 // without the hnsw:* keys' meaning changed: as stored
  std::string client_configuration;  // Chroma's configuration and schema JSON, opaque; "" if none
  std::int64_t records = 0;          // live records
};

// Thread safety: one thread at a time.
class ChromaStore {
 public:
  // `path` is a directory that holds chroma.sqlite3 (itself or in one subdirectory), or an archive of one, which is
  // unpacked below `scratch_dir` and removed with this object.
  // INVALID_ARGUMENT saying what is wrong with the archive or the store; RESOURCE_EXHAUSTED naming the limit.
  static absl::StatusOr<std::unique_ptr<ChromaStore>> Open(const std::filesystem::path& path,
                                                           const std::filesystem::path& scratch_dir,
                                                           const ChromaLimits& limits);
  virtual ~ChromaStore() = default;

  virtual const std::vector<ChromaCollection>& collections() const = 0;

  // Gives every record of `collection` to `sink` in order of insertion, in batches of at most 1,000. Stops at the first
  // error of `sink` and returns it. Ids that the store lists but whose vectors it has lost go to `lost_ids`.
  virtual absl::Status Read(const ChromaCollection& collection,
                            const std::function<absl::Status(std::vector<RecordChange>)>& sink,
                            std::vector<std::string>& lost_ids) const = 0;
};

}  // namespace omics::index
