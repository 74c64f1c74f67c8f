#include "index/internal/bundle_manifest.h"

#include <simdjson.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"
#include "base/uuid.h"
#include "index/internal/collection_spec.h"
#include "index/internal/segment.h"

namespace omics::index {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::size_t kSha256Digits = 64;

bool IsHex(std::string_view text, std::size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string Quoted(std::string_view text) { return absl::StrCat("\"", JsonLine(text), "\""); }

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(kManifestMember, ": ", ToAbsl(what)));
}

absl::StatusOr<std::string> ReadText(const object& from, const char* key) {
  std::string_view text;
  if (from[key].get_string().get(text) != simdjson::SUCCESS) return Bad(absl::StrCat("\"", key, "\" is no text"));
  return std::string(text);
}

absl::StatusOr<std::int64_t> ReadNumber(const object& from, const char* key, std::int64_t least, std::int64_t most) {
  std::int64_t number = 0;
  if (from[key].get_int64().get(number) == simdjson::SUCCESS && number >= least && number <= most) return number;
  return Bad(absl::StrCat("\"", key, "\" is no number from ", least, " to ", most));
}

absl::StatusOr<object> ReadObject(const object& from, const char* key) {
  object found;
  if (from[key].get_object().get(found) != simdjson::SUCCESS) return Bad(absl::StrCat("\"", key, "\" is no object"));
  return found;
}

absl::StatusOr<HnswParameters> ReadHnsw(const object& from) {
  HnswParameters hnsw;
  const std::pair<const char*, int*> members[] = {
      {"m", &hnsw.m}, {"ef_construction", &hnsw.ef_construction}, {"ef_search", &hnsw.ef_search}};
  for (const auto& [key, value] : members) {
    OMICS_ASSIGN_OR_RETURN(const std::int64_t number, ReadNumber(from, key, 0, 1'000'000));
    *value = static_cast<int>(number);
  }
  const absl::Status valid = ValidateHnsw(hnsw);
  if (!valid.ok()) return Annotate(valid, kManifestMember);
  return hnsw;
}

absl::StatusOr<Metadata> ReadMetadata(const object& from) {
  OMICS_ASSIGN_OR_RETURN(const object held, ReadObject(from, "metadata"));
  absl::StatusOr<Metadata> metadata = MetadataFromJson(simdjson::minify(held));
  if (!metadata.ok() || !ValidateMetadata(*metadata).ok()) return Bad("\"metadata\" is none of a collection");
  return metadata;
}

absl::StatusOr<CollectionInfo> ReadCollection(const object& from) {
  CollectionInfo info;
  OMICS_ASSIGN_OR_RETURN(info.id, ReadText(from, "id"));
  OMICS_ASSIGN_OR_RETURN(info.tenant, ReadText(from, "tenant"));
  OMICS_ASSIGN_OR_RETURN(info.database, ReadText(from, "database"));
  OMICS_ASSIGN_OR_RETURN(info.name, ReadText(from, "name"));
  OMICS_ASSIGN_OR_RETURN(info.client_configuration, ReadText(from, "client_configuration"));
  OMICS_ASSIGN_OR_RETURN(const std::string metric, ReadText(from, "metric"));
  const absl::StatusOr<Metric> known = ParseMetric(metric);
  if (!known.ok()) return Annotate(known.status(), kManifestMember);
  info.metric = *known;
  if (!IsUuid(info.id)) return Bad("\"id\" is no UUID");
  const absl::Status named = ValidateCollectionName(info.name);
  if (!named.ok()) return Annotate(named, kManifestMember);
  OMICS_ASSIGN_OR_RETURN(const object hnsw, ReadObject(from, "hnsw"));
  OMICS_ASSIGN_OR_RETURN(info.hnsw, ReadHnsw(hnsw));
  OMICS_ASSIGN_OR_RETURN(info.metadata, ReadMetadata(from));
  return info;
}

absl::StatusOr<BundleMember> ReadMember(const element& from, bool records) {
  object held;
  if (from.get_object().get(held) != simdjson::SUCCESS) return Bad("\"members\" holds what is no object");
  BundleMember member;
  OMICS_ASSIGN_OR_RETURN(member.name, ReadText(held, "name"));
  OMICS_ASSIGN_OR_RETURN(member.bytes, ReadNumber(held, "bytes", 1, kBundleBytesMax));
  OMICS_ASSIGN_OR_RETURN(member.sha256, ReadText(held, "sha256"));
  if (records ? member.name != kRecordsMember : !IsSegmentMember(member.name)) {
    return Bad(absl::StrCat("member '", OneLine(member.name.substr(0, 100)), "' is none that belongs there"));
  }
  if (!IsHex(member.sha256, kSha256Digits)) return Bad(absl::StrCat("member ", member.name, " has no SHA-256"));
  return member;
}

