// The bytes of a segment's header, shared by its reader and its writer.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "index/internal/row.h"

namespace omics::index {

inline constexpr std::array<char, 8> kSegmentMagic = {'O', 'M', 'V', 'S', 'E', 'G', 'M', 'T'};
inline constexpr std::uint32_t kSegmentVersion = 3;  // 2: metadata as bytes, the filter index; 3: codes, ef
inline constexpr std::uint64_t kSegmentHeaderBytes = 4096;
inline constexpr std::uint64_t kSectionAlignment = 64;
inline constexpr std::uint64_t kChecksumBlockBytes = 64 * 1024;

enum SectionKind : std::uint32_t {
  kVectors,          // float32, rows x dimension
  kScales,           // float32, one per row
  kIdentities,       // RowIdentity, one per row: two int64
  kPayloadOffsets,   // uint64, rows + 1, into kPayloads
  kPayloads,         // EncodePayload of each row
  kLinks0,           // int32, rows x 2m
  kUpperOffsets,     // uint32, rows + 1
  kUpperLinks,       // int32, blocks of m
  kFilterIndex,      // BuildFilterIndex of the payloads
  kCodes,            // CodeSpace::stride() bytes per row
  kCodeCentre,       // float32, dimension
  kDirections,       // PaddedCodes(dimension) bytes per direction; empty where rows are not projected
  kDirectionScales,  // float32, one per direction
  kChecksums,        // uint64, the XXH3-64 of each 64 KiB from the header's end to this section
  kSectionCount
};

struct SectionRange {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

struct SegmentHeader {
  std::array<char, 8> magic = kSegmentMagic;
  std::uint32_t version = kSegmentVersion;
  std::uint32_t metric = 0;
  std::uint32_t dimension = 0;
  std::uint32_t m = 0;
  std::int32_t entry_point = -1;
  std::int32_t max_level = 0;
  std::uint64_t rows = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t crowded_rows = 0;  // rows of which there are more exact copies than a row has links
  double code_unit = 1;
  std::uint32_t code_dimension = 0;
  std::uint32_t ef_few = 0;   // CalibratedEf
  std::uint32_t ef_many = 0;  // CalibratedEf
  float recall = 0;           // CalibratedEf; 0 where it was written before this was measured
  std::array<SectionRange, kSectionCount> sections;
  std::uint64_t checksums_hash = 0;  // XXH3-64 of the kChecksums section
  std::uint64_t header_hash = 0;     // XXH3-64 of all before it
};
// One crowded row in ten, and the graph is not walked: below, the heaps of copies are few enough to be walked around.
inline bool Walkable(const SegmentHeader& header) { return header.crowded_rows * 10 <= header.rows; }

static_assert(std::is_trivially_copyable_v<SegmentHeader> && sizeof(SegmentHeader) < kSegmentHeaderBytes);
static_assert(sizeof(RowIdentity) == 16 && std::is_trivially_copyable_v<RowIdentity>);

}  // namespace omics::index
