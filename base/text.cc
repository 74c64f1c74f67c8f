#include "base/text.h"

#include <array>
#include <cstdio>

namespace omics {
namespace {

// The size of the valid UTF-8 sequence at the start of `text`, or 0.
std::size_t Utf8Size(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t size = byte(0) < 0x80 ? 1 : byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (size == 1) return 1;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90);
  const bool surrogate = byte(0) == 0xed && byte(1) >= 0xa0;
  const bool too_large = byte(0) == 0xf4 && byte(1) >= 0x90;
  return overlong || surrogate || too_large ? 0 : size;
}

// Control characters of C0, C1 and DEL, and the two separators that some readers take for a line's end.
bool IsControl(std::string_view sequence) {
  const unsigned char first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return first < 0x20 || first == 0x7f;
  if (sequence.size() == 2) return first == 0xc2 && static_cast<unsigned char>(sequence[1]) < 0xa0;
  return sequence == "\xe2\x80\xa8" || sequence == "\xe2\x80\xa9";
}

unsigned CodePoint(std::string_view sequence) {
  if (sequence.size() == 1) return static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 2) return ((sequence[0] & 0x1fu) << 6) | (sequence[1] & 0x3fu);
  return ((sequence[0] & 0x0fu) << 12) | ((sequence[1] & 0x3fu) << 6) | (sequence[2] & 0x3fu);
}

void AppendControl(std::string_view sequence, std::string& out) {
  if (sequence == "\n") {
    out += "\\n";
    return;
  }
  std::array<char, 8> escaped;
  std::snprintf(escaped.data(), escaped.size(), "\\u%04x", CodePoint(sequence));
  out += escaped.data();
}

std::string Escape(std::string_view text, bool json) {
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    const std::size_t size = Utf8Size(text);
    const std::string_view sequence = text.substr(0, size == 0 ? 1 : size);
    text.remove_prefix(sequence.size());
    if (size == 0) {
      out += "\xef\xbf\xbd";
    } else if (IsControl(sequence)) {
      AppendControl(sequence, out);
    } else {
      if (json && (sequence == "\"" || sequence == "\\")) out.push_back('\\');
      out += sequence;
    }
  }
  return out;
}

}  // namespace

std::string OneLine(std::string_view text) { return Escape(text, false); }

std::string JsonLine(std::string_view text) { return Escape(text, true); }

}  // namespace omics
