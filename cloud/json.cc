#include "cloud/json.h"

#include <simdjson.h>

#include "absl/strings/str_cat.h"

namespace omics::cloud {
namespace {

// A secret has at most 64 KiB, credentials a few.
constexpr std::size_t kJsonBytesMax = 1 << 20;

absl::Status NoObject(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("expected a JSON object: ", why));
}

absl::Status ReadMember(const simdjson::dom::key_value_pair& member, FlatJson& object) {
  const std::string name(member.key);
  if (object.texts.contains(name) || object.numbers.contains(name)) return NoObject("it has the same member twice");
  std::string_view text;
  double number = 0;
  if (member.value.get_string().get(text) == simdjson::SUCCESS) {
    object.texts.emplace(name, text);
  } else if (member.value.get_double().get(number) == simdjson::SUCCESS) {
    object.numbers.emplace(name, number);
  }
  return absl::OkStatus();
}

}  // namespace

std::string FlatJson::Text(const std::string& name) const {
  const auto found = texts.find(name);
  return found == texts.end() ? "" : found->second;
}

absl::StatusOr<FlatJson> ReadFlatJson(std::string_view text) {
  if (text.size() > kJsonBytesMax) return NoObject("it is larger than 1 MiB");
  simdjson::dom::parser parser;
  const simdjson::padded_string padded(text);
  simdjson::dom::object members;
  const simdjson::error_code error = parser.parse(padded).get_object().get(members);
  if (error != simdjson::SUCCESS) return NoObject(simdjson::error_message(error));
  FlatJson object;
  for (const simdjson::dom::key_value_pair member : members) {
    if (const absl::Status status = ReadMember(member, object); !status.ok()) return status;
  }
  return object;
}

}  // namespace omics::cloud
