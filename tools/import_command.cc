#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/text.h"
#include "tools/commands.h"
#include "tools/format.h"
#include "tools/import_job.h"

namespace omics::tools {
namespace {

constexpr char kCommand[] = "import";
constexpr std::size_t kLostIdsShown = 5;

void WarnOfLostIds(const ImportedCollection& imported) {
  if (imported.lost_ids.empty()) return;
  const std::size_t shown = std::min(imported.lost_ids.size(), kLostIdsShown);
  std::string ids;
  for (std::size_t i = 0; i < shown; ++i) absl::StrAppend(&ids, i == 0 ? "" : ", ", OneLine(imported.lost_ids[i]));
  if (shown < imported.lost_ids.size()) absl::StrAppend(&ids, ", ...");
  std::fprintf(stderr, "warning: the store lists %s ids of %s whose vectors it has lost; they were left out: %s\n",
               WithCommas(static_cast<std::int64_t>(imported.lost_ids.size())).c_str(), OneLine(imported.name).c_str(),
               ids.c_str());
}

void Report(const std::vector<ImportedCollection>& imported) {
  for (const ImportedCollection& one : imported) {
    std::printf("imported %s: %s records, %d dimensions, %s\n", OneLine(one.name).c_str(),
                WithCommas(one.records).c_str(), one.dimension, one.metric.c_str());
    std::fflush(stdout);
    WarnOfLostIds(one);
  }
  if (imported.empty()) std::puts("the store holds no collections");
}

void AddImportOptions(Config& config, ImportJob& job, std::string& store, std::string& data_dir) {
  config.NoConfigFile();
  config.AddPositional("STORE", "A Chroma directory, or a .tar or .tar.gz of one; Chroma 0.4.0 or newer.", store, true);
  config.Group("Import");
  config.Add({"collection", {}, "The name to give the collection; empty imports every collection under its own name."},
             job.collection);
  config.Add({"source", {}, "Which collection of the store, by name or id; empty is all."}, job.source);
  config.Add({"tenant", {"OMICS_VECTOR_TENANT"}, "The tenant to import into; empty is default_tenant."}, job.tenant);
  config.Add({"database", {"OMICS_VECTOR_DATABASE"}, "The database to import into; empty is default_database."},
             job.database);
  config.Add({"replace",
              {},
              "Put the import in the place of a collection of the same name, at once, when it is "
              "complete."},
             job.replace);
  config.Add({"data-dir",
              {},
              "Import offline into this data directory, which no service may be using; empty imports "
              "into the service at --address."},
             data_dir);
  config.Examples(
      "  vectorctl import chroma.tar.gz --token \"$(cat data/token)\"\n"
      "  vectorctl import ./chroma --collection cell_type --replace --token \"$(cat data/token)\"\n"
      "  vectorctl import testdata/ontology/uberon_sapbert_768.tar.gz --collection tissue --data-dir ./data");
}

}  // namespace

int RunImport(int argc, const char* const* argv) {
  ClientOptions options;
  ImportJob job;
  std::string store;
  std::string data_dir;
  Config config("vectorctl import", "Imports a Chroma store: all of a collection, or none of it.");
  AddImportOptions(config, job, store, data_dir);
  AddClientOptions(config, options, true);
  if (const auto code = config.Parse(argc, argv)) return *code;

  job.store = store;
  Progress progress = Progress::ToStandardError();
  const auto imported =
      data_dir.empty() ? ImportRemote(job, options, progress) : ImportOffline(job, data_dir, progress);
  progress.Finish();
  if (!imported.ok()) return Fail(kCommand, imported.status());
  Report(*imported);
  return 0;
}

}  // namespace omics::tools
