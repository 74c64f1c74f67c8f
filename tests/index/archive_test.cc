#include "index/internal/archive.h"

#include <gmock/gmock.h>

#include "tests/index/chroma_testing.h"

namespace omics::index {
namespace {

namespace fs = std::filesystem;
using testing::ArchiveEntry;
using ::testing::HasSubstr;
using testing::ReadFile;
using testing::WriteArchive;
using testing::WriteFile;

constexpr ArchiveLimits kLimits{.files_max = 100, .unpacked_bytes_max = 64 << 20, .ratio_max = 200};

// Unpacks into `temp`/out, beside which nothing may appear.
absl::Status Unpack(const TempDir& temp, const ArchiveLimits& limits = kLimits) {
  fs::create_directory(temp / "out");
  return UnpackArchive(temp / "a.tar.gz", temp / "out", limits);
}

void ExpectRefused(const std::vector<ArchiveEntry>& entries, absl::StatusCode code, const std::string& word,
                   const ArchiveLimits& limits = kLimits) {
  for (const bool gzip : {true, false}) {
    TempDir temp;
    WriteArchive(temp / "a.tar.gz", entries, gzip);
    const absl::Status status = Unpack(temp, limits);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(word));
    std::size_t beside = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(temp.path())) ++beside;
    EXPECT_EQ(beside, 2u) << "something was written beside the target";
    for (const auto& entry : fs::recursive_directory_iterator(temp / "out")) {
      EXPECT_TRUE(entry.is_directory() || entry.symlink_status().type() == fs::file_type::regular) << entry.path();
    }
  }
}

TEST(ArchiveTest, FilesAndFoldersComeOutAsTheyWere) {
  const std::string large(300'000, 'x');
  for (const bool gzip : {true, false}) {
    TempDir temp;
    WriteArchive(temp / "a.tar.gz",
                 {{.path = "./", .type = S_IFDIR},
                  {.path = "./store/", .type = S_IFDIR},
                  {.path = "./store/chroma.sqlite3", .bytes = large},
                  {.path = "store/implied/folder/file", .bytes = "deep"},
                  {.path = "store/implied/", .type = S_IFDIR},
                  {.path = "empty"}},
                 gzip);
    ASSERT_EQ(Unpack(temp), absl::OkStatus());
    EXPECT_EQ(ReadFile(temp / "out/store/chroma.sqlite3"), large);
    EXPECT_EQ(ReadFile(temp / "out/store/implied/folder/file"), "deep");
    EXPECT_TRUE(fs::is_regular_file(temp / "out/empty"));
  }
}

TEST(ArchiveTest, ModesOfTheArchiveAreIgnored) {
  TempDir temp;
  WriteArchive(temp / "a.tar.gz", {{.path = "file", .bytes = "x"}});
  ASSERT_EQ(Unpack(temp), absl::OkStatus());
  EXPECT_EQ(fs::status(temp / "out/file").permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST(ArchiveTest, PathsThatLeaveTheTargetAreRefused) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  ExpectRefused({{.path = "../evil", .bytes = "x"}}, kInvalid, "'..'");
  ExpectRefused({{.path = "a/../../evil", .bytes = "x"}}, kInvalid, "'..'");
  ExpectRefused({{.path = "a/.."}}, kInvalid, "'..'");
  ExpectRefused({{.path = "../evil/", .type = S_IFDIR}}, kInvalid, "'..'");
  ExpectRefused({{.path = "/tmp/omics-evil", .bytes = "x"}}, kInvalid, "absolute");
  ExpectRefused({{.path = "//evil", .bytes = "x"}}, kInvalid, "absolute");
}

TEST(ArchiveTest, LinksAndDevicesAreRefused) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  ExpectRefused({{.path = "l", .type = S_IFLNK, .link = "/etc/passwd"}, {.path = "l/x", .bytes = "x"}}, kInvalid,
                "symbolic link");
  ExpectRefused({{.path = "a", .bytes = "x"}, {.path = "b", .link = "a", .hard = true}}, kInvalid, "hard link");
  ExpectRefused({{.path = "b", .link = "/etc/passwd", .hard = true}}, kInvalid, "hard link");
  ExpectRefused({{.path = "d", .type = S_IFCHR}}, kInvalid, "neither");
  ExpectRefused({{.path = "d", .type = S_IFBLK}}, kInvalid, "neither");
  ExpectRefused({{.path = "d", .type = S_IFIFO}}, kInvalid, "neither");
}

TEST(ArchiveTest, OnePathTwiceIsRefused) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  ExpectRefused({{.path = "a", .bytes = "x"}, {.path = "./a", .bytes = "y"}}, kInvalid, "twice");
  ExpectRefused({{.path = "a/", .type = S_IFDIR}, {.path = "a", .bytes = "y"}}, kInvalid, "twice");
  ExpectRefused({{.path = "a", .bytes = "x"}, {.path = "a/b", .bytes = "y"}}, kInvalid, "file as a directory");
  ExpectRefused({{.path = "a/b", .bytes = "x"}, {.path = "a", .bytes = "y"}}, kInvalid, "twice");
}

