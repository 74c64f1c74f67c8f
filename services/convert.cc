#include "services/convert.h"

#include <type_traits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"
#include "services/page_token.h"

namespace omics::services {
namespace {

using ProtoMetadata = google::protobuf::Map<std::string, pb::MetadataValue>;

absl::Status CheckCount(const char* what, int count, int max) {
  if (count <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the request has ", count, " ", what, "; at most ", max, " are allowed: send several requests"));
}

absl::Status CheckRange(const char* what, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " must be ", min, " to ", max, ", was ", value));
}

template <typename List>
auto ToVector(const List& list) {
  using Element = std::decay_t<decltype(*list.values().begin())>;
  return index::MetadataValue(std::vector<Element>(list.values().begin(), list.values().end()));
}

absl::StatusOr<index::MetadataValue> ToMetadataValue(const std::string& key, const pb::MetadataValue& value) {
  switch (value.kind_case()) {
    case pb::MetadataValue::kStringValue:
      return index::MetadataValue(value.string_value());
    case pb::MetadataValue::kIntValue:
      return index::MetadataValue(std::int64_t{value.int_value()});
    case pb::MetadataValue::kDoubleValue:
      return index::MetadataValue(value.double_value());
    case pb::MetadataValue::kBoolValue:
      return index::MetadataValue(value.bool_value());
    case pb::MetadataValue::kStringList:
      return ToVector(value.string_list());
    case pb::MetadataValue::kIntList:
      return index::MetadataValue(
          std::vector<std::int64_t>(value.int_list().values().begin(), value.int_list().values().end()));
    case pb::MetadataValue::kDoubleList:
      return ToVector(value.double_list());
    case pb::MetadataValue::kBoolList:
      return ToVector(value.bool_list());
    case pb::MetadataValue::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(absl::StrCat("metadata key '", key, "' has no value"));
}

absl::StatusOr<index::Metadata> ToMetadata(const ProtoMetadata& metadata) {
  index::Metadata out;
  for (const auto& [key, value] : metadata) {
    OMICS_ASSIGN_OR_RETURN(out[key], ToMetadataValue(key, value));
  }
  return out;
}

// Writes a metadata value's alternative into the member of the same type.
struct ValueWriter {
  pb::MetadataValue& out;
  void operator()(const std::string& value) const { out.set_string_value(value); }
  void operator()(std::int64_t value) const { out.set_int_value(value); }
  void operator()(double value) const { out.set_double_value(value); }
  void operator()(bool value) const { out.set_bool_value(value); }
  void operator()(const std::vector<std::string>& values) const {
    out.mutable_string_list()->mutable_values()->Add(values.begin(), values.end());
  }
  void operator()(const std::vector<std::int64_t>& values) const {
    out.mutable_int_list()->mutable_values()->Add(values.begin(), values.end());
  }
  void operator()(const std::vector<double>& values) const {
    out.mutable_double_list()->mutable_values()->Add(values.begin(), values.end());
  }
  void operator()(const std::vector<bool>& values) const {
    out.mutable_bool_list()->mutable_values()->Add(values.begin(), values.end());
  }
};

void FillMetadata(const index::Metadata& metadata, ProtoMetadata& out) {
  for (const auto& [key, value] : metadata) std::visit(ValueWriter{out[key]}, value);
}

absl::StatusOr<index::Metric> ToMetric(pb::Metric metric) {
  switch (metric) {
    case pb::METRIC_UNSPECIFIED:
    case pb::METRIC_SQUARED_L2:
      return index::Metric::kSquaredL2;
    case pb::METRIC_COSINE:
      return index::Metric::kCosine;
    case pb::METRIC_INNER_PRODUCT:
      return index::Metric::kInnerProduct;
    default:
      return absl::InvalidArgumentError(absl::StrCat("unknown metric ", static_cast<int>(metric)));
  }
}

pb::Metric FromMetric(index::Metric metric) {
  switch (metric) {
    case index::Metric::kCosine:
      return pb::METRIC_COSINE;
    case index::Metric::kSquaredL2:
      return pb::METRIC_SQUARED_L2;
    case index::Metric::kInnerProduct:
      return pb::METRIC_INNER_PRODUCT;
  }
  return pb::METRIC_UNSPECIFIED;
}

// `current` with the members of `hnsw` that are not 0.
absl::StatusOr<index::HnswParameters> Merge(const pb::HnswParameters& hnsw, index::HnswParameters current) {
  if (hnsw.m() != 0) current.m = hnsw.m();
  if (hnsw.ef_construction() != 0) current.ef_construction = hnsw.ef_construction();
  if (hnsw.ef_search() != 0) current.ef_search = hnsw.ef_search();
  OMICS_RETURN_IF_ERROR(index::ValidateHnsw(current));
  return current;
}

bool SaysNothing(const pb::HnswParameters& hnsw) {
  return hnsw.m() == 0 && hnsw.ef_construction() == 0 && hnsw.ef_search() == 0;
}

absl::StatusOr<index::RecordChange> ToRecordChange(const pb::RecordChange& change) {
  index::RecordChange out;
  out.id = change.id();
  out.embedding.assign(change.embedding().begin(), change.embedding().end());
  if (change.has_document()) out.document = change.document();
  if (change.has_uri()) out.uri = change.uri();
  out.remove_metadata_keys.assign(change.remove_metadata_keys().begin(), change.remove_metadata_keys().end());
  auto metadata = ToMetadata(change.metadata());
  if (!metadata.ok()) return Annotate(metadata.status(), absl::StrCat("record '", change.id(), "'"));
  out.metadata = *std::move(metadata);
  return out;
}

std::string OrDefault(const std::string& text, const char* fallback) { return text.empty() ? fallback : text; }

pb::Role FromRole(Role role) {
  switch (role) {
    case Role::kRead:
      return pb::ROLE_READ;
    case Role::kWrite:
      return pb::ROLE_WRITE;
    case Role::kAdmin:
      return pb::ROLE_ADMIN;
  }
  return pb::ROLE_UNSPECIFIED;
}

pb::PrewarmState FromPhase(PrewarmPhase phase) {
  switch (phase) {
    case PrewarmPhase::kWaiting:
      return pb::PREWARM_STATE_WAITING;
    case PrewarmPhase::kDownloading:
      return pb::PREWARM_STATE_DOWNLOADING;
    case PrewarmPhase::kImporting:
      return pb::PREWARM_STATE_IMPORTING;
    case PrewarmPhase::kCurrent:
      return pb::PREWARM_STATE_CURRENT;
    case PrewarmPhase::kFailed:
      return pb::PREWARM_STATE_FAILED;
  }
  return pb::PREWARM_STATE_UNSPECIFIED;
}

}  // namespace

std::string TenantOrDefault(const std::string& tenant) { return OrDefault(tenant, index::kDefaultTenant); }

std::string DatabaseOrDefault(const std::string& database) { return OrDefault(database, index::kDefaultDatabase); }

absl::StatusOr<index::CollectionRef> ToCollectionRef(const pb::CollectionRef& ref) {
  index::CollectionRef out;
  if (!ref.id().empty()) {
    out.tenant = ref.tenant();
    out.database = ref.database();
    out.id = ref.id();
    return out;
  }
  if (ref.name().empty()) return absl::InvalidArgumentError("the request names no collection: set its name or its id");
  out.tenant = TenantOrDefault(ref.tenant());
  out.database = DatabaseOrDefault(ref.database());
  out.name = ref.name();
  return out;
}

index::CollectionRef RefOf(const index::CollectionInfo& info) {
  return {.tenant = info.tenant, .database = info.database, .name = info.name, .id = info.id};
}

absl::StatusOr<index::CollectionSpec> ToCollectionSpec(const pb::CreateCollectionRequest& request) {
  index::CollectionSpec spec;
  spec.tenant = TenantOrDefault(request.tenant());
  spec.database = DatabaseOrDefault(request.database());
  spec.name = request.name();
  OMICS_ASSIGN_OR_RETURN(spec.metric, ToMetric(request.metric()));
  OMICS_ASSIGN_OR_RETURN(spec.hnsw, Merge(request.hnsw(), {}));
  OMICS_ASSIGN_OR_RETURN(spec.metadata, ToMetadata(request.metadata()));
  spec.client_configuration = request.client_configuration();
  return spec;
}

absl::StatusOr<index::CollectionUpdate> ToCollectionUpdate(const pb::UpdateCollectionRequest& request,
                                                           const index::HnswParameters& current) {
  index::CollectionUpdate update;
  if (request.has_new_name()) update.name = request.new_name();
  if (request.has_client_configuration()) update.client_configuration = request.client_configuration();
  if (request.replace_metadata()) {
    OMICS_ASSIGN_OR_RETURN(update.metadata, ToMetadata(request.metadata()));
  } else if (!request.metadata().empty()) {
    return absl::InvalidArgumentError(
        "metadata is replaced as a whole: set replace_metadata to say that this is meant");
  }
  if (!SaysNothing(request.hnsw())) {
    OMICS_ASSIGN_OR_RETURN(update.hnsw, Merge(request.hnsw(), current));
  }
  return update;
}

absl::StatusOr<std::vector<index::RecordChange>> ToRecordChanges(const RecordChanges& records) {
  OMICS_RETURN_IF_ERROR(CheckCount("records", records.size(), kRecordsPerWriteMax));
  std::vector<index::RecordChange> out;
  out.reserve(static_cast<std::size_t>(records.size()));
  for (const pb::RecordChange& record : records) {
    OMICS_ASSIGN_OR_RETURN(out.emplace_back(), ToRecordChange(record));
  }
  return out;
}

namespace {

using Operator = index::MetadataCondition::Operator;
using DocumentOperator = index::DocumentCondition::Operator;

absl::StatusOr<Operator> ToOperator(pb::MetadataFilter::Operator op) {
  switch (op) {
    case pb::MetadataFilter::OPERATOR_EQUAL:
      return Operator::kEqual;
    case pb::MetadataFilter::OPERATOR_NOT_EQUAL:
      return Operator::kNotEqual;
    case pb::MetadataFilter::OPERATOR_GREATER:
      return Operator::kGreater;
    case pb::MetadataFilter::OPERATOR_GREATER_OR_EQUAL:
      return Operator::kGreaterOrEqual;
    case pb::MetadataFilter::OPERATOR_LESS:
      return Operator::kLess;
    case pb::MetadataFilter::OPERATOR_LESS_OR_EQUAL:
      return Operator::kLessOrEqual;
    case pb::MetadataFilter::OPERATOR_IN:
      return Operator::kIn;
    case pb::MetadataFilter::OPERATOR_NOT_IN:
      return Operator::kNotIn;
    case pb::MetadataFilter::OPERATOR_CONTAINS:
      return Operator::kContains;
    case pb::MetadataFilter::OPERATOR_NOT_CONTAINS:
      return Operator::kNotContains;
    default:
      return absl::InvalidArgumentError("a metadata filter has no operator, or one that this service does not know");
  }
}

absl::StatusOr<DocumentOperator> ToOperator(pb::DocumentFilter::Operator op) {
  switch (op) {
    case pb::DocumentFilter::OPERATOR_CONTAINS:
      return DocumentOperator::kContains;
    case pb::DocumentFilter::OPERATOR_NOT_CONTAINS:
      return DocumentOperator::kNotContains;
    case pb::DocumentFilter::OPERATOR_MATCHES:
      return DocumentOperator::kMatches;
    case pb::DocumentFilter::OPERATOR_NOT_MATCHES:
      return DocumentOperator::kNotMatches;
    default:
      return absl::InvalidArgumentError("a document filter has no operator, or one that this service does not know");
  }
}

absl::StatusOr<index::MetadataCondition> ToCondition(const pb::MetadataFilter& filter) {
  index::MetadataCondition condition;
  condition.key = filter.key();
  OMICS_ASSIGN_OR_RETURN(condition.op, ToOperator(filter.operator_()));
  condition.values.reserve(static_cast<std::size_t>(filter.values_size()));
  for (const pb::MetadataValue& value : filter.values()) {
    OMICS_ASSIGN_OR_RETURN(index::MetadataValue converted, ToMetadataValue(filter.key(), value));
    condition.values.push_back(std::move(converted));
  }
  return condition;
}

absl::StatusOr<index::DocumentCondition> ToCondition(const pb::DocumentFilter& filter) {
  OMICS_ASSIGN_OR_RETURN(const DocumentOperator op, ToOperator(filter.operator_()));
  return index::DocumentCondition{op, filter.pattern()};
}

absl::StatusOr<index::Filter> ToFilterNode(const pb::Filter& filter, int depth);

absl::StatusOr<std::vector<index::Filter>> ToFilters(const pb::FilterList& list, int depth) {
  std::vector<index::Filter> filters;
  filters.reserve(static_cast<std::size_t>(list.filters_size()));
  for (const pb::Filter& member : list.filters()) {
    OMICS_ASSIGN_OR_RETURN(index::Filter converted, ToFilterNode(member, depth + 1));
    filters.push_back(std::move(converted));
  }
  return filters;
}

absl::StatusOr<index::Filter> ToFilterNode(const pb::Filter& filter, int depth) {
  if (depth > index::kFilterDepthMax) {
    return absl::InvalidArgumentError(absl::StrCat("a filter has at most ", index::kFilterDepthMax, " levels"));
  }
  switch (filter.kind_case()) {
    case pb::Filter::kAllOf: {
      OMICS_ASSIGN_OR_RETURN(std::vector<index::Filter> members, ToFilters(filter.all_of(), depth));
      return index::Filter{index::AllOf{std::move(members)}};
    }
    case pb::Filter::kAnyOf: {
      OMICS_ASSIGN_OR_RETURN(std::vector<index::Filter> members, ToFilters(filter.any_of(), depth));
      return index::Filter{index::AnyOf{std::move(members)}};
    }
    case pb::Filter::kMetadata: {
      OMICS_ASSIGN_OR_RETURN(index::MetadataCondition condition, ToCondition(filter.metadata()));
      return index::Filter{std::move(condition)};
    }
    case pb::Filter::kDocument: {
      OMICS_ASSIGN_OR_RETURN(index::DocumentCondition condition, ToCondition(filter.document()));
      return index::Filter{std::move(condition)};
    }
    case pb::Filter::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "a member of the filter says nothing: set one of all_of, any_of, metadata, document");
}

}  // namespace

absl::StatusOr<std::optional<index::Filter>> ToFilter(const pb::Filter& filter) {
  if (filter.kind_case() == pb::Filter::KIND_NOT_SET) return std::nullopt;
  OMICS_ASSIGN_OR_RETURN(index::Filter converted, ToFilterNode(filter, 1));
  return converted;
}

absl::StatusOr<std::vector<std::string>> ToIds(const Ids& ids) {
  OMICS_RETURN_IF_ERROR(CheckCount("ids", ids.size(), kIdsMax));
  return std::vector<std::string>(ids.begin(), ids.end());
}

absl::StatusOr<PageOfGet> ToPageOfGet(const pb::GetRequest& request) {
  constexpr std::int64_t kMost = INT64_MAX;
  OMICS_RETURN_IF_ERROR(CheckRange("offset", request.offset(), 0, kMost));
  if (request.has_limit()) OMICS_RETURN_IF_ERROR(CheckRange("limit", request.limit(), 0, kMost));
  PageOfGet page;
  OMICS_ASSIGN_OR_RETURN(page.spec.ids, ToIds(request.ids()));
  OMICS_ASSIGN_OR_RETURN(page.spec.filter, ToFilter(request.filter()));
  page.spec.include = ToInclude(request.include());
  if (request.has_limit()) page.remaining = request.limit();
  if (request.page_token().empty()) {
    page.spec.offset = request.offset();
  } else {
    OMICS_ASSIGN_OR_RETURN(const PageToken token, DecodePageToken(request.page_token()));
    page.spec.after = token.position;
    page.remaining = token.remaining;
  }
  page.spec.limit = page.remaining < 0 ? kGetPageRecordsMax : std::min(page.remaining, kGetPageRecordsMax);
  return page;
}

absl::StatusOr<index::QuerySpec> ToQuerySpec(const pb::QueryRequest& request) {
  if (request.vectors().empty()) return absl::InvalidArgumentError("the request has no query vectors");
  OMICS_RETURN_IF_ERROR(CheckCount("query vectors", request.vectors_size(), index::kQueryVectorsMax));
  index::QuerySpec spec;
  if (request.k() != 0) spec.k = request.k();
  OMICS_RETURN_IF_ERROR(CheckRange("k", spec.k, 1, index::kHitsMax));
  OMICS_RETURN_IF_ERROR(CheckRange("ef", request.ef(), 0, index::kEfMax));
  spec.ef = request.ef();
  spec.exact = request.exact();
  spec.include = ToInclude(request.include());
  OMICS_ASSIGN_OR_RETURN(spec.ids, ToIds(request.ids()));
  OMICS_ASSIGN_OR_RETURN(spec.filter, ToFilter(request.filter()));
  return spec;
}

void SetVectors(const pb::QueryRequest& request, int begin, int end, index::QuerySpec& spec) {
  spec.vectors.clear();
  for (int i = begin; i < end; ++i) {
    const auto& values = request.vectors(i).values();
    spec.vectors.emplace_back(values.begin(), values.end());
  }
}

index::Include ToInclude(const pb::Include& include) {
  return {.embedding = include.embedding(),
          .document = include.document(),
          .uri = include.uri(),
          .metadata = include.metadata()};
}

absl::StatusOr<BundleLoad> ToBundleLoad(const pb::LoadBundleTarget& target) {
  BundleLoad load;
  load.target.tenant = TenantOrDefault(target.tenant());
  load.target.database = DatabaseOrDefault(target.database());
  load.target.name = target.name();
  load.replace = target.replace();
  load.aliases.assign(target.aliases().begin(), target.aliases().end());
  if (target.aliases_size() > kBundleAliasesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a bundle is loaded with at most ", kBundleAliasesMax, " aliases, not ", target.aliases_size()));
  }
  for (const std::string& alias : load.aliases) {
    if (alias.empty()) return absl::InvalidArgumentError("an alias of the bundle's target is empty");
  }
  return load;
}

index::ImportTarget ToImportTarget(const pb::ImportChromaTarget& target) {
  return {.tenant = TenantOrDefault(target.tenant()),
          .database = DatabaseOrDefault(target.database()),
          .collection = target.collection(),
          .source_collection = target.source_collection(),
          .replace = target.replace()};
}

absl::StatusOr<RecallSpec> ToRecallSpec(const pb::MeasureRecallRequest& request) {
  RecallSpec spec;
  if (request.k() != 0) spec.k = request.k();
  if (request.samples() != 0) spec.samples = request.samples();
  spec.ef = request.ef();
  OMICS_RETURN_IF_ERROR(CheckRange("k", spec.k, 1, index::kHitsMax));
  OMICS_RETURN_IF_ERROR(CheckRange("ef", spec.ef, 0, index::kEfMax));
  OMICS_RETURN_IF_ERROR(CheckRange("samples", spec.samples, 1, kRecallSamplesMax));
  return spec;
}

absl::StatusOr<ListRange> ToListRange(int page_size, const std::string& page_token) {
  OMICS_RETURN_IF_ERROR(CheckRange("page_size", page_size, 0, kPageEntriesMax));
  ListRange range;
  if (page_size != 0) range.limit = page_size;
  if (page_token.empty()) return range;
  OMICS_ASSIGN_OR_RETURN(const PageToken token, DecodePageToken(page_token));
  range.offset = token.position;
  return range;
}

void FillCollection(const index::CollectionInfo& info, pb::Collection& out) {
  out.set_id(info.id);
  out.set_tenant(info.tenant);
  out.set_database(info.database);
  out.set_name(info.name);
  out.set_metric(FromMetric(info.metric));
  out.mutable_hnsw()->set_m(info.hnsw.m);
  out.mutable_hnsw()->set_ef_construction(info.hnsw.ef_construction);
  out.mutable_hnsw()->set_ef_search(info.hnsw.ef_search);
  FillMetadata(info.metadata, *out.mutable_metadata());
  out.set_client_configuration(info.client_configuration);
}

void FillLive(const index::Collection& collection, pb::Collection& out) {
  out.set_dimension(collection.dimension());
  out.set_sequence_number(collection.sequence_number());
}

void FillStats(const index::CollectionStats& stats, pb::CollectionStatus& out) {
  out.set_records(stats.records);
  out.set_graph_rows(stats.graph_rows);
  out.set_tail_rows(stats.tail_rows);
  out.set_segments(stats.segments);
  out.set_deleted_rows(stats.deleted_rows);
  out.set_disk_bytes(stats.disk_bytes);
  out.set_building(stats.building);
  out.set_recall(stats.recall);
}

void FillPrewarm(PrewarmReport&& report, Role role, pb::PrewarmStatus& out) {
  out.set_collection(std::move(report.collection));
  out.set_state(FromPhase(report.phase));
  out.set_served(report.served);
  for (std::string& alias : report.aliases) out.add_aliases(std::move(alias));
  out.set_bytes_done(report.bytes_done);
  out.set_bytes_total(report.bytes_total);
  out.set_rows_done(report.rows_done);
  out.set_rows_total(report.rows_total);
  out.set_failures(report.failures);
  out.set_etag(std::move(report.etag));
  out.set_sha256(std::move(report.sha256));
  if (role != Role::kAdmin) return;
  out.set_url(OneLine(report.url));
  out.set_error(OneLine(report.error));
}

void FillShipping(ShippingReport&& report, Role role, pb::ShippingStatus& out) {
  out.set_may_write(report.may_write);
  out.set_lease_seconds_left(report.lease_seconds_left);
  out.set_lag_seconds(report.lag_seconds);
  out.set_failures(report.failures);
  if (role != Role::kAdmin) return;
  out.set_url(std::move(report.url));
  out.set_error(OneLine(report.error));
}

void FillAlias(const index::Alias& alias, pb::Alias& out) {
  out.set_tenant(alias.tenant);
  out.set_database(alias.database);
  out.set_name(alias.name);
  out.set_collection(alias.collection);
  out.set_collection_id(alias.collection_id);
}

void FillDatabase(const index::Database& database, pb::Database& out) {
  out.set_id(database.id);
  out.set_tenant(database.tenant);
  out.set_name(database.name);
}

void FillIdentity(const Principal& principal, pb::GetIdentityResponse& out) {
  out.set_name(principal.name);
  out.set_role(FromRole(principal.role));
  out.mutable_tenants()->Add(principal.scope.tenants.begin(), principal.scope.tenants.end());
  out.mutable_databases()->Add(principal.scope.databases.begin(), principal.scope.databases.end());
}

void FillRecord(index::Record&& record, pb::Record& out) {
  out.set_id(std::move(record.id));
  out.mutable_embedding()->Add(record.embedding.begin(), record.embedding.end());
  if (record.document) out.set_document(*std::move(record.document));
  if (record.uri) out.set_uri(*std::move(record.uri));
  FillMetadata(record.metadata, *out.mutable_metadata());
}

void FillResult(std::vector<index::Hit>&& hits, pb::QueryResult& out) {
  out.mutable_hits()->Reserve(static_cast<int>(hits.size()));
  for (index::Hit& hit : hits) {
    pb::Hit& to = *out.add_hits();
    FillRecord(std::move(hit.record), *to.mutable_record());
    to.set_distance(hit.distance);
  }
}

void FillSummary(const index::BundleManifest& manifest, pb::BundleSummary& out) {
  out.set_bytes(manifest.file_bytes);
  out.set_sha256(manifest.file_sha256);
  out.set_records(manifest.records);
  out.set_sequence_number(manifest.sequence_number);
}

void FillImported(const index::ImportReport& report, pb::ImportedCollection& out) {
  FillCollection(report.info, *out.mutable_collection());
  out.set_records(report.records);
  std::size_t bytes = 0;
  for (const std::string& id : report.lost_ids) {
    bytes += id.size();
    if (bytes > kLostIdsBytesMax) break;
    out.add_lost_ids(id);
  }
}

}  // namespace omics::services
