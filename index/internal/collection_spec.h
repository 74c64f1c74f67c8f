// The rules that names and specifications of tenants, databases and collections keep to.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "index/catalog.h"

namespace omics::index {

// INVALID_ARGUMENT naming the rule of collection names (CollectionSpec).
absl::Status ValidateCollectionName(const std::string& name);

// For a "tenant" or "database": 3 to 512 characters, none of them a control character.
absl::Status ValidateNamespaceName(const char* what, const std::string& name);

// INVALID_ARGUMENT naming the member and its rule.
absl::Status ValidateSpec(const CollectionSpec& spec);

}  // namespace omics::index
