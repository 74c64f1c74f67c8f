// Search alone, without any server, one thread: recall@10, time and distances, of the walk by codes beside the walk by
// float32 over the same graph, then of Collection::Query.
//
//   bench_engine STORE|VECTORS.npy|FILE.segment QUERIES.npy
//
// A Chroma store's (directory or archive) only collection, or the vectors (compared by cosine), go into a temporary
// directory; of a segment only the walks are measured. Times are the sum over the queries of the best of several
// passes: other work on the machine only adds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/resources.h"
#include "base/status.h"
#include "benchmarks/float_walk.h"
#include "benchmarks/npy.h"
#include "index/catalog.h"
#include "index/chroma_import.h"
#include "index/internal/segment.h"
#include "tests/support/temp_dir.h"

namespace omics::benchmarks {
namespace {

using index::Segment;
using index::WalkHit;

constexpr int kHits = 10;
constexpr int kPasses = 6;
constexpr int kWidths[] = {20, 30, 40, 60, 80, 100, 150, 200, 400};

using Vectors = std::vector<std::vector<float>>;
// The positions or rows found for each query.
using Found = std::vector<std::vector<std::int64_t>>;

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Run {
  double seconds = 0;
  Found found;
};

Run Time(std::size_t queries, int passes, const std::function<std::vector<std::int64_t>(std::size_t)>& search) {
  Run run;
  run.found.resize(queries);
  std::vector<double> best(queries, 1e9);
  for (int pass = 0; pass < passes; ++pass) {
    for (std::size_t i = 0; i < queries; ++i) {
      const auto start = std::chrono::steady_clock::now();
      run.found[i] = search(i);
      best[i] = std::min(best[i], SecondsSince(start));
    }
  }
  for (const double seconds : best) run.seconds += seconds;
  return run;
}

double Recall(const Found& truth, const Found& found) {
  std::size_t hits = 0, wanted = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    for (const std::int64_t row : found[i]) hits += std::count(truth[i].begin(), truth[i].end(), row) > 0 ? 1 : 0;
    wanted += truth[i].size();
  }
  return static_cast<double>(hits) / static_cast<double>(std::max<std::size_t>(1, wanted));
}

void Print(const std::string& what, int ef, const Run& run, const Found& truth, double distances) {
  const double seconds = run.seconds / static_cast<double>(truth.size());
  std::printf("%-16s %6d %10.4f %12.0f %10.1f %10.0f\n", what.c_str(), ef, Recall(truth, run.found), 1 / seconds,
              1e6 * seconds, distances);
}

// Searches of one segment.
class SegmentBench {
 public:
  SegmentBench(const Segment& segment, const Vectors& queries) : segment_(segment), queries_(queries) {}

  void PrintAll() {
    const Run exact = Time(queries_.size(), 1, [this](std::size_t i) { return Scan(queries_[i]); });
    truth_ = exact.found;
    std::printf("codes of %u numbers in %zu bytes; ef %d and %d for 10 and 100 hits\n",
                segment_.codes().space.code_dimension, segment_.codes().space.stride(), segment_.calibrated_ef().few,
                segment_.calibrated_ef().many);
    std::printf("%-16s %6s %10s %12s %10s %10s\n", "", "ef", "recall@10", "queries/s", "us/query", "distances");
    Print("float scan", 0, exact, truth_, static_cast<double>(segment_.rows()));
    for (const int ef : kWidths) PrintWidth(ef);
  }

 private:
  index::RowDistance DistanceTo(const std::vector<float>& query) const {
    return {segment_.metric(), query.data(), query.size()};
  }

  static std::vector<std::int64_t> Nearest(std::vector<WalkHit> hits) {
    const auto count = std::min<std::ptrdiff_t>(kHits, std::ssize(hits));
    std::partial_sort(hits.begin(), hits.begin() + count, hits.end(), [](const WalkHit& a, const WalkHit& b) {
      return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
    });
    std::vector<std::int64_t> rows;
    for (std::ptrdiff_t i = 0; i < count; ++i) rows.push_back(hits[static_cast<std::size_t>(i)].row);
    return rows;
  }

  std::vector<std::int64_t> Scan(const std::vector<float>& query) const {
    const index::RowDistance distance = DistanceTo(query);
    std::vector<WalkHit> hits;
    for (std::int64_t row = 0; row < segment_.rows(); ++row) {
      hits.push_back({distance(segment_.Vector(row), segment_.Scale(row)), static_cast<std::int32_t>(row)});
    }
    return Nearest(std::move(hits));
  }

  void PrintWidth(int ef) {
    std::int64_t distances = 0;
    const Run floats = Time(queries_.size(), kPasses, [&](std::size_t i) {
      const index::RowDistance distance = DistanceTo(queries_[i]);
      return Nearest(WalkFloats(segment_.graph(), segment_.rows(), static_cast<std::size_t>(ef), [&](std::int32_t row) {
        ++distances;
        return distance(segment_.Vector(row), segment_.Scale(row));
      }));
    });
    Print("walk by float32", ef, floats, truth_, PerQuery(distances));
    distances = 0;
    const Run codes =
        Time(queries_.size(), kPasses, [&](std::size_t i) { return WalkByCodes(queries_[i], ef, distances); });
    Print("walk by codes", ef, codes, truth_, PerQuery(distances));
  }

