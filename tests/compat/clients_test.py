"""What each pinned client does to the two real programs, checked against a plain model of records in memory.

A test runs with every client that offers what it @needs (roster.py); the run's table has a row for each test.
"""
import itertools
import uuid

import drivers
import expected
import numpy
import ontology
import pytest
import roster

DIMENSION = 8
RECORDS = 40
DISTANCE_ERROR_MAX = 1e-5
ONTOLOGY = "cell_ontology_v2024_01"
numbers = itertools.count()


class Model:
    """The records that a collection must hold, in order of insertion."""

    def __init__(self, count=RECORDS):
        generator = numpy.random.default_rng(20240101)
        self.ids = [f"r{i}" for i in range(count)]
        self.embeddings = generator.standard_normal((count, DIMENSION)).astype("f4").tolist()
        self.documents = [f"document {i}, naïve “β-cell”" for i in range(count)]
        self.metadatas = [{"n": i, "half": i / 2 + 0.25, "even": i % 2 == 0, "name": f"n{i}"} for i in range(count)]

    def records(self, rows=slice(None)):
        return {"ids": self.ids[rows], "embeddings": self.embeddings[rows], "documents": self.documents[rows],
                "metadatas": self.metadatas[rows]}

    def those(self, wanted):
        """The ids of the records that `wanted(metadata, document)` holds for."""
        return [id for id, metadata, document in zip(self.ids, self.metadatas, self.documents) if wanted(metadata, document)]

    def nearest(self, query, metric, n, among=None):
        """(ids, distances) by brute force in float64, among these ids or all."""
        base, query = numpy.asarray(self.embeddings, "f8"), numpy.asarray(query, "f8")
        dot = base @ query
        distances = {"ip": 1 - dot, "l2": ((base - query) ** 2).sum(1),
                     "cosine": 1 - dot / numpy.linalg.norm(base, axis=1) / numpy.linalg.norm(query)}[metric]
        order = [i for i in numpy.argsort(distances, kind="stable") if among is None or self.ids[i] in among][:n]
        return [self.ids[i] for i in order], distances[order]


def needs(*offers):
    """Only clients that offer all of these run the test."""
    def note(function):
        function.needs = offers
        return function
    return note


@pytest.fixture
def offers(client):
    return roster.BY_NAME[client].offers


@pytest.fixture
def fresh(connected, client):
    """Makes collections of the client's own that are gone afterwards: fresh(metric, model) -> name."""
    made = []

    def make(metric=None, model=None, **options):
        name = f"fresh-{next(numbers)}"
        connected.call("create", name=name, metric=metric, **options)
        made.append(name)
        if model:
            connected.call("add", name=name, **model.records())
        return name

    yield make
    for name in made:
        try:
            connected.call("delete_collection", name=name)
        except drivers.ClientError as error:
            expected.check(error, "missing to delete", client)  # a test has deleted it


def refused(driver, situation, client, op, *words, **arguments):
    """The operation raises what this client's users catch in this situation; its message has these words."""
    with pytest.raises(drivers.ClientError) as caught:
        driver.call(op, **arguments)
    expected.check(caught.value, situation, client)
    for word in words:
        assert word in caught.value.message, caught.value
    return caught.value


def close(actual, wanted):
    return numpy.allclose(numpy.asarray(actual, "f8"), numpy.asarray(wanted, "f8"), rtol=0, atol=DISTANCE_ERROR_MAX)


def assert_holds(connected, offers, name, model):
    """The collection holds exactly the model's records."""
    include = ["embeddings", "documents", "metadatas"]
    found = connected.call("get", name=name, limit=len(model.ids) + 5, include=include)
    rows = {id: row for row, id in enumerate(found["ids"])}
    assert sorted(rows) == sorted(model.ids)
    order = [rows[id] for id in model.ids]
    if "embeddings" in offers:
        assert close([found["embeddings"][row] for row in order], model.embeddings)
    assert [found["documents"][row] for row in order] == model.documents
    assert [found["metadatas"][row] for row in order] == model.metadatas
    if "count" in offers:
        assert connected.call("count", name=name) == len(model.ids)


# --- Connecting ---------------------------------------------------------------------------------------------------------


@needs("heartbeat")
def test_heartbeat_and_version(connected):
    assert connected.call("heartbeat")
    assert connected.call("version").strip('"')[0].isdigit()


