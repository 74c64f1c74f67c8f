"""Where our answers differ from real Chroma's on purpose: the only differences that the comparison lets pass.

Each entry says for which versions it holds, why, and exactly what it explains: `covers(context)` gives the texts of
`context.found` that are its doing. `diverges` says that the servers hold different data afterwards. Each has a row in
docs/chroma-compatibility.md ("Deliberate differences"), checked by differential_test.py.
"""
import collections
import dataclasses
import itertools
import re
import typing

import compare
import filter_model

OLD = ("0.4.24", "0.5.23")
ALL = OLD + ("1.5.9",)
READS = ("get", "query", "delete")
WRITES = ("add", "update", "upsert")


@dataclasses.dataclass(frozen=True)
class Entry:
    name: str
    versions: tuple
    reason: str
    covers: typing.Callable
    diverges: bool = False
    rare: bool = False  # 20,000 operations need not meet it


ENTRIES = []


def entry(name, versions, reason, diverges=False, rare=False):
    """Makes an entry of the function below it, which gives True for all that the answers show, or those texts that it explains."""
    def add(function):
        ENTRIES.append(Entry(name, versions, reason, function, diverges, rare))
        return function
    return add


def explain(context):
    """The entries that together explain all that was found; none if something is left."""
    left, used = set(context.found), []
    for one in ENTRIES:
        if context.version not in one.versions:
            continue
        covered = one.covers(context)
        covered = {text for text in left if text != "state: collection"} if covered is True else set(covered or ()) & left
        if covered:
            used.append(one)
            left = left - covered
        if not left:
            break
    return [] if left else used


def status(context, theirs, ours):
    """True if the answers have these status codes; a code may be a tuple of them."""
    def among(code, allowed):
        return code in (allowed if isinstance(allowed, tuple) else (allowed,))
    return among(context.theirs.status, theirs) and among(context.ours.status, ours)


def found(context, pattern):
    return {text for text in context.found if re.fullmatch(pattern, text)}


def both_good(context):
    return context.theirs.good and context.ours.good


def invalid(context):
    return context.ours.status == 400 and context.ours.error == "InvalidArgumentError"


# --- Errors of 0.x ---------------------------------------------------------------------------------------------------------

# What 0.4 puts into `error` of a 500, and what ours is then.
WORDS_OF_04 = (
    (r"ValueError\('Collection .* does not exist\.'\)", 400, "InvalidCollection"),
    (r"RuntimeError\('coroutine raised StopIteration'\)", 400, "InvalidCollection"),
    (r"NotFoundError\('Collection .* not found'\)", 400, "InvalidCollection"),
    (r"NotFoundError\(.*", 404, "NotFoundError"),
    (r"UniqueConstraintError\(.* already exists.*", 409, "UniqueConstraintError"),
    (r"ValueError\(.*", 400, "InvalidArgumentError"),
    (r"InvalidDimensionException\(.*", 400, "InvalidDimension"),
    (r"InvalidUUIDError\(.*", 400, "InvalidUUID"),
)


@entry("errors-of-0.4", ("0.4.24",), "0.4 answers nearly every error of the caller with 500 and a Python expression; ours has the status and the name that 0.5 gave it.")
def errors_of_04(context):
    if context.theirs.status != 500 or not isinstance(context.theirs.error, str) or context.operation.trait == "no database":
        return False
    if context.operation.kind == "delete_collection":
        return "does not exist" in context.theirs.error and invalid(context)
    for pattern, code, name in WORDS_OF_04:
        if re.fullmatch(pattern, context.theirs.error, re.DOTALL):
            return (context.ours.status, context.ours.error) == (code, name)
    return False


@entry("internal-errors-of-0.x", OLD, "A Python error inside 0.x (TypeError, IndexError, AxisError) is a 400 of ours: the request is at fault.")
def internal_errors(context):
    word = str(context.theirs.error)
    return context.theirs.status == 500 and re.match(r"(TypeError|IndexError|AxisError|AttributeError|KeyError|OverflowError|OperationalError)\(", word) \
        and context.ours.status in (400, 409, 422) and context.operation.trait != ""


