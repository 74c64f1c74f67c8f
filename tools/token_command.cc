#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/digest.h"
#include "base/status.h"
#include "base/tokens.h"
#include "tools/commands.h"

namespace omics::tools {
namespace {

std::string DigestColumn(std::string_view token) { return absl::StrCat("sha256:", Sha256Hex(token)); }

// As they stand in the tokens file; "" for none.
struct Bindings {
  std::string tenant;
  std::string database;
  std::string collections;
};

std::string Columns(const Bindings& bindings) {
  std::string columns;
  if (!bindings.tenant.empty()) absl::StrAppend(&columns, " tenant=", bindings.tenant);
  if (!bindings.database.empty()) absl::StrAppend(&columns, " database=", bindings.database);
  if (!bindings.collections.empty()) absl::StrAppend(&columns, " collections=", bindings.collections);
  return columns;
}

// The reader of the file decides what may stand in a column; no value may make a second column or a comment.
absl::Status CheckLine(const std::string& line, const std::string& name, const std::string& role,
                       const Bindings& bindings) {
  for (const std::string* value : {&name, &role, &bindings.tenant, &bindings.database, &bindings.collections}) {
    if (value->find_first_of(" \t\r\n#") != std::string::npos) {
      return absl::InvalidArgumentError(
          "no value may hold a space or a #: in the names of --tenant and --database write %20 or %23");
    }
  }
  const absl::Status status = TokenSet::FromFileText(line).status();
  return status.ok() ? status
                     : absl::InvalidArgumentError(absl::StrCat("the values make no token: ", status.message()));
}

int Create(int argc, const char* const* argv) {
  std::string name = "client";
  std::string role = "read";
  Bindings bindings;
  Config config(
      "vectorctl token create",
      "Makes a token of 256 random bits and prints it once, with the line for the file of --tokens-file, which "
      "holds only its SHA-256.");
  config.NoConfigFile();
  config.Group("Token");
  config.Add({"name", {}, "Whom it is for; shown in logs."}, name);
  config.Add({"role", {}, "What it may do: read, write (also reads) or admin (all)."}, role);
  config.Group("What it is bound to");
  config.Add({"tenant", {}, "Tenants, by comma; a space or comma in a name is written %20 or %2C."}, bindings.tenant);
  config.Add({"database", {}, "Databases, likewise."}, bindings.database);
  config.Add({"collections", {}, "Patterns of collection names, by comma; * stands for any characters."},
             bindings.collections);
  config.Examples(
      "  vectorctl token create\n"
      "  vectorctl token create --role admin --name operations\n"
      "  vectorctl token create --role write --name lab --tenant lab --collections 'cells_*,tissues'");
  if (const auto code = config.Parse(argc, argv)) return *code;

  const std::string token = MakeToken();
  const std::string line = absl::StrCat(name, " ", role, " ", DigestColumn(token), Columns(bindings));
  if (const absl::Status status = CheckLine(line, name, role, bindings); !status.ok()) {
    Fail("token create", status);
    return 2;
  }
  std::printf("token: %s\nline:  %s\n", token.c_str(), line.c_str());
  return 0;
}

// Reads one line from standard input; on a terminal it asks, and does not show what is typed.
std::string ReadToken() {
  termios before{};
  const bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
  if (terminal) {
    std::fputs("token: ", stderr);
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  std::string token;
  std::getline(std::cin, token);
  if (terminal) {
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    std::fputc('\n', stderr);
  }
  if (!token.empty() && token.back() == '\r') token.pop_back();
  return token;
}

int Hash(int argc, const char* const* argv) {
  Config config("vectorctl token hash",
                "Reads a token from standard input and prints the sha256:HEX that stands for it in the tokens file.");
  config.NoConfigFile();
  config.Examples("  vectorctl token hash < data/token");
  if (const auto code = config.Parse(argc, argv)) return *code;

  const std::string token = ReadToken();
  if (const absl::Status status = TokenSet::FromBareToken(token).status(); !status.ok()) {
    return Fail("token hash", status);
  }
  std::printf("%s\n", DigestColumn(token).c_str());
  return 0;
}

}  // namespace

int RunToken(int argc, const char* const* argv) {
  static constexpr Subcommand kSubcommands[] = {{"create", Create}, {"hash", Hash}};
  return RunSubcommand(kSubcommands,
                       "Usage: vectorctl token create [--role ROLE] [--name NAME] [--tenant NAMES] [--database NAMES]\n"
                       "                              [--collections PATTERNS]\n"
                       "       vectorctl token hash < FILE\n"
                       "`vectorctl token create --help` and `vectorctl token hash --help` show more.\n",
                       argc, argv);
}

}  // namespace omics::tools
