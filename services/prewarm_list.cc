#include "services/prewarm_list.h"

#include <simdjson.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/text.h"
#include "cloud/url.h"

namespace omics::services {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kSha256Digits = 64;
constexpr std::size_t kNameCharactersMax = 512;

// How messages call an entry: by its place, and by its collection once that is known.
std::string Called(std::size_t place, const PrewarmEntry& entry) {
  return absl::StrCat("entry ", place, entry.collection.empty() ? "" : absl::StrCat(" (\"", entry.collection, "\")"));
}

absl::Status Bad(std::string_view key, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("key \"", OneLine(key), "\" ", ToAbsl(what)));
}

// Only what tells a name from a slip; the catalog has the whole rule.
bool IsName(std::string_view text) {
  return text.size() >= 3 && text.size() <= kNameCharactersMax &&
         std::all_of(text.begin(), text.end(),
                     [](char c) {
                       return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
                     }) &&
         absl::ascii_isalnum(static_cast<unsigned char>(text.front())) &&
         absl::ascii_isalnum(static_cast<unsigned char>(text.back())) && text.find("..") == std::string_view::npos;
}

absl::StatusOr<std::string> ReadText(std::string_view key, const dom::element& value) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) return Bad(key, "must be a text");
  return std::string(text);
}

absl::StatusOr<std::string> ReadName(std::string_view key, const dom::element& value) {
  OMICS_ASSIGN_OR_RETURN(std::string name, ReadText(key, value));
  if (IsName(name)) return name;
  return Bad(key,
             "must be 3 to 512 characters of [a-zA-Z0-9._-], the first and the last a letter or digit, without \"..\"");
}

absl::StatusOr<std::string> ReadUrl(const dom::element& value) {
  OMICS_ASSIGN_OR_RETURN(std::string url, ReadText("url", value));
  const auto separator = url.find("://");
  const std::string scheme = url.substr(0, separator == std::string::npos ? 0 : separator);
  if (scheme != "s3" && scheme != "https" && scheme != "http" && scheme != "file") {
    return Bad("url", "must begin with s3://, https:// or file:// (http:// on this machine only)");
  }
  if (url.size() > kPrewarmUrlBytesMax) return Bad("url", "is longer than 8192 bytes");
  if (std::any_of(url.begin(), url.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f; })) {
    return Bad("url", "holds a blank or a control character: percent-encode it");
  }
  const std::string rest = url.substr(separator + 3);
  if (scheme == "file" && (rest.empty() || rest.front() != '/')) return Bad("url", "must be file:///ABSOLUTE/PATH");
  const std::size_t slash = rest.find('/');
  const bool whole = slash != 0 && slash != std::string::npos && slash + 1 < rest.size();
  if (scheme != "file" && !whole) return Bad("url", "must name a host or bucket, and a file there");
  return url;
}

absl::StatusOr<std::string> ReadSha256(const dom::element& value) {
  OMICS_ASSIGN_OR_RETURN(std::string digest, ReadText("sha256", value));
  absl::AsciiStrToLower(&digest);
  const bool hex = std::all_of(digest.begin(), digest.end(),
                               [](char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)); });
  if (digest.size() != kSha256Digits || !hex) return Bad("sha256", "must be 64 hexadecimal digits");
  return digest;
}

absl::StatusOr<std::vector<std::string>> ReadAliases(const dom::element& value) {
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS) return Bad("aliases", "must be a list of names");
  std::vector<std::string> aliases;
  for (const dom::element one : array) {
    if (aliases.size() == kPrewarmAliasesMax) return Bad("aliases", "has more than 16 names");
    OMICS_ASSIGN_OR_RETURN(std::string alias, ReadName("aliases", one));
    aliases.push_back(std::move(alias));
  }
  return aliases;
}

absl::Status ReadKey(std::string_view key, const dom::element& value, PrewarmEntry& entry) {
  if (key == "collection") {
    OMICS_ASSIGN_OR_RETURN(entry.collection, ReadName(key, value));
  } else if (key == "url") {
    OMICS_ASSIGN_OR_RETURN(entry.url, ReadUrl(value));
  } else if (key == "sha256") {
    OMICS_ASSIGN_OR_RETURN(entry.sha256, ReadSha256(value));
  } else if (key == "aliases") {
    OMICS_ASSIGN_OR_RETURN(entry.aliases, ReadAliases(value));
  } else {
    return Bad(key, "is not known; there are \"collection\", \"url\", \"sha256\" and \"aliases\"");
  }
  return absl::OkStatus();
}