def connects(other, stack, spelling):
    other.connect(stack, stack.token, spelling)
    other.call("get", name=ONTOLOGY, limit=1)


@needs("headers")
def test_connect_with_a_header(other, stack):
    connects(other, stack, "headers")


@needs("token")
def test_connect_with_X_Chroma_Token(other, stack):
    connects(other, stack, "token")


@needs("bearer")
def test_connect_with_Bearer(other, stack):
    connects(other, stack, "bearer")


@needs("basic")
def test_connect_with_Basic(other, stack):
    connects(other, stack, "basic")


def is_not_let_in(other, client, stack, token):
    with pytest.raises(drivers.ClientError) as caught:
        other.connect(stack, token)
    expected.check(caught.value, "wrong token", client)


def test_a_wrong_token_is_refused_at_once(other, client, stack):
    is_not_let_in(other, client, stack, "x" + stack.token[1:-1] + "x")


@needs("no token")
def test_no_token_is_refused_at_once(other, client, stack):
    is_not_let_in(other, client, stack, None)


# --- Collections --------------------------------------------------------------------------------------------------------


@needs("create", "count")
def test_create(connected, offers, fresh):
    name = fresh("cosine")
    if "get missing" in offers:
        found = connected.call("get_collection", name=name)
        assert found["name"] == name and len(found["id"]) == 36
    assert connected.call("count", name=name) == 0


@needs("keeps metadata")
def test_create_with_metadata(connected, fresh):
    metadata = {"source": "cl", "year": 2024, "ratio": 0.5, "public": True}
    found = connected.call("get_collection", name=fresh(metadata=metadata))
    assert {key: found["metadata"][key] for key in metadata} == metadata


@needs("create existing")
def test_create_of_a_name_that_is_taken(connected, client, fresh):
    name = fresh()
    refused(connected, "exists", client, "create", name=name)


@needs("get_or_create")
def test_get_or_create(connected, fresh):
    name = fresh(get_or_create=True, model=Model(3))
    again = connected.call("create", name=name, get_or_create=True)
    assert again["name"] == name
    assert sorted(connected.call("get", name=name)["ids"]) == ["r0", "r1", "r2"]


@needs("get_or_create", "keeps metadata")
def test_get_or_create_keeps_the_metadata_there_is(connected, fresh):
    name = fresh(metadata={"source": "cl"})
    connected.call("create", name=name, get_or_create=True, metadata={"source": "other"})
    assert connected.call("get_collection", name=name)["metadata"]["source"] == "cl"


@needs("get missing")
def test_get_a_missing_collection(connected, client):
    refused(connected, "missing", client, "get_collection", name="no-such-collection")


@needs("list")
def test_list(connected, fresh):
    names = [fresh(), fresh()]
    listed = connected.call("list")
    assert set(names) <= set(listed) and ONTOLOGY in listed


@needs("list page")
def test_list_a_page(connected, fresh):
    fresh(), fresh(), fresh()
    everything = connected.call("list")
    pages = [connected.call("list", limit=2, offset=offset) for offset in range(0, len(everything), 2)]
    assert [name for page in pages for name in page] == everything


@needs("count_collections")
def test_count_collections(connected, fresh):
    before = connected.call("count_collections")
    fresh()
    assert connected.call("count_collections") == before + 1


@needs("modify")
def test_rename(connected, client, fresh):
    old, new = fresh(model=Model()), f"renamed-{next(numbers)}"
    connected.call("modify", name=old, new_name=new)
    assert connected.call("count", name=new) == RECORDS
    refused(connected, "missing", client, "get_collection", name=old)
    connected.call("delete_collection", name=new)


@needs("modify")
def test_change_metadata(connected, fresh):
    name = fresh(metadata={"source": "cl", "year": 2024})
    connected.call("modify", name=name, metadata={"source": "uberon"})
    found = connected.call("get_collection", name=name)["metadata"]
    assert found["source"] == "uberon" and "year" not in found


@needs("delete_collection")
def test_delete_collection(connected, client, offers, fresh):
    name = fresh("l2", Model())
    connected.call("delete_collection", name=name)
    if "list" in offers:
        assert name not in connected.call("list")
    refused(connected, "missing", client, "get", name=name)


@needs("list")
def test_delete_a_missing_collection(connected, client):
    refused(connected, "missing to delete", client, "delete_collection", name="no-such-collection")


@needs("reset")
def test_reset_is_refused(connected, client):
    refused(connected, "reset", client, "reset")
    assert connected.call("count", name=ONTOLOGY) == 3220


