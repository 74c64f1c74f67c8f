// Search alone, without any server: recall@10 and queries per second of one thread over a range of ef.
//
//   bench_engine STORE QUERIES.npy
//
// STORE is a Chroma store (directory or archive); its only collection is imported into a temporary directory.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "base/resources.h"
#include "base/status.h"
#include "benchmarks/npy.h"
#include "index/catalog.h"
#include "index/chroma_import.h"
#include "tests/support/temp_dir.h"

namespace omics::benchmarks {
namespace {

using index::Hit;
using Seconds = std::chrono::duration<double>;
using Results = std::vector<std::vector<Hit>>;

constexpr int kHits = 10;

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return Seconds(std::chrono::steady_clock::now() - start).count();
}

absl::StatusOr<Results> Run(const index::Collection& collection, const std::vector<std::vector<float>>& queries, int ef,
                            bool exact) {
  Results results;
  for (const std::vector<float>& query : queries) {
    OMICS_ASSIGN_OR_RETURN(Results one,
                           collection.Query({.vectors = {query}, .k = kHits, .ef = ef, .exact = exact}, kNoDeadline));
    results.push_back(std::move(one[0]));
  }
  return results;
}

double Recall(const Results& truth, const Results& found) {
  std::size_t hits = 0, wanted = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    std::set<std::string> ids;
    for (const Hit& hit : truth[i]) ids.insert(hit.record.id);
    for (const Hit& hit : found[i]) hits += ids.count(hit.record.id);
    wanted += ids.size();
  }
  return static_cast<double>(hits) / static_cast<double>(std::max<std::size_t>(1, wanted));
}

absl::Status PrintRow(const index::Collection& collection, const std::vector<std::vector<float>>& queries,
                      const Results& truth, int ef) {
  double best = 0;
  double recall = 0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    OMICS_ASSIGN_OR_RETURN(const Results found, Run(collection, queries, ef, false));
    best = std::max(best, static_cast<double>(queries.size()) / SecondsSince(start));
    recall = Recall(truth, found);
  }
  std::printf("%8d %10.4f %12.0f %10.1f\n", ef, recall, best, 1e6 / best);
  return absl::OkStatus();
}

absl::Status Main(const std::string& store_path, const std::string& queries_path) {
  const TempDir dir;
  OMICS_ASSIGN_OR_RETURN(const std::vector<std::vector<float>> queries, ReadNpy(queries_path));
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::ChromaStore> store,
                         index::ChromaStore::Open(store_path, dir.path(), {}));
  const index::CatalogOptions options = {.data_dir = dir.path() / "data", .build_threads = DetectResources().threads};
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::Catalog> catalog, index::Catalog::Open(options));
  auto start = std::chrono::steady_clock::now();
  OMICS_ASSIGN_OR_RETURN(const std::vector<index::ImportReport> reports,
                         index::ImportChromaStore(*store, {.collection = "bench"}, *catalog,
                                                  [](std::int64_t, std::int64_t) { return absl::OkStatus(); }));
  std::printf("import      %8.2f s, %lld records\n", SecondsSince(start), static_cast<long long>(reports[0].records));
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<index::Collection> collection,
                         catalog->OpenCollection({.name = "bench"}));
  start = std::chrono::steady_clock::now();
  OMICS_RETURN_IF_ERROR(collection->Compact(kNoDeadline));
  std::printf("graph build %8.2f s, %d threads\n", SecondsSince(start), options.build_threads);
  start = std::chrono::steady_clock::now();
  OMICS_ASSIGN_OR_RETURN(const Results truth, Run(*collection, queries, 0, true));
  std::printf("exact       %8.1f us per query\n", 1e6 * SecondsSince(start) / static_cast<double>(queries.size()));
  std::printf("%8s %10s %12s %10s\n", "ef", "recall@10", "queries/s", "us/query");
  for (const int ef : {20, 40, 60, 80, 100, 150, 200, 300, 400}) {
    OMICS_RETURN_IF_ERROR(PrintRow(*collection, queries, truth, ef));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace omics::benchmarks

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bench_engine STORE QUERIES.npy\n");
    return 2;
  }
  const absl::Status status = omics::benchmarks::Main(argv[1], argv[2]);
  if (!status.ok()) std::fprintf(stderr, "bench_engine: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
