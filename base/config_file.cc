#include "base/config_file.h"

#include <cerrno>
#include <fstream>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace omics {
namespace {

// Far more than all options of a program; a larger file is the wrong file.
constexpr std::size_t kFileSizeMax = 1 << 20;

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kFileSizeMax + 1, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad() || (file.gcount() == 0 && errno != 0)) {
    return absl::InvalidArgumentError(ErrnoStatus(errno, absl::StrCat("read the config file ", path)).message());
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kFileSizeMax) {
    return absl::InvalidArgumentError(absl::StrCat("the config file ", path, " is larger than 1 MiB"));
  }
  return text;
}

absl::string_view WithoutComment(absl::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '#' && (i == 0 || absl::ascii_isspace(static_cast<unsigned char>(text[i - 1])))) {
      return text.substr(0, i);
    }
  }
  return text;
}

absl::StatusOr<std::string> ParseValue(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  if (text.empty() || text.front() != '"') return std::string(absl::StripAsciiWhitespace(WithoutComment(text)));
  const std::size_t end = text.find('"', 1);
  if (end == absl::string_view::npos) return absl::InvalidArgumentError("a quote is not closed");
  if (!absl::StripAsciiWhitespace(WithoutComment(text.substr(end + 1))).empty()) {
    return absl::InvalidArgumentError("there is text after the closing quote");
  }
  return std::string(text.substr(1, end - 1));
}

absl::StatusOr<ConfigLine> ParseLine(absl::string_view text) {
  const std::size_t equals = text.find('=');
  const absl::string_view key = absl::StripAsciiWhitespace(text.substr(0, equals));
  if (equals == absl::string_view::npos || key.empty()) return absl::InvalidArgumentError("expected key = value");
  OMICS_ASSIGN_OR_RETURN(std::string value, ParseValue(text.substr(equals + 1)));
  return ConfigLine{std::string(key), std::move(value), 0};
}

}  // namespace

absl::StatusOr<std::vector<ConfigLine>> ReadConfigFile(const std::string& path) {
  OMICS_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(path));
  std::vector<ConfigLine> lines;
  std::map<std::string, int> seen;
  int number = 0;
  for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || line.front() == '#') continue;
    absl::StatusOr<ConfigLine> parsed = ParseLine(line);
    if (!parsed.ok()) return Annotate(parsed.status(), absl::StrCat(path, ":", number));
    const auto [first, inserted] = seen.emplace(parsed->key, number);
    if (!inserted) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number, ": \"", parsed->key, "\" stands on line ", first->second, " already"));
    }
    parsed->line = number;
    lines.push_back(*std::move(parsed));
  }
  return lines;
}

std::string QuoteConfigValue(std::string_view value) {
  const absl::string_view text = ToAbsl(value);
  const bool plain =
      !text.empty() && text == absl::StripAsciiWhitespace(text) && text.find_first_of("#\"") == absl::string_view::npos;
  return plain ? std::string(text) : absl::StrCat("\"", text, "\"");
}

}  // namespace omics
