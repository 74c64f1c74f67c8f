#include "index/internal/pattern.h"

#include <re2/re2.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace omics::index {
namespace {

// Of one compiled pattern with its caches; sixteen of them may be in a filter.
constexpr std::int64_t kPatternMemoryBytes = 4 << 20;

constexpr std::string_view kPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
// Escapes that stand for a place or a class of characters.
constexpr std::string_view kClassEscapes = "dDsSwWbBAz";

// Reads a pattern from left to right. Whatever it does not know makes it give up.
class RequiredTextReader {
 public:
  explicit RequiredTextReader(std::string_view pattern) : rest_(pattern) {}

  std::vector<std::string> Read() {
    while (!rest_.empty()) {
      if (!ReadOne()) return {};
    }
    EndText();
    return std::move(texts_);
  }

 private:
  char Take() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  // False to give up.
  bool ReadOne() {
    const char c = Take();
    switch (c) {
      case '\\':
        return ReadEscape();
      case '[':
        return SkipClass();
      case '(':
        return OpenGroup();
      case ')':
        EndText();
        return --depth_ >= 0;
      case '|':
        EndText();
        return depth_ > 0;
      case '*':
      case '?':
        return EndWithoutLast();
      case '{':
        return SkipCount();
      case '+':
      case '.':
      case '^':
      case '$':
        EndText();
        return true;
      default:
        AddLiteral(c);
        return true;
    }
  }

  bool ReadEscape() {
    if (rest_.empty()) return false;
    const char c = Take();
    if (kPunctuation.find(c) != std::string_view::npos) {
      AddLiteral(c);
      return true;
    }
    EndText();
    return kClassEscapes.find(c) != std::string_view::npos;
  }

  bool SkipClass() {
    EndText();
    if (rest_.starts_with('^')) Take();
    if (rest_.starts_with(']')) Take();
    while (!rest_.empty()) {
      const char c = Take();
      if (c == ']') return true;
      if (c == '[' || (c == '\\' && rest_.empty())) return false;
      if (c == '\\') Take();
    }
    return false;
  }

  // Flags may change what all that follows means; only groups without any are known here.
  bool OpenGroup() {
    EndText();
    ++depth_;
    return !rest_.starts_with('?') || rest_.starts_with("?:");
  }

  bool SkipCount() {
    const std::size_t end = rest_.find('}');
    if (end == std::string_view::npos) return false;
    rest_.remove_prefix(end + 1);
    return EndWithoutLast();
  }

  // What the sign before this one was may be missing: a whole UTF-8 character.
  bool EndWithoutLast() {
    while (!text_.empty() && (text_.back() & 0xc0) == 0x80) text_.pop_back();
    if (!text_.empty()) text_.pop_back();
    EndText();
    return true;
  }

  void AddLiteral(char c) {
    if (depth_ == 0) text_.push_back(c);
  }

  void EndText() {
    if (!text_.empty()) texts_.push_back(std::move(text_));
    text_.clear();
  }

  std::string_view rest_;
  int depth_ = 0;
  std::string text_;
  std::vector<std::string> texts_;
};

}  // namespace

std::vector<std::string> RequiredTexts(std::string_view pattern) { return RequiredTextReader(pattern).Read(); }

absl::StatusOr<Pattern> Pattern::Compile(std::string_view pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_never_capture(true);
  options.set_max_mem(kPatternMemoryBytes);
  auto compiled = std::make_unique<const re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
  if (!compiled->ok()) {
    return absl::InvalidArgumentError(absl::StrCat("not a pattern in RE2's syntax: ", compiled->error()));
  }
  return Pattern(std::move(compiled));
}

Pattern::Pattern(std::unique_ptr<const re2::RE2> compiled) : compiled_(std::move(compiled)) {}
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

bool Pattern::FoundIn(std::string_view document) const {
  return re2::RE2::PartialMatch(re2::StringPiece(document.data(), document.size()), *compiled_);
}

}  // namespace omics::index
