#include "index/record.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "tests/support/status_matchers.h"

namespace omics::index {
namespace {

TEST(MetadataTest, EveryTypeSurvivesTheRoundTripThroughJson) {
  const Metadata metadata = {{"text", std::string("quote \" back \\ line \n nul-free é")},
                             {"int", std::int64_t{1}},
                             {"int_min", std::numeric_limits<std::int64_t>::min()},
                             {"int_max", std::numeric_limits<std::int64_t>::max()},
                             {"double", 1.0},
                             {"big", 1e300},
                             {"tenth", 0.1},
                             {"yes", true},
                             {"strings", std::vector<std::string>{"a", "b"}},
                             {"ints", std::vector<std::int64_t>{1, -2}},
                             {"doubles", std::vector<double>{1.0, 2.5}},
                             {"bools", std::vector<bool>{true, false}}};
  const absl::StatusOr<Metadata> read = MetadataFromJson(MetadataToJson(metadata));
  ASSERT_OK(read);
  EXPECT_EQ(*read, metadata);
}

TEST(MetadataTest, RandomDoublesSurviveExactly) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 rng(seed);
  for (int i = 0; i < 10'000; ++i) {
    double value = 0;
    const std::uint64_t bits = rng();
    static_assert(sizeof(bits) == sizeof(value));
    std::memcpy(&value, &bits, sizeof(value));
    if (!std::isfinite(value)) continue;
    const Metadata metadata = {{"d", value}};
    const absl::StatusOr<Metadata> read = MetadataFromJson(MetadataToJson(metadata));
    ASSERT_OK(read);
    ASSERT_EQ(std::get<double>(read->at("d")), value);
  }
}

TEST(MetadataTest, DamagedJsonIsDataLoss) {
  for (const char* json :
       {"", "[", "[]", "{\"a\":null}", "{\"a\":{}}", "{\"a\":[]}", "{\"a\":[1,\"x\"]}", "{\"a\":1"}) {
    EXPECT_THAT(MetadataFromJson(json), HasCode(absl::StatusCode::kDataLoss, "")) << json;
  }
}

TEST(ValidateTest, NamesWhatIsWrongWithARecord) {
  const auto check = [](RecordChange change, const std::string& part) {
    EXPECT_THAT(ValidateChange(change), HasCode(absl::StatusCode::kInvalidArgument, part));
  };
  check({.id = "", .embedding = {1}}, "id");
  check({.id = std::string(kIdBytesMax + 1, 'x'), .embedding = {1}}, "id");
  check({.id = "\xff", .embedding = {1}}, "UTF-8");
  check({.id = "a", .embedding = {1, std::numeric_limits<float>::quiet_NaN()}}, "'a': the embedding holds NaN");
  check({.id = "a", .embedding = {std::numeric_limits<float>::infinity()}}, "infinity at index 0");
  check({.id = "a", .embedding = std::vector<float>(kDimensionMax + 1)}, "65537");
  check({.id = "a", .document = std::string(kDocumentBytesMax + 1, 'x')}, "document");
  check({.id = "a", .uri = "\xff"}, "uri");
  check({.id = "a", .metadata = {{"", true}}}, "metadata key");
  check({.id = "a", .metadata = {{"#x", true}}}, "'#x'");
  check({.id = "a", .metadata = {{"x", std::vector<std::string>{}}}}, "empty list");
  check({.id = "a", .metadata = {{"x", std::numeric_limits<double>::infinity()}}}, "not finite");
  EXPECT_OK(ValidateChange({.id = "a", .embedding = {1, 2}, .document = "", .metadata = {{"k", std::int64_t{1}}}}));
}

}  // namespace
}  // namespace omics::index
