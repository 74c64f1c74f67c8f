// What shipped objects are called, and which of them count (docs/formats.md, "Shipped data").
//
// Thread safety: free functions without state.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace omics::services {

// Epochs whose beginnings are remembered for each collection: a process that wakes after more take-overs than that is
// no longer told from a rightful one, but its numbers are below the bundles by then.
inline constexpr std::size_t kEpochsRemembered = 64;

struct ShippedObject {
  std::string key;  // whole
  std::string collection;
  bool is_bundle = false;
  std::int64_t epoch = 0;
  std::int64_t first = 0;  // 0 for a bundle, which holds everything up to `last`
  std::int64_t last = 0;
  std::int64_t bytes = 0;
};

// Keys below the prefix. Numbers are padded, so that a listing is in their order.
std::string BundleKey(const std::string& collection, std::int64_t epoch, std::int64_t sequence);
std::string ChangesKey(const std::string& collection, std::int64_t epoch, std::int64_t first, std::int64_t last);
std::string CatalogKey(std::int64_t epoch, std::int64_t number);
std::string EpochKey(std::int64_t epoch);

// The inverse of the first two; nothing for any other key. `key` is without the prefix.
std::optional<ShippedObject> ParseShippedKey(std::string_view key);

// For each collection, which epochs began after which sequence number, in order of the epochs.
using EpochStarts = std::map<std::string, std::vector<std::pair<std::int64_t, std::int64_t>>>;
std::string EpochStartsToText(const EpochStarts& starts);
// DATA_LOSS.
absl::StatusOr<EpochStarts> ParseEpochStarts(std::string_view text);

// Of the objects of one collection, those that count: an object of epoch E does unless a later epoch began before the
// object's last number; then a process that had lost its lease wrote it.
struct ShippedState {
  std::vector<ShippedObject> bundles;  // the newest first
  std::vector<ShippedObject> changes;  // one after the other, from the newest bundle on
  std::int64_t last = 0;               // what is reached with them
};
ShippedState PlanRestore(const std::vector<ShippedObject>& objects,
                         const std::vector<std::pair<std::int64_t, std::int64_t>>& starts);

}  // namespace omics::services
