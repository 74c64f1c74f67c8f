// Random UUIDs (RFC 4122 version 4), 36 lower-case characters.
#pragma once

#include <string>
#include <string_view>

namespace omics {

std::string MakeUuid();

// True for 8-4-4-4-12 hexadecimal digits of either case, any version.
bool IsUuid(std::string_view text);

}  // namespace omics
