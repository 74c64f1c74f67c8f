#include "index/internal/chroma_files.h"

#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/internal/chroma_sqlite.h"

namespace omics::index {
namespace {

namespace fs = std::filesystem;

constexpr char kDatabase[] = "chroma.sqlite3";
constexpr char kWal[] = "chroma.sqlite3-wal";
constexpr char kJournal[] = "chroma.sqlite3-journal";
constexpr std::string_view kHotJournal = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7";

bool HoldsStore(const fs::path& directory) {
  std::error_code error;
  return fs::is_regular_file(directory / kDatabase, error);
}

std::uintmax_t SizeOrZero(const fs::path& file) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  return error ? 0 : size;
}

// A journal whose header is zeroed, as journal_mode=PERSIST leaves it, is history.
bool HasHotJournal(const fs::path& root) {
  std::ifstream file(root / kJournal, std::ios::binary);
  std::string start(kHotJournal.size(), '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  return start == kHotJournal;
}

absl::Status CopyFile(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy_file(from, to, error);
  return error ? ErrnoStatus(error.value(), absl::StrCat("copy ", from.string())) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<fs::path> FindChromaRoot(const fs::path& directory) {
  if (HoldsStore(directory)) return directory;
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    if (HoldsStore(entry->path())) found.push_back(entry->path());
  }
  if (error) return ErrnoStatus(error.value(), absl::StrCat("list ", directory.string()));
  if (found.size() == 1) return found.front();
  return absl::InvalidArgumentError(
      found.empty() ? "there is no chroma.sqlite3, neither at the top nor one folder down: this is not a Chroma store"
                    : absl::StrCat("there are ", found.size(), " Chroma stores side by side; give one of them"));
}

absl::StatusOr<fs::path> SettleChromaDatabase(const fs::path& root, const fs::path& scratch,
                                              std::int64_t copy_bytes_max) {
  if (HasHotJournal(root)) {
    return absl::InvalidArgumentError(
        absl::StrCat(kJournal,
                     " shows a write that is under way or was cut off: start Chroma on this store, stop it, and "
                     "import then"));
  }
  const std::uintmax_t wal_bytes = SizeOrZero(root / kWal);
  if (wal_bytes == 0) return root / kDatabase;
  if (wal_bytes + SizeOrZero(root / kDatabase) > static_cast<std::uintmax_t>(copy_bytes_max)) {
    return absl::ResourceExhaustedError(absl::StrCat("chroma.sqlite3 has more than ", copy_bytes_max, " bytes"));
  }
  const std::string before = ChromaFingerprint(root);
  const fs::path copy = scratch / "settled";
  std::error_code error;
  fs::create_directory(copy, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("make ", copy.string()));
  OMICS_RETURN_IF_ERROR(CopyFile(root / kDatabase, copy / kDatabase));
  OMICS_RETURN_IF_ERROR(CopyFile(root / kWal, copy / kWal));
  if (ChromaFingerprint(root) != before) {
    return absl::UnavailableError("the store changed while it was copied; stop Chroma and try again");
  }
  OMICS_RETURN_IF_ERROR(MergeChromaWal(copy / kDatabase));
  return copy / kDatabase;
}

std::string ChromaFingerprint(const fs::path& root) {
  std::string print;
  for (const char* name : {kDatabase, kWal}) {
    std::error_code error;
    const auto time = fs::last_write_time(root / name, error);
    absl::StrAppend(&print, SizeOrZero(root / name), "/", error ? 0 : time.time_since_epoch().count(), " ");
  }
  return print;
}

}  // namespace omics::index
