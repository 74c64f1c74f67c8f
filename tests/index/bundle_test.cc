// Bundles: what is saved under load is what is loaded, and what a stranger sends does no harm.
#include "index/bundle.h"

#include <sqlite3.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/uuid.h"
#include "index/internal/bundle_file.h"
#include "index/internal/bundle_manifest.h"
#include "index/internal/segment_format.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::index {
namespace {

namespace fs = std::filesystem;

constexpr int kDimension = 8;
constexpr unsigned kSeed = 20260101;

using Model = std::map<std::string, Record>;

CatalogOptions SmallOptions(const fs::path& dir) {
  CatalogOptions options;
  options.data_dir = dir;
  options.tail_rows_max = 50;
  options.graph_rows_min = 20;
  options.idle_before_build = std::chrono::milliseconds(0);
  return options;
}

std::string ReadAll(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void WriteAll(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::vector<float> RandomVector(std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> vector(kDimension);
  for (float& x : vector) x = normal(rng);
  return vector;
}

RecordChange RandomChange(int id, std::mt19937& rng) {
  RecordChange change = {.id = absl::StrCat("r", id), .embedding = RandomVector(rng)};
  if (rng() % 2) change.document = absl::StrCat("document ", rng() % 1000, " of a cell");
  if (rng() % 3 == 0) change.uri = absl::StrCat("https://example.org/", id);
  if (rng() % 2) {
    change.metadata = {
        {"n", std::int64_t{id}}, {"x", static_cast<double>(rng() % 100) / 4}, {"tags", std::vector<std::string>{"a"}}};
  }
  return change;
}

Model ContentsOf(const Collection& collection) {
  GetSpec spec;
  spec.include = {true, true, true, true};
  Model contents;
  while (true) {
    const auto page = collection.Get(spec, kNoDeadline);
    EXPECT_OK(page);
    for (const Record& record : page->records) contents[record.id] = record;
    if (page->next < 0) return contents;
    spec.after = page->next;
  }
}

void ExpectSame(const Model& found, const Model& wanted) {
  ASSERT_EQ(found.size(), wanted.size());
  for (const auto& [id, record] : wanted) {
    ASSERT_TRUE(found.contains(id)) << id;
    const Record& other = found.at(id);
    EXPECT_EQ(other.embedding, record.embedding) << id;
    EXPECT_EQ(other.document, record.document) << id;
    EXPECT_EQ(other.uri, record.uri) << id;
    EXPECT_EQ(other.metadata, record.metadata) << id;
  }
}

std::map<std::string, std::string> SegmentFiles(const fs::path& data_dir, const std::string& id) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(data_dir / "collections" / id)) {
    if (entry.path().extension() == ".segment") files[entry.path().filename()] = ReadAll(entry.path());
  }
  return files;
}

class BundleTest : public testing::Test {
 protected:
  void SetUp() override {
    from_ = *Catalog::Open(SmallOptions(dir_.path() / "from"));
    to_ = *Catalog::Open(SmallOptions(dir_.path() / "to"));
  }

  std::shared_ptr<Collection> Create(const std::string& name = "things") {
    CollectionSpec spec;
    spec.name = name;
    spec.metric = Metric::kCosine;
    spec.hnsw.m = 12;
    spec.metadata = {{"release", std::string("2024-01 \"new\"")}, {"scale", 2.0}, {"big", 1e300}};
    spec.client_configuration = R"({"a": "\u00e9\n"})";
    info_ = *from_->CreateCollection(spec, false, nullptr);
    return *from_->OpenCollection({.name = name});
  }

  // Segments, a tail, and rows that were changed and deleted since.
  void Fill(Collection& collection) {
    std::mt19937 rng(kSeed);
    for (int batch = 0; batch < 6; ++batch) {
      std::vector<RecordChange> changes;
      for (int i = 0; i < 50; ++i) changes.push_back(RandomChange(batch * 50 + i, rng));
      ASSERT_OK(collection.Write(WriteMode::kUpsert, changes, kNoDeadline));
    }
    ASSERT_OK(collection.Compact(kNoDeadline));
    std::vector<RecordChange> changes;
    for (int i = 290; i < 305; ++i) changes.push_back(RandomChange(i, rng));
    ASSERT_OK(collection.Write(WriteMode::kUpsert, changes, kNoDeadline));
    ASSERT_OK(collection.Delete({.ids = {"r1", "r2", "r303"}}, kNoDeadline));
  }

  fs::path Saved() {
    const std::shared_ptr<Collection> collection = Create();
    Fill(*collection);
    EXPECT_OK(SaveBundle(*from_, {.name = "things"}, file(), kNoDeadline));
    return file();
  }

