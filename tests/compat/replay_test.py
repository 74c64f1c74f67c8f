"""Plays the recorded exchanges with real Chroma servers (testdata/chroma-transcripts) to ours, and compares the answers.

An exchange is `>>> METHOD PATH BODY` and, below, `[STATUS] ANSWER`, which some recordings cut short. UUIDs of collections
are mapped as they appear. Every exchange that ours answers otherwise on purpose stands in testdata/chroma-transcripts/
differences.json: file -> number of the exchange -> the entry of differential/differences.py, or of REPLAY_ONLY, that it is.
"""
import json
import pathlib
import re
import sys
import urllib.parse

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "differential"))

import compare  # noqa: E402
import differences  # noqa: E402
import operations  # noqa: E402
import runner  # noqa: E402
import stack as stacks  # noqa: E402

TRANSCRIPTS = HERE.parent.parent / "testdata" / "chroma-transcripts"
# Differences that only recordings show: name -> reason.
REPLAY_ONLY = {
    "follows": "The exchange shows what an earlier deliberate difference of the same recording has left.",
    "root-paths": "Outside the API there is an empty 404; 0.x has a JSON text.",
    "indexing-status": "What single-node Chroma does not have is 501; 1.4.4 answers indexing_status with 500.",
    "announced-batches": "v1 announces batches of 5,461 records, and base64, as v2 does.",
    "names-taken": "A rename to a name that is taken is 409; Chroma shows its store's error with 500.",
    "databases-in-tenants": "A database belongs to a tenant that exists; 1.4.4 makes one for any name.",
    "configuration-of-1.x": "v1 understands a `configuration` in either form; 0.5 breaks on that of 1.x.",
    "ties": "Hits at one distance come in any order, and any of them where n_results cuts.",
    "routes-of-later": "v1 has what came with later versions of it; 0.4.14 knows no tenants, databases and count_collections.",
    "empty-list-of-ids": "An empty list of ids selects nothing, as from 0.4.24 on; 0.4.14 takes it for no list.",
    "acknowledgements": "v1 answers update and upsert with `null`, as from 0.4.24 on; 0.4.14 says `true`.",
    "broken-reads-of-0.6": "v1 reads work; 0.6.3 fails on its own tenants, databases and collections there.",
    "not-in-the-text": "The recorded request had headers or a body that the recording does not show.",
}
DIALECTS = {"g1": ("1.5.9", "v2"), "g2": ("1.5.9", "v2"), "g3": ("1.5.9", "v2"), "gv1-0.4.14": ("0.4.24", "v1"),
            "gv1-0.4.24": ("0.4.24", "v1"), "gv1-0.5.23": ("0.5.23", "v1"), "gv1-0.6.3": ("0.5.23", "v1")}
V2_HOME = "/api/v2/tenants/default_tenant/databases/default_database"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
VERBS = ("add", "update", "upsert", "delete", "get", "query", "count")


class Exchange:
    def __init__(self, number, method, path, body, status, answer):
        self.number, self.method, self.path, self.body, self.status, self.answer = number, method, path, body, int(status), answer


def exchanges(name):
    """The exchanges of a recording, in order."""
    text = (TRANSCRIPTS / f"{name}.txt").read_text()
    api = DIALECTS[name][1]
    found = []
    for block in text.split("\n>>> " if text.startswith("#") else ">>> ")[1:]:
        head, _, rest = block.partition("\n")
        method, path, body = (head.split(" ", 2) + ["", ""])[:3]
        inline = re.search(r"\[(\d{3})[^\]]*\] ?([^\n]*)", rest)
        before = rest[:inline.start()].strip() if inline else ""
        if not inline:
            continue
        path = path.replace("$T", V2_HOME if api == "v2" else "/api/v1", 1)
        found.append(Exchange(len(found), method, path, body.strip() or None, inline[1], before or inline[2]))
    return found


def kind_of(exchange):
    words = urllib.parse.urlsplit(exchange.path).path.rstrip("/").split("/")
    if words[-1] in VERBS:
        return words[-1]
    if "collections" not in words:
        return "get_database" if exchange.method == "GET" and "databases" in words and words[-1] != "databases" else "system"
    if words[-1] == "collections":
        return "create_collection" if exchange.method == "POST" else "list_collections"
    return {"GET": "get_collection", "PUT": "update_collection", "DELETE": "delete_collection"}.get(exchange.method, "system")


