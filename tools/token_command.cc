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

std::string DigestColumn(std::string_view token) {
  const Sha256Digest digest = Sha256(token);
  return absl::StrCat("sha256:", ToHex({reinterpret_cast<const char*>(digest.data()), digest.size()}));
}

int Create(int argc, const char* const* argv) {
  std::string name = "client";
  std::string role = "read";
  Config config(
      "vectorctl token create",
      "Makes a token of 256 random bits and prints it once, with the line for the file of --tokens-file, which "
      "holds only its SHA-256.");
  config.NoConfigFile();
  config.Group("Token");
  config.Add({"name", {}, "Whom it is for; shown in logs."}, name);
  config.Add({"role", {}, "What it may do: read, write (also reads) or admin (all)."}, role);
  config.Examples(
      "  vectorctl token create\n"
      "  vectorctl token create --role admin --name operations");
  if (const auto code = config.Parse(argc, argv)) return *code;

  const std::string token = MakeToken();
  const std::string line = absl::StrCat(name, " ", role, " ", DigestColumn(token));
  // The reader of the file decides what a name and a role are.
  if (const absl::Status status = TokenSet::FromFileText(line).status(); !status.ok()) {
    Fail("token create", absl::InvalidArgumentError(absl::StrCat("--name or --role: ", status.message())));
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
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (word == "create") return Create(argc - 1, argv + 1);
  if (word == "hash") return Hash(argc - 1, argv + 1);
  const bool help = word == "--help" || word == "-h";
  std::fputs(
      "Usage: vectorctl token create [--role ROLE] [--name NAME]\n"
      "       vectorctl token hash < FILE\n"
      "`vectorctl token create --help` and `vectorctl token hash --help` show more.\n",
      help ? stdout : stderr);
  return help ? 0 : 2;
}

}  // namespace omics::tools
