"""Collections that the service loads by itself: from S3 and from files, at start and when the source changes.

S3 is a real moto server on loopback.
"""
import hashlib
import http.client
import http.server
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
import time

import drivers
import environments
import ontology
import pytest
import stack as stacks
from moto_s3 import BUCKET, S3

CELLS, UBERON = ontology.tarball("cell_ontology"), ontology.tarball("uberon")
RECORDS = {CELLS: 3220, UBERON: 7407}
READY_SECONDS_MAX = 10
FIRST_QUERY_SECONDS_MAX = 0.05 * float(os.environ.get("OMICS_VECTOR_TEST_SLOWNESS", 20))  # the machine does other work, too
# Writes a store with two collections; runs in an environment of Chroma.
WRITER = """
import sys, chromadb
client = chromadb.PersistentClient(sys.argv[1], settings=chromadb.Settings(anonymized_telemetry=False))
for name, count in (("first_one", 3), ("second_one", 5)):
    client.create_collection(name).add(ids=[str(i) for i in range(count)], embeddings=[[i, 1.0, 2.0] for i in range(count)])
"""


@pytest.fixture(scope="module")
def s3():
    server = S3()
    try:
        yield server
    finally:
        server.close()


def prewarm_of(stack, collection):
    status = json.loads(stack.vectorctl("status", "--json").stdout)
    return next(one for one in status["prewarm"] if one["collection"] == collection)


def count(stack, collection):
    return stack.json("GET", f"{stack.collection_path(collection)}/count")


def query(stack, path, vector):
    return stack.json("POST", path + "/query", {"query_embeddings": [vector], "n_results": 10})


def cells_entry(url, **more):
    return {"collection": "cell_ontology_v2024_01", "url": url, "aliases": ["cell_type"], **more}


def test_from_an_empty_disk_to_the_first_query(s3):
    for tarball in (CELLS, UBERON):
        s3.put(f"v1/{tarball.name}", tarball.read_bytes())
    entries = [cells_entry(f"s3://{BUCKET}/v1/{CELLS.name}", sha256=hashlib.sha256(CELLS.read_bytes()).hexdigest()),
               {"collection": "uberon_v2024_01", "url": f"s3://{BUCKET}/v1/{UBERON.name}", "aliases": ["tissue"]}]
    vectors, wanted = ontology.queries("cell_ontology")
    begun = time.monotonic()
    with stacks.running_stack(settings=s3.settings(entries)) as stack:
        ready = time.monotonic() - begun
        for collection in ("cell_ontology_v2024_01", "uberon_v2024_01"):
            stack.vectorctl("health", "--service", collection)
        path = stack.collection_path("cell_type")
        asked = time.monotonic()
        found = query(stack, path, vectors[0].tolist())
        first_query = time.monotonic() - asked
        print(f"\nempty disk, S3: ready after {ready:.2f} s, first query {1000 * first_query:.1f} ms")
        assert len(found["ids"][0]) == 10
        assert ready + first_query <= READY_SECONDS_MAX
        assert first_query <= FIRST_QUERY_SECONDS_MAX
        assert count(stack, "cell_type") == RECORDS[CELLS]
        assert count(stack, "tissue") == RECORDS[UBERON]
        said = stack.vectorctl("status").stdout
        assert re.search(r"cell_ontology_v2024_01\s+current\s+yes", said), said
        metrics = http.client.HTTPConnection(stack.service_metrics)
        metrics.request("GET", "/metrics")
        text = metrics.getresponse().read().decode()
        metrics.close()
        for collection in ("cell_ontology_v2024_01", "uberon_v2024_01"):
            assert f'omics_vector_service_prewarm_served{{collection="{collection}"}} 1' in text
        # The disk is warm now, and the source is only asked.
        data = stack.data
        stack.stop()
        begun = time.monotonic()
        stack.start_service()
        print(f"warm disk: ready after {time.monotonic() - begun:.2f} s")
        assert data == stack.data
        stacks.eventually(lambda: prewarm_of(stack, "uberon_v2024_01")["state"] == "PREWARM_STATE_CURRENT", "asked again")
        assert " loaded records" not in stack.service.said()


class Asker(threading.Thread):
    """Queries a collection over and over, as a client that keeps its id does; any answer but hits is a failure."""

    def __init__(self, stack, path, vector):
        super().__init__(daemon=True)
        self.stack, self.path, self.vector = stack, path, vector
        self.answered, self.failed, self.stopping = 0, [], False

    def run(self):
        while not self.stopping:
            try:
                assert len(query(self.stack, self.path, self.vector)["ids"][0]) == 10
                self.answered += 1
            except Exception as error:
                self.failed.append(repr(error))
                return


