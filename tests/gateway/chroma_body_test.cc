// What holds for every body, whichever reader it goes to.
#include "gateway/chroma_body.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "gateway/chroma_collection_json.h"
#include "gateway/chroma_read_json.h"
#include "gateway/chroma_write_json.h"

namespace omics::gateway {
namespace {

constexpr Dialect kV1{Api::kV1, Client::kPythonRequests};
constexpr Dialect kV2{Api::kV2, Client::kPythonModern};

auto Get(std::string body, Dialect dialect = kV2) { return ParseGet(body, dialect); }

TEST(ChromaBodyTest, DeepNestingIsRefusedNotFollowed) {
  const std::string deep = absl::StrCat("{\"x\":", std::string(100'000, '['), std::string(100'000, ']'), "}");
  EXPECT_FALSE(Get(deep).ok());
  std::string where = R"({"a":1})";
  for (int i = 0; i < 1000; ++i) where = absl::StrCat(R"({"$and":[)", where, "]}");
  EXPECT_FALSE(Get(absl::StrCat("{\"where\":", where, "}")).ok());
}

TEST(ChromaBodyTest, TruncatedAndMutatedBodiesNeverCrash) {
  const std::string good = R"({"ids":["a","b"],"embeddings":[[1,0.5],[2,3]],"metadatas":[{"k":[1,2]},{"s":"xA"}],
      "documents":["x",null],"where":{"$and":[{"a":1},{"b":{"$in":["x"]}}]},"where_document":{"$contains":"x"}})";
  constexpr std::uint32_t kSeed = 99;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    std::string body = good.substr(0, random() % 4 == 0 ? random() % good.size() : good.size());
    for (int changes = static_cast<int>(random() % 4); changes > 0 && !body.empty(); --changes) {
      body[random() % body.size()] = "{}[]\",:01.-eEnt\\u"[random() % 18];
    }
    std::string copy = body;
    ParseWrite(copy, WriteKind::kUpsert, kV2).status().IgnoreError();
    copy = body;
    ParseGet(copy, kV1).status().IgnoreError();
    copy = body;
    ParseCreateCollection(copy, kV2).status().IgnoreError();
  }
}

}  // namespace
}  // namespace omics::gateway
