#include "gateway/openapi.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::gateway {
namespace {

class OpenApiTest : public ::testing::Test {
 protected:
  OpenApiTest() { EXPECT_EQ(parser_.parse(OpenApiDocument()).get(document_), simdjson::SUCCESS); }

  simdjson::simdjson_result<simdjson::dom::element> Operation(const Route& route) const {
    return document_["paths"][route.pattern][absl::AsciiStrToLower(ToAbsl(route.method))];
  }

  simdjson::dom::parser parser_;
  simdjson::dom::element document_;
};

TEST_F(OpenApiTest, EveryRouteIsDescribedAndNothingElse) {
  std::set<std::string_view> described;
  for (const RouteDescription& description : RouteDescriptions()) {
    EXPECT_TRUE(described.insert(description.route).second) << description.route << " is described twice";
    EXPECT_FALSE(description.summary.empty()) << description.route;
  }
  std::set<std::string_view> routes;
  for (const Route& route : Routes()) {
    EXPECT_EQ(described.count(route.name), 1u) << route.name << " has no description";
    EXPECT_EQ(Operation(route).error(), simdjson::SUCCESS) << route.method << " " << route.pattern;
    routes.insert(route.name);
  }
  EXPECT_EQ(described, routes);
  std::size_t operations = 0;
  for (const auto& [pattern, methods] : simdjson::dom::object(document_["paths"])) {
    operations += simdjson::dom::object(methods).size();
  }
  EXPECT_EQ(operations, Routes().size());
}

TEST_F(OpenApiTest, TokensAreAskedForWhereTheRouteTableSaysSo) {
  for (const Route& route : Routes()) {
    const simdjson::dom::array security = Operation(route)["security"];
    EXPECT_EQ(security.size(), route.access == Access::kOpen ? 0u : 3u) << route.pattern;
    const bool refuses = Operation(route)["responses"]["403"].error() == simdjson::SUCCESS;
    EXPECT_EQ(refuses, route.access != Access::kOpen) << route.pattern;
  }
}

TEST_F(OpenApiTest, OperationIdsAreUnique) {
  std::set<std::string_view> ids;
  for (const Route& route : Routes()) {
    const std::string_view id = Operation(route)["operationId"];
    EXPECT_TRUE(ids.insert(id).second) << id;
  }
}

// Counts the references in `element` that lead nowhere.
int Dangling(const simdjson::dom::element& document, simdjson::dom::element element) {
  int count = 0;
  if (element.is_array()) {
    for (const simdjson::dom::element& member : simdjson::dom::array(element)) count += Dangling(document, member);
  }
  if (!element.is_object()) return count;
  for (const auto& [key, member] : simdjson::dom::object(element)) {
    if (key == "$ref") {
      const std::string target = std::string(std::string_view(member)).substr(1);
      const bool found = document.at_pointer(target).error() == simdjson::SUCCESS;
      EXPECT_TRUE(found) << target;
      count += found ? 0 : 1;
    } else {
      count += Dangling(document, member);
    }
  }
  return count;
}

TEST_F(OpenApiTest, EveryReferenceLeadsSomewhere) { EXPECT_EQ(Dangling(document_, document_), 0); }

TEST_F(OpenApiTest, EveryParameterOfAPathIsDeclared) {
  for (const Route& route : Routes()) {
    std::set<std::string> declared;
    const simdjson::dom::array parameters = Operation(route)["parameters"];
    for (const simdjson::dom::element& parameter : parameters) {
      const std::string target = std::string(std::string_view(parameter["$ref"])).substr(1);
      const std::string_view in = document_.at_pointer(target)["in"];
      const std::string_view name = document_.at_pointer(target)["name"];
      if (in == "path") declared.insert(absl::StrCat("{", ToAbsl(name), "}"));
    }
    std::string rest(route.pattern);
    for (const std::string& name : declared) {
      const std::size_t at = rest.find(name);
      ASSERT_NE(at, std::string::npos) << route.pattern << " has no " << name;
      rest.erase(at, name.size());
    }
    EXPECT_EQ(rest.find('{'), std::string::npos) << route.pattern;
  }
}

}  // namespace
}  // namespace omics::gateway
