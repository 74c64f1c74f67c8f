#include "tools/tar_source.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::tools {
namespace {

namespace fs = std::filesystem;

constexpr char kUuid[] = "123e4567-e89b-12d3-a456-426614174000";

void Put(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// All that the source gives, read in pieces of `bytes_max`.
std::string ReadAll(ArchiveSource& source, std::size_t bytes_max) {
  std::string all;
  std::string chunk;
  do {
    const absl::Status status = source.Read(bytes_max, chunk);
    EXPECT_OK(status);
    EXPECT_LE(chunk.size(), bytes_max);
    all += chunk;
  } while (!chunk.empty());
  return all;
}

// Name → content, as libarchive sees it.
std::map<std::string, std::string> Unpack(const std::string& bytes) {
  std::map<std::string, std::string> files;
  archive* reader = archive_read_new();
  archive_read_support_format_tar(reader);
  EXPECT_EQ(archive_read_open_memory(reader, bytes.data(), bytes.size()), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  int result;
  while ((result = archive_read_next_header(reader, &entry)) == ARCHIVE_OK) {
    EXPECT_EQ(archive_entry_filetype(entry), static_cast<unsigned>(AE_IFREG));
    std::string content(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
    EXPECT_EQ(archive_read_data(reader, content.data(), content.size()), static_cast<la_ssize_t>(content.size()));
    files[archive_entry_pathname(entry)] = content;
  }
  EXPECT_EQ(result, ARCHIVE_EOF) << archive_error_string(reader);
  archive_read_free(reader);
  return files;
}

TEST(TarSourceTest, ADirectoryBecomesATarOfItsFiles) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const TempDir directory;
  std::map<std::string, std::string> model;
  for (const std::size_t size : {0u, 1u, 511u, 512u, 513u, 100'000u}) {
    std::string content(size, '\0');
    for (char& byte : content) byte = static_cast<char>(random());
    model[std::string(kUuid) + "/file" + std::to_string(size)] = content;
  }
  model["chroma.sqlite3"] = "database";
  model["chroma.sqlite3-wal"] = "log";
  for (const auto& [name, content] : model) Put(directory.path() / name, content);

  for (const std::size_t bytes_max : {1u, 7u, 512u, 4096u, 1u << 20}) {
    const auto source = OpenArchiveSource(directory.path());
    ASSERT_OK(source);
    const std::string bytes = ReadAll(**source, bytes_max);
    EXPECT_EQ(static_cast<std::int64_t>(bytes.size()), (*source)->bytes_total());
    EXPECT_EQ(bytes.size() % 512, 0u);
    EXPECT_EQ(Unpack(bytes), model) << bytes_max;
  }
}

TEST(TarSourceTest, OnlyWhatIsChromasIsPacked) {
  const TempDir directory;
  const fs::path store = directory.path() / "inner";
  Put(store / "chroma.sqlite3", "database");
  Put(store / kUuid / "header.bin", "header");
  Put(store / "private.key", "secret");
  Put(store / ".ssh" / "id", "secret");
  Put(store / kUuid / "deeper" / "file", "secret");
  Put(directory.path() / "secret", "secret");
  fs::create_symlink(directory.path() / "secret", store / kUuid / "link");
  fs::create_symlink(directory.path() / "secret", store / "chroma.sqlite3-link");
  const auto source = OpenArchiveSource(directory.path());
  ASSERT_OK(source);
  const std::map<std::string, std::string> expected = {{"chroma.sqlite3", "database"},
                                                       {std::string(kUuid) + "/header.bin", "header"}};
  EXPECT_EQ(Unpack(ReadAll(**source, 4096)), expected);
}

TEST(TarSourceTest, AFileIsReadAsItIs) {
  const TempDir directory;
  const std::string content(3000, 'x');
  Put(directory.path() / "store.tar.gz", content);
  const auto source = OpenArchiveSource(directory.path() / "store.tar.gz");
  ASSERT_OK(source);
  EXPECT_EQ((*source)->bytes_total(), 3000);
  EXPECT_EQ(ReadAll(**source, 1024), content);
}

TEST(TarSourceTest, AFileThatShrinksMeanwhileIsAnError) {
  const TempDir directory;
  Put(directory.path() / "chroma.sqlite3", std::string(10'000, 'x'));
  const auto source = OpenArchiveSource(directory.path());
  ASSERT_OK(source);
  fs::resize_file(directory.path() / "chroma.sqlite3", 5000);
  std::string chunk;
  EXPECT_THAT((*source)->Read(1 << 20, chunk), HasCode(absl::StatusCode::kUnavailable, "became shorter"));
}

TEST(TarSourceTest, AFileThatGrowsMeanwhileIsPackedAsItWas) {
  const TempDir directory;
  Put(directory.path() / "chroma.sqlite3", std::string(1000, 'x'));
  const auto source = OpenArchiveSource(directory.path());
  ASSERT_OK(source);
  Put(directory.path() / "chroma.sqlite3", std::string(9000, 'x'));
  EXPECT_EQ(Unpack(ReadAll(**source, 100))["chroma.sqlite3"].size(), 1000u);
}

TEST(TarSourceTest, FilesBeyondEightGibibytesKeepTheirSize) {
  const TempDir directory;
  const std::int64_t size = (std::int64_t{1} << 33) + 5;
  Put(directory.path() / "chroma.sqlite3", "");
  fs::resize_file(directory.path() / "chroma.sqlite3", static_cast<std::uintmax_t>(size));  // sparse
  const auto source = OpenArchiveSource(directory.path());
  ASSERT_OK(source);
  std::string header;
  ASSERT_OK((*source)->Read(512, header));
  archive* reader = archive_read_new();
  archive_read_support_format_tar(reader);
  ASSERT_EQ(archive_read_open_memory(reader, header.data(), header.size()), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  ASSERT_EQ(archive_read_next_header(reader, &entry), ARCHIVE_OK);
  EXPECT_EQ(archive_entry_size(entry), size);
  archive_read_free(reader);
}

TEST(TarSourceTest, WhatIsNoStoreIsRefused) {
  const TempDir directory;
  EXPECT_THAT(OpenArchiveSource(directory.path() / "missing"), HasCode(absl::StatusCode::kNotFound, "missing"));
  EXPECT_THAT(OpenArchiveSource(directory.path()),
              HasCode(absl::StatusCode::kInvalidArgument, "holds no Chroma store"));
  Put(directory.path() / "empty.tar", "");
  EXPECT_THAT(OpenArchiveSource(directory.path() / "empty.tar"),
              HasCode(absl::StatusCode::kInvalidArgument, "is empty"));
  EXPECT_THAT(OpenArchiveSource("/dev/null"), HasCode(absl::StatusCode::kInvalidArgument, "not a regular file"));
  Put(directory.path() / "a" / "chroma.sqlite3", "x");
  Put(directory.path() / "b" / "chroma.sqlite3", "x");
  EXPECT_THAT(OpenArchiveSource(directory.path()),
              HasCode(absl::StatusCode::kInvalidArgument, "several Chroma stores"));
}

}  // namespace
}  // namespace omics::tools
