#include <cstdio>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/scratch_path.h"
#include "base/status.h"
#include "base/text.h"
#include "cloud/s3.h"
#include "index/bundle.h"
#include "tools/bundle_job.h"
#include "tools/commands.h"
#include "tools/format.h"

namespace omics::tools {
namespace {

namespace fs = std::filesystem;

void AddDataDir(Config& config, const char* what, std::string& data_dir) {
  config.Add({"data-dir",
              {},
              absl::StrCat(what,
                           " offline, in this data directory, which no service may be using; empty is the service "
                           "at --address.")},
             data_dir);
}

struct SaveOptions {
  ClientOptions client;
  CollectionOptions collection;
  std::string data_dir;
  std::string place;  // a file or URL
};

absl::StatusOr<SavedBundle> SaveTo(const SaveOptions& options, const fs::path& file, Progress& progress) {
  return options.data_dir.empty() ? SaveRemote(options.collection, file, options.client, progress)
                                  : SaveOffline(options.collection, file, options.data_dir, progress);
}

std::string Describe(const SavedBundle& bundle) {
  return absl::StrCat(WithCommas(bundle.records), " records, sequence number ", bundle.sequence_number, ", ",
                      Bytes(bundle.bytes), ", sha256 ", bundle.sha256);
}

int Save(int argc, const char* const* argv) {
  SaveOptions options;
  Config config("vectorctl bundle save",
                "Writes a collection with its graphs to one .tar.zst file, as it is at one moment; reads and writes go "
                "on meanwhile. Needs the role admin.");
  config.NoConfigFile();
  config.AddPositional("COLLECTION", "The collection.", options.collection.name, true);
  config.AddPositional("FILE", "The file to make; there must be none of that name.", options.place, true);
  AddCollectionOptions(config, options.collection);
  AddDataDir(config, "Save", options.data_dir);
  AddClientOptions(config, options.client, true);
  config.Examples("  vectorctl bundle save cell_ontology_v2024_01 cells.tar.zst --token \"$(cat data/token)\"");
  if (const auto code = config.Parse(argc, argv)) return *code;

  Progress progress = Progress::ToStandardError();
  const auto saved = SaveTo(options, options.place, progress);
  progress.Finish();
  if (!saved.ok()) return Fail("bundle save", saved.status());
  std::printf("saved %s to %s: %s\n", OneLine(options.collection.name).c_str(), OneLine(options.place).c_str(),
              Describe(*saved).c_str());
  return 0;
}

absl::StatusOr<ScratchPath> MakeScratchDirectory() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  if (error) return ErrnoStatus(error.value(), "find the directory for temporary files (TMPDIR says where)");
  absl::StatusOr<ScratchPath> made = ScratchPath::MakeDirectory(parent, "vectorctl-");
  if (!made.ok()) return Annotate(made.status(), "a place for the bundle (TMPDIR says where)");
  return made;
}

absl::StatusOr<SavedBundle> SaveAndPush(const SaveOptions& options, const S3Settings& settings, Progress& progress) {
  OMICS_RETURN_IF_ERROR(cloud::ParseS3Url(options.place).status());
  OMICS_ASSIGN_OR_RETURN(const ScratchPath scratch, MakeScratchDirectory());
  const fs::path file = scratch.path() / "bundle.tar.zst";
  OMICS_ASSIGN_OR_RETURN(SavedBundle bundle, SaveTo(options, file, progress));
  OMICS_RETURN_IF_ERROR(PushBundle(file, bundle, options.place, settings, progress));
  return bundle;
}

int Push(int argc, const char* const* argv) {
  SaveOptions options;
  S3Settings settings;
  Config config("vectorctl bundle push",
                "Saves a collection as a bundle, uploads it to S3, and prints its entry for the service's --prewarm "
                "list. Needs the role admin, and AWS credentials as the AWS tools find them.");
  config.NoConfigFile();
  config.AddPositional("COLLECTION", "The collection.", options.collection.name, true);
  config.AddPositional("URL", "s3://bucket/key; an object that is there is replaced.", options.place, true);
  AddCollectionOptions(config, options.collection);
  AddDataDir(config, "Save", options.data_dir);
  config.Group("S3");
  config.Add({"s3-endpoint",
              {"OMICS_VECTOR_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"},
              "URL of an S3 that is not AWS's."},
             settings.endpoint);
  config.Add({"aws-region", {"OMICS_VECTOR_AWS_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"}, "Region of the bucket."},
             settings.region);
  AddClientOptions(config, options.client, true);
  config.Examples(
      "  vectorctl bundle push cell_ontology_v2024_01 s3://ontologies/cell_ontology_v2024_01.tar.zst \\\n"
      "      --token \"$(cat data/token)\"");
  if (const auto code = config.Parse(argc, argv)) return *code;

  Progress progress = Progress::ToStandardError();
  const auto saved = SaveAndPush(options, settings, progress);
  progress.Finish();
  if (!saved.ok()) return Fail("bundle push", saved.status());
  std::printf(
      "pushed %s to %s: %s\nfor the prewarm list:\n  {\"collection\": \"%s\", \"url\": \"%s\", \"sha256\": \"%s\"}\n",
      OneLine(options.collection.name).c_str(), OneLine(options.place).c_str(), Describe(*saved).c_str(),
      JsonLine(options.collection.name).c_str(), JsonLine(options.place).c_str(), saved->sha256.c_str());
  return 0;
}

int Verify(int argc, const char* const* argv) {
  std::string file;
  Config config("vectorctl bundle verify",
                "Checks a bundle as if it were loaded: sums, records, graphs. Unpacks it below TMPDIR meanwhile.");
  config.NoConfigFile();
  config.AddPositional("FILE", "The bundle.", file, true);
  config.Examples("  vectorctl bundle verify cells.tar.zst");
  if (const auto code = config.Parse(argc, argv)) return *code;

  Progress progress = Progress::ToStandardError();
  index::BundleLimits limits;
  limits.progress = [&progress](std::int64_t done, std::int64_t total) {
    progress.Update("checking", Progress::Unit::kBytes, done, total, Progress::Clock::now());
    return absl::OkStatus();
  };
  const auto manifest = index::VerifyBundle(file, limits);
  progress.Finish();
  if (!manifest.ok()) return Fail("bundle verify", manifest.status());
  std::printf("%s is whole: %s, %s records, %d dimensions, %s, sequence number %lld, saved by %s\n",
              OneLine(file).c_str(), OneLine(manifest->info.name).c_str(), WithCommas(manifest->records).c_str(),
              manifest->dimension, std::string(index::MetricName(manifest->info.metric)).c_str(),
              static_cast<long long>(manifest->sequence_number), OneLine(manifest->program).c_str());
  return 0;
}

int Load(int argc, const char* const* argv) {
  ClientOptions client;
  BundleLoadJob job;
  std::string file, data_dir, aliases;
  Config config("vectorctl bundle load",
                "Loads a bundle with its graphs: the collection appears when all of it was found good. Needs the role "
                "admin.");
  config.NoConfigFile();
  config.AddPositional("FILE", "The bundle.", file, true);
  config.Group("Load");
  config.Add({"name", {}, "The name to give the collection; empty is the one that it was saved under."},
             job.collection.name);
  config.Add({"replace", {}, "Put it in the place of a collection of the same name, at once, when it is complete."},
             job.replace);
  config.Add({"alias", {}, "Aliases that lead to it from then on, by comma."}, aliases);
  AddCollectionOptions(config, job.collection);
  AddDataDir(config, "Load", data_dir);
  AddClientOptions(config, client, true);
  config.Examples(
      "  vectorctl bundle load cells.tar.zst --alias cell_type --token \"$(cat data/token)\"\n"
      "  vectorctl bundle load cells.tar.zst --data-dir ./data");
  if (const auto code = config.Parse(argc, argv)) return *code;

  job.file = file;
  job.aliases = absl::StrSplit(aliases, ',', absl::SkipWhitespace());
  Progress progress = Progress::ToStandardError();
  const auto loaded = data_dir.empty() ? LoadRemote(job, client, progress) : LoadOffline(job, data_dir, progress);
  progress.Finish();
  if (!loaded.ok()) return Fail("bundle load", loaded.status());
  std::printf("loaded %s: %s records, sequence number %lld\n", OneLine(loaded->name).c_str(),
              WithCommas(loaded->records).c_str(), static_cast<long long>(loaded->sequence_number));
  return 0;
}

}  // namespace

int RunBundle(int argc, const char* const* argv) {
  static constexpr Subcommand kSubcommands[] = {{"save", Save}, {"push", Push}, {"verify", Verify}, {"load", Load}};
  return RunSubcommand(
      kSubcommands,
      "Usage: vectorctl bundle save COLLECTION FILE\n"
      "       vectorctl bundle push COLLECTION s3://BUCKET/KEY\n"
      "       vectorctl bundle verify FILE\n"
      "       vectorctl bundle load FILE [--name NAME] [--replace] [--alias NAMES]\n"
      "A bundle is a collection with its graphs in one file. `vectorctl bundle save --help` and so on show more.\n",
      argc, argv);
}

}  // namespace omics::tools
