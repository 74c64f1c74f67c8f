#include "services/prewarm_sources.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <random>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "cloud/url.h"
#include "services/prewarm_import.h"

namespace omics::services {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kArchive[] = "archive";
constexpr char kScratch[] = "scratch";
constexpr int kDoublingsMax = 20;

absl::Status Stopped() { return absl::CancelledError("the service is stopping"); }

// "12 of 40", or "12" where the whole is not known.
std::string OutOf(std::int64_t done, std::int64_t total) {
  return total > 0 ? absl::StrCat(done, " of ", total) : absl::StrCat(done);
}

}  // namespace

// So many may work at once; the others wait.
class PrewarmSources::Slots {
 public:
  explicit Slots(int count) : free_(count) {}

  // Taken for as long as it lives.
  class Taken {
   public:
    Taken(Slots& slots, const std::atomic<bool>& stop) : slots_(slots), ok_(slots.Take(stop)) {}
    ~Taken() {
      if (ok_) slots_.Give();
    }
    Taken(const Taken&) = delete;
    Taken& operator=(const Taken&) = delete;
    // False if `stop` became true first.
    bool ok() const { return ok_; }

   private:
    Slots& slots_;
    const bool ok_;
  };

  void WakeAll() {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  }

 private:
  bool Take(const std::atomic<bool>& stop) {
    MutexLock lock(mutex_);
    while (free_ == 0 && !stop) changed_.Wait(mutex_);
    if (stop) return false;
    --free_;
    return true;
  }
  void Give() {
    MutexLock lock(mutex_);
    ++free_;
    changed_.NotifyOne();
  }

  Mutex mutex_;
  CondVar changed_;
  int free_ ABSL_GUARDED_BY(mutex_);
};

// Runs on a thread of its own.
class PrewarmSources::Source {
 public:
  Source(PrewarmSources& all, std::size_t index)
      : all_(all),
        index_(index),
        entry_(all.settings_.entries[index]),
        url_(cloud::MaskUrl(entry_.url)),
        directory_(all.settings_.directory / entry_.collection) {}

  void Run();

  const PrewarmEntry& entry() const { return entry_; }

 private:
  // What is there of the collection before a try.
  struct Present {
    std::optional<index::CollectionInfo> info;
    index::CollectionSource source;
    bool readable = false;
  };

  static index::CollectionRef Named(const std::string& name) {
    index::CollectionRef ref;
    ref.name = name;
    return ref;
  }

  absl::StatusOr<Present> LookUp();
  absl::Status CheckAliases() const;
  void Serve(const Present& present);
  absl::Status Refresh();
  bool IsCurrent(const Present& present) const;
  absl::StatusOr<cloud::Downloaded> Download(const Present& present);
  absl::Status TakeOver(const Present& present, const cloud::Downloaded& downloaded);
  absl::Status Import(const cloud::Downloaded& downloaded);
  absl::Status KeepAliases(const index::CollectionInfo& info);
  absl::StatusOr<std::filesystem::path> MakeScratch() const;
  std::filesystem::path archive() const { return directory_ / kArchive; }

  void Finish(const absl::Status& status);
  std::chrono::milliseconds Pause();
  bool Sleep(std::chrono::milliseconds time);
  void LogProgress(const std::string& text);

  // Changes the report, and wakes who waits for it.
  template <typename Change>
  void Tell(Change change) {
    MutexLock lock(all_.mutex_);
    change(all_.reports_[index_]);
    all_.changed_.NotifyAll();
  }

  PrewarmSources& all_;
  const std::size_t index_;
  const PrewarmEntry& entry_;
  const std::string url_;
  const std::filesystem::path directory_;
  std::optional<cloud::Downloaded> held_;  // what archive() is, while its import has not succeeded
  bool aliases_kept_ = false;
  int failures_ = 0;
  Clock::time_point logged_;
  std::mt19937 random_{std::random_device{}()};
};

