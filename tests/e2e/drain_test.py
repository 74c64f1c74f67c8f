"""SIGTERM under load: what was begun is finished, what comes later is turned away by name, nothing fails."""
import http.client
import json
import os
import random
import threading
import time

import drivers
import pytest
import stack as stacks

SEED = int(os.environ.get("OMICS_VECTOR_TEST_SEED", random.randrange(1 << 30)))
CLIENTS = 4
DIMENSION = 16
EXIT_SECONDS_MAX = 20
# What gRPC says, also as UNAVAILABLE, of a call that was under way when its connection went.
BROKEN_CALL = ("Socket closed", "Connection reset", "Stream removed", "transport")


class Load(threading.Thread):
    """Writes one record after the other and counts how it went; stops when it is turned away."""

    def __init__(self, number, stack, write):
        super().__init__(daemon=True)
        self.number, self.stack, self.write = number, stack, write
        self.acknowledged, self.failed, self.turned_away = [], [], None

    def run(self):
        for serial in range(1 << 30):
            id = f"c{self.number}-{serial}"
            try:
                outcome = self.write(self.stack, id)
            except Exception as error:
                self.failed.append(repr(error))
                return
            if outcome != "ok":
                self.turned_away = outcome
                return
            self.acknowledged.append(id)


def record(id):
    return {"ids": [id], "embeddings": [[random.random()] * DIMENSION], "documents": [id]}


def rest_writer():
    """Keeps a connection; a new one when the server has closed it between two requests. 503 and a closed door turn away."""
    local = threading.local()

    def write(stack, id):
        for attempt in (1, 2):
            if attempt == 2 or not hasattr(local, "connection"):
                local.connection = stack.connect()
            try:
                local.connection.request("POST", stack.path + "/upsert", body=json.dumps(record(id)),
                                         headers={"X-Chroma-Token": stack.token, "Content-Type": "application/json"})
                answer = local.connection.getresponse()
                body = answer.read()
                break
            except ConnectionRefusedError:
                return "refused"
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if attempt == 2:  # a fresh connection was taken and then dropped
                    raise
        if answer.status == 503:
            return "503"
        assert answer.status == 200, (answer.status, body)
        return "ok"

    return write


def grpc_writer():
    local = threading.local()

    def write(stack, id):
        if not hasattr(local, "driver"):
            local.driver = drivers.PythonGrpcDriver()
            local.driver.connect(stack, stack.token)
        try:
            local.driver.call("upsert", name="drained", **record(id))
        except drivers.ClientError as error:
            broken = any(word in error.message for word in BROKEN_CALL)
            if error.name == "UNAVAILABLE" and not broken:
                return "UNAVAILABLE"
            raise
        return "ok"

    return write


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_sigterm_under_load(kind):
    print(f"seed {SEED}")
    random.seed(SEED)
    with stacks.running_stack() as stack:
        stack.json("POST", stacks.V2 + "/collections", {"name": "drained"})
        stack.path = stack.collection_path("drained")
        write = rest_writer() if kind == "rest" else grpc_writer()
        loads = [Load(number, stack, write) for number in range(CLIENTS)]
        for load in loads:
            load.start()
        while min(len(load.acknowledged) for load in loads) < 5:
            assert not any(load.failed for load in loads), [load.failed for load in loads]
            time.sleep(0.01)
        time.sleep(random.uniform(0.2, 0.8))
        program = stack.gateway if kind == "rest" else stack.service
        started = time.monotonic()
        assert program.terminate() == 0, program.said()[-2000:]
        seconds = time.monotonic() - started
        for load in loads:
            load.join(30)
        done = [id for load in loads for id in load.acknowledged]
        print(f"{kind}: {len(done)} writes, stopped in {seconds:.2f} s, turned away by {sorted({str(load.turned_away) for load in loads})}")
        assert [failure for load in loads for failure in load.failed] == []
        assert all(load.turned_away for load in loads)
        assert seconds <= EXIT_SECONDS_MAX
        stack.stop()
        stack.start_service()
        stack.start_gateway()
        stored = stack.json("POST", stack.path + "/get", {"include": []})["ids"]
        assert set(done) <= set(stored)


def test_sigterm_of_idle_programs_is_quick():
    with stacks.running_stack() as stack:
        started = time.monotonic()
        assert stack.stop() == [0, 0]
        assert time.monotonic() - started < 2


def test_readiness_goes_with_the_service():
    with stacks.running_stack() as stack:
        stack.service.kill()
        deadline = time.monotonic() + 10
        while stack.request("GET", "/readyz", token=None)[0] != 503:
            assert time.monotonic() < deadline, "the gateway still calls itself ready without its service"
            time.sleep(0.02)
        assert stack.request("GET", "/livez", token=None)[0] == 200
        status, _, answer = stack.request("GET", stacks.V2 + "/collections")
        assert status == 503 and json.loads(answer)["error"]
        stack.start_service()
        stack.wait_ready()
        assert stack.json("GET", stacks.V2 + "/collections") == []
