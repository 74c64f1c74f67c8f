"""Bundles by the real programs: pushed to S3 by one service and loaded at start by an empty one; saved, checked, loaded.

S3 is a real moto server on loopback.
"""
import json
import re
import subprocess
import time

import moto_s3
import ontology
import pytest
import stack as stacks

BUCKET = "bundles"
CELLS, UBERON = ontology.tarball("cell_ontology"), ontology.tarball("uberon")
COLLECTIONS = {"cell_ontology_v2024_01": (CELLS, "cell_type", 3220), "uberon_v2024_01": (UBERON, "tissue", 7407)}
# The aim is 2 s; a loaded machine has ten times that.
READY_SECONDS_MAX = 20


@pytest.fixture(scope="module")
def s3():
    server = moto_s3.S3(BUCKET)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def source(s3):
    """A service with both ontologies, whose graphs are built."""
    imports = [(tarball, collection) for collection, (tarball, _, _) in COLLECTIONS.items()]
    with stacks.running_stack(imports=imports, settings=s3.settings([])) as stack:
        yield stack


def query(stack, collection, vector):
    return stack.json("POST", stack.collection_path(collection) + "/query", {"query_embeddings": [vector], "n_results": 10})


def status_of(stack, collection):
    status = json.loads(stack.vectorctl("status", "--json").stdout)
    return next(one for one in status["collections"] if one["collection"]["name"] == collection)


def rows_of(stack, collection):
    status = status_of(stack, collection)
    return {key: status.get(key) for key in ("records", "graph_rows", "tail_rows", "segments")}


def test_pushed_to_s3_and_loaded_by_an_empty_service(s3, source):
    entries = []
    for collection, (_, alias, _) in COLLECTIONS.items():
        url = f"s3://{BUCKET}/v2/{collection}.tar.zst"
        begun = time.monotonic()
        said = source.vectorctl("bundle", "push", collection, url).stdout
        size = re.search(r"number \d+, (\S+ \S+), sha256", said)[1]
        print(f"\npushed {collection}: {size} in {time.monotonic() - begun:.2f} s")
        entry = json.loads(said.splitlines()[-1])
        assert entry["collection"] == collection and entry["url"] == url
        assert s3.get(f"v2/{collection}.tar.zst.sha256").decode() == f"{entry['sha256']}  {collection}.tar.zst\n"
        entries.append({**entry, "aliases": [alias]})
    vectors, _ = ontology.queries("cell_ontology")
    begun = time.monotonic()
    with stacks.running_stack(settings=s3.settings(entries)) as stack:
        ready = time.monotonic() - begun
        asked = time.monotonic()
        found = query(stack, "cell_type", vectors[0].tolist())
        first_query = time.monotonic() - asked
        said = stack.service.said()
        loads = re.findall(r"import_seconds=([\d.]+)", said)
        print(f"empty disk, bundles in S3: both programs ready after {ready:.2f} s, of which loading took {loads} s; "
              f"first query {1000 * first_query:.1f} ms")
        assert ready + first_query <= READY_SECONDS_MAX
        assert found["ids"] == query(source, "cell_ontology_v2024_01", vectors[0].tolist())["ids"]
        for collection, (_, alias, records) in COLLECTIONS.items():
            assert rows_of(stack, collection) == rows_of(source, collection), "a graph is missing"
            assert stack.json("GET", f"{stack.collection_path(alias)}/count") == records


