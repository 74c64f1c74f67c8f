"""kill -9 at random moments of writes and imports: a restart serves exactly what was acknowledged.

OMICS_VECTOR_TEST_SEED repeats a run; OMICS_VECTOR_TEST_KILLS sets the number of kills (24 unless told).
"""
import contextlib
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time

import drivers
import pytest
import stack as stacks

SEED = int(os.environ.get("OMICS_VECTOR_TEST_SEED", random.randrange(1 << 30)))
KILLS = int(os.environ.get("OMICS_VECTOR_TEST_KILLS", 24))
IMPORT_KILLS = max(2, KILLS // 4)
DIMENSION = 16
WRITERS = 3
IDS = 6000  # a writer's; all together outgrow the tail, so that kills meet sealing and building, too
BATCH_MAX = 300
ANSWER_ERROR_MAX = 1e-6


class Oracle:
    """What one writer's records must be. Of the write in flight at the kill, all or nothing may have happened."""

    def __init__(self):
        self.acknowledged = {}
        self.in_flight = None  # what `acknowledged` becomes if the last write counted

    def accepts(self, found):
        """True when `found` is one of the two states allowed; it is then the acknowledged one."""
        if found == self.acknowledged or (self.in_flight is not None and found == self.in_flight):
            self.acknowledged, self.in_flight = found, None
            return True
        return False


class Writer(threading.Thread):
    """Writes batches under ids of its own until the service is gone."""

    def __init__(self, stack, name, number, seed, oracle):
        super().__init__(daemon=True)
        self.stack, self.name_of_collection, self.prefix = stack, name, f"w{number}-"
        self.random, self.oracle = random.Random(seed), oracle
        self.error, self.writes = None, 0

    def run(self):
        driver = drivers.PythonGrpcDriver()
        try:
            driver.connect(self.stack, self.stack.token)
            while True:
                self.write(driver)
                self.writes += 1
        except drivers.ClientError as error:
            if error.name not in ("UNAVAILABLE", "CANCELLED", "UNKNOWN", "INTERNAL"):
                self.error = error
        except Exception as error:  # a thread's exception would be lost
            self.error = error
        finally:
            driver.close()

    def write(self, driver):
        state = self.oracle.acknowledged
        kind = self.random.choices(["add", "upsert", "delete"], [3, 3, 1])[0]
        ids = sorted({f"{self.prefix}{self.random.randrange(IDS)}" for _ in range(self.random.randint(1, BATCH_MAX))})
        after = dict(state)
        if kind == "delete":
            for id in ids:
                after.pop(id, None)
            change = {"ids": ids}
        else:
            stamp = float(self.random.randrange(1 << 20))
            for id in ids:
                if kind == "upsert" or id not in state:
                    after[id] = stamp
            change = {"ids": ids, "embeddings": [[stamp] * DIMENSION] * len(ids), "documents": [str(stamp)] * len(ids)}
        self.oracle.in_flight = after
        driver.call(kind, name=self.name_of_collection, **change)
        self.oracle.acknowledged, self.oracle.in_flight = after, None


def contents(stack, name):
    """id -> the number its embedding and document carry; both must agree."""
    driver = drivers.PythonGrpcDriver()
    driver.connect(stack, stack.token)
    found = {}
    count = driver.call("count", name=name)
    for offset in range(0, count, 500):
        page = driver.call("get", name=name, offset=offset, limit=500, include=["embeddings", "documents"])
        for id, embedding, document in zip(page["ids"], page["embeddings"], page["documents"]):
            assert len(set(embedding)) == 1 and float(document) == embedding[0], f"{id} is torn: {embedding[0]} {document}"
            found[id] = embedding[0]
    assert len(found) == count
    if found:
        assert_findable(driver, name, found)
    driver.close()
    return found


def assert_findable(driver, name, found):
    """What Get returns, Query finds: the nearest of a stored vector has that vector's value."""
    for id in sorted(found)[::max(1, len(found) // 5)]:
        answer = driver.call("query", name=name, embeddings=[[found[id]] * DIMENSION], n=1, include=["distances"])
        assert found[answer["ids"][0][0]] == found[id] and answer["distances"][0][0] <= ANSWER_ERROR_MAX


@pytest.fixture
def home():
    made = tempfile.mkdtemp(prefix="omics-")
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.parametrize("found", [{}, {"a": 1.0}, {"a": 1.0, "b": 2.0, "c": 9.0, "d": 9.0}, {"a": 9.0, "b": 2.0}, {"a": 1.0, "b": 2.0, "x": 0.0}],
                         ids=["all-lost", "one-lost", "torn-batch", "changed", "one-extra"])
def test_the_oracle_sees_a_wrong_state(found):
    oracle = Oracle()
    oracle.acknowledged = {"a": 1.0, "b": 2.0}
    oracle.in_flight = {"a": 9.0, "b": 2.0, "c": 9.0, "d": 9.0}
    assert not oracle.accepts(found)
    assert oracle.accepts(dict(oracle.acknowledged)) and oracle.in_flight is None


def test_kills_during_writes(home):
    print(f"seed {SEED}, {KILLS} kills")
    chance = random.Random(SEED)
    stack = stacks.Stack(home)
    oracles = [Oracle() for _ in range(WRITERS)]
    stack.start_service()
    driver = drivers.PythonGrpcDriver()
    driver.connect(stack, stack.token)
    driver.call("create", name="written", metric="l2")
    driver.close()
    writes, slowest = 0, 0.0
    try:
        for kill in range(KILLS):
            writers = [Writer(stack, "written", number, chance.randrange(1 << 30), oracle) for number, oracle in enumerate(oracles)]
            for writer in writers:
                writer.start()
            time.sleep(chance.uniform(0, 0.6))
            stack.service.kill()
            for writer in writers:
                writer.join(60)
                assert writer.error is None, f"seed {SEED}, kill {kill}: {writer.error}"
                writes += writer.writes
            started = time.monotonic()
            stack.start_service()
            slowest = max(slowest, time.monotonic() - started)
            found = contents(stack, "written")
            for number, oracle in enumerate(oracles):
                own = {id: value for id, value in found.items() if id.startswith(f"w{number}-")}
                assert oracle.accepts(own), f"seed {SEED}, kill {kill}: {difference(own, oracle.acknowledged)}"
        print(f"{KILLS} kills, {writes} acknowledged writes, {len(found)} records at the end, slowest restart {slowest:.2f} s")
        assert writes > KILLS, "the service was killed before it could write: the test proves nothing"
    finally:
        stack.kill()


def difference(found, expected):
    changed = [id for id in found.keys() & expected.keys() if found[id] != expected[id]]
    return f"missing {sorted(expected.keys() - found.keys())[:5]}, extra {sorted(found.keys() - expected.keys())[:5]}, changed {sorted(changed)[:5]}"


ONTOLOGY = ("cell_ontology_v2024_01", stacks.ONTOLOGY / "cell_ontology_sapbert_768.tar.gz", 3220)


def import_command(stack, offline):
    name, tarball, _ = ONTOLOGY
    where = ["--data-dir", stack.data] if offline else ["--address", stack.grpc]
    return [str(word) for word in (stacks.VECTORCTL, "import", tarball, "--collection", name, *where)]


def count_or_none(stack, name):
    status, _, answer = stack.request("GET", f"{stacks.V2}/collections/{name}")
    if status == 404:
        return None
    assert status == 200, answer
    return stack.json("GET", stack.collection_path(name) + "/count")


def timed_import(stack, offline):
    """Seconds of an import once the archive is in the page cache."""
    for extra in ([], ["--replace"]):
        started = time.monotonic()
        subprocess.run([*import_command(stack, offline), *extra], check=True, capture_output=True,
                       env=stacks.clean_environment(OMICS_VECTOR_TOKEN=stack.token))
    return time.monotonic() - started


@pytest.mark.parametrize("offline", [True, False], ids=["vectorctl-killed-offline", "service-killed"])
def test_kills_during_an_import(home, offline):
    """Whole or not there at all; and after the kills the import still works."""
    print(f"seed {SEED}, {IMPORT_KILLS} kills")
    chance = random.Random(SEED)
    name, _, records = ONTOLOGY
    with stacks.running_stack() as scratch:
        if offline:
            scratch.service.terminate()
        seconds = timed_import(scratch, offline)
    stack = stacks.Stack(home)
    whole = 0
    try:
        for kill in range(IMPORT_KILLS):
            if not offline:
                stack.start_service()
            stack.data.mkdir(exist_ok=True)
            importing = subprocess.Popen(import_command(stack, offline), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                         env=stacks.clean_environment(OMICS_VECTOR_TOKEN=stack.token))
            with contextlib.suppress(subprocess.TimeoutExpired):
                importing.wait(chance.uniform(0, seconds))
            if offline:
                importing.kill()
            else:
                stack.service.kill()
            acknowledged = importing.wait() == 0
            stack.start_service()
            stack.start_gateway()
            count = count_or_none(stack, name)
            assert count in (None, records), f"seed {SEED}, kill {kill}: a part of an import is served: {count}"
            assert not acknowledged or count == records, f"seed {SEED}, kill {kill}: an acknowledged import is lost"
            whole += count == records
            if count:
                assert stack.request("DELETE", f"{stacks.V2}/collections/{name}")[0] == 200
            stack.stop()
        stack.start_service()
        stack.start_gateway()
        stack.vectorctl("import", ONTOLOGY[1], "--collection", name)
        assert count_or_none(stack, name) == records
        stack.stop()
        print(f"{IMPORT_KILLS} kills within {seconds:.1f} s each, {whole} imports complete")
        assert left_over(stack.data) == [], "the kills have left files behind"
    finally:
        stack.kill()


def left_over(data):
    """Unpacked archives and half-written files that no start has swept away."""
    return sorted(str(path.relative_to(data)) for path in data.rglob("*")
                  if path.name in ("chroma.sqlite3", "data_level0.bin") or path.suffix in (".tmp", ".partial"))
