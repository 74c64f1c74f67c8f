#include "base/scratch_path.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace omics {
namespace {

namespace fs = std::filesystem;

TEST(ScratchPathTest, ADirectoryIsNewItsOwnersAloneAndGoneWithAllInIt) {
  const TempDir folder;
  fs::path first;
  {
    const auto one = ScratchPath::MakeDirectory(folder.path() / "not" / "there", "some-");
    const auto other = ScratchPath::MakeDirectory(folder.path() / "not" / "there", "some-");
    ASSERT_TRUE(one.ok()) << one.status();
    ASSERT_TRUE(other.ok()) << other.status();
    first = one->path();
    EXPECT_NE(first, other->path());
    EXPECT_EQ(first.filename().string().rfind("some-", 0), 0U);
    EXPECT_EQ(fs::status(first).permissions(), fs::perms::owner_all);
    fs::create_directory(first / "deep");
    std::ofstream(first / "deep" / "file") << "text";
  }
  EXPECT_FALSE(fs::exists(first));
  EXPECT_TRUE(fs::is_empty(folder.path() / "not" / "there"));
}

TEST(ScratchPathTest, AParentThatCannotBeMadeIsNamed) {
  const TempDir folder;
  std::ofstream(folder.path() / "file") << "text";
  const auto scratch = ScratchPath::MakeDirectory(folder.path() / "file", "some-");
  ASSERT_FALSE(scratch.ok());
  EXPECT_NE(scratch.status().message().find((folder.path() / "file").string()), std::string_view::npos);
}

TEST(ScratchPathTest, AFileIsRemovedOnceByTheLastToHoldIt) {
  const TempDir folder;
  const fs::path file = folder.path() / "file";
  {
    ScratchPath first(file);
    std::ofstream(file) << "text";
    {
      const ScratchPath second(std::move(first));
      EXPECT_EQ(second.path(), file);
    }
    EXPECT_FALSE(fs::exists(file));
    std::ofstream(file) << "somebody else's";
  }
  EXPECT_TRUE(fs::exists(file));
}

}  // namespace
}  // namespace omics
