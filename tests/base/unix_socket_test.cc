#include "base/unix_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <filesystem>

#include "base/file_descriptor.h"
#include "tests/support/temp_dir.h"

namespace omics {
namespace {

FileDescriptor Socket() { return FileDescriptor(socket(AF_UNIX, SOCK_STREAM, 0)); }

TEST(UnixSocketTest, WhatIsBoundAndListensIsFound) {
  const TempDir directory;
  const FileDescriptor listening = Socket();
  EXPECT_EQ(ConnectUnixSocket(Socket().get(), directory / "s"), -1);
  EXPECT_EQ(errno, ENOENT);
  ASSERT_EQ(BindUnixSocket(listening.get(), directory / "s"), 0);
  ASSERT_EQ(listen(listening.get(), 1), 0);
  EXPECT_EQ(ConnectUnixSocket(Socket().get(), directory / "s"), 0);
}

TEST(UnixSocketTest, APathIsTakenWholeOrNotAtAll) {
  const TempDir directory;
  const std::size_t room = sizeof(sockaddr_un::sun_path) - 1 - (directory / "").size();
  const std::string longest = directory / std::string(room, 'x');
  EXPECT_EQ(BindUnixSocket(Socket().get(), longest), 0);
  EXPECT_TRUE(std::filesystem::exists(longest));
  EXPECT_EQ(BindUnixSocket(Socket().get(), longest + "x"), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
  EXPECT_EQ(ConnectUnixSocket(Socket().get(), longest + "x"), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
}

}  // namespace
}  // namespace omics
