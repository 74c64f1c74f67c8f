#include "base/config.h"

#include <cstdio>
#include <cstdlib>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/config_file.h"
#include "base/status.h"

namespace omics {
namespace {

constexpr int kExitUsage = 2;
constexpr char kConfigVariable[] = "OMICS_VECTOR_CONFIG";
constexpr std::size_t kHelpWidth = 100;
// Where the sentences of --help begin.
constexpr std::size_t kHelpColumn = 30;

// How text becomes the value of the bound variable, and back.
struct Binding {
  std::string placeholder;  // "TEXT"; "" for a switch, which needs no value
  bool empty_is_unset = false;
  std::function<absl::Status(const std::string&)> set;  // the message says only what the text must be
  std::function<std::string()> get;
};

struct Option {
  OptionNames names;
  std::string group;
  Binding binding;
  std::string default_text;
  std::string source = "default";
};

struct Positional {
  std::string name;
  std::string help;
  std::string* value;
  bool required;
};

// What the command line says, before any of it is given to the options.
struct Arguments {
  std::map<std::string, std::string> flags;  // the last one counts
  std::vector<std::string> positionals;
  bool help = false;
  bool version = false;
  bool print_config = false;
  bool check_config = false;
};

absl::StatusOr<bool> ParseBool(const std::string& text) {
  for (const char* word : {"on", "true", "yes", "1"}) {
    if (absl::EqualsIgnoreCase(text, word)) return true;
  }
  for (const char* word : {"off", "false", "no", "0"}) {
    if (absl::EqualsIgnoreCase(text, word)) return false;
  }
  return absl::InvalidArgumentError("must be on or off");
}

std::vector<std::string> ParseList(const std::string& text) {
  std::vector<std::string> list;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    const absl::string_view trimmed = absl::StripAsciiWhitespace(item);
    if (!trimmed.empty()) list.emplace_back(trimmed);
  }
  return list;
}

// Appends `text` broken into lines, each but the first indented by kHelpColumn.
void AppendWrapped(absl::string_view text, std::string& out) {
  std::size_t column = kHelpColumn;
  for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (column > kHelpColumn && column + 1 + word.size() > kHelpWidth) {
      absl::StrAppend(&out, "\n", std::string(kHelpColumn, ' '));
      column = kHelpColumn;
    }
    if (column > kHelpColumn) {
      out.push_back(' ');
      ++column;
    }
    absl::StrAppend(&out, word);
    column += word.size();
  }
  out.push_back('\n');
}

void AppendEntry(const std::string& head, const std::string& text, std::string& out) {
  const std::string left = absl::StrCat("  ", head);
  absl::StrAppend(&out, left);
  if (left.size() + 2 > kHelpColumn) {
    absl::StrAppend(&out, "\n", std::string(kHelpColumn, ' '));
  } else {
    out.append(kHelpColumn - left.size(), ' ');
  }
  AppendWrapped(text, out);
}

void AppendOption(const Option& option, std::string& out) {
  std::string head = absl::StrCat("--", option.names.name);
  if (!option.binding.placeholder.empty()) absl::StrAppend(&head, " ", option.binding.placeholder);
  std::string notes;
  if (!option.names.environment.empty()) absl::StrAppend(&notes, absl::StrJoin(option.names.environment, ", "), "; ");
  const bool masked = option.names.secret && !option.default_text.empty();
  absl::StrAppend(&notes, "default ", masked ? "***" : option.default_text.empty() ? "none" : option.default_text);
  AppendEntry(head, absl::StrCat(option.names.help, " [", notes, "]"), out);
}

}  // namespace

struct Config::Impl {
  std::string program;
  std::string description;
  std::string group = "Options";
  std::string examples;
  bool has_file = true;
  std::vector<Option> options;
  std::vector<Positional> positionals;
  std::vector<std::function<absl::Status()>> checks;

  void Add(OptionNames names, Binding binding);
  Option* Find(absl::string_view name);
  absl::Status UnknownFlag(absl::string_view name) const;

  absl::StatusOr<Arguments> ReadArguments(int argc, const char* const* argv);
  absl::Status ReadFlag(const std::vector<std::string>& words, std::size_t& i, Arguments& arguments);
  absl::Status SetPositionals(const std::vector<std::string>& values);
  absl::Status Set(Option& option, const std::string& text, const std::string& source);
  absl::Status ApplyFile(const Arguments& arguments);
  absl::Status ApplyEnvironment();
  absl::Status Apply(const Arguments& arguments);

  std::string Help() const;
  std::string Print() const;
  int Fail(const absl::Status& status) const;
};

void Config::Impl::Add(OptionNames names, Binding binding) {
  std::string default_text = binding.get();
  options.push_back({std::move(names), group, std::move(binding), std::move(default_text)});
}

Option* Config::Impl::Find(absl::string_view name) {
  for (Option& option : options) {
    if (option.names.name == name) return &option;
  }
  return nullptr;
}