absl::StatusOr<std::vector<BundleMember>> ReadMembers(const object& from) {
  simdjson::dom::array array;
  if (from["members"].get_array().get(array) != simdjson::SUCCESS) return Bad("\"members\" is no list");
  if (array.size() > kBundleMembersMax) return Bad(absl::StrCat("more than ", kBundleMembersMax, " members"));
  std::vector<BundleMember> members;
  std::set<std::string> names;
  for (const element one : array) {
    OMICS_ASSIGN_OR_RETURN(BundleMember member, ReadMember(one, members.empty()));
    if (!names.insert(member.name).second) return Bad(absl::StrCat("member ", member.name, " is there twice"));
    members.push_back(std::move(member));
  }
  if (members.empty()) return Bad(absl::StrCat("member ", kRecordsMember, " is missing"));
  return members;
}

absl::Status CheckFormat(const object& from) {
  std::int64_t format = 0;
  if (from["format"].get_int64().get(format) != simdjson::SUCCESS) return Bad("\"format\" is no number");
  if (format == kBundleFormat) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(kManifestMember, ": bundle format ", format, " is not ",
                                                    kBundleFormat,
                                                    ", the one this version reads; use the version "
                                                    "that wrote it, or save it again"));
}

}  // namespace

bool IsSegmentMember(std::string_view name) {
  constexpr std::string_view kSuffix = kSegmentSuffix;
  if (name.size() <= kSuffix.size() || name.substr(name.size() - kSuffix.size()) != kSuffix) return false;
  name.remove_suffix(kSuffix.size());
  return IsUuid(name) && name.find_first_of("ABCDEF") == std::string_view::npos;
}

std::string ManifestToJson(const BundleManifest& manifest) {
  const CollectionInfo& info = manifest.info;
  std::string json =
      absl::StrCat("{\n  \"format\": ", manifest.format, ",\n  \"program\": ", Quoted(manifest.program),
                   ",\n  \"collection\": {\n    \"id\": ", Quoted(info.id), ",\n    \"tenant\": ", Quoted(info.tenant),
                   ",\n    \"database\": ", Quoted(info.database), ",\n    \"name\": ", Quoted(info.name));
  absl::StrAppend(&json, ",\n    \"metric\": ", Quoted(MetricName(info.metric)),
                  ",\n    \"hnsw\": {\"m\": ", info.hnsw.m, ", \"ef_construction\": ", info.hnsw.ef_construction,
                  ", \"ef_search\": ", info.hnsw.ef_search, "},\n    \"metadata\": ", MetadataToJson(info.metadata),
                  ",\n    \"client_configuration\": ", Quoted(info.client_configuration));
  absl::StrAppend(&json, "\n  },\n  \"dimension\": ", manifest.dimension, ",\n  \"records\": ", manifest.records,
                  ",\n  \"sequence_number\": ", manifest.sequence_number, ",\n  \"members\": [");
  const char* separator = "\n";
  for (const BundleMember& member : manifest.members) {
    absl::StrAppend(&json, separator, "    {\"name\": ", Quoted(member.name), ", \"bytes\": ", member.bytes,
                    ", \"sha256\": ", Quoted(member.sha256), "}");
    separator = ",\n";
  }
  absl::StrAppend(&json, "\n  ]\n}\n");
  return json;
}

absl::StatusOr<BundleManifest> ManifestFromJson(std::string_view json) {
  simdjson::dom::parser parser;
  object root;
  if (parser.parse(json.data(), json.size()).get_object().get(root) != simdjson::SUCCESS) {
    return Bad("it is no JSON object");
  }
  OMICS_RETURN_IF_ERROR(CheckFormat(root));
  BundleManifest manifest;
  OMICS_ASSIGN_OR_RETURN(manifest.program, ReadText(root, "program"));
  OMICS_ASSIGN_OR_RETURN(const object collection, ReadObject(root, "collection"));
  OMICS_ASSIGN_OR_RETURN(manifest.info, ReadCollection(collection));
  OMICS_ASSIGN_OR_RETURN(const std::int64_t dimension, ReadNumber(root, "dimension", 0, kDimensionMax));
  manifest.dimension = static_cast<int>(dimension);
  OMICS_ASSIGN_OR_RETURN(manifest.records, ReadNumber(root, "records", 0, INT64_MAX));
  OMICS_ASSIGN_OR_RETURN(manifest.sequence_number, ReadNumber(root, "sequence_number", 0, INT64_MAX));
  OMICS_ASSIGN_OR_RETURN(manifest.members, ReadMembers(root));
  return manifest;
}

}  // namespace omics::index