# --- Records ------------------------------------------------------------------------------------------------------------


@needs("add")
def test_add(connected, offers, fresh):
    model = Model()
    assert_holds(connected, offers, fresh("l2", model), model)


@needs("add existing")
def test_add_of_an_id_that_is_there_changes_nothing(connected, offers, fresh):
    model = Model()
    name = fresh("l2", model)
    connected.call("add", name=name, ids=["r5"], embeddings=[[9.0] * DIMENSION], documents=["other"], metadatas=[{"n": -5}])
    assert_holds(connected, offers, name, model)


@needs("local duplicates")
def test_add_of_an_id_twice_is_refused(connected, client, offers, fresh):
    model = Model()
    name = fresh("l2", model)
    refused(connected, "duplicates", client, "add", name=name, ids=["x", "x"], embeddings=[[1.0] * DIMENSION] * 2, documents=["a", "b"],
            metadatas=[{"n": 1}, {"n": 2}])
    assert_holds(connected, offers, name, model)


@needs("upsert")
def test_upsert(connected, offers, fresh):
    model = Model()
    name = fresh("l2", model)
    model.ids.append("new")
    model.embeddings.append([1.5] * DIMENSION)
    model.documents.append("a new one")
    model.metadatas.append({"n": -1})
    model.embeddings[4], model.documents[4], model.metadatas[4]["n"] = [2.5] * DIMENSION, "changed", 400
    both = [4, RECORDS]
    connected.call("upsert", name=name, **{key: [values[row] for row in both] for key, values in model.records().items()})
    assert_holds(connected, offers, name, model)


@needs("update")
def test_update(connected, offers, fresh):
    model = Model()
    name = fresh("l2", model)
    model.embeddings[9], model.documents[9] = [3.5] * DIMENSION, "updated"
    model.metadatas[9]["n"] = 900
    connected.call("update", name=name, ids=["r9"], embeddings=[model.embeddings[9]], documents=["updated"], metadatas=[{"n": 900}])
    assert_holds(connected, offers, name, model)


@needs("partial update")
def test_update_of_a_document_alone(connected, offers, fresh):
    model = Model()
    name = fresh("l2", model)
    model.documents[9] = "updated"
    connected.call("update", name=name, ids=["r9"], embeddings=[model.embeddings[9]], documents=["updated"])
    model.metadatas[3] = {**model.metadatas[3], "n": 300, "more": "x"}
    connected.call("update", name=name, ids=["r3"], metadatas=[{"n": 300, "more": "x"}])
    assert_holds(connected, offers, name, model)


@needs("merge")
def test_update_to_null_removes_a_key(connected, offers, fresh):
    model = Model()
    name = fresh("l2", model)
    del model.metadatas[9]["name"]
    connected.call("update", name=name, ids=["r9"], metadatas=[{"name": None}])
    assert_holds(connected, offers, name, model)


@needs("update missing")
def test_update_of_a_missing_id_changes_nothing(connected, offers, fresh):
    model = Model()
    name = fresh("l2", model)
    connected.call("update", name=name, ids=["missing"], embeddings=[[1.0] * DIMENSION], documents=["x"], metadatas=[{"n": 1}])
    assert_holds(connected, offers, name, model)


@needs("delete")
def test_delete_by_id(connected, offers, fresh):
    model = Model()
    name = fresh("l2", model)
    connected.call("delete", name=name, ids=["r0", "r39", "missing"])
    for values in (model.ids, model.embeddings, model.documents, model.metadatas):
        del values[39], values[0]
    assert_holds(connected, offers, name, model)


@needs("dimension")
def test_add_of_a_wrong_dimension_is_refused(connected, client, offers, fresh):
    model = Model()
    name = fresh("l2", model)
    refused(connected, "dimension", client, "add", name=name, ids=["bad"], embeddings=[[1.0, 2.0, 3.0]], documents=["d"],
            metadatas=[{"a": 1}])
    assert_holds(connected, offers, name, model)


@needs("dimension")
def test_query_of_a_wrong_dimension_is_refused(connected, client, fresh):
    name = fresh("l2", Model())
    refused(connected, "dimension", client, "query", name=name, embeddings=[[1.0, 2.0, 3.0]], n=1)


# --- Reading ------------------------------------------------------------------------------------------------------------


