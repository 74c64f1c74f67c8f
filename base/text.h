// Text from outside, made fit to be shown.
#pragma once

#include <string>
#include <string_view>

namespace omics {

// `text` as one line of valid UTF-8: control characters (C0, C1, DEL, U+2028, U+2029) become \n or \u001b and the like,
// bytes that are not UTF-8 become U+FFFD. Nothing in it can begin a line or steer a terminal.
std::string OneLine(std::string_view text);

// The same as the inside of a JSON string: quotes and backslashes are escaped too.
std::string JsonLine(std::string_view text);

}  // namespace omics
