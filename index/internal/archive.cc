#include "index/internal/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::index {
namespace {

constexpr std::size_t kBlockBytes = 64 << 10;
// Below this a ratio says nothing: an empty store of a few pages packs to almost nothing.
constexpr std::int64_t kRatioFreeBytes = 16 << 20;
// A Chroma store is two folders deep; the rest is room for whatever stands around it.
constexpr int kDepthMax = 16;
constexpr std::size_t kPathBytesMax = 1024;
constexpr std::size_t kNameBytesMax = 255;
constexpr std::size_t kTarBlockBytes = 512;

struct ReadCloser {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using ReaderPtr = std::unique_ptr<archive, ReadCloser>;

// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

absl::Status EntryError(std::string_view name, std::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat("archive entry '", ToAbsl(name.substr(0, 200)), "' ", ToAbsl(problem), "; nothing was imported"));
}

absl::Status ReaderError(archive* reader) {
  const char* text = archive_error_string(reader);
  return absl::InvalidArgumentError(absl::StrCat(
      "the archive cannot be read: ", text ? text : "it is cut off or damaged", "; pack it again as .tar.gz"));
}

absl::Status CheckPart(std::string_view name, std::string_view part) {
  if (part == "..") return EntryError(name, "has '..' in its path");
  if (part.size() > kNameBytesMax) return EntryError(name, "has a name of more than 255 bytes");
  return absl::OkStatus();
}

// The path in its one normal form: parts without "." and empty ones.
absl::StatusOr<std::vector<std::string>> SplitPath(std::string_view name) {
  if (name.empty() || name.size() > kPathBytesMax) return EntryError(name, "has an empty or an overlong path");
  if (name.front() == '/') return EntryError(name, "has an absolute path");
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty() || part == ".") continue;
    OMICS_RETURN_IF_ERROR(CheckPart(name, part));
    parts.emplace_back(part);
  }
  if (parts.size() > kDepthMax) return EntryError(name, "lies more than 16 folders deep");
  return parts;
}

absl::StatusOr<std::string> EntryName(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  if (!name) name = archive_entry_pathname_utf8(entry);
  if (!name)
    return absl::InvalidArgumentError("the archive has an entry whose name cannot be read; nothing was imported");
  return std::string(name);
}

absl::Status CheckKind(archive_entry* entry, std::string_view name) {
  if (archive_entry_hardlink(entry)) return EntryError(name, "is a hard link");
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
    case AE_IFDIR:
      return absl::OkStatus();
    case AE_IFLNK:
      return EntryError(name, "is a symbolic link");
    default:
      return EntryError(name, "is neither a file nor a directory");
  }
}

absl::Status WriteAll(int file, const char* bytes, std::size_t size, std::string_view name) {
  while (size > 0) {
    const ssize_t written = write(file, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, absl::StrCat("unpack ", ToAbsl(name)));
    bytes += written;
    size -= static_cast<std::size_t>(written);
  }
  return absl::OkStatus();
}

class Unpacker {
 public:
  Unpacker(ReaderPtr reader, std::filesystem::path directory, const ArchiveLimits& limits)
      : reader_(std::move(reader)), directory_(std::move(directory)), limits_(limits), block_(kBlockBytes) {}

  absl::Status Run() {
    while (true) {
      archive_entry* entry = nullptr;
      const int code = archive_read_next_header(reader_.get(), &entry);
      if (code == ARCHIVE_EOF) return absl::OkStatus();
      // A warning (a name in a foreign encoding, an unknown extension) is not one of the things a store needs.
      if (code != ARCHIVE_OK) return ReaderError(reader_.get());
      OMICS_RETURN_IF_ERROR(CheckLimits());
      OMICS_RETURN_IF_ERROR(UnpackEntry(entry));
    }
  }