  fs::path file(const std::string& name = "things.tar.zst") const { return dir_.path() / name; }

  absl::StatusOr<CollectionInfo> Load(const fs::path& file, const BundleTarget& target = {}) {
    auto staged = StageBundle(*to_, file, target);
    if (!staged.ok()) return staged.status();
    return (*staged)->Publish(false);
  }

  // Refused, by name and cause, with nothing left behind.
  void ExpectRefused(const fs::path& file, const std::string& words, const std::string& what) {
    const absl::Status status = Load(file).status();
    ASSERT_FALSE(status.ok()) << what;
    EXPECT_TRUE(absl::IsInvalidArgument(status) || absl::IsDataLoss(status) || absl::IsResourceExhausted(status) ||
                absl::IsFailedPrecondition(status))
        << what << ": " << status;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(words)) << what;
    EXPECT_FALSE(VerifyBundle(file).ok()) << what;
    ExpectNothingThere(what);
  }
  void ExpectNothingThere(const std::string& what) {
    EXPECT_TRUE(to_->ListAllCollections()->empty()) << what;
    EXPECT_TRUE(fs::is_empty(dir_.path() / "to/collections")) << what;
  }

  TempDir dir_;
  std::unique_ptr<Catalog> from_, to_;
  CollectionInfo info_;
};

TEST_F(BundleTest, WhatIsLoadedIsWhatWasSavedWithItsGraphs) {
  const std::shared_ptr<Collection> before = Create();
  Fill(*before);
  const auto manifest = SaveBundle(*from_, {.name = "things"}, file(), kNoDeadline);
  ASSERT_OK(manifest);
  EXPECT_EQ(manifest->records, before->Count());
  EXPECT_EQ(manifest->sequence_number, before->sequence_number());
  EXPECT_EQ(manifest->file_bytes, static_cast<std::int64_t>(fs::file_size(file())));
  EXPECT_EQ(manifest->file_sha256, [&] {
    Sha256Hasher hasher;
    hasher.Add(ReadAll(file()));
    return hasher.Hex();
  }());
  ASSERT_OK(VerifyBundle(file()));

  const auto info = Load(file());
  ASSERT_OK(info);
  EXPECT_EQ(info->name, "things");
  EXPECT_NE(info->id, info_.id);
  EXPECT_EQ(info->metric, Metric::kCosine);
  EXPECT_EQ(info->hnsw.m, 12);
  EXPECT_EQ(info->metadata, info_.metadata);
  EXPECT_EQ(info->client_configuration, info_.client_configuration);
  const std::shared_ptr<Collection> after = *to_->OpenCollection({.name = "things"});
  EXPECT_EQ(after->sequence_number(), before->sequence_number());
  EXPECT_EQ(after->dimension(), kDimension);
  ExpectSame(ContentsOf(*after), ContentsOf(*before));
  EXPECT_EQ(after->Stats().segments, before->Stats().segments);
  EXPECT_GT(after->Stats().graph_rows, 200);
  EXPECT_EQ(SegmentFiles(dir_.path() / "to", info->id), SegmentFiles(dir_.path() / "from", info_.id))
      << "a graph was built again";

  std::mt19937 rng(kSeed + 1);
  for (int i = 0; i < 50; ++i) {
    QuerySpec query;
    query.vectors = {RandomVector(rng)};
    query.exact = i % 5 == 0;
    const auto wanted = before->Query(query, kNoDeadline), found = after->Query(query, kNoDeadline);
    ASSERT_OK(wanted);
    ASSERT_OK(found);
    ASSERT_EQ(found->at(0).size(), 10U);
    for (std::size_t k = 0; k < 10; ++k) {
      EXPECT_EQ(found->at(0)[k].record.id, wanted->at(0)[k].record.id);
      EXPECT_EQ(found->at(0)[k].distance, wanted->at(0)[k].distance);
    }
  }
}

