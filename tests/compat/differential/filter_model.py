"""What a `where` and a `where_document` select, as a plain model; with Chroma's faults, to tell them from ours.

A fault is a word: without any, the model has the meaning that ours has and Chroma's own documentation describes.
"""
import re

NEGATIONS = ("$ne", "$nin")


def selects(body, record, faults=()):
    """Whether the record (as records() of runner.py gives it) is selected by the body of a request."""
    where, documents = body.get("where"), body.get("where_document")
    if where and not holds(where, record, faults):
        return False
    return not documents or document_holds(documents, record["document"], faults)


def holds(where, record, faults):
    (key, value), = where.items()
    if key in ("$and", "$or"):
        return (all if key == "$and" else any)(holds(one, record, faults) for one in value)
    if key == "#document":
        return document_holds(value, record["document"], faults)
    (operator, operand), = value.items() if isinstance(value, dict) else (("$eq", value),)
    stored = (record["metadata"] or {}).get(key)
    if operator in ("$contains", "$not_contains"):
        alike = [one for one in stored if type(one) is type(operand) or "lists-strict" not in faults] if isinstance(stored, list) else []
        found = any(equal(one, operand, faults) for one in alike)
        return found != (operator == "$not_contains")
    if operator in NEGATIONS:
        if "missing-excluded" in faults and not comparable(stored, operand if operator == "$ne" else operand[0], faults):
            return False
        return not matches({"$ne": "$eq", "$nin": "$in"}[operator], stored, operand, faults)
    return matches(operator, stored, operand, faults)


def comparable(stored, operand, faults):
    """Whether they are of one type; with this fault, a value of another is as no value."""
    return type(stored) is type(operand) or ("types-strict" not in faults and is_number(stored) and is_number(operand))


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def equal(stored, operand, faults):
    if isinstance(stored, list):
        return False
    if is_number(stored) and is_number(operand):
        if "types-strict" in faults and type(stored) is not type(operand):
            return False
        return stored == truncated(stored, operand, faults)
    return type(stored) is type(operand) and stored == operand


def truncated(stored, operand, faults):
    if "float-truncated" in faults and type(stored) is int and type(operand) is float:
        return max(-(2**63), min(2**63 - 1, int(operand)))
    return operand


def matches(operator, stored, operand, faults):
    if stored is None:
        return False
    if operator == "$eq":
        return equal(stored, operand, faults)
    if operator == "$in":
        return any(equal(stored, one, faults) for one in operand)
    if not is_number(stored):
        return False
    operand = truncated(stored, operand, faults)
    return {"$gt": stored > operand, "$gte": stored >= operand, "$lt": stored < operand, "$lte": stored <= operand}[operator]


def document_holds(test, document, faults):
    (operator, operand), = test.items()
    if operator in ("$and", "$or"):
        return (all if operator == "$and" else any)(document_holds(one, document, faults) for one in operand)
    negated = operator.startswith("$not_")
    if document is None:
        return negated and "no-document-excluded" not in faults
    if operator.endswith("regex"):
        found = re.search(operand, document) is not None
    elif "like-wildcards" in faults or "like-any-case" in faults:
        wild = {"%": ".*", "_": "."} if "like-wildcards" in faults else {}
        pattern = "".join(wild.get(letter, re.escape(letter)) for letter in operand)
        found = re.search(pattern, document, re.DOTALL | re.ASCII | (re.IGNORECASE if "like-any-case" in faults else 0)) is not None
    else:
        found = operand in document
    return found != negated