def test_a_damaged_bundle_in_s3_is_not_served(s3, source, tmp_path):
    whole = tmp_path / "cells.tar.zst"
    source.vectorctl("bundle", "save", "cell_ontology_v2024_01", whole)
    bundle = whole.read_bytes()
    damaged = bytearray(bundle)
    damaged[len(bundle) // 2] ^= 1
    s3.put("damaged.tar.zst", bytes(damaged))
    entries = [{"collection": "cells", "url": f"s3://{BUCKET}/damaged.tar.zst"}]
    home = tmp_path / "home"
    home.mkdir()
    stack = stacks.Stack(home, settings=s3.settings(entries))
    stack.data.mkdir()
    stack.service = stacks.Program([stacks.SERVICE, "--data-dir", stack.data, "--grpc-address", "127.0.0.1:0",
                                    "--metrics-address", ""], home / "service.log", stack.environment())
    try:
        stack.grpc = stack.service.wait_for(r'listening grpc=(\d[^\s",]*)')[1]
        stack.service.wait_for("bundle member")
        assert list((stack.data / "collections").iterdir()) == []
        s3.put("damaged.tar.zst", bundle)
        stack.service.wait_for(r"\bready\b")
        assert stack.service.terminate() == 0
    finally:
        stack.kill()


def test_saved_checked_and_loaded(source, tmp_path):
    file = tmp_path / "cells.tar.zst"
    saved = source.vectorctl("bundle", "save", "cell_ontology_v2024_01", file).stdout
    assert "3,220 records" in saved
    again = source.vectorctl("bundle", "save", "cell_ontology_v2024_01", file, check=False)
    assert again.returncode == 1 and "exists" in again.stderr
    with stacks.running_stack(gateway=False) as stack:
        loaded = stack.vectorctl("bundle", "load", file, "--name", "cells_v1", "--alias", "cell_type").stdout
        assert loaded.startswith("loaded cells_v1: 3,220 records"), loaded
        taken = stack.vectorctl("bundle", "load", file, "--name", "cells_v1", check=False)
        assert taken.returncode == 1 and "already exists" in taken.stderr
        stack.vectorctl("bundle", "load", file, "--name", "cells_v1", "--replace")
        assert rows_of(stack, "cells_v1") == rows_of(source, "cell_ontology_v2024_01")
        assert re.search(r"cell_type\s+cells_v1", stack.vectorctl("alias", "list").stdout)
        damaged = tmp_path / "damaged.tar.zst"
        damaged.write_bytes(file.read_bytes()[:-100_000])
        refused = stack.vectorctl("bundle", "load", damaged, "--name", "other", check=False)
        assert refused.returncode == 1 and "bundle member" in refused.stderr and "cut off" in refused.stderr
        missing = stack.vectorctl("bundle", "save", "missing", tmp_path / "missing", check=False)
        assert missing.returncode == 1 and "does not exist" in missing.stderr and not (tmp_path / "missing").exists()
        # Offline, and back.
        stack.stop()
        offline = tmp_path / "offline.tar.zst"
        stack.vectorctl("bundle", "save", "cells_v1", offline, offline=True)
        stack.vectorctl("bundle", "load", offline, "--name", "cells_v2", offline=True)
        stack.start_service()
        assert rows_of(stack, "cells_v2") == rows_of(stack, "cells_v1")


@pytest.mark.parametrize("words, part", (
    (("verify", "FILE"), "is whole: cell_ontology_v2024_01, 3,220 records, 768 dimensions"),
    (("verify", "DAMAGED"), "bundle member"), (("verify", "MISSING"), "MISSING"),
    (("verify", str(CELLS)), "no bundle"), (("push", "x", "https://example.org/x"), "s3://"), (("unknown",), "Usage")))
def test_what_vectorctl_says(source, tmp_path, words, part):
    if "FILE" in words or "DAMAGED" in words:
        file = tmp_path / "FILE"
        source.vectorctl("bundle", "save", "cell_ontology_v2024_01", file)
        bytes = file.read_bytes()
        (tmp_path / "DAMAGED").write_bytes(bytes[:1_000_000] + b"\0" * 16 + bytes[1_000_016:])
    words = [tmp_path / word if word.isupper() else word for word in words]
    done = subprocess.run([str(word) for word in (stacks.VECTORCTL, "bundle", *words)], capture_output=True, text=True,
                          timeout=60, env=stacks.clean_environment())
    assert part in done.stdout + done.stderr
    assert done.returncode == (0 if part.startswith("is whole") else 2 if part == "Usage" else 1)