TEST_F(BundleTest, SavedUnderWritesItIsTheModelAtItsSequenceNumber) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  const std::shared_ptr<Collection> collection = Create();
  std::mutex mutex;
  std::map<std::int64_t, Model> history = {{0, {}}};
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    std::mt19937 rng(kSeed);
    Model model;
    while (!stop) {
      std::int64_t sequence = 0;
      std::lock_guard lock(mutex);  // only so that the history is complete when it is read
      if (rng() % 4 == 0) {
        const std::vector<std::string> ids = {absl::StrCat("r", rng() % 400), absl::StrCat("r", rng() % 400)};
        const auto result = collection->Delete({.ids = ids}, kNoDeadline);
        ASSERT_OK(result);
        for (const std::string& id : ids) model.erase(id);
        sequence = result->sequence_number;
      } else {
        std::map<std::string, RecordChange> changes;
        for (int i = 0; i < 10; ++i) {
          RecordChange change = RandomChange(static_cast<int>(rng() % 400), rng);
          change.document = "always";  // an upsert keeps what is left out
          change.uri = "always";
          change.metadata = {{"n", static_cast<std::int64_t>(rng())}};
          changes[change.id] = change;
        }
        std::vector<RecordChange> batch;
        for (const auto& [id, change] : changes) batch.push_back(change);
        const auto result = collection->Write(WriteMode::kUpsert, batch, kNoDeadline);
        ASSERT_OK(result);
        for (const RecordChange& change : batch) {
          model[change.id] = {change.id, change.embedding, change.document, change.uri, change.metadata};
        }
        sequence = result->sequence_number;
      }
      history[sequence] = model;
    }
  });
  std::vector<BundleManifest> manifests;
  for (int round = 0; round < 6; ++round) {
    const std::int64_t before = collection->sequence_number();
    while (collection->sequence_number() < before + 10) std::this_thread::yield();
    const auto manifest = SaveBundle(*from_, {.name = "things"}, file(absl::StrCat(round)), kNoDeadline);
    EXPECT_OK(manifest);
    if (!manifest.ok()) break;
    EXPECT_GE(manifest->sequence_number, before + 10);
    manifests.push_back(*manifest);
  }
  stop = true;
  writer.join();
  ASSERT_EQ(manifests.size(), 6U);
  int with_segments = 0;
  for (std::size_t round = 0; round < manifests.size(); ++round) {
    SCOPED_TRACE(testing::Message() << "bundle " << round);
    ASSERT_OK(Load(file(absl::StrCat(round)), {.name = absl::StrCat("copy", round)}));
    const auto loaded = *to_->OpenCollection({.name = absl::StrCat("copy", round)});
    EXPECT_EQ(loaded->sequence_number(), manifests[round].sequence_number);
    EXPECT_EQ(loaded->Count(), manifests[round].records);
    ExpectSame(ContentsOf(*loaded), history.at(manifests[round].sequence_number));
    with_segments += manifests[round].members.size() > 1 ? 1 : 0;
  }
  EXPECT_GT(with_segments, 0);
}

TEST_F(BundleTest, WritesGoOnFromItsSequenceNumberAlsoBeforeItIsPublished) {
  const fs::path bundle = Saved();
  const std::int64_t saved = ReadBundleManifest(bundle)->sequence_number;
  auto staged = StageBundle(*to_, bundle, {.name = "other"});
  ASSERT_OK(staged);
  std::mt19937 rng(kSeed);
  const auto written = (*staged)->collection().Write(WriteMode::kUpsert, {RandomChange(900, rng)}, kNoDeadline);
  ASSERT_OK(written);
  EXPECT_EQ(written->sequence_number, saved + 1);
  EXPECT_TRUE(absl::IsNotFound(to_->GetCollection({.name = "other"}).status()));
  ASSERT_OK((*staged)->Publish(false));
  to_.reset();
  to_ = *Catalog::Open(SmallOptions(dir_.path() / "to"));
  const auto loaded = to_->OpenCollection({.name = "other"});
  ASSERT_OK(loaded);
  EXPECT_EQ((*loaded)->sequence_number(), saved + 1);
  EXPECT_TRUE(ContentsOf(**loaded).contains("r900"));
}

TEST_F(BundleTest, ACollectionCanKeepItsId) {
  const fs::path bundle = Saved();
  const auto info = Load(bundle, {.id = info_.id});
  ASSERT_OK(info);
  EXPECT_EQ(info->id, info_.id);
  EXPECT_THAT(Load(bundle, {.name = "second", .id = info_.id}),
              HasReason(absl::StatusCode::kAlreadyExists, "COLLECTION_EXISTS"));
  // It still leads to the one that took its place.
  auto staged = StageBundle(*to_, bundle, {});
  ASSERT_OK(staged);
  ASSERT_OK((*staged)->Publish(true));
  EXPECT_THAT(Load(bundle, {.name = "second", .id = info_.id}),
              HasReason(absl::StatusCode::kAlreadyExists, "COLLECTION_EXISTS"));
  EXPECT_TRUE(absl::IsInvalidArgument(Load(bundle, {.name = "second", .id = "../x"}).status()));
}

