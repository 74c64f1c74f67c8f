#include "cloud/xml.h"

#include <charconv>
#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"

namespace omics::cloud {
namespace {

void AppendUtf8(std::uint32_t point, std::string& text) {
  if (point < 0x80) {
    text.push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    text.append({static_cast<char>(0xc0 | (point >> 6)), static_cast<char>(0x80 | (point & 63))});
  } else if (point < 0x10000) {
    text.append({static_cast<char>(0xe0 | (point >> 12)), static_cast<char>(0x80 | ((point >> 6) & 63)),
                 static_cast<char>(0x80 | (point & 63))});
  } else {
    text.append({static_cast<char>(0xf0 | (point >> 18)), static_cast<char>(0x80 | ((point >> 12) & 63)),
                 static_cast<char>(0x80 | ((point >> 6) & 63)), static_cast<char>(0x80 | (point & 63))});
  }
}

// "&#38;" and "&#x26;", without '&' and ';'.
std::optional<std::uint32_t> CodePoint(std::string_view entity) {
  const bool hex = entity.substr(0, 2) == "#x";
  const std::string_view digits = entity.substr(hex ? 2 : 1);
  std::uint32_t point = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), point, hex ? 16 : 10);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole && point != 0 && point < 0x110000 ? std::optional(point) : std::nullopt;
}

bool AppendEntity(std::string_view entity, std::string& text) {
  if (entity.substr(0, 1) == "#") {
    const auto point = CodePoint(entity);
    if (point) AppendUtf8(*point, text);
    return point.has_value();
  }
  const char c = entity == "amp"    ? '&'
                 : entity == "lt"   ? '<'
                 : entity == "gt"   ? '>'
                 : entity == "quot" ? '"'
                 : entity == "apos" ? '\''
                                    : '\0';
  if (c != '\0') text.push_back(c);
  return c != '\0';
}

std::string Unescape(std::string_view raw) {
  std::string text;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const std::size_t end = raw[i] == '&' ? raw.find(';', i) : std::string_view::npos;
    if (end != std::string_view::npos && AppendEntity(raw.substr(i + 1, end - i - 1), text)) {
      i = end;
    } else {
      text.push_back(raw[i]);
    }
  }
  return text;
}

}  // namespace

std::vector<std::string_view> XmlElements(std::string_view xml, std::string_view name) {
  const std::string open = absl::StrCat("<", std::string(name), ">");
  const std::string close = absl::StrCat("</", std::string(name), ">");
  std::vector<std::string_view> found;
  std::size_t at = 0;
  while ((at = xml.find(open, at)) != std::string_view::npos) {
    at += open.size();
    const std::size_t end = xml.find(close, at);
    if (end == std::string_view::npos) break;
    found.push_back(xml.substr(at, end - at));
    at = end + close.size();
  }
  return found;
}

std::string XmlText(std::string_view xml, std::string_view name) {
  const auto found = XmlElements(xml, name);
  return found.empty() ? "" : Unescape(found.front());
}

}  // namespace omics::cloud
