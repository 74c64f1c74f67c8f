// manifest.json of a bundle, and how its members are called.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "index/bundle.h"

namespace omics::index {

inline constexpr char kManifestMember[] = "manifest.json";
inline constexpr char kRecordsMember[] = "records.sqlite3";
// A collection is merged into few segments; beyond a thousand something has gone wrong.
inline constexpr std::size_t kBundleMembersMax = 1024;
// Metadata and client configuration of a collection are its larger parts.
inline constexpr std::size_t kManifestBytesMax = std::size_t{4} << 20;

// A UUID in lower case, then ".segment".
bool IsSegmentMember(std::string_view name);

// Indented JSON, for people too.
std::string ManifestToJson(const BundleManifest& manifest);

// INVALID_ARGUMENT naming what is missing, of a wrong kind or out of its range; FAILED_PRECONDITION for a format that
// this version does not read. Members are named as they must be: the records first, then segments, no name twice.
absl::StatusOr<BundleManifest> ManifestFromJson(std::string_view json);

}  // namespace omics::index
