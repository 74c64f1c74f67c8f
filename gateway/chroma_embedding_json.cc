#include "gateway/chroma_embedding_json.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/status.h"

namespace omics::gateway::json {
namespace {

absl::Status AppendFloat(od::value element, google::protobuf::RepeatedField<float>& out) {
  double number;
  if (element.get_double().get(number)) return NotA(od::json_type::number, element, "embeddings");
  const auto narrow = static_cast<float>(number);
  if (!std::isfinite(narrow)) {
    return absl::InvalidArgumentError(
        "Validation error: embeddings: Embeddings must not contain NaN or Infinity values");
  }
  out.Add(narrow);
  return absl::OkStatus();
}

// Reads padded standard base64 of whole floats into `out`. False if `text` is not that.
bool DecodeBase64Floats(std::string_view text, google::protobuf::RepeatedField<float>& out) {
  static_assert(std::endian::native == std::endian::little);
  if (text.size() % 4 != 0) return false;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  const std::size_t bytes = text.size() / 4 * 3 - padding;
  if (bytes % sizeof(float) != 0) return false;
  const auto digit = [](char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
  };
  std::string decoded;
  decoded.reserve(bytes + 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t group = 0;
    for (std::size_t j = i; j < i + 4; ++j) {
      const int value = j >= text.size() - padding ? 0 : digit(text[j]);
      if (value < 0) return false;
      group = group << 6 | static_cast<std::uint32_t>(value);
    }
    for (const int shift : {16, 8, 0}) decoded.push_back(static_cast<char>(group >> shift & 0xff));
  }
  out.Resize(static_cast<int>(bytes / sizeof(float)), 0);
  std::memcpy(out.mutable_data(), decoded.data(), bytes);
  return true;
}

absl::Status ReadBase64(od::value value, google::protobuf::RepeatedField<float>& out) {
  std::string_view text;
  if (value.get_string().get(text)) return NotA(od::json_type::string, value, "embeddings");
  if (!DecodeBase64Floats(text, out)) {
    return absl::InvalidArgumentError("an embedding is not base64 of little-endian 32-bit floats");
  }
  for (const float number : out) {
    if (!std::isfinite(number)) return absl::InvalidArgumentError("Non-finite float value in a base64 embedding");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadFloats(od::value value, google::protobuf::RepeatedField<float>& out) {
  od::array array;
  if (value.get_array().get(array)) return NotA(od::json_type::array, value, "embeddings");
  return ForElements(array, "embeddings", [&](od::value element) { return AppendFloat(element, out); });
}

absl::Status ReadEmbedding(od::value value, pb::RecordChange& out) {
  od::json_type type;
  OMICS_RETURN_IF_ERROR(ReadType(value, "embeddings", type));
  out.clear_embedding();
  if (type == od::json_type::string) {
    OMICS_RETURN_IF_ERROR(ReadBase64(value, *out.mutable_embedding()));
  } else {
    OMICS_RETURN_IF_ERROR(ReadFloats(value, *out.mutable_embedding()));
  }
  if (out.embedding_size() > 0) return absl::OkStatus();
  return absl::InvalidArgumentError("Validation error: embeddings: Each embedding must have at least 1 dimension");
}

}  // namespace omics::gateway::json