TEST_F(BundleTest, AnEmptyCollectionIsLoadedToo) {
  Create();
  ASSERT_OK(SaveBundle(*from_, {.name = "things"}, file(), kNoDeadline));
  ASSERT_OK(Load(file()));
  EXPECT_EQ((*to_->OpenCollection({.name = "things"}))->dimension(), 0);
}

TEST_F(BundleTest, AFileThatExistsIsKept) {
  Create();
  WriteAll(file(), "mine");
  EXPECT_TRUE(absl::IsAlreadyExists(SaveBundle(*from_, {.name = "things"}, file(), kNoDeadline).status()));
  EXPECT_EQ(ReadAll(file()), "mine");
}

TEST_F(BundleTest, WhatEndsASaveOrALoadLeavesNothingBehind) {
  const fs::path bundle = Saved();
  EXPECT_TRUE(absl::IsNotFound(SaveBundle(*from_, {.name = "missing"}, file("a"), kNoDeadline).status()));
  const Deadline past = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(SaveBundle(*from_, {.name = "things"}, file("b"), past).status()));
  BundleLimits limits;
  limits.progress = [](std::int64_t, std::int64_t) { return absl::CancelledError("enough"); };
  EXPECT_TRUE(absl::IsCancelled(SaveBundle(*from_, {.name = "things"}, file("c"), limits).status()));
  EXPECT_TRUE(absl::IsCancelled(StageBundle(*to_, bundle, {}, limits).status()));
  limits.progress = nullptr;
  limits.unpacked_bytes_max = 1000;
  EXPECT_TRUE(absl::IsResourceExhausted(StageBundle(*to_, bundle, {}, limits).status()));
  ExpectNothingThere("");
  for (const auto& entry : fs::directory_iterator(dir_.path())) {
    EXPECT_THAT(entry.path().filename().string(), testing::AnyOf("from", "to", "things.tar.zst"));
  }
}

TEST_F(BundleTest, AStagedBundleThatIsNotPublishedGoes) {
  const fs::path bundle = Saved();
  ASSERT_OK(StageBundle(*to_, bundle, {}));
  ExpectNothingThere("");
}

// Hostile bundles -----------------------------------------------------------------------------------------------------

// A real bundle, taken apart; ToFile() packs what it was changed to.
struct Parts {
  BundleManifest manifest;
  std::vector<std::pair<std::string, std::string>> files;

  explicit Parts(const fs::path& bundle) {
    BundleReader reader = *BundleReader::Open(bundle);
    manifest = *reader.ReadManifest();
    for (const BundleMember& member : manifest.members) {
      std::string bytes;
      EXPECT_OK(reader.ReadMember(member, [&](std::string_view piece) {
        bytes.append(piece);
        return absl::OkStatus();
      }));
      files.emplace_back(member.name, std::move(bytes));
    }
  }

  std::string& file(std::size_t i) { return files.at(i).second; }

  // Makes the manifest tell the truth about the files.
  void Sum() {
    manifest.members.clear();
    for (const auto& [name, bytes] : files) {
      Sha256Hasher hasher;
      hasher.Add(bytes);
      manifest.members.push_back({name, std::ssize(bytes), hasher.Hex()});
    }
  }

  static void Append(const std::string& name, const std::string& bytes, std::string& tar) {
    tar += TarHeader(name, std::ssize(bytes)) + bytes;
    tar.resize((tar.size() + kTarBlockBytes - 1) / kTarBlockBytes * kTarBlockBytes);
  }

  std::string Tar(const std::string& json) const {
    std::string tar;
    Append("manifest.json", json, tar);
    for (const auto& [name, bytes] : files) Append(name, bytes, tar);
    return tar + std::string(2 * kTarBlockBytes, '\0');
  }
  std::string Tar() const { return Tar(ManifestToJson(manifest)); }
};

std::string Zstd(const std::string& bytes, int window_log = 0) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  // Streamed, so that the frame does not say how large its content is.
  ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
  ZSTD_outBuffer to = {out.data(), out.size(), 0};
  ZSTD_compressStream2(context, &to, &in, ZSTD_e_continue);
  EXPECT_EQ(ZSTD_compressStream2(context, &to, &in, ZSTD_e_end), 0U);
  ZSTD_freeCCtx(context);
  out.resize(to.pos);
  return out;
}