def test_a_changed_source_is_swapped_in_under_running_queries(s3):
    s3.put("changing.tar.gz", CELLS.read_bytes())
    vectors, _ = ontology.queries("cell_ontology")
    with stacks.running_stack("--prewarm-poll-seconds", "1",
                              settings=s3.settings([cells_entry(f"s3://{BUCKET}/changing.tar.gz")])) as stack:
        path = stack.collection_path("cell_type")
        askers = [Asker(stack, path, vectors[i].tolist()) for i in range(2)]
        for asker in askers:
            asker.start()
        sizes = [RECORDS[CELLS]]
        for tarball in (UBERON, CELLS, UBERON):
            s3.put("changing.tar.gz", tarball.read_bytes())
            stacks.eventually(lambda: count(stack, "cell_ontology_v2024_01") == RECORDS[tarball], f"the swap to {tarball.name}")
            sizes.append(count(stack, "cell_type"))
            before = askers[0].answered
            stacks.eventually(lambda: askers[0].answered > before + 20 or askers[0].failed, "queries after the swap")
        for asker in askers:
            asker.stopping = True
            asker.join(30)
            assert asker.failed == []
        assert sizes == [RECORDS[tarball] for tarball in (CELLS, UBERON, CELLS, UBERON)]
        assert prewarm_of(stack, "cell_ontology_v2024_01")["failures"] == 0


def test_a_damaged_tarball_keeps_the_old_one(s3):
    s3.put("damaged.tar.gz", CELLS.read_bytes())
    with stacks.running_stack("--prewarm-poll-seconds", "1",
                              settings=s3.settings([cells_entry(f"s3://{BUCKET}/damaged.tar.gz")])) as stack:
        id = stack.json("GET", f"{stacks.V2}/collections/cell_type")["id"]
        whole = UBERON.read_bytes()
        for damaged in (whole[:len(whole) // 2], whole[:1000] + bytes(1000) + whole[2000:], b"", b"no archive"):
            s3.put("damaged.tar.gz", damaged)
            stacks.eventually(lambda: prewarm_of(stack, "cell_ontology_v2024_01")["failures"] > 0, "the failure")
            failed = prewarm_of(stack, "cell_ontology_v2024_01")
            assert failed["served"] and "damaged.tar.gz" in failed["error"], failed
            assert count(stack, "cell_type") == RECORDS[CELLS]
            assert stack.json("GET", f"{stacks.V2}/collections/cell_type")["id"] == id
            s3.put("damaged.tar.gz", CELLS.read_bytes())
            stacks.eventually(lambda: prewarm_of(stack, "cell_ontology_v2024_01")["failures"] == 0, "the recovery")
        stack.vectorctl("health", "--service", "cell_ontology_v2024_01")


class BreakingHandler(http.server.BaseHTTPRequestHandler):
    """Serves one file with an ETag; the first answers break off after some bytes. Knows ranges."""

    protocol_version = "HTTP/1.1"
    content, breaks, ranges = b"", 0, []

    def do_GET(self):
        cls = type(self)
        etag = f'"{hashlib.md5(cls.content).hexdigest()}"'
        if self.headers.get("If-None-Match") == etag:
            self.send_response(304)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(asked[1]) if asked else 0
        cls.ranges.append(begin)
        rest = cls.content[begin:]
        self.send_response(206 if asked else 200)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(rest)))
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{len(cls.content) - 1}/{len(cls.content)}")
        self.end_headers()
        if cls.breaks > 0:
            cls.breaks -= 1
            self.wfile.write(rest[:5_000_000])
            self.close_connection = True
            return
        self.wfile.write(rest)

    def log_message(self, *_):
        pass


def test_over_http_a_broken_download_is_resumed():
    BreakingHandler.content, BreakingHandler.breaks, BreakingHandler.ranges = CELLS.read_bytes(), 2, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), BreakingHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/cells.tar.gz?signature=secret"
        with stacks.running_stack("--prewarm-poll-seconds", "1",
                                  settings={"OMICS_VECTOR_PREWARM": json.dumps([cells_entry(url)])}) as stack:
            assert count(stack, "cell_type") == RECORDS[CELLS]
            resumed = [begin for begin in BreakingHandler.ranges if begin > 0]
            assert resumed and all(begin >= 4_000_000 for begin in resumed), BreakingHandler.ranges
            downloads = len(BreakingHandler.ranges)
            BreakingHandler.content = UBERON.read_bytes()
            stacks.eventually(lambda: count(stack, "cell_type") == RECORDS[UBERON], "the swap")
            assert len(BreakingHandler.ranges) == downloads + 1  # between the two it was asked only
            said = stack.service.said() + stack.vectorctl("status").stdout
            assert "secret" not in said and "?***" in said
    finally:
        server.shutdown()
        server.server_close()


