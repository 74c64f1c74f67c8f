#include "base/digest.h"

#include <gtest/gtest.h>

#include <string>

namespace omics {
namespace {

TEST(Sha256Test, AgreesWithTheStandardsExamples) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, PiecesGiveTheDigestOfTheWhole) {
  Sha256Hasher hasher;
  for (const char* piece : {"a", "", "bc"}) hasher.Add(piece);
  EXPECT_EQ(hasher.Hex(), Sha256Hex("abc"));
  hasher.Add("d");
  EXPECT_EQ(hasher.Hex(), Sha256Hex("abcd"));
}

TEST(ToHexTest, EveryByteIsTwoLowerCaseDigits) {
  EXPECT_EQ(ToHex(""), "");
  EXPECT_EQ(ToHex(std::string_view("\x00\x0f\xa5\xff", 4)), "000fa5ff");
}

}  // namespace
}  // namespace omics
