#include "cloud/json.h"

#include <simdjson.h>

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::cloud {
namespace {

// A secret has at most 64 KiB, credentials and key sets a few.
constexpr std::size_t kJsonBytesMax = 1 << 20;
// What is read here has three levels.
constexpr std::size_t kDepthMax = 64;
// With less, the parser makes itself anew and forgets the depth.
constexpr std::size_t kCapacityMin = 64;

absl::Status NoObject(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("expected a JSON object: ", why));
}

absl::Status CheckMembers(const simdjson::dom::element& value) {
  simdjson::dom::object object;
  simdjson::dom::array array;
  if (value.get_object().get(object) == simdjson::SUCCESS) {
    std::set<std::string_view> names;
    for (const simdjson::dom::key_value_pair member : object) {
      if (!names.insert(member.key).second) return NoObject("it has the same member twice");
      OMICS_RETURN_IF_ERROR(CheckMembers(member.value));
    }
  } else if (value.get_array().get(array) == simdjson::SUCCESS) {
    for (const simdjson::dom::element each : array) OMICS_RETURN_IF_ERROR(CheckMembers(each));
  }
  return absl::OkStatus();
}

bool ReadList(const simdjson::dom::element& value, std::vector<std::string>& list) {
  simdjson::dom::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return false;
  for (const simdjson::dom::element each : array) {
    std::string_view text;
    if (each.get_string().get(text) != simdjson::SUCCESS) return false;
    list.emplace_back(text);
  }
  return true;
}

FlatJson ReadMembers(const simdjson::dom::object& members) {
  FlatJson object;
  for (const simdjson::dom::key_value_pair member : members) {
    const std::string name(member.key);
    std::string_view text;
    double number = 0;
    std::vector<std::string> list;
    if (member.value.get_string().get(text) == simdjson::SUCCESS) {
      object.texts.emplace(name, text);
    } else if (member.value.get_double().get(number) == simdjson::SUCCESS) {
      object.numbers.emplace(name, number);
    } else if (ReadList(member.value, list)) {
      object.lists.emplace(name, std::move(list));
    } else {
      object.others.insert(name);
    }
  }
  return object;
}

using Reader = std::function<absl::Status(const simdjson::dom::object&)>;

absl::Status WithObject(std::string_view text, const Reader& read) {
  if (text.size() > kJsonBytesMax) return NoObject("it is larger than 1 MiB");
  simdjson::dom::parser parser;
  if (parser.allocate(std::max(text.size(), kCapacityMin), kDepthMax) != simdjson::SUCCESS)
    return NoObject("no memory for it");
  const simdjson::padded_string padded(text);
  simdjson::dom::element root;
  simdjson::dom::object members;
  if (const auto error = parser.parse(padded).get(root)) return NoObject(simdjson::error_message(error));
  if (const auto error = root.get_object().get(members)) return NoObject(simdjson::error_message(error));
  OMICS_RETURN_IF_ERROR(CheckMembers(root));
  return read(members);
}

}  // namespace

std::string FlatJson::Text(const std::string& name) const {
  const auto found = texts.find(name);
  return found == texts.end() ? "" : found->second;
}

bool FlatJson::Has(const std::string& name) const {
  return texts.contains(name) || numbers.contains(name) || lists.contains(name) || others.contains(name);
}

absl::StatusOr<FlatJson> ReadFlatJson(std::string_view text) {
  FlatJson object;
  OMICS_RETURN_IF_ERROR(WithObject(text, [&object](const simdjson::dom::object& members) {
    object = ReadMembers(members);
    return absl::OkStatus();
  }));
  return object;
}

absl::StatusOr<std::vector<FlatJson>> ReadFlatJsonList(std::string_view text, std::string_view member) {
  std::vector<FlatJson> objects;
  OMICS_RETURN_IF_ERROR(WithObject(text, [&](const simdjson::dom::object& members) -> absl::Status {
    simdjson::dom::array array;
    if (members.at_key(member).get_array().get(array) != simdjson::SUCCESS) {
      return NoObject(absl::StrCat("it has no array \"", ToAbsl(member), "\""));
    }
    for (const simdjson::dom::element each : array) {
      simdjson::dom::object object;
      if (each.get_object().get(object) != simdjson::SUCCESS) {
        return NoObject(absl::StrCat("something in \"", ToAbsl(member), "\" is no object"));
      }
      objects.push_back(ReadMembers(object));
    }
    return absl::OkStatus();
  }));
  return objects;
}

}  // namespace omics::cloud
