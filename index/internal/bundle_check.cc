#include "index/internal/bundle_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"
#include "index/internal/bundle_manifest.h"
#include "index/internal/metadata_bytes.h"
#include "index/internal/record_store.h"
#include "index/internal/segment.h"
#include "index/internal/segment_format.h"
#include "index/internal/sqlite.h"

namespace omics::index {
namespace {

constexpr char kSelectRecords[] =
    "SELECT position, sequence, id, embedding, document, uri, metadata FROM records ORDER BY position";
enum Column { kPosition, kSequence, kId, kEmbedding, kDocument, kUri, kMetadata };

absl::Status Damaged(std::string_view member, std::string_view cause) {
  return absl::DataLossError(absl::StrCat("bundle member ", ToAbsl(member), ": ", ToAbsl(cause)));
}

bool AllFinite(std::span<const float> numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](float number) { return std::isfinite(number); });
}

// A segment, and how far the records were compared with it.
class SegmentChecker {
 public:
  SegmentChecker(std::string member, std::shared_ptr<const Segment> segment)
      : member_(std::move(member)), segment_(std::move(segment)) {}

  // What can be said without the records.
  absl::Status CheckNumbers(const BundleManifest& manifest) const {
    if (segment_->metric() != manifest.info.metric || segment_->dimension() != manifest.dimension) {
      return Damaged(member_, "its metric or dimension is not that of the manifest");
    }
    const CalibratedEf& ef = segment_->calibrated_ef();
    if (ef.few < 0 || ef.few > kEfMax || ef.many < 0 || ef.many > kEfMax || !std::isfinite(ef.recall)) {
      return Damaged(member_, "its search parameters are out of range");
    }
    const CodeSpace& space = segment_->codes().space;
    if (!std::isfinite(space.unit) || !AllFinite(space.centre) || !AllFinite(space.direction_scales)) {
      return Damaged(member_, "its codes are not finite");
    }
    return absl::OkStatus();
  }

  // Records come in order of their positions.
  absl::Status Compare(const Row& record) {
    while (next_ < segment_->rows() && segment_->Identity(next_).position < record.identity.position) {
      OMICS_RETURN_IF_ERROR(CheckRow(nullptr));
    }
    if (next_ == segment_->rows() || segment_->Identity(next_).position != record.identity.position) {
      return absl::OkStatus();
    }
    return CheckRow(segment_->Identity(next_) == record.identity ? &record : nullptr);
  }

  absl::Status Finish() {
    while (next_ < segment_->rows()) OMICS_RETURN_IF_ERROR(CheckRow(nullptr));
    return absl::OkStatus();
  }

 private:
  // The next row. `record` is null where it is an older version of one, or of one that was deleted: no answer shows it.
  absl::Status CheckRow(const Row* record) {
    const std::int64_t row = next_++;
    const auto dimension = static_cast<std::size_t>(segment_->dimension());
    const std::span<const float> vector(segment_->Vector(row), dimension);
    const std::size_t stride = segment_->codes().space.stride();
    const RowTrailer trailer =
        ReadTrailer(segment_->codes().rows.data() + static_cast<std::size_t>(row) * stride, stride);
    const bool right = record ? std::memcmp(vector.data(), record->embedding.data(), vector.size_bytes()) == 0 &&
                                    segment_->Payload(row) == record->payload
                              : AllFinite(vector) && CanBeDecoded(segment_->Payload(row));
    if (right && std::isfinite(trailer.scale) && std::isfinite(trailer.bias) && std::isfinite(segment_->Scale(row))) {
      return absl::OkStatus();
    }
    return Damaged(member_, absl::StrCat("its row ", row, " is not the record that it stands for"));
  }

  static bool CanBeDecoded(std::string_view payload) {
    const absl::StatusOr<PayloadView> parts = DecodePayload(payload);
    return parts.ok() && (!parts->metadata || DecodeMetadata(*parts->metadata).ok());
  }

  const std::string member_;
  const std::shared_ptr<const Segment> segment_;
  std::int64_t next_ = 0;
};

