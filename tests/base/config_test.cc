#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace omics {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Settings {
  std::string address = "127.0.0.1:1";
  std::string token;
  bool fast = false;
  bool reflection = true;
  std::int64_t threads = 4;
  std::vector<std::string> names = {"a", "b"};
  std::string store;
};

struct Outcome {
  std::optional<int> code;
  std::string out;
  std::string err;
};

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override { ClearEnvironment(); }
  void TearDown() override { ClearEnvironment(); }

  static void ClearEnvironment() {
    for (const char* name : {"T_ADDRESS", "T_OLD_ADDRESS", "T_TOKEN", "T_FAST", "T_REFLECTION", "T_THREADS", "T_NAMES",
                             "OMICS_VECTOR_CONFIG"}) {
      unsetenv(name);
    }
  }

  std::string File(const std::string& text) {
    const std::string path = folder_ / "file.conf";
    std::ofstream(path) << text;
    return path;
  }

  Outcome Parse(const std::vector<std::string>& arguments) {
    settings_ = Settings();
    Config config("tool", "Does things.");
    config.Group("Network");
    config.Add({"address", {"T_ADDRESS", "T_OLD_ADDRESS"}, "Where to listen."}, settings_.address);
    config.Group("Access");
    config.Add({"token", {"T_TOKEN"}, "The token.", true}, settings_.token);
    config.Group("Speed");
    config.Add({"fast", {"T_FAST"}, "Hurry."}, settings_.fast);
    config.Add({"reflection", {"T_REFLECTION"}, "Reflect."}, settings_.reflection);
    config.Add({"threads", {"T_THREADS"}, "How many."}, settings_.threads, 0, 64);
    config.Add({"names", {"T_NAMES"}, "Which."}, settings_.names);
    config.AddPositional("STORE", "What to read.", settings_.store, false);
    config.Examples("  tool --fast");
    config.AddCheck([this] {
      return settings_.fast && settings_.threads == 0 ? absl::InvalidArgumentError("--fast needs --threads")
                                                      : absl::OkStatus();
    });
    std::vector<const char*> argv = {"tool"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Outcome outcome;
    outcome.code = config.Parse(static_cast<int>(argv.size()), argv.data());
    outcome.out = testing::internal::GetCapturedStdout();
    outcome.err = testing::internal::GetCapturedStderr();
    return outcome;
  }

  // An error ends with 2 and one line on standard error that has all of `parts`.
  void ExpectError(const std::vector<std::string>& arguments, const std::vector<std::string>& parts) {
    const Outcome outcome = Parse(arguments);
    EXPECT_EQ(outcome.code, 2) << testing::PrintToString(arguments);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.rfind("tool: ", 0), 0u) << outcome.err;
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
    for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
  }

  const TempDir folder_;
  Settings settings_;
};

TEST_F(ConfigTest, FlagWinsOverEnvironmentOverFileOverDefault) {
  // Every combination of the three sources, for every kind of option.
  for (int sources = 0; sources < 8; ++sources) {
    ClearEnvironment();
    std::vector<std::string> arguments;
    if (sources & 1) {
      arguments = {"--config", File("address = file:1\nfast = on\nreflection=off\nthreads = 11\nnames = file , x\n")};
    }
    if (sources & 2) {
      setenv("T_ADDRESS", "environment:1", 1);
      setenv("T_FAST", "off", 1);
      setenv("T_REFLECTION", "1", 1);
      setenv("T_THREADS", "12", 1);
      setenv("T_NAMES", "environment", 1);
    }
    if (sources & 4) {
      for (const char* flag : {"--address", "flag:1", "--fast", "--reflection=false", "--threads=13", "--names=flag"}) {
        arguments.emplace_back(flag);
      }
    }
    const Outcome outcome = Parse(arguments);
    ASSERT_EQ(outcome.code, std::nullopt) << outcome.err;
    const int winner = sources & 4 ? 3 : sources & 2 ? 2 : sources & 1;
    EXPECT_EQ(settings_.address,
              (std::vector<std::string>{"127.0.0.1:1", "file:1", "environment:1", "flag:1"})[winner]);
    EXPECT_EQ(settings_.fast, winner == 1 || winner == 3) << sources;
    EXPECT_EQ(settings_.reflection, winner == 0 || winner == 2) << sources;
    EXPECT_EQ(settings_.threads, (std::vector<int>{4, 11, 12, 13})[winner]);
    EXPECT_EQ(settings_.names.front(), (std::vector<std::string>{"a", "file", "environment", "flag"})[winner]);
  }
}

TEST_F(ConfigTest, TheFirstVariableThatIsSetCounts) {
  setenv("T_OLD_ADDRESS", "old:1", 1);
  Parse({});
  EXPECT_EQ(settings_.address, "old:1");
  setenv("T_ADDRESS", "new:1", 1);
  Parse({});
  EXPECT_EQ(settings_.address, "new:1");
}

