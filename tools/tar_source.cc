#include "tools/tar_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/uuid.h"

namespace omics::tools {
namespace {

namespace fs = std::filesystem;

constexpr char kDatabaseFile[] = "chroma.sqlite3";
constexpr std::size_t kBlock = 512;
// What eleven octal digits hold; a larger size is written in binary.
constexpr std::int64_t kOctalSizeMax = (std::int64_t{1} << 33) - 1;

// One file of the archive, or (with an empty path) the end of it.
struct Member {
  std::string name;  // in the archive
  fs::path path;
  std::int64_t size = 0;
};

// The fields of a tar header that we set (POSIX ustar).
struct TarHeader {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[6];
  char version[2];
  char rest[247];
};
static_assert(sizeof(TarHeader) == kBlock);

void SetSize(std::int64_t size, TarHeader& header) {
  if (size <= kOctalSizeMax) {
    std::snprintf(header.size, sizeof(header.size), "%011llo", static_cast<unsigned long long>(size));
    return;
  }
  header.size[0] = static_cast<char>(0x80);
  for (std::size_t i = sizeof(header.size) - 1; i > 0; --i, size >>= 8) header.size[i] = static_cast<char>(size & 0xff);
}

std::string HeaderOf(const Member& member) {
  TarHeader header;
  std::memset(&header, 0, sizeof(header));
  std::memcpy(header.name, member.name.data(), std::min(member.name.size(), sizeof(header.name)));
  std::snprintf(header.mode, sizeof(header.mode), "%07o", 0600);
  std::snprintf(header.uid, sizeof(header.uid), "%07o", 0);
  std::snprintf(header.gid, sizeof(header.gid), "%07o", 0);
  SetSize(member.size, header);
  std::snprintf(header.mtime, sizeof(header.mtime), "%011o", 0);
  header.type = '0';
  std::memcpy(header.magic, "ustar", 6);
  std::memcpy(header.version, "00", 2);
  std::memset(header.checksum, ' ', sizeof(header.checksum));
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  unsigned sum = 0;
  for (const unsigned char byte : bytes) sum += byte;
  std::snprintf(bytes.data() + offsetof(TarHeader, checksum), sizeof(header.checksum), "%06o", sum);
  return bytes;
}

std::int64_t Padding(std::int64_t size) {
  constexpr auto kSize = static_cast<std::int64_t>(kBlock);
  return (kSize - size % kSize) % kSize;
}

// A file that is read once, front to back.
class InputFile {
 public:
  static absl::StatusOr<InputFile> Open(const fs::path& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return ErrnoStatus(errno, absl::StrCat("open ", path.string()));
    return InputFile(fd, path.string());
  }
  InputFile(InputFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), name_(std::move(other.name_)) {}
  InputFile& operator=(InputFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(name_, other.name_);
    return *this;
  }
  ~InputFile() {
    if (fd_ >= 0) close(fd_);
  }

  // INVALID_ARGUMENT if it is not a regular file.
  absl::StatusOr<std::int64_t> Size() const {
    struct stat status;
    if (fstat(fd_, &status) != 0) return ErrnoStatus(errno, absl::StrCat("read ", name_));
    if (!S_ISREG(status.st_mode)) return absl::InvalidArgumentError(absl::StrCat(name_, " is not a regular file"));
    return status.st_size;
  }

  // Appends `bytes` bytes; a file that ends before is an error.
  absl::Status Append(std::size_t bytes, std::string& chunk) {
    const std::size_t end = chunk.size() + bytes;
    std::size_t at = chunk.size();
    chunk.resize(end);
    while (at < end) {
      const ssize_t got = read(fd_, chunk.data() + at, end - at);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoStatus(errno, absl::StrCat("read ", name_));
      if (got == 0) {
        return absl::UnavailableError(
            absl::StrCat(name_, " became shorter while it was read: stop what writes to it and try again"));
      }
      at += static_cast<std::size_t>(got);
    }
    return absl::OkStatus();
  }

 private:
  InputFile(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  int fd_;
  std::string name_;
};

class FileSource final : public ArchiveSource {
 public:
  FileSource(InputFile file, std::int64_t size) : file_(std::move(file)), size_(size), left_(size) {}

  std::int64_t bytes_total() const override { return size_; }

  absl::Status Read(std::size_t bytes_max, std::string& chunk) override {
    chunk.clear();
    const std::int64_t bytes = std::min(left_, static_cast<std::int64_t>(bytes_max));
    left_ -= bytes;
    return file_.Append(static_cast<std::size_t>(bytes), chunk);
  }

 private:
  InputFile file_;
  const std::int64_t size_;
  std::int64_t left_;
};

class TarSource final : public ArchiveSource {
 public:
  explicit TarSource(std::vector<Member> members) : members_(std::move(members)) {
    for (const Member& member : members_)
      bytes_total_ += static_cast<std::int64_t>(kBlock) + member.size + Padding(member.size);
    bytes_total_ += 2 * static_cast<std::int64_t>(kBlock);
  }