// Whether the file is a segment of another version of the format.
absl::StatusOr<bool> IsOfOtherVersion(const std::filesystem::path& path) {
  OMICS_ASSIGN_OR_RETURN(const FileDescriptor file, OpenForReading(path));
  SegmentHeader header;
  if (!ReadAt(file.get(), 0, {reinterpret_cast<char*>(&header), sizeof(header)}).ok()) return false;
  return header.magic == kSegmentMagic && header.version != kSegmentVersion;
}

absl::StatusOr<std::vector<SegmentChecker>> OpenSegments(const std::filesystem::path& directory,
                                                         const BundleManifest& manifest) {
  std::vector<SegmentChecker> segments;
  for (const BundleMember& member : manifest.members) {
    if (member.name == kRecordsMember) continue;
    const std::filesystem::path path = directory / member.name;
    OMICS_ASSIGN_OR_RETURN(const bool other, IsOfOtherVersion(path));
    if (other) {
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
      continue;
    }
    const absl::StatusOr<std::shared_ptr<const Segment>> segment = Segment::Open(path);
    if (!segment.ok()) {
      return absl::IsDataLoss(segment.status()) ? Annotate(segment.status(), "bundle member " + member.name)
                                                : segment.status();
    }
    segments.emplace_back(member.name, *segment);
    OMICS_RETURN_IF_ERROR(segments.back().CheckNumbers(manifest));
  }
  return segments;
}

// Type, name and text of everything that a schema has.
using Schema = std::set<std::tuple<std::string, std::string, std::string, std::string>>;
absl::StatusOr<Schema> SchemaOf(SqliteConnection& connection) {
  OMICS_ASSIGN_OR_RETURN(SqliteStatement list,
                         connection.Prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema"));
  Schema schema;
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool more, list.Step());
    if (!more) return schema;
    const auto text = [&](int column) { return std::string(list.Text(column)); };
    schema.insert({text(0), text(1), text(2), text(3)});
  }
}

class RecordsChecker {
 public:
  RecordsChecker(const BundleManifest& manifest, std::vector<SegmentChecker>& segments, Deadline deadline)
      : manifest_(manifest), segments_(segments), deadline_(deadline) {}

  absl::Status Run(const std::filesystem::path& path) {
    OMICS_ASSIGN_OR_RETURN(connection_, SqliteConnection::OpenReader(path));
    OMICS_RETURN_IF_ERROR(connection_.Distrust());
    OMICS_RETURN_IF_ERROR(CheckSchema());
    OMICS_RETURN_IF_ERROR(CheckIntegrity());
    OMICS_RETURN_IF_ERROR(CheckState());
    OMICS_RETURN_IF_ERROR(CheckRecords());
    for (SegmentChecker& segment : segments_) OMICS_RETURN_IF_ERROR(segment.Finish());
    return absl::OkStatus();
  }

 private:
  absl::Status CheckSchema() {
    OMICS_ASSIGN_OR_RETURN(SqliteConnection ours, SqliteConnection::Open(":memory:", /*must_exist=*/false));
    OMICS_RETURN_IF_ERROR(ours.Execute(std::string(RecordSchema())));
    OMICS_ASSIGN_OR_RETURN(const Schema wanted, SchemaOf(ours));
    OMICS_ASSIGN_OR_RETURN(const Schema found, SchemaOf(connection_));
    for (const auto& [type, name, table, sql] : found) {
      if (wanted.contains({type, name, table, sql})) continue;
      return Damaged(kRecordsMember, absl::StrCat("its ", OneLine(type.substr(0, 20)), " '",
                                                  OneLine(name.substr(0, 100)), "' is none of a record store"));
    }
    return found == wanted ? absl::OkStatus() : Damaged(kRecordsMember, "it lacks a part of a record store's schema");
  }

  absl::Status CheckIntegrity() {
    OMICS_ASSIGN_OR_RETURN(SqliteStatement check, connection_.Prepare("PRAGMA integrity_check(1)"));
    OMICS_ASSIGN_OR_RETURN(const bool said, check.Step());
    if (said && check.Text(0) == "ok") return absl::OkStatus();
    return Damaged(kRecordsMember, said ? OneLine(check.Text(0).substr(0, 200)) : "SQLite cannot check it");
  }

