#include <algorithm>
#include <cmath>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/internal/collection_impl.h"
#include "index/internal/compiled_filter.h"
#include "index/internal/selection.h"

namespace omics::index {
namespace {

// Readers kept open for Get; more calls at once open their own for the call.
constexpr std::size_t kReadersKept = 4;

}  // namespace

// A record reader for the time of one call.
class CollectionImpl::ReaderLease {
 public:
  static absl::StatusOr<ReaderLease> Take(const CollectionImpl& collection) {
    {
      MutexLock lock(collection.readers_mutex_);
      if (!collection.readers_.empty()) {
        ReaderLease lease(collection, std::move(collection.readers_.back()));
        collection.readers_.pop_back();
        return lease;
      }
    }
    OMICS_ASSIGN_OR_RETURN(RecordReader reader, RecordReader::Open(collection.directory_ / kRecordsFile));
    return ReaderLease(collection, std::make_unique<RecordReader>(std::move(reader)));
  }
  ReaderLease(ReaderLease&&) = default;
  ReaderLease& operator=(ReaderLease&&) = delete;
  ~ReaderLease() {
    if (!reader_) return;
    MutexLock lock(collection_->readers_mutex_);
    if (collection_->readers_.size() < kReadersKept) collection_->readers_.push_back(std::move(reader_));
  }
  RecordReader* operator->() { return reader_.get(); }