void PrewarmSources::Source::Run() {
  if (const auto present = LookUp(); present.ok()) Serve(*present);
  while (!all_.stop_) {
    const absl::Status status = Refresh();
    if (all_.stop_) return;
    Finish(status);
    if (status.ok() && all_.settings_.poll.count() == 0) return;
    if (!Sleep(Pause())) return;
  }
}

absl::StatusOr<PrewarmSources::Source::Present> PrewarmSources::Source::LookUp() {
  Present present;
  const auto info = all_.catalog_.GetCollection(Named(entry_.collection));
  if (absl::IsNotFound(info.status())) return present;
  if (!info.ok()) return info.status();
  if (info->name != entry_.collection) return index::NameTaken(entry_.collection, *info);
  present.info = *info;
  OMICS_ASSIGN_OR_RETURN(present.source, all_.catalog_.GetSource(Named(entry_.collection)));
  const absl::Status opened = all_.catalog_.OpenCollection(Named(entry_.collection)).status();
  present.readable = opened.ok();
  if (!opened.ok()) {
    LogError(absl::StrCat("prewarm collection=", entry_.collection, ": what is on disk cannot be read, it is loaded ",
                          "again: ", opened.ToString()));
  }
  return present;
}

void PrewarmSources::Source::Serve(const Present& present) {
  if (!present.info || !present.readable) return;
  all_.health_.SetCollection(*present.info, true);
  Tell([&present](PrewarmReport& report) {
    report.served = true;
    report.etag = present.source.etag;
    report.sha256 = present.source.sha256;
  });
}

absl::Status PrewarmSources::Source::CheckAliases() const {
  for (const std::string& alias : entry_.aliases) {
    const auto found = all_.catalog_.GetCollection(Named(alias));
    if (found.ok() && found->name == alias) return Annotate(index::NameTaken(alias, *found), "alias");
  }
  return absl::OkStatus();
}

absl::Status PrewarmSources::Source::Refresh() {
  OMICS_ASSIGN_OR_RETURN(const Present present, LookUp());
  Serve(present);
  if (present.info && present.readable && present.source.url.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("collection '", entry_.collection,
                     "' exists and did not come from a source; it stays as it is: delete it to have it loaded from ",
                     url_, ", or take it off the list"));
  }
  OMICS_RETURN_IF_ERROR(CheckAliases());
  if (IsCurrent(present)) return KeepAliases(*present.info);
  OMICS_ASSIGN_OR_RETURN(const cloud::Downloaded downloaded, Download(present));
  if (!downloaded.changed) return KeepAliases(*present.info);
  return TakeOver(present, downloaded);
}

// Without asking: the list says which bytes it must be, and it is those.
bool PrewarmSources::Source::IsCurrent(const Present& present) const {
  return present.readable && !entry_.sha256.empty() && present.source.sha256 == entry_.sha256;
}

absl::StatusOr<cloud::Downloaded> PrewarmSources::Source::Download(const Present& present) {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("make ", directory_.string()));
  const Slots::Taken slot(*all_.downloads_, all_.stop_);
  if (!slot.ok()) return Stopped();
  logged_ = Clock::now();
  Tell([](PrewarmReport& report) {
    report.phase = PrewarmPhase::kDownloading;
    report.bytes_done = report.bytes_total = report.rows_done = report.rows_total = 0;
  });
  const bool known = present.readable && present.source.url == url_ && entry_.sha256.empty();
  const cloud::Source source = {entry_.url, entry_.sha256, held_ ? held_->etag : known ? present.source.etag : ""};
  const auto progress = [this](std::int64_t bytes, std::int64_t total) {
    Tell([&](PrewarmReport& report) {
      report.bytes_done = bytes;
      report.bytes_total = std::max<std::int64_t>(total, 0);
    });
    LogProgress(absl::StrCat("downloaded bytes=", OutOf(bytes, total)));
  };
  absl::StatusOr<cloud::Downloaded> downloaded = all_.downloader_->Fetch(source, archive(), progress, all_.stop_);
  if (!downloaded.ok() || downloaded->changed || !held_) return downloaded;
  return *held_;  // the archive that could not be imported is still what the source holds
}

