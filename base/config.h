// Options of a program: flag > environment > config file > default, with --help, --version, --print-config (secrets
// masked), --check-config. Parsed here rather than by CLI11, which lets the file win over the environment, ignores
// unknown keys, and reads "--name=" (an empty value, which means "none" for addresses) as a missing one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace omics {

// One option. The flag is "--name", the config-file key "name". The environment variables are tried in order.
struct OptionNames {
  std::string name;                      // "grpc-address"
  std::vector<std::string> environment;  // {"OMICS_VECTOR_GRPC_ADDRESS"}
  std::string help;                      // one sentence; units where there are any
  bool secret = false;                   // shown as "***" by --print-config
  // What --print-config shows of the value, where only parts of it are secret.
  std::function<std::string(const std::string&)> mask = nullptr;
};

class Config {
 public:
  // `program` and `description` head the --help text.
  Config(std::string program, std::string description);
  ~Config();

  // Options added after this stand under `title` in the --help text.
  void Group(std::string title);
  // Text for the end of --help, for example commands that work when pasted.
  void Examples(std::string text);

  // Each binds an option to a variable whose present value is the default. The variable must outlive Parse().
  // A text may be given empty ("--name=", NAME= in the environment). An environment variable that is empty counts as
  // not set for the other kinds.
  void Add(OptionNames names, std::string& value);
  // "--name", or with one of on, off, true, false, yes, no, 1, 0: "--name=off".
  void Add(OptionNames names, bool& value);
  void Add(OptionNames names, std::int64_t& value, std::int64_t min, std::int64_t max);
  // Comma-separated.
  void Add(OptionNames names, std::vector<std::string>& value);

  // An argument without a flag, in the order of these calls: "STORE". Required ones first.
  void AddPositional(std::string name, std::string help, std::string& value, bool required);

  // A check across options, run when all have their values and before --check-config answers. Its message is printed
  // after the program's name and ends it with 2.
  void AddCheck(std::function<absl::Status()> check);

  // The program has no config file: no --config, and OMICS_VECTOR_CONFIG is not looked at.
  void NoConfigFile();

  // Reads the command line, the environment, and the file of `--config FILE` / OMICS_VECTOR_CONFIG (lines "key =
  // value",
  // '#' starts a comment, "quotes" keep spaces and '#'; an unknown key is an error naming its line).
  // Returns nullopt when the program should go on; otherwise the exit code to leave with, after having printed help,
  // version, configuration, or to standard error one sentence saying what is wrong and where it came from.
  std::optional<int> Parse(int argc, const char* const* argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace omics
