#include "index/chroma_import.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace omics::index {
namespace {

// One batch waits for the disk, or for the graph builder where writes outran it; longer than this nothing healthy
// takes.
constexpr std::chrono::minutes kBatchTime{10};
// CollectionSpec's limit of client_configuration.
constexpr std::size_t kClientConfigurationBytesMax = 64 << 10;

struct Choice {
  const ChromaCollection* source = nullptr;
  std::string name;  // the new one
};

struct Staged {
  std::unique_ptr<StagedCollection> collection;
  ImportReport report;
};

std::string Names(const ChromaStore& store) {
  return absl::StrJoin(store.collections(), ", ", [](std::string* out, const ChromaCollection& collection) {
    absl::StrAppend(out, collection.name, " (", collection.id, ")");
  });
}

bool IsCalled(const ChromaCollection& collection, const std::string& name) {
  return collection.name == name || collection.id == name;
}

absl::StatusOr<std::vector<Choice>> Choose(const ChromaStore& store, const ImportTarget& target) {
  std::vector<Choice> choices;
  for (const ChromaCollection& collection : store.collections()) {
    if (!target.source_collection.empty() && !IsCalled(collection, target.source_collection)) continue;
    choices.push_back({&collection, target.collection.empty() ? collection.name : target.collection});
  }
  if (choices.empty()) {
    return absl::NotFoundError(
        absl::StrCat("the store has no collection '", target.source_collection, "'; it has: ", Names(store)));
  }
  std::set<std::string_view> names;
  for (const Choice& choice : choices) {
    if (names.insert(choice.name).second) continue;
    return absl::InvalidArgumentError(absl::StrCat("more than one collection would become '", choice.name,
                                                   "'; choose the source by name or id: ", Names(store)));
  }
  return choices;
}

CollectionRef Ref(const ImportTarget& target, const std::string& name) {
  return {.tenant = target.tenant, .database = target.database, .name = name, .id = ""};
}

// Before the work, not after it; Publish() checks again.
absl::Status CheckNames(const std::vector<Choice>& choices, const ImportTarget& target, const Catalog& catalog) {
  OMICS_RETURN_IF_ERROR(catalog.GetDatabase(target.tenant, target.database).status());
  for (const Choice& choice : choices) {
    if (target.check_name) OMICS_RETURN_IF_ERROR(target.check_name(choice.name));
  }
  if (target.replace) return absl::OkStatus();
  for (const Choice& choice : choices) {
    const absl::StatusOr<CollectionInfo> found = catalog.GetCollection(Ref(target, choice.name));
    if (found.ok() && found->name == choice.name) {
      return WithReason(absl::AlreadyExistsError(absl::StrCat("collection '", choice.name,
                                                              "' exists; choose another name, or ask to replace it")),
                        "COLLECTION_EXISTS");
    }
    if (found.ok()) return NameTaken(choice.name, *found);
    if (!absl::IsNotFound(found.status())) return found.status();
  }
  return absl::OkStatus();
}

CollectionSpec ToSpec(const Choice& choice, const ImportTarget& target) {
  CollectionSpec spec;
  spec.tenant = target.tenant;
  spec.database = target.database;
  spec.name = choice.name;
  spec.metric = choice.source->metric;
  spec.hnsw = choice.source->hnsw;
  spec.metadata = choice.source->metadata;
  // A schema grows with every metadata key. Clients rebuild it from what they get, so one that is too large is left
  // out.
  if (choice.source->client_configuration.size() <= kClientConfigurationBytesMax) {
    spec.client_configuration = choice.source->client_configuration;
  }
  return spec;
}

class Importer {
 public:
  Importer(const ChromaStore& store, const ImportTarget& target, Catalog& catalog, const ImportProgressFn& progress)
      : store_(store), target_(target), catalog_(catalog), progress_(progress) {}

  absl::StatusOr<std::vector<ImportReport>> Run(const std::vector<Choice>& choices) {
    for (const Choice& choice : choices) rows_total_ += choice.source->records;
    for (const Choice& choice : choices) {
      const absl::Status staged = Stage(choice);
      if (!staged.ok()) return Annotate(staged, absl::StrCat("import of '", choice.source->name, "'"));
    }
    return Publish();
  }

 private:
  absl::Status Stage(const Choice& choice) {
    Staged staged;
    OMICS_ASSIGN_OR_RETURN(staged.collection, catalog_.StageCollection(ToSpec(choice, target_)));
    Collection& collection = staged.collection->collection();
    const auto write = [this, &collection, &staged](std::vector<RecordChange> batch) -> absl::Status {
      const auto rows = static_cast<std::int64_t>(batch.size());
      OMICS_ASSIGN_OR_RETURN(const WriteResult result, collection.Write(WriteMode::kInsert, std::move(batch),
                                                                        std::chrono::steady_clock::now() + kBatchTime));
      staged.report.records += result.inserted;
      rows_done_ += rows;
      return progress_ ? progress_(rows_done_, rows_total_) : absl::OkStatus();
    };
    OMICS_RETURN_IF_ERROR(store_.Read(*choice.source, write, staged.report.lost_ids));
    rows_total_ -= static_cast<std::int64_t>(staged.report.lost_ids.size());
    staged_.push_back(std::move(staged));
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<ImportReport>> Publish() {
    std::vector<ImportReport> reports;
    for (Staged& staged : staged_) {
      absl::StatusOr<CollectionInfo> info =
          staged.collection->Publish(PublishOptions{target_.replace, target_.aliases, target_.source});
      if (!info.ok()) {
        Withdraw(reports);
        return info.status();
      }
      staged.report.info = *std::move(info);
      reports.push_back(std::move(staged.report));
    }
    return reports;
  }

  void Withdraw(const std::vector<ImportReport>& published) {
    for (const ImportReport& report : published) {
      CollectionRef ref = Ref(target_, report.info.name);
      ref.id = report.info.id;
      catalog_.DeleteCollection(ref).IgnoreError();
    }
  }

  const ChromaStore& store_;
  const ImportTarget& target_;
  Catalog& catalog_;
  const ImportProgressFn& progress_;
  std::int64_t rows_done_ = 0;
  std::int64_t rows_total_ = 0;
  std::vector<Staged> staged_;
};

}  // namespace

absl::StatusOr<std::vector<ImportReport>> ImportChromaStore(const ChromaStore& store, const ImportTarget& target,
                                                            Catalog& catalog, const ImportProgressFn& progress) {
  OMICS_ASSIGN_OR_RETURN(const std::vector<Choice> choices, Choose(store, target));
  OMICS_RETURN_IF_ERROR(CheckNames(choices, target, catalog));
  return Importer(store, target, catalog, progress).Run(choices);
}

}  // namespace omics::index