@entry("dimension-of-a-write", OLD, "A write of a wrong dimension is 400 InvalidDimension, as a query's is; 0.x answers 500 with the text alone.")
def dimension_of_a_write(context):
    return status(context, 500, 400) and context.ours.error == "InvalidDimension" and "Embedding dimension" in str(context.theirs.body)


@entry("words-of-validation", OLD, "422 for a body of a wrong shape carries `error` and `message` like every other error, instead of the `detail` list of 0.x's framework.")
def words_of_validation(context):
    return status(context, 422, 422) and "detail" in context.theirs.body and context.ours.error == "InvalidArgumentError"


@entry("broken-json", OLD, "What is not JSON is 400 in both APIs; 0.x says 422.")
def broken_json(context):
    return status(context, 422, 400) and context.operation.trait in ("broken JSON", "NaN") and invalid(context)


@entry("database-missing", OLD, "Creating a collection where there is no database says so (404); 0.x speaks of a collection that already exists.")
def database_missing(context):
    return context.operation.trait == "no database" and status(context, (409, 500), 404) and "already exists" in str(context.theirs.body) \
        and context.ours.error == "NotFoundError"


# --- What 0.x lets pass ------------------------------------------------------------------------------------------------------

def lets_pass(name, versions, traits, reason, codes=(400,)):
    @entry(name, versions, reason, diverges=True)
    def covers(context):
        return context.operation.trait in traits and context.theirs.good and context.ours.status in codes
    return covers


lets_pass("embeddings-required", OLD, ("no embeddings", "empty embedding"),
          "A new record needs an embedding, as in 1.x; 0.x stores records that no query finds.", (400, 422))
lets_pass("finite-numbers", OLD, ("NaN", "float32 overflow", "null in embedding"),
          "An embedding is of finite numbers, as in 1.x; 0.x takes NaN, infinity and null and then fails to print them.", (400, 422))
lets_pass("negative-counts", OLD, ("n_results negative", "no query embeddings"),
          "A query without vectors, or for a negative number of results, is refused; 0.x takes it where the collection is empty.")
lets_pass("columns-of-one-length", OLD, ("more embeddings than ids", "more documents than ids", "fewer embeddings than ids"),
          "All columns of a write have the length of `ids`, as in 1.x; 0.x drops what is over.")
lets_pass("metadata-keys", OLD, ("key with #", "key with $", "empty key"), "Metadata keys are not empty and do not begin with # or $, as in 1.x.")
lets_pass("metadata-values", OLD, ("nested metadata", "mixed list in metadata"),
          "A metadata value is a scalar or a list of one type, as in 1.x; 0.x drops other values in silence.", (400, 422))
lets_pass("empty-ids", OLD, ("empty id",), "An id has at least one character, as in 1.x.")
lets_pass("empty-new-metadata", OLD, ("empty metadata",), "Empty metadata are refused in an update as at creation.")
lets_pass("negative-offset", OLD, ("offset negative",), "A negative offset is refused as a negative limit is.", (400,))


@entry("wrong-shape", OLD, "A value of a wrong JSON type is 422 wherever it stands; 0.x says 400 for some, 500 for others.")
def wrong_shape(context):
    return context.operation.trait in ("nested metadata", "embedding of strings", "null in embedding", "mixed list in metadata", "ids missing", "document not a string") \
        and status(context, (400, 500), 422)


@entry("columns-and-ids-mixed-up", OLD, "A malformed batch is refused as malformed (400 InvalidArgumentError); 0.x answers with the first error that it runs into.")
def columns_mixed_up(context):
    return context.operation.trait in ("more embeddings than ids", "fewer embeddings than ids", "mixed dimensions", "empty embedding", "empty id", "no query embeddings",
                                       "empty query embedding", "n_results negative") \
        and context.theirs.status in (400, 500) and context.ours.status == 400


@entry("integers-beyond-64-bits", OLD, "A metadata integer that 64 bits do not hold becomes a floating-point number, as in 1.x; 0.x loses it.", diverges=True)
def integers_beyond(context):
    return context.operation.trait == "int beyond 64 bits" and (context.theirs.status == 500 or found(context, "state: metadata"))


@entry("names-up-to-512", OLD, "A collection's name may have 512 characters, as in 1.x; 0.x stops at 63.", diverges=True)
def long_names(context):
    return context.operation.trait == "64 characters" and context.ours.status == 200 and context.theirs.status in (400, 500)