def test_a_tarball_with_several_collections(tmp_path):
    store = tmp_path / "store"
    subprocess.run([environments.python_of("chromadb-1.5.9"), "-c", WRITER, store], check=True,
                   env=stacks.clean_environment())
    with tarfile.open(tmp_path / "both.tar.gz", "w:gz") as archive:
        archive.add(store, "store")
    url = f"file://{tmp_path}/both.tar.gz"
    with stacks.running_stack(settings={"OMICS_VECTOR_PREWARM": json.dumps([{"collection": "second_one", "url": url}])}) as stack:
        assert count(stack, "second_one") == 5
        assert [one["name"] for one in stack.json("GET", f"{stacks.V2}/collections")] == ["second_one"]


def test_what_cannot_be_chosen_is_named_and_the_service_waits(tmp_path):
    (tmp_path / "list.json").write_text(json.dumps([{"collection": "cells", "url": f"file://{tmp_path}/missing.tar.gz"}]))
    home = tmp_path / "home"
    home.mkdir()
    stack = stacks.Stack(home, settings={"OMICS_VECTOR_PREWARM": str(tmp_path / "list.json")})
    stack.data.mkdir()
    stack.service = stacks.Program([stacks.SERVICE, "--data-dir", stack.data, "--grpc-address", "127.0.0.1:0",
                                    "--metrics-address", ""], home / "service.log", stack.environment())
    try:
        stack.grpc = stack.service.wait_for(r'listening grpc=(\d[^\s",]*)')[1]
        stack.service.wait_for("missing.tar.gz")
        assert stack.vectorctl("health", check=False).returncode != 0
        shutil.copy(CELLS, tmp_path / "missing.tar.gz")
        stack.service.wait_for(r"\bready\b")
        stack.vectorctl("health", "--service", "cells")
        assert stack.service.terminate() == 0
    finally:
        stack.kill()


def test_a_bad_list_is_refused_with_its_place():
    for text, place in (('[{"collection": "cells"}]', 'entry 1 ("cells"): key "url" is missing'),
                        ('[{"collection": "cells", "url": "file:///a", "sha": ""}]', 'key "sha" is not known')):
        done = subprocess.run([stacks.SERVICE, "--insecure-no-auth", "--prewarm", text, "--check-config"],
                              capture_output=True, text=True, timeout=30, env=stacks.clean_environment())
        assert done.returncode == 2 and place in done.stderr, done


@pytest.mark.parametrize("client", ("chromadb-1.5.9", "chromadb-0.5.23", "grpc-python"))
def test_an_alias_is_a_name_for_every_client(client):
    with stacks.running_stack(imports=[(CELLS, "cells_v1"), (UBERON, "uberon_v1")]) as stack:
        stack.vectorctl("alias", "set", "latest", "cells_v1")
        driver = drivers.make_driver(client)
        try:
            driver.connect(stack, stack.token)
            assert driver.call("get_collection", name="latest")["name"] == "cells_v1"
            assert driver.call("count", name="latest") == RECORDS[CELLS]
            with pytest.raises(drivers.ClientError) as refused:
                driver.call("create", name="latest")
            assert "alias" in refused.value.message
            assert driver.call("create", name="latest", get_or_create=True)["name"] == "cells_v1"
            stack.vectorctl("alias", "set", "latest", "uberon_v1")
            assert driver.call("get_collection", name="latest")["name"] == "uberon_v1"
            assert driver.call("count", name="latest") == RECORDS[UBERON]
            assert sorted(driver.call("list")) == ["cells_v1", "uberon_v1"]
        finally:
            driver.close()
        assert re.search(r"latest\s+uberon_v1", stack.vectorctl("alias", "list").stdout)
        status, _, body = stack.request("POST", f"{stacks.V2}/collections", {"name": "latest"})
        assert status == 409, body
        stack.vectorctl("alias", "delete", "latest")
        assert stack.request("GET", f"{stacks.V2}/collections/latest")[0] == 404
        assert stack.vectorctl("alias", "delete", "latest", check=False).returncode == 1
        assert count(stack, "uberon_v1") == RECORDS[UBERON]
