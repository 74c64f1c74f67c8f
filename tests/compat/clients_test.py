"""What each pinned client does to the two real programs, checked against a plain model of records in memory."""
import itertools
import json

import drivers
import numpy
import pytest
import stack as stacks

DIMENSION = 8
RECORDS = 40
DISTANCE_ERROR_MAX = 1e-5
numbers = itertools.count()

# What a client raises, by the situation. Clients name errors in their own way; these are the names their users catch.
WRONG_TOKEN = {
    "chromadb-1.5.9": {"ChromaAuthError"},
    "chromadb-0.5.23": {"ChromaAuthError"},
    "chromadb-0.4.24": {"AuthorizationError"},
    "javascript-3.5.0": {"ChromaForbiddenError"},
    "javascript-1.10.5": {"ChromaForbiddenError", "Error"},  # an Error that names the other, where no token was given
    "grpc-python": {"UNAUTHENTICATED"},
    "grpcurl": {"UNAUTHENTICATED"},
}
MISSING = {
    "chromadb-1.5.9": {"NotFoundError"},
    "chromadb-0.5.23": {"NotFoundError", "InvalidCollectionException"},
    "chromadb-0.4.24": {"HTTPError", "Exception", "ValueError", "InvalidCollectionException"},
    "javascript-3.5.0": {"ChromaNotFoundError"},
    "javascript-1.10.5": {"ChromaNotFoundError", "InvalidCollectionError", "NotFoundError"},
    "grpc-python": {"NOT_FOUND"},
    "grpcurl": {"NOT_FOUND"},
}
EXISTS = {
    "chromadb-1.5.9": {"ChromaError", "UniqueConstraintError", "InternalError"},
    "chromadb-0.5.23": {"UniqueConstraintError", "Exception"},
    "chromadb-0.4.24": {"Exception", "HTTPError", "UniqueConstraintError"},
    "javascript-3.5.0": {"ChromaUniqueError"},
    "javascript-1.10.5": {"ChromaUniqueError"},
    "grpc-python": {"ALREADY_EXISTS"},
    "grpcurl": {"ALREADY_EXISTS"},
}
WRONG_DIMENSION = {
    "chromadb-1.5.9": {"InvalidArgumentError", "InvalidDimensionException"},
    "chromadb-0.5.23": {"InvalidArgumentError", "InvalidDimensionException"},
    "chromadb-0.4.24": {"InvalidDimensionException"},
    "javascript-3.5.0": {"ChromaClientError"},
    "javascript-1.10.5": {"InvalidArgumentError", "ChromaClientError", "ChromaValueError"},
    "grpc-python": {"INVALID_ARGUMENT"},
    "grpcurl": {"INVALID_ARGUMENT"},
}


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

    def nearest(self, query, metric, n):
        """(ids, distances) by brute force in float64."""
        base, query = numpy.asarray(self.embeddings, "f8"), numpy.asarray(query, "f8")
        dot = base @ query
        distances = {"ip": 1 - dot, "l2": ((base - query) ** 2).sum(1),
                     "cosine": 1 - dot / numpy.linalg.norm(base, axis=1) / numpy.linalg.norm(query)}[metric]
        order = numpy.argsort(distances, kind="stable")[:n]
        return [self.ids[i] for i in order], distances[order]


@pytest.fixture
def fresh(connected):
    """Makes collections of the client's own that are gone afterwards: fresh(metric, model) -> name."""
    made = []

    def make(metric=None, model=None):
        name = f"fresh-{next(numbers)}"
        connected.call("create", name=name, metric=metric)
        made.append(name)
        if model:
            connected.call("add", name=name, **model.records())
        return name

    yield make
    for name in made:
        try:
            connected.call("delete_collection", name=name)
        except drivers.ClientError as error:
            assert error.name in set().union(*MISSING.values()), error  # a test has deleted it


def raised(driver, op, **arguments):
    with pytest.raises(drivers.ClientError) as caught:
        driver.call(op, **arguments)
    return caught.value


def close(actual, expected):
    return numpy.allclose(numpy.asarray(actual, "f8"), numpy.asarray(expected, "f8"), rtol=0, atol=DISTANCE_ERROR_MAX)


def assert_holds(connected, name, model):
    """The collection holds exactly the model's records."""
    found = connected.call("get", name=name, limit=len(model.ids) + 5, include=["embeddings", "documents", "metadatas"])
    rows = {id: row for row, id in enumerate(found["ids"])}
    assert sorted(rows) == sorted(model.ids)
    order = [rows[id] for id in model.ids]
    assert close([found["embeddings"][row] for row in order], model.embeddings)
    assert [found["documents"][row] for row in order] == model.documents
    assert [found["metadatas"][row] for row in order] == model.metadatas
    assert connected.call("count", name=name) == len(model.ids)


def test_connects_with_the_right_token(client, stack):
    spellings = ("headers", "token", "bearer") if client.startswith("chromadb") else ("token", "bearer")
    for spelling in spellings:
        driver = drivers.make_driver(client)
        driver.connect(stack, stack.token, spelling)
        assert "cell_ontology_v2024_01" in driver.call("list")
        driver.close()


@pytest.mark.parametrize("kind", ["wrong", "none"])
def test_is_refused_with_another_token(client, stack, kind):
    token = None if kind == "none" else "x" + stack.token[1:-1] + "x"
    driver = drivers.make_driver(client)
    with pytest.raises(drivers.ClientError) as caught:
        driver.connect(stack, token, "token")
    driver.close()
    assert caught.value.name in WRONG_TOKEN[client]


def test_create(connected, fresh):
    name = fresh("cosine")
    found = connected.call("get_collection", name=name)
    assert found["name"] == name and len(found["id"]) == 36
    assert connected.call("count", name=name) == 0


