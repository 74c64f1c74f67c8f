#include "index/internal/metadata_bytes.h"

#include <limits>
#include <vector>

#include "tests/support/status_matchers.h"

namespace omics::index {
namespace {

Metadata Sample() {
  return {{"label", std::string("B cell\0é", 9)},
          {"empty", std::string()},
          {"whole", std::int64_t{9007199254740993}},
          {"real", -0.5},
          {"yes", true},
          {"texts", std::vector<std::string>{"a", "", "bb"}},
          {"wholes", std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min(), 0}},
          {"reals", std::vector<double>{1.0, 1e300}},
          {"truths", std::vector<bool>{true, false, true}}};
}

TEST(MetadataBytesTest, EveryTypeSurvivesTheRoundTrip) {
  for (const Metadata& metadata : {Metadata(), Sample()}) {
    const auto decoded = DecodeMetadata(EncodeMetadata(metadata));
    ASSERT_OK(decoded);
    EXPECT_EQ(*decoded, metadata);
  }
}

TEST(MetadataBytesTest, AViewFindsEachKeyAndNoOther) {
  const Metadata metadata = Sample();
  const std::string bytes = EncodeMetadata(metadata);
  const MetadataView view(bytes);
  for (const auto& [key, value] : metadata) {
    const auto found = view.Find(key);
    ASSERT_TRUE(found) << key;
    EXPECT_EQ(static_cast<std::size_t>(found->type()), value.index()) << key;
    EXPECT_FALSE(view.Find(key + "x"));
  }
  EXPECT_FALSE(view.Find(""));
  EXPECT_FALSE(view.Find("zzz"));
  std::vector<std::string> keys, wanted;
  view.ForEach([&](std::string_view key, const MetadataValueView&) { keys.emplace_back(key); });
  for (const auto& [key, value] : metadata) wanted.push_back(key);
  EXPECT_EQ(keys, wanted);
}

TEST(MetadataBytesTest, AccessorsAnswerForTheirTypeOnly) {
  const std::string bytes = EncodeMetadata(Sample());
  const MetadataView view(bytes);
  EXPECT_EQ(view.Find("whole")->AsInt(), 9007199254740993);
  EXPECT_FALSE(view.Find("whole")->AsDouble());
  EXPECT_EQ(view.Find("real")->AsDouble(), -0.5);
  EXPECT_EQ(view.Find("yes")->AsBool(), true);
  EXPECT_EQ(view.Find("label")->AsString(), std::string_view("B cell\0é", 9));
  EXPECT_FALSE(view.Find("texts")->AsString());
  std::vector<std::string> elements;
  view.Find("texts")->ForEachElement([&](const MetadataValueView& text) { elements.emplace_back(*text.AsString()); });
  EXPECT_EQ(elements, (std::vector<std::string>{"a", "", "bb"}));
  view.Find("label")->ForEachElement([](const MetadataValueView&) { FAIL() << "a scalar has no elements"; });
}

TEST(MetadataBytesTest, TruncatedBytesAreDataLoss) {
  const std::string bytes = EncodeMetadata(Sample());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(DecodeMetadata(bytes.substr(0, size)), HasCode(absl::StatusCode::kDataLoss, "")) << size;
  }
  EXPECT_THAT(DecodeMetadata(bytes + '\0'), HasCode(absl::StatusCode::kDataLoss, ""));
}

TEST(MetadataBytesTest, ChangedBytesNeverDecodeToWhatEncodesDifferently) {
  const std::string bytes = EncodeMetadata(Sample());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {1, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      const auto decoded = DecodeMetadata(damaged);
      if (decoded.ok()) {
        EXPECT_EQ(EncodeMetadata(*decoded), damaged) << i;
      }
      MetadataView(damaged).ForEach([](std::string_view, const MetadataValueView& value) {
        value.ForEachElement([](const MetadataValueView&) {});
      });
    }
  }
}

}  // namespace
}  // namespace omics::index
