#include "tools/commands.h"

#include <array>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"

namespace omics::tools {
namespace {

struct Command {
  std::string_view name;
  std::string_view summary;
  int (*run)(int argc, const char* const* argv);
};

constexpr std::array kCommands = {
    Command{"import", "Import a Chroma store into a running service or a data directory", RunImport},
    Command{"health", "Ask whether the service, or one name of it, is serving", RunHealth},
    Command{"status", "Show the collections, their rows and their disk space", RunStatus},
    Command{"compact", "Build a collection's graph over all rows and give back deleted ones' space", RunCompact},
    Command{"recall", "Measure how many of the true nearest rows a collection's graph finds", RunRecall},
    Command{"alias", "Give collections second names, and point them elsewhere", RunAlias},
    Command{"bundle", "Save collections with their graphs as files, check and load those", RunBundle},
    Command{"token", "Make a token, or the line that goes into the tokens file", RunToken},
};

void PrintHelp() {
  std::string text =
      "Usage: vectorctl COMMAND [ARGUMENT]...\n"
      "Administration of a running vector-service, and offline work on its data directory.\n\nCommands:\n";
  for (const Command& command : kCommands) {
    absl::StrAppend(&text, "  ", ToAbsl(command.name), std::string(10 - command.name.size(), ' '),
                    ToAbsl(command.summary), "\n");
  }
  absl::StrAppend(&text,
                  "  --help    Print this; `vectorctl COMMAND --help` shows a command's options\n"
                  "  --version Print the version\n"
                  "\nExamples:\n"
                  "  vectorctl health\n"
                  "  vectorctl status --token \"$(cat data/token)\"\n"
                  "  vectorctl import chroma.tar.gz --token \"$(cat data/token)\"\n");
  std::fputs(text.c_str(), stdout);
}

int Usage(const std::string& message) {
  std::fprintf(stderr, "vectorctl: %s; see vectorctl --help\n", OneLine(message).c_str());
  return 2;
}

}  // namespace

int RunVectorctl(int argc, const char* const* argv) {
  if (argc < 2) return Usage("name a command");
  const std::string_view word = argv[1];
  for (const Command& command : kCommands) {
    if (command.name == word) return command.run(argc - 1, argv + 1);
  }
  if (word == "--help" || word == "-h" || word == "help") {
    PrintHelp();
    return 0;
  }
  if (word == "--version" || word == "-V") {
    std::printf("vectorctl %s\n", OMICS_VECTOR_VERSION);
    return 0;
  }
  return Usage(absl::StrCat("there is no command \"", argv[1], "\""));
}

int RunSubcommand(std::span<const Subcommand> subcommands, const char* usage, int argc, const char* const* argv) {
  const std::string_view word = argc > 1 ? argv[1] : "";
  for (const Subcommand& subcommand : subcommands) {
    if (subcommand.name == word) return subcommand.run(argc - 1, argv + 1);
  }
  const bool help = word == "--help" || word == "-h";
  std::fputs(usage, help ? stdout : stderr);
  return help ? 0 : 2;
}

int Fail(std::string_view command, const absl::Status& status) {
  std::fprintf(stderr, "vectorctl %s: %s\n", std::string(command).c_str(), OneLine(ToStd(status.message())).c_str());
  return 1;
}

}  // namespace omics::tools
