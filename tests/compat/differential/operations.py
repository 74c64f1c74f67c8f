"""A seeded stream of Chroma requests, in episodes: each episode has a database of its own and is repeatable by itself.

What an episode asks is decided by (version, api, seed, episode, filters) alone, never by what a server answered, so one
operation of a long run is repeated by running its episode. A path names a collection as {c0}, {c1} …: each server gives it
an id of its own.
"""
import base64
import dataclasses
import json
import random
import struct

STEPS = 60  # of an episode, beside its first requests
METRICS = (None, "l2", "cosine", "ip")
IDS = [f"r{number:02}" for number in range(36)] + ["β-cell", "ID with spaces", "emoji😀", "x" * 120]
WORDS = ("alpha", "Beta", "gamma cell", "T cell", "t cell", "naïve", "δ receptor", "50%", "a_b", "ab", "aXb", "100", "ce%l")
TEXTS = ("x", "y", "z", "é", "a_b", "", "0", "true")
PATTERNS = ("alpha", "ALPHA", "cell", "a_b", "a%b", "%", "eta", "naïve", "na", "ell", "l t", "zzz", "T", "δ r", "0", "😀")
REGEXES = ("^al", "cell$", "(?i)beta", "a.b", "[0-9]+", "T cell|t cell", "x*", "\\bcell\\b", "δ", "^$", "(a|b)+", "[^a-z ]")
KEYS = ("s", "i", "f", "b", "mix", "k e y", "ключ")
INTS = (-2, -1, 0, 1, 2, 3, 5, 2**53 + 1, -(2**53) - 1)
FLOATS = (-0.5, 0.1, 1.0, 1.5, 2.0, 2.5, 3.0, 1e300)
INCLUDES = (["documents"], ["metadatas"], ["embeddings"], ["documents", "metadatas"], ["documents", "metadatas", "embeddings"],
            ["uris"], [], ["documents", "metadatas", "uris", "embeddings"])
NUMBER_WORDS = {"n_results", "limit", "offset"}


@dataclasses.dataclass
class Operation:
    episode: int
    step: int
    kind: str  # "get", "create_collection" …
    method: str
    path: str  # below /api/vN; {c0} stands for a collection's id
    body: object = None  # JSON; or text that is sent as it is
    slot: str = None  # the collection it is about
    trait: str = ""  # what is wrong with it, "" if nothing is

    def text(self):
        if self.body is None or isinstance(self.body, str):
            return self.body
        return json.dumps(self.body, ensure_ascii=False)

    def __str__(self):
        return f"{self.method} {self.path} {self.text() or ''}" + (f"   ({self.trait})" if self.trait else "")


class Dialect:
    """Where things are in an API version, and what a server of that version can be asked at all."""

    def __init__(self, version, api):
        self.version, self.api = version, api
        self.modern = version.startswith("1.")

    def user_agent(self):
        if self.modern:
            return f"Chroma Python Client v{self.version} (https://github.com/chroma-core/chroma)"
        return "python-requests/2.32.3" if self.version.startswith("0.4") else "python-httpx/0.28.1"

    def collections(self, tenant, database, tail="", window=""):
        if self.api == "v2":
            return f"/tenants/{tenant}/databases/{database}/collections{tail}" + (f"?{window}" if window else "")
        return f"/collections{tail}?tenant={tenant}&database={database}" + (f"&{window}" if window else "")

    def collections_count(self, tenant, database):
        if self.api == "v2":
            return f"/tenants/{tenant}/databases/{database}/collections_count"
        return f"/count_collections?tenant={tenant}&database={database}"

    def records(self, tenant, database, slot, verb):
        if self.api == "v2":
            return f"/tenants/{tenant}/databases/{database}/collections/{{{slot}}}/{verb}"
        return f"/collections/{{{slot}}}/{verb}"

    def collection(self, tenant, database, slot):
        return self.records(tenant, database, slot, "").rstrip("/")

    def databases(self, tenant, name=""):
        if self.api == "v2":
            return f"/tenants/{tenant}/databases" + (f"/{name}" if name else "")
        return "/databases" + (f"/{name}" if name else "") + f"?tenant={tenant}"


