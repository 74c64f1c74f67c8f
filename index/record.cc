#include "index/record.h"

#include <simdjson.h>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::index {
namespace {

void AppendJsonString(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20) {
      out.append("\\u00");
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

void AppendJson(const std::string& value, std::string& out) { AppendJsonString(value, out); }
void AppendJson(std::int64_t value, std::string& out) { absl::StrAppend(&out, value); }
void AppendJson(bool value, std::string& out) { out.append(value ? "true" : "false"); }

void AppendJson(double value, std::string& out) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  out.append(text);
  if (text.find_first_of(".e") == std::string_view::npos) out.append(".0");
}

template <typename T>
void AppendJson(const std::vector<T>& values, std::string& out) {
  char separator = '[';
  for (const auto& value : values) {
    out.push_back(separator);
    AppendJson(static_cast<T>(value), out);
    separator = ',';
  }
  out.push_back(']');
}

absl::Status Damaged() { return absl::DataLossError("stored metadata is damaged"); }

// One scalar of the stored JSON, whose number type says which kind of number it is.
absl::StatusOr<MetadataValue> ReadScalar(simdjson::dom::element element) {
  switch (element.type()) {
    case simdjson::dom::element_type::STRING:
      return MetadataValue(std::string(std::string_view(element)));
    case simdjson::dom::element_type::INT64:
      return MetadataValue(std::int64_t{element});
    case simdjson::dom::element_type::DOUBLE:
      return MetadataValue(double{element});
    case simdjson::dom::element_type::BOOL:
      return MetadataValue(bool{element});
    default:
      return Damaged();
  }
}

template <typename T>
absl::StatusOr<MetadataValue> ReadList(simdjson::dom::array array) {
  std::vector<T> values;
  for (const simdjson::dom::element element : array) {
    OMICS_ASSIGN_OR_RETURN(MetadataValue value, ReadScalar(element));
    if (!std::holds_alternative<T>(value)) return Damaged();
    values.push_back(std::get<T>(std::move(value)));
  }
  return MetadataValue(std::move(values));
}

absl::StatusOr<MetadataValue> ReadValue(simdjson::dom::element element) {
  if (!element.is_array()) return ReadScalar(element);
  const simdjson::dom::array array = element;
  if (array.size() == 0) return Damaged();
  switch (array.at(0).type()) {
    case simdjson::dom::element_type::STRING:
      return ReadList<std::string>(array);
    case simdjson::dom::element_type::INT64:
      return ReadList<std::int64_t>(array);
    case simdjson::dom::element_type::DOUBLE:
      return ReadList<double>(array);
    case simdjson::dom::element_type::BOOL:
      return ReadList<bool>(array);
    default:
      return Damaged();
  }
}

// Bytes that a value takes, for the limit; 0 stands for "not acceptable" (an empty list, a number that is not finite).
std::size_t ValueBytes(const MetadataValue& value) {
  struct Visitor {
    std::size_t operator()(const std::string& text) const { return text.size() + 1; }
    std::size_t operator()(std::int64_t) const { return 8; }
    std::size_t operator()(double number) const { return std::isfinite(number) ? 8 : 0; }
    std::size_t operator()(bool) const { return 1; }
    std::size_t operator()(const std::vector<std::string>& values) const {
      std::size_t bytes = 0;
      for (const std::string& text : values) bytes += text.size() + 1;
      return bytes;
    }
    std::size_t operator()(const std::vector<std::int64_t>& values) const { return 8 * values.size(); }
    std::size_t operator()(const std::vector<double>& values) const {
      for (const double number : values) {
        if (!std::isfinite(number)) return 0;
      }
      return 8 * values.size();
    }
    std::size_t operator()(const std::vector<bool>& values) const { return values.size(); }
  };
  return std::visit(Visitor{}, value);
}

absl::Status CheckKey(const std::string& key) {
  if (key.empty() || key.size() > kMetadataKeyBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a metadata key must have 1 to ", kMetadataKeyBytesMax, " bytes, one has ", key.size()));
  }
  if (key[0] == '#' || key[0] == '$') {
    return absl::InvalidArgumentError(
        absl::StrCat("metadata key '", key, "' may not start with '", key.substr(0, 1), "'"));
  }
  if (!simdjson::validate_utf8(key)) return absl::InvalidArgumentError("a metadata key is not UTF-8");
  return absl::OkStatus();
}

absl::Status CheckText(const char* what, const std::optional<std::string>& text, std::size_t bytes_max) {
  if (!text) return absl::OkStatus();
  if (text->size() > bytes_max) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ", what, " has ", text->size(), " bytes; at most ", bytes_max, " are allowed"));
  }
  if (!simdjson::validate_utf8(*text)) return absl::InvalidArgumentError(absl::StrCat("the ", what, " is not UTF-8"));
  return absl::OkStatus();
}

