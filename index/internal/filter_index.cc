#include "index/internal/filter_index.h"

#include <cassert>
#include <cstring>

#include "base/status.h"
#include "index/internal/row.h"

namespace omics::index {
namespace {

struct Header {
  std::uint64_t rows = 0;
  MetadataColumnsPlace metadata;
  DocumentWindowsPlace documents;
};

absl::StatusOr<MetadataColumnsPlace> AppendMetadata(std::int64_t rows, PayloadOf payload, std::string& out) {
  MetadataColumnsBuilder columns;
  for (std::int64_t row = 0; row < rows; ++row) {
    OMICS_ASSIGN_OR_RETURN(const PayloadView parts, DecodePayload(payload(row)));
    if (parts.metadata) columns.Add(static_cast<std::uint32_t>(row), MetadataView(*parts.metadata));
  }
  return columns.Append(rows, out);
}

}  // namespace

absl::StatusOr<std::string> BuildFilterIndex(std::int64_t rows, PayloadOf payload) {
  std::string out(sizeof(Header), '\0');
  Header header;
  header.rows = static_cast<std::uint64_t>(rows);
  OMICS_ASSIGN_OR_RETURN(header.metadata, AppendMetadata(rows, payload, out));
  const auto document = [payload](std::int64_t row) {
    const absl::StatusOr<PayloadView> parts = DecodePayload(payload(row));
    return parts.ok() && parts->document ? *parts->document : std::string_view();
  };
  header.documents = AppendDocumentWindows(rows, document, out);
  PadRun(out);
  std::memcpy(out.data(), &header, sizeof(header));
  return out;
}

absl::StatusOr<FilterIndexView> FilterIndexView::Open(std::string_view bytes, std::int64_t rows) {
  assert(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 == 0);
  Header header;
  if (bytes.size() < sizeof(header)) return DamagedFilterIndex();
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.rows != static_cast<std::uint64_t>(rows)) return DamagedFilterIndex();
  FilterIndexView view;
  view.rows_ = rows;
  OMICS_ASSIGN_OR_RETURN(view.metadata_, MetadataColumnsView::Open(bytes, header.metadata, rows));
  OMICS_ASSIGN_OR_RETURN(view.documents_, DocumentWindowsView::Open(bytes, header.documents, rows));
  return view;
}

}  // namespace omics::index