@needs("get")
def test_get_by_id(connected, fresh):
    model = Model()
    found = connected.call("get", name=fresh("l2", model), ids=["r7", "r3", "missing"], include=["documents", "metadatas"])
    assert sorted(found["ids"]) == ["r3", "r7"]
    assert found["documents"][found["ids"].index("r7")] == model.documents[7]
    assert found["metadatas"][found["ids"].index("r7")] == model.metadatas[7]


@needs("get", "page")
def test_get_all_in_order(connected, fresh):
    found = connected.call("get", name=fresh("l2", Model()))
    assert found["ids"] == Model().ids
    assert found["documents"] == Model().documents and found["metadatas"] == Model().metadatas
    assert not found.get("embeddings")


@needs("page")
def test_get_a_page(connected, fresh):
    name = fresh("l2", Model())
    pages = [connected.call("get", name=name, limit=16, offset=offset)["ids"] for offset in (0, 16, 32, 48)]
    assert [len(page) for page in pages] == [16, 16, 8, 0]
    assert [id for page in pages for id in page] == Model().ids


@needs("embeddings")
def test_get_embeddings_alone(connected, fresh):
    model = Model()
    found = connected.call("get", name=fresh("l2", model), ids=["r7"], include=["embeddings"])
    assert found["ids"] == ["r7"] and close(found["embeddings"], [model.embeddings[7]])
    assert not any(found.get("documents") or []) and not any(found.get("metadatas") or [])


@needs("peek")
def test_peek(connected, fresh):
    model = Model()
    found = connected.call("peek", name=fresh("l2", model), limit=3)
    assert found["ids"] == model.ids[:3] and found["documents"] == model.documents[:3]


@needs("query")
@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_query(connected, fresh, metric):
    model = Model()
    name = fresh(metric, model)
    queries = numpy.random.default_rng(7).standard_normal((3, DIMENSION)).astype("f4").tolist()
    for asked in (queries[:1], queries):
        found = connected.call("query", name=name, embeddings=asked, n=5, include=["documents", "metadatas", "distances"])
        assert len(found["ids"]) == len(asked)
        for row, query in enumerate(asked):
            ids, distances = model.nearest(query, metric, 5)
            assert found["ids"][row] == ids
            assert close(found["distances"][row], distances)
            assert found["documents"][row] == [model.documents[model.ids.index(id)] for id in ids]
            assert found["metadatas"][row] == [model.metadatas[model.ids.index(id)] for id in ids]


