#include <google/protobuf/util/json_util.h>

#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/text.h"
#include "omics/vector/v1/admin_service.grpc.pb.h"
#include "tools/client.h"
#include "tools/commands.h"
#include "tools/format.h"

namespace omics::tools {
namespace {

constexpr char kCommand[] = "status";
constexpr std::chrono::seconds kTimeout{30};

absl::StatusOr<pb::GetStatusResponse> GetStatus(const ClientOptions& options) {
  const auto channel = Connect(options);
  if (!channel.ok()) return channel.status();
  grpc::ClientContext context;
  Authenticate(options, context);
  SetTimeout(kTimeout, context);
  pb::GetStatusResponse response;
  const grpc::Status status = pb::AdminService::NewStub(*channel)->GetStatus(&context, {}, &response);
  if (!status.ok()) return FromGrpc(status, options);
  return response;
}

// The name alone in the default tenant and database, tenant/database/name elsewhere.
std::string FullName(const pb::Collection& collection) {
  const bool plain = collection.tenant() == "default_tenant" && collection.database() == "default_database";
  return OneLine(plain ? collection.name()
                       : absl::StrCat(collection.tenant(), "/", collection.database(), "/", collection.name()));
}

std::string MetricWord(pb::Metric metric) {
  return absl::AsciiStrToLower(absl::StripPrefix(pb::Metric_Name(metric), "METRIC_"));
}

std::string StateWord(pb::PrewarmState state) {
  return absl::AsciiStrToLower(absl::StripPrefix(pb::PrewarmState_Name(state), "PREWARM_STATE_"));
}

// "12 of 40 rows": how far the download or the import is.
std::string ProgressOf(const pb::PrewarmStatus& one) {
  const auto of = [](const std::string& done, const std::string& total) { return absl::StrCat(done, " of ", total); };
  if (one.state() == pb::PREWARM_STATE_DOWNLOADING) return of(Bytes(one.bytes_done()), Bytes(one.bytes_total()));
  if (one.state() != pb::PREWARM_STATE_IMPORTING) return "-";
  return of(WithCommas(one.rows_done()), absl::StrCat(WithCommas(one.rows_total()), " rows"));
}

// What the service loads by itself, if anything, and below it why something could not be loaded.
void PrintPrewarm(const pb::GetStatusResponse& status) {
  if (status.prewarm().empty()) return;
  std::vector<std::vector<std::string>> rows = {{"PREWARM", "STATE", "SERVED", "PROGRESS", "FAILURES", "SOURCE"}};
  std::string errors;
  for (const pb::PrewarmStatus& one : status.prewarm()) {
    rows.push_back({OneLine(one.collection()), StateWord(one.state()), one.served() ? "yes" : "no", ProgressOf(one),
                    std::to_string(one.failures()), OneLine(one.url())});
    if (!one.error().empty()) absl::StrAppend(&errors, OneLine(one.collection()), ": ", OneLine(one.error()), "\n");
  }
  std::printf("\n%s%s", Table(rows).c_str(), errors.c_str());
}

// How far what is here is in S3 too, with --ship-to.
void PrintShipping(const pb::GetStatusResponse& status) {
  if (!status.has_shipping()) return;
  const pb::ShippingStatus& shipping = status.shipping();
  std::printf("shipping to %s: writes %s, lease %.1f s, lag %.1f s, %s failures\n", OneLine(shipping.url()).c_str(),
              shipping.may_write() ? "acknowledged" : "REFUSED", shipping.lease_seconds_left(), shipping.lag_seconds(),
              WithCommas(shipping.failures()).c_str());
  if (!shipping.error().empty()) std::printf("not shipped: %s\n", OneLine(shipping.error()).c_str());
}

void PrintTable(const pb::GetStatusResponse& status) {
  std::printf("vector-service %s, up %s, %d threads, %s resident of %s\n", OneLine(status.version()).c_str(),
              Duration(std::chrono::seconds(status.uptime_seconds())).c_str(), status.threads(),
              Bytes(status.resident_bytes()).c_str(), Bytes(status.memory_budget_bytes()).c_str());
  PrintShipping(status);
  if (status.collections().empty()) {
    std::puts("no collections; `vectorctl import STORE` makes some from a Chroma store");
    PrintPrewarm(status);
    return;
  }
  std::vector<std::vector<std::string>> rows = {{"COLLECTION", "RECORDS", "DIMENSION", "METRIC", "GRAPH", "TAIL",
                                                 "DELETED", "SEGMENTS", "RECALL", "DISK", "BUILDING"}};
  for (const pb::CollectionStatus& one : status.collections()) {
    rows.push_back({FullName(one.collection()), WithCommas(one.records()), std::to_string(one.collection().dimension()),
                    MetricWord(one.collection().metric()), WithCommas(one.graph_rows()), WithCommas(one.tail_rows()),
                    WithCommas(one.deleted_rows()), std::to_string(one.segments()),
                    absl::StrFormat("%.3f", one.recall()), Bytes(one.disk_bytes()), one.building() ? "yes" : "no"});
  }
  std::fputs(Table(rows).c_str(), stdout);
  PrintPrewarm(status);
}

int PrintJson(const pb::GetStatusResponse& status) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(status, &text, options).ok()) {
    return Fail(kCommand, absl::DataLossError("the service's answer is not UTF-8"));
  }
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace

int RunStatus(int argc, const char* const* argv) {
  ClientOptions options;
  bool json = false;
  Config config("vectorctl status", "Shows the service and its collections. Needs a token with the role admin.");
  config.NoConfigFile();
  config.Group("Output");
  config.Add({"json", {}, "Print omics.vector.v1.GetStatusResponse as JSON."}, json);
  AddClientOptions(config, options, true);
  config.Examples(
      "  vectorctl status --token \"$(cat data/token)\"\n"
      "  OMICS_VECTOR_TOKEN=\"$(cat data/token)\" vectorctl status --json");
  if (const auto code = config.Parse(argc, argv)) return *code;

  const auto status = GetStatus(options);
  if (!status.ok()) return Fail(kCommand, status.status());
  if (json) return PrintJson(*status);
  PrintTable(*status);
  return 0;
}

}  // namespace omics::tools