  std::vector<std::int64_t> WalkByCodes(const std::vector<float>& query, int ef, std::int64_t& distances) const {
    index::ScratchPool::Lease scratch = segment_.TakeScratch();
    const index::CodeWalkResult walked =
        index::WalkCodes(segment_.graph(), segment_.codes(), query.data(), {.ef = ef, .choice = {}}, *scratch);
    distances += walked.distances;
    const index::RowDistance distance = DistanceTo(query);
    std::vector<WalkHit> hits;
    const auto most = static_cast<std::size_t>(index::RowsToRerank(kHits));
    for (const WalkHit& hit : walked.hits.first(std::min(walked.hits.size(), most))) {
      hits.push_back({distance(segment_.Vector(hit.row), segment_.Scale(hit.row)), hit.row});
    }
    return Nearest(std::move(hits));
  }

  double PerQuery(std::int64_t distances) const {
    return static_cast<double>(distances) / kPasses / static_cast<double>(queries_.size());
  }

  const Segment& segment_;
  const Vectors& queries_;
  Found truth_;
};

// Collection::Query: with the calibrated ef, and exact.
absl::Status PrintCollection(const index::Collection& collection, const Vectors& queries) {
  absl::Status status;
  const auto query = [&](bool exact) {
    return Time(queries.size(), exact ? 1 : kPasses, [&](std::size_t i) {
      std::vector<std::int64_t> ids;
      const auto hits = collection.Query({.vectors = {queries[i]}, .k = kHits, .exact = exact}, kNoDeadline);
      status.Update(hits.status());
      if (!hits.ok()) return ids;
      for (const index::Hit& hit : (*hits)[0]) {
        ids.push_back(static_cast<std::int64_t>(std::hash<std::string>()(hit.record.id)));
      }
      return ids;
    });
  };
  const Run exact = query(true);
  Print("query, exact", 0, exact, exact.found, 0);
  Print("query", 0, query(false), exact.found, 0);
  return status;
}

absl::Status ImportStore(const std::string& path, const TempDir& dir, index::Catalog& catalog) {
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::ChromaStore> store,
                         index::ChromaStore::Open(path, dir.path(), {}));
  return index::ImportChromaStore(*store, {.collection = "bench"}, catalog,
                                  [](std::int64_t, std::int64_t) { return absl::OkStatus(); })
      .status();
}

absl::Status InsertVectors(const std::string& path, index::Catalog& catalog) {
  constexpr std::size_t kBatch = 1000;
  OMICS_ASSIGN_OR_RETURN(Vectors vectors, ReadNpy(path));
  index::CollectionSpec spec;
  spec.name = "bench";
  spec.metric = index::Metric::kCosine;
  OMICS_RETURN_IF_ERROR(catalog.CreateCollection(spec, false, nullptr).status());
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<index::Collection> collection,
                         catalog.OpenCollection({.name = "bench"}));
  for (std::size_t first = 0; first < vectors.size(); first += kBatch) {
    std::vector<index::RecordChange> changes;
    for (std::size_t i = first; i < std::min(vectors.size(), first + kBatch); ++i) {
      changes.push_back({.id = absl::StrCat("r", i), .embedding = std::move(vectors[i])});
    }
    OMICS_RETURN_IF_ERROR(collection->Write(index::WriteMode::kInsert, std::move(changes), kNoDeadline).status());
  }
  return absl::OkStatus();
}

std::vector<std::filesystem::path> SegmentsBelow(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.path().extension() == index::kSegmentSuffix) paths.push_back(entry.path());
  }
  return paths;
}

absl::Status Main(const std::string& source, const std::string& queries_path) {
  if (absl::EndsWith(source, index::kSegmentSuffix)) {
    OMICS_ASSIGN_OR_RETURN(const Vectors queries, ReadNpy(queries_path));
    OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<const Segment> segment, Segment::Open(source));
    SegmentBench(*segment, queries).PrintAll();
    return absl::OkStatus();
  }
  const TempDir dir;
  const std::filesystem::path data = dir.path() / "data";
  OMICS_ASSIGN_OR_RETURN(const Vectors queries, ReadNpy(queries_path));
  index::CatalogOptions options = {.data_dir = data, .build_threads = DetectResources().threads};
  options.backlog_bytes_max = std::int64_t{16} << 30;
  options.tail_rows_max = 1 << 20;  // one build of everything, below, rather than several on the way
  options.idle_before_build = std::chrono::hours(1);
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<index::Catalog> catalog, index::Catalog::Open(options));
  auto start = std::chrono::steady_clock::now();
  OMICS_RETURN_IF_ERROR(absl::EndsWith(source, ".npy") ? InsertVectors(source, *catalog)
                                                       : ImportStore(source, dir, *catalog));
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<index::Collection> collection,
                         catalog->OpenCollection({.name = "bench"}));
  std::printf("import        %8.2f s, %lld records\n", SecondsSince(start),
              static_cast<long long>(collection->Count()));
  start = std::chrono::steady_clock::now();
  OMICS_RETURN_IF_ERROR(collection->Compact(kNoDeadline));
  std::printf("segment build %8.2f s, %d threads\n", SecondsSince(start), options.build_threads);
  const std::vector<std::filesystem::path> segments = SegmentsBelow(data);
  if (segments.size() != 1) return absl::InternalError(absl::StrCat(segments.size(), " segments instead of one"));
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<const Segment> segment, Segment::Open(segments[0]));
  SegmentBench(*segment, queries).PrintAll();
  return PrintCollection(*collection, queries);
}

}  // namespace
}  // namespace omics::benchmarks

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bench_engine STORE|VECTORS.npy|FILE.segment QUERIES.npy\n");
    return 2;
  }
  const absl::Status status = omics::benchmarks::Main(argv[1], argv[2]);
  if (!status.ok()) std::fprintf(stderr, "bench_engine: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
