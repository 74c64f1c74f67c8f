#include "base/resources.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace omics {
namespace {

constexpr double kNoCpuLimit = std::numeric_limits<double>::infinity();
constexpr std::int64_t kNoMemoryLimit = std::numeric_limits<std::int64_t>::max();

// Where the process stands: one line "NUMBER:CONTROLLERS:PATH" of /proc/self/cgroup; no controllers means v2.
struct CgroupLine {
  std::vector<std::string> controllers;
  std::string path;
};

struct CgroupLimits {
  double cpus = kNoCpuLimit;
  std::int64_t memory_bytes = kNoMemoryLimit;
  std::string cpu_source;
  std::string memory_source;
};

std::optional<std::string> ReadText(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) return std::nullopt;
  return text.str();
}

std::optional<std::int64_t> ReadNumber(const std::string& path) {
  std::int64_t number = 0;
  const std::optional<std::string> text = ReadText(path);
  if (!text || !absl::SimpleAtoi(*text, &number)) return std::nullopt;
  return number;
}

std::vector<CgroupLine> ReadCgroupLines(const std::string& root) {
  std::vector<CgroupLine> lines;
  for (const absl::string_view text :
       absl::StrSplit(ReadText(root + "proc/self/cgroup").value_or(""), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits(':', 2));
    if (parts.size() == 3) lines.push_back({absl::StrSplit(parts[1], ',', absl::SkipEmpty()), parts[2]});
  }
  return lines;
}

// `base` + `path` and all its parents up to `base`: a limit on any level counts. In a container whose own path is not
// mounted only `base` exists, and what does not exist has no limit.
std::vector<std::string> Levels(const std::string& base, std::string path) {
  std::vector<std::string> levels;
  while (!path.empty() && path != "/") {
    levels.push_back(base + path);
    path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
  }
  levels.push_back(base);
  return levels;
}

void LowerCpus(double cpus, const char* source, CgroupLimits& limits) {
  if (cpus >= limits.cpus) return;
  limits.cpus = cpus;
  limits.cpu_source = source;
}

void LowerMemory(std::int64_t bytes, const char* source, CgroupLimits& limits) {
  if (bytes <= 0 || bytes >= limits.memory_bytes) return;
  limits.memory_bytes = bytes;
  limits.memory_source = source;
}

void ReadV2(const std::string& root, const std::string& path, CgroupLimits& limits) {
  for (const std::string& level : Levels(root + "sys/fs/cgroup", path)) {
    std::int64_t quota = 0;
    std::int64_t period = 0;
    const std::vector<std::string> words =
        absl::StrSplit(ReadText(level + "/cpu.max").value_or(""), absl::ByAnyChar(" \n"), absl::SkipEmpty());
    if (words.size() == 2 && absl::SimpleAtoi(words[0], &quota) && absl::SimpleAtoi(words[1], &period) && quota > 0 &&
        period > 0) {
      LowerCpus(static_cast<double>(quota) / static_cast<double>(period), "cgroup v2 cpu.max", limits);
    }
    LowerMemory(ReadNumber(level + "/memory.max").value_or(0), "cgroup v2 memory.max", limits);
  }
}

void ReadV1(const std::string& root, const CgroupLine& line, CgroupLimits& limits) {
  const auto has = [&line](const char* name) {
    return std::find(line.controllers.begin(), line.controllers.end(), name) != line.controllers.end();
  };
  for (const std::string& level : has("cpu") ? Levels(root + "sys/fs/cgroup/cpu", line.path) : Levels("", "")) {
    const std::int64_t quota = ReadNumber(level + "/cpu.cfs_quota_us").value_or(-1);
    const std::int64_t period = ReadNumber(level + "/cpu.cfs_period_us").value_or(-1);
    if (quota > 0 && period > 0) {
      LowerCpus(static_cast<double>(quota) / static_cast<double>(period), "cgroup v1 cpu.cfs_quota_us", limits);
    }
  }
  if (!has("memory")) return;
  for (const std::string& level : Levels(root + "sys/fs/cgroup/memory", line.path)) {
    LowerMemory(ReadNumber(level + "/memory.limit_in_bytes").value_or(0), "cgroup v1 memory.limit_in_bytes", limits);
  }
}

CgroupLimits ReadCgroupLimits(const std::string& root) {
  CgroupLimits limits;
  for (const CgroupLine& line : ReadCgroupLines(root)) {
    if (line.controllers.empty()) {
      ReadV2(root, line.path, limits);
    } else {
      ReadV1(root, line, limits);
    }
  }
  return limits;
}

// The value of "KEY: value" in a file of /proc.
std::string ProcValue(const std::string& path, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(ReadText(path).value_or(""), '\n')) {
    if (absl::ConsumePrefix(&line, key)) return std::string(absl::StripAsciiWhitespace(line));
  }
  return "";
}

// The number of CPUs in a list such as "0-3,8".
int CountCpus(const std::string& list) {
  int count = 0;
  for (const absl::string_view range : absl::StrSplit(list, ',', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> ends = absl::StrSplit(range, absl::MaxSplits('-', 1));
    int first = 0;
    if (!absl::SimpleAtoi(ends.first, &first)) continue;
    int last = first;
    if (!ends.second.empty() && !absl::SimpleAtoi(ends.second, &last)) continue;
    count += std::max(0, last - first + 1);
  }
  return count;
}

std::int64_t PhysicalMemory(const std::string& root) {
  std::int64_t kib = 0;
  std::string text = ProcValue(root + "proc/meminfo", "MemTotal:");
  text = text.substr(0, text.find(' '));
  return absl::SimpleAtoi(text, &kib) ? kib * 1024 : 0;
}

}  // namespace

Resources DetectResources(const std::string& root) {
  const std::string base = absl::StrCat(absl::StripSuffix(root, "/"), "/");
  const CgroupLimits limits = ReadCgroupLimits(base);
  Resources resources;

  resources.threads = std::max(1, CountCpus(ProcValue(base + "proc/self/status", "Cpus_allowed_list:")));
  std::string cpu_source = "CPU affinity";
  // Part of a CPU counts as a whole one: a thread too few wastes more than a thread that is throttled now and then.
  if (limits.cpus < resources.threads) {
    resources.threads = std::max(1, static_cast<int>(limits.cpus + 0.999));
    cpu_source = limits.cpu_source;
  }

  resources.memory_bytes = PhysicalMemory(base);
  std::string memory_source = "physical memory";
  if (limits.memory_bytes != kNoMemoryLimit &&
      (resources.memory_bytes == 0 || limits.memory_bytes < resources.memory_bytes)) {
    resources.memory_bytes = limits.memory_bytes;
    memory_source = limits.memory_source;
  }
  resources.source = absl::StrCat(cpu_source, ", ", memory_source);
  return resources;
}

std::int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t total = 0;
  std::int64_t resident = 0;
  if (!(file >> total >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace omics
