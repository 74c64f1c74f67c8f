#include "index/internal/change_log.h"

#include <cstring>
#include <optional>
#include <utility>

#include "base/status.h"
#include "index/internal/metadata_bytes.h"
#include "index/internal/packed.h"

namespace omics::index {
namespace {

constexpr std::string_view kMagic = "omicschg";
constexpr std::uint32_t kFormat = 1;
constexpr std::uint32_t kAbsent = 0xffffffff;
enum Kind : std::uint8_t { kInsert = 1, kUpsert = 2, kUpdate = 3, kDelete = 4 };

template <typename Number>
void PutNumber(Number number, std::string& out) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void PutText(std::string_view text, std::string& out) {
  PutNumber(static_cast<std::uint32_t>(text.size()), out);
  out.append(text);
}

void PutOptional(const std::optional<std::string>& text, std::string& out) {
  if (text) return PutText(*text, out);
  PutNumber(kAbsent, out);
}

void PutChange(const RecordChange& change, std::string& out) {
  PutText(change.id, out);
  PutNumber(static_cast<std::uint32_t>(change.embedding.size()), out);
  out.append(reinterpret_cast<const char*>(change.embedding.data()), change.embedding.size() * sizeof(float));
  PutOptional(change.document, out);
  PutOptional(change.uri, out);
  PutText(EncodeMetadata(change.metadata), out);
  PutNumber(static_cast<std::uint32_t>(change.remove_metadata_keys.size()), out);
  for (const std::string& key : change.remove_metadata_keys) PutText(key, out);
}

// Takes parts off the front; once something is missing, all further ones are empty and ok() is false.
class Parts {
 public:
  explicit Parts(std::string_view bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && bytes_.empty(); }

  std::string_view Bytes(std::size_t count) {
    ok_ = ok_ && count <= bytes_.size();
    if (!ok_) return {};
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  template <typename Number>
  Number Take() {
    Number number{};
    const std::string_view taken = Bytes(sizeof(number));
    if (ok_) std::memcpy(&number, taken.data(), sizeof(number));
    return number;
  }
  std::string_view Text() { return Bytes(Take<std::uint32_t>()); }
  std::optional<std::string> Optional() {
    const auto size = Take<std::uint32_t>();
    if (size == kAbsent) return std::nullopt;
    return std::string(Bytes(size));
  }
  // A count of things that take at least `bytes_each`.
  std::size_t Count(std::size_t bytes_each) {
    const std::size_t count = Take<std::uint32_t>();
    ok_ = ok_ && count <= bytes_.size() / bytes_each;
    return ok_ ? count : 0;
  }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

absl::StatusOr<RecordChange> TakeChange(Parts& parts) {
  RecordChange change;
  change.id = parts.Text();
  const std::size_t dimension = parts.Count(sizeof(float));
  const std::string_view floats = parts.Bytes(dimension * sizeof(float));
  change.embedding.resize(dimension);
  if (parts.ok() && dimension > 0) std::memcpy(change.embedding.data(), floats.data(), floats.size());
  change.document = parts.Optional();
  change.uri = parts.Optional();
  OMICS_ASSIGN_OR_RETURN(change.metadata, DecodeMetadata(parts.Text()));
  const std::size_t keys = parts.Count(sizeof(std::uint32_t));
  for (std::size_t i = 0; i < keys; ++i) change.remove_metadata_keys.emplace_back(parts.Text());
  if (!parts.ok()) return absl::DataLossError("a shipped change is cut off");
  return change;
}

WriteMode ModeOf(std::uint8_t kind) {
  if (kind == kInsert) return WriteMode::kInsert;
  return kind == kUpsert ? WriteMode::kUpsert : WriteMode::kUpdate;
}

std::uint8_t KindOf(WriteMode mode) {
  if (mode == WriteMode::kInsert) return kInsert;
  return mode == WriteMode::kUpsert ? kUpsert : kUpdate;
}

}  // namespace

std::string EncodeWrite(WriteMode mode, const std::vector<RecordChange>& changes) {
  std::string bytes;
  PutNumber(KindOf(mode), bytes);
  PutNumber(static_cast<std::uint32_t>(changes.size()), bytes);
  for (const RecordChange& change : changes) PutChange(change, bytes);
  return bytes;
}

std::string EncodeDelete(const std::vector<std::string>& ids) {
  std::string bytes;
  PutNumber(static_cast<std::uint8_t>(kDelete), bytes);
  PutNumber(static_cast<std::uint32_t>(ids.size()), bytes);
  for (const std::string& id : ids) PutText(id, bytes);
  return bytes;
}

absl::StatusOr<LoggedChange> DecodeChange(std::string_view bytes) {
  Parts parts(bytes);
  LoggedChange change;
  const auto kind = parts.Take<std::uint8_t>();
  if (kind < kInsert || kind > kDelete) return absl::DataLossError("a shipped change is of no known kind");
  change.is_delete = kind == kDelete;
  change.mode = ModeOf(kind);
  const std::size_t count = parts.Count(sizeof(std::uint32_t));
  for (std::size_t i = 0; i < count && parts.ok(); ++i) {
    if (change.is_delete) {
      change.ids.emplace_back(parts.Text());
      continue;
    }
    OMICS_ASSIGN_OR_RETURN(RecordChange record, TakeChange(parts));
    OMICS_RETURN_IF_ERROR(ValidateChange(record));
    change.changes.push_back(std::move(record));
  }
  if (!parts.AtEnd()) return absl::DataLossError("a shipped change has a wrong size");
  return change;
}

absl::StatusOr<std::string> PackChanges(const std::vector<NumberedChange>& changes) {
  std::string bytes(kMagic);
  PutNumber(kFormat, bytes);
  for (const NumberedChange& change : changes) {
    PutNumber(change.sequence, bytes);
    PutText(change.bytes, bytes);
  }
  return Pack(bytes);
}

absl::StatusOr<std::vector<NumberedChange>> UnpackChanges(std::string_view packed) {
  const absl::StatusOr<std::string> bytes = UnpackBytes(packed, kChangesBytesMax);
  if (!bytes.ok()) return bytes.status();
  Parts parts(*bytes);
  if (parts.Bytes(kMagic.size()) != kMagic || parts.Take<std::uint32_t>() != kFormat) {
    return absl::DataLossError("these are no shipped changes, or of a newer format");
  }
  std::vector<NumberedChange> changes;
  while (parts.ok() && !parts.AtEnd()) {
    NumberedChange& change = changes.emplace_back();
    change.sequence = parts.Take<std::int64_t>();
    change.bytes = parts.Text();
    const bool follows = changes.size() == 1 || change.sequence == changes[changes.size() - 2].sequence + 1;
    if (!follows) return absl::DataLossError("shipped changes have a gap between them");
  }
  if (!parts.ok()) return absl::DataLossError("shipped changes are cut off");
  return changes;
}

}  // namespace omics::index
