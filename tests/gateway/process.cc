#include "tests/gateway/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

extern char** environ;

namespace omics::gateway::testing {

Process::Process(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  int log[2];
  EXPECT_EQ(pipe2(log, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, log[1], STDERR_FILENO);
  EXPECT_EQ(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0) << argv[0];
  posix_spawn_file_actions_destroy(&actions);
  close(log[1]);
  log_ = log[0];
}

Process::~Process() {
  if (pid_ != 0) {
    Signal(SIGKILL);
    Wait();
  }
  close(log_);
}

bool Process::ReadMore() {
  char buffer[4096];
  pollfd readable{.fd = log_, .events = POLLIN, .revents = 0};
  if (poll(&readable, 1, 20'000) != 1) return false;
  const ssize_t got = read(log_, buffer, sizeof buffer);
  if (got <= 0) return false;
  pending_.append(buffer, static_cast<std::size_t>(got));
  return true;
}

std::string Process::WaitForLine(std::string_view text) {
  while (true) {
    const std::size_t found = pending_.find(text);
    const std::size_t end = found == std::string::npos ? found : pending_.find('\n', found);
    if (end != std::string::npos) {
      const std::size_t before = pending_.rfind('\n', found);
      const std::size_t start = before == std::string::npos ? 0 : before + 1;
      const std::string line = pending_.substr(start, end - start);
      pending_.erase(0, end + 1);
      return line;
    }
    if (ReadMore()) continue;
    ADD_FAILURE() << "no \"" << text << "\" in the log: " << pending_;
    return "";
  }
}

void Process::Signal(int signal) { EXPECT_EQ(kill(pid_, signal), 0); }

int Process::Wait() {
  int status = 0;
  waitpid(std::exchange(pid_, 0), &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string Process::RestOfLog() {
  while (ReadMore()) {
  }
  return std::move(pending_);
}

}  // namespace omics::gateway::testing
