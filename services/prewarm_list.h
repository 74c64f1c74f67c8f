// The value of --prewarm: which collections are loaded from which sources.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace omics::services {

// A service has few ontologies; each entry holds a thread.
inline constexpr std::size_t kPrewarmEntriesMax = 64;
// Of the list, given as text or as a file.
inline constexpr std::size_t kPrewarmListBytesMax = std::size_t{1} << 20;
// Presigned URLs have about a thousand characters.
inline constexpr std::size_t kPrewarmUrlBytesMax = 8192;
inline constexpr std::size_t kPrewarmAliasesMax = 16;

// One entry: a collection of the default tenant and database, and the file that it is loaded from.
struct PrewarmEntry {
  std::string collection;
  std::string url;                   // s3://bucket/key, https://…, http://… on loopback, file:///path
  std::string sha256;                // of the file, 64 lower-case hexadecimal digits; "" if it may be any
  std::vector<std::string> aliases;  // second names of the collection
};

// Reads [{"collection": "…", "url": "…", "sha256": "…", "aliases": ["…"]}, …]; the last two may be left out.
// INVALID_ARGUMENT naming the entry (they count from 1) and its key: a key that is missing, unknown, there twice or of
// the wrong kind, a bad value, a name that stands twice, or more than the limits above.
absl::StatusOr<std::vector<PrewarmEntry>> ParsePrewarmList(std::string_view json);

// `value` is the list itself if it begins with '[' or '{', else the path of a file that holds it. "" is an empty list.
absl::StatusOr<std::vector<PrewarmEntry>> LoadPrewarmList(const std::string& value);

// `value` as --print-config shows it: without what may be secret in its URLs.
std::string MaskPrewarmList(const std::string& value);

}  // namespace omics::services
