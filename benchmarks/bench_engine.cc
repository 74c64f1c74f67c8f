// Search alone, without any server, one thread: what the walk by codes costs beside the walk by float32 over the same
// graph and beside what the machine allows, then Collection::Query. bench_engine.py calls it and makes tables of it.
//
//   bench_engine STORE|VECTORS.npy|FILE.segment QUERIES.npy
//
// A Chroma store's (directory or archive) only collection, or the vectors (compared by cosine), go into a temporary
// directory; of a segment only the walks are measured. Times are the mean over the queries of the best of several
// passes: other work on the machine only adds.
//
// Says one JSON object a line, "line" naming its kind. A "search" has "bytes", those of the rows that a query reads
// and, by codes, of the links, with two times that no program can beat which reads and compares the same: "memory_us",
// of the bytes at the speed of memory read in order (caches, where the data fit into them, are faster), and
// "kernels_us", of the kernels' work on rows that the first cache holds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/resources.h"
#include "base/status.h"
#include "benchmarks/float_walk.h"
#include "benchmarks/machine_limits.h"
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
  double seconds = 0;  // a query
  Found found;
};

// What a query did on the average.
struct Work {
  double codes = 0;     // rows compared by codes
  double floats = 0;    // rows compared by float32
  double expanded = 0;  // rows whose links were read
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
  for (const double seconds : best) run.seconds += seconds / static_cast<double>(queries);
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

void Say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

std::string SearchLine(const std::string& what, int ef, const Run& run, const Found& truth) {
  return absl::StrFormat(R"("line": "search", "what": "%s", "ef": %d, "recall": %.5f, "us": %.3f)", what, ef,
                         Recall(truth, run.found), 1e6 * run.seconds);
}

void SayKernel(const std::string& rows, const KernelTime& kernel) {
  Say(absl::StrFormat(R"({"line": "kernel", "what": "%s, %s", "cached_ns": %.2f, "random_ns": %.2f})", kernel.name,
                      rows, kernel.cached_ns, kernel.random_ns));
}

// Searches of one segment.
class SegmentBench {
 public:
  SegmentBench(const Segment& segment, const Vectors& queries) : segment_(segment), queries_(queries) {}

