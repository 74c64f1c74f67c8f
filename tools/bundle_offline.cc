#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cloud/s3.h"
#include "index/bundle.h"
#include "tools/bundle_job.h"
#include "tools/offline_catalog.h"

namespace omics::tools {
namespace {

namespace fs = std::filesystem;

// S3's limit of one request.
constexpr std::int64_t kPutBytesMax = std::int64_t{5} << 30;

index::BundleLimits Shown(const std::string& label, Progress& progress) {
  index::BundleLimits limits;
  limits.progress = [label, &progress](std::int64_t done, std::int64_t total) {
    progress.Update(label, Progress::Unit::kBytes, done, total, Progress::Clock::now());
    return absl::OkStatus();
  };
  return limits;
}

std::string OrDefault(const std::string& name, const char* fallback) { return name.empty() ? fallback : name; }

}  // namespace

absl::StatusOr<SavedBundle> SaveOffline(const CollectionOptions& collection, const fs::path& file,
                                        const fs::path& data_dir, Progress& progress) {
  std::error_code error;
  if (!fs::is_directory(data_dir, error)) {
    return absl::NotFoundError(absl::StrCat("there is no data directory ", data_dir.string()));
  }
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::Catalog> catalog, OpenOffline(data_dir, "save from", false));
  index::CollectionRef ref;
  ref.tenant = OrDefault(collection.tenant, index::kDefaultTenant);
  ref.database = OrDefault(collection.database, index::kDefaultDatabase);
  ref.name = collection.name;
  OMICS_ASSIGN_OR_RETURN(const index::BundleManifest manifest,
                         index::SaveBundle(*catalog, ref, file, Shown("packing", progress)));
  progress.Finish();
  return SavedBundle{manifest.records, manifest.sequence_number, manifest.file_bytes, manifest.file_sha256};
}

absl::StatusOr<LoadedBundle> LoadOffline(const BundleLoadJob& job, const fs::path& data_dir, Progress& progress) {
  // Before a data directory is made for a file that is none.
  OMICS_RETURN_IF_ERROR(index::ReadBundleManifest(job.file).status());
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::Catalog> catalog, OpenOffline(data_dir, "load into", false));
  index::BundleTarget target;
  target.tenant = OrDefault(job.collection.tenant, index::kDefaultTenant);
  target.database = OrDefault(job.collection.database, index::kDefaultDatabase);
  target.name = job.collection.name;
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::StagedCollection> staged,
                         index::StageBundle(*catalog, job.file, target, Shown("loading", progress)));
  LoadedBundle loaded;
  loaded.records = staged->collection().Count();
  loaded.sequence_number = staged->collection().sequence_number();
  index::PublishOptions options;
  options.replace = job.replace;
  options.aliases = job.aliases;
  OMICS_ASSIGN_OR_RETURN(const index::CollectionInfo info, staged->Publish(options));
  loaded.name = info.name;
  progress.Finish();
  return loaded;
}

absl::Status PushBundle(const fs::path& file, const SavedBundle& bundle, const std::string& url,
                        const S3Settings& settings, Progress& progress) {
  if (bundle.bytes > kPutBytesMax) {
    return absl::OutOfRangeError(absl::StrCat("the bundle has ", bundle.bytes, " bytes, S3 takes ", kPutBytesMax,
                                              " in one request: save it to a file and upload that in parts"));
  }
  OMICS_ASSIGN_OR_RETURN(const cloud::S3Location place, cloud::ParseS3Url(url));
  cloud::S3Options options;
  options.endpoint = settings.endpoint;
  options.region = settings.region;
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<cloud::S3> s3,
                         cloud::S3::Make(std::move(options), std::make_shared<cloud::CredentialChain>()));
  progress.Update("uploading", Progress::Unit::kBytes, 0, bundle.bytes, Progress::Clock::now());
  OMICS_RETURN_IF_ERROR(s3->PutFile(place.bucket, place.key, file, nullptr).status());
  progress.Update("uploading", Progress::Unit::kBytes, bundle.bytes, bundle.bytes, Progress::Clock::now());
  const std::string name = place.key.substr(place.key.rfind('/') + 1);
  OMICS_RETURN_IF_ERROR(
      s3->Put(place.bucket, place.key + ".sha256", absl::StrCat(bundle.sha256, "  ", name, "\n"), {}, nullptr)
          .status());
  progress.Finish();
  return absl::OkStatus();
}

}  // namespace omics::tools
