#include "services/ship_plan.h"

#include <algorithm>
#include <cstdio>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/uuid.h"

namespace omics::services {
namespace {

std::string Collection(const std::string& id) { return absl::StrCat("collections/", id, "/"); }

bool ReadNumber(absl::string_view text, std::int64_t& number) { return absl::SimpleAtoi(text, &number) && number >= 0; }

// "0017.tar.zst" or "0003-0009.zst".
bool ReadNumbers(absl::string_view name, ShippedObject& object) {
  if (!absl::ConsumeSuffix(&name, object.is_bundle ? ".tar.zst" : ".zst")) return false;
  if (object.is_bundle) return ReadNumber(name, object.last);
  const std::vector<absl::string_view> ends = absl::StrSplit(name, '-');
  return ends.size() == 2 && ReadNumber(ends[0], object.first) && ReadNumber(ends[1], object.last) &&
         object.first > 0 && object.first <= object.last;
}

absl::StatusOr<std::pair<std::int64_t, std::int64_t>> ParseStart(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  std::pair<std::int64_t, std::int64_t> start;
  if (parts.size() == 2 && ReadNumber(parts[0], start.first) && ReadNumber(parts[1], start.second)) return start;
  return absl::DataLossError("it does not say which epochs began where");
}

}  // namespace

std::string BundleKey(const std::string& collection, std::int64_t epoch, std::int64_t sequence) {
  return absl::StrFormat("%sbundles/%08d/%016d.tar.zst", Collection(collection), epoch, sequence);
}

std::string ChangesKey(const std::string& collection, std::int64_t epoch, std::int64_t first, std::int64_t last) {
  return absl::StrFormat("%schanges/%08d/%016d-%016d.zst", Collection(collection), epoch, first, last);
}

std::string CatalogKey(std::int64_t epoch, std::int64_t number) {
  return absl::StrFormat("catalog/%08d/%016d.zst", epoch, number);
}

std::string EpochKey(std::int64_t epoch) { return absl::StrFormat("epochs/%08d.txt", epoch); }

std::optional<ShippedObject> ParseShippedKey(std::string_view key) {
  const std::vector<absl::string_view> parts = absl::StrSplit(ToAbsl(key), '/');
  if (parts.size() != 5 || parts[0] != "collections" || !IsUuid(ToStd(parts[1]))) return std::nullopt;
  if (parts[2] != "bundles" && parts[2] != "changes") return std::nullopt;
  ShippedObject object;
  object.key = key;
  object.collection = std::string(parts[1]);
  object.is_bundle = parts[2] == "bundles";
  if (!ReadNumber(parts[3], object.epoch) || !ReadNumbers(parts[4], object)) return std::nullopt;
  return object;
}

std::string EpochStartsToText(const EpochStarts& starts) {
  std::string text;
  for (const auto& [collection, epochs] : starts) {
    absl::StrAppend(&text, collection);
    for (const auto& [epoch, start] : epochs) absl::StrAppend(&text, " ", epoch, ":", start);
    absl::StrAppend(&text, "\n");
  }
  return text;
}

absl::StatusOr<EpochStarts> ParseEpochStarts(std::string_view text) {
  EpochStarts starts;
  for (const absl::string_view line : absl::StrSplit(ToAbsl(text), '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (!IsUuid(ToStd(words[0]))) return absl::DataLossError("it names a collection that is none");
    auto& epochs = starts[std::string(words[0])];
    for (std::size_t i = 1; i < words.size(); ++i) {
      OMICS_ASSIGN_OR_RETURN(const auto start, ParseStart(words[i]));
      epochs.push_back(start);
    }
  }
  return starts;
}

ShippedState PlanRestore(const std::vector<ShippedObject>& objects,
                         const std::vector<std::pair<std::int64_t, std::int64_t>>& starts) {
  const auto counts = [&](const ShippedObject& object) {
    return std::all_of(starts.begin(), starts.end(),
                       [&](const auto& start) { return start.first <= object.epoch || object.last <= start.second; });
  };
  ShippedState state;
  std::vector<ShippedObject> changes;
  for (const ShippedObject& object : objects) {
    if (counts(object)) (object.is_bundle ? state.bundles : changes).push_back(object);
  }
  std::sort(state.bundles.begin(), state.bundles.end(),
            [](const auto& a, const auto& b) { return std::pair(a.last, a.epoch) > std::pair(b.last, b.epoch); });
  if (!state.bundles.empty()) state.last = state.bundles.front().last;
  // Those that begin first, first; of equal ones the longest. Overlaps are the same changes, shipped twice.
  std::sort(changes.begin(), changes.end(),
            [](const auto& a, const auto& b) { return std::pair(a.first, -a.last) < std::pair(b.first, -b.last); });
  for (ShippedObject& object : changes) {
    if (object.last <= state.last) continue;
    if (object.first > state.last + 1) break;
    state.last = object.last;
    state.changes.push_back(std::move(object));
  }
  return state;
}

}  // namespace omics::services
