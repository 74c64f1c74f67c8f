"""The stores that five Chroma versions wrote, imported by vectorctl into a running service: nothing missing, nothing extra."""
import json
import tarfile

import drivers
import numpy
import pytest
import stack as stacks

ERROR_MAX = 2e-6
VERSIONS = ("0.4.14", "0.4.24", "0.5.23", "0.6.3", "1.4.4")


DIMENSION = 16
DELETED = ("id5", "id6", "id2299")  # the last of what was done to each store, most of it only in its write-ahead log
ALL_ONES = ("id8", "new1")


def last_vectors(version):
    """What that version was last told, id by id: the archive carries what was added beside the store."""
    with tarfile.open(stacks.CHROMA_STORES / f"chroma-store-{version}.tar.gz") as archive:
        name, = (name for name in archive.getnames() if name.rpartition("/")[2].startswith("vecs-"))
        sent = json.load(archive.extractfile(name))
    return {**{id: vector for id, vector in sent.items() if id not in DELETED}, **{id: [1.0] * DIMENSION for id in ALL_ONES}}


@pytest.fixture(scope="module")
def empty():
    with stacks.running_stack() as started:
        yield started


@pytest.fixture(scope="module")
def reader(empty):
    driver = drivers.PythonGrpcDriver()
    driver.connect(empty, empty.token)
    yield driver
    driver.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_record_of_a_store_arrives(empty, reader, version):
    before = set(reader.call("list"))
    empty.vectorctl("import", stacks.CHROMA_STORES / f"chroma-store-{version}.tar.gz")
    made = sorted(set(reader.call("list")) - before)
    expected = last_vectors(version)
    found = {}
    for name in made:
        for start in range(0, reader.call("count", name=name), 500):
            page = reader.call("get", name=name, offset=start, limit=500, include=["embeddings"])
            found.update(zip(page["ids"], page["embeddings"]))
        reader.call("delete_collection", name=name)
    assert found.keys() == expected.keys()
    assert max(numpy.abs(numpy.subtract(found[id], expected[id])).max() for id in expected) <= ERROR_MAX


def test_an_import_under_a_name_that_is_taken_changes_nothing(empty, reader):
    tarball = stacks.ONTOLOGY / "cell_ontology_sapbert_768.tar.gz"
    empty.vectorctl("import", tarball, "--collection", "twice")
    again = empty.vectorctl("import", tarball, "--collection", "twice", check=False)
    assert again.returncode == 1 and "twice" in again.stderr
    assert reader.call("count", name="twice") == 3220
    reader.call("delete_collection", name="twice")
