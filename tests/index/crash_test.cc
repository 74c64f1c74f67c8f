// Kills a writing process at random moments: what it acknowledged is there afterwards, and nothing is torn.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <random>
#include <set>
#include <string>

#include "index/catalog.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::index {
namespace {

constexpr int kBatchRows = 7;

CatalogOptions Options(const std::filesystem::path& dir) {
  CatalogOptions options;
  options.data_dir = dir;
  options.tail_rows_max = 64;
  options.graph_rows_min = 32;
  options.idle_before_build = std::chrono::milliseconds(0);
  return options;
}

// Writes batch after batch, reporting each acknowledged one on `report`, until it is killed. Also stages an import that
// is never published.
[[noreturn]] void WriteUntilKilled(const std::filesystem::path& dir, int first_batch, int report) {
  auto catalog = Catalog::Open(Options(dir));
  if (!catalog.ok()) std::_Exit(1);
  CollectionSpec spec;
  spec.name = "things";
  if (!(*catalog)->CreateCollection(spec, true, nullptr).ok()) std::_Exit(1);
  auto collection = (*catalog)->OpenCollection({.name = "things"});
  spec.name = "unfinished";
  auto staged = (*catalog)->StageCollection(spec);
  if (!collection.ok() || !staged.ok()) std::_Exit(1);
  for (int batch = first_batch;; ++batch) {
    std::vector<RecordChange> changes;
    for (int i = 0; i < kBatchRows; ++i) {
      changes.push_back({.id = std::to_string(batch) + "-" + std::to_string(i), .embedding = {float(batch), float(i)}});
    }
    if (!(*staged)->collection().Write(WriteMode::kInsert, changes, kNoDeadline).ok()) std::_Exit(1);
    if (!(*collection)->Write(WriteMode::kInsert, changes, kNoDeadline).ok()) std::_Exit(1);
    if (::write(report, &batch, sizeof(batch)) != sizeof(batch)) std::_Exit(1);
  }
}

TEST(CrashTest, KilledAtAnyMomentEveryAcknowledgedBatchIsThereAndNoneIsTorn) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 rng(seed);
  const TempDir dir;
  int next_batch = 0;
  for (int round = 0; round < 15; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(pipe_ends[0]);
      WriteUntilKilled(dir.path(), next_batch, pipe_ends[1]);
    }
    ::close(pipe_ends[1]);
    // A random number of acknowledged batches, then a random moment within the next one.
    int acknowledged = next_batch - 1, batch = 0;
    for (unsigned wanted = rng() % 40; wanted > 0; --wanted) {
      ASSERT_EQ(::read(pipe_ends[0], &batch, sizeof(batch)), static_cast<ssize_t>(sizeof(batch)))
          << "the writer failed";
      acknowledged = batch;
    }
    ::usleep(rng() % 3000);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(pipe_ends[0], &batch, sizeof(batch)) == sizeof(batch)) acknowledged = batch;
    ::close(pipe_ends[0]);

    auto catalog = Catalog::Open(Options(dir.path()));
    ASSERT_OK(catalog);
    EXPECT_FALSE((*catalog)->GetCollection({.name = "unfinished"}).ok());
    auto collection = (*catalog)->OpenCollection({.name = "things"});
    if (acknowledged < 0 && absl::IsNotFound(collection.status())) continue;
    ASSERT_OK(collection);
    const std::int64_t count = (*collection)->Count();
    EXPECT_EQ(count % kBatchRows, 0) << "a batch is torn";
    next_batch = static_cast<int>(count / kBatchRows);
    // The batch under way may have been committed without having been reported.
    EXPECT_GE(next_batch, acknowledged + 1);
    EXPECT_LE(next_batch, acknowledged + 2);
    std::set<std::string> ids;
    auto page = (*collection)->Get({}, kNoDeadline);
    ASSERT_OK(page);
    for (const Record& record : page->records) ids.insert(record.id);
    EXPECT_EQ(std::ssize(ids), count);
    QuerySpec query = {.vectors = {{float(next_batch - 1), 0}}, .k = 1, .exact = true};
    if (count == 0) continue;
    auto hits = (*collection)->Query(query, kNoDeadline);
    ASSERT_OK(hits);
    EXPECT_EQ(hits->at(0).at(0).record.id, std::to_string(next_batch - 1) + "-0");
  }
}

// Replaces one collection by the next again and again, with aliases and source, until it is killed.
[[noreturn]] void ReplaceUntilKilled(const std::filesystem::path& dir, int first, int report) {
  auto catalog = Catalog::Open(Options(dir));
  if (!catalog.ok()) std::_Exit(1);
  for (int version = first;; ++version) {
    CollectionSpec spec;
    spec.name = "things";
    spec.client_configuration = std::to_string(version);
    auto staged = (*catalog)->StageCollection(spec);
    if (!staged.ok()) std::_Exit(1);
    const RecordChange record{.id = "v", .embedding = {float(version)}};
    if (!(*staged)->collection().Write(WriteMode::kInsert, {record}, kNoDeadline).ok()) std::_Exit(1);
    const PublishOptions options{true, {"latest", "newest"}, {"file:///x", std::to_string(version), ""}};
    if (!(*staged)->Publish(options).ok()) std::_Exit(1);
    if (::write(report, &version, sizeof(version)) != sizeof(version)) std::_Exit(1);
  }
}

TEST(CrashTest, KilledInTheMiddleOfASwapNameAliasesIdAndSourceAgree) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 rng(seed);
  const TempDir dir;
  int next = 0;
  for (int round = 0; round < 15; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(pipe_ends[0]);
      ReplaceUntilKilled(dir.path(), next, pipe_ends[1]);
    }
    ::close(pipe_ends[1]);
    int acknowledged = next - 1, version = 0;
    for (unsigned wanted = 1 + rng() % 3; wanted > 0; --wanted) {
      ASSERT_EQ(::read(pipe_ends[0], &version, sizeof(version)), static_cast<ssize_t>(sizeof(version)))
          << "the publisher failed";
      acknowledged = version;
    }
    ::usleep(rng() % 20000);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(pipe_ends[0], &version, sizeof(version)) == sizeof(version)) acknowledged = version;
    ::close(pipe_ends[0]);

    auto catalog = Catalog::Open(Options(dir.path()));
    ASSERT_OK(catalog);
    const auto info = (*catalog)->GetCollection({.name = "things"});
    ASSERT_OK(info);
    const int found = std::stoi(info->client_configuration);
    EXPECT_GE(found, acknowledged);
    EXPECT_LE(found, acknowledged + 1);  // committed without having been reported
    for (const char* alias : {"latest", "newest"}) EXPECT_EQ((*catalog)->GetCollection({.name = alias})->id, info->id);
    EXPECT_EQ((*catalog)->GetSource({.name = "latest"})->etag, info->client_configuration);
    EXPECT_EQ((*catalog)->ListAllCollections()->size(), 1U);
    const auto collection = (*catalog)->OpenCollection({.name = "latest"});
    ASSERT_OK(collection);
    EXPECT_EQ((*collection)->Count(), 1);
    const auto directories = std::filesystem::directory_iterator(dir.path() / "collections");
    EXPECT_EQ(std::distance(begin(directories), end(directories)), 1);
    next = found + 1;
  }
}

}  // namespace
}  // namespace omics::index