TEST_F(ConfigTest, TheFileMayBeNamedByTheEnvironment) {
  setenv("OMICS_VECTOR_CONFIG", File("threads = 9\n").c_str(), 1);
  EXPECT_EQ(Parse({}).code, std::nullopt);
  EXPECT_EQ(settings_.threads, 9);
}

TEST_F(ConfigTest, AnEmptyTextIsAValueAndAnEmptyNumberIsNone) {
  EXPECT_EQ(Parse({"--address="}).code, std::nullopt);
  EXPECT_EQ(settings_.address, "");
  EXPECT_EQ(Parse({"--address", ""}).code, std::nullopt);
  EXPECT_EQ(settings_.address, "");
  EXPECT_EQ(Parse({"--names="}).code, std::nullopt);
  EXPECT_THAT(settings_.names, testing::IsEmpty());
  setenv("T_ADDRESS", "", 1);
  setenv("T_FAST", "", 1);
  setenv("T_THREADS", "", 1);
  EXPECT_EQ(Parse({}).code, std::nullopt);
  EXPECT_EQ(settings_.address, "");
  EXPECT_EQ(settings_.threads, 4);
  ExpectError({"--threads="}, {"--threads", "0 to 64"});
}

TEST_F(ConfigTest, SwitchesTakeAllUsualWords) {
  for (const char* word : {"on", "true", "1", "yes", "ON", "True"}) {
    EXPECT_EQ(Parse({std::string("--fast=") + word}).code, std::nullopt);
    EXPECT_TRUE(settings_.fast) << word;
  }
  for (const char* word : {"off", "false", "0", "no"}) {
    EXPECT_EQ(Parse({std::string("--reflection=") + word}).code, std::nullopt);
    EXPECT_FALSE(settings_.reflection) << word;
  }
  EXPECT_EQ(Parse({"--fast", "off"}).code, std::nullopt);
  EXPECT_TRUE(settings_.fast) << "a word after a switch is an argument of its own";
  EXPECT_EQ(settings_.store, "off");
}

TEST_F(ConfigTest, TheLastOfARepeatedFlagCounts) {
  Parse({"--threads", "1", "--threads=2"});
  EXPECT_EQ(settings_.threads, 2);
}

TEST_F(ConfigTest, ListsDropSpacesAndEmptyItems) {
  Parse({"--names", " x, y ,,z,"});
  EXPECT_THAT(settings_.names, ElementsAre("x", "y", "z"));
}

TEST_F(ConfigTest, ArgumentsWithoutAFlag) {
  EXPECT_EQ(Parse({"store.tar", "--fast"}).code, std::nullopt);
  EXPECT_EQ(settings_.store, "store.tar");
  EXPECT_EQ(Parse({"--", "--odd-name"}).code, std::nullopt);
  EXPECT_EQ(settings_.store, "--odd-name");
  ExpectError({"one", "two"}, {"unexpected argument \"two\""});
}

TEST_F(ConfigTest, ARequiredArgumentThatIsMissingIsNamed) {
  std::string store;
  Config config("tool import", "Imports.");
  config.AddPositional("STORE", "What to read.", store, true);
  const char* argv[] = {"import"};
  testing::internal::CaptureStderr();
  EXPECT_EQ(config.Parse(1, argv), 2);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("tool import: STORE is missing"));
}

TEST_F(ConfigTest, AProgramWithoutAFileDoesNotLookForOne) {
  setenv("OMICS_VECTOR_CONFIG", (folder_ / "missing").c_str(), 1);
  std::int64_t number = 1;
  const auto parse = [&number](std::vector<const char*> argv) {
    Config config("tool", "Does things.");
    config.NoConfigFile();
    config.Add({"number", {}, "A number."}, number, 0, 9);
    testing::internal::CaptureStderr();
    const std::optional<int> code = config.Parse(static_cast<int>(argv.size()), argv.data());
    testing::internal::GetCapturedStderr();
    return code;
  };
  EXPECT_EQ(parse({"tool", "--number=2"}), std::nullopt);
  EXPECT_EQ(number, 2);
  EXPECT_EQ(parse({"tool", "--config", "file"}), 2);
}

TEST_F(ConfigTest, ErrorsSayWhatIsWrongAndWhereItCameFrom) {
  ExpectError({"--threads", "many"}, {"--threads must be a whole number from 0 to 64", "\"many\"", "command line"});
  ExpectError({"--threads=65"}, {"0 to 64"});
  ExpectError({"--threads"}, {"--threads needs a value"});
  ExpectError({"--fast=perhaps"}, {"--fast must be on or off", "\"perhaps\""});
  ExpectError({"--unknown=1"}, {"unknown option --unknown", "--help"});
  ExpectError({"--thread=1"}, {"did you mean --threads?"});
  ExpectError({"-x"}, {"unknown option -x"});
  ExpectError({"--fast", "--threads=0"}, {"--fast needs --threads"});
  setenv("T_THREADS", "-1", 1);
  ExpectError({}, {"--threads", "\"-1\"", "from the environment variable T_THREADS"});
}

