#include "gateway/json_reader.h"

namespace omics::gateway::json {

absl::Status ReadType(od::value value, std::string_view what, od::json_type& type) {
  if (auto error = value.type().get(type)) return FromError(error, what);
  return absl::OkStatus();
}

absl::Status ReadNull(od::value value, std::string_view what, bool& null) {
  od::json_type type;
  OMICS_RETURN_IF_ERROR(ReadType(value, what, type));
  null = type == od::json_type::null;
  bool whole = false;
  if (null && (value.is_null().get(whole) || !whole)) return Syntax(absl::StrCat(ToAbsl(what), ": not a JSON value"));
  return absl::OkStatus();
}

absl::Status ReadString(od::value value, std::string_view what, std::string& out) {
  std::string_view text;
  if (value.get_string().get(text)) return NotA(od::json_type::string, value, what);
  out.assign(text);
  return absl::OkStatus();
}

absl::Status ReadBool(od::value value, std::string_view what, bool& out) {
  od::json_type type;
  OMICS_RETURN_IF_ERROR(ReadType(value, what, type));
  if (type != od::json_type::boolean) return FromError(simdjson::INCORRECT_TYPE, what);
  if (auto error = value.get_bool().get(out)) return Syntax(simdjson::error_message(error));
  return absl::OkStatus();
}

absl::Status ReadInt(od::value value, std::string_view what, std::int64_t& out) {
  Number number;
  OMICS_RETURN_IF_ERROR(ReadNumber(value, what, number));
  if (!number.is_int) return Shape(absl::StrCat(ToAbsl(what), ": expected a whole number"));
  out = number.int_value;
  return absl::OkStatus();
}

absl::Status ReadNumber(od::value value, std::string_view what, Number& out) {
  od::json_type type;
  OMICS_RETURN_IF_ERROR(ReadType(value, what, type));
  if (type != od::json_type::number) return FromError(simdjson::INCORRECT_TYPE, what);
  const bool whole = value.raw_json_token().find_first_of(".eE") == std::string_view::npos;
  if (whole && value.get_int64().get(out.int_value) == simdjson::SUCCESS) {
    out.is_int = true;
    out.double_value = static_cast<double>(out.int_value);
    return absl::OkStatus();
  }
  out.is_int = false;
  if (auto error = value.get_double().get(out.double_value)) {
    return Syntax(absl::StrCat(ToAbsl(what), ": ", simdjson::error_message(error)));
  }
  return absl::OkStatus();
}

absl::Status Skip(od::value value, std::string_view what, int depth) {
  if (depth > kJsonDepthMax) return Shape(absl::StrCat(ToAbsl(what), ": nested deeper than ", kJsonDepthMax));
  od::json_type type;
  OMICS_RETURN_IF_ERROR(ReadType(value, what, type));
  switch (type) {
    case od::json_type::object: {
      od::object object;
      if (value.get_object().get(object)) return NotA(od::json_type::object, value, what);
      return ForMembers(object, what,
                        [&](std::string_view, od::value member) { return Skip(member, what, depth + 1); });
    }
    case od::json_type::array: {
      od::array array;
      if (value.get_array().get(array)) return NotA(od::json_type::array, value, what);
      return ForElements(array, what, [&](od::value element) { return Skip(element, what, depth + 1); });
    }
    case od::json_type::string: {
      std::string_view text;
      if (value.get_string().get(text)) return NotA(od::json_type::string, value, what);
      return absl::OkStatus();
    }
    case od::json_type::number: {
      Number number;
      return ReadNumber(value, what, number);
    }
    case od::json_type::boolean: {
      bool truth;
      return ReadBool(value, what, truth);
    }
    case od::json_type::null:
      break;
  }
  bool null;
  return ReadNull(value, what, null);
}

absl::Status ReadRaw(od::value value, std::string_view what, std::string& out) {
  std::string_view text;
  if (auto error = simdjson::to_json_string(value).get(text)) return FromError(error, what);
  out.assign(text);
  // A parser of its own: the outer document is still being read.
  std::string copy = absl::StrCat("{\"v\":", ToAbsl(text), "}");
  copy.reserve(copy.size() + simdjson::SIMDJSON_PADDING);
  od::parser parser;
  od::document document;
  if (auto error =
          parser.iterate(simdjson::padded_string_view(copy.data(), copy.size(), copy.capacity())).get(document)) {
    return FromError(error, what);
  }
  od::object object;
  if (auto error = document.get_object().get(object)) return FromError(error, what);
  return ForMembers(object, what, [&](std::string_view, od::value member) { return Skip(member, what); });
}

}  // namespace omics::gateway::json