  std::int64_t bytes_total() const override { return bytes_total_; }

  absl::Status Read(std::size_t bytes_max, std::string& chunk) override {
    chunk.clear();
    while (chunk.size() < bytes_max) {
      if (literal_.empty() && file_left_ == 0) {
        if (ended_) break;
        OMICS_RETURN_IF_ERROR(Next());
      }
      TakeLiteral(bytes_max, chunk);
      OMICS_RETURN_IF_ERROR(TakeFile(bytes_max, chunk));
    }
    return absl::OkStatus();
  }

 private:
  // Goes on to the next header, or to the end mark.
  absl::Status Next() {
    literal_ = std::string(static_cast<std::size_t>(padding_), '\0');
    padding_ = 0;
    if (next_ == members_.size()) {
      literal_.append(2 * kBlock, '\0');
      ended_ = true;
      return absl::OkStatus();
    }
    const Member& member = members_[next_++];
    OMICS_ASSIGN_OR_RETURN(file_, InputFile::Open(member.path));
    literal_ += HeaderOf(member);
    file_left_ = member.size;
    padding_ = Padding(member.size);
    return absl::OkStatus();
  }

  void TakeLiteral(std::size_t bytes_max, std::string& chunk) {
    const std::size_t bytes = std::min(literal_.size(), bytes_max - chunk.size());
    chunk.append(literal_, 0, bytes);
    literal_.erase(0, bytes);
  }

  absl::Status TakeFile(std::size_t bytes_max, std::string& chunk) {
    if (!literal_.empty() || file_left_ == 0) return absl::OkStatus();
    const std::int64_t bytes = std::min(file_left_, static_cast<std::int64_t>(bytes_max - chunk.size()));
    file_left_ -= bytes;
    return file_->Append(static_cast<std::size_t>(bytes), chunk);
  }

  const std::vector<Member> members_;
  std::int64_t bytes_total_ = 0;
  std::size_t next_ = 0;
  std::string literal_;  // headers and padding that come before the rest of the file
  std::optional<InputFile> file_;
  std::int64_t file_left_ = 0;
  std::int64_t padding_ = 0;
  bool ended_ = false;
};

bool IsRegular(const fs::path& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() == fs::file_type::regular;
}

absl::StatusOr<std::vector<fs::path>> List(const fs::path& directory) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    entries.push_back(at->path());
  }
  if (error) return ErrnoStatus(error.value(), absl::StrCat("read ", directory.string()));
  std::sort(entries.begin(), entries.end());
  return entries;
}

// The directory that holds chroma.sqlite3: `path` or one of its subdirectories.
absl::StatusOr<fs::path> FindStore(const fs::path& path) {
  if (IsRegular(path / kDatabaseFile)) return path;
  OMICS_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, List(path));
  std::vector<fs::path> found;
  for (const fs::path& entry : entries) {
    if (IsRegular(entry / kDatabaseFile)) found.push_back(entry);
  }
  if (found.size() == 1) return found.front();
  return absl::InvalidArgumentError(absl::StrCat(path.string(),
                                                 found.empty() ? " holds no Chroma store: there is no "
                                                               : " holds several Chroma stores: name "
                                                                 "the directory of one ",
                                                 kDatabaseFile, found.empty() ? " in it" : ""));
}

absl::Status AddMember(const fs::path& root, const fs::path& path, std::vector<Member>& members) {
  const std::string name = path.lexically_relative(root).string();
  if (name.size() > sizeof(TarHeader::name)) {
    return absl::InvalidArgumentError(absl::StrCat(path.string(), ": Chroma has no file with so long a name"));
  }
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("read ", path.string()));
  members.push_back({name, path, static_cast<std::int64_t>(size)});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Member>> Members(const fs::path& root) {
  std::vector<Member> members;
  OMICS_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, List(root));
  for (const fs::path& entry : entries) {
    const std::string name = entry.filename().string();
    if (IsRegular(entry) && name.rfind(kDatabaseFile, 0) == 0) OMICS_RETURN_IF_ERROR(AddMember(root, entry, members));
    std::error_code ignored;
    if (!IsUuid(name) || fs::symlink_status(entry, ignored).type() != fs::file_type::directory) continue;
    OMICS_ASSIGN_OR_RETURN(const std::vector<fs::path> files, List(entry));
    for (const fs::path& file : files) {
      if (IsRegular(file)) OMICS_RETURN_IF_ERROR(AddMember(root, file, members));
    }
  }
  return members;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArchiveSource>> OpenArchiveSource(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    OMICS_ASSIGN_OR_RETURN(const fs::path root, FindStore(path));
    OMICS_ASSIGN_OR_RETURN(std::vector<Member> members, Members(root));
    return std::make_unique<TarSource>(std::move(members));
  }
  OMICS_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  OMICS_ASSIGN_OR_RETURN(const std::int64_t size, file.Size());
  if (size == 0) return absl::InvalidArgumentError(absl::StrCat(path.string(), " is empty"));
  return std::make_unique<FileSource>(std::move(file), size);
}

}  // namespace omics::tools
