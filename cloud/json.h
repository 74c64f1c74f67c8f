// The flat JSON objects that AWS answers with.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace omics::cloud {

// The members of an object that are texts or numbers; all others are left out.
struct FlatJson {
  std::map<std::string, std::string> texts;
  std::map<std::string, double> numbers;

  // "" if there is no such text.
  std::string Text(const std::string& name) const;
};

// INVALID_ARGUMENT, without showing the text (it may be a secret), for what is no JSON object, is larger than 1 MiB, or
// has a member twice.
absl::StatusOr<FlatJson> ReadFlatJson(std::string_view text);

}  // namespace omics::cloud
