#include "index/internal/row.h"

#include <array>
#include <cstring>

#include "base/status.h"
#include "index/internal/metadata_bytes.h"

namespace omics::index {
namespace {

constexpr std::uint32_t kAbsent = 0xffffffff;
using Lengths = std::array<std::uint32_t, 4>;

std::uint32_t LengthOf(const std::optional<std::string_view>& part) {
  return part ? static_cast<std::uint32_t>(part->size()) : kAbsent;
}

}  // namespace

std::string EncodePayload(const PayloadView& payload) {
  const Lengths lengths = {static_cast<std::uint32_t>(payload.id.size()), LengthOf(payload.document),
                           LengthOf(payload.uri), LengthOf(payload.metadata)};
  std::string bytes(reinterpret_cast<const char*>(lengths.data()), sizeof(lengths));
  bytes.append(payload.id);
  for (const auto& part : {payload.document, payload.uri, payload.metadata}) {
    if (part) bytes.append(*part);
  }
  return bytes;
}

absl::StatusOr<PayloadView> DecodePayload(std::string_view bytes) {
  Lengths lengths;
  if (bytes.size() < sizeof(lengths)) return absl::DataLossError("a stored row is cut off");
  std::memcpy(lengths.data(), bytes.data(), sizeof(lengths));
  bytes.remove_prefix(sizeof(lengths));
  std::array<std::optional<std::string_view>, 4> parts;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] == kAbsent) continue;
    if (lengths[i] > bytes.size()) return absl::DataLossError("a stored row is cut off");
    parts[i] = bytes.substr(0, lengths[i]);
    bytes.remove_prefix(lengths[i]);
  }
  if (!parts[0] || !bytes.empty()) return absl::DataLossError("a stored row has wrong lengths");
  return PayloadView{*parts[0], parts[1], parts[2], parts[3]};
}

absl::StatusOr<Record> RecordFromPayload(const PayloadView& payload, const Include& include) {
  Record record;
  record.id = payload.id;
  if (include.document && payload.document) record.document.emplace(*payload.document);
  if (include.uri && payload.uri) record.uri.emplace(*payload.uri);
  if (include.metadata && payload.metadata) {
    OMICS_ASSIGN_OR_RETURN(record.metadata, DecodeMetadata(*payload.metadata));
  }
  return record;
}

}  // namespace omics::index
