// JSON text, appended to a string. The caller keeps the order right; the functions keep escaping and numbers right.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace omics::gateway {

// Appends `text` in quotes: '"', '\\' and control characters escaped, all other UTF-8 as it is. A byte that is not part
// of valid UTF-8 becomes U+FFFD, so that the answer is always valid JSON.
void AppendJsonString(std::string& out, std::string_view text);

// Whether all of `text` is valid UTF-8.
bool IsUtf8(std::string_view text);

// The shortest digits that read back as the same number, always with a point or an exponent ("1.0", "1e+20"), so that a
// client takes them for a float. NaN and infinities, which the service never sends, become null.
void AppendJsonFloat(std::string& out, float value);
void AppendJsonDouble(std::string& out, double value);

// An array of them.
void AppendJsonFloats(std::string& out, std::span<const float> values);

void AppendJsonInt(std::string& out, std::int64_t value);

inline void AppendJsonBool(std::string& out, bool value) { out.append(value ? "true" : "false"); }

// Comma handling for one level: call before each element or member.
class Separator {
 public:
  void Next(std::string& out) {
    if (!first_) out.push_back(',');
    first_ = false;
  }

 private:
  bool first_ = true;
};

// Next() and then "key": .
inline void AppendJsonKey(std::string& out, Separator& separator, std::string_view key) {
  separator.Next(out);
  AppendJsonString(out, key);
  out.push_back(':');
}

}  // namespace omics::gateway