@needs("many queries", "embeddings", "dimension")
def test_query_including_only_some(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    ids, distances = model.nearest(model.embeddings[5], "l2", 3)
    found = connected.call("query", name=name, embeddings=[model.embeddings[5]], n=3, include=["embeddings"])
    assert found["ids"] == [ids] and close(found["embeddings"][0], [model.embeddings[model.ids.index(id)] for id in ids])
    found = connected.call("query", name=name, embeddings=[model.embeddings[5]], n=3, include=["distances"])
    assert found["ids"] == [ids] and close(found["distances"][0], distances)
    assert not any(row and any(row) for row in found.get("documents") or [])


@needs("query", "dimension")
def test_query_for_more_than_there_is(connected, fresh):
    name = fresh("l2", Model(4))
    found = connected.call("query", name=name, embeddings=[[0.5] * DIMENSION], n=10, include=["distances"])
    assert len(found["ids"][0]) == 4
    assert connected.call("query", name=fresh("l2"), embeddings=[[0.5] * DIMENSION], n=10, include=["distances"])["ids"] in ([[]], [])


@needs("ontology")
def test_ontology_search(connected):
    """The ids and distances of exact search, and the terms that the queries are synonyms of."""
    ids, base, documents = ontology.stored("cell_ontology")
    vectors, told = ontology.queries("cell_ontology")
    vectors, told = vectors[:20], told[:20]
    distances = ontology.cosine_distances(vectors, base)
    found = connected.call("query", name=ONTOLOGY, embeddings=vectors.tolist(), n=10, include=["documents", "distances", "metadatas"])
    rows = {id: row for row, id in enumerate(ids)}
    right = truth_right = hits = 0
    for query, (_, term) in enumerate(told):
        got, truth = found["ids"][query], [ids[row] for row in numpy.argsort(distances[query])[:10]]
        assert close(found["distances"][query], [distances[query][rows[id]] for id in got])
        assert found["documents"][query] == [documents[rows[id]] for id in got]
        hits += len(set(truth) & set(got))
        right, truth_right = right + (term in got), truth_right + (term in truth)
    assert hits >= .99 * 10 * len(told)
    assert right >= truth_right >= len(told) // 2


# --- Filters ------------------------------------------------------------------------------------------------------------


def assert_selects(connected, name, model, where, wanted):
    got = connected.call("get", name=name, where=where)["ids"]
    assert sorted(got) == sorted(model.those(lambda metadata, _: wanted(metadata))), where


@needs("where")
def test_where_equal(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    assert_selects(connected, name, model, {"name": "n7"}, lambda m: m["name"] == "n7")
    assert_selects(connected, name, model, {"n": {"$eq": 7}}, lambda m: m["n"] == 7)
    assert_selects(connected, name, model, {"half": 3.75}, lambda m: m["half"] == 3.75)
    assert_selects(connected, name, model, {"name": {"$ne": "n7"}}, lambda m: m["name"] != "n7")


@needs("bool filter")
def test_where_true_or_false(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    assert_selects(connected, name, model, {"even": True}, lambda m: m["even"])
    assert_selects(connected, name, model, {"even": {"$ne": True}}, lambda m: not m["even"])


@needs("where")
def test_where_greater_or_less(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    assert_selects(connected, name, model, {"n": {"$gt": 30}}, lambda m: m["n"] > 30)
    assert_selects(connected, name, model, {"n": {"$gte": 30}}, lambda m: m["n"] >= 30)
    assert_selects(connected, name, model, {"half": {"$lt": 3.75}}, lambda m: m["half"] < 3.75)
    assert_selects(connected, name, model, {"half": {"$lte": 3.75}}, lambda m: m["half"] <= 3.75)


@needs("where")
def test_where_in(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    assert_selects(connected, name, model, {"name": {"$in": ["n1", "n5", "none"]}}, lambda m: m["name"] in ("n1", "n5"))
    assert_selects(connected, name, model, {"n": {"$nin": [0, 1, 2]}}, lambda m: m["n"] > 2)


@needs("where")
def test_where_and_or(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    assert_selects(connected, name, model, {"$and": [{"n": {"$gt": 10}}, {"half": {"$lt": 9.0}}]}, lambda m: m["n"] > 10 and m["half"] < 9)
    assert_selects(connected, name, model, {"$or": [{"n": 3}, {"name": "n5"}]}, lambda m: m["n"] in (3, 5))


@needs("where_document")
def test_where_document(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    for where, wanted in (({"$contains": "document 1"}, lambda _, d: "document 1" in d),
                          ({"$contains": "“β-cell”"}, lambda *_: True),
                          ({"$and": [{"$contains": "3"}, {"$contains": "document 1"}]}, lambda _, d: "3" in d and "document 1" in d),
                          ({"$or": [{"$contains": "document 7"}, {"$contains": "document 12"}]},
                           lambda _, d: "document 7" in d or "document 12" in d)):
        assert sorted(connected.call("get", name=name, where_document=where)["ids"]) == sorted(model.those(wanted)), where


@needs("not_contains")
def test_where_document_not_contains(connected, fresh):
    model = Model()
    got = connected.call("get", name=fresh("l2", model), where_document={"$not_contains": "document 1"})["ids"]
    assert sorted(got) == sorted(model.those(lambda _, document: "document 1" not in document))


@needs("regex")
def test_where_document_regex(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    got = connected.call("get", name=name, where_document={"$regex": "(?i)DOCUMENT [0-4],"})["ids"]
    assert sorted(got) == ["r0", "r1", "r2", "r3", "r4"]
    assert len(connected.call("get", name=name, where_document={"$not_regex": "document [0-4],"})["ids"]) == RECORDS - 5


@needs("where")
def test_query_where(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    for where, wanted in (({"name": {"$ne": "n7"}}, lambda m: m["name"] != "n7"), ({"n": {"$in": [3, 4, 5]}}, lambda m: m["n"] in (3, 4, 5)),
                          ({"$and": [{"n": {"$gte": 5}}, {"half": {"$lt": 10.0}}]}, lambda m: m["n"] >= 5 and m["half"] < 10)):
        ids, distances = model.nearest([0.5] * DIMENSION, "l2", 5, model.those(lambda metadata, _: wanted(metadata)))
        found = connected.call("query", name=name, embeddings=[[0.5] * DIMENSION], n=5, where=where,
                               include=["documents", "metadatas", "distances"])
        assert found["ids"] == [ids] and close(found["distances"][0], distances), where


@needs("query where_document")
def test_query_where_document(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    among = model.those(lambda metadata, document: "document 1" in document and metadata["n"] > 11)
    ids, _ = model.nearest([0.5] * DIMENSION, "l2", 4, among)
    found = connected.call("query", name=name, embeddings=[[0.5] * DIMENSION], n=4, where={"n": {"$gt": 11}},
                           where_document={"$contains": "document 1"}, include=["documents", "metadatas", "distances"])
    assert found["ids"] == [ids]


@needs("delete where")
def test_delete_where(connected, offers, fresh):
    model = Model()
    name = fresh("l2", model)
    connected.call("delete", name=name, where={"n": {"$gte": 20}})
    for values in (model.ids, model.embeddings, model.documents, model.metadatas):
        del values[20:]
    assert_holds(connected, offers, name, model)


@needs("ontology", "where_document")
def test_ontology_search_with_a_filter(connected):
    ids, base, documents = ontology.stored("cell_ontology")
    vectors, told = ontology.queries("cell_ontology")
    among = numpy.array(["neuron" in document for document in documents])
    distances = ontology.cosine_distances(vectors[:5], base) + numpy.where(among, 0, 9)
    found = connected.call("query", name=ONTOLOGY, embeddings=vectors[:5].tolist(), n=10, where_document={"$contains": "neuron"},
                           include=["documents", "distances", "metadatas"])
    hits = sum(len({ids[row] for row in numpy.argsort(row_distances)[:10]} & set(got)) for row_distances, got in zip(distances, found["ids"]))
    assert hits >= 49 and all("neuron" in document for row in found["documents"] for document in row)


# --- Tenants and databases ----------------------------------------------------------------------------------------------


@pytest.fixture
def tenant(connected):
    """A tenant with a database `terms` of its own; the client goes back to the default one afterwards."""
    name = f"tenant-{uuid.uuid4().hex[:8]}"
    connected.call("create_tenant", name=name)
    connected.call("create_database", name="terms", tenant=name)
    yield name
    connected.call("use", tenant="default_tenant", database="default_database")


@needs("tenants")
def test_tenants(connected, client, tenant):
    assert connected.call("get_tenant", name=tenant) == tenant
    refused(connected, "tenant exists", client, "create_tenant", name=tenant)
    refused(connected, "tenant missing", client, "get_tenant", name="no-such-tenant")


@needs("tenants")
def test_databases(connected, client, tenant):
    assert connected.call("get_database", name="terms", tenant=tenant) == "terms"
    refused(connected, "database exists", client, "create_database", name="terms", tenant=tenant)
    refused(connected, "database missing", client, "get_database", name="no-such-one", tenant=tenant)


@needs("tenants")
def test_a_collection_belongs_to_its_database(connected, client, tenant):
    connected.call("use", tenant=tenant, database="terms")
    assert connected.call("list") == []
    connected.call("create", name="inside", metric="l2")
    connected.call("add", name="inside", **Model(3).records())
    assert connected.call("list") == ["inside"] and connected.call("count", name="inside") == 3
    connected.call("use", tenant="default_tenant", database="default_database")
    assert "inside" not in connected.call("list")
    refused(connected, "missing", client, "get_collection", name="inside")


@needs("connect elsewhere")
def test_connect_to_another_database(other, stack, tenant):
    other.connect(stack, stack.token, tenant=tenant, database="terms")
    assert other.call("list") == []


@needs("connect elsewhere")
def test_connect_to_a_missing_tenant_is_refused(other, client, stack):
    try:
        other.connect(stack, stack.token, tenant="no-such-tenant", database="terms")
        assert other.call("list") == []  # a client that asks nothing when it connects finds nothing there
    except drivers.ClientError as error:
        expected.check(error, "connect missing", client)


@needs("databases")
def test_list_and_delete_databases(connected, client, tenant):
    connected.call("create_database", name="other", tenant=tenant)
    assert sorted(connected.call("list_databases", tenant=tenant)) == ["other", "terms"]
    connected.call("delete_database", name="other", tenant=tenant)
    assert connected.call("list_databases", tenant=tenant) == ["terms"]
    refused(connected, "database missing", client, "get_database", name="other", tenant=tenant)


# --- A token that may only read -----------------------------------------------------------------------------------------


@pytest.fixture
def reading(other, stack):
    other.connect(stack, stack.reader)
    return other


@needs("ontology", "get_or_create")
def test_a_reader_searches_an_ontology(reading, offers):
    """What an application does for one search: get the collection, count, get_or_create, query."""
    if "get missing" in offers:
        assert reading.call("get_collection", name=ONTOLOGY)["name"] == ONTOLOGY
        assert reading.call("count", name=ONTOLOGY) == 3220
    assert reading.call("create", name=ONTOLOGY, get_or_create=True)["name"] == ONTOLOGY
    vectors, told = ontology.queries("cell_ontology")
    found = reading.call("query", name=ONTOLOGY, embeddings=vectors[:1].tolist(), n=10, include=["documents", "distances", "metadatas"])
    assert told[0][1] in found["ids"][0]


@needs("read-only writes")
def test_a_reader_is_refused_writes(reading, client):
    records = {"ids": ["x"], "embeddings": [[1.0] * 768], "documents": ["d"], "metadatas": [{"n": 1}]}
    for op, arguments in (("create", {"name": "by-a-reader"}), ("create", {"name": "by-a-reader", "get_or_create": True}),
                          ("add", {"name": ONTOLOGY, **records}), ("upsert", {"name": ONTOLOGY, **records}),
                          ("update", {"name": ONTOLOGY, **records}), ("delete", {"name": ONTOLOGY, "ids": ["CL:0000000"]}),
                          ("modify", {"name": ONTOLOGY, "new_name": "taken-over"}), ("delete_collection", {"name": ONTOLOGY})):
        refused(reading, "read only", client, op, **arguments)
    assert reading.call("count", name=ONTOLOGY) == 3220


# --- Configuration, and what else 1.x has -------------------------------------------------------------------------------


@needs("configuration")
def test_configuration(connected, client, fresh):
    name = fresh("cosine", Model(), configuration={"hnsw": {"space": "cosine", "ef_construction": 120, "max_neighbors": 24, "ef_search": 77}})
    hnsw = connected.call("configuration", name=name)["hnsw"]
    assert (hnsw["space"], hnsw["ef_construction"], hnsw["max_neighbors"], hnsw["ef_search"]) == ("cosine", 120, 24, 77)


@needs("change configuration")
def test_change_configuration(connected, fresh):
    name = fresh("cosine", Model())
    connected.call("modify", name=name, configuration={"hnsw": {"ef_search": 222}})
    hnsw = connected.call("configuration", name=name)["hnsw"]
    assert (hnsw["space"], hnsw["ef_search"]) == ("cosine", 222)
    assert connected.call("count", name=name) == RECORDS


@needs("own embedding function")
def test_an_embedding_function_of_ones_own(connected):
    name = f"embedded-{next(numbers)}"
    found = connected.call("create_with_embedding_function", name=name)
    assert found["ids"] == [["short"]]
    assert found["configuration"]["embedding_function"]["type"] == "legacy"
    connected.call("delete_collection", name=name)


@needs("schema")
def test_schema(connected):
    name = f"schema-{next(numbers)}"
    schema = connected.call("create_with_schema", name=name, ef_search=222)
    index = schema["keys"]["#embedding"]["float_list"]["vector_index"]["config"]
    assert index["space"] == "cosine" and index["hnsw"]["ef_search"] == 222
    connected.call("delete_collection", name=name)


@needs("arrays")
def test_metadata_arrays(connected, fresh):
    metadatas = [{"tags": ["a", "b"], "ns": [1, 2, 3]}, {"tags": ["b"]}, {"halves": [0.5, 1.5], "flags": [True, False]}]
    name = fresh("l2")
    connected.call("add", name=name, ids=["x", "y", "z"], embeddings=[[float(i)] * DIMENSION for i in range(3)],
                   documents=["x", "y", "z"], metadatas=metadatas)
    assert connected.call("get", name=name)["metadatas"] == metadatas
    assert connected.call("get", name=name, where={"tags": {"$contains": "a"}})["ids"] == ["x"]


@needs("search")
def test_search_is_not_implemented(connected, client, fresh):
    refused(connected, "not implemented", client, "search", name=fresh("l2", Model()), embedding=[0.5] * DIMENSION)


@needs("fork")
def test_fork_is_not_implemented(connected, client, fresh):
    refused(connected, "not implemented", client, "fork", name=fresh("l2", Model()), new_name="forked")