absl::Status PrewarmSources::Source::TakeOver(const Present& present, const cloud::Downloaded& downloaded) {
  held_ = downloaded;
  if (present.readable && !downloaded.sha256.empty() && present.source.sha256 == downloaded.sha256) {
    // The same bytes by another URL or ETag.
    OMICS_RETURN_IF_ERROR(
        all_.catalog_.SetSource(Named(entry_.collection), {url_, downloaded.etag, downloaded.sha256}));
    OMICS_RETURN_IF_ERROR(KeepAliases(*present.info));
  } else {
    const Slots::Taken slot(*all_.imports_, all_.stop_);
    if (!slot.ok()) return Stopped();
    const absl::Status imported = Import(downloaded);
    if (!imported.ok()) return Annotate(imported, absl::StrCat(archive().string(), " from ", url_));
  }
  held_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
  return absl::OkStatus();
}

absl::StatusOr<std::filesystem::path> PrewarmSources::Source::MakeScratch() const {
  const std::filesystem::path scratch = directory_ / kScratch;
  std::error_code error;
  std::filesystem::remove_all(scratch, error);
  if (!error) std::filesystem::create_directories(scratch, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("make ", scratch.string()));
  return scratch;
}

absl::Status PrewarmSources::Source::Import(const cloud::Downloaded& downloaded) {
  Tell([](PrewarmReport& report) { report.phase = PrewarmPhase::kImporting; });
  OMICS_ASSIGN_OR_RETURN(const std::filesystem::path scratch, MakeScratch());
  const auto progress = [this](std::int64_t rows_done, std::int64_t rows_total) {
    Tell([&](PrewarmReport& report) {
      report.rows_done = rows_done;
      report.rows_total = rows_total;
    });
    LogProgress(absl::StrCat("imported rows=", OutOf(rows_done, rows_total)));
    return all_.stop_ ? Stopped() : absl::OkStatus();
  };
  const auto begun = Clock::now();
  const PrewarmFile file = {archive(), scratch, {url_, downloaded.etag, downloaded.sha256}};
  const absl::StatusOr<index::ImportReport> report = ImportPrewarmFile(entry_, file, all_.catalog_, progress);
  std::error_code ignored;
  std::filesystem::remove_all(scratch, ignored);
  if (!report.ok()) return report.status();
  aliases_kept_ = true;
  const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  LogInfo(absl::StrCat("prewarm collection=", entry_.collection, " loaded records=", report->records,
                       " lost_ids=", report->lost_ids.size(), " import_seconds=", seconds, " bytes=", downloaded.bytes,
                       " url=", url_));
  Serve({report->info, file.source, true});
  return absl::OkStatus();
}

// Once in a process: what an administrator points elsewhere afterwards stays there until a new version comes.
absl::Status PrewarmSources::Source::KeepAliases(const index::CollectionInfo& info) {
  if (aliases_kept_) return absl::OkStatus();
  for (const std::string& alias : entry_.aliases) {
    const auto found = all_.catalog_.GetCollection(Named(alias));
    if (found.ok() && found->id == info.id) continue;
    OMICS_RETURN_IF_ERROR(all_.catalog_.SetAlias(alias, Named(entry_.collection)).status());
  }
  aliases_kept_ = true;
  return absl::OkStatus();
}

void PrewarmSources::Source::Finish(const absl::Status& status) {
  failures_ = status.ok() ? 0 : failures_ + 1;
  bool served = false;
  Tell([&](PrewarmReport& report) {
    report.phase = status.ok() ? PrewarmPhase::kCurrent : PrewarmPhase::kFailed;
    report.failures = failures_;
    report.error = status.ok() ? "" : std::string(ToStd(status.message()));
    served = report.served;
  });
  if (status.ok()) return;
  LogError(absl::StrCat("prewarm collection=", entry_.collection, " failed ", failures_, " times; ",
                        served ? "what was served before still is" : "it is not served yet", "; url=", url_, ": ",
                        status.ToString()));
}

