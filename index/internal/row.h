// One row: a version of a record, as tail and segments hold it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "index/collection.h"
#include "index/record.h"

namespace omics::index {

// Which version of which record. `position` is the record's place in the order of insertion, kept over its changes;
// `sequence` is the number of the change that wrote this version. The two together are unique in a collection.
struct RowIdentity {
  std::int64_t position = 0;
  std::int64_t sequence = 0;
  friend bool operator==(const RowIdentity&, const RowIdentity&) = default;
};

// Everything of a row but its embedding and identity, in one run of bytes:
// four little-endian u32 lengths (id, document, uri, metadata; 0xffffffff for an absent one), then their bytes.
// Metadata is in the form of EncodeMetadata; absent where there is none.
struct PayloadView {
  std::string_view id;
  std::optional<std::string_view> document;
  std::optional<std::string_view> uri;
  std::optional<std::string_view> metadata;
};

std::string EncodePayload(const PayloadView& payload);

// Views into `bytes`. DATA_LOSS if the lengths do not add up.
absl::StatusOr<PayloadView> DecodePayload(std::string_view bytes);

// The parts of a payload that `include` asks for (not the embedding), as a Record.
absl::StatusOr<Record> RecordFromPayload(const PayloadView& payload, const Include& include);

// A row that owns its parts, on its way from SQLite to the tail.
struct Row {
  RowIdentity identity;
  std::vector<float> embedding;
  std::string payload;
};

}  // namespace omics::index
