// Filters as get reads them.
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gateway/chroma_read_json.h"

namespace omics::gateway {
namespace {

using ::testing::HasSubstr;

constexpr Dialect kV1{Api::kV1, Client::kPythonRequests};
constexpr Dialect kV2{Api::kV2, Client::kPythonModern};

auto Get(std::string body, Dialect dialect = kV2) { return ParseGet(body, dialect); }

pb::Filter FilterOf(const std::string& text) {
  pb::Filter filter;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &filter)) << text;
  return filter;
}

TEST(ChromaWhereTest, WhereIsTranslatedInFull) {
  const struct {
    const char* where;
    const char* filter;
  } kCases[] = {
      {R"({"s":"x"})", R"(metadata{key:"s" operator:OPERATOR_EQUAL values{string_value:"x"}})"},
      {R"({"s":{"$ne":1.5}})", R"(metadata{key:"s" operator:OPERATOR_NOT_EQUAL values{double_value:1.5}})"},
      {R"({"i":{"$gt":1}})", R"(metadata{key:"i" operator:OPERATOR_GREATER values{int_value:1}})"},
      {R"({"i":{"$gte":1}})", R"(metadata{key:"i" operator:OPERATOR_GREATER_OR_EQUAL values{int_value:1}})"},
      {R"({"i":{"$lt":1}})", R"(metadata{key:"i" operator:OPERATOR_LESS values{int_value:1}})"},
      {R"({"i":{"$lte":1}})", R"(metadata{key:"i" operator:OPERATOR_LESS_OR_EQUAL values{int_value:1}})"},
      {R"({"s":{"$in":["x","y"]}})",
       R"(metadata{key:"s" operator:OPERATOR_IN values{string_value:"x"} values{string_value:"y"}})"},
      {R"({"b":{"$nin":[true]}})", R"(metadata{key:"b" operator:OPERATOR_NOT_IN values{bool_value:true}})"},
      {R"({"l":{"$contains":"p"}})", R"(metadata{key:"l" operator:OPERATOR_CONTAINS values{string_value:"p"}})"},
      {R"({"l":{"$not_contains":3}})", R"(metadata{key:"l" operator:OPERATOR_NOT_CONTAINS values{int_value:3}})"},
      {R"({"#document":{"$regex":"a.b"}})", R"(document{operator:OPERATOR_MATCHES pattern:"a.b"})"},
      {R"({"$and":[]})", R"(all_of{})"},
      {R"({"$or":[{"a":1},{"$and":[{"b":2}]}]})",
       R"(any_of{filters{metadata{key:"a" operator:OPERATOR_EQUAL values{int_value:1}}}
          filters{all_of{filters{metadata{key:"b" operator:OPERATOR_EQUAL values{int_value:2}}}}}})"},
  };
  for (const auto& c : kCases) {
    const auto body = Get(absl::StrCat("{\"where\":", c.where, "}"));
    ASSERT_TRUE(body.ok()) << c.where << body.status();
    ASSERT_TRUE(body->filter.has_value()) << c.where;
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*body->filter, FilterOf(c.filter)))
        << c.where << "\n"
        << body->filter->DebugString();
  }
  const auto both = Get(R"({"where_document":{"$not_contains":"x"},"where":{"a":1}})");
  ASSERT_TRUE(both.ok());
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      *both->filter, FilterOf(R"(all_of{filters{metadata{key:"a" operator:OPERATOR_EQUAL values{int_value:1}}}
                                        filters{document{operator:OPERATOR_NOT_CONTAINS pattern:"x"}}})")));
}

TEST(ChromaWhereTest, WrongWhereClausesAre400) {
  for (const char* where :
       {R"({"s":"x","i":1})", R"({"s":{"$eq":"x","$ne":"y"}})", R"({"s":{}})", R"({"s":null})", R"({"s":{"$bogus":1}})",
        R"({"s":{"$gt":"a"}})", R"({"s":{"$in":[]}})", R"({"s":{"$in":["x",1]}})", R"({"i":{"$in":[1,2.5]}})",
        R"({"$not":[{"s":1}]})", R"({"t":["p"]})", R"({"t":{"$eq":["p"]}})", "[]", "\"x\"", R"({"$and":{}})",
        R"({"s":{"$regex":"x"}})"}) {
    const auto body = Get(absl::StrCat("{\"where\":", where, "}"));
    EXPECT_TRUE(absl::IsInvalidArgument(body.status())) << where;
    EXPECT_THAT(std::string(ToStd(body.status().message())), HasSubstr("Invalid where clause")) << where;
  }
  for (const char* where : {R"({"$contains":5})", R"({"bogus":"x"})", R"({"$contains":"a","$regex":"b"})"}) {
    const auto body = Get(absl::StrCat("{\"where_document\":", where, "}"));
    EXPECT_THAT(std::string(ToStd(body.status().message())), HasSubstr("Invalid where document clause")) << where;
  }
}

TEST(ChromaWhereTest, EmptyFiltersAreNoneInV1AndRefusedInV2) {
  const char* body = R"({"ids":["a"],"where":{},"where_document":{},"limit":3})";
  const auto v1 = Get(body, kV1);
  ASSERT_TRUE(v1.ok()) << v1.status();
  EXPECT_FALSE(v1->filter.has_value());
  EXPECT_EQ(v1->limit, 3);
  EXPECT_EQ(v1->ids->size(), 1u);
  EXPECT_TRUE(absl::IsInvalidArgument(Get(body, kV2).status()));
  const auto nulls = Get(R"({"ids":null,"where":null,"where_document":null,"limit":null,"offset":null})", kV2);
  ASSERT_TRUE(nulls.ok());
  EXPECT_FALSE(nulls->filter || nulls->ids || nulls->limit);
  EXPECT_FALSE(Get(R"({"where":{"$and":[{}]}})", kV1).ok());
}

}  // namespace
}  // namespace omics::gateway
