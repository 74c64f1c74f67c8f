// Flat JSON objects: what AWS answers with, and what JSON Web Tokens and their keys are written in.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace omics::cloud {

// The members of an object by their kind.
struct FlatJson {
  std::map<std::string, std::string> texts;
  std::map<std::string, double> numbers;
  std::map<std::string, std::vector<std::string>> lists;  // arrays of texts alone, the empty one too
  std::set<std::string> others;                           // the names of all others

  // "" if there is no such text.
  std::string Text(const std::string& name) const;
  // Of whatever kind.
  bool Has(const std::string& name) const;
};

// INVALID_ARGUMENT, without showing the text (it may be a secret), for what is no JSON object, is larger than 1 MiB, or
// has a member twice, at whatever depth.
absl::StatusOr<FlatJson> ReadFlatJson(std::string_view text);

// The objects in the array `member` of the object in `text`. INVALID_ARGUMENT as above, and when there is no such array
// or something else is in it.
absl::StatusOr<std::vector<FlatJson>> ReadFlatJsonList(std::string_view text, std::string_view member);

}  // namespace omics::cloud
