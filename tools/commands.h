// The commands of vectorctl. Each takes the words from its own name on (argv[0] is the command) and returns the exit
// code: 0 fine, 2 bad usage, 1 anything else after one sentence on standard error.
#pragma once

#include <span>
#include <string_view>

#include "absl/status/status.h"

namespace omics::tools {

int RunImport(int argc, const char* const* argv);
int RunHealth(int argc, const char* const* argv);
int RunStatus(int argc, const char* const* argv);
int RunCompact(int argc, const char* const* argv);
int RunRecall(int argc, const char* const* argv);
int RunToken(int argc, const char* const* argv);
int RunAlias(int argc, const char* const* argv);
int RunBundle(int argc, const char* const* argv);

// Picks the command that argv[1] names, or prints the list of commands.
int RunVectorctl(int argc, const char* const* argv);

// A word behind a command, with arguments of its own.
struct Subcommand {
  std::string_view name;
  int (*run)(int argc, const char* const* argv);
};
// Picks the one that argv[1] names; else prints `usage`, for --help to standard output with code 0.
int RunSubcommand(std::span<const Subcommand> subcommands, const char* usage, int argc, const char* const* argv);

// Prints "vectorctl COMMAND: message" on standard error and returns 1.
int Fail(std::string_view command, const absl::Status& status);

}  // namespace omics::tools