absl::Status Config::Impl::UnknownFlag(absl::string_view name) const {
  std::string near;
  for (const Option& option : options) {
    if (absl::StrContains(option.names.name, name) || absl::StrContains(name, option.names.name)) {
      near = absl::StrCat(" (did you mean --", option.names.name, "?)");
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown option --", name, near, "; see ", program, " --help"));
}

// One flag at words[i], and its value if that is the next word.
absl::Status Config::Impl::ReadFlag(const std::vector<std::string>& words, std::size_t& i, Arguments& arguments) {
  const absl::string_view text = absl::string_view(words[i]).substr(2);
  const std::size_t equals = text.find('=');
  const std::string name(text.substr(0, equals));
  const bool has_value = equals != absl::string_view::npos;
  const Option* option = Find(name);
  if (option == nullptr && (!has_file || name != "config")) return UnknownFlag(name);
  std::string& value = arguments.flags[name];
  if (has_value) {
    value = std::string(text.substr(equals + 1));
  } else if (option != nullptr && option->binding.placeholder.empty()) {
    value = "on";
  } else if (i + 1 < words.size()) {
    value = words[++i];
  } else {
    return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Arguments> Config::Impl::ReadArguments(int argc, const char* const* argv) {
  const std::map<std::string, bool Arguments::*> actions = {
      {"--help", &Arguments::help},       {"-h", &Arguments::help},
      {"--version", &Arguments::version}, {"--print-config", &Arguments::print_config},
      {"-V", &Arguments::version},        {"--check-config", &Arguments::check_config}};
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  Arguments arguments;
  bool flags_end = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto action = actions.find(word);
    if (flags_end || word == "-" || !absl::StartsWith(word, "-")) {
      arguments.positionals.push_back(word);
    } else if (word == "--") {
      flags_end = true;
    } else if (action != actions.end()) {
      arguments.*action->second = true;
      if (arguments.help || arguments.version) return arguments;
    } else if (absl::StartsWith(word, "--")) {
      OMICS_RETURN_IF_ERROR(ReadFlag(words, i, arguments));
    } else {
      return absl::InvalidArgumentError(absl::StrCat("unknown option ", word, "; see ", program, " --help"));
    }
  }
  return arguments;
}

absl::Status Config::Impl::SetPositionals(const std::vector<std::string>& values) {
  if (values.size() > positionals.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected argument \"", values[positionals.size()], "\"; see ", program, " --help"));
  }
  for (std::size_t i = 0; i < positionals.size(); ++i) {
    if (i < values.size()) {
      *positionals[i].value = values[i];
    } else if (positionals[i].required) {
      return absl::InvalidArgumentError(absl::StrCat(positionals[i].name, " is missing; see ", program, " --help"));
    }
  }
  return absl::OkStatus();
}

absl::Status Config::Impl::Set(Option& option, const std::string& text, const std::string& source) {
  const absl::Status status = option.binding.set(text);
  if (!status.ok()) {
    const std::string was = option.names.secret ? "" : absl::StrCat(", was \"", text, "\"");
    return absl::InvalidArgumentError(
        absl::StrCat("--", option.names.name, " ", status.message(), was, " (from ", source, ")"));
  }
  option.source = source;
  return absl::OkStatus();
}

absl::Status Config::Impl::ApplyFile(const Arguments& arguments) {
  const char* variable = std::getenv(kConfigVariable);
  const auto flag = arguments.flags.find("config");
  const std::string path = flag != arguments.flags.end() ? flag->second : variable != nullptr ? variable : "";
  if (path.empty()) return absl::OkStatus();
  OMICS_ASSIGN_OR_RETURN(const std::vector<ConfigLine> lines, ReadConfigFile(path));
  for (const ConfigLine& line : lines) {
    const std::string source = absl::StrCat(path, ":", line.line);
    Option* option = Find(line.key);
    if (option == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(source, ": unknown key \"", line.key, "\"; `", program, " --print-config` lists the keys"));
    }
    OMICS_RETURN_IF_ERROR(Set(*option, line.value, source));
  }
  return absl::OkStatus();
}

absl::Status Config::Impl::ApplyEnvironment() {
  for (Option& option : options) {
    for (const std::string& variable : option.names.environment) {
      const char* value = std::getenv(variable.c_str());
      if (value == nullptr || (*value == '\0' && option.binding.empty_is_unset)) continue;
      OMICS_RETURN_IF_ERROR(Set(option, value, absl::StrCat("the environment variable ", variable)));
      break;
    }
  }
  return absl::OkStatus();
}

absl::Status Config::Impl::Apply(const Arguments& arguments) {
  if (has_file) OMICS_RETURN_IF_ERROR(ApplyFile(arguments));
  OMICS_RETURN_IF_ERROR(ApplyEnvironment());
  for (const auto& [name, value] : arguments.flags) {
    if (Option* option = Find(name)) OMICS_RETURN_IF_ERROR(Set(*option, value, "the command line"));
  }
  OMICS_RETURN_IF_ERROR(SetPositionals(arguments.positionals));
  for (const auto& check : checks) OMICS_RETURN_IF_ERROR(check());
  return absl::OkStatus();
}

