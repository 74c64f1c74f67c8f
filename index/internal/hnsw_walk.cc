#include "index/internal/hnsw_walk.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace omics::index {
namespace {

// Results carry in the sign bit of `row` whether they were expanded.
constexpr std::int32_t kExpanded = INT32_MIN;

bool IsExpanded(const WalkHit& hit) { return hit.row < 0; }

bool Nearer(const WalkHit& a, const WalkHit& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
}

bool Farther(const WalkHit& a, const WalkHit& b) { return a.distance > b.distance; }

}  // namespace

// One walk; its state is in the scratch.
class CodeWalk {
 public:
  CodeWalk(const HnswGraphView& graph, const CodesView& codes, const CodeWalkSpec& spec, WalkScratch& scratch)
      : graph_(graph), codes_(codes), spec_(spec), s_(scratch), ef_(static_cast<std::size_t>(spec.ef)) {
    s_.results_.clear();
    s_.results_.reserve(ef_ + 1);
    s_.frontier_.clear();
    const std::size_t words = graph_.links0.size() / LinksPerRow() / 64 + 1;
    if (s_.met_.size() < words) s_.met_.resize(words);
  }

  CodeWalkResult Run(const float* query) {
    s_.query_.Encode(codes_.space, query, dot_);
    const WalkHit start = Descend();
    Meet(static_cast<std::uint32_t>(start.row));
    spec_.choice.all() ? WalkAll(start) : WalkChosen(start);
    for (const std::uint32_t word : s_.words_met_) s_.met_[word] = 0;
    s_.words_met_.clear();
    return {s_.results_, distances_, expanded_, gave_up_};
  }

 private:
  std::size_t LinksPerRow() const { return 2 * static_cast<std::size_t>(graph_.m); }

  void FetchLinks(std::int32_t row) const {
    const std::span<const std::int32_t> links = Links(graph_, row & ~kExpanded, 0);
    for (std::size_t i = 0; i < links.size(); i += kCodeAlignment / sizeof(std::int32_t)) {
      __builtin_prefetch(links.data() + i);
    }
  }

  void Meet(std::uint32_t row) {
    s_.met_[row >> 6] |= std::uint64_t{1} << (row & 63);
    s_.words_met_.push_back(row >> 6);
  }

  void OrderLinks() {
    if (s_.order_.size() < s_.links_.size()) s_.order_.resize(s_.links_.size());
    s_.query_.Order(codes_, s_.links_, dot_, s_.order_.data());
    distances_ += std::ssize(s_.links_);
  }

  // The upper levels: step to the nearest neighbour until none is nearer, level by level.
  WalkHit Descend() {
    s_.links_.assign(1, static_cast<std::uint32_t>(graph_.entry_point));
    OrderLinks();
    WalkHit nearest = {s_.order_[0], graph_.entry_point};
    for (int level = graph_.max_level; level > 0; --level) {
      while (Step(level, nearest)) {
      }
    }
    return nearest;
  }

  bool Step(int level, WalkHit& nearest) {
    s_.links_.clear();
    for (const std::int32_t link : Links(graph_, nearest.row, level)) {
      if (link < 0) break;
      s_.links_.push_back(static_cast<std::uint32_t>(link));
    }
    OrderLinks();
    bool moved = false;
    for (std::size_t i = 0; i < s_.links_.size(); ++i) {
      if (!(s_.order_[i] < nearest.distance)) continue;
      nearest = {s_.order_[i], static_cast<std::int32_t>(s_.links_[i])};
      moved = true;
    }
    return moved;
  }

  // Leaves in `links_` and `order_` the neighbours of `row` that were not met before. Whether one was is as good as
  // random, so the loop writes every neighbour down and counts those that stay, without a branch.
  void Expand(std::int32_t row) {
    ++expanded_;
    s_.links_.resize(LinksPerRow());
    std::size_t count = 0;
    for (const std::int32_t link : Links(graph_, row, 0)) {
      if (link < 0) break;
      const auto neighbour = static_cast<std::uint32_t>(link);
      std::uint64_t& word = s_.met_[neighbour >> 6];
      s_.links_[count] = neighbour;
      count += ~word >> (neighbour & 63) & 1;
      word |= std::uint64_t{1} << (neighbour & 63);
    }
    s_.links_.resize(count);
    for (std::size_t i = 0; i < std::min(count, kRowsAhead); ++i) {
      FetchRow(codes_.rows.data() + s_.links_[i] * stride_, stride_);
    }
    for (const std::uint32_t link : s_.links_) s_.words_met_.push_back(link >> 6);
    OrderLinks();
    gave_up_ = distances_ > spec_.distances_max;
  }

  bool Wanted(float order) const { return s_.results_.size() < ef_ || order < s_.results_.back().distance; }

  // Insertion into a short sorted array is cheaper than two heaps: most offers are refused by one comparison with the
  // last result. Returns the place.
  std::size_t Insert(const WalkHit& hit) {
    const auto place = std::upper_bound(s_.results_.begin(), s_.results_.end(), hit.distance,
                                        [](float order, const WalkHit& other) { return order < other.distance; });
    const std::ptrdiff_t index = place - s_.results_.begin();
    if (s_.results_.size() == ef_) s_.results_.pop_back();
    s_.results_.insert(s_.results_.begin() + index, hit);
    return static_cast<std::size_t>(index);
  }