class Player:
    def __init__(self, stack, name):
        self.stack, self.ids, self.unseen = stack, {}, 0
        dialect = operations.Dialect(*DIALECTS[name])
        self.headers = {"User-Agent": dialect.user_agent(), **({"Content-Type": "application/json"} if dialect.modern else {})}

    def play(self, exchange):
        """The texts of the differences; none if our answer is like the recorded one."""
        path = UUID.sub(lambda found: self.ids.get(found[0], found[0]), exchange.path)
        status, _, raw = self.stack.request(exchange.method, urllib.parse.quote(path, safe="/?&=-._~%"), exchange.body and exchange.body.encode(),
                                            headers=self.headers)
        ours, theirs = compare.Answer(status, raw), compare.Answer(exchange.status, exchange.answer.encode())
        self.learn(theirs, ours)
        if theirs.status != ours.status:
            return [f"status {theirs.status} / {ours.status}"]
        if exchange.answer and not isinstance(theirs.body, (dict, list, int, bool, type(None))):
            return []  # the recording is cut: the status is all there is
        if "heartbeat" in exchange.answer:
            return [] if isinstance(ours.body.get("nanosecond heartbeat"), int) else ["heartbeat"]
        operation = operations.Operation(0, exchange.number, kind_of(exchange), exchange.method, exchange.path, exchange.body)
        return compare.compare(operation, theirs, ours)

    def learn(self, theirs, ours):
        """Which of our collections has the UUID that the recording has."""
        recorded = re.search(r'"id":"([^"]+)","name"|"name":"[^"]+","id":"([^"]+)"', theirs.raw.decode(errors="replace"))
        if recorded and isinstance(ours.body, dict) and "name" in ours.body and theirs.good and ours.good:
            self.ids[recorded[1] or recorded[2]] = ours.body["id"]


THREE = {"ids": ["a", "z", "b"], "embeddings": [[1, 2, 3], [0, 0, 0], [-1, 0, 1]]}
TERMS = {"ids": ["a", "b", "c"], "embeddings": [[1, 0, 0], [0, 2, 0], [1, 1, 0]], "documents": ["alpha T cell", "beta", None],
         "metadatas": [{"s": "x", "i": 1}, {"s": "y", "i": 2}, None], "uris": [None, "u://b", None]}
# What recordings use without showing how it was made: collections in the order of their first use, metric and records; and
# records that a collection has from an exchange on.
UNSEEN = {"g3": (("l2", THREE), ("cosine", THREE), ("ip", THREE))}
LOADED = {("g3", 11): TERMS}


def prepare(player, name, exchange):
    """Makes what an exchange needs and the recording does not show being made."""
    if (name, exchange.number) in LOADED:
        player.stack.json("POST", f"{V2_HOME}/collections/{player.ids[UUID.findall(exchange.path)[0]]}/add", LOADED[name, exchange.number])
    for identity in UUID.findall(exchange.path):
        if identity in player.ids or identity.startswith("00000000") or name in ("g1", "g2"):
            continue
        made, version = player.unseen, DIALECTS[name][1]
        player.unseen += 1
        space, records = UNSEEN.get(name, (("cosine", None),) * 9)[made]
        home = V2_HOME if version == "v2" else "/api/v1"
        answer = player.stack.json("POST", f"{home}/collections", {"name": f"s-{space}" if name == "g3" else f"unseen-{made}",
                                                                   "metadata": {"hnsw:space": space}})
        player.ids[identity] = answer["id"]
        if records:
            player.stack.json("POST", f"{home}/collections/{answer['id']}/add", records)


def played(name):
    """Number of the exchange -> differences."""
    found = {}
    with stacks.running_stack("--allow-reset") as stack:
        player = Player(stack, name)
        for exchange in exchanges(name):
            prepare(player, name, exchange)
            texts = player.play(exchange)
            if texts:
                found[str(exchange.number)] = texts
    return found


def listed():
    return json.loads((TRANSCRIPTS / "differences.json").read_text())


@pytest.mark.parametrize("name", DIALECTS)
def test_recorded_exchanges_are_answered_alike(name):
    expected, found = listed().get(name, {}), played(name)
    by_number = {str(exchange.number): exchange for exchange in exchanges(name)}
    assert len(by_number) > 30, "the recording is not read as a whole"
    unexplained = [f"{name} {number}: {by_number[number].method} {by_number[number].path} {by_number[number].body or ''}: {texts}"
                   for number, texts in found.items() if number not in expected]
    assert not unexplained, "\n".join(unexplained)
    assert expected.keys() <= found.keys(), f"these are answered alike by now: {sorted(expected.keys() - found.keys())}"


def test_every_listed_difference_has_a_reason():
    names = {one.name for one in differences.ENTRIES} | REPLAY_ONLY.keys()
    assert {name for entries in listed().values() for name in entries.values()} <= names