absl::Status ReadEntry(const dom::element& element, PrewarmEntry& entry) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError("must be an object with the keys \"collection\" and \"url\"");
  }
  std::set<std::string_view> seen;
  for (const dom::key_value_pair member : object) {
    if (!seen.insert(member.key).second) return Bad(member.key, "is there twice");
    OMICS_RETURN_IF_ERROR(ReadKey(member.key, member.value, entry));
  }
  for (const char* key : {"collection", "url"}) {
    if (!seen.contains(key)) return Bad(key, "is missing");
  }
  return absl::OkStatus();
}

// No name may stand twice, be it a collection's or an alias.
absl::Status CheckNames(const PrewarmEntry& entry, std::set<std::string>& names) {
  if (!names.insert(entry.collection).second) return Bad("collection", "is a name that the list has already");
  for (const std::string& alias : entry.aliases) {
    if (!names.insert(alias).second) return Bad("aliases", absl::StrCat("has \"", alias, "\", which is taken already"));
  }
  return absl::OkStatus();
}

bool IsJson(const std::string& value) {
  const auto first = value.find_first_not_of(" \t\r\n");
  return first != std::string::npos && (value[first] == '[' || value[first] == '{');
}

std::string Quoted(const std::string& text) { return absl::StrCat("\"", JsonLine(text), "\""); }

std::string Masked(const PrewarmEntry& entry) {
  std::string text =
      absl::StrCat("{\"collection\": ", Quoted(entry.collection), ", \"url\": ", Quoted(cloud::MaskUrl(entry.url)));
  if (!entry.sha256.empty()) absl::StrAppend(&text, ", \"sha256\": ", Quoted(entry.sha256));
  const auto quote = [](std::string* out, const std::string& alias) { absl::StrAppend(out, Quoted(alias)); };
  if (!entry.aliases.empty()) {
    absl::StrAppend(&text, ", \"aliases\": [", absl::StrJoin(entry.aliases, ", ", quote), "]");
  }
  return text + "}";
}

absl::StatusOr<std::string> ReadListFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::InvalidArgumentError(absl::StrCat("the file ", OneLine(path), " cannot be read"));
  std::string text(kPrewarmListBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return absl::InvalidArgumentError(absl::StrCat("the file ", OneLine(path), " cannot be read"));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

}  // namespace

absl::StatusOr<std::vector<PrewarmEntry>> ParsePrewarmList(std::string_view json) {
  if (json.size() > kPrewarmListBytesMax) return absl::InvalidArgumentError("the list is larger than 1 MiB");
  dom::parser parser;
  dom::element document;
  if (const auto error = parser.parse(simdjson::padded_string(json)).get(document); error != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(absl::StrCat("the list is not JSON: ", simdjson::error_message(error)));
  }
  dom::array array;
  if (document.get(array) != simdjson::SUCCESS) return absl::InvalidArgumentError("must be a JSON list: [{…}, …]");
  std::vector<PrewarmEntry> entries;
  std::set<std::string> names;
  for (const dom::element element : array) {
    if (entries.size() == kPrewarmEntriesMax) return absl::InvalidArgumentError("the list has more than 64 entries");
    PrewarmEntry& entry = entries.emplace_back();
    absl::Status status = ReadEntry(element, entry);
    if (status.ok()) status = CheckNames(entry, names);
    if (!status.ok()) return Annotate(status, Called(entries.size(), entry));
  }
  return entries;
}

absl::StatusOr<std::vector<PrewarmEntry>> LoadPrewarmList(const std::string& value) {
  if (value.empty()) return std::vector<PrewarmEntry>();
  if (IsJson(value)) return ParsePrewarmList(value);
  OMICS_ASSIGN_OR_RETURN(const std::string text, ReadListFile(value));
  absl::StatusOr<std::vector<PrewarmEntry>> entries = ParsePrewarmList(text);
  return entries.ok() ? std::move(entries) : Annotate(entries.status(), OneLine(value));
}

std::string MaskPrewarmList(const std::string& value) {
  if (!IsJson(value)) return value;
  const absl::StatusOr<std::vector<PrewarmEntry>> entries = ParsePrewarmList(value);
  if (!entries.ok()) return "***";
  const auto mask = [](std::string* out, const PrewarmEntry& entry) { absl::StrAppend(out, Masked(entry)); };
  return absl::StrCat("[", absl::StrJoin(*entries, ", ", mask), "]");
}

}  // namespace omics::services
