// The text of a config file: lines "key = value".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace omics {

struct ConfigLine {
  std::string key;
  std::string value;
  int line = 0;  // counted from 1
};

// Reads the whole file. '#' at the start of a line or after a space starts a comment; a value in double quotes keeps
// its spaces and '#'. INVALID_ARGUMENT naming file and line for anything else, for a key that comes twice, for a file
// that cannot be read or is larger than 1 MiB.
absl::StatusOr<std::vector<ConfigLine>> ReadConfigFile(const std::string& path);

// `value` as ReadConfigFile reads it: in quotes where it needs them.
std::string QuoteConfigValue(std::string_view value);

}  // namespace omics