std::chrono::milliseconds PrewarmSources::Source::Pause() {
  std::chrono::milliseconds pause = all_.settings_.poll;
  if (failures_ > 0) {
    const int doublings = std::min(failures_ - 1, kDoublingsMax);
    pause = std::min(kPrewarmRetryMax, kPrewarmRetryFirst * (std::int64_t{1} << doublings));
  }
  const double jitter = std::uniform_real_distribution<double>(0.8, 1.2)(random_);
  return std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(pause.count()) * jitter));
}

// False if the end came first.
bool PrewarmSources::Source::Sleep(std::chrono::milliseconds time) {
  const auto end = Clock::now() + time;
  MutexLock lock(all_.mutex_);
  while (!all_.stop_ && Clock::now() < end) all_.changed_.WaitUntil(all_.mutex_, end);
  return !all_.stop_;
}

void PrewarmSources::Source::LogProgress(const std::string& text) {
  const auto now = Clock::now();
  if (now - logged_ < kPrewarmLogInterval) return;
  logged_ = now;
  LogInfo(absl::StrCat("prewarm collection=", entry_.collection, " ", text));
}

PrewarmSources::PrewarmSources(PrewarmSettings settings, std::unique_ptr<cloud::Downloader> downloader,
                               index::Catalog& catalog, Health& health)
    : settings_(std::move(settings)),
      downloader_(std::move(downloader)),
      catalog_(catalog),
      health_(health),
      downloads_(std::make_unique<Slots>(kPrewarmDownloadsMax)),
      imports_(std::make_unique<Slots>(kPrewarmImportsMax)) {
  MutexLock lock(mutex_);
  for (const PrewarmEntry& entry : settings_.entries) {
    PrewarmReport& report = reports_.emplace_back();
    report.collection = entry.collection;
    report.url = cloud::MaskUrl(entry.url);
    report.aliases = entry.aliases;
    sources_.push_back(std::make_unique<Source>(*this, sources_.size()));
  }
}

PrewarmSources::~PrewarmSources() {
  Stop();
  for (std::thread& thread : threads_) thread.join();
}

void PrewarmSources::Start() {
  // Downloads of what the list no longer names.
  std::error_code ignored;
  std::vector<std::filesystem::path> left;
  for (const auto& entry : std::filesystem::directory_iterator(settings_.directory, ignored)) {
    if (!Lists(entry.path().filename().string())) left.push_back(entry.path());
  }
  for (const std::filesystem::path& path : left) std::filesystem::remove_all(path, ignored);
  for (const auto& source : sources_) {
    threads_.emplace_back([this, &source = *source] {
      try {
        source.Run();
      } catch (const std::exception& error) {
        LogError(absl::StrCat("prewarm collection=", source.entry().collection, " stopped: ", error.what()));
      }
    });
  }
}

bool PrewarmSources::WaitUntilServed() {
  MutexLock lock(mutex_);
  const auto served = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::all_of(reports_.begin(), reports_.end(), [](const PrewarmReport& report) { return report.served; });
  };
  while (!stop_ && !served()) changed_.Wait(mutex_);
  return !stop_;
}

void PrewarmSources::Stop() {
  stop_ = true;
  {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  }
  downloads_->WakeAll();
  imports_->WakeAll();
}

bool PrewarmSources::Lists(const std::string& collection) const {
  return std::any_of(settings_.entries.begin(), settings_.entries.end(),
                     [&](const PrewarmEntry& entry) { return entry.collection == collection; });
}

PrewarmReport PrewarmSources::Report(std::size_t index) const {
  PrewarmReport report;
  {
    MutexLock lock(mutex_);
    report = reports_.at(index);
  }
  index::CollectionRef ref;
  ref.name = report.collection;
  // Somebody may have deleted it.
  if (report.served) report.served = catalog_.GetCollection(ref).ok();
  return report;
}

}  // namespace omics::services