class Values:
    """Random values of every sort that a request can hold."""

    repeats = 0.15  # how many lists of ids may name one twice

    def __init__(self, rng, dialect):
        self.rng, self.modern = rng, dialect.modern

    def chance(self, probability):
        return self.rng.random() < probability

    def scalar(self, key):
        rng = self.rng
        kinds = {"s": TEXTS, "i": INTS, "f": FLOATS, "b": (True, False)}
        return rng.choice(kinds.get(key) or rng.choice((TEXTS, INTS, FLOATS, (True, False))))

    def array(self):
        kind = self.rng.choice((TEXTS, INTS[:6], FLOATS[:6], (True, False)))
        return [self.rng.choice(kind) for _ in range(self.rng.randrange(0, 4))]

    def metadata(self, nulls):
        made = {key: self.scalar(key) for key in self.rng.sample(KEYS, self.rng.randrange(0, 5))}
        if self.modern and self.chance(0.3):
            made["tags"] = self.array()
        if nulls and made and self.chance(0.15):
            made[self.rng.choice(list(made))] = None
        return made

    def document(self):
        if self.chance(0.15):
            return None
        if self.chance(0.04):
            return ""
        return " ".join(self.rng.choice(WORDS) for _ in range(self.rng.randrange(1, 5)))

    def vector(self, dimension):
        if self.chance(0.04):
            return [0.0] * dimension
        if self.chance(0.2):
            return [self.rng.randrange(-3, 4) for _ in range(dimension)]
        return [round(self.rng.gauss(0, 1), 4) for _ in range(dimension)]

    def ids(self, count):
        chosen = [self.rng.choice(IDS) for _ in range(count)]
        return chosen if self.chance(self.repeats) else list(dict.fromkeys(chosen))

    # --- filters ---------------------------------------------------------------------------------------------------------

    def where(self, depth=0):
        if depth < 3 and self.chance(0.3):
            count = self.rng.choice((2, 2, 3, 4))
            return {self.rng.choice(("$and", "$or")): [self.where(depth + 1) for _ in range(count)]}
        if self.modern and self.chance(0.08):
            return {"#document": self.document_test()}
        return self.condition()

    def condition(self):
        rng = self.rng
        key = rng.choice(KEYS + ("missing",))
        if self.modern and self.chance(0.15):
            kind = rng.choice((TEXTS, INTS[:6], FLOATS[:6], (True, False)))
            return {"tags" if self.chance(0.8) else key: {rng.choice(("$contains", "$not_contains")): rng.choice(kind)}}
        operator = rng.choice((None, "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin"))
        if operator in ("$gt", "$gte", "$lt", "$lte"):
            return {rng.choice(("i", "f", "mix", key)): {operator: rng.choice(INTS + FLOATS)}}
        if operator in ("$in", "$nin"):
            kind = rng.choice((TEXTS, INTS, FLOATS, (True, False)))
            fitting = {"s": TEXTS, "i": INTS, "f": FLOATS, "b": (True, False)}.get(key) if self.chance(0.8) else None
            return {key: {operator: [rng.choice(fitting or kind) for _ in range(rng.randrange(1, 5))]}}
        value = self.scalar(key if self.chance(0.85) else rng.choice(KEYS))
        return {key: value if operator is None else {operator: value}}

    def document_test(self):
        operators = ("$contains", "$not_contains") + (("$regex", "$not_regex") if self.modern else ())
        operator = self.rng.choice(operators)
        pattern = self.rng.choice(REGEXES if "regex" in operator else PATTERNS)
        return {operator: pattern}

    def where_document(self, depth=0):
        if depth < 2 and self.chance(0.3):
            return {self.rng.choice(("$and", "$or")): [self.where_document(depth + 1) for _ in range(self.rng.choice((2, 3)))]}
        return self.document_test()


