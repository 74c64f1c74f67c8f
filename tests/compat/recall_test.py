"""The real ontologies, imported and queried with 1,000 real queries each, over gRPC and over REST, against brute force."""
import time

import drivers
import numpy
import ontology
import pytest
import stack as stacks

K = 10
RECALL_MIN = .99
DISTANCE_ERROR_MAX = 1e-5
BATCH = 100
NAMES = {"cell_ontology": "cell_ontology_v2024_01", "uberon": "uberon_v2024_01"}


@pytest.fixture(scope="module")
def served():
    with stacks.running_stack(imports=[(ontology.tarball(name), collection) for name, collection in NAMES.items()]) as started:
        yield started


def over_rest(started, collection, vectors):
    path = started.collection_path(collection)
    ids, distances = [], []
    for start in range(0, len(vectors), BATCH):
        answer = started.json("POST", path + "/query", {"query_embeddings": vectors[start:start + BATCH].tolist(), "n_results": K,
                                                        "include": ["distances"]})
        ids += answer["ids"]
        distances += answer["distances"]
    return ids, distances


def over_grpc(started, collection, vectors):
    driver = drivers.PythonGrpcDriver()
    driver.connect(started, started.token)
    ids, distances = [], []
    for start in range(0, len(vectors), BATCH):
        answer = driver.call("query", name=collection, embeddings=vectors[start:start + BATCH].tolist(), n=K, include=["distances"])
        ids += answer["ids"]
        distances += answer["distances"]
    driver.close()
    return ids, distances


@pytest.mark.parametrize("ask", [over_grpc, over_rest])
@pytest.mark.parametrize("name", NAMES)
def test_recall_and_distances(served, name, ask):
    ids, base, _ = ontology.stored(name)
    vectors, texts = ontology.queries(name)
    truth = ontology.cosine_distances(vectors, base)
    rows = {id: row for row, id in enumerate(ids)}
    started = time.monotonic()
    found, told = ask(served, NAMES[name], vectors)
    seconds = time.monotonic() - started
    assert all(len(row) == K for row in found)
    hits = sum(len({ids[row] for row in numpy.argsort(truth[query])[:K]} & set(found[query])) for query in range(len(vectors)))
    recall = hits / (K * len(vectors))
    expected = numpy.array([[truth[query][rows[id]] for id in found[query]] for query in range(len(vectors))])
    error = float(numpy.abs(expected - numpy.array(told)).max())
    first = sum(term in row for (_, term), row in zip(texts, found)) / len(texts)
    print(f"{name} {ask.__name__}: recall@{K} {recall:.4f}, largest distance error {error:.1e}, expected term in the first "
          f"{K} for {first:.2f}, {seconds:.1f} s")
    assert recall >= RECALL_MIN
    assert error <= DISTANCE_ERROR_MAX


@pytest.mark.parametrize("name", NAMES)
def test_an_import_holds_what_chroma_stored(served, name):
    ids, base, documents = ontology.stored(name)
    path = served.collection_path(NAMES[name])
    got = served.json("POST", path + "/get", {"include": ["embeddings", "documents"]})
    assert sorted(got["ids"]) == sorted(ids)
    order = [got["ids"].index(id) for id in ids] if got["ids"] != ids else range(len(ids))
    assert numpy.abs(numpy.asarray(got["embeddings"], "f4")[list(order)] - base).max() <= 2e-6
    assert [got["documents"][row] for row in order] == documents
