// What a client configured for its collection, from the request through the service's store and back to the client.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace omics::gateway {

// The `configuration` of a collection as clients give it, in either form: {"hnsw":{…}} (1.x), or
// {"hnsw_configuration":{…}} (0.5.4 to 0.6.3). Absent members are absent.
struct ClientConfiguration {
  std::string space;  // "l2", "cosine", "ip"; "" if absent
  std::optional<std::int64_t> ef_construction;
  std::optional<std::int64_t> ef_search;
  std::optional<std::int64_t> max_neighbors;
  std::optional<std::int64_t> num_threads;
  std::optional<std::int64_t> batch_size;
  std::optional<std::int64_t> sync_threshold;
  std::optional<double> resize_factor;
  // The JSON of `embedding_function` as sent; kept and given back, never acted on. "" if absent.
  std::string embedding_function;

  // What `other` has replaces what is here.
  void Merge(const ClientConfiguration& other);
  // As it is stored in Collection.client_configuration; "" if nothing is set.
  std::string ToStored() const;
};

// Reads what ToStored() wrote. Anything else (another gateway's) reads as far as it is understood.
ClientConfiguration ParseStoredConfiguration(const std::string& stored);

}  // namespace omics::gateway
