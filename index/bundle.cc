#include "index/bundle.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/scratch_path.h"
#include "base/status.h"
#include "base/uuid.h"
#include "index/internal/bundle_check.h"
#include "index/internal/bundle_file.h"
#include "index/internal/bundle_manifest.h"
#include "index/internal/collection_impl.h"
#include "index/internal/file.h"

namespace omics::index {
namespace {

namespace fs = std::filesystem;

// Below it a ratio says nothing: a collection of many equal vectors packs to almost nothing.
constexpr std::int64_t kRatioFreeBytes = std::int64_t{1} << 30;
// Unpacked to packed bytes. Vectors pack to nine tenths; a bundle of this ratio fills disks with zeros.
constexpr std::int64_t kRatioMax = 100;

// Tells how far the work is, and whether it is still wanted.
class Meter {
 public:
  Meter(const BundleLimits& limits, std::int64_t total) : limits_(limits), total_(total) {}

  absl::Status Add(std::size_t bytes) {
    done_ += static_cast<std::int64_t>(bytes);
    if (Expired(limits_.deadline)) return absl::DeadlineExceededError("the deadline passed before the bundle was done");
    return limits_.progress ? limits_.progress(std::min(done_, total_), total_) : absl::OkStatus();
  }

 private:
  const BundleLimits& limits_;
  const std::int64_t total_;
  std::int64_t done_ = 0;
};

using Pinned = CollectionImpl::Pinned;
using Sink = absl::FunctionRef<absl::Status(std::string_view)>;

absl::Status ReadAll(int file, std::int64_t bytes, Sink sink) {
  std::vector<char> piece(kBundlePieceBytes);
  for (std::int64_t at = 0; at < bytes;) {
    const auto count = static_cast<std::size_t>(std::min<std::int64_t>(bytes - at, kBundlePieceBytes));
    OMICS_RETURN_IF_ERROR(ReadAt(file, static_cast<std::uint64_t>(at), {piece.data(), count}));
    OMICS_RETURN_IF_ERROR(sink({piece.data(), count}));
    at += static_cast<std::int64_t>(count);
  }
  return absl::OkStatus();
}

// Makes the bundle of what is pinned: sums first, since the manifest comes first.
class Saver {
 public:
  Saver(Pinned pinned, const BundleLimits& limits) : pinned_(std::move(pinned)), limits_(limits) {}

  absl::StatusOr<BundleManifest> Run(BundleManifest manifest, const fs::path& copy, const fs::path& file) {
    OMICS_RETURN_IF_ERROR(CopyRecords(copy));
    Meter sums(limits_, INT64_MAX);
    for (const Pinned::SegmentFile& member : pinned_.segments) {
      Sha256Hasher hasher;
      OMICS_RETURN_IF_ERROR(ReadAll(member.file.get(), member.bytes, [&](std::string_view piece) {
        hasher.Add(piece);
        return Expired(limits_.deadline) ? sums.Add(0) : absl::OkStatus();
      }));
      manifest.members.push_back({member.name, member.bytes, hasher.Hex()});
    }
    return Pack(std::move(manifest), file);
  }

 private:
  // The records become the first of the files.
  absl::Status CopyRecords(const fs::path& copy) {
    OMICS_RETURN_IF_ERROR(pinned_.records.CopyTo(copy, [this](std::int64_t, std::int64_t) {
      return Expired(limits_.deadline) ? absl::DeadlineExceededError("the deadline passed while records were copied")
                                       : absl::OkStatus();
    }));
    OMICS_RETURN_IF_ERROR(RemoveOutbox(copy));
    OMICS_ASSIGN_OR_RETURN(FileDescriptor records, OpenForReading(copy));
    std::error_code error;
    const auto bytes = static_cast<std::int64_t>(fs::file_size(copy, error));
    if (error) return ErrnoStatus(error.value(), copy.string());
    pinned_.segments.insert(pinned_.segments.begin(), {kRecordsMember, std::move(records), bytes});
    return absl::OkStatus();
  }

