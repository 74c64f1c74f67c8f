#include "services/import_chroma.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/chroma_store.h"
#include "services/convert.h"
#include "services/spool.h"

namespace omics::services {
namespace {

constexpr std::chrono::milliseconds kProgressInterval{200};

// Tells the client how far the import is, and the import whether the client still wants it.
class Progress {
 public:
  Progress(const Writer<pb::ImportChromaResponse>& write, const Call& call) : write_(write), call_(call) {}

  absl::Status Received(std::int64_t bytes) {
    message_.mutable_progress()->set_bytes_received(bytes);
    return Send();
  }

  absl::Status Imported(std::int64_t rows_done, std::int64_t rows_total) {
    message_.mutable_progress()->set_rows_done(rows_done);
    message_.mutable_progress()->set_rows_total(rows_total);
    return Send();
  }

  // Sends what is known now, however short ago the last message was.
  absl::Status Flush() {
    sent_ = {};
    return Send();
  }

 private:
  absl::Status Send() {
    if (call_.cancelled()) return Gone();
    if (Expired(call_.deadline))
      return absl::DeadlineExceededError("the deadline passed before the import was complete");
    const auto now = std::chrono::steady_clock::now();
    if (now - sent_ < kProgressInterval) return absl::OkStatus();
    sent_ = now;
    return write_(message_) ? absl::OkStatus() : Gone();
  }

  static absl::Status Gone() { return absl::CancelledError("the client ended the import before it was complete"); }

  const Writer<pb::ImportChromaResponse>& write_;
  const Call& call_;
  pb::ImportChromaResponse message_;
  std::chrono::steady_clock::time_point sent_;
};

absl::Status Receive(const Reader<pb::ImportChromaRequest>& read, Spool& spool, Progress& progress) {
  pb::ImportChromaRequest message;
  while (read(&message)) {
    if (!message.has_chunk()) return absl::InvalidArgumentError("only the first message may hold the target");
    OMICS_RETURN_IF_ERROR(spool.Append(message.chunk()));
    OMICS_RETURN_IF_ERROR(progress.Received(spool.bytes()));
  }
  if (spool.bytes() == 0) return absl::InvalidArgumentError("the stream held no archive");
  // A broken connection ends the reading like a complete archive does; it cannot take this message.
  return progress.Flush();
}

}  // namespace

absl::Status ChromaImporter::Run(const Reader<pb::ImportChromaRequest>& read,
                                 const Writer<pb::ImportChromaResponse>& write, const Call& call) {
  const Slot slot(running_, kImportsMax);
  if (!slot.taken()) {
    return absl::ResourceExhaustedError(absl::StrCat(kImportsMax, " imports are running: try again when one is done"));
  }
  pb::ImportChromaRequest first;
  if (!read(&first) || !first.has_target()) {
    return absl::InvalidArgumentError("the first message must hold the import's target");
  }
  const index::ImportTarget target = ToImportTarget(first.target());
  OMICS_RETURN_IF_ERROR(catalog_.CheckImportTarget(call.principal, target));
  OMICS_RETURN_IF_ERROR(CheckNameIsFree(target, call));
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<Spool> spool,
                         Spool::Make(spool_dir_, {kArchiveBytesMax, "import it with `vectorctl import --data-dir`"}));
  Progress progress(write, call);
  OMICS_RETURN_IF_ERROR(Receive(read, *spool, progress));
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::ChromaStore> store,
                         index::ChromaStore::Open(spool->file(), spool->directory(), index::ChromaLimits()));
  const index::ImportProgressFn tell = [&progress](std::int64_t rows_done, std::int64_t rows_total) {
    return progress.Imported(rows_done, rows_total);
  };
  OMICS_ASSIGN_OR_RETURN(const std::vector<index::ImportReport> reports,
                         catalog_.ImportChromaStore(call.principal, *store, target, tell));
  for (const index::ImportReport& report : reports) health_.SetCollection(report.info, true);
  OMICS_RETURN_IF_ERROR(progress.Flush());
  return Report(reports, write, call);
}

absl::Status ChromaImporter::CheckNameIsFree(const index::ImportTarget& target, const Call& call) const {
  if (target.replace || target.collection.empty()) return absl::OkStatus();
  const index::CollectionRef ref{
      .tenant = target.tenant, .database = target.database, .name = target.collection, .id = ""};
  const auto found = catalog_.GetCollection(call.principal, ref);
  if (!found.ok()) return absl::IsNotFound(found.status()) ? absl::OkStatus() : found.status();
  if (found->name != target.collection) return index::NameTaken(target.collection, *found);
  return WithReason(absl::AlreadyExistsError(absl::StrCat("collection '", target.collection,
                                                          "' exists: choose another name, or set `replace`")),
                    "COLLECTION_EXISTS");
}

absl::Status ChromaImporter::Report(const std::vector<index::ImportReport>& reports,
                                    const Writer<pb::ImportChromaResponse>& write, const Call& call) const {
  for (const index::ImportReport& report : reports) {
    pb::ImportChromaResponse message;
    FillImported(report, *message.mutable_imported());
    if (const auto collection = catalog_.OpenCollection(call.principal, RefOf(report.info)); collection.ok()) {
      FillLive(**collection, *message.mutable_imported()->mutable_collection());
    }
    if (!write(message)) return absl::CancelledError("the client left before the import's report; it is complete");
  }
  return absl::OkStatus();
}

}  // namespace omics::services
