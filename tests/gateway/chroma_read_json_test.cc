#include "gateway/chroma_read_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "gateway/chroma_body.h"

namespace omics::gateway {
namespace {

constexpr Dialect kV1{Api::kV1, Client::kPythonRequests};
constexpr Dialect kV2{Api::kV2, Client::kPythonModern};

auto Get(std::string body, Dialect dialect = kV2) { return ParseGet(body, dialect); }

TEST(ChromaReadJsonTest, LimitsAndIncludeFollowTheVersion) {
  EXPECT_FALSE(Get(R"({"limit":0})", kV1)->limit.has_value());
  EXPECT_EQ(Get(R"({"limit":0})", kV2)->limit, 0);
  EXPECT_EQ(Reason(Get(R"({"limit":-1})", kV2).status()), kReasonJsonShape);
  EXPECT_EQ(Reason(Get(R"({"limit":-1})", kV1).status()), "");
  EXPECT_EQ(Reason(Get(R"({"include":["data"]})", kV2).status()), kReasonJsonShape);
  EXPECT_TRUE(Get(R"({"include":["data"]})", kV1).ok());
  EXPECT_EQ(Reason(Get(R"({"include":null})", kV2).status()), kReasonJsonShape);
  const auto none = Get(R"({"include":[]})");
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->include.documents || none->include.metadatas);
  EXPECT_THAT(Get("{}")->include.words, ::testing::ElementsAre("documents", "metadatas"));
}

TEST(ChromaReadJsonTest, QueriesTakeFloatsOnly) {
  std::string body = R"({"query_embeddings":[[1,2],[3,4]],"n_results":3})";
  const auto query = ParseQueryBody(body, kV2);
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(query->query_vectors.size(), 2u);
  EXPECT_EQ(query->n_results, 3);
  for (std::string bad :
       {R"({"query_embeddings":["AAAA"]})", R"({"query_texts":["x"]})", R"({"query_embeddings":null})"}) {
    EXPECT_EQ(Reason(ParseQueryBody(bad, kV2).status()), kReasonJsonShape) << bad;
  }
}

}  // namespace
}  // namespace omics::gateway