 private:
  absl::Status UnpackEntry(archive_entry* entry) {
    OMICS_ASSIGN_OR_RETURN(const std::string name, EntryName(entry));
    OMICS_RETURN_IF_ERROR(CheckKind(entry, name));
    OMICS_ASSIGN_OR_RETURN(const std::vector<std::string> parts, SplitPath(name));
    const bool is_directory = archive_entry_filetype(entry) == AE_IFDIR;
    if (parts.empty()) return is_directory ? absl::OkStatus() : EntryError(name, "is a file without a name");
    std::string path;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      absl::StrAppend(&path, i ? "/" : "", parts[i]);
      OMICS_RETURN_IF_ERROR(MakeDirectory(path, name));
    }
    absl::StrAppend(&path, parts.size() > 1 ? "/" : "", parts.back());
    if (!seen_.insert(path).second) return EntryError(name, "is there twice");
    if (is_directory) return MakeDirectory(path, name);
    OMICS_RETURN_IF_ERROR(CountFile());
    return UnpackFile(path, archive_entry_size(entry));
  }

  absl::Status MakeDirectory(const std::string& path, std::string_view name) {
    if (directories_.contains(path)) return absl::OkStatus();
    OMICS_RETURN_IF_ERROR(CountFile());
    std::error_code error;
    if (std::filesystem::create_directory(directory_ / path, error)) {
      directories_.insert(path);
      return absl::OkStatus();
    }
    if (error && error != std::errc::file_exists) return ErrnoStatus(error.value(), absl::StrCat("make ", path));
    return EntryError(name, "uses a file as a directory");
  }

  absl::Status UnpackFile(const std::string& path, std::int64_t size) {
    const Descriptor file(
        open((directory_ / path).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file.get() < 0) return errno == EEXIST ? EntryError(path, "is there twice") : ErrnoStatus(errno, path);
    std::int64_t done = 0;
    while (true) {
      const la_ssize_t count = archive_read_data(reader_.get(), block_.data(), block_.size());
      if (count < 0) return ReaderError(reader_.get());
      if (count == 0) break;
      done += count;
      written_ += count;
      OMICS_RETURN_IF_ERROR(CheckLimits());
      OMICS_RETURN_IF_ERROR(WriteAll(file.get(), block_.data(), static_cast<std::size_t>(count), path));
    }
    return done == size ? absl::OkStatus() : EntryError(path, "is cut off");
  }

  absl::Status CountFile() {
    if (++files_ <= limits_.files_max) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat("the archive holds more than ", limits_.files_max,
                                                     " files and directories; pack the store alone"));
  }

  // Judged by what was written too: a sparse file grows without its tar stream growing.
  absl::Status CheckLimits() const {
    const std::int64_t unpacked = std::max<std::int64_t>(archive_filter_bytes(reader_.get(), 0), written_);
    const std::int64_t packed = std::max<std::int64_t>(archive_filter_bytes(reader_.get(), -1), 1);
    if (unpacked > limits_.unpacked_bytes_max) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the archive unpacks to more than ", limits_.unpacked_bytes_max, " bytes"));
    }
    if (unpacked > kRatioFreeBytes && unpacked / packed > limits_.ratio_max) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the archive unpacks to more than ", limits_.ratio_max, " times its size"));
    }
    return absl::OkStatus();
  }

  ReaderPtr reader_;
  std::filesystem::path directory_;
  ArchiveLimits limits_;
  std::vector<char> block_;
  std::set<std::string> seen_;         // paths of the archive
  std::set<std::string> directories_;  // made so far, also those that the archive only implies
  std::int64_t files_ = 0;
  std::int64_t written_ = 0;
};

absl::StatusOr<ReaderPtr> OpenReader(const std::filesystem::path& path) {
  ReaderPtr reader(archive_read_new());
  if (!reader) return absl::ResourceExhaustedError("out of memory while opening the archive");
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_format_tar(reader.get());
  if (archive_read_open_filename(reader.get(), path.c_str(), kBlockBytes) != ARCHIVE_OK)
    return ReaderError(reader.get());
  return reader;
}

// A plain tar that was cut off between two entries looks whole to libarchive; the block of zeros at its end tells.
absl::Status CheckPlainTarEnd(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string start(2, '\0');
  file.read(start.data(), 2);
  if (start == "\x1f\x8b") return absl::OkStatus();  // gzip has an end of its own
  std::string end(kTarBlockBytes, '\1');
  file.seekg(-static_cast<std::streamoff>(kTarBlockBytes), std::ios::end);
  file.read(end.data(), static_cast<std::streamsize>(end.size()));
  if (file && end.find_first_not_of('\0') == std::string::npos) return absl::OkStatus();
  return absl::InvalidArgumentError("the archive is cut off: a .tar ends with a block of zeros; copy or pack it again");
}

}  // namespace

absl::Status UnpackArchive(const std::filesystem::path& archive, const std::filesystem::path& directory,
                           const ArchiveLimits& limits) {
  OMICS_ASSIGN_OR_RETURN(ReaderPtr reader, OpenReader(archive));
  OMICS_RETURN_IF_ERROR(Unpacker(std::move(reader), directory, limits).Run());
  return CheckPlainTarEnd(archive);
}

}  // namespace omics::index