// Runs statements on a database that is held in a string.
std::string ChangedDatabase(const fs::path& scratch, const std::string& bytes, const std::string& sql) {
  WriteAll(scratch, bytes);
  sqlite3* handle = nullptr;
  EXPECT_EQ(sqlite3_open(scratch.c_str(), &handle), SQLITE_OK);
  char* error = nullptr;
  EXPECT_EQ(sqlite3_exec(handle, ("PRAGMA journal_mode=DELETE;" + sql).c_str(), nullptr, nullptr, &error), SQLITE_OK)
      << sql << ": " << (error ? error : "");
  sqlite3_close(handle);
  return ReadAll(scratch);
}

TEST_F(BundleTest, ATruncatedBundleIsRefused) {
  const std::string whole = ReadAll(Saved());
  for (std::size_t size = 0; size < whole.size(); size = std::max(size + 1, size + size / 4)) {
    WriteAll(file("cut"), whole.substr(0, size));
    ExpectRefused(file("cut"), "", absl::StrCat("cut to ", size));
  }
  WriteAll(file("cut"), whole.substr(0, whole.size() - 1));
  ExpectRefused(file("cut"), "cut off", "without its last byte");
}

TEST_F(BundleTest, AFlippedBitIsNoticedOrChangesNothing) {
  const std::string whole = ReadAll(Saved());
  const Model wanted = ContentsOf(**from_->OpenCollection({.name = "things"}));
  std::mt19937 rng(kSeed);
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  int refused = 0;
  for (int round = 0; round < 70; ++round) {
    std::string damaged = whole;
    const std::size_t place = round < 40 ? static_cast<std::size_t>(round) : rng() % whole.size();
    damaged[place] = static_cast<char>(damaged[place] ^ (1 << rng() % 8));
    WriteAll(file("flipped"), damaged);
    const auto info = Load(file("flipped"));
    if (info.ok()) {  // a bit of zstd's that means nothing
      ExpectSame(ContentsOf(**to_->OpenCollection({.name = "things"})), wanted);
      ASSERT_OK(to_->DeleteCollection({.name = "things"}));
    } else {
      EXPECT_TRUE(absl::IsDataLoss(info.status()) || absl::IsInvalidArgument(info.status())) << info.status();
      ++refused;
    }
    ExpectNothingThere(absl::StrCat("byte ", place));
  }
  EXPECT_GT(refused, 60);
}

TEST_F(BundleTest, WhatIsNoBundleIsRefused) {
  const Parts parts(Saved());
  const std::string tar = parts.Tar();
  const std::string header = tar.substr(0, kTarBlockBytes);
  const std::pair<std::string, std::string> cases[] = {
      {"", "no bundle"},
      {"no archive", "no bundle"},
      {tar, "no bundle"},
      {Zstd(""), "cut off"},
      {Zstd("hello"), "cut off"},
      {Zstd(std::string(4096, 'x')), "this is no bundle"},
      {Zstd(tar.substr(kTarBlockBytes)), "this is no bundle"},
      {Zstd(tar) + "x", "goes on"},
      {Zstd(tar) + Zstd("x"), "goes on"},
      {Zstd(tar + "x"), "goes on"},
      {Zstd(tar, 27), "memory"},
      {Zstd(TarHeader("manifest.json", std::int64_t{7} << 30)), "more than"},
      {Zstd(TarHeader("manifest.json", 2) + "{}" + std::string(510, '\0')), "format"},
      {Zstd(TarHeader("manifest.json", 3) + "[1]" + std::string(509, '\0')), "no JSON object"},
  };
  int i = 0;
  for (const auto& [bytes, words] : cases) {
    WriteAll(file("other"), bytes);
    ExpectRefused(file("other"), words, absl::StrCat("case ", i++));
  }
}

