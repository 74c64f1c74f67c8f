#include "index/internal/collection_spec.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::index {
namespace {

constexpr std::size_t kNameCharactersMin = 3;
constexpr std::size_t kNameCharactersMax = 512;
constexpr std::size_t kClientConfigurationBytesMax = 64 * 1024;

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
}

}  // namespace

absl::Status ValidateCollectionName(const std::string& name) {
  const auto alphanumeric = [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); };
  in_addr address;
  if (name.size() >= kNameCharactersMin && name.size() <= kNameCharactersMax && alphanumeric(name.front()) &&
      alphanumeric(name.back()) && std::all_of(name.begin(), name.end(), IsNameCharacter) &&
      name.find("..") == std::string::npos && ::inet_pton(AF_INET, name.c_str(), &address) != 1) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("'", name.substr(0, 64), "' is not a collection name: use ",
                                                 kNameCharactersMin, " to ", kNameCharactersMax,
                                                 " characters of [a-zA-Z0-9._-], the first and the last a letter or "
                                                 "digit, no two dots in a row, and no IP address"));
}

absl::Status ValidateNamespaceName(const char* what, const std::string& name) {
  if (name.size() >= kNameCharactersMin && name.size() <= kNameCharactersMax &&
      std::none_of(name.begin(), name.end(), [](unsigned char c) { return absl::ascii_iscntrl(c); })) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("a ", what, " name has ", kNameCharactersMin, " to ",
                                                 kNameCharactersMax, " characters without control characters"));
}

absl::Status ValidateSpec(const CollectionSpec& spec) {
  OMICS_RETURN_IF_ERROR(ValidateCollectionName(spec.name));
  OMICS_RETURN_IF_ERROR(ValidateHnsw(spec.hnsw));
  OMICS_RETURN_IF_ERROR(ValidateMetadata(spec.metadata));
  if (spec.client_configuration.size() <= kClientConfigurationBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the client configuration has ", spec.client_configuration.size(),
                                                 " bytes; at most ", kClientConfigurationBytesMax, " are allowed"));
}

}  // namespace omics::index