TEST_F(ConfigTest, ErrorsOfTheFileNameFileAndLine) {
  const std::string path = folder_ / "file.conf";
  const auto expect = [&](const std::string& text, const std::string& line, const std::string& part) {
    ExpectError({"--config", File(text)}, {path + ":" + line, part});
  };
  expect("# fine\n\nthreads = 1\nthread = 2\n", "4", "unknown key \"thread\"");
  expect("config = other\n", "1", "unknown key \"config\"");
  expect("threads = x\n", "1", "0 to 64");
  expect("threads\n", "1", "expected key = value");
  expect("= 1\n", "1", "expected key = value");
  expect("threads = 1\nfast = on\nthreads = 2\n", "3", "line 1 already");
  expect("address = \"open\nthreads = 1\n", "1", "quote is not closed");
  expect("address = \"a\" b\n", "1", "after the closing quote");
  ExpectError({"--config", path + ".missing"}, {path + ".missing", "No such file"});
  ExpectError({"--config", folder_.path().string()}, {folder_.path().string()});
  ExpectError({"--config", File(std::string((1 << 20) + 1, '\n'))}, {"larger than 1 MiB"});
}

TEST_F(ConfigTest, ValuesOfTheFileKeepWhatIsQuoted) {
  EXPECT_EQ(Parse({"--config", File("address = \" a # b \"  # comment\r\ntoken = x#y # z\n  names=\"\"\n")}).code,
            std::nullopt);
  EXPECT_EQ(settings_.address, " a # b ");
  EXPECT_EQ(settings_.token, "x#y");
  EXPECT_THAT(settings_.names, testing::IsEmpty());
}

TEST_F(ConfigTest, SecretsAreNeverShown) {
  setenv("T_TOKEN", "very-secret", 1);
  for (const char* action : {"--print-config", "--help", "--check-config"}) {
    const Outcome outcome = Parse({action});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("very-secret"))) << action;
  }
  EXPECT_THAT(Parse({"--print-config"}).out, HasSubstr("token = ***"));
}

TEST_F(ConfigTest, PrintedConfigurationSaysWhereFromAndReadsBackTheSame) {
  setenv("T_THREADS", "7", 1);
  const Outcome printed = Parse({"--print-config", "--fast", "--address= x # y"});
  EXPECT_EQ(printed.code, 0);
  EXPECT_THAT(printed.out, AllOf(HasSubstr("threads = 7  # the environment variable T_THREADS"),
                                 HasSubstr("fast = on  # the command line"), HasSubstr("reflection = on  # default")));
  ClearEnvironment();
  EXPECT_EQ(Parse({"--config", File(printed.out)}).code, std::nullopt);
  EXPECT_EQ(settings_.threads, 7);
  EXPECT_TRUE(settings_.fast);
  EXPECT_EQ(settings_.address, " x # y");
}

TEST_F(ConfigTest, HelpHasGroupsVariablesAndDefaults) {
  const Outcome help = Parse({"--help", "--unknown"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(help.err, "");
  EXPECT_THAT(
      help.out,
      AllOf(HasSubstr("Usage: tool [STORE] [OPTION]...\nDoes things.\n"), HasSubstr("\nNetwork:\n  --address TEXT"),
            HasSubstr("[T_ADDRESS, T_OLD_ADDRESS; default 127.0.0.1:1]"), HasSubstr("\nSpeed:\n  --fast  "),
            HasSubstr("[T_REFLECTION; default on]"), HasSubstr("default a,b"), HasSubstr("OMICS_VECTOR_CONFIG"),
            HasSubstr("Examples:\n  tool --fast\n")));
}

TEST_F(ConfigTest, HelpShowsTheDefaultAndNotTheValueOfNow) {
  setenv("T_THREADS", "33", 1);
  EXPECT_THAT(Parse({"-h"}).out, AllOf(HasSubstr("default 4"), Not(HasSubstr("33"))));
}

TEST_F(ConfigTest, VersionAndCheck) {
  EXPECT_EQ(Parse({"--version"}).out, "tool " OMICS_VECTOR_VERSION "\n");
  EXPECT_EQ(Parse({"--version"}).code, 0);
  EXPECT_EQ(Parse({"--check-config"}).code, 0);
  ExpectError({"--check-config", "--threads=99"}, {"0 to 64"});
  ExpectError({"--check-config", "--fast", "--threads=0"}, {"--fast needs --threads"});
}

}  // namespace
}  // namespace omics
