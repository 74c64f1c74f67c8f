// What holds for every body that a Chroma client sends, whatever it is about.
//
// Errors carry one of these reasons, which chroma_errors turns into Chroma's HTTP codes:
//   JSON_SYNTAX  not JSON (400)
//   JSON_SHAPE   JSON, but a member is missing or of the wrong type (422)
//   (none)       well-formed, but not acceptable (400)
// Unknown members are read over (and must be valid JSON); a member given twice counts the last time.
//
// Thread safety of the Parse… functions: any number may run together. Ownership: `body` is changed (its capacity grows
// by the parser's padding) and may be thrown away afterwards; results own all they hold.
#pragma once

#include <cstdint>

namespace omics::gateway {

inline constexpr char kReasonJsonSyntax[] = "JSON_SYNTAX";
inline constexpr char kReasonJsonShape[] = "JSON_SHAPE";

// What limits a body besides its bytes.

// Beyond any client's own nesting, which is three.
inline constexpr int kJsonDepthMax = 64;
// Records or ids of one request. Clients split at the announced 5,461 records, the oldest at 41,666.
inline constexpr int kRecordsMax = 100'000;
// Metadata values of one request: each costs some 150 bytes parsed, so this bounds the growth to about 300 MiB.
inline constexpr std::int64_t kMetadataValuesMax = 2'000'000;
// The service's own limits for one call.
inline constexpr int kQueryVectorsMax = 1'024;
inline constexpr int kFilterNodesMax = 1'024;
// Less the level that joins `where` with `where_document`.
inline constexpr int kFilterDepthMax = 31;

}  // namespace omics::gateway
