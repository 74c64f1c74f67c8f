#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"

namespace omics {
namespace {

// A message of ours is far shorter; a longer one carries something from outside and is cut.
constexpr std::size_t kMessageSizeMax = 16 * 1024;

std::atomic<bool> json_lines{false};

std::optional<spdlog::level::level_enum> ParseLevel(std::string_view level) {
  if (level == "trace") return spdlog::level::trace;
  if (level == "debug") return spdlog::level::debug;
  if (level == "info") return spdlog::level::info;
  if (level == "warn" || level == "warning") return spdlog::level::warn;
  if (level == "error") return spdlog::level::err;
  return std::nullopt;
}

void Write(spdlog::level::level_enum level, std::string_view message) {
  spdlog::logger& logger = *spdlog::default_logger_raw();
  if (!logger.should_log(level)) return;
  const std::string_view head = message.substr(0, kMessageSizeMax);
  std::string line = json_lines.load(std::memory_order_relaxed) ? JsonLine(head) : OneLine(head);
  if (head.size() < message.size()) line += "...";
  logger.log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

absl::Status InitLog(std::string_view program, std::string_view level, std::string_view format) {
  if (format != "auto" && format != "json" && format != "text") {
    return absl::InvalidArgumentError(
        absl::StrCat("the log format must be auto, json or text, was \"", ToAbsl(format), "\""));
  }
  if (!ParseLevel(level)) return SetLogLevel(level);
  const bool json = format == "json" || (format == "auto" && isatty(STDERR_FILENO) == 0);
  json_lines.store(json);
  auto logger =
      std::make_shared<spdlog::logger>(std::string(program), std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern(json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","program":"%n","msg":"%v"})"
                           : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v",
                      spdlog::pattern_time_type::utc);
  spdlog::set_default_logger(std::move(logger));
  return SetLogLevel(level);
}

absl::Status SetLogLevel(std::string_view level) {
  const auto parsed = ParseLevel(level);
  if (!parsed) {
    return absl::InvalidArgumentError(
        absl::StrCat("the log level must be trace, debug, info, warn or error, was \"", ToAbsl(level), "\""));
  }
  spdlog::default_logger_raw()->set_level(*parsed);
  return absl::OkStatus();
}

void LogInfo(std::string_view message) { Write(spdlog::level::info, message); }
void LogWarning(std::string_view message) { Write(spdlog::level::warn, message); }
void LogError(std::string_view message) { Write(spdlog::level::err, message); }
void LogDebug(std::string_view message) { Write(spdlog::level::debug, message); }

}  // namespace omics