  absl::StatusOr<BundleManifest> Pack(BundleManifest manifest, const fs::path& file) {
    std::int64_t total = 0;
    for (const BundleMember& member : manifest.members) total += member.bytes;
    Meter meter(limits_, total);
    OMICS_ASSIGN_OR_RETURN(BundleWriter writer, BundleWriter::Create(file));
    const std::string json = ManifestToJson(manifest);
    OMICS_RETURN_IF_ERROR(writer.Begin(kManifestMember, std::ssize(json)));
    OMICS_RETURN_IF_ERROR(writer.Append(json));
    for (const Pinned::SegmentFile& member : pinned_.segments) {
      OMICS_RETURN_IF_ERROR(writer.Begin(member.name, member.bytes));
      OMICS_RETURN_IF_ERROR(ReadAll(member.file.get(), member.bytes, [&](std::string_view piece) -> absl::Status {
        OMICS_RETURN_IF_ERROR(writer.Append(piece));
        return meter.Add(piece.size());
      }));
    }
    OMICS_RETURN_IF_ERROR(writer.Finish());
    manifest.file_bytes = writer.bytes();
    manifest.file_sha256 = writer.Sha256Hex();
    return manifest;
  }

  Pinned pinned_;
  const BundleLimits& limits_;
};

absl::Status CheckNew(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(file.string(), " exists: choose another name, or remove it first"));
}

absl::Status CheckSizes(const BundleManifest& manifest, std::int64_t packed, const fs::path& directory,
                        const BundleLimits& limits) {
  std::int64_t total = 0;
  for (const BundleMember& member : manifest.members) total += member.bytes;
  if (total > limits.unpacked_bytes_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the bundle unpacks to ", total, " bytes; at most ", limits.unpacked_bytes_max, " are allowed"));
  }
  if (total > kRatioFreeBytes && total / kRatioMax > packed) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the bundle unpacks to ", total, " bytes, more than ", kRatioMax, " times its size"));
  }
  std::error_code error;
  const fs::space_info space = fs::space(directory, error);
  if (error || static_cast<std::uint64_t>(total) < space.available) return absl::OkStatus();
  return WithReason(
      absl::ResourceExhaustedError(absl::StrCat("the bundle unpacks to ", total, " bytes, ", directory.string(),
                                                " has ", space.available, " left: free disk space and try again")),
      "DISK_FULL");
}

// Puts the members into the empty `directory`, durably, and checks them. The manifest has been read.
absl::Status Unpack(BundleReader& reader, const BundleManifest& manifest, const fs::path& directory,
                    const BundleLimits& limits) {
  OMICS_RETURN_IF_ERROR(CheckSizes(manifest, reader.bytes(), directory, limits));
  std::int64_t total = 0;
  for (const BundleMember& member : manifest.members) total += member.bytes;
  Meter meter(limits, total);
  for (const BundleMember& member : manifest.members) {
    OMICS_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(directory / member.name));
    OMICS_RETURN_IF_ERROR(reader.ReadMember(member, [&](std::string_view piece) -> absl::Status {
      OMICS_RETURN_IF_ERROR(writer.Append(piece));
      return meter.Add(piece.size());
    }));
    OMICS_RETURN_IF_ERROR(writer.Sync());
  }
  OMICS_RETURN_IF_ERROR(reader.ReadEnd());
  OMICS_RETURN_IF_ERROR(CheckBundleFiles(directory, manifest, limits.deadline));
  return SyncDirectory(directory);
}

CollectionSpec ToSpec(const BundleManifest& manifest, const BundleTarget& target) {
  CollectionSpec spec;
  spec.tenant = target.tenant;
  spec.database = target.database;
  spec.name = target.name.empty() ? manifest.info.name : target.name;
  spec.metric = manifest.info.metric;
  spec.hnsw = manifest.info.hnsw;
  spec.metadata = manifest.info.metadata;
  spec.client_configuration = manifest.info.client_configuration;
  return spec;
}

}  // namespace

