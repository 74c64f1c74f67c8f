// A regular expression, found anywhere in a document.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace omics::index {

// Texts that stand in every document in which `pattern`, valid in RE2's syntax, is found: its plain characters outside
// of groups, classes and alternatives. Cautious: fewer than could be, often none.
std::vector<std::string> RequiredTexts(std::string_view pattern);

// Thread safety: const members may be called from any thread.
class Pattern {
 public:
  // INVALID_ARGUMENT with RE2's own words if it is not RE2's syntax or takes more memory than one pattern may.
  static absl::StatusOr<Pattern> Compile(std::string_view pattern);
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  // In time linear in the document.
  bool FoundIn(std::string_view document) const;

 private:
  explicit Pattern(std::unique_ptr<const re2::RE2> compiled);
  std::unique_ptr<const re2::RE2> compiled_;
};

}  // namespace omics::index
