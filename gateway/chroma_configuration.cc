#include "gateway/chroma_configuration.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "gateway/chroma_configuration_json.h"
#include "gateway/json_writer.h"

namespace omics::gateway {
namespace {

void AppendInt(std::string& out, Separator& separator, std::string_view key, const std::optional<std::int64_t>& value) {
  if (!value) return;
  AppendJsonKey(out, separator, key);
  AppendJsonInt(out, *value);
}

}  // namespace

void ClientConfiguration::Merge(const ClientConfiguration& other) {
  const auto take = [](auto& mine, const auto& theirs) {
    if (theirs) mine = theirs;
  };
  if (!other.space.empty()) space = other.space;
  take(ef_construction, other.ef_construction);
  take(ef_search, other.ef_search);
  take(max_neighbors, other.max_neighbors);
  take(num_threads, other.num_threads);
  take(batch_size, other.batch_size);
  take(sync_threshold, other.sync_threshold);
  take(resize_factor, other.resize_factor);
  if (!other.embedding_function.empty()) embedding_function = other.embedding_function;
}

std::string ClientConfiguration::ToStored() const {
  std::string hnsw;
  Separator members;
  AppendInt(hnsw, members, "ef_construction", ef_construction);
  AppendInt(hnsw, members, "ef_search", ef_search);
  AppendInt(hnsw, members, "max_neighbors", max_neighbors);
  AppendInt(hnsw, members, "num_threads", num_threads);
  AppendInt(hnsw, members, "batch_size", batch_size);
  AppendInt(hnsw, members, "sync_threshold", sync_threshold);
  if (resize_factor) {
    AppendJsonKey(hnsw, members, "resize_factor");
    AppendJsonDouble(hnsw, *resize_factor);
  }
  if (hnsw.empty() && embedding_function.empty()) return "";
  std::string out = "{";
  Separator separator;
  if (!hnsw.empty()) {
    AppendJsonKey(out, separator, "hnsw");
    out.append("{").append(hnsw).append("}");
  }
  if (!embedding_function.empty()) {
    AppendJsonKey(out, separator, "embedding_function");
    out.append(embedding_function);
  }
  return out.append("}");
}

ClientConfiguration ParseStoredConfiguration(const std::string& stored) {
  ClientConfiguration out;
  if (stored.empty()) return out;
  std::string wrapped = absl::StrCat("{\"configuration\":", stored, "}");
  const absl::Status read = json::ReadObject(
      wrapped, [&](std::string_view, json::od::value value) { return json::ReadConfiguration(value, out); });
  // What cannot be read is shown with the members read so far: the text is another program's, and only for display.
  read.IgnoreError();
  return out;
}

}  // namespace omics::gateway
