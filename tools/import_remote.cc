#include <future>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "omics/vector/v1/admin_service.grpc.pb.h"
#include "tools/import_job.h"
#include "tools/tar_source.h"

namespace omics::tools {
namespace {

// The API's limit of one piece.
constexpr std::size_t kChunkBytes = 1 << 20;

using Stream = grpc::ClientReaderWriter<pb::ImportChromaRequest, pb::ImportChromaResponse>;

pb::ImportChromaRequest TargetMessage(const ImportJob& job) {
  pb::ImportChromaRequest message;
  pb::ImportChromaTarget& target = *message.mutable_target();
  target.set_tenant(job.tenant);
  target.set_database(job.database);
  target.set_collection(job.collection);
  target.set_source_collection(job.source);
  target.set_replace(job.replace);
  return message;
}

// Sends everything. A refused message is no error of ours: the stream's status has the reason.
absl::Status Send(const ImportJob& job, ArchiveSource& source, Stream& stream) {
  pb::ImportChromaRequest message = TargetMessage(job);
  while (stream.Write(message)) {
    OMICS_RETURN_IF_ERROR(source.Read(kChunkBytes, *message.mutable_chunk()));
    if (message.chunk().empty()) break;
  }
  stream.WritesDone();
  return absl::OkStatus();
}

ImportedCollection FromMessage(const pb::ImportedCollection& message) {
  ImportedCollection imported;
  imported.name = message.collection().name();
  imported.records = message.records();
  imported.dimension = message.collection().dimension();
  imported.metric = absl::AsciiStrToLower(absl::StripPrefix(pb::Metric_Name(message.collection().metric()), "METRIC_"));
  imported.lost_ids.assign(message.lost_ids().begin(), message.lost_ids().end());
  return imported;
}

void Show(const pb::ImportProgress& message, std::int64_t bytes_total, Progress& progress) {
  const auto now = Progress::Clock::now();
  if (message.rows_total() > 0) {
    progress.Update("importing", Progress::Unit::kRows, message.rows_done(), message.rows_total(), now);
  } else {
    progress.Update("sending", Progress::Unit::kBytes, message.bytes_received(), bytes_total, now);
  }
}

std::vector<ImportedCollection> Receive(std::int64_t bytes_total, Stream& stream, Progress& progress) {
  std::vector<ImportedCollection> imported;
  pb::ImportChromaResponse message;
  while (stream.Read(&message)) {
    if (message.has_imported()) {
      imported.push_back(FromMessage(message.imported()));
    } else {
      Show(message.progress(), bytes_total, progress);
    }
  }
  progress.Finish();
  return imported;
}

}  // namespace

absl::StatusOr<std::vector<ImportedCollection>> ImportRemote(const ImportJob& job, const ClientOptions& options,
                                                             Progress& progress) {
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<ArchiveSource> source, OpenArchiveSource(job.store));
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Connect(options));
  const auto stub = pb::AdminService::NewStub(channel);
  grpc::ClientContext context;
  Authenticate(options, context);
  const std::unique_ptr<Stream> stream = stub->ImportChroma(&context);
  std::future<absl::Status> sent = std::async(std::launch::async, [&] {
    absl::Status status = Send(job, *source, *stream);
    if (!status.ok()) context.TryCancel();
    return status;
  });
  std::vector<ImportedCollection> imported = Receive(source->bytes_total(), *stream, progress);
  OMICS_RETURN_IF_ERROR(sent.get());
  OMICS_RETURN_IF_ERROR(FromGrpc(stream->Finish(), options));
  return imported;
}

}  // namespace omics::tools
