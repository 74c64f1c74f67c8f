// Bundles: a collection as one file, with its graphs, so that whoever loads it is ready without building them again.
//
// A bundle (docs/formats.md) is a .tar.zst of manifest.json, records.sqlite3 and the segment files. Loading one trusts
// nothing in it: names, sizes, sums, schema, rows and segments are checked before the collection can be published.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "index/catalog.h"

namespace omics::index {

inline constexpr int kBundleFormat = 1;
// "records.sqlite3" of a collection of ten million records of 768 floats has 40 GB; its segments as much again.
inline constexpr std::int64_t kBundleBytesMax = std::int64_t{256} << 30;

struct BundleMember {
  std::string name;  // "records.sqlite3", or "<UUID>.segment"
  std::int64_t bytes = 0;
  std::string sha256;  // hex
};

// What a bundle says of itself.
struct BundleManifest {
  int format = kBundleFormat;
  std::string program;  // that wrote it, with its version
  CollectionInfo info;  // of the collection that was saved
  int dimension = 0;    // 0 if it never had a record
  std::int64_t records = 0;
  std::int64_t sequence_number = 0;   // the bundle holds every change up to this one, and none after it
  std::vector<BundleMember> members;  // in the file's order
  // Of the file itself: filled in by SaveBundle only.
  std::int64_t file_bytes = 0;
  std::string file_sha256;  // hex
};

// Where a bundle is loaded to.
struct BundleTarget {
  std::string tenant = kDefaultTenant;
  std::string database = kDefaultDatabase;
  std::string name;  // "": the name it was saved under
  std::string id;    // the UUID that the collection gets; "": a new one. ALREADY_EXISTS if a collection has it
};

// Bytes dealt with so far, of all; called about once a megabyte on the calling thread. An error ends the work with it.
using BundleProgress = std::function<absl::Status(std::int64_t done, std::int64_t total)>;

struct BundleLimits {
  std::int64_t unpacked_bytes_max = kBundleBytesMax;
  Deadline deadline = kNoDeadline;
  BundleProgress progress;  // may be empty
};

// True if the file begins like a zstd stream, as bundles do and Chroma tarballs do not.
bool LooksLikeBundle(const std::filesystem::path& file);

// Writes the collection as of one sequence number to a new file, which has its name once it is whole and durable.
// Writes and queries go on meanwhile. ALREADY_EXISTS if there is such a file; DEADLINE_EXCEEDED; RESOURCE_EXHAUSTED
// (DISK_FULL).
absl::StatusOr<BundleManifest> SaveBundle(Catalog& catalog, const CollectionRef& ref, const std::filesystem::path& file,
                                          const BundleLimits& limits, const Visible& visible = nullptr);
absl::StatusOr<BundleManifest> SaveBundle(Catalog& catalog, const CollectionRef& ref, const std::filesystem::path& file,
                                          Deadline deadline);

// The manifest alone, which is the first member: reads no further.
absl::StatusOr<BundleManifest> ReadBundleManifest(const std::filesystem::path& file);

// Unpacks it into a new directory below TMPDIR, as StageBundle would, checks it, and removes that again: all that would
// be found wrong when it is loaded is found here.
// INVALID_ARGUMENT or DATA_LOSS naming the member and the cause; RESOURCE_EXHAUSTED naming the limit.
absl::StatusOr<BundleManifest> VerifyBundle(const std::filesystem::path& file, const BundleLimits& limits = {});

// Puts the files of the bundle's collection, checked, into `directory`, which is there and empty. On an error it holds
// what came before.
absl::Status UnpackBundle(const std::filesystem::path& file, const std::filesystem::path& directory,
                          const BundleLimits& limits = {});

// The bundle's collection, loaded and checked, but not visible yet; the caller may go on writing to collection(), whose
// sequence numbers go on from the manifest's, and then publishes it. On an error nothing is left of it.
// The errors of VerifyBundle and of Catalog::StageCollection.
absl::StatusOr<std::unique_ptr<StagedCollection>> StageBundle(Catalog& catalog, const std::filesystem::path& file,
                                                              const BundleTarget& target,
                                                              const BundleLimits& limits = {});

}  // namespace omics::index