@entry("refused-creation-leaves-nothing", OLD, "A creation that is refused for its `hnsw:space` leaves no collection; 0.x keeps one that cannot be used.", diverges=True)
def refused_creation(context):
    return context.operation.trait == "unknown space" and (found(context, "state: collection") or status(context, (200, 409), 400))


lets_pass("order-of-booleans", ("0.4.24",), ("order of booleans",), "An order of booleans is refused, as by all later versions; 0.4 finds nothing.")


def refuses(name, versions, traits, reason):
    @entry(name, versions, reason, diverges=True)
    def covers(context):
        return context.operation.trait in traits and context.theirs.status in (400, 500) and context.ours.good
    return covers


refuses("logic-of-few", OLD, ("$and of one", "$or of one", "empty $and", "empty $or"), "$and and $or take any number of members, as in 1.x; 0.x wants two.")
refuses("operators-of-1.x", OLD, ("$regex", "$contains on a string", "list operand"), "The operators that came with 1.x work in v1 too.")
refuses("empty-patterns", OLD, ("empty pattern",), "The empty text is in every document, as in 1.x; 0.x refuses it.")
refuses("empty-filters", ("0.5.23",), ("empty where", "empty where_document"), "v1 takes `{}` for no filter, since clients up to 0.4 and JavaScript 1.x send it always; 0.5 refuses it.")


@entry("filters-of-a-wrong-shape", OLD, "A filter that is not an object is 400 like any other bad filter; 0.x says 422.")
def filters_of_wrong_shape(context):
    return context.operation.trait == "where not an object" and status(context, 422, 400)


@entry("update-of-nothing", ("0.4.24",), "An update of an unknown collection is refused; 0.4 takes it for done, unless it is to be renamed.")
def update_of_nothing(context):
    return context.operation.kind == "update_collection" and not context.body.get("new_name") and status(context, 200, 400) \
        and context.ours.error == "InvalidCollection"


@entry("first-error", ALL, "A request with two faults is answered for the form of its body first, then for its collection; Chroma does some in the other order, or "
       "refuses a form that is accepted here, where the other fault then shows.")
def first_error(context):
    missing = ("InvalidCollection", "NotFoundError", "RuntimeError('coroutine raised StopIteration')")
    return context.operation.trait != "" and context.theirs.error in missing and context.ours.status in (400, 422) and context.ours.error not in missing \
        or context.operation.trait in ("empty pattern", "$and of one", "$or of one", "empty $and", "empty $or", "$regex", "$contains on a string", "list operand", "empty where", "name too short",
                                         "empty where_document", "bad pattern") \
        and context.ours.error in ("InvalidCollection", "InvalidDimension") and context.theirs.status in (400, 500) \
        or context.operation.trait != "" and "Embedding dimension" in str(context.theirs.body) and status(context, 500, 400) and invalid(context)


# --- Meaning -----------------------------------------------------------------------------------------------------------------

def unlike(context):
    theirs, ours = context.records("theirs"), context.records("ours")
    return {identity: compare.compare_states({0: theirs.get(identity)}, {0: ours.get(identity)}) for identity in {**theirs, **ours}
            if compare.compare_states({0: theirs.get(identity)}, {0: ours.get(identity)})}


@entry("ids-twice-in-a-batch", OLD, "Of an id that stands twice in one `add` the first counts, in an `upsert` or `update` each in turn, as in 1.x; 0.x mixes up the "
       "records of such a batch, its neighbours' too.", diverges=True)
def ids_twice(context):
    ids = context.body.get("ids")
    if not isinstance(ids, list) or len(ids) == len(set(map(str, ids))) or not found(context, "state: .*"):
        return False
    return found(context, "state: .*") if unlike(context).keys() <= set(ids) else False


@entry("null-documents", OLD, "A null among the documents or URIs of an update leaves what is stored, as in 1.x; 0.x takes the document away.", diverges=True)
def null_documents(context):
    body = context.body
    nulls = {identity for column in ("documents", "uris") for identity, cell in zip(body.get("ids") or [], body.get(column) or []) if cell is None}
    if context.operation.kind not in ("update", "upsert") or len(set(body.get("ids") or ())) != len(body.get("ids") or ()):
        return False
    changed = unlike(context)
    return changed.keys() <= nulls and found(context, "state: (document|uri)")


