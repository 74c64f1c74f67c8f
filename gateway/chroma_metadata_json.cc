#include "gateway/chroma_metadata_json.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gateway/chroma_body.h"

namespace omics::gateway::json {
namespace {

absl::Status BadMetadataValue(std::string_view what, std::string_view key) {
  return Shape(absl::StrCat(ToAbsl(what), ".", ToAbsl(key),
                            ": a metadata value is a string, a number, a boolean, or a list of one of these"));
}

// Appends `element` to the list in `out`. False if the list is of another type.
bool AppendToList(pb::MetadataValue&& element, pb::MetadataValue& out) {
  const auto kind = out.kind_case();
  const auto fits = [&](pb::MetadataValue::KindCase list) {
    return kind == pb::MetadataValue::KIND_NOT_SET || kind == list;
  };
  switch (element.kind_case()) {
    case pb::MetadataValue::kStringValue:
      if (!fits(pb::MetadataValue::kStringList)) return false;
      out.mutable_string_list()->add_values(std::move(*element.mutable_string_value()));
      return true;
    case pb::MetadataValue::kIntValue:
      if (!fits(pb::MetadataValue::kIntList)) return false;
      out.mutable_int_list()->add_values(element.int_value());
      return true;
    case pb::MetadataValue::kDoubleValue:
      if (!fits(pb::MetadataValue::kDoubleList)) return false;
      out.mutable_double_list()->add_values(element.double_value());
      return true;
    default:
      if (!fits(pb::MetadataValue::kBoolList)) return false;
      out.mutable_bool_list()->add_values(element.bool_value());
      return true;
  }
}

}  // namespace

bool IsScalar(od::json_type type) {
  return type == od::json_type::string || type == od::json_type::boolean || type == od::json_type::number;
}

absl::Status ReadScalar(od::value value, std::string_view what, od::json_type type, pb::MetadataValue& out) {
  if (type == od::json_type::string) return ReadString(value, what, *out.mutable_string_value());
  if (type == od::json_type::boolean) {
    bool truth;
    OMICS_RETURN_IF_ERROR(ReadBool(value, what, truth));
    out.set_bool_value(truth);
    return absl::OkStatus();
  }
  Number number;
  OMICS_RETURN_IF_ERROR(ReadNumber(value, what, number));
  number.is_int ? out.set_int_value(number.int_value) : out.set_double_value(number.double_value);
  return absl::OkStatus();
}

absl::Status MetadataReader::Count() {
  if (++values_ <= kMetadataValuesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("more than ", kMetadataValuesMax, " metadata values in one request: send fewer records at a time"));
}

absl::Status MetadataReader::ReadList(od::value value, std::string_view what, std::string_view key, MetadataMap& out) {
  od::array array;
  if (value.get_array().get(array)) return NotA(od::json_type::array, value, what);
  pb::MetadataValue list;
  OMICS_RETURN_IF_ERROR(ForElements(array, what, [&](od::value element) -> absl::Status {
    OMICS_RETURN_IF_ERROR(Count());
    od::json_type type;
    OMICS_RETURN_IF_ERROR(ReadType(element, what, type));
    if (!IsScalar(type)) return BadMetadataValue(what, key);
    pb::MetadataValue scalar;
    OMICS_RETURN_IF_ERROR(ReadScalar(element, what, type, scalar));
    return AppendToList(std::move(scalar), list) ? absl::OkStatus() : BadMetadataValue(what, key);
  }));
  // An empty list has no type to keep; Chroma drops it as well.
  if (list.kind_case() != pb::MetadataValue::KIND_NOT_SET) out[std::string(key)] = std::move(list);
  return absl::OkStatus();
}

absl::Status MetadataReader::ReadValue(od::value value, std::string_view what, std::string_view key, MetadataMap& out) {
  od::json_type type;
  OMICS_RETURN_IF_ERROR(ReadType(value, what, type));
  if (type == od::json_type::array) return ReadList(value, what, key, out);
  if (!IsScalar(type)) return BadMetadataValue(what, key);
  return ReadScalar(value, what, type, out[std::string(key)]);
}

absl::Status MetadataReader::Read(od::object object, std::string_view what, MetadataMap& out,
                                  google::protobuf::RepeatedPtrField<std::string>* removed) {
  return ForMembers(object, what, [&](std::string_view key, od::value value) -> absl::Status {
    OMICS_RETURN_IF_ERROR(Count());
    bool null;
    OMICS_RETURN_IF_ERROR(ReadNull(value, what, null));
    if (!null) {
      OMICS_RETURN_IF_ERROR(ReadValue(value, what, key, out));
      // An empty list is nothing to store: in a change it takes the key away, as null does.
      if (out.contains(std::string(key)) || null_value_ != NullValue::kRemove || removed == nullptr) {
        return absl::OkStatus();
      }
      removed->Add(std::string(key));
      return absl::OkStatus();
    }
    if (null_value_ == NullValue::kRefuse) return BadMetadataValue(what, key);
    if (null_value_ == NullValue::kRemove && removed != nullptr) removed->Add(std::string(key));
    return absl::OkStatus();
  });
}

absl::Status ReadCollectionMetadata(od::value value, std::string_view what, Dialect dialect, MetadataMap& out) {
  out.clear();
  bool null;
  OMICS_RETURN_IF_ERROR(ReadNull(value, what, null));
  if (null) return absl::OkStatus();
  od::object object;
  if (value.get_object().get(object)) return NotA(od::json_type::object, value, what);
  MetadataReader reader(dialect.legacy() ? NullValue::kDrop : NullValue::kRefuse);
  OMICS_RETURN_IF_ERROR(reader.Read(object, what, out, nullptr));
  if (reader.values() > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(dialect.legacy()
                                        ? "Expected metadata to be a non-empty dict, got 0 metadata attributes"
                                        : "Validation error: metadata: Metadata cannot be empty");
}

}  // namespace omics::gateway::json
