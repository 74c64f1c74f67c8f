// The one place that includes simdjson, for the files that read JSON only: on-demand reading with every error as a
// status, with the reasons of chroma_body.h. Values must be read in their order, each once.
#pragma once

// Errors as values only: a conversion that would throw does not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gateway/chroma_body.h"

namespace omics::gateway::json {

namespace od = simdjson::ondemand;

// 400: not JSON.
inline absl::Status Syntax(std::string_view what) {
  return WithReason(
      absl::InvalidArgumentError(absl::StrCat("Failed to parse the request body as JSON: ", ToAbsl(what))),
      kReasonJsonSyntax);
}

// 422: JSON of another shape than expected.
inline absl::Status Shape(std::string_view what) {
  return WithReason(absl::InvalidArgumentError(
                        absl::StrCat("Failed to deserialize the JSON body into the target type: ", ToAbsl(what))),
                    kReasonJsonShape);
}

inline absl::Status Missing(std::string_view field) {
  return Shape(absl::StrCat("missing field `", ToAbsl(field), "`"));
}

inline absl::Status FromError(simdjson::error_code error, std::string_view what) {
  if (error == simdjson::INCORRECT_TYPE) return Shape(absl::StrCat(ToAbsl(what), ": wrong type"));
  return Syntax(absl::StrCat(ToAbsl(what), ": ", simdjson::error_message(error)));
}

// `value` was to be read as `wanted`: of another type (422), or no JSON at all (400)? On-demand reading calls both a
// wrong type.
template <typename Value>
absl::Status NotA(od::json_type wanted, Value& value, std::string_view what) {
  od::json_type type;
  if (value.type().get(type) || type == wanted) return Syntax(absl::StrCat(ToAbsl(what), ": not a JSON value"));
  return FromError(simdjson::INCORRECT_TYPE, what);
}

// Calls fn(key, value) -> Status for each member.
template <typename Fn>
absl::Status ForMembers(od::object object, std::string_view what, Fn&& fn) {
  for (auto field : object) {
    std::string_view key;
    if (auto error = field.unescaped_key().get(key)) return FromError(error, what);
    od::value value;
    if (auto error = field.value().get(value)) return FromError(error, what);
    OMICS_RETURN_IF_ERROR(fn(key, value));
  }
  return absl::OkStatus();
}

// Calls fn(value) -> Status for each element.
template <typename Fn>
absl::Status ForElements(od::array array, std::string_view what, Fn&& fn) {
  for (auto element : array) {
    od::value value;
    if (auto error = element.get(value)) return FromError(error, what);
    OMICS_RETURN_IF_ERROR(fn(value));
  }
  return absl::OkStatus();
}

absl::Status ReadType(od::value value, std::string_view what, od::json_type& type);

// True in `null` (and the value is read) if it is null.
absl::Status ReadNull(od::value value, std::string_view what, bool& null);

absl::Status ReadString(od::value value, std::string_view what, std::string& out);
absl::Status ReadBool(od::value value, std::string_view what, bool& out);

// A whole number of int64.
absl::Status ReadInt(od::value value, std::string_view what, std::int64_t& out);

struct Number {
  bool is_int = false;
  std::int64_t int_value = 0;
  double double_value = 0;  // also set for whole numbers
};

// A whole number that int64 does not hold becomes a double, as in Chroma. Without point and exponent it is whole.
absl::Status ReadNumber(od::value value, std::string_view what, Number& out);

// Reads over a value of any shape, checking that it is valid JSON.
absl::Status Skip(od::value value, std::string_view what, int depth = 0);

// The value's own text, checked to be valid JSON.
absl::Status ReadRaw(od::value value, std::string_view what, std::string& out);

// Opens `body` as one object, calls fn(key, value) for each member, and checks that nothing follows.
template <typename Fn>
absl::Status ReadObject(std::string& body, Fn&& fn) {
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  // A parser keeps memory in the proportion of the largest document it has seen: small ones share one per thread.
  constexpr std::size_t kKeptParserBytesMax = std::size_t{1} << 20;
  thread_local od::parser kept;
  od::parser own;
  od::parser& parser = body.size() <= kKeptParserBytesMax ? kept : own;
  od::document document;
  const simdjson::padded_string_view view(body.data(), body.size(), body.capacity());
  if (auto error = parser.iterate(view).get(document)) return FromError(error, "body");
  od::object object;
  if (document.get_object().get(object)) return NotA(od::json_type::object, document, "body");
  OMICS_RETURN_IF_ERROR(ForMembers(object, "body", fn));
  const char* rest = nullptr;
  if (document.current_location().get(rest) != simdjson::OUT_OF_BOUNDS) {
    return Syntax("trailing characters after the body's object");
  }
  return absl::OkStatus();
}

}  // namespace omics::gateway::json