TEST(ArchiveTest, NamesThatAreTooLongOrTooDeepAreRefused) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  std::string deep;
  for (int i = 0; i < 17; ++i) deep += "d/";
  ExpectRefused({{.path = deep + "f", .bytes = "x"}}, kInvalid, "deep");
  ExpectRefused({{.path = std::string(256, 'n'), .bytes = "x"}}, kInvalid, "255");
  ExpectRefused({{.path = std::string(2000, 'n'), .bytes = "x"}}, kInvalid, "overlong");
}

TEST(ArchiveTest, TooManyFilesOrBytesAreRefused) {
  constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
  std::vector<ArchiveEntry> many;
  for (int i = 0; i < 101; ++i) many.push_back({.path = "f" + std::to_string(i)});
  ExpectRefused(many, kExhausted, "100 files");
  many.clear();
  for (int i = 0; i < 101; ++i) many.push_back({.path = "d" + std::to_string(i), .type = S_IFDIR});
  ExpectRefused(many, kExhausted, "100 files");
  const ArchiveLimits small{.files_max = 100, .unpacked_bytes_max = 100'000, .ratio_max = 1'000'000};
  ExpectRefused({{.path = "f", .bytes = std::string(200'000, 'x')}}, kExhausted, "100000 bytes", small);
}

TEST(ArchiveTest, ABombIsRefusedByItsRatio) {
  TempDir temp;
  WriteArchive(temp / "a.tar.gz", {{.path = "bomb", .bytes = std::string(40 << 20, '\0')}});
  const absl::Status status = Unpack(temp);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("200 times"));
  EXPECT_LT(fs::file_size(temp / "out/bomb"), 20u << 20);
}

TEST(ArchiveTest, AnArchiveCutOffAnywhereIsRefused) {
  TempDir source;
  std::string noise(100'000, '\0');
  for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<char>(i * i * 31 >> 7);
  for (const bool gzip : {true, false}) {
    WriteArchive(source / "whole", {{.path = "a", .bytes = noise}, {.path = "b", .bytes = noise}}, gzip);
    const std::string whole = ReadFile(source / "whole");
    // The last kilobytes of a plain tar are padding, of which one block may go without loss.
    const std::size_t content = gzip ? whole.size() - 100 : 2 * (512 + 100'352);
    for (std::size_t size = 0; size <= content; size += 512) {
      TempDir temp;
      WriteFile(temp / "a.tar.gz", std::string_view(whole).substr(0, size));
      EXPECT_EQ(Unpack(temp).code(), absl::StatusCode::kInvalidArgument) << (gzip ? "gzip" : "plain") << " at " << size;
    }
  }
}

TEST(ArchiveTest, OtherFormatsAreNotTried) {
  TempDir temp;
  WriteFile(temp / "a.tar.gz", std::string("PK\3\4") + std::string(2000, '\0'));
  EXPECT_EQ(Unpack(temp).code(), absl::StatusCode::kInvalidArgument);
  WriteFile(temp / "a.tar.gz", "");
  EXPECT_EQ(Unpack(temp).code(), absl::StatusCode::kInvalidArgument);
  WriteFile(temp / "a.tar.gz", std::string(10'000, 'x'));
  EXPECT_EQ(Unpack(temp).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace omics::index