  absl::Status CheckState() {
    OMICS_ASSIGN_OR_RETURN(SqliteStatement read, connection_.Prepare("SELECT key, value FROM state"));
    while (true) {
      OMICS_ASSIGN_OR_RETURN(const bool more, read.Step());
      if (!more) break;
      if (read.Text(0) == "dimension" && read.Int(1) != manifest_.dimension) {
        return Damaged(kRecordsMember, "its dimension is not that of the manifest");
      }
      if (read.Text(0) == "sequence" && read.Int(1) != manifest_.sequence_number) {
        return Damaged(kRecordsMember, "its sequence number is not that of the manifest");
      }
      if (read.Text(0) == "next_position") next_position_ = read.Int(1);
    }
    if (next_position_ >= 0) return absl::OkStatus();
    return Damaged(kRecordsMember, "it does not say where the next record goes");
  }

  absl::Status CheckRecords() {
    OMICS_ASSIGN_OR_RETURN(SqliteStatement list, connection_.Prepare(kSelectRecords));
    std::int64_t records = 0;
    while (true) {
      OMICS_ASSIGN_OR_RETURN(const bool more, list.Step());
      if (!more) break;
      if (Expired(deadline_)) return absl::DeadlineExceededError("the deadline passed while the bundle was checked");
      OMICS_ASSIGN_OR_RETURN(const Row record, ReadRecord(list));
      for (SegmentChecker& segment : segments_) OMICS_RETURN_IF_ERROR(segment.Compare(record));
      ++records;
    }
    if (records == manifest_.records) return absl::OkStatus();
    return Damaged(kRecordsMember, absl::StrCat("it has ", records, " records, the manifest says ", manifest_.records));
  }

  // The record as a segment would hold it, if it could have been written.
  absl::StatusOr<Row> ReadRecord(const SqliteStatement& list) const {
    Row row;
    row.identity = {list.Int(kPosition), list.Int(kSequence)};
    const auto damaged = [&](std::string_view cause) {
      return Damaged(kRecordsMember,
                     absl::StrCat("the record at position ", row.identity.position, ": ", ToAbsl(cause)));
    };
    if (row.identity.position < 0 || row.identity.position >= next_position_ || row.identity.sequence < 1 ||
        row.identity.sequence > manifest_.sequence_number) {
      return damaged("its position or sequence number is out of range");
    }
    RecordChange change = {
        .id = std::string(list.Text(kId)), .document = list.OptionalText(kDocument), .uri = list.OptionalText(kUri)};
    const absl::StatusOr<std::span<const float>> embedding = list.Floats(kEmbedding);
    if (!embedding.ok() || std::ssize(*embedding) != manifest_.dimension) return damaged("it has a wrong dimension");
    change.embedding.assign(embedding->begin(), embedding->end());
    std::optional<std::string> metadata;
    if (!list.IsNull(kMetadata)) {
      absl::StatusOr<Metadata> read = MetadataFromJson(list.Text(kMetadata));
      if (!read.ok() || read->empty()) return damaged("its metadata is none");
      change.metadata = *std::move(read);
      metadata = EncodeMetadata(change.metadata);
    }
    if (const absl::Status valid = ValidateChange(change); !valid.ok()) return damaged(ToStd(valid.message()));
    const auto view = [](const std::optional<std::string>& text) {
      return text ? std::optional<std::string_view>(*text) : std::nullopt;
    };
    row.payload = EncodePayload({change.id, view(change.document), view(change.uri), view(metadata)});
    row.embedding = std::move(change.embedding);
    return row;
  }

  const BundleManifest& manifest_;
  std::vector<SegmentChecker>& segments_;
  const Deadline deadline_;
  SqliteConnection connection_;
  std::int64_t next_position_ = -1;
};

}  // namespace

absl::Status CheckBundleFiles(const std::filesystem::path& directory, const BundleManifest& manifest,
                              Deadline deadline) {
  OMICS_ASSIGN_OR_RETURN(std::vector<SegmentChecker> segments, OpenSegments(directory, manifest));
  const absl::Status records = RecordsChecker(manifest, segments, deadline).Run(directory / kRecordsMember);
  // SQLite's own words do not say which file.
  const bool named = absl::StrContains(records.message(), "bundle member") || absl::IsDeadlineExceeded(records);
  return records.ok() || named ? records : Annotate(records, absl::StrCat("bundle member ", kRecordsMember));
}

}  // namespace omics::index
