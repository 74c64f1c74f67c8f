#include "index/internal/hnsw_graph.h"

#include "absl/strings/str_cat.h"

namespace omics::index {
namespace {

absl::Status Damaged(const char* what) {
  return absl::DataLossError(absl::StrCat("the graph's ", what, " are out of range"));
}

bool LinksWithin(std::span<const std::int32_t> links, std::int64_t rows) {
  for (const std::int32_t link : links) {
    if (link < -1 || link >= rows) return false;
  }
  return true;
}

bool OffsetsRise(std::span<const std::uint32_t> offsets, std::size_t blocks) {
  for (std::size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] < offsets[i - 1]) return false;
  }
  return offsets.front() == 0 && offsets.back() == blocks;
}

}  // namespace

absl::Status CheckGraph(const HnswGraphView& graph, std::int64_t rows) {
  const auto m = static_cast<std::size_t>(graph.m);
  const auto n = static_cast<std::size_t>(rows);
  if (graph.m < 1 || graph.m > 1024 || graph.links0.size() != n * 2 * m || graph.upper_offsets.size() != n + 1 ||
      graph.upper_links.size() % m != 0) {
    return Damaged("array sizes");
  }
  if (!OffsetsRise(graph.upper_offsets, graph.upper_links.size() / m)) return Damaged("level offsets");
  if (!LinksWithin(graph.links0, rows) || !LinksWithin(graph.upper_links, rows)) return Damaged("links");
  if (graph.entry_point < 0 || graph.entry_point >= rows || graph.max_level < 0 || graph.max_level > 64) {
    return Damaged("entry point or level");
  }
  return absl::OkStatus();
}

}  // namespace omics::index