def window(ids, body, modern):
    limit = body.get("limit")
    rest = ids[body.get("offset") or 0:]
    return rest if limit is None or (limit == 0 and not modern) else rest[:limit]


def modelled(context, whose, faults):
    """The ids that a get should have given, had the filter these faults."""
    records, wanted = context.records("ours"), context.body.get("ids")
    ids = [identity for identity, record in records.items() if (wanted is None or identity in wanted) and filter_model.selects(context.body, record, faults)]
    if whose == "theirs" and context.version == "0.4.24":
        ids.sort(key=lambda identity: identity.encode())
    return window(ids, context.body, context.version == "1.5.9")


def is_modelled(context, whose, faults):
    answer = getattr(context, whose)
    if context.operation.kind == "get":
        return answer.body["ids"] == modelled(context, whose, faults)
    if context.operation.kind == "query":
        return all(nearest_as_modelled(context, ids, distances, faults) for ids, distances in zip(answer.body["ids"], context.all_distances()))
    return deleted_as_modelled(context, whose, faults)


def nearest_as_modelled(context, ids, distances, faults):
    return nearest_of(context, ids, distances, distances.keys(), faults)


def nearest_of(context, ids, distances, reached, faults=()):
    """Whether these hits are, up to ties, the nearest of those that the filter selects among the records reached."""
    selected = {identity for identity, record in context.records("ours").items() if identity in reached
                and filter_model.selects(context.body, record, faults) and (context.body.get("ids") is None or identity in context.body["ids"])}
    nearest = sorted(distances[identity] for identity in selected)[: context.body.get("n_results", 10)]
    return len(set(ids)) == len(nearest) and set(ids) <= selected and all(compare.near(distances[identity], one) for identity, one in zip(ids, nearest))


def deleted_as_modelled(context, whose, faults):
    """Of the records that are left on one server only, this one has deleted exactly those that the filter selects."""
    theirs, ours = context.records("theirs"), context.records("ours")
    remaining = context.records(whose)
    wanted = context.body.get("ids")
    return all((identity not in remaining) == ((wanted is None or identity in wanted) and filter_model.selects(context.body, record, faults))
               for identity, record in {**theirs, **ours}.items())


NOT_LOOKED_FOR = object()
FAULTS = {"0.4.24": ("like-wildcards", "missing-excluded", "types-strict", "no-document-excluded", "like-any-case"), "0.5.23": ("like-wildcards", "like-any-case"),
          "1.5.9": ("float-truncated", "lists-strict")}


def faults_of(context):
    """The fewest faults that make of the filter what they answered, if ours is what it should be; None if none do."""
    if context.faults is NOT_LOOKED_FOR:
        context.faults = look_for_faults(context)
    return context.faults


def is_a_tie(context):
    """Whether both answers are right: hits differ only where several are at one distance."""
    return context.operation.kind == "query" and found(context, r"ids of query \d+") == set(context.found) and faults_of(context) == ()


def combinations_of(faults):
    """Every selection of them, the fewest first."""
    return itertools.chain.from_iterable(itertools.combinations(faults, count) for count in range(len(faults) + 1))


def look_for_faults(context):
    if context.operation.kind not in READS or not both_good(context) or not (context.body.get("where") or context.body.get("where_document")):
        return None
    if not is_modelled(context, "ours", ()):
        return None
    for some in combinations_of(FAULTS[context.version]):
        if is_modelled(context, "theirs", some):
            return some
    return None


def faulty(name, versions, fault, reason):
    @entry(name, versions, reason, diverges=True)
    def covers(context):
        return fault in (faults_of(context) or ()) and context.operation.trait == ""