std::string Config::Impl::Help() const {
  std::string usage = program;
  for (const Positional& positional : positionals) {
    absl::StrAppend(&usage, positional.required ? " " : " [", positional.name, positional.required ? "" : "]");
  }
  std::string text = absl::StrCat("Usage: ", usage, " [OPTION]...\n", description, "\n");
  if (!positionals.empty()) absl::StrAppend(&text, "\nArguments:\n");
  for (const Positional& positional : positionals) AppendEntry(positional.name, positional.help, text);
  std::string last;
  for (const Option& option : options) {
    if (option.group != last) absl::StrAppend(&text, "\n", option.group, ":\n");
    last = option.group;
    AppendOption(option, text);
  }
  absl::StrAppend(&text, "\nGeneral:\n");
  if (has_file) {
    AppendEntry(
        "--config FILE",
        absl::StrCat("Lines \"name = value\" with the option names above. A flag wins over the environment, that "
                     "over the file. [",
                     kConfigVariable, "; default none]"),
        text);
  }
  AppendEntry("--print-config", "Print the configuration with where each value comes from, secrets masked, and leave.",
              text);
  AppendEntry("--check-config", "Leave with 0 if the configuration is valid, with 2 if not.", text);
  AppendEntry("--version", "Print the version and leave.", text);
  AppendEntry("--help", "Print this and leave.", text);
  if (!examples.empty()) absl::StrAppend(&text, "\nExamples:\n", examples, "\n");
  return text;
}

std::string Config::Impl::Print() const {
  std::string text;
  for (const Option& option : options) {
    const std::string held = option.binding.get();
    const std::string value = option.names.mask ? option.names.mask(held) : held;
    const bool masked = option.names.secret && !value.empty();
    absl::StrAppend(&text, option.names.name, " = ", masked ? "***" : QuoteConfigValue(value), "  # ", option.source,
                    "\n");
  }
  return text;
}

int Config::Impl::Fail(const absl::Status& status) const {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), std::string(status.message()).c_str());
  return kExitUsage;
}

Config::Config(std::string program, std::string description) : impl_(std::make_unique<Impl>()) {
  impl_->program = std::move(program);
  impl_->description = std::move(description);
}

Config::~Config() = default;

void Config::Group(std::string title) { impl_->group = std::move(title); }

void Config::Examples(std::string text) { impl_->examples = std::move(text); }

void Config::Add(OptionNames names, std::string& value) {
  impl_->Add(std::move(names), {"TEXT", false,
                                [&value](const std::string& text) {
                                  value = text;
                                  return absl::OkStatus();
                                },
                                [&value] { return value; }});
}

void Config::Add(OptionNames names, bool& value) {
  impl_->Add(std::move(names), {"", true,
                                [&value](const std::string& text) -> absl::Status {
                                  OMICS_ASSIGN_OR_RETURN(value, ParseBool(text));
                                  return absl::OkStatus();
                                },
                                [&value] { return std::string(value ? "on" : "off"); }});
}

void Config::Add(OptionNames names, std::int64_t& value, std::int64_t min, std::int64_t max) {
  const auto set = [&value, min, max](const std::string& text) -> absl::Status {
    std::int64_t number = 0;
    if (!absl::SimpleAtoi(text, &number) || number < min || number > max) {
      return absl::InvalidArgumentError(absl::StrCat("must be a whole number from ", min, " to ", max));
    }
    value = number;
    return absl::OkStatus();
  };
  impl_->Add(std::move(names), {"NUMBER", true, set, [&value] { return std::to_string(value); }});
}

void Config::Add(OptionNames names, std::vector<std::string>& value) {
  impl_->Add(std::move(names), {"LIST", false,
                                [&value](const std::string& text) {
                                  value = ParseList(text);
                                  return absl::OkStatus();
                                },
                                [&value] { return absl::StrJoin(value, ","); }});
}

void Config::AddPositional(std::string name, std::string help, std::string& value, bool required) {
  impl_->positionals.push_back({std::move(name), std::move(help), &value, required});
}

void Config::NoConfigFile() { impl_->has_file = false; }

void Config::AddCheck(std::function<absl::Status()> check) { impl_->checks.push_back(std::move(check)); }

std::optional<int> Config::Parse(int argc, const char* const* argv) {
  const absl::StatusOr<Arguments> arguments = impl_->ReadArguments(argc, argv);
  if (!arguments.ok()) return impl_->Fail(arguments.status());
  if (arguments->help) {
    std::fputs(impl_->Help().c_str(), stdout);
    return 0;
  }
  if (arguments->version) {
    std::printf("%s %s\n", impl_->program.c_str(), OMICS_VECTOR_VERSION);
    return 0;
  }
  if (const absl::Status status = impl_->Apply(*arguments); !status.ok()) return impl_->Fail(status);
  if (arguments->print_config) {
    std::fputs(impl_->Print().c_str(), stdout);
    return 0;
  }
  if (arguments->check_config) {
    std::printf("%s: the configuration is valid\n", impl_->program.c_str());
    return 0;
  }
  return std::nullopt;
}

}  // namespace omics
