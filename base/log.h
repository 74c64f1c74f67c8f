// The log of a program: one JSON object per line on standard error (RFC 3339 UTC time, level, msg), or plain text when
// standard error is a terminal. Tokens and request bodies are never logged. Libraries (index/) do not log; programs do.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace omics {

// Sets up spdlog's default logger. `level`: trace, debug, info, warn, error. `format`: auto, json, text.
// INVALID_ARGUMENT names the accepted words. Call once, first thing in main; call SetLogLevel later.
absl::Status InitLog(std::string_view program, std::string_view level, std::string_view format);
absl::Status SetLogLevel(std::string_view level);

// Messages are escaped, so that nothing a client sends can forge a line.
void LogInfo(std::string_view message);
void LogWarning(std::string_view message);
void LogError(std::string_view message);
void LogDebug(std::string_view message);

}  // namespace omics
