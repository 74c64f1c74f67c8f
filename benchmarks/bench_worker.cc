// Our engine, or Debian's FAISS, as one of the libraries that bench_libraries.py compares:
//
//   bench_worker ours|faiss-debian VECTORS.npy
//
// Speaks as libraries_worker.py does: says {"built": seconds}, then per line `EF QUERIES.npy FOUND` of standard input
// searches all queries, one at a time on one thread, writes the rows found (queries x 10, int64) and says
// {"seconds": of the pass}. Ours answers through Collection::Query with ids and distances; ef 0 is the calibrated one.
#include <faiss/IndexHNSW.h>
#include <omp.h>
#include <sched.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/resources.h"
#include "base/status.h"
#include "benchmarks/npy.h"
#include "index/catalog.h"
#include "tests/support/temp_dir.h"

namespace omics::benchmarks {
namespace {

constexpr int kHits = 10;
constexpr std::size_t kBatch = 1000;
constexpr int kFaissM = 16;
constexpr int kFaissEfConstruction = 200;

using Vectors = std::vector<std::vector<float>>;
using Rows = std::vector<std::int64_t>;
using Search = std::function<absl::StatusOr<Rows>(const std::vector<float>& query, int ef)>;

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Ours {
  TempDir dir;
  std::unique_ptr<index::Catalog> catalog;
  std::shared_ptr<index::Collection> collection;
};

absl::Status Insert(index::Collection& collection, Vectors vectors) {
  for (std::size_t first = 0; first < vectors.size(); first += kBatch) {
    std::vector<index::RecordChange> changes;
    for (std::size_t i = first; i < std::min(vectors.size(), first + kBatch); ++i) {
      changes.push_back({.id = absl::StrCat(i), .embedding = std::move(vectors[i])});
    }
    OMICS_RETURN_IF_ERROR(collection.Write(index::WriteMode::kInsert, std::move(changes), kNoDeadline).status());
  }
  return collection.Compact(kNoDeadline);
}

absl::StatusOr<Search> BuildOurs(Vectors vectors) {
  auto ours = std::make_shared<Ours>();
  index::CatalogOptions options = {.data_dir = ours->dir.path() / "data", .build_threads = DetectResources().threads};
  options.backlog_bytes_max = std::int64_t{16} << 30;
  options.tail_rows_max = 1 << 20;
  options.idle_before_build = std::chrono::hours(1);
  OMICS_ASSIGN_OR_RETURN(ours->catalog, index::Catalog::Open(options));
  index::CollectionSpec spec;
  spec.name = "bench";
  spec.metric = index::Metric::kCosine;
  OMICS_RETURN_IF_ERROR(ours->catalog->CreateCollection(spec, false, nullptr).status());
  OMICS_ASSIGN_OR_RETURN(ours->collection, ours->catalog->OpenCollection({.name = "bench"}));
  OMICS_RETURN_IF_ERROR(Insert(*ours->collection, std::move(vectors)));
  return Search([ours](const std::vector<float>& query, int ef) -> absl::StatusOr<Rows> {
    OMICS_ASSIGN_OR_RETURN(const auto hits,
                           ours->collection->Query({.vectors = {query}, .k = kHits, .ef = ef}, kNoDeadline));
    Rows rows;
    for (const index::Hit& hit : hits[0]) {
      if (!absl::SimpleAtoi(hit.record.id, &rows.emplace_back())) return absl::InternalError("an id is no row");
    }
    return rows;
  });
}

absl::StatusOr<Search> BuildFaiss(const Vectors& vectors) {
  if (vectors.empty()) return absl::InvalidArgumentError("no vectors");
  const auto dimension = static_cast<int>(vectors[0].size());
  auto faiss_index = std::make_shared<faiss::IndexHNSWFlat>(dimension, kFaissM, faiss::METRIC_INNER_PRODUCT);
  faiss_index->hnsw.efConstruction = kFaissEfConstruction;
  for (std::size_t first = 0; first < vectors.size(); first += kBatch) {
    std::vector<float> rows;
    const std::size_t end = std::min(vectors.size(), first + kBatch);
    for (std::size_t i = first; i < end; ++i) rows.insert(rows.end(), vectors[i].begin(), vectors[i].end());
    faiss_index->add(static_cast<std::int64_t>(end - first), rows.data());
  }
  return Search([faiss_index](const std::vector<float>& query, int ef) -> absl::StatusOr<Rows> {
    Rows rows(kHits);
    std::vector<float> distances(kHits);
    faiss_index->hnsw.efSearch = ef;
    faiss_index->search(1, query.data(), kHits, distances.data(), rows.data());
    return rows;
  });
}

absl::Status Pass(const Search& search, int ef, const std::string& queries_path, const std::string& found_path) {
  OMICS_ASSIGN_OR_RETURN(const Vectors queries, ReadNpy(queries_path));
  std::vector<Rows> found;
  found.reserve(queries.size());
  const auto start = std::chrono::steady_clock::now();
  for (const std::vector<float>& query : queries) {
    OMICS_ASSIGN_OR_RETURN(found.emplace_back(), search(query, ef));
  }
  const double seconds = SecondsSince(start);
  std::ofstream out(found_path, std::ios::binary);
  for (Rows& rows : found) {
    rows.resize(kHits, -1);
    out.write(reinterpret_cast<const char*>(rows.data()), kHits * std::int64_t{sizeof(std::int64_t)});
  }
  out.close();
  if (!out) return absl::UnavailableError(absl::StrCat("cannot write ", found_path));
  std::printf("{\"seconds\": %.9f}\n", seconds);
  std::fflush(stdout);
  return absl::OkStatus();
}

// The last of the cores that this process may use, as libraries_worker.py takes.
void TakeOneCore() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  int last = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core) last = CPU_ISSET(core, &allowed) ? core : last;
  CPU_ZERO(&allowed);
  CPU_SET(last, &allowed);
  sched_setaffinity(0, sizeof(allowed), &allowed);
  omp_set_num_threads(1);
}

absl::Status Main(std::string_view kind, const std::string& path) {
  OMICS_ASSIGN_OR_RETURN(Vectors vectors, ReadNpy(path));
  const auto start = std::chrono::steady_clock::now();
  OMICS_ASSIGN_OR_RETURN(const Search search, kind == "ours" ? BuildOurs(std::move(vectors)) : BuildFaiss(vectors));
  std::printf("{\"built\": %.3f}\n", SecondsSince(start));
  std::fflush(stdout);
  TakeOneCore();
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    int ef = 0;
    std::string queries, found;
    if (!(words >> ef >> queries >> found)) return absl::InvalidArgumentError(absl::StrCat("not a pass: ", line));
    OMICS_RETURN_IF_ERROR(Pass(search, ef, queries, found));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace omics::benchmarks

int main(int argc, char** argv) {
  const std::string_view kind = argc == 3 ? argv[1] : "";
  if (kind != "ours" && kind != "faiss-debian") {
    std::fprintf(stderr, "usage: bench_worker ours|faiss-debian VECTORS.npy\n");
    return 2;
  }
  const absl::Status status = omics::benchmarks::Main(kind, argv[2]);
  if (!status.ok()) std::fprintf(stderr, "bench_worker: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
