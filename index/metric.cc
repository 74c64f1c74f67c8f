#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/collection.h"

namespace omics::index {
namespace {

absl::Status CheckRange(const char* name, int value, int min, int max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " must be ", min, " to ", max, ", was ", value));
}

}  // namespace

std::string_view MetricName(Metric metric) {
  switch (metric) {
    case Metric::kCosine:
      return "cosine";
    case Metric::kSquaredL2:
      return "l2";
    case Metric::kInnerProduct:
      return "ip";
  }
  return "";
}

absl::StatusOr<Metric> ParseMetric(std::string_view name) {
  for (Metric metric : {Metric::kCosine, Metric::kSquaredL2, Metric::kInnerProduct}) {
    if (name == MetricName(metric)) return metric;
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown metric '", ToAbsl(name), "': use cosine, l2 or ip"));
}

absl::Status ValidateHnsw(const HnswParameters& parameters) {
  OMICS_RETURN_IF_ERROR(CheckRange("hnsw m", parameters.m, 4, 128));
  OMICS_RETURN_IF_ERROR(CheckRange("hnsw ef_construction", parameters.ef_construction, 16, 2000));
  if (parameters.ef_search == 0) return absl::OkStatus();
  return CheckRange("hnsw ef_search", parameters.ef_search, 1, kEfMax);
}

}  // namespace omics::index