absl::StatusOr<BundleManifest> SaveBundle(Catalog& catalog, const CollectionRef& ref, const fs::path& file,
                                          const BundleLimits& limits, const Visible& visible) {
  OMICS_RETURN_IF_ERROR(CheckNew(file));
  BundleManifest manifest;
  OMICS_ASSIGN_OR_RETURN(manifest.info, catalog.GetCollection(ref, visible));
  CollectionRef same;
  same.tenant = manifest.info.tenant;
  same.database = manifest.info.database;
  same.id = manifest.info.id;
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<Collection> collection, catalog.OpenCollection(same, visible));
  OMICS_ASSIGN_OR_RETURN(Pinned pinned, static_cast<const CollectionImpl&>(*collection).Pin());
  manifest.program = "omics-vector " OMICS_VECTOR_VERSION;
  manifest.dimension = pinned.dimension;
  manifest.records = pinned.rows;
  manifest.sequence_number = pinned.sequence;
  const ScratchPath copy(absl::StrCat(file.string(), ".", MakeUuid(), ".records"));
  const ScratchPath partial(absl::StrCat(file.string(), ".", MakeUuid(), kPartialSuffix));
  OMICS_ASSIGN_OR_RETURN(manifest,
                         Saver(std::move(pinned), limits).Run(std::move(manifest), copy.path(), partial.path()));
  OMICS_RETURN_IF_ERROR(CheckNew(file));
  std::error_code error;
  fs::rename(partial.path(), file, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("rename to ", file.string()));
  OMICS_RETURN_IF_ERROR(SyncDirectory(file.has_parent_path() ? file.parent_path() : fs::path(".")));
  return manifest;
}

absl::StatusOr<BundleManifest> SaveBundle(Catalog& catalog, const CollectionRef& ref, const fs::path& file,
                                          Deadline deadline) {
  BundleLimits limits;
  limits.deadline = deadline;
  return SaveBundle(catalog, ref, file, limits);
}

absl::StatusOr<BundleManifest> ReadBundleManifest(const fs::path& file) {
  OMICS_ASSIGN_OR_RETURN(BundleReader reader, BundleReader::Open(file));
  return reader.ReadManifest();
}

absl::StatusOr<BundleManifest> VerifyBundle(const fs::path& file, const BundleLimits& limits) {
  OMICS_ASSIGN_OR_RETURN(BundleReader reader, BundleReader::Open(file));
  OMICS_ASSIGN_OR_RETURN(BundleManifest manifest, reader.ReadManifest());
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  if (error) return ErrnoStatus(error.value(), "find the directory for temporary files");
  OMICS_ASSIGN_OR_RETURN(const ScratchPath directory, ScratchPath::MakeDirectory(parent, "omics-vector-"));
  OMICS_RETURN_IF_ERROR(Unpack(reader, manifest, directory.path(), limits));
  return manifest;
}

absl::Status UnpackBundle(const fs::path& file, const fs::path& directory, const BundleLimits& limits) {
  OMICS_ASSIGN_OR_RETURN(BundleReader reader, BundleReader::Open(file));
  OMICS_ASSIGN_OR_RETURN(const BundleManifest manifest, reader.ReadManifest());
  return Unpack(reader, manifest, directory, limits);
}

absl::StatusOr<std::unique_ptr<StagedCollection>> StageBundle(Catalog& catalog, const fs::path& file,
                                                              const BundleTarget& target, const BundleLimits& limits) {
  OMICS_ASSIGN_OR_RETURN(BundleReader reader, BundleReader::Open(file));
  OMICS_ASSIGN_OR_RETURN(const BundleManifest manifest, reader.ReadManifest());
  return catalog.StageFiles(ToSpec(manifest, target), target.id,
                            [&](const fs::path& directory) { return Unpack(reader, manifest, directory, limits); });
}

}  // namespace omics::index
