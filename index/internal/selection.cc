#include "index/internal/selection.h"

#include <algorithm>

namespace omics::index {
namespace {

// The rows of a segment whose positions are among `positions`; both rise.
RowSet RowsAt(const Segment& segment, const std::vector<std::int64_t>& positions) {
  RowSet rows(segment.rows());
  const std::span<const RowIdentity> identities = segment.identities();
  auto from = identities.begin();
  for (const std::int64_t position : positions) {
    from = std::lower_bound(from, identities.end(), position, [](const RowIdentity& identity, std::int64_t wanted) {
      return identity.position < wanted;
    });
    if (from == identities.end()) break;
    if (from->position == position) rows.Insert(from - identities.begin());
  }
  return rows;
}

RowSet RowsAt(const SnapshotPart& tail, const std::vector<std::int64_t>& positions) {
  RowSet rows(tail.rows);
  for (std::int64_t row = 0; row < tail.rows; ++row) {
    if (std::binary_search(positions.begin(), positions.end(), tail.source->Identity(row).position)) rows.Insert(row);
  }
  return rows;
}

RowSelection Select(const SnapshotPart& part, const Selection::Spec& spec) {
  RowSelection selected;
  if (!spec.filter) {
    selected.rows = RowSet::All(part.rows);
  } else if (part.segment) {
    selected = spec.filter->Select(part.segment->filter_index(), *part.segment);
  } else {
    selected = {RowSet::All(part.rows), false};
  }
  if (spec.positions) {
    selected.rows.Intersect(part.segment ? RowsAt(*part.segment, *spec.positions) : RowsAt(part, *spec.positions));
  }
  selected.rows.Subtract(*part.deleted);
  return selected;
}

}  // namespace

absl::StatusOr<Selection> Selection::Make(const Snapshot& snapshot, const Spec& spec, Deadline deadline) {
  Selection selection(snapshot, spec.filter);
  selection.parts_.reserve(snapshot.parts.size());
  for (const SnapshotPart& part : snapshot.parts) {
    if (Expired(deadline)) return absl::DeadlineExceededError("the deadline passed while the filter was evaluated");
    selection.parts_.push_back(Select(part, spec));
  }
  return selection;
}

SelectionCursor::SelectionCursor(const Snapshot& snapshot, const Selection& selection, std::int64_t after)
    : snapshot_(snapshot), selection_(selection) {
  for (std::size_t part = 0; part < snapshot.parts.size(); ++part) {
    if (snapshot.parts[part].segment) {
      AddSegment(part, after);
    } else {
      AddTail(part, after);
    }
  }
}

void SelectionCursor::AddSegment(std::size_t part, std::int64_t after) {
  const Segment& segment = *snapshot_.parts[part].segment;
  const std::span<const RowIdentity> identities = segment.identities();
  const auto first =
      std::upper_bound(identities.begin(), identities.end(), after,
                       [](std::int64_t wanted, const RowIdentity& identity) { return wanted < identity.position; });
  Lane lane{.head = {.position = after, .part = part, .row = first - identities.begin() - 1}, .later = {}};
  if (Advance(lane)) lanes_.push_back(std::move(lane));
}

void SelectionCursor::AddTail(std::size_t part, std::int64_t after) {
  const SnapshotPart& tail = snapshot_.parts[part];
  const RowSet& rows = selection_.Candidates(part);
  Lane lane;
  for (std::int64_t row = rows.Next(0); row >= 0; row = rows.Next(row + 1)) {
    const std::int64_t position = tail.source->Identity(row).position;
    if (position > after) lane.later.push_back({position, part, row});
  }
  std::sort(lane.later.begin(), lane.later.end(),
            [](const RowPlace& a, const RowPlace& b) { return a.position > b.position; });
  lane.head.part = part;
  if (Advance(lane)) lanes_.push_back(std::move(lane));
}

bool SelectionCursor::Advance(Lane& lane) const {
  const SnapshotPart& part = snapshot_.parts[lane.head.part];
  if (part.segment) {
    lane.head.row = selection_.Candidates(lane.head.part).Next(lane.head.row + 1);
    if (lane.head.row < 0) return false;
    lane.head.position = part.segment->Identity(lane.head.row).position;
    return true;
  }
  if (lane.later.empty()) return false;
  lane.head = lane.later.back();
  lane.later.pop_back();
  return true;
}

std::optional<RowPlace> SelectionCursor::Next() {
  while (!lanes_.empty()) {
    const auto first = std::min_element(lanes_.begin(), lanes_.end(),
                                        [](const Lane& a, const Lane& b) { return a.head.position < b.head.position; });
    const RowPlace place = first->head;
    if (!Advance(*first)) lanes_.erase(first);
    if (selection_.Admits(place.part, place.row)) return place;
  }
  return std::nullopt;
}

}  // namespace omics::index