def base64_of(vector):
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


class Episode:
    """The operations of one episode, by iterating over it."""

    def __init__(self, dialect, seed, number, filters=True):
        self.dialect, self.number, self.filters = dialect, number, filters
        self.rng = random.Random(f"{dialect.version}/{dialect.api}/{seed}/{number}")
        self.values = Values(self.rng, dialect)
        self.tenant = f"tenant-{seed}-{number}" if self.values.chance(0.2) else "default_tenant"
        self.database = f"db-{seed}-{number}"
        self.dimensions = {}  # slot -> dimension
        self.step = -1

    def __iter__(self):
        yield from self.beginning()
        for _ in range(STEPS):
            yield self.choose()

    def make(self, kind, method, path, body=None, slot=None, trait=""):
        self.step += 1
        return Operation(self.number, self.step, kind, method, path, body, slot, trait)

    def beginning(self):
        if self.tenant != "default_tenant":
            yield self.make("create_tenant", "POST", "/tenants", {"name": self.tenant})
        yield self.make("create_database", "POST", self.dialect.databases(self.tenant), {"name": self.database})
        for slot in ("c0", "c1")[: self.rng.choice((1, 2))]:
            yield self.create(slot)
            yield self.write("add", slot, self.rng.randrange(8, 25))

    def choose(self):
        weighted = {self.read_get: 27, self.read_query: 23, self.remove: 7, self.add: 9, self.upsert: 9, self.update: 8,
                    self.count: 3, self.about_collections: 6, self.about_tenancy: 2, self.malformed: 9}
        return self.rng.choices(list(weighted), list(weighted.values()))[0]()

    def slot(self):
        return self.rng.choice(list(self.dimensions))

    def records(self, slot, verb):
        return self.dialect.records(self.tenant, self.database, slot, verb)

    # --- collections -----------------------------------------------------------------------------------------------------

    def create(self, slot, get_or_create=None):
        rng = self.rng
        self.dimensions.setdefault(slot, rng.choice((2, 3, 8)))
        metadata = self.values.metadata(nulls=False) if rng.random() < 0.4 else {}
        if rng.random() < 0.95:
            metadata.pop("tags", None)
        body = {"name": f"col-{slot}"}
        metric = rng.choice(METRICS)
        if metric and (not self.dialect.modern or rng.random() < 0.4):
            metadata["hnsw:space"] = metric
        elif metric:
            body["configuration"] = {"hnsw": {"space": metric, **({"ef_search": 50} if rng.random() < 0.3 else {}),
                                              **({"ef_construction": 150} if rng.random() < 0.2 else {})}}
        if metadata or rng.random() < 0.3:
            body["metadata"] = metadata or None
        if get_or_create is None:
            get_or_create = rng.random() < 0.2
        if get_or_create or rng.random() < 0.5:
            body["get_or_create"] = get_or_create
        return self.make("create_collection", "POST", self.dialect.collections(self.tenant, self.database), body, slot)

    def about_collections(self):
        rng, where = self.rng, (self.tenant, self.database)
        choice = rng.randrange(9)
        if choice == 0 and len(self.dimensions) < 4:
            return self.create(f"c{len(self.dimensions)}")
        slot = self.slot()
        if choice == 1:
            return self.make("delete_collection", "DELETE", self.dialect.collections(*where, f"/col-{slot}"), slot=slot)
        if choice in (2, 3):
            return self.create(slot, get_or_create=rng.random() < 0.7)
        if choice == 4:
            body = rng.choice(({"new_name": f"col-{slot}"}, {"new_metadata": {"a": rng.choice(INTS), "s": rng.choice(TEXTS)}}, {},
                               {"new_metadata": None, "new_name": None}))
            return self.make("update_collection", "PUT", self.dialect.collection(*where, slot), body, slot)
        if choice == 5:
            window = rng.choice(("", "limit=1", "limit=1&offset=1", "offset=0&limit=10"))
            return self.make("list_collections", "GET", self.dialect.collections(*where, window=window))
        if choice == 6:
            return self.make("count_collections", "GET", self.dialect.collections_count(*where))
        name = rng.choice((f"col-{slot}", f"col-{slot}", "no-such-collection"))
        return self.make("get_collection", "GET", self.dialect.collections(*where, f"/{name}"), slot=slot)

    def about_tenancy(self):
        rng, dialect = self.rng, self.dialect
        choice = rng.randrange(7)
        if choice == 0:
            return self.make("get_tenant", "GET", f"/tenants/{rng.choice((self.tenant, 'no-such-tenant'))}")
        if choice == 1:
            return self.make("create_tenant", "POST", "/tenants", {"name": "default_tenant"})
        if choice == 2:
            return self.make("get_database", "GET", dialect.databases(self.tenant, rng.choice((self.database, "no-such-db"))))
        if choice == 3:
            return self.make("create_database", "POST", dialect.databases(self.tenant), {"name": self.database})
        if choice == 4:
            return self.make("list_collections", "GET", dialect.collections(self.tenant, "no-such-db"))
        if choice == 5:
            return self.make("count_collections", "GET", dialect.collections_count(self.tenant, "no-such-db"))
        return self.make("create_collection", "POST", dialect.collections(self.tenant, "no-such-db"), {"name": "somewhere"}, trait="no database")

    # --- writes ----------------------------------------------------------------------------------------------------------

    def add(self):
        return self.write("add", self.slot(), self.rng.choice((1, 1, 2, 3, 5, 8)))

    def upsert(self):
        return self.write("upsert", self.slot(), self.rng.choice((1, 1, 2, 3, 5, 8)))

    def update(self):
        return self.write("update", self.slot(), self.rng.choice((1, 1, 2, 3)))

    def write(self, verb, slot, count):
        rng, values = self.rng, self.values
        ids = values.ids(count)
        body = {"ids": ids}
        if verb != "update" or rng.random() < 0.5:
            vectors = [values.vector(self.dimensions[slot]) for _ in ids]
            whole = self.dialect.modern and rng.random() < 0.3
            body["embeddings"] = [base64_of(vector) for vector in vectors] if whole else vectors
        nulls = verb != "add" or not self.dialect.modern
        if rng.random() < 0.75:
            body["metadatas"] = [None if values.chance(0.15) else values.metadata(nulls) for _ in ids]
        if rng.random() < 0.75:
            body["documents"] = [values.document() for _ in ids]
        if rng.random() < 0.15:
            body["uris"] = [rng.choice((None, f"s3://b/{identity}")) for identity in ids]
        for column in ("metadatas", "documents", "uris"):
            if column not in body and values.chance(0.2):
                body[column] = None
        return self.make(verb, "POST", self.records(slot, verb), body, slot)

    def remove(self):
        slot, rng, values = self.slot(), self.rng, self.values
        body = {}
        if rng.random() < 0.5 or not self.filters:
            body["ids"] = values.ids(rng.choice((1, 2, 3)))
        if self.filters and (not body or rng.random() < 0.3):
            self.filter(body)
        for member in ("ids", "where", "where_document"):
            if member not in body and values.chance(0.2):
                body[member] = None
        return self.make("delete", "POST", self.records(slot, "delete"), body, slot)

    # --- reads -----------------------------------------------------------------------------------------------------------

    def filter(self, body):
        which = self.rng.random()
        if which < 0.7:
            body["where"] = self.values.where()
        if which >= 0.55:
            body["where_document"] = self.values.where_document()

    def narrow(self, body):
        if self.filters and self.rng.random() < 0.88:
            self.filter(body)
        for member in ("where", "where_document"):
            if member not in body and self.values.chance(0.1):
                body[member] = None

    def read_get(self):
        slot, rng = self.slot(), self.rng
        body = {}
        if rng.random() < 0.3:
            body["ids"] = self.values.ids(rng.choice((0, 1, 3, 8)))
        self.narrow(body)
        if rng.random() < 0.3:
            body["limit"] = rng.choice((0, 1, 2, 5, 100))
        if rng.random() < 0.25:
            body["offset"] = rng.choice((0, 1, 3, 50))
        if rng.random() < 0.6:
            body["include"] = rng.choice(INCLUDES)
        return self.make("get", "POST", self.records(slot, "get"), body, slot)

    def read_query(self):
        slot, rng = self.slot(), self.rng
        body = {"query_embeddings": [self.values.vector(self.dimensions[slot]) for _ in range(rng.choice((1, 1, 2, 3)))]}
        if rng.random() < 0.8:
            body["n_results"] = rng.choice((1, 2, 3, 5, 10, 100))
        self.narrow(body)
        if self.dialect.modern and rng.random() < 0.15:
            body["ids"] = self.values.ids(rng.choice((1, 3, 8)))
        if rng.random() < 0.6:
            body["include"] = rng.choice(INCLUDES) + rng.choice(([], ["distances"], ["distances"]))
        return self.make("query", "POST", self.records(slot, "query"), body, slot)

    def count(self):
        slot = self.slot()
        return self.make("count", "GET", self.records(slot, "count"), slot=slot)

    # --- what no client should send ----------------------------------------------------------------------------------------

    def malformed(self):
        slot = self.slot()
        good = [0.5] * self.dimensions[slot]
        wrong = good + [1.0]
        group = self.rng.choice((self.malformed_write, self.malformed_read, self.malformed_collection)
                                + ((self.malformed_filter,) if self.filters else ()))
        return group(slot, good, wrong)

    def malformed_write(self, slot, good, wrong):
        verb, body, trait = self.rng.choice((
            ("add", {"ids": ["bad"], "embeddings": [wrong]}, "wrong dimension"),
            ("upsert", {"ids": ["bad"], "embeddings": [wrong]}, "wrong dimension"),
            ("update", {"ids": ["r00"], "embeddings": [wrong]}, "wrong dimension"),
            ("add", {"ids": ["bad", "bad2"], "embeddings": [good, wrong]}, "mixed dimensions"),
            ("add", {"ids": ["bad", "bad2"], "embeddings": [good]}, "fewer embeddings than ids"),
            ("add", {"ids": ["bad"], "embeddings": [good, good]}, "more embeddings than ids"),
            ("add", {"ids": ["bad"], "embeddings": [good], "documents": ["a", "b"]}, "more documents than ids"),
            ("add", {"ids": ["bad"], "embeddings": [[]]}, "empty embedding"),
            ("add", {"ids": [], "embeddings": []}, "no ids"),
            ("upsert", {"ids": [], "embeddings": []}, "no ids"),
            ("update", {"ids": []}, "no ids"),
            ("add", {"ids": [""], "embeddings": [good]}, "empty id"),
            ("add", {"ids": ["bad"]}, "no embeddings"),
            ("add", {"ids": ["bad"], "embeddings": None}, "no embeddings"),
            ("upsert", {"ids": ["bad"], "documents": ["d"]}, "no embeddings"),
            ("add", {"embeddings": [good]}, "ids missing"),
            ("add", {"ids": "bad", "embeddings": [good]}, "ids not a list"),
            ("add", {"ids": [5], "embeddings": [good]}, "id not a string"),
            ("add", {"ids": ["bad"], "embeddings": [["a"] * len(good)]}, "embedding of strings"),
            ("add", {"ids": ["bad"], "embeddings": [[None] + good[1:]]}, "null in embedding"),
            ("add", '{"ids":["bad"],"embeddings":[[NaN' + ",1" * (len(good) - 1) + "]]}", "NaN"),
            ("add", '{"ids":["bad"],"embeddings":[[1e39' + ",1" * (len(good) - 1) + "]]}", "float32 overflow"),
            ("add", {"ids": ["bad"], "embeddings": [good], "metadatas": [{"k": {"n": 1}}]}, "nested metadata"),
            ("add", {"ids": ["bad"], "embeddings": [good], "metadatas": [{"k": [1, "a"]}]}, "mixed list in metadata"),
            ("add", {"ids": ["bad"], "embeddings": [good], "metadatas": [{"$k": 1}]}, "key with $"),
            ("add", {"ids": ["bad"], "embeddings": [good], "metadatas": [{"#k": 1}]}, "key with #"),
            ("add", {"ids": ["bad"], "embeddings": [good], "metadatas": [{"": 1}]}, "empty key"),
            ("add", {"ids": ["bad"], "embeddings": [good], "metadatas": ["x"]}, "metadata not an object"),
            ("add", {"ids": ["bad"], "embeddings": [good], "metadatas": [{"k": None}]}, "null in added metadata"),
            ("add", {"ids": ["bad"], "embeddings": [good], "metadatas": [{"big": 2**63}]}, "int beyond 64 bits"),
            ("add", {"ids": ["bad"], "embeddings": [good], "documents": [5]}, "document not a string"),
            ("add", '{"ids":["bad"', "broken JSON"),
            ("add", "[]", "not an object"),
            ("delete", {}, "nothing to delete"),
            ("delete", {"ids": []}, "no ids"),
            ("delete", {"ids": ["no-such-id"]}, ""),
            ("update", {"ids": ["no-such-id"], "documents": ["x"]}, ""),
        ))
        return self.make(verb, "POST", self.records(slot, verb), body, slot, trait)

    def malformed_read(self, slot, good, wrong):
        verb, body, trait = self.rng.choice((
            ("query", {"query_embeddings": [wrong]}, "wrong dimension"),
            ("query", {"query_embeddings": []}, "no query embeddings"),
            ("query", {"query_embeddings": [[]]}, "empty query embedding"),
            ("query", {"query_texts": ["x"]}, "query_embeddings missing"),
            ("query", {"query_embeddings": [good], "n_results": 0}, "n_results 0"),
            ("query", {"query_embeddings": [good], "n_results": -1}, "n_results negative"),
            ("query", {"query_embeddings": [good], "n_results": "three"}, "n_results not a number"),
            ("query", {"query_embeddings": [good], "include": ["bogus"]}, "unknown include"),
            ("query", {"query_embeddings": "x"}, "query_embeddings not a list"),
            ("query", {"query_embeddings": [good], "include": None}, "include null"),
            ("get", {"include": None}, "include null"),
            ("get", {"include": ["bogus"]}, "unknown include"),
            ("get", {"include": ["distances"]}, ""),
            ("get", {"limit": -1}, "limit negative"),
            ("get", {"offset": -1}, "offset negative"),
            ("get", {"limit": "x"}, "limit not a number"),
            ("get", {"limit": 1.5}, "limit not whole"),
            ("get", {"ids": "r00"}, "ids not a list"),
            ("get", {"ids": ["no-such-id"]}, ""),
            ("get", "{", "broken JSON"),
            ("get", {"ids": ["r00", "r00", "r01"]}, ""),
            ("get", {"unknown member": 1}, ""),
        ))
        return self.make(verb, "POST", self.records(slot, verb), body, slot, trait)

    def malformed_collection(self, slot, good, wrong):
        del wrong
        dialect, home = self.dialect, (self.tenant, self.database)
        stranger = dialect.records(*home, "x", "get").replace("{x}", "00000000-0000-4000-8000-000000000001")
        word = dialect.records(*home, "x", "get").replace("{x}", "notauuid")
        creations = (({"name": "ab"}, "name too short"), ({"name": "a..b"}, "dots in a row"), ({"name": "1.2.3.4"}, "IP address as name"),
                     ({"name": "-abc"}, "bad first character"), ({"name": "a b c"}, "space in name"), ({"name": "naïve"}, "letter not ASCII"),
                     ({"name": "a" * 64}, "64 characters"), ({"name": "a" * 513}, "name too long"), ({}, "name missing"),
                     ({"name": "bad-space", "metadata": {"hnsw:space": "bad"}}, "unknown space"), ({"name": 5}, "name not a string"),
                     ({"name": "no-metadata", "metadata": {}}, "empty metadata"), ("{bad", "broken JSON"),
                     ({"name": "nested", "metadata": {"o": {"a": 1}}}, "nested metadata"))
        if self.rng.random() < 0.5:
            body, trait = self.rng.choice(creations)
            return self.make("create_collection", "POST", dialect.collections(*home), body, trait=trait)
        kind, method, path, body, trait = self.rng.choice((
            ("get", "POST", stranger, {}, "unknown collection"),
            ("get", "POST", word, {}, "not a UUID"),
            ("add", "POST", stranger.replace("/get", "/add"), {"ids": ["a"], "embeddings": [good]}, "unknown collection"),
            ("query", "POST", stranger.replace("/get", "/query"), {"query_embeddings": [good]}, "unknown collection"),
            ("count", "GET", stranger.replace("/get", "/count"), None, "unknown collection"),
            ("delete", "POST", stranger.replace("/get", "/delete"), {"ids": ["a"]}, "unknown collection"),
            ("update_collection", "PUT", stranger.replace("/get", ""), {"new_name": "renamed"}, "unknown collection"),
            ("delete_collection", "DELETE", dialect.collections(*home, "/no-such-collection"), None, "unknown collection"),
            ("update_collection", "PUT", dialect.collection(*home, slot), {"new_name": "x"}, "name too short"),
            ("update_collection", "PUT", dialect.collection(*home, slot), {"new_metadata": {}}, "empty metadata"),
        ))
        return self.make(kind, method, path, body, None if trait in ("unknown collection", "not a UUID") else slot, trait)

    def malformed_filter(self, slot, good, wrong):
        del wrong
        wheres = (({}, "empty where"), ({"s": None}, "null operand"), ({"s": {"$bogus": 1}}, "unknown operator"), ({"$not": [{"s": "x"}]}, "unknown operator"),
                  ({"s": "x", "i": 1}, "two keys"), ({"s": {"$eq": "x", "$ne": "y"}}, "two operators"), ({"s": {"$gt": "a"}}, "order of strings"),
                  ({"s": {"$in": []}}, "empty $in"), ({"s": {"$in": ["x", 1]}}, "mixed $in"), ({"i": {"$in": [1, 2.5]}}, "mixed $in"), ({"s": {"$in": "x"}}, "$in not a list"),
                  ({"$and": []}, "empty $and"), ({"$or": []}, "empty $or"), ({"$and": [{"s": "x"}]}, "$and of one"), ({"$or": [{"s": "x"}]}, "$or of one"),
                  ({"$and": {"s": "x"}}, "$and not a list"), ([], "where not an object"), ("x", "where not an object"), ({"tags": ["p"]}, "list operand"),
                  ({"tags": {"$contains": ["p"]}}, "list operand"), ({"s": {"$contains": "x"}}, "$contains on a string"), ({"s": {}}, "no operator"),
                  ({"b": {"$gt": True}}, "order of booleans"), ({"s": {"$regex": "x"}}, "$regex in where"))
        documents = (({}, "empty where_document"), ({"$contains": 5}, "operand not a string"), ({"$contains": ["a"]}, "operand not a string"),
                     ({"bogus": "x"}, "unknown operator"), ({"$contains": "a", "$not_contains": "b"}, "two operators"), ({"$regex": "("}, "bad pattern"),
                     ({"$contains": ""}, "empty pattern"), ({"$not_contains": ""}, "empty pattern"), ({"$and": [{"$contains": "a"}]}, "$and of one"), ({"$or": []}, "empty $or"),
                     ({"$regex": "^al"}, "$regex"))
        member, (value, trait) = self.rng.choice([("where", one) for one in wheres] + [("where_document", one) for one in documents])
        verb = self.rng.choice(("get", "query", "get", "delete"))
        body = {member: value, **({"query_embeddings": [good]} if verb == "query" else {})}
        return self.make(verb, "POST", self.records(slot, verb), body, slot, trait)
