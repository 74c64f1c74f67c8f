"""Are two answers to one operation the same, as far as a client can tell?

compare() gives the differences as short texts. What is not looked at: ids and UUIDs that each server makes for itself (they
are compared as names of collections), `log_position` and `version` of a collection, messages of errors, the order of object
members, members that only our answer has (it serves several client versions at once), the order among hits at one distance, and,
but for its name, a collection that the runner put away because the servers had come to differ in it.
"""
import json
import math

DISTANCE_TOLERANCE = 1e-5
PUT_AWAY = "away-"  # the names of collections that were put away begin with it
OWN_MEMBERS = {"id", "log_position", "version", "resource_name"}
COLUMNS = ("documents", "metadatas", "uris", "embeddings")


class Answer:
    def __init__(self, status, raw):
        self.status, self.raw = status, raw
        try:
            self.body = json.loads(raw) if raw else None
        except ValueError:
            self.body = raw.decode(errors="replace")

    @property
    def good(self):
        return 200 <= self.status < 300

    @property
    def error(self):
        """What a client looks its exception class up by; None where there is nothing."""
        return self.body.get("error") if isinstance(self.body, dict) else None

    def __str__(self):
        text = self.raw.decode(errors="replace")
        return f"[{self.status}] {text[:1500]}{' …' if len(text) > 1500 else ''}"


def near(one, other, tolerance=DISTANCE_TOLERANCE):
    return one == other or math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)


def same_vectors(one, other):
    if one is None or other is None:
        return one is other
    return len(one) == len(other) and all(near(a, b) for a, b in zip(one, other))


def same_values(one, other):
    """As JSON values of the same type: 1, 1.0 and true are three things."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_values(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_values, one, other))
    return one == other


def same_cells(column, one, other):
    return same_vectors(one, other) if column == "embeddings" else same_values(one, other)


def compare(operation, theirs, ours):
    if theirs.status != ours.status:
        return [f"status {theirs.status} / {ours.status}"]
    if not theirs.good:
        return [] if theirs.error == ours.error else [f"error {theirs.error!r} / {ours.error!r}"]
    by_kind = {"get": compare_get, "query": compare_query, "create_collection": compare_collection, "get_collection": compare_collection,
               "list_collections": compare_lists, "get_database": compare_members, "get_tenant": compare_members}
    return by_kind.get(operation.kind, compare_plain)(theirs.body, ours.body)


def compare_plain(theirs, ours):
    return [] if same_values(theirs, ours) else ["body"]


def compare_members(theirs, ours, path=""):
    """Every member of theirs, in ours."""
    if not (isinstance(theirs, dict) and isinstance(ours, dict)):
        return [] if same_values(theirs, ours) else [path or "body"]
    found = []
    for key, value in theirs.items():
        if key in OWN_MEMBERS:
            continue
        found += [f"{path}{key} missing"] if key not in ours else compare_members(value, ours[key], f"{path}{key}.")
    return found


def compare_collection(theirs, ours):
    found = compare_members(theirs, ours)
    return found if same_values(theirs.get("metadata"), ours.get("metadata")) else found + ["metadata"]


def compare_lists(theirs, ours):
    names = [[one["name"] for one in answer] for answer in (theirs, ours)]
    if names[0] != names[1]:
        return ["order of names" if sorted(names[0]) == sorted(names[1]) else "names"]
    return [text for one, other in zip(theirs, ours) if not one["name"].startswith(PUT_AWAY) for text in compare_collection(one, other)]


def compare_included(theirs, ours):
    for key, exact in (("include", True), ("included", False)):
        if key in theirs:
            same = theirs[key] == ours.get(key) if exact else sorted(theirs[key]) == sorted(ours.get(key) or [])
            if not same:
                return [key]
    return ["data"] if "data" in theirs and ours.get("data", 0) is not None else []


def compare_get(theirs, ours):
    found = compare_included(theirs, ours)
    if theirs["ids"] != ours["ids"]:
        return found + ["order of ids" if sorted(theirs["ids"]) == sorted(ours["ids"]) else "ids"]
    for column in COLUMNS:
        if column not in theirs:
            continue
        one, other = theirs[column], ours.get(column)
        if (one is None) != (other is None):
            found.append(f"{column} {'null' if one is None else 'not null'}")
        elif one is not None and (len(one) != len(other) or not all(same_cells(column, a, b) for a, b in zip(one, other))):
            found.append(column)
    return found


def compare_states(theirs, ours):
    """All records of a collection after a write, as records() of runner.py gives them."""
    if theirs.keys() != ours.keys():
        return ["state: ids"]
    found = set()
    for identity, one in theirs.items():
        other = ours[identity]
        if one is None or other is None:
            found |= set() if one is other else {"state: ids"}
            continue
        found |= {f"state: {member}" for member in ("document", "metadata", "uri") if not same_values(one[member], other[member])}
        found |= set() if same_vectors(one["embedding"], other["embedding"]) else {"state: embedding"}
    return sorted(found)


def compare_query(theirs, ours):
    found = compare_included(theirs, ours)
    for column in (*COLUMNS, "distances"):
        if column in theirs and (theirs[column] is None) != (ours.get(column) is None):
            found.append(f"{column} {'null' if theirs[column] is None else 'not null'}")
    if found:
        return found
    if len(theirs["ids"]) != len(ours["ids"]):
        return ["number of lists"]
    return [text for index in range(len(theirs["ids"])) for text in compare_hits(theirs, ours, index)][:3]


def compare_hits(theirs, ours, index):
    ids = theirs["ids"][index], ours["ids"][index]
    if len(ids[0]) != len(ids[1]):
        return [f"number of hits of query {index}"]
    if theirs["distances"] is None:
        # Without distances a tie cannot be told from an error: the runner then asks again (only_ties).
        return [] if ids[0] == ids[1] else [f"ids of query {index}"]
    distances = theirs["distances"][index], ours["distances"][index]
    if not all(map(near, *distances)):
        return [f"distances of query {index}"]
    if not same_up_to_ties(ids, distances[0]):
        return [f"ids of query {index}"]
    rows = [{identity: position for position, identity in enumerate(one)} for one in ids]
    return [f"{column} of query {index}" for column in COLUMNS if theirs.get(column) is not None and not all(
        same_cells(column, theirs[column][index][row], ours[column][index][rows[1][identity]])
        for identity, row in rows[0].items() if identity in rows[1])]


def is_nearest_part(part, whole):
    """Whether every list of hits in `part` has the distances that the nearest of `whole` have."""
    for ids, everyone, distances in zip(part["ids"], whole["ids"], whole["distances"]):
        known = dict(zip(everyone, distances))
        if len(set(ids)) != len(ids) or not all(one in known and near(known[one], distance) for one, distance in zip(ids, distances)):
            return False
    return True


def same_up_to_ties(ids, distances):
    """Hits at one distance may come in any order, and the last group may hold others at that distance."""
    start = 0
    while start < len(distances):
        end = start + 1
        while end < len(distances) and near(distances[end - 1], distances[end]):
            end += 1
        if end < len(distances) and set(ids[0][start:end]) != set(ids[1][start:end]):
            return False
        if end == len(distances) and end - start == 1 and ids[0][start] != ids[1][start]:
            return False
        start = end
    return True