def test_create_keeps_metadata(connected):
    name, metadata = f"told-{next(numbers)}", {"source": "cl", "year": 2024}
    made = connected.call("create", name=name, metadata=metadata)
    found = connected.call("get_collection", name=name)
    assert made == found
    assert {key: found["metadata"][key] for key in metadata} == metadata
    connected.call("delete_collection", name=name)


def test_create_of_a_name_that_is_taken(connected, client, fresh):
    assert raised(connected, "create", name=fresh()).name in EXISTS[client]


def test_get_or_create(connected, fresh):
    name = fresh()
    assert connected.call("create", name=name, get_or_create=True)["id"] == connected.call("get_collection", name=name)["id"]


def test_add_and_count(connected, fresh):
    model = Model()
    assert_holds(connected, fresh("l2", model), model)


def test_get_by_id(connected, fresh):
    model = Model()
    found = connected.call("get", name=fresh("l2", model), ids=["r7", "r3", "missing"], include=["documents", "metadatas"])
    assert sorted(found["ids"]) == ["r3", "r7"]
    assert found["documents"][found["ids"].index("r7")] == model.documents[7]
    assert found["metadatas"][found["ids"].index("r7")] == model.metadatas[7]


def test_get_a_page(connected, fresh):
    name = fresh("l2", Model())
    pages = [connected.call("get", name=name, limit=16, offset=offset)["ids"] for offset in (0, 16, 32)]
    assert [len(page) for page in pages] == [16, 16, 8]
    assert sorted(id for page in pages for id in page) == sorted(Model().ids)


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_query(connected, fresh, metric):
    model = Model()
    name = fresh(metric, model)
    queries = numpy.random.default_rng(7).standard_normal((3, DIMENSION)).astype("f4").tolist()
    found = connected.call("query", name=name, embeddings=queries, n=5, include=["documents", "metadatas", "distances"])
    assert len(found["ids"]) == len(queries)
    for row, query in enumerate(queries):
        ids, distances = model.nearest(query, metric, 5)
        assert found["ids"][row] == ids
        assert close(found["distances"][row], distances)
        assert found["documents"][row] == [model.documents[model.ids.index(id)] for id in ids]
        assert found["metadatas"][row] == [model.metadatas[model.ids.index(id)] for id in ids]


def test_query_of_the_cell_ontology(connected):
    stored = connected.call("get", name="cell_ontology_v2024_01", limit=4000, include=["embeddings"])
    base = numpy.asarray(stored["embeddings"], "f4")
    assert base.shape == (3220, 768)
    texts = json.loads((stacks.ONTOLOGY / "cell_ontology.queries.json").read_text())[:20]
    queries = numpy.load(stacks.ONTOLOGY / "cell_ontology.queries.npy")[:20]
    found = connected.call("query", name="cell_ontology_v2024_01", embeddings=queries.tolist(), n=10, include=["documents", "distances"])
    unit = base / numpy.linalg.norm(base, axis=1, keepdims=True)
    distances = 1 - (queries / numpy.linalg.norm(queries, axis=1, keepdims=True)) @ unit.T
    rows = {id: row for row, id in enumerate(stored["ids"])}
    hits = 0
    for query, (ids, told) in enumerate(zip(found["ids"], found["distances"])):
        truth = {stored["ids"][row] for row in numpy.argsort(distances[query])[:10]}
        hits += len(truth & set(ids))
        assert close(told, [distances[query][rows[id]] for id in ids]), texts[query]
        assert sorted(told) == told
    assert hits >= .99 * 10 * len(texts)
    assert all(document.partition(":")[0] for row in found["documents"] for document in row)


def test_upsert(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    model.ids.append("new")
    model.embeddings.append([1.5] * DIMENSION)
    model.documents.append("a new one")
    model.metadatas.append({"n": -1})
    model.embeddings[4], model.documents[4], model.metadatas[4]["n"] = [2.5] * DIMENSION, "changed", 400
    both = [4, RECORDS]
    connected.call("upsert", name=name, **{key: [values[row] for row in both] for key, values in model.records().items()})
    assert_holds(connected, name, model)


def test_update(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    model.embeddings[9], model.documents[9] = [3.5] * DIMENSION, "updated"
    model.metadatas[9]["n"] = 900
    connected.call("update", name=name, ids=["r9"], embeddings=[model.embeddings[9]], documents=["updated"], metadatas=[{"n": 900}])
    assert_holds(connected, name, model)


def test_delete_records(connected, fresh):
    model = Model()
    name = fresh("l2", model)
    connected.call("delete", name=name, ids=["r0", "r39", "missing"])
    for values in (model.ids, model.embeddings, model.documents, model.metadatas):
        del values[39], values[0]
    assert_holds(connected, name, model)


def test_list(connected, fresh):
    names = [fresh(), fresh()]
    listed = connected.call("list")
    assert set(names) <= set(listed) and "cell_ontology_v2024_01" in listed


def test_delete_collection(connected, client, fresh):
    name = fresh("l2", Model())
    connected.call("delete_collection", name=name)
    assert name not in connected.call("list")
    assert raised(connected, "get_collection", name=name).name in MISSING[client]


def test_error_for_an_unknown_collection(connected, client):
    assert raised(connected, "get_collection", name="no-such-collection").name in MISSING[client]


def test_error_for_a_wrong_dimension(connected, client, fresh):
    model = Model()
    name = fresh("l2", model)
    error = raised(connected, "add", name=name, ids=["bad"], embeddings=[[1.0, 2.0, 3.0]], documents=["d"], metadatas=[{"a": 1}])
    assert error.name in WRONG_DIMENSION[client]
    assert_holds(connected, name, model)
