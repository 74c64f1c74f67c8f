#include "gateway/router.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gateway/chroma_handlers.h"

namespace omics::gateway {
namespace {

TEST(RouterTest, EveryRouteMatchesItsOwnPatternAndNoOther) {
  std::set<std::string> seen;
  for (const Route& route : Routes()) {
    EXPECT_TRUE(seen.insert(absl::StrCat(ToAbsl(route.method), " ", ToAbsl(route.pattern))).second) << route.pattern;
    const RouteMatch match = MatchRoute(route.method, route.pattern);
    ASSERT_NE(match.route, nullptr) << route.pattern;
    EXPECT_EQ(match.route, &route) << route.pattern;
  }
}

TEST(RouterTest, ParametersAreDecoded) {
  const RouteMatch match = MatchRoute("GET", "/api/v2/tenants/a%20b/databases/c%2Fd/collections/e");
  ASSERT_NE(match.route, nullptr);
  EXPECT_EQ(match.route->name, "get_collection");
  ASSERT_EQ(match.parameters.size(), 3u);
  EXPECT_EQ(match.parameters[0].second, "a b");
  EXPECT_EQ(match.parameters[1].second, "c/d");
  EXPECT_EQ(match.parameters[2].first, "collection");
}

TEST(RouterTest, OddPathsMatchNothing) {
  for (const char* path : {"", "*", "/", "//", "/api", "/api/v3", "/livez/", "/livez%2f", "/readyz/../api/v2/reset",
                           "/api/v2/", "/api/v2/tenants/", "/api/v2/tenants//databases", "/api/v1//collections",
                           "/api/v1/collections//", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t"}) {
    EXPECT_EQ(MatchRoute("GET", path).route, nullptr) << path;
  }
}

TEST(RouterTest, NamesThatAreNotDecodableAreMarked) {
  for (const char* name : {"%zz", "%0", "%00", "%ff", "%c0%80", "%ed%a0%80", "%f4%90%80%80", "a%e2%82"}) {
    const RouteMatch match = MatchRoute("GET", absl::StrCat("/api/v2/tenants/", name));
    ASSERT_NE(match.route, nullptr) << name;
    EXPECT_FALSE(match.decodable) << name;
  }
  EXPECT_TRUE(MatchRoute("GET", "/api/v2/tenants/%e2%82%ac").decodable);
}

TEST(RouterTest, AnotherMethodIsToldWhichOnesThereAre) {
  const RouteMatch match = MatchRoute("PATCH", "/api/v1/collections/x");
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allow, "GET, PUT, DELETE");
}

TEST(RouterTest, WritesNeedTheWriteRoleAndTenantsTheAdminRole) {
  for (const Route& route : Routes()) {
    const std::string_view name = route.name;
    const bool writes = name == "add" || name == "upsert" || name == "update" || name == "delete" ||
                        name == "update_collection" || name == "delete_collection" || name == "fork";
    const bool admin =
        name == "reset" || name == "create_tenant" || name == "create_database" || name == "delete_database";
    const bool open = name == "livez" || name == "readyz" || name == "openapi" || name == "heartbeat" ||
                      name == "version" || name == "pre_flight_checks";
    const Access expected = open ? Access::kOpen : admin ? Access::kAdmin : writes ? Access::kWrite : Access::kRead;
    EXPECT_EQ(route.access, expected) << route.pattern;
  }
}

TEST(RouterTest, QueriesAreDecodedOrRefused) {
  QueryParameters parameters;
  ASSERT_TRUE(ParseQuery("limit=5&tenant=a+b%26c&flag", parameters));
  EXPECT_EQ(FindParameter(parameters, "limit"), "5");
  EXPECT_EQ(FindParameter(parameters, "tenant"), "a b&c");
  EXPECT_EQ(FindParameter(parameters, "flag"), "");
  EXPECT_FALSE(ParseQuery("a=%g0", parameters));
  EXPECT_FALSE(ParseQuery("a=%0", parameters));
  EXPECT_FALSE(ParseQuery("a=%ff", parameters));
  EXPECT_FALSE(ParseQuery("%c0%80", parameters));
  std::string many;
  for (std::size_t i = 0; i <= kQueryParametersMax; ++i) many += "a=1&";
  EXPECT_FALSE(ParseQuery(many, parameters));
}

TEST(RouterTest, RecordsAreSplitBySizeInOrder) {
  google::protobuf::RepeatedPtrField<pb::RecordChange> records;
  for (int i = 0; i < 100; ++i) {
    pb::RecordChange& record = *records.Add();
    record.set_id(absl::StrCat("id", i));
    record.set_document(std::string(static_cast<std::size_t>(10 * i), 'x'));
  }
  const auto parts = SplitRecords(records, 2'000);
  ASSERT_TRUE(parts.ok());
  EXPECT_GT(parts->size(), 10u);
  int next = 0;
  for (const auto& part : *parts) {
    pb::UpsertRequest message;
    *message.mutable_records() = part;
    EXPECT_LE(message.ByteSizeLong(), 2'000u);
    for (const pb::RecordChange& record : part) EXPECT_EQ(record.id(), absl::StrCat("id", next++));
  }
  EXPECT_EQ(next, 100);
  EXPECT_TRUE(absl::IsInvalidArgument(SplitRecords(records, 500).status()));
}

}  // namespace
}  // namespace omics::gateway