TEST_F(BundleTest, AManifestThatIsNoneIsRefused) {
  Parts parts(Saved());
  const std::string json = ManifestToJson(parts.manifest);
  const std::string sum = parts.manifest.members[0].sha256;
  const std::pair<std::string, std::pair<std::string, std::string>> cases[] = {
      {"bundle format 2", {"\"format\": 1", "\"format\": 2"}},
      {"\"format\" is no number", {"\"format\": 1", "\"format\": \"1\""}},
      {"\"dimension\"", {"\"dimension\": 8", "\"dimension\": 70000"}},
      {"\"dimension\"", {"\"dimension\": 8", "\"dimension\": -1"}},
      {"\"records\"", {"\"records\": ", "\"records\": -"}},
      {"metric", {"\"cosine\"", "\"hamming\""}},
      {"\"m\"", {"\"m\": 12", "\"m\": 1e9"}},
      {"manifest.json", {"\"m\": 12", "\"m\": 999"}},
      {"belongs", {"records.sqlite3", "../../catalog.sqlite3"}},
      {"belongs", {"records.sqlite3", "/etc/passwd"}},
      {"belongs", {"records.sqlite3", "records.sqlite3-wal"}},
      {"belongs", {".segment", ".segment/x"}},
      {"SHA-256", {sum, "zz" + sum.substr(2)}},
      {"SHA-256", {sum, "00" + sum.substr(2)}},
      {"\"bytes\"", {"\"bytes\": ", "\"bytes\": -"}},
      {"\"bytes\"", {"\"bytes\": ", "\"bytes\": 9999999"}},
      {"another member", {"\"bytes\": ", "\"bytes\": 1"}},
      {"UUID", {info_.id, "x"}},
      {"\"metadata\"", {"\"metadata\": {", "\"metadata\": {\"n\": null, "}},
      {"\"metadata\"", {"\"metadata\": {", "\"metadata\": {\"n\": {}, "}},
      {"is not a collection name", {"\"name\": \"things\"", "\"name\": \"../../x\""}},
      {"dimension", {"\"dimension\": 8", "\"dimension\": 9"}},
      {"the manifest says", {"\"records\": ", "\"records\": 1"}},
      {"its sequence number", {"\"sequence_number\": ", "\"sequence_number\": 1"}},
      {"metric", {"\"cosine\"", "\"l2\""}},
  };
  for (const auto& [words, change] : cases) {
    std::string changed = json;
    const std::size_t place = changed.find(change.first);
    ASSERT_NE(place, std::string::npos) << change.first;
    changed.replace(place, change.first.size(), change.second);
    WriteAll(file("other"), Zstd(parts.Tar(changed)));
    ExpectRefused(file("other"), words, change.second);
  }
}

TEST_F(BundleTest, MembersOtherThanThoseOfTheManifestAreRefused) {
  const Parts parts(Saved());
  const auto refused = [&](const Parts& changed, const std::string& words) {
    WriteAll(file("other"), Zstd(changed.Tar()));
    ExpectRefused(file("other"), words, words);
  };
  Parts extra = parts;
  extra.files.emplace_back("extra.txt", "x");
  refused(extra, "does not name: 'extra.txt'");
  Parts twice = parts;
  twice.files.push_back(twice.files.back());
  twice.Sum();
  refused(twice, "twice");
  Parts missing = parts;
  missing.files.pop_back();
  refused(missing, "stands another member");
  Parts swapped = parts;
  std::swap(swapped.files.front(), swapped.files.back());
  refused(swapped, "stands another member");
  Parts none = parts;
  none.files.clear();
  none.Sum();
  refused(none, "is missing");
  Parts other = parts;
  other.file(0)[20'000] = static_cast<char>(other.file(0)[20'000] ^ 1);
  refused(other, "its SHA-256 is not that of the manifest");

  // A link in the place of a file.
  std::string tar = parts.Tar();
  const std::size_t place = tar.find(TarHeader("records.sqlite3", parts.manifest.members[0].bytes));
  tar[place + 156] = '2';
  WriteAll(file("other"), Zstd(tar));
  ExpectRefused(file("other"), "stands another member", "a link");
}

TEST_F(BundleTest, AClaimOfHugeSizesOrABombIsRefusedBeforeTheDiskIsFull) {
  Parts parts(Saved());
  parts.files = {{"records.sqlite3", ""}};
  parts.Sum();
  for (const std::int64_t bytes : {std::int64_t{200} << 30, std::int64_t{9} << 30, kBundleBytesMax}) {
    parts.manifest.members[0].bytes = bytes;
    std::string tar;
    Parts::Append("manifest.json", ManifestToJson(parts.manifest), tar);
    tar += TarHeader("records.sqlite3", bytes) + std::string(8 << 20, '\0');
    WriteAll(file("bomb"), Zstd(tar));
    ExpectRefused(file("bomb"), "unpacks to", absl::StrCat(bytes));
  }
}