  // All rows are results, so the results are the frontier too.
  void WalkAll(const WalkHit& start) {
    Insert(start);
    for (std::size_t next = 0; next < s_.results_.size() && !gave_up_;) {
      WalkHit& hit = s_.results_[next++];
      if (IsExpanded(hit)) continue;
      const std::int32_t row = hit.row;
      hit.row |= kExpanded;
      if (next < s_.results_.size()) FetchLinks(s_.results_[next].row);
      Expand(row);
      for (std::size_t i = 0; i < s_.links_.size(); ++i) {
        if (!Wanted(s_.order_[i])) continue;
        const auto link = static_cast<std::int32_t>(s_.links_[i]);
        const std::size_t place = Insert({s_.order_[i], link});
        if (place > next) continue;
        next = place;
        FetchLinks(link);
      }
    }
    for (WalkHit& hit : s_.results_) hit.row &= ~kExpanded;
  }

  // Rows that are no results keep the walk going from a heap of their own.
  void WalkChosen(const WalkHit& start) {
    Offer(start);
    while (!s_.frontier_.empty() && !gave_up_) {
      std::pop_heap(s_.frontier_.begin(), s_.frontier_.end(), Farther);
      const WalkHit hit = s_.frontier_.back();
      s_.frontier_.pop_back();
      if (!Wanted(hit.distance)) return;
      if (!s_.frontier_.empty()) FetchLinks(s_.frontier_.front().row);
      Expand(hit.row);
      for (std::size_t i = 0; i < s_.links_.size(); ++i) {
        if (Wanted(s_.order_[i])) Offer({s_.order_[i], static_cast<std::int32_t>(s_.links_[i])});
      }
    }
  }

  void Offer(const WalkHit& hit) {
    s_.frontier_.push_back(hit);
    std::push_heap(s_.frontier_.begin(), s_.frontier_.end(), Farther);
    if (spec_.choice.Accepts(hit.row)) Insert(hit);
  }

  const HnswGraphView& graph_;
  const CodesView& codes_;
  const CodeWalkSpec& spec_;
  WalkScratch& s_;
  const std::size_t ef_;
  const std::size_t stride_ = codes_.space.stride();
  const DotCodesFn dot_ = BestDotKernel();
  std::int64_t distances_ = 0, expanded_ = 0;
  bool gave_up_ = false;
};

CodeWalkResult WalkCodes(const HnswGraphView& graph, const CodesView& codes, const float* query,
                         const CodeWalkSpec& spec, WalkScratch& scratch) {
  return CodeWalk(graph, codes, spec, scratch).Run(query);
}

CodeScan::CodeScan(const CodesView& codes, const float* query, std::size_t most, WalkScratch& scratch)
    : codes_(codes), most_(most), s_(scratch) {
  s_.query_.Encode(codes.space, query, BestDotKernel());
  s_.links_.clear();
  s_.results_.clear();
}

void CodeScan::CompareBatch() {
  if (s_.order_.size() < s_.links_.size()) s_.order_.resize(s_.links_.size());
  s_.query_.Order(codes_, s_.links_, BestDotKernel(), s_.order_.data());
  for (std::size_t i = 0; i < s_.links_.size(); ++i) {
    const WalkHit hit = {s_.order_[i], static_cast<std::int32_t>(s_.links_[i])};
    if (s_.results_.size() == most_) {
      if (!Nearer(hit, s_.results_.front())) continue;
      std::pop_heap(s_.results_.begin(), s_.results_.end(), Nearer);
      s_.results_.pop_back();
    }
    s_.results_.push_back(hit);
    std::push_heap(s_.results_.begin(), s_.results_.end(), Nearer);
  }
  s_.links_.clear();
}

std::span<const WalkHit> CodeScan::Finish() {
  CompareBatch();
  std::sort_heap(s_.results_.begin(), s_.results_.end(), Nearer);
  return s_.results_;
}

ScratchPool::~ScratchPool() {
  for (std::atomic<WalkScratch*>& slot : free_) delete slot.load();
}

ScratchPool::Lease ScratchPool::Take() {
  for (std::atomic<WalkScratch*>& slot : free_) {
    if (slot.load(std::memory_order_relaxed) == nullptr) continue;
    if (WalkScratch* scratch = slot.exchange(nullptr, std::memory_order_acquire)) {
      return {*this, std::unique_ptr<WalkScratch>(scratch)};
    }
  }
  return {*this, std::make_unique<WalkScratch>()};
}

void ScratchPool::Return(std::unique_ptr<WalkScratch> scratch) {
  for (std::atomic<WalkScratch*>& slot : free_) {
    WalkScratch* expected = nullptr;
    if (!slot.compare_exchange_strong(expected, scratch.get(), std::memory_order_release, std::memory_order_relaxed)) {
      continue;
    }
    static_cast<void>(scratch.release());
    return;
  }
}

}  // namespace omics::index