  void Measure() {
    SayLimits();
    const Run exact = Time(queries_.size(), 1, [this](std::size_t i) { return Scan(queries_[i]); });
    truth_ = exact.found;
    SaySearch("float scan", 0, exact, {.floats = static_cast<double>(segment_.rows())});
    for (const int ef : kWidths) MeasureWidth(ef);
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

  void SayLimits() {
    const index::CodeSpace& space = segment_.codes().space;
    limits_ = MeasureMachine(space.stride(), space.dimension);
    encode_seconds_ = Time(queries_.size(), kPasses, [&](std::size_t i) {
                        index::QueryCode().Encode(space, queries_[i].data(), index::BestDotKernel());
                        return std::vector<std::int64_t>();
                      }).seconds;
    for (const KernelTime& kernel : limits_.codes) SayKernel(absl::StrCat(space.stride(), " bytes of codes"), kernel);
    for (const KernelTime& kernel : limits_.floats) SayKernel(absl::StrCat(space.dimension, " floats"), kernel);
    const index::CalibratedEf& ef = segment_.calibrated_ef();
    Say(absl::StrFormat(
        R"({"line": "limits", "bytes_per_second": %.0f, "encode_us": %.2f, "rows": %d, "code_numbers": %d, )"
        R"("code_bytes": %d, "m": %d, "ef_for_10": %d, "ef_for_100": %d})",
        limits_.bytes_per_second, 1e6 * encode_seconds_, segment_.rows(), space.code_dimension, space.stride(),
        segment_.graph().m, ef.few, ef.many));
  }

  void SaySearch(const std::string& what, int ef, const Run& run, const Work& work) {
    const index::CodeSpace& space = segment_.codes().space;
    const double link_bytes = 2 * segment_.graph().m * static_cast<double>(sizeof(std::int32_t));
    const double bytes = work.codes * static_cast<double>(space.stride()) +
                         work.floats * static_cast<double>(space.dimension * sizeof(float)) +
                         work.expanded * link_bytes;
    const double kernels =
        1e-9 * (work.codes * limits_.codes[0].cached_ns + work.floats * limits_.floats[0].cached_ns) +
        (work.codes > 0 ? encode_seconds_ : 0);
    Say(absl::StrFormat(R"({%s, "distances": %.1f, "bytes": %.0f, "memory_us": %.3f, "kernels_us": %.3f})",
                        SearchLine(what, ef, run, truth_), work.codes > 0 ? work.codes : work.floats, bytes,
                        1e6 * bytes / limits_.bytes_per_second, 1e6 * kernels));
  }

  void MeasureWidth(int ef) {
    Work work;
    const Run floats = Time(queries_.size(), kPasses, [&](std::size_t i) {
      const index::RowDistance distance = DistanceTo(queries_[i]);
      return Nearest(WalkFloats(segment_.graph(), segment_.rows(), static_cast<std::size_t>(ef), [&](std::int32_t row) {
        ++work.floats;
        return distance(segment_.Vector(row), segment_.Scale(row));
      }));
    });
    SaySearch("walk by float32", ef, floats, PerQuery(work));
    work = {};
    const Run codes = Time(queries_.size(), kPasses, [&](std::size_t i) { return WalkByCodes(queries_[i], ef, work); });
    SaySearch("walk by codes", ef, codes, PerQuery(work));
  }

  std::vector<std::int64_t> WalkByCodes(const std::vector<float>& query, int ef, Work& work) const {
    index::ScratchPool::Lease scratch = segment_.TakeScratch();
    const index::CodeWalkResult walked =
        index::WalkCodes(segment_.graph(), segment_.codes(), query.data(), {.ef = ef, .choice = {}}, *scratch);
    const auto most = static_cast<std::size_t>(index::RowsToRerank(kHits));
    const auto best = walked.hits.first(std::min(walked.hits.size(), most));
    work.codes += static_cast<double>(walked.distances);
    work.expanded += static_cast<double>(walked.expanded);
    work.floats += static_cast<double>(best.size());
    const index::RowDistance distance = DistanceTo(query);
    std::vector<WalkHit> hits;
    for (const WalkHit& hit : best) {
      hits.push_back({distance(segment_.Vector(hit.row), segment_.Scale(hit.row)), hit.row});
    }
    return Nearest(std::move(hits));
  }

  Work PerQuery(const Work& work) const {
    const double searches = kPasses * static_cast<double>(queries_.size());
    return {work.codes / searches, work.floats / searches, work.expanded / searches};
  }

  const Segment& segment_;
  const Vectors& queries_;
  MachineLimits limits_;
  double encode_seconds_ = 0;
  Found truth_;
};

// Collection::Query: with the calibrated ef, and exact.
absl::Status MeasureCollection(const index::Collection& collection, const Vectors& queries) {
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
  Say(absl::StrCat("{", SearchLine("query, exact", 0, exact, exact.found), "}"));
  Say(absl::StrCat("{", SearchLine("query", 0, query(false), exact.found), "}"));
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
    SegmentBench(*segment, queries).Measure();
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
  const double import_seconds = SecondsSince(start);
  start = std::chrono::steady_clock::now();
  OMICS_RETURN_IF_ERROR(collection->Compact(kNoDeadline));
  Say(absl::StrFormat(
      R"({"line": "built", "records": %d, "import_seconds": %.3f, "build_seconds": %.3f, "threads": %d})",
      collection->Count(), import_seconds, SecondsSince(start), options.build_threads));
  const std::vector<std::filesystem::path> segments = SegmentsBelow(data);
  if (segments.size() != 1) return absl::InternalError(absl::StrCat(segments.size(), " segments instead of one"));
  OMICS_ASSIGN_OR_RETURN(const std::shared_ptr<const Segment> segment, Segment::Open(segments[0]));
  SegmentBench(*segment, queries).Measure();
  return MeasureCollection(*collection, queries);
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