TEST_F(BundleTest, ADatabaseWithAnotherSchemaOrOtherRecordsIsRefused) {
  const Parts parts(Saved());
  const std::pair<std::string, std::string> cases[] = {
      {"CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM records; END", "trigger 't'"},
      {"CREATE VIEW v AS SELECT * FROM records", "view 'v'"},
      {"CREATE TABLE extra(x)", "table 'extra'"},
      {"CREATE INDEX i ON records(uri)", "index 'i'"},
      {"DROP INDEX records_identity", "lacks"},
      {"ALTER TABLE records ADD COLUMN evil TEXT DEFAULT 'x'", "table 'records'"},
      {"DELETE FROM state WHERE key = 'next_position'", "next record"},
      {"UPDATE state SET value = 9 WHERE key = 'dimension'", "dimension"},
      {"UPDATE state SET value = 0 WHERE key = 'next_position'", "out of range"},
      {"UPDATE records SET sequence = 999999 WHERE position = 7", "out of range"},
      {"UPDATE records SET sequence = 'x' WHERE position = 7", "out of range"},
      {"UPDATE records SET embedding = zeroblob(31) WHERE position = 7", "dimension"},
      {"UPDATE records SET embedding = x'0000c07f' || zeroblob(28) WHERE position = 7", "position 7"},
      {"UPDATE records SET embedding = zeroblob(32) WHERE position = 7", "its row"},
      {"UPDATE records SET document = 'forged' WHERE position = 7", "its row"},
      {"UPDATE records SET metadata = '{\"a\":' WHERE position = 7", "metadata"},
      {"UPDATE records SET metadata = '{\"a\":{}}' WHERE position = 7", "metadata"},
      {"UPDATE records SET id = x'ff00' WHERE position = 7", "UTF-8"},
      {"UPDATE records SET id = '' WHERE position = 7", "id"},
      {"UPDATE records SET document = zeroblob(1100000) WHERE position = 7", "document"},
      {"UPDATE records SET document = zeroblob(20000000) WHERE position = 7", "records.sqlite3"},
      {"DELETE FROM records WHERE position = 7", "records"},
  };
  for (const auto& [sql, words] : cases) {
    Parts changed = parts;
    changed.file(0) = ChangedDatabase(file("scratch.sqlite3"), changed.file(0), sql);
    changed.Sum();
    WriteAll(file("other"), Zstd(changed.Tar()));
    ExpectRefused(file("other"), words, sql);
  }
}

SegmentHeader HeaderOf(const std::string& segment) {
  SegmentHeader header;
  std::memcpy(&header, segment.data(), sizeof(header));
  return header;
}

// Makes the checksums of a segment right again, which stand where they stood in `before`.
void Reseal(const SegmentHeader& before, std::string& segment) {
  SegmentHeader header = HeaderOf(segment);
  const SectionRange& sums = before.sections[kChecksums];
  for (std::uint64_t begin = kSegmentHeaderBytes, i = 0; begin < sums.offset; begin += kChecksumBlockBytes, ++i) {
    const std::uint64_t hash = XXH3_64bits(segment.data() + begin, std::min(kChecksumBlockBytes, sums.offset - begin));
    std::memcpy(segment.data() + sums.offset + i * sizeof(hash), &hash, sizeof(hash));
  }
  header.checksums_hash = XXH3_64bits(segment.data() + sums.offset, sums.bytes);
  header.header_hash = XXH3_64bits(&header, offsetof(SegmentHeader, header_hash));
  std::memcpy(segment.data(), &header, sizeof(header));
}

// All that reads a collection: no answer is wrong to it, but none may do harm.
void UseAll(Collection& collection, std::mt19937& rng) {
  EXPECT_EQ(std::ssize(ContentsOf(collection)), collection.Count());
  QuerySpec query;
  query.vectors = {RandomVector(rng), RandomVector(rng)};
  query.include = {true, true, true, true};
  EXPECT_OK(collection.Query(query, kNoDeadline));
  query.filter = Filter{MetadataCondition{"n", MetadataCondition::Operator::kGreater, {std::int64_t{100}}}};
  EXPECT_OK(collection.Query(query, kNoDeadline));
  query.filter = Filter{DocumentCondition{DocumentCondition::Operator::kContains, "7"}};
  EXPECT_OK(collection.Query(query, kNoDeadline));
  EXPECT_OK(collection.Compact(kNoDeadline));
  EXPECT_OK(collection.Query(query, kNoDeadline));
}

