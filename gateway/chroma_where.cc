#include "gateway/chroma_where.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gateway/chroma_body.h"
#include "gateway/chroma_metadata_json.h"

namespace omics::gateway::json {
namespace {

using MetadataOperator = pb::MetadataFilter::Operator;
using DocumentOperator = pb::DocumentFilter::Operator;

absl::Status InvalidWhere(std::string_view detail) {
  return absl::InvalidArgumentError(absl::StrCat("Invalid where clause: ", ToAbsl(detail)));
}

absl::Status InvalidWhereDocument(std::string_view detail) {
  return absl::InvalidArgumentError(absl::StrCat("Invalid where document clause: ", ToAbsl(detail)));
}

// How deep and how large a filter has become, and whether it is {} where that is allowed.
struct Budget {
  bool empty_root_allowed = false;
  bool root_is_empty = false;
  int nodes = 0;

  absl::Status Enter(int depth) {
    if (depth >= kFilterDepthMax) {
      return InvalidWhere(absl::StrCat("nested deeper than ", kFilterDepthMax, " levels"));
    }
    if (++nodes > kFilterNodesMax) return InvalidWhere(absl::StrCat("more than ", kFilterNodesMax, " conditions"));
    return absl::OkStatus();
  }
};

absl::Status ReadOperand(od::value value, pb::MetadataValue& out) {
  od::json_type type;
  OMICS_RETURN_IF_ERROR(ReadType(value, "where", type));
  if (!IsScalar(type)) return InvalidWhere("a value must be a string, a number or a boolean");
  return ReadScalar(value, "where", type, out);
}

absl::Status ReadOperandList(od::value value, pb::MetadataFilter& out) {
  od::array array;
  if (value.get_array().get(array)) return InvalidWhere("$in and $nin take a list");
  OMICS_RETURN_IF_ERROR(ForElements(array, "where", [&](od::value element) -> absl::Status {
    OMICS_RETURN_IF_ERROR(ReadOperand(element, *out.add_values()));
    if (out.values(0).kind_case() != out.values(out.values_size() - 1).kind_case()) {
      return InvalidWhere("the values of $in and $nin must be of one type");
    }
    return absl::OkStatus();
  }));
  return out.values_size() > 0 ? absl::OkStatus() : InvalidWhere("$in and $nin take at least one value");
}

MetadataOperator OperatorFromName(std::string_view name) {
  if (name == "$eq") return pb::MetadataFilter::OPERATOR_EQUAL;
  if (name == "$ne") return pb::MetadataFilter::OPERATOR_NOT_EQUAL;
  if (name == "$gt") return pb::MetadataFilter::OPERATOR_GREATER;
  if (name == "$gte") return pb::MetadataFilter::OPERATOR_GREATER_OR_EQUAL;
  if (name == "$lt") return pb::MetadataFilter::OPERATOR_LESS;
  if (name == "$lte") return pb::MetadataFilter::OPERATOR_LESS_OR_EQUAL;
  if (name == "$in") return pb::MetadataFilter::OPERATOR_IN;
  if (name == "$nin") return pb::MetadataFilter::OPERATOR_NOT_IN;
  if (name == "$contains") return pb::MetadataFilter::OPERATOR_CONTAINS;
  if (name == "$not_contains") return pb::MetadataFilter::OPERATOR_NOT_CONTAINS;
  return pb::MetadataFilter::OPERATOR_UNSPECIFIED;
}

bool IsOrder(MetadataOperator op) {
  return op >= pb::MetadataFilter::OPERATOR_GREATER && op <= pb::MetadataFilter::OPERATOR_LESS_OR_EQUAL;
}

absl::Status ReadComparison(std::string_view name, od::value operand, pb::MetadataFilter& out) {
  const MetadataOperator op = OperatorFromName(name);
  out.set_operator_(op);
  if (op == pb::MetadataFilter::OPERATOR_UNSPECIFIED) return InvalidWhere("unknown operator");
  if (op == pb::MetadataFilter::OPERATOR_IN || op == pb::MetadataFilter::OPERATOR_NOT_IN) {
    return ReadOperandList(operand, out);
  }
  OMICS_RETURN_IF_ERROR(ReadOperand(operand, *out.add_values()));
  const auto kind = out.values(0).kind_case();
  if (IsOrder(op) && kind != pb::MetadataValue::kIntValue && kind != pb::MetadataValue::kDoubleValue) {
    return InvalidWhere("$gt, $gte, $lt and $lte take a number");
  }
  return absl::OkStatus();
}

// The value beside a metadata key: a scalar, or an object of one operator.
absl::Status ReadCondition(std::string_view key, od::value value, pb::MetadataFilter& out) {
  out.set_key(std::string(key));
  od::json_type type;
  OMICS_RETURN_IF_ERROR(ReadType(value, "where", type));
  if (type != od::json_type::object) {
    out.set_operator_(pb::MetadataFilter::OPERATOR_EQUAL);
    return ReadOperand(value, *out.add_values());
  }
  od::object object;
  if (value.get_object().get(object)) return NotA(od::json_type::object, value, "where");
  int members = 0;
  OMICS_RETURN_IF_ERROR(ForMembers(object, "where", [&](std::string_view name, od::value operand) -> absl::Status {
    if (++members > 1) return InvalidWhere("one operator for one key");
    return ReadComparison(name, operand, out);
  }));
  return members == 1 ? absl::OkStatus() : InvalidWhere("one operator for one key");
}

DocumentOperator DocumentOperatorFromName(std::string_view name) {
  if (name == "$contains") return pb::DocumentFilter::OPERATOR_CONTAINS;
  if (name == "$not_contains") return pb::DocumentFilter::OPERATOR_NOT_CONTAINS;
  if (name == "$regex") return pb::DocumentFilter::OPERATOR_MATCHES;
  if (name == "$not_regex") return pb::DocumentFilter::OPERATOR_NOT_MATCHES;
  return pb::DocumentFilter::OPERATOR_UNSPECIFIED;
}

absl::Status ReadDocumentTest(std::string_view name, od::value operand, pb::DocumentFilter& out) {
  const DocumentOperator op = DocumentOperatorFromName(name);
  if (op == pb::DocumentFilter::OPERATOR_UNSPECIFIED) return InvalidWhereDocument("unknown operator");
  out.set_operator_(op);
  od::json_type type;
  OMICS_RETURN_IF_ERROR(ReadType(operand, "where_document", type));
  if (type != od::json_type::string) return InvalidWhereDocument("the operand must be a string");
  return ReadString(operand, "where_document", *out.mutable_pattern());
}

using ReadNode = absl::Status (*)(od::value, int, Budget&, pb::Filter&);

absl::Status ReadList(od::value value, int depth, Budget& budget, ReadNode read, pb::FilterList& out) {
  od::array array;
  if (value.get_array().get(array)) return InvalidWhere("$and and $or take a list");
  return ForElements(array, "where",
                     [&](od::value element) { return read(element, depth + 1, budget, *out.add_filters()); });
}

// Calls fn(key, value) for the only member of `value`; `invalid` is the error for anything else.
template <typename Fn>
absl::Status OnlyMember(od::value value, Budget& budget, absl::Status invalid, Fn fn) {
  od::json_type type;
  OMICS_RETURN_IF_ERROR(ReadType(value, "where", type));
  od::object object;
  if (type != od::json_type::object) return invalid;
  if (value.get_object().get(object)) return NotA(od::json_type::object, value, "where");
  int members = 0;
  OMICS_RETURN_IF_ERROR(ForMembers(object, "where", [&](std::string_view key, od::value member) {
    return ++members > 1 ? invalid : fn(key, member);
  }));
  budget.root_is_empty = members == 0 && budget.nodes == 1 && budget.empty_root_allowed;
  return members == 1 || budget.root_is_empty ? absl::OkStatus() : invalid;
}

absl::Status ReadDocumentNode(od::value value, int depth, Budget& budget, pb::Filter& out) {
  OMICS_RETURN_IF_ERROR(budget.Enter(depth));
  const auto read = [&](std::string_view key, od::value member) {
    if (key == "$and") return ReadList(member, depth, budget, ReadDocumentNode, *out.mutable_all_of());
    if (key == "$or") return ReadList(member, depth, budget, ReadDocumentNode, *out.mutable_any_of());
    return ReadDocumentTest(key, member, *out.mutable_document());
  };
  return OnlyMember(value, budget, InvalidWhereDocument("expected an object with one operator"), read);
}

absl::Status ReadWhereNode(od::value value, int depth, Budget& budget, pb::Filter& out) {
  OMICS_RETURN_IF_ERROR(budget.Enter(depth));
  const auto read = [&](std::string_view key, od::value member) {
    if (key == "$and") return ReadList(member, depth, budget, ReadWhereNode, *out.mutable_all_of());
    if (key == "$or") return ReadList(member, depth, budget, ReadWhereNode, *out.mutable_any_of());
    if (key == "#document") return ReadDocumentNode(member, depth + 1, budget, out);
    if (key.empty() || key.front() == '$') return InvalidWhere("unknown operator");
    return ReadCondition(key, member, *out.mutable_metadata());
  };
  return OnlyMember(value, budget, InvalidWhere("expected an object with one key or operator"), read);
}

// Tells null (absent) and {} (absent in v1) from a filter.
absl::Status ReadRoot(od::value value, Dialect dialect, ReadNode read, pb::Filter& out, bool& present) {
  bool null;
  OMICS_RETURN_IF_ERROR(ReadNull(value, "where", null));
  present = !null;
  if (null) return absl::OkStatus();
  Budget budget;
  budget.empty_root_allowed = dialect.legacy();
  OMICS_RETURN_IF_ERROR(read(value, 0, budget, out));
  present = !budget.root_is_empty;
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadWhere(od::value value, Dialect dialect, pb::Filter& out, bool& present) {
  return ReadRoot(value, dialect, ReadWhereNode, out, present);
}

absl::Status ReadWhereDocument(od::value value, Dialect dialect, pb::Filter& out, bool& present) {
  return ReadRoot(value, dialect, ReadDocumentNode, out, present);
}

}  // namespace omics::gateway::json
