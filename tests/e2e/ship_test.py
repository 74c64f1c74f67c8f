"""Shipping to S3: what is left when the disk is lost, and who may write.

S3 is a real moto server on loopback. A writer sends one change after the other and keeps what it sent; what is restored
must be the outcome of its first k changes, where k is bounded by what had been acknowledged.

OMICS_VECTOR_TEST_LOST_DISKS (default 1) is how often the disk is lost; OMICS_VECTOR_TEST_SEED makes up other rounds.
"""
import contextlib
import http.client
import itertools
import os
import random
import shutil
import tempfile
import threading
import time
import uuid

import ontology
import prewarm_test
import pytest
import stack as stacks

ROUNDS = int(os.environ.get("OMICS_VECTOR_TEST_LOST_DISKS", 1))
SEED = int(os.environ.get("OMICS_VECTOR_TEST_SEED", 1))
LEASE_SECONDS = 3
DIMENSION = 16
IDS = 200


@pytest.fixture(scope="module")
def s3():
    server = prewarm_test.S3()
    try:
        yield server
    finally:
        server.close()


def settings(s3, prefix, ship_seconds=1, lease_seconds=LEASE_SECONDS):
    return {"OMICS_VECTOR_SHIP_TO": f"s3://{prewarm_test.BUCKET}/{prefix}", "OMICS_VECTOR_SHIP_SECONDS": str(ship_seconds),
            "OMICS_VECTOR_LEASE_SECONDS": str(lease_seconds), "OMICS_VECTOR_S3_ENDPOINT": f"http://127.0.0.1:{s3.port}",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@contextlib.contextmanager
def task(s3, prefix, data=None, **options):
    """A started stack that ships to `prefix`; its disk goes with it unless `data` is given. Killed at the end."""
    home = tempfile.mkdtemp(prefix="omics-")
    stack = stacks.Stack(home, data, settings=settings(s3, prefix, **options))
    try:
        stack.start_service()
        stack.start_gateway()
        yield stack
    finally:
        stack.kill()
        shutil.rmtree(home, ignore_errors=True)


def shipped_until(stack):
    """What had been acknowledged by then is in S3."""
    asked = time.monotonic()
    return asked - stacks.gauge(stack.service_metrics, "omics_vector_service_ship_lag_seconds")


def wait_until_shipped(stack):
    now = time.monotonic()
    stacks.eventually(lambda: shipped_until(stack) > now, "shipped")


def contents(stack, path):
    """What is stored: {id: (vector, document, metadata)}."""
    answer = stack.json("POST", f"{path}/get", {"include": ["embeddings", "documents", "metadatas"], "limit": 10 * IDS})
    return {one: (vector, document, metadata) for one, vector, document, metadata in
            zip(answer["ids"], answer["embeddings"], answer["documents"], answer["metadatas"])}


class Change:
    """One change: a batch of records to upsert, or ids to delete."""

    def __init__(self, number, chance):
        self.acknowledged = None  # when
        ids = [str(one) for one in chance.sample(range(IDS), chance.randint(1, 20))]
        self.delete = ids if chance.random() < 0.2 else None
        self.upsert = None if self.delete else {
            one: ([chance.randint(-8, 8) / 4 for _ in range(DIMENSION)], f"text {number} {one}",
                  {"change": number, "share": number / 8}) for one in ids}

    def apply(self, model):
        for one in self.delete or ():
            model.pop(one, None)
        model.update(self.upsert or {})

    def send(self, stack, path):
        if self.delete:
            return stack.request("POST", f"{path}/delete", {"ids": self.delete})[0]
        vectors, documents, metadatas = zip(*self.upsert.values())
        return stack.request("POST", f"{path}/upsert", {"ids": list(self.upsert), "embeddings": vectors,
                                                        "documents": documents, "metadatas": metadatas})[0]


class Writer(threading.Thread):
    """Sends changes one by one until stop(), each again until it is acknowledged."""

    def __init__(self, stack, path, seed):
        super().__init__(daemon=True)
        self.stack, self.path, self.chance = stack, path, random.Random(seed)
        self.changes, self.ended, self.refused = [], False, 0

    def run(self):
        for number in itertools.count():
            change = Change(number, self.chance)
            if self.ended:
                return
            self.changes.append(change)
            while not change.acknowledged:
                try:
                    status = change.send(self.stack, self.path)
                except (OSError, http.client.HTTPException):
                    status = 0
                if status in (200, 201):
                    change.acknowledged = time.monotonic()
                elif self.ended:
                    return
                else:
                    self.refused += 1
                    time.sleep(0.02)

    def stop(self):
        self.ended = True
        self.join(60)
        assert not self.is_alive()

    def prefix_of(self, found, model):
        """The largest k for which `found` is what the first k changes make of `model`, or None."""
        state, matching = dict(model), None
        for k in range(len(self.changes) + 1):
            if state == found:
                matching = (k, dict(state))
            if k < len(self.changes):
                self.changes[k].apply(state)
        return matching


def insist(stack, path, body):
    """A write that must succeed, sooner or later: on a busy machine a lease so short may be late for a moment."""
    def succeeds():
        status, _, answer = stack.request("POST", path, body)
        assert status in (200, 201, 503), answer
        return status != 503
    stacks.eventually(succeeds, f"POST {path}")


def make_collection(stack):
    insist(stack, f"{stacks.V2}/collections", {"name": "written", "get_or_create": True, "metadata": {"made": True}})
    return stack.collection_path("written")


def test_a_lost_disk_costs_no_more_than_what_was_not_shipped_yet(s3):
    chance, prefix = random.Random(SEED), uuid.uuid4().hex
    model, writer, bound, killed = {}, None, None, None
    lost, lags, times = [], [], []
    for number in range(ROUNDS + 1):
        with task(s3, prefix) as stack:
            path = make_collection(stack)
            found = contents(stack, path)
            if writer:
                times.append(time.monotonic() - killed)
                matching = writer.prefix_of(found, model)
                assert matching, f"seed {SEED} round {number}: what was restored is no prefix of what was sent"
                k, model = matching
                due = sum(1 for change in writer.changes if change.acknowledged and change.acknowledged < bound)
                acknowledged = sum(1 for change in writer.changes if change.acknowledged)
                assert k >= due, f"seed {SEED} round {number}: {due - k} shipped changes are lost"
                lost.append(max(0, acknowledged - k))
            else:
                assert found == {}
            if number == ROUNDS:
                break
            writer = Writer(stack, path, chance.random())
            writer.start()
            time.sleep(chance.uniform(0, 3))
            bound = shipped_until(stack)
            killed = time.monotonic()
            stack.service.kill()
            lags.append(killed - bound)
            writer.stop()
    print(f"\n{ROUNDS} disks lost (seed {SEED}): at most {max(lost)} acknowledged changes lost, all of the last "
          f"{max(lags):.2f} s; {sum(1 for one in lost if one == 0)} rounds lost none; ready again after "
          f"{min(times):.1f} to {max(times):.1f} s, {1.25 * LEASE_SECONDS:.2f} s of it the lease")


def test_sigterm_loses_nothing_and_the_next_need_not_wait(s3):
    prefix = uuid.uuid4().hex
    # Only the end ships: the interval is never over.
    with task(s3, prefix, ship_seconds=3600, lease_seconds=60) as stack:
        path = make_collection(stack)
        stack.vectorctl("alias", "set", "other_name", "written")
        stack.vectorctl("import", prewarm_test.CELLS, "--collection", "cells")
        vectors, _ = ontology.queries("cell_ontology")
        cells = stack.collection_path("cells")
        stack.json("POST", f"{cells}/upsert", {"ids": ["one more"], "embeddings": [vectors[0].tolist()]})
        stack.json("POST", f"{stacks.V2}/collections", {"name": "empty_one"})
        stack.json("POST", f"{stacks.V2}/collections", {"name": "gone_one"})
        stack.json("DELETE", f"{stacks.V2}/collections/gone_one")
        writer = Writer(stack, path, SEED)
        writer.start()
        time.sleep(0.5)
        writer.ended = True
        writer.join(60)
        assert stack.stop() == [0, 0]
        assert "all changes are shipped" in stack.service.said()
        assert "shipped bundle=" in stack.service.said()
    begun = time.monotonic()
    with task(s3, prefix) as stack:
        assert "waiting for the lease" not in stack.service.said()
        told = stack.vectorctl("status").stdout
        assert f"shipping to s3://{prewarm_test.BUCKET}/{prefix}: writes acknowledged, lease " in told and "not shipped" not in told
        print(f"\nready {time.monotonic() - begun:.2f} s after the start on an empty disk")
        wanted = {}
        for change in writer.changes:
            assert change.acknowledged
            change.apply(wanted)
        assert contents(stack, stack.collection_path("other_name")) == wanted
        assert contents(stack, stack.collection_path("empty_one")) == {}
        assert stack.request("GET", f"{stacks.V2}/collections/gone_one")[0] == 404
        assert stack.json("GET", f"{cells}/count") == prewarm_test.RECORDS[prewarm_test.CELLS] + 1
        assert prewarm_test.query(stack, cells, vectors[0].tolist())["ids"][0][0] == "one more"
        assert stack.json("GET", f"{stacks.V2}/collections/written")["metadata"] == {"made": True}


def test_a_kept_disk_ships_what_s3_does_not_have(s3):
    prefix = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="omics-data-") as data:
        with task(s3, prefix, data=data, ship_seconds=3600) as stack:
            path = make_collection(stack)
            writer = Writer(stack, path, SEED)
            writer.start()
            time.sleep(0.3)
            writer.stop()
            wanted = {}
            for change in writer.changes:
                change.apply(wanted)
            stack.service.kill()
        with task(s3, prefix, data=data) as stack:
            assert contents(stack, stack.collection_path("written")) == wanted
            assert stack.stop() == [0, 0]
    with task(s3, prefix) as stack:
        assert contents(stack, stack.collection_path("written")) == wanted