faulty("filters-on-missing-keys", ("0.4.24",), "missing-excluded", "$ne and $nin hold for a record without the key, or with a value of another type, as in 0.5.12 and later.")
faulty("filters-across-number-types", ("0.4.24",), "types-strict", "A filter compares integers and floating-point numbers by value, as in 0.5 and later.")
faulty("filters-on-missing-documents", ("0.4.24",), "no-document-excluded", "$not_contains holds for a record without a document, as in 0.5.12 and later.")
faulty("wildcards", OLD, "like-wildcards", "`%` and `_` in $contains stand for themselves, as in 1.x; in 0.x they are SQL wildcards.")
faulty("letter-case", OLD, "like-any-case", "$contains and $not_contains mind the case of letters, always; in 0.x some connections to its store do not.")
faulty("numbers-in-lists", ("1.5.9",), "lists-strict", "$contains and $not_contains compare numbers in lists by value, as a filter on a number does; 1.5.9 finds no 1 in [1.0].")
faulty("fractions-against-integers", ("1.5.9",), "float-truncated", "A fraction is compared with an integer by value; 1.5.9 cuts it to an integer first, so that `$lt: 1.5` misses 1.")


def traced(context, faults):
    """Whether their answer is what the filter gives with these faults, and any records without a document on top or left out."""
    records, body = context.records("ours"), context.body
    tests = {member: body[member] for member in ("where",) if member in body}  # what holds whatever text they still have
    possible = {identity for identity, record in records.items() if (body.get("ids") is None or identity in body["ids"])
                and filter_model.selects(tests if record["document"] is None else body, record, faults)}
    certain = {identity for identity in possible if records[identity]["document"] is not None}
    if context.operation.kind == "query":
        return all(nearest_with_traces(context, ids, distances, possible, certain)
                   for ids, distances in zip(context.theirs.body["ids"], context.all_distances()))
    ids = context.theirs.body["ids"]
    whole = not body.get("limit") and not body.get("offset")
    in_order = context.version != "0.4.24" or ids == sorted(ids, key=str.encode)
    return set(ids) <= possible and (not whole or certain <= set(ids)) and in_order


def nearest_with_traces(context, ids, distances, possible, certain):
    """Whether the hits are possible ones, and nothing nearer is left out that is certain."""
    far = max((distances[one] for one in ids), default=0) if len(ids) == context.body.get("n_results", 10) else float("inf")
    return set(ids) <= possible and all(one in ids or distances[one] > far or compare.near(distances[one], far) for one in certain)


def deleted_by_traces(context):
    """Whether ours deleted what the filter selects, and they differ by records that have no document."""
    kept = {**context.records("theirs"), **context.records("ours")}
    unequal = set(context.theirs.body) ^ set(context.ours.body)
    return bool(unequal) and is_modelled(context, "ours", ()) and all(
        kept[one]["document"] is None and filter_model.selects({"where": context.body.get("where")}, kept[one], ()) for one in unequal)


@entry("traces-of-documents", OLD, "A document that was taken away, or deleted with its record, is gone for filters too; 0.x goes on finding by it a "
       "record that has none.", diverges=True, rare=True)
def traces_of_documents(context):
    if context.operation.kind == "delete" and context.body.get("where_document") and both_good(context) and isinstance(context.theirs.body, list):
        return deleted_by_traces(context)
    if context.operation.kind not in ("get", "query") or not context.body.get("where_document") or not both_good(context):
        return False
    if not is_modelled(context, "ours", ()) or faults_of(context) is not None:
        return False
    return any(traced(context, some) for some in combinations_of(FAULTS[context.version]))


@entry("order-of-0.4", ("0.4.24",), "Records come in order of insertion, as in 0.5.9 and later; 0.4 orders by id, and cuts limit and offset from that.")
def order_of_04(context):
    if not both_good(context):
        return False
    if context.operation.kind == "delete" and found(context, "body"):
        return sorted(context.theirs.body) == sorted(context.ours.body)
    if context.operation.kind != "get":
        return False
    return found(context, "order of ids|ids") if all(is_modelled(context, whose, ()) for whose in ("theirs", "ours")) else False


@entry("lists-with-windows", ("0.4.24",), "A list takes a limit without an offset; 0.4 breaks on it.")
def lists_with_windows(context):
    return context.operation.kind == "list_collections" and "limit=1" in context.operation.path and status(context, 500, 200) and "TypeError" in str(context.theirs.error)


@entry("order-of-lists", ALL, "Collections are listed in order of creation; Chroma lists them by their random ids, and cuts limit and offset from that.")
def order_of_lists(context):
    if context.operation.kind != "list_collections" or not both_good(context):
        return False
    windowed = "limit=1" in context.operation.path
    return found(context, "order of names") or (found(context, "names") if windowed and len(context.theirs.body) == len(context.ours.body) else False)


