#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status.h"
#include "base/uuid.h"
#include "omics/vector/v1/admin_service.grpc.pb.h"
#include "tools/bundle_job.h"

namespace omics::tools {
namespace {

namespace fs = std::filesystem;

// The API's limit of one piece.
constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

absl::Status CheckNew(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(file.string(), " exists: choose another name, or remove it first"));
}

// A file that has its name only once it is whole.
class NewFile {
 public:
  explicit NewFile(const fs::path& path) : path_(path), partial_(path.string() + "." + MakeUuid() + ".partial") {}
  ~NewFile() {
    if (fd_ >= 0) close(fd_);
    std::error_code ignored;
    fs::remove(partial_, ignored);
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  absl::Status Open() {
    OMICS_RETURN_IF_ERROR(CheckNew(path_));
    fd_ = open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    return fd_ >= 0 ? absl::OkStatus() : ErrnoStatus(errno, absl::StrCat("make ", partial_.string()));
  }
  absl::Status Append(std::string_view bytes) {
    hasher_.Add(bytes);
    bytes_ += std::ssize(bytes);
    while (!bytes.empty()) {
      const ssize_t wrote = ::write(fd_, bytes.data(), bytes.size());
      if (wrote < 0 && errno != EINTR) return ErrnoStatus(errno, absl::StrCat("write ", partial_.string()));
      if (wrote > 0) bytes.remove_prefix(static_cast<std::size_t>(wrote));
    }
    return absl::OkStatus();
  }
  absl::Status Finish(const SavedBundle& wanted) {
    if (bytes_ != wanted.bytes || hasher_.Hex() != wanted.sha256) {
      return absl::DataLossError("what came is not the bundle that the service made: try again");
    }
    if (fsync(fd_) != 0) return ErrnoStatus(errno, absl::StrCat("fsync ", partial_.string()));
    OMICS_RETURN_IF_ERROR(CheckNew(path_));
    std::error_code error;
    fs::rename(partial_, path_, error);
    return error ? ErrnoStatus(error.value(), absl::StrCat("rename to ", path_.string())) : absl::OkStatus();
  }
  std::int64_t bytes() const { return bytes_; }

 private:
  const fs::path path_;
  const fs::path partial_;
  int fd_ = -1;
  std::int64_t bytes_ = 0;
  Sha256Hasher hasher_;
};

absl::Status Take(const pb::SaveBundleResponse& message, NewFile& file, SavedBundle& bundle, Progress& progress) {
  const auto now = Progress::Clock::now();
  if (message.has_summary()) {
    const pb::BundleSummary& summary = message.summary();
    bundle = {summary.records(), summary.sequence_number(), summary.bytes(), summary.sha256()};
  } else if (message.has_progress()) {
    progress.Update("packing", Progress::Unit::kBytes, message.progress().bytes_done(),
                    message.progress().bytes_total(), now);
  } else {
    OMICS_RETURN_IF_ERROR(file.Append(message.chunk()));
    progress.Update("receiving", Progress::Unit::kBytes, file.bytes(), bundle.bytes, now);
  }
  return absl::OkStatus();
}

using LoadStream = grpc::ClientWriter<pb::LoadBundleRequest>;

// A refused message is no error of ours: the stream's status has the reason.
absl::Status Send(const BundleLoadJob& job, LoadStream& stream, Progress& progress) {
  std::error_code error;
  const auto total = static_cast<std::int64_t>(fs::file_size(job.file, error));
  if (error) return ErrnoStatus(error.value(), absl::StrCat("open ", job.file.string()));
  std::ifstream file(job.file, std::ios::binary);
  if (!file) return ErrnoStatus(errno, absl::StrCat("open ", job.file.string()));
  pb::LoadBundleRequest message;
  pb::LoadBundleTarget& target = *message.mutable_target();
  target.set_tenant(job.collection.tenant);
  target.set_database(job.collection.database);
  target.set_name(job.collection.name);
  target.set_replace(job.replace);
  for (const std::string& alias : job.aliases) target.add_aliases(alias);
  for (std::int64_t sent = 0; stream.Write(message) && file.peek() != std::ifstream::traits_type::eof();) {
    message.clear_target();
    std::string& chunk = *message.mutable_chunk();
    chunk.resize(kChunkBytes);
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    chunk.resize(static_cast<std::size_t>(file.gcount()));
    progress.Update("sending", Progress::Unit::kBytes, sent, total, Progress::Clock::now());
    sent += std::ssize(chunk);
  }
  if (file.bad()) return absl::UnavailableError(absl::StrCat("cannot read ", job.file.string()));
  stream.WritesDone();
  progress.Update("sending", Progress::Unit::kBytes, total, total, Progress::Clock::now());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SavedBundle> SaveRemote(const CollectionOptions& collection, const fs::path& file,
                                       const ClientOptions& options, Progress& progress) {
  NewFile out(file);
  OMICS_RETURN_IF_ERROR(out.Open());
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Connect(options));
  const auto stub = pb::AdminService::NewStub(channel);
  grpc::ClientContext context;
  Authenticate(options, context);
  pb::SaveBundleRequest request;
  *request.mutable_collection() = ToRef(collection);
  const auto stream = stub->SaveBundle(&context, request);
  SavedBundle bundle;
  pb::SaveBundleResponse message;
  while (stream->Read(&message)) {
    const absl::Status taken = Take(message, out, bundle, progress);
    if (taken.ok()) continue;
    context.TryCancel();
    stream->Finish();
    return taken;
  }
  OMICS_RETURN_IF_ERROR(FromGrpc(stream->Finish(), options));
  OMICS_RETURN_IF_ERROR(out.Finish(bundle));
  progress.Finish();
  return bundle;
}

absl::StatusOr<LoadedBundle> LoadRemote(const BundleLoadJob& job, const ClientOptions& options, Progress& progress) {
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Connect(options));
  const auto stub = pb::AdminService::NewStub(channel);
  grpc::ClientContext context;
  Authenticate(options, context);
  pb::LoadBundleResponse response;
  const auto stream = stub->LoadBundle(&context, &response);
  const absl::Status sent = Send(job, *stream, progress);
  if (!sent.ok()) context.TryCancel();
  const grpc::Status status = stream->Finish();
  OMICS_RETURN_IF_ERROR(sent);
  OMICS_RETURN_IF_ERROR(FromGrpc(status, options));
  progress.Finish();
  return LoadedBundle{response.collection().name(), response.records(), response.sequence_number()};
}

}  // namespace omics::tools