absl::Status CheckEmbedding(const std::vector<float>& embedding) {
  if (embedding.size() > kDimensionMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("the embedding has ", embedding.size(), " numbers; at most ", kDimensionMax, " are allowed"));
  }
  for (std::size_t i = 0; i < embedding.size(); ++i) {
    if (!std::isfinite(embedding[i])) {
      return absl::InvalidArgumentError(absl::StrCat("the embedding holds NaN or an infinity at index ", i));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckParts(const RecordChange& change) {
  OMICS_RETURN_IF_ERROR(CheckEmbedding(change.embedding));
  OMICS_RETURN_IF_ERROR(CheckText("document", change.document, kDocumentBytesMax));
  OMICS_RETURN_IF_ERROR(CheckText("uri", change.uri, kUriBytesMax));
  return ValidateMetadata(change.metadata);
}

}  // namespace

absl::Status ValidateMetadata(const Metadata& metadata) {
  if (metadata.size() > kMetadataKeysMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("the metadata has ", metadata.size(), " keys; at most ", kMetadataKeysMax, " are allowed"));
  }
  std::size_t bytes = 0;
  for (const auto& [key, value] : metadata) {
    OMICS_RETURN_IF_ERROR(CheckKey(key));
    const std::size_t value_bytes = ValueBytes(value);
    if (value_bytes == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("metadata key '", key, "' holds an empty list or a number that is not finite"));
    }
    bytes += key.size() + value_bytes;
  }
  if (bytes <= kMetadataBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the metadata takes ", bytes, " bytes; at most ", kMetadataBytesMax, " are allowed"));
}

absl::Status ValidateChange(const RecordChange& change) {
  if (change.id.empty() || change.id.size() > kIdBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a record id must have 1 to ", kIdBytesMax, " bytes, one has ", change.id.size()));
  }
  if (!simdjson::validate_utf8(change.id)) return absl::InvalidArgumentError("a record id is not UTF-8");
  const absl::Status parts = CheckParts(change);
  return parts.ok() ? parts : Annotate(parts, absl::StrCat("record '", change.id, "'"));
}

std::string MetadataToJson(const Metadata& metadata) {
  std::string out = "{";
  for (const auto& [key, value] : metadata) {
    if (out.size() > 1) out.push_back(',');
    AppendJsonString(key, out);
    out.push_back(':');
    std::visit([&out](const auto& held) { AppendJson(held, out); }, value);
  }
  out.push_back('}');
  return out;
}

absl::StatusOr<Metadata> MetadataFromJson(std::string_view json) {
  Metadata metadata;
  if (json == "{}") return metadata;
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(json.data(), json.size()).get_object().get(object) != simdjson::SUCCESS) return Damaged();
  for (const auto field : object) {
    OMICS_ASSIGN_OR_RETURN(MetadataValue value, ReadValue(field.value));
    metadata.emplace_hint(metadata.end(), std::string(field.key), std::move(value));
  }
  return metadata;
}

}  // namespace omics::index