@entry("lists-for-old-clients", ("0.4.24",), "A v1 list for Python 0.4 has only id, name and metadata: 0.4.8 to 0.4.15 fail on anything more.")
def lists_for_old_clients(context):
    return found(context, "(tenant|database) missing") if context.operation.kind == "list_collections" else False


@entry("metric-in-configuration", ("0.5.23",), "`configuration_json` names the metric that is used; 0.5 says `l2` there whatever `hnsw:space` is.")
def metric_in_configuration(context):
    if context.operation.kind not in ("create_collection", "get_collection", "list_collections") or not both_good(context):
        return False
    if not found(context, r"configuration_json\.hnsw_configuration\.space\."):
        return False
    answers = context.ours.body if isinstance(context.ours.body, list) else [context.ours.body]
    # An update of the metadata, which sets `a`, and putting away, which sets `away`, have taken hnsw:space out of them.
    answers = [one for one in answers if not {"a", "away"} & (one["metadata"] or {}).keys()]
    honest = all(one["configuration_json"]["hnsw_configuration"]["space"] == (one["metadata"] or {}).get("hnsw:space", "l2") for one in answers)
    return found(context, r"configuration_json\.hnsw_configuration\.space\.") if honest else False


@entry("dimension-without-records", ALL, "A collection has a dimension from its first record on; Chroma takes it from the first vector that is sent, also where it "
       "changes no record or is refused, and then refuses all of another; a query before the first record then fails in 1.5.9.", diverges=True)
def dimension_without_records(context):
    if found(context, r"dimension\."):
        pairs = zip(*(answer.body if isinstance(answer.body, list) else [answer.body] for answer in (context.theirs, context.ours)))
        return {"dimension."} if all(other["dimension"] in (None, one["dimension"]) for one, other in pairs) else False
    if not (context.theirs.status in (400, 500) and context.ours.good and re.search("dimension|Nothing found on disk", str(context.theirs.body))):
        return False
    if context.operation.kind == "query":
        return context.collection("ours")["dimension"] is None
    return context.operation.kind in WRITES and context.records("ours").keys() <= set(context.body["ids"])  # there was no record before


@entry("get_or_create-keeps", ("0.4.24",), "get_or_create of a collection that exists leaves its metadata as they are, as 0.5.11 and later do; 0.4 overwrites them.", diverges=True)
def get_or_create_keeps(context):
    if context.operation.kind != "create_collection" or not context.body.get("get_or_create") or not context.body.get("metadata") or not both_good(context):
        return False
    theirs = {key: int(value) if isinstance(value, bool) else value for key, value in context.body["metadata"].items()}
    return found(context, "metadata.*") if context.theirs.body.get("metadata") == theirs else False


@entry("booleans-of-collections", ("0.4.24",), "A boolean in a collection's metadata comes back as one; 0.4 gives 0 or 1.")
def booleans_of_collections(context):
    if context.operation.kind not in ("create_collection", "get_collection", "list_collections") or not both_good(context):
        return False
    pairs = zip(*(answer.body if isinstance(answer.body, list) else [answer.body] for answer in (context.theirs, context.ours)))
    def as_numbers(metadata):
        return {key: int(value) if isinstance(value, bool) else value for key, value in (metadata or {}).items()}
    return found(context, "metadata.*") if all(as_numbers(one["metadata"]) == as_numbers(other["metadata"]) for one, other in pairs) else False


# --- 1.5.9 -------------------------------------------------------------------------------------------------------------------

@entry("unknown-ids-in-a-query", ("1.5.9",), "Ids of a query that do not exist are skipped; 1.5.9 answers 500 `Error finding id`.")
def unknown_ids(context):
    return status(context, 500, 200) and "Error finding id" in str(context.theirs.body) and bool(context.body.get("ids"))


