#include "gateway/json_writer.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace omics::gateway {
namespace {

bool Continues(std::string_view text, std::size_t i) {
  return i < text.size() && (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
}

// The length of the valid UTF-8 sequence at `text[i]`, a byte of 0x80 or more; 0 if there is none (RFC 3629: no
// overlong forms, no surrogates, nothing above U+10FFFF).
std::size_t SequenceLength(std::string_view text, std::size_t i) {
  const auto lead = static_cast<unsigned char>(text[i]);
  if (lead >= 0xc2 && lead <= 0xdf) return Continues(text, i + 1) ? 2 : 0;
  if (!Continues(text, i + 1)) return 0;
  const auto second = static_cast<unsigned char>(text[i + 1]);
  if (lead >= 0xe0 && lead <= 0xef) {
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f)) return 0;
    return Continues(text, i + 2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if ((lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) return 0;
    return Continues(text, i + 2) && Continues(text, i + 3) ? 4 : 0;
  }
  return 0;
}

void AppendEscape(std::string& out, unsigned char c) {
  switch (c) {
    case '"':
      out.append("\\\"");
      return;
    case '\\':
      out.append("\\\\");
      return;
    case '\n':
      out.append("\\n");
      return;
    case '\r':
      out.append("\\r");
      return;
    case '\t':
      out.append("\\t");
      return;
    case '\b':
      out.append("\\b");
      return;
    case '\f':
      out.append("\\f");
      return;
    default:
      break;
  }
  constexpr char kHex[] = "0123456789abcdef";
  out.append("\\u00");
  out.push_back(kHex[c >> 4]);
  out.push_back(kHex[c & 15]);
}

// More than any number takes: the longest double has 24 characters.
constexpr std::size_t kNumberBytesMax = 32;

// Writes the number to `out`, where there is room for kNumberBytesMax; its end.
template <typename Float>
char* WriteFloating(char* out, Float value) {
  if (!std::isfinite(value)) return std::copy_n("null", 4, out);
  char* end = std::to_chars(out, out + kNumberBytesMax, value).ptr;
  const bool whole = std::none_of(out, end, [](char c) { return c == '.' || c == 'e'; });
  return whole ? std::copy_n(".0", 2, end) : end;
}

template <typename Float>
void AppendFloating(std::string& out, Float value) {
  char buffer[kNumberBytesMax];
  out.append(buffer, static_cast<std::size_t>(WriteFloating(buffer, value) - buffer));
}

}  // namespace

bool IsUtf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = static_cast<unsigned char>(text[i]) < 0x80 ? 1 : SequenceLength(text, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

void AppendJsonString(std::string& out, std::string_view text) {
  out.push_back('"');
  std::size_t clean = 0;  // start of the run not yet appended
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\' && c < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = c >= 0x80 ? SequenceLength(text, i) : 0;
    if (length > 0) {
      i += length;
      continue;
    }
    out.append(text, clean, i - clean);
    if (c >= 0x80) {
      out.append("\xef\xbf\xbd");
    } else {
      AppendEscape(out, c);
    }
    clean = ++i;
  }
  out.append(text, clean, text.size() - clean);
  out.push_back('"');
}

void AppendJsonFloat(std::string& out, float value) { AppendFloating(out, value); }
void AppendJsonDouble(std::string& out, double value) { AppendFloating(out, value); }

void AppendJsonFloats(std::string& out, std::span<const float> values) {
  // Appended piece by piece: a string's own bookkeeping for each number would cost as much as its digits.
  char piece[4096];
  char* end = piece;
  *end++ = '[';
  for (const float& value : values) {
    if (&value != values.data()) *end++ = ',';
    end = WriteFloating(end, value);
    if (end > piece + sizeof piece - kNumberBytesMax - 2) {
      out.append(piece, end);
      end = piece;
    }
  }
  *end++ = ']';
  out.append(piece, end);
}

void AppendJsonInt(std::string& out, std::int64_t value) {
  char buffer[24];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  out.append(buffer, static_cast<std::size_t>(end - buffer));
}

}  // namespace omics::gateway
