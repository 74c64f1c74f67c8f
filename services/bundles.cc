#include "services/bundles.h"

#include <chrono>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/bundle.h"
#include "services/convert.h"

namespace omics::services {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
constexpr std::chrono::milliseconds kProgressInterval{200};

absl::Status Busy() {
  return absl::ResourceExhaustedError(
      absl::StrCat(kBundlesMax, " bundles are being saved or loaded: try again when one is done"));
}

absl::Status Gone() { return absl::CancelledError("the client ended the call before the bundle was done"); }

// Whether the caller still waits.
absl::Status StillWanted(const Call& call) {
  if (call.cancelled()) return Gone();
  return Expired(call.deadline) ? absl::DeadlineExceededError("the deadline passed before the bundle was done")
                                : absl::OkStatus();
}

absl::Status SendFile(const std::filesystem::path& path, const Writer<pb::SaveBundleResponse>& write,
                      const Call& call) {
  std::ifstream file(path, std::ios::binary);
  pb::SaveBundleResponse message;
  while (file.peek() != std::ifstream::traits_type::eof()) {
    OMICS_RETURN_IF_ERROR(StillWanted(call));
    std::string& chunk = *message.mutable_chunk();
    chunk.resize(kChunkBytes);
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    chunk.resize(static_cast<std::size_t>(file.gcount()));
    if (!write(message)) return Gone();
  }
  return file.bad() ? absl::UnavailableError(absl::StrCat("cannot read ", path.string())) : absl::OkStatus();
}

}  // namespace

absl::Status Bundles::Save(const pb::SaveBundleRequest& request, const Writer<pb::SaveBundleResponse>& write,
                           const Call& call) {
  OMICS_ASSIGN_OR_RETURN(const index::CollectionRef ref, ToCollectionRef(request.collection()));
  OMICS_RETURN_IF_ERROR(catalog_.GetCollection(call.principal, ref).status());
  const Slot slot(running_, kBundlesMax);
  if (!slot.taken()) return Busy();
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<Spool> spool, Spool::Make(spool_dir_, {}));
  index::BundleLimits limits;
  limits.deadline = call.deadline;
  std::chrono::steady_clock::time_point told;
  limits.progress = [&](std::int64_t done, std::int64_t total) -> absl::Status {
    OMICS_RETURN_IF_ERROR(StillWanted(call));
    const auto now = std::chrono::steady_clock::now();
    if (now - told < kProgressInterval) return absl::OkStatus();
    told = now;
    pb::SaveBundleResponse message;
    message.mutable_progress()->set_bytes_done(done);
    message.mutable_progress()->set_bytes_total(total);
    return write(message) ? absl::OkStatus() : Gone();
  };
  OMICS_ASSIGN_OR_RETURN(const index::BundleManifest manifest,
                         catalog_.SaveBundle(call.principal, ref, spool->file(), limits));
  pb::SaveBundleResponse message;
  FillSummary(manifest, *message.mutable_summary());
  if (!write(message)) return Gone();
  return SendFile(spool->file(), write, call);
}

absl::StatusOr<std::unique_ptr<Spool>> Bundles::Receive(const Reader<pb::LoadBundleRequest>& read,
                                                        const Call& call) const {
  OMICS_ASSIGN_OR_RETURN(
      std::unique_ptr<Spool> spool,
      Spool::Make(spool_dir_, {kBundleFileBytesMax, "load it with `vectorctl bundle load --data-dir`"}));
  pb::LoadBundleRequest message;
  while (read(&message)) {
    if (message.has_target()) return absl::InvalidArgumentError("only the first message may hold the target");
    OMICS_RETURN_IF_ERROR(spool->Append(message.chunk()));
    OMICS_RETURN_IF_ERROR(StillWanted(call));
  }
  if (spool->bytes() == 0) return absl::InvalidArgumentError("the stream held no bundle");
  return spool;
}

absl::Status Bundles::Load(const Reader<pb::LoadBundleRequest>& read, const Call& call,
                           pb::LoadBundleResponse& response) {
  pb::LoadBundleRequest first;
  if (!read(&first) || !first.has_target() || !first.chunk().empty()) {
    return absl::InvalidArgumentError("the first message must hold the bundle's target");
  }
  OMICS_ASSIGN_OR_RETURN(const BundleLoad load, ToBundleLoad(first.target()));
  OMICS_RETURN_IF_ERROR(catalog_.CheckBundleLoad(call.principal, load));
  const Slot slot(running_, kBundlesMax);
  if (!slot.taken()) return Busy();
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<Spool> spool, Receive(read, call));
  index::BundleLimits limits;
  limits.deadline = call.deadline;
  limits.progress = [&call](std::int64_t, std::int64_t) { return StillWanted(call); };
  OMICS_ASSIGN_OR_RETURN(const index::CollectionInfo info,
                         catalog_.LoadBundle(call.principal, spool->file(), load, limits));
  health_.SetCollection(info, true);
  FillCollection(info, *response.mutable_collection());
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<index::Collection> collection,
                         catalog_.OpenCollection(call.principal, RefOf(info)));
  FillLive(*collection, *response.mutable_collection());
  response.set_records(collection->Count());
  response.set_sequence_number(collection->sequence_number());
  return absl::OkStatus();
}

}  // namespace omics::services