 private:
  ReaderLease(const CollectionImpl& collection, std::unique_ptr<RecordReader> reader)
      : collection_(&collection), reader_(std::move(reader)) {}
  const CollectionImpl* collection_;
  std::unique_ptr<RecordReader> reader_;
};

// Everything that the selection borrows, beside it.
struct CollectionImpl::Selected {
  std::optional<CompiledFilter> filter;
  std::vector<std::int64_t> positions;
  std::optional<Selection> rows;
};

absl::StatusOr<std::unique_ptr<CollectionImpl::Selected>> CollectionImpl::Select(const Snapshot& snapshot,
                                                                                 const std::vector<std::string>& ids,
                                                                                 const std::optional<Filter>& filter,
                                                                                 Deadline deadline) const {
  auto selected = std::make_unique<Selected>();
  if (filter) {
    OMICS_ASSIGN_OR_RETURN(selected->filter, CompiledFilter::Compile(*filter));
  }
  if (!ids.empty()) {
    OMICS_ASSIGN_OR_RETURN(ReaderLease reader, ReaderLease::Take(*this));
    OMICS_ASSIGN_OR_RETURN(selected->positions, reader->Positions(ids, deadline));
  }
  const Selection::Spec spec = {ids.empty() ? nullptr : &selected->positions,
                                selected->filter ? &*selected->filter : nullptr};
  OMICS_ASSIGN_OR_RETURN(selected->rows, Selection::Make(snapshot, spec, deadline));
  return selected;
}

namespace {

absl::StatusOr<Record> RecordAt(const Snapshot& snapshot, std::size_t part, std::int64_t row, const Include& include) {
  const RowSource& source = *snapshot.parts[part].source;
  OMICS_ASSIGN_OR_RETURN(const PayloadView payload, DecodePayload(source.Payload(row)));
  OMICS_ASSIGN_OR_RETURN(Record record, RecordFromPayload(payload, include));
  if (include.embedding) {
    const float* embedding = source.Vector(row);
    record.embedding.assign(embedding, embedding + snapshot.dimension);
  }
  return record;
}

// About what a record takes in an answer: metadata is written as text there, so it counts twice.
std::int64_t AnswerBytes(const Snapshot& snapshot, const RowPlace& place, const Include& include) {
  const PayloadView payload =
      DecodePayload(snapshot.parts[place.part].source->Payload(place.row)).value_or(PayloadView{});
  std::size_t bytes = payload.id.size() + 16;
  if (include.document && payload.document) bytes += payload.document->size();
  if (include.uri && payload.uri) bytes += payload.uri->size();
  if (include.metadata && payload.metadata) bytes += 2 * payload.metadata->size();
  if (include.embedding) bytes += static_cast<std::size_t>(snapshot.dimension) * sizeof(float);
  return static_cast<std::int64_t>(bytes);
}

// Fills a page from the place where `cursor` stands; `next` is set where more would follow.
absl::Status FillPage(const Snapshot& snapshot, const GetSpec& spec, SelectionCursor& cursor, Deadline deadline,
                      GetPage& page) {
  std::int64_t bytes = 0;
  std::int64_t last = spec.after;
  while (const std::optional<RowPlace> place = cursor.Next()) {
    if (Expired(deadline)) return absl::DeadlineExceededError("the deadline passed while records were read");
    bytes += AnswerBytes(snapshot, *place, spec.include);
    const bool full = !page.records.empty() && bytes > spec.bytes_max;
    if (full || std::ssize(page.records) == spec.limit) {
      page.next = last;
      return absl::OkStatus();
    }
    OMICS_ASSIGN_OR_RETURN(Record record, RecordAt(snapshot, place->part, place->row, spec.include));
    page.records.push_back(std::move(record));
    last = place->position;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GetPage> CollectionImpl::Get(const GetSpec& spec, Deadline deadline) const {
  GetPage page;
  if (spec.limit <= 0) return page;
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<Selected> selected, Select(*snapshot, spec.ids, spec.filter, deadline));
  SelectionCursor cursor(*snapshot, *selected->rows, spec.after);
  for (std::int64_t i = 0; spec.after < 0 && i < spec.offset; ++i) {
    if (!cursor.Next()) return page;
  }
  OMICS_RETURN_IF_ERROR(FillPage(*snapshot, spec, cursor, deadline, page));
  return page;
}

absl::StatusOr<std::vector<std::string>> CollectionImpl::MatchingIds(const DeleteSpec& spec, Deadline deadline) const {
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<Selected> selected, Select(*snapshot, spec.ids, spec.filter, deadline));
  std::vector<std::string> ids;
  SelectionCursor cursor(*snapshot, *selected->rows, -1);
  while (const std::optional<RowPlace> place = cursor.Next()) {
    if (Expired(deadline)) return absl::DeadlineExceededError("the deadline passed before anything was deleted");
    OMICS_ASSIGN_OR_RETURN(Record record, RecordAt(*snapshot, place->part, place->row, Include{}));
    ids.push_back(std::move(record.id));
  }
  return ids;
}

absl::Status CollectionImpl::CheckQuery(const QuerySpec& spec, int dimension) const {
  if (spec.k < 1 || spec.k > kHitsMax) {
    return absl::InvalidArgumentError(absl::StrCat("k must be 1 to ", kHitsMax, ", was ", spec.k));
  }
  if (spec.ef < 0 || spec.ef > kEfMax) {
    return absl::InvalidArgumentError(absl::StrCat("ef must be 0 to ", kEfMax, ", was ", spec.ef));
  }
  if (spec.vectors.empty() || spec.vectors.size() > kQueryVectorsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a query has 1 to ", kQueryVectorsMax, " vectors, this one has ", spec.vectors.size()));
  }
  for (std::size_t i = 0; i < spec.vectors.size(); ++i) {
    const std::vector<float>& vector = spec.vectors[i];
    if (dimension != 0 && std::ssize(vector) != dimension) {
      return WithReason(absl::InvalidArgumentError(absl::StrCat("query vector ", i, " has dimension ", vector.size(),
                                                                ", the collection has dimension ", dimension)),
                        "DIMENSION_MISMATCH");
    }
    if (!std::all_of(vector.begin(), vector.end(), [](float value) { return std::isfinite(value); })) {
      return absl::InvalidArgumentError(absl::StrCat("query vector ", i, " holds NaN or an infinity"));
    }
  }
  return absl::OkStatus();
}

int CollectionImpl::EffectiveEf(int ef) const { return ef == 0 ? ef_search_.load(std::memory_order_relaxed) : ef; }

absl::StatusOr<std::vector<std::vector<Hit>>> CollectionImpl::Query(const QuerySpec& spec, Deadline deadline) const {
  builder_.pace().QueryBegins();
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  OMICS_RETURN_IF_ERROR(CheckQuery(spec, snapshot->dimension));
  std::unique_ptr<Selected> selected;
  if (!spec.ids.empty() || spec.filter) {
    OMICS_ASSIGN_OR_RETURN(selected, Select(*snapshot, spec.ids, spec.filter, deadline));
  }
  const int ef = EffectiveEf(spec.ef);
  std::vector<std::vector<Hit>> results;
  results.reserve(spec.vectors.size());
  for (const std::vector<float>& vector : spec.vectors) {
    if (Expired(deadline)) return absl::DeadlineExceededError("the deadline passed between two query vectors");
    SearchSpec search = {vector, static_cast<std::size_t>(spec.k), ef, spec.exact,
                         selected ? &*selected->rows : nullptr};
    OMICS_ASSIGN_OR_RETURN(const std::vector<Candidate> candidates, SearchSnapshot(*snapshot, search, deadline));
    std::vector<Hit>& hits = results.emplace_back();
    hits.reserve(candidates.size());
    for (const Candidate& candidate : candidates) {
      OMICS_ASSIGN_OR_RETURN(
          Record record, RecordAt(*snapshot, static_cast<std::size_t>(candidate.part), candidate.row, spec.include));
      hits.push_back({std::move(record), candidate.distance});
    }
  }
  return results;
}

absl::StatusOr<RecallSample> CollectionImpl::MeasureRecall(int k, int ef, int samples, Deadline deadline) const {
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  RecallSample sample;
  const int wanted_ef = EffectiveEf(ef);
  sample.ef = std::max(wanted_ef, k);
  for (const SnapshotPart& part : snapshot->parts) {
    if (wanted_ef == 0 && part.segment) sample.ef = std::max(sample.ef, part.segment->calibrated_ef().For(k));
  }
  std::int64_t found = 0, wanted = 0, seen = 0;
  const std::int64_t step = std::max<std::int64_t>(1, snapshot->live_rows() / std::max(1, samples));
  for (const SnapshotPart& part : snapshot->parts) {
    for (std::int64_t row = 0; row < part.rows && sample.samples < samples; ++row) {
      if (part.deleted->Contains(row) || seen++ % step != 0) continue;
      SearchSpec search = {{part.source->Vector(row), static_cast<std::size_t>(snapshot->dimension)},
                           static_cast<std::size_t>(k),
                           wanted_ef,
                           true,
                           nullptr};
      OMICS_ASSIGN_OR_RETURN(const std::vector<Candidate> exact, SearchSnapshot(*snapshot, search, deadline));
      search.exact = false;
      OMICS_ASSIGN_OR_RETURN(const std::vector<Candidate> walked, SearchSnapshot(*snapshot, search, deadline));
      std::unordered_set<std::int64_t> truth;
      for (const Candidate& candidate : exact) truth.insert(candidate.position);
      for (const Candidate& candidate : walked) found += truth.contains(candidate.position) ? 1 : 0;
      wanted += std::ssize(exact);
      ++sample.samples;
    }
  }
  sample.recall = wanted == 0 ? 1.0 : static_cast<double>(found) / static_cast<double>(wanted);
  return sample;
}

}  // namespace omics::index
