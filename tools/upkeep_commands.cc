#include <cstdio>

#include "base/text.h"
#include "omics/vector/v1/admin_service.grpc.pb.h"
#include "tools/client.h"
#include "tools/commands.h"
#include "tools/format.h"

namespace omics::tools {
namespace {

constexpr std::int64_t kHitsMax = 10'000;
constexpr std::int64_t kEfMax = 10'000;
constexpr std::int64_t kSamplesMax = 10'000;

struct RecallOptions {
  std::int64_t k = 10;
  std::int64_t ef = 0;
  std::int64_t samples = 100;
};

// These calls take as long as they take: no deadline.
absl::StatusOr<pb::CompactResponse> Compact(const ClientOptions& options, const CollectionOptions& collection) {
  const auto channel = Connect(options);
  if (!channel.ok()) return channel.status();
  grpc::ClientContext context;
  Authenticate(options, context);
  pb::CompactRequest request;
  *request.mutable_collection() = ToRef(collection);
  pb::CompactResponse response;
  const grpc::Status status = pb::AdminService::NewStub(*channel)->Compact(&context, request, &response);
  if (!status.ok()) return FromGrpc(status, options);
  return response;
}

absl::StatusOr<pb::MeasureRecallResponse> MeasureRecall(const ClientOptions& options,
                                                        const CollectionOptions& collection,
                                                        const RecallOptions& recall) {
  const auto channel = Connect(options);
  if (!channel.ok()) return channel.status();
  grpc::ClientContext context;
  Authenticate(options, context);
  pb::MeasureRecallRequest request;
  *request.mutable_collection() = ToRef(collection);
  request.set_k(static_cast<int>(recall.k));
  request.set_ef(static_cast<int>(recall.ef));
  request.set_samples(static_cast<int>(recall.samples));
  pb::MeasureRecallResponse response;
  const grpc::Status status = pb::AdminService::NewStub(*channel)->MeasureRecall(&context, request, &response);
  if (!status.ok()) return FromGrpc(status, options);
  return response;
}

}  // namespace

int RunCompact(int argc, const char* const* argv) {
  ClientOptions options;
  CollectionOptions collection;
  Config config("vectorctl compact",
                "Builds the graph over all rows now and gives back the space of deleted ones. Needs the role admin.");
  config.NoConfigFile();
  config.AddPositional("NAME", "The collection.", collection.name, true);
  AddCollectionOptions(config, collection);
  AddClientOptions(config, options, true);
  config.Examples("  vectorctl compact cell_ontology_v2024_01 --token \"$(cat data/token)\"");
  if (const auto code = config.Parse(argc, argv)) return *code;

  const auto response = Compact(options, collection);
  if (!response.ok()) return Fail("compact", response.status());
  const pb::CollectionStatus& status = response->status();
  std::printf("compacted %s: %s records, %s in the graph, %s on disk\n", OneLine(collection.name).c_str(),
              WithCommas(status.records()).c_str(), WithCommas(status.graph_rows()).c_str(),
              Bytes(status.disk_bytes()).c_str());
  return 0;
}

int RunRecall(int argc, const char* const* argv) {
  ClientOptions options;
  CollectionOptions collection;
  RecallOptions recall;
  Config config(
      "vectorctl recall",
      "Compares the graph's answers with exact ones on sampled rows: 1 means all of the true nearest are found. "
      "Needs the role admin.");
  config.NoConfigFile();
  config.AddPositional("NAME", "The collection.", collection.name, true);
  config.Group("Measurement");
  config.Add({"k", {}, "Hits per query."}, recall.k, 1, kHitsMax);
  config.Add({"ef", {}, "Candidates kept while searching; 0 is the collection's own."}, recall.ef, 0, kEfMax);
  config.Add({"samples", {}, "Rows to take as queries."}, recall.samples, 1, kSamplesMax);
  AddCollectionOptions(config, collection);
  AddClientOptions(config, options, true);
  config.Examples("  vectorctl recall cell_ontology_v2024_01 --samples 1000 --token \"$(cat data/token)\"");
  if (const auto code = config.Parse(argc, argv)) return *code;

  const auto response = MeasureRecall(options, collection, recall);
  if (!response.ok()) return Fail("recall", response.status());
  std::printf("recall@%lld %.4f over %d rows of %s (ef %d)\n", static_cast<long long>(recall.k), response->recall(),
              response->samples(), OneLine(collection.name).c_str(), response->ef());
  return 0;
}

}  // namespace omics::tools
