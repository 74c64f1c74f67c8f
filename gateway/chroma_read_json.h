// Reads the bodies that ask for records, and of delete, which names its records in the same words. Errors, limits,
// thread safety and ownership: chroma_body.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/http.h"
#include "omics/vector/v1/vector_service.pb.h"

namespace omics::gateway {

namespace pb = ::omics::vector::v1;

// Which parts a read returns, and the words in the order the client gave them.
struct IncludeSet {
  bool documents = false;
  bool embeddings = false;
  bool metadatas = false;
  bool distances = false;
  bool uris = false;
  std::vector<std::string> words;

  static IncludeSet ForGet();
  static IncludeSet ForQuery();
};

// What get, query and delete have in common.
struct ReadBody {
  std::optional<std::vector<std::string>> ids;
  std::optional<pb::Filter> filter;  // where and where_document together
  bool where_given = false;          // where or where_document was there and not null, if only {}
  std::optional<std::int64_t> limit;
  std::int64_t offset = 0;
  IncludeSet include;
  // Query only:
  std::vector<pb::QueryVector> query_vectors;
  std::int64_t n_results = 10;
};

// In v1, limit 0 means no limit. Empty filters ({}) are no filter in v1 and refused in v2.
absl::StatusOr<ReadBody> ParseGet(std::string& body, Dialect dialect);
absl::StatusOr<ReadBody> ParseQueryBody(std::string& body, Dialect dialect);
absl::StatusOr<ReadBody> ParseDelete(std::string& body, Dialect dialect);

}  // namespace omics::gateway