// Whoever makes a bundle can make its sums right, too. OMICS_VECTOR_TEST_BUNDLES: so many, by a seed of their own.
TEST_F(BundleTest, AMutatedBundleWithTheRightSumsDoesNoHarm) {
  const Parts parts(Saved());
  const char* rounds = std::getenv("OMICS_VECTOR_TEST_BUNDLES");
  const unsigned seed = rounds ? std::random_device{}() : kSeed;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 rng(seed);
  int refused = 0, accepted = 0;
  for (int round = rounds ? std::atoi(rounds) : 40; round > 0; --round) {
    Parts changed = parts;
    const std::size_t member = rng() % changed.files.size();
    std::string& bytes = changed.file(member);
    for (unsigned i = 1 + rng() % 4; i > 0; --i) bytes[rng() % bytes.size()] = static_cast<char>(rng());
    if (member > 0) Reseal(HeaderOf(parts.files[member].second), bytes);
    changed.Sum();
    WriteAll(file("other"), Zstd(changed.Tar()));
    const auto info = Load(file("other"));
    if (info.ok()) {
      ++accepted;
      UseAll(**to_->OpenCollection({.name = "things"}), rng);
      ASSERT_OK(to_->DeleteCollection({.name = "things"}));
    } else {
      ++refused;
      EXPECT_TRUE(absl::IsDataLoss(info.status()) || absl::IsInvalidArgument(info.status())) << info.status();
      EXPECT_THAT(std::string(info.status().message()), testing::HasSubstr("bundle member"));
    }
    ExpectNothingThere(absl::StrCat("round ", round));
  }
  std::cout << refused << " refused, " << accepted << " accepted\n";
  EXPECT_GT(refused, 0);
}

TEST_F(BundleTest, ASegmentThatIsNotWhatTheRecordsSayIsRefused) {
  const Parts parts(Saved());
  const SegmentHeader header = HeaderOf(parts.files.at(1).second);
  const auto with_header = [&](auto change) {
    Parts changed = parts;
    SegmentHeader other = header;
    change(other);
    std::memcpy(changed.file(1).data(), &other, sizeof(other));
    return changed;
  };
  const auto with_bytes = [&](SectionKind section, std::string_view bytes, std::size_t at = 0) {
    Parts changed = parts;
    changed.file(1).replace(header.sections[section].offset + at, bytes.size(), bytes);
    return changed;
  };
  const std::string_view nan("\x00\x00\xc0\x7f", 4), high("\xff\xff\xff\x7f", 4);
  const std::size_t stride = header.sections[kCodes].bytes / header.rows;
  const std::pair<Parts, std::string> cases[] = {
      {with_header([](SegmentHeader& h) { h.ef_few = 2'000'000'000; }), "search parameters"},
      {with_header([](SegmentHeader& h) { h.ef_many = 0xffffffff; }), "search parameters"},
      {with_header([](SegmentHeader& h) { h.code_unit = std::numeric_limits<double>::quiet_NaN(); }), "not finite"},
      {with_header([](SegmentHeader& h) { h.entry_point = 1 << 20; }), "entry point"},
      {with_header([](SegmentHeader& h) { h.metric = 1; }), "metric or dimension"},
      {with_header([](SegmentHeader& h) { h.rows = 1 << 30; }), "damaged"},
      {with_bytes(kVectors, nan), "its row 0"},
      {with_bytes(kVectors, std::string_view("\x00\x00\x80\x3f", 4), 160), "its row 5"},
      {with_bytes(kScales, nan), "its row 0"},
      {with_bytes(kCodes, nan, stride - 4), "its row 0"},
      {with_bytes(kCodeCentre, nan), "not finite"},
      {with_bytes(kLinks0, high), "links"},
      {with_bytes(kPayloads, "forged", 17), "its row 0"},
      {with_bytes(kPayloadOffsets, high, 8), "payload table"},
      {with_bytes(kIdentities, high), "row order"},
      {with_bytes(kFilterIndex, high), "filter index"},
  };
  for (auto [changed, words] : cases) {
    Reseal(header, changed.file(1));
    changed.Sum();
    WriteAll(file("other"), Zstd(changed.Tar()));
    ExpectRefused(file("other"), words, words);
  }
  Parts unsealed = with_bytes(kVectors, nan);
  unsealed.Sum();
  WriteAll(file("other"), Zstd(unsealed.Tar()));
  ExpectRefused(file("other"), parts.files[1].first, "a wrong checksum");
}

TEST_F(BundleTest, ASegmentOfAnotherVersionIsBuiltAgain) {
  Parts parts(Saved());
  const Model wanted = ContentsOf(**from_->OpenCollection({.name = "things"}));
  SegmentHeader header = HeaderOf(parts.file(1));
  header.version = kSegmentVersion + 1;
  std::memcpy(parts.file(1).data(), &header, sizeof(header));
  Reseal(header, parts.file(1));
  parts.Sum();
  WriteAll(file("other"), Zstd(parts.Tar()));
  ASSERT_OK(Load(file("other")));
  const auto collection = *to_->OpenCollection({.name = "things"});
  ExpectSame(ContentsOf(*collection), wanted);
  ASSERT_OK(collection->Compact(kNoDeadline));
  EXPECT_EQ(collection->Stats().graph_rows, collection->Count());
}

}  // namespace
}  // namespace omics::index
