// Numbers and tables for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace omics::tools {

// "1,234,567".
std::string WithCommas(std::int64_t number);

// "0 B", "1.5 KiB", "40.2 MiB".
std::string Bytes(std::int64_t bytes);

// "9s", "2m 05s", "3h 07m", "2d 03h"; less than a second is "0s".
std::string Duration(std::chrono::seconds duration);

// Columns padded to their widest cell and two spaces apart; all but the first are set to the right. The first row is
// the heading. Rows may be shorter than the heading.
std::string Table(const std::vector<std::vector<std::string>>& rows);

}  // namespace omics::tools
