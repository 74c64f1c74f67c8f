#include "services/prewarm.h"

#include <exception>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"

namespace omics::services {
namespace {

absl::Status Open(const index::Catalog& catalog, const index::CollectionInfo& info) {
  return catalog.OpenCollection({.tenant = info.tenant, .database = info.database, .name = info.name, .id = info.id})
      .status();
}

}  // namespace

Prewarm::Prewarm(const index::Catalog& catalog, Health& health, PrewarmSources& sources)
    : catalog_(catalog), health_(health), sources_(sources), thread_([this] { Run(); }) {}

Prewarm::~Prewarm() {
  stop_ = true;
  sources_.Stop();
  thread_.join();
}

void Prewarm::Run() {
  try {
    sources_.Start();
    if (!OpenListed() || !sources_.WaitUntilServed() || stop_) return;
    health_.SetReady();
    LogInfo("ready");
    OpenOthers();
  } catch (const std::exception& error) {
    LogError(absl::StrCat("prewarming stopped: ", error.what()));
  }
}

bool Prewarm::OpenListed() {
  bool all_readable = true;
  for (const std::string& name : health_.collections()) {
    if (stop_) return false;
    if (sources_.Lists(name)) continue;
    index::CollectionRef ref;
    ref.name = name;
    const auto info = catalog_.GetCollection(ref);
    const absl::Status status = info.ok() ? Open(catalog_, *info) : info.status();
    if (status.ok()) {
      health_.SetCollection(*info, true);
      LogInfo(absl::StrCat("loaded collection=", name));
    } else if (absl::IsNotFound(status)) {
      LogWarning(absl::StrCat("--prewarm-collections: there is no collection '", name, "' yet"));
    } else {
      LogError(absl::StrCat("--prewarm-collections: '", name, "' cannot be loaded: ", status.ToString()));
      all_readable = false;
    }
  }
  return all_readable;
}

void Prewarm::OpenOthers() {
  const auto all = catalog_.ListAllCollections();
  if (!all.ok()) return;
  std::size_t opened = 0;
  for (const index::CollectionInfo& info : *all) {
    if (stop_ || opened == kPrewarmOthersMax) return;
    const absl::Status status = Open(catalog_, info);
    if (!status.ok() && !absl::IsNotFound(status)) {
      LogError(absl::StrCat("collection '", info.name, "' cannot be loaded: ", status.ToString()));
    }
    ++opened;
  }
}

}  // namespace omics::services