def unlike_metadata(context):
    """Pairs of metadata that differ, of a read's answer or of the records after a write."""
    if not both_good(context):
        return []
    if found(context, "state: .*"):
        theirs, ours = context.records("theirs"), context.records("ours")
        pairs = [(theirs[identity]["metadata"], ours[identity]["metadata"], ours[identity]["uri"]) for identity in theirs if identity in ours]
    elif context.operation.kind in ("query", "get") and not (context.theirs.body["metadatas"] and context.ours.body["metadatas"]):
        return []
    elif context.operation.kind == "query":
        rows = [dict(zip(ids, values)) for answer in (context.theirs, context.ours) for ids, values in
                [(sum(answer.body["ids"], []), sum(answer.body["metadatas"], []))]]
        uris = context.records("ours")
        pairs = [(rows[0][identity], rows[1][identity], uris.get(identity, {}).get("uri")) for identity in rows[0] if identity in rows[1]]
    elif context.operation.kind == "get":
        uris = context.records("ours")
        pairs = [(one, other, uris.get(identity, {}).get("uri")) for identity, one, other in
                 zip(context.theirs.body["ids"], context.theirs.body["metadatas"], context.ours.body["metadatas"])]
    else:
        return []
    return [pair for pair in pairs if not compare.same_values(pair[0], pair[1])]


METADATA = r"(state: )?metadatas?( of query \d+)?"


@entry("empty-metadata", ("1.5.9",), "A record without metadata has `null` there; 1.5.9 has `{}` where a URI or a removed key left a trace.")
def empty_metadata(context):
    pairs = unlike_metadata(context)
    return found(context, METADATA) if pairs and all(one in ({}, None) and other is None for one, other, _ in pairs) else False


@entry("leaked-lists", ("1.5.9",), "A record has the lists that were written to it; 1.5.9 does not delete a record's lists with it, and they turn up in "
       "others, of other collections and tenants too.", diverges=True)
def leaked_lists(context):
    def leaked(theirs, ours):
        theirs, ours = theirs or {}, ours or {}
        unequal = {key for key in {**theirs, **ours} if not compare.same_values(theirs.get(key), ours.get(key))}
        return all(isinstance(theirs.get(key), list) and has_more(theirs[key], ours.get(key)) for key in unequal)

    def has_more(theirs, ours):
        """Whether their list is ours with further members; those may be of another type."""
        return ours is None or (isinstance(ours, list) and not collections.Counter(map(repr, ours)) - collections.Counter(map(repr, theirs)))
    pairs = unlike_metadata(context)
    lists = [pair for pair in pairs if any(isinstance(value, list) for value in (pair[0] or {}).values())]
    return found(context, METADATA) if lists and all(leaked(one, other) for one, other, _ in pairs) else False


@entry("records-out-of-reach", ("1.5.9",), "A query finds every record of a small collection; 1.5.9 has, now and then, one that its graph does not lead to, with "
       "and without a filter.", rare=True)
def out_of_reach(context):
    if context.operation.kind != "query" or not both_good(context):
        return False
    reached, pairs = context.reached(), zip(context.theirs.body["ids"], context.ours.body["ids"], context.all_distances())
    return any(reached[index] < context.records("theirs").keys() for index in range(len(reached))) and all(
        nearest_of(context, one, distances, reached[index]) and nearest_of(context, other, distances, distances.keys())
        for index, (one, other, distances) in enumerate(pairs))


@entry("lists-in-collection-metadata", ("1.5.9",), "A collection's metadata may hold lists as a record's may; 1.5.9 breaks the connection.", diverges=True)
def lists_in_collections(context):
    metadata = context.body.get("metadata") or context.body.get("new_metadata") or {}
    return context.operation.kind in ("create_collection", "update_collection") and any(isinstance(value, list) for value in metadata.values()) \
        and context.theirs.status == 0 and context.ours.good


@entry("no-hits-wanted", ALL, "n_results 0 gives empty lists, also for a vector of a wrong dimension; 0.x looks at that first, 1.5.9 breaks the connection.")
def no_hits_wanted(context):
    refused = context.theirs.status == 0 or (status(context, (400, 500), 200) and "dimension" in str(context.theirs.body))
    return context.operation.trait == "n_results 0" and refused and context.ours.good and context.ours.body["ids"] == [[]]


@entry("schema-without-keys", ("1.5.9",), "The `schema` of a collection has the fields that clients read; 1.5.9 also lists every metadata key it has seen.")
def schema_without_keys(context):
    return found(context, r"schema\.keys\.(?!#).* missing")