def test_sigterm_ends_one_that_waits_for_the_lease(s3, tmp_path):
    prefix = uuid.uuid4().hex
    with task(s3, prefix) as first:
        second = stacks.Program([stacks.SERVICE, "--data-dir", tmp_path / "data", "--grpc-address", "127.0.0.1:0",
                                 "--metrics-address", ""], tmp_path / "log",
                                stacks.clean_environment(CHROMA_SERVER_AUTHN_CREDENTIALS=first.token,
                                                         **settings(s3, prefix)))
        try:
            second.wait_for("waiting for the lease")
            assert second.terminate() == 0
        finally:
            second.kill()
        make_collection(first)


def test_of_two_services_one_writes_and_an_overtaken_disk_is_kept(s3):
    prefix = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="omics-data-") as data:
        with task(s3, prefix, data=data) as first:
            path = make_collection(first)
            one = {"ids": ["1"], "embeddings": [[1.0] * DIMENSION]}
            insist(first, f"{path}/upsert", one)
            wait_until_shipped(first)
            # The first one sleeps, and wakes when another has taken over.
            first.service.process.send_signal(19)
            with task(s3, prefix) as second:
                assert "waiting for the lease" in second.service.said()
                assert list(contents(second, path)) == ["1"]
                insist(second, f"{path}/upsert", {**one, "ids": ["2"]})
                first.service.process.send_signal(18)
                status, _, answer = first.request("POST", f"{path}/upsert", {**one, "ids": ["3"]})
                assert status == 503, answer
                assert list(contents(first, path)) == ["1"]
                stacks.eventually(lambda: first.request("GET", "/readyz")[0] == 503, "not ready")
                assert sorted(contents(second, path)) == ["1", "2"]
                assert second.stop() == [0, 0]
        with task(s3, prefix, data=data) as again:
            assert sorted(contents(again, path)) == ["1", "2"]
            assert "is now in" in again.service.said()
        assert any(name.startswith("superseded-") for name in os.listdir(data))
