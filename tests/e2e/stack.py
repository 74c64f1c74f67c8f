"""The real programs, started for a test: vector-service and vector-gateway on free ports over a data directory.

The binaries come from OMICS_VECTOR_BINARIES (default build/release). What the programs said is in <data>/../*.log.
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ONTOLOGY = ROOT / "testdata" / "ontology"
CHROMA_STORES = ROOT / "testdata" / "chroma-stores"
BINARIES = pathlib.Path(os.environ.get("OMICS_VECTOR_BINARIES", ROOT / "build" / "release")).resolve()
SERVICE = BINARIES / "services" / "vector-service"
GATEWAY = BINARIES / "gateway" / "vector-gateway"
VECTORCTL = BINARIES / "tools" / "vectorctl"
START_SECONDS = 30  # a generous bound for a machine that builds something else at the same time
STOP_SECONDS = 25  # the drain lasts 15 s at most
PATIENCE_SECONDS = 60
V2 = "/api/v2/tenants/default_tenant/databases/default_database"


def clean_environment(**extra):
    """This process's environment without settings of ours, so that the machine's own cannot change a test."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("OMICS_VECTOR_", "CHROMA_", "PERSIST_DIRECTORY"))}
    return {**kept, "ANONYMIZED_TELEMETRY": "False", **extra}


def eventually(condition, what, seconds=PATIENCE_SECONDS):
    """Waits until `condition()` holds; fails naming `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def gauge(address, name):
    """The value of a metric without labels, from the program that serves its metrics at `address`."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
        found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found, f"there is no {name}"
    return float(found[1])


class Program:
    """One of the programs. `log` grows while it runs."""

    def __init__(self, command, log, environment):
        self.name = pathlib.Path(command[0]).name
        self.log = pathlib.Path(log)
        self.killed = False
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out,
                                            stdin=subprocess.DEVNULL, env=environment)

    def said(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern):
        """The match of `pattern` in the log; an error with the log's end if the program ends or says nothing in time."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            ended = self.process.poll() is not None
            found = re.search(pattern, self.said())
            if found:
                return found
            if ended or time.monotonic() > deadline:
                how = f"ended with code {self.process.returncode}" if ended else f"said no {pattern!r} in time"
                raise RuntimeError(f"{self.name} {how}; its log:\n{self.said()[-3000:]}")
            time.sleep(0.005)

    def must_not_have_crashed(self):
        """An error with the log's end if the program ended otherwise than by kill() or with code 0."""
        if self.process.poll() and not self.killed:
            raise RuntimeError(f"{self.name} ended with code {self.process.returncode}; its log:\n{self.said()[-3000:]}")

    def terminate(self):
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"{self.name} did not stop within {STOP_SECONDS} s of SIGTERM; its log:\n"
                               f"{self.said()[-3000:]}") from None

    def kill(self):
        """SIGKILL."""
        if self.process.poll() is None:
            self.killed = True
            self.process.kill()
        self.process.wait()


class Stack:
    """Both programs over one data directory. Start it with start_stack() or `with running_stack()`."""

    def __init__(self, home, data=None, token=None, settings=None):
        self.home = pathlib.Path(home)
        self.data = pathlib.Path(data) if data else self.home / "data"
        self.token = token or secrets.token_urlsafe(32)
        self.settings = settings or {}  # further environment variables of both programs
        self.service = self.gateway = None
        self.grpc = self.rest = None  # "127.0.0.1:port"

    def environment(self):
        return clean_environment(CHROMA_SERVER_AUTHN_CREDENTIALS=self.token, **self.settings)

    def start_service(self, *options):
        self.data.mkdir(parents=True, exist_ok=True)
        self.socket = self.home / "s"
        self.service = Program([SERVICE, "--data-dir", self.data, "--grpc-address", "127.0.0.1:0", "--metrics-address",
                                "127.0.0.1:0", "--grpc-unix-socket", self.socket, *options],
                               self.home / "service.log", self.environment())
        self.grpc = self.service.wait_for(r'listening grpc=(\d[^\s",]*)')[1]
        self.service_metrics = self.service.wait_for(r'listening metrics=([^\s",]*)')[1]
        self.service.wait_for(r'\bready\b')

    def start_gateway(self, *options):
        self.gateway = Program([GATEWAY, "--rest-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0",
                                "--service-address", f"unix:{self.socket}", *options],
                               self.home / "gateway.log", self.environment())
        self.rest = self.gateway.wait_for(r'listening rest=([^\s",]*)')[1]
        self.gateway_metrics = self.gateway.wait_for(r'listening metrics=([^\s",]*)')[1]
        self.wait_ready()

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while self.request("GET", "/readyz")[0] != 200:
            if time.monotonic() > deadline or self.gateway.process.poll() is not None:
                raise RuntimeError(f"the gateway is not ready; its log:\n{self.gateway.said()[-3000:]}")
            time.sleep(0.01)

    @property
    def host(self):
        return self.rest.rsplit(":", 1)[0]

    @property
    def port(self):
        return int(self.rest.rsplit(":", 1)[1])

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    def request(self, method, path, body=None, headers=None, token="own"):
        """One HTTP request on a connection of its own: (status, headers, body). `body` is JSON unless bytes."""
        sent = dict(headers or {})
        if token == "own":
            token = self.token
        if token is not None:
            sent.setdefault("X-Chroma-Token", token)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def json(self, method, path, body=None, **options):
        """The answer of a request that must succeed, as Python values."""
        status, _, answer = self.request(method, path, body, **options)
        assert status in (200, 201), f"{method} {path}: {status} {answer[:500]!r}"
        return json.loads(answer)

    def collection_path(self, name):
        return f"{V2}/collections/{self.json('GET', f'{V2}/collections/{name}')['id']}"

    def vectorctl(self, *words, offline=False, check=True):
        """Runs vectorctl against the service, or on the data directory."""
        where = ["--data-dir", self.data] if offline else ["--address", self.grpc]
        done = subprocess.run([str(word) for word in (VECTORCTL, *words, *where)], capture_output=True, text=True,
                              timeout=300, env=clean_environment(**{**self.settings, "OMICS_VECTOR_TOKEN": self.token}))
        if check:
            assert done.returncode == 0, f"vectorctl {words}: code {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def stop(self):
        """SIGTERM to the gateway, then to the service: their exit codes."""
        return [program.terminate() for program in (self.gateway, self.service) if program]

    def kill(self):
        for program in (self.gateway, self.service):
            if program:
                program.kill()

    def must_not_have_crashed(self):
        for program in (self.gateway, self.service):
            if program:
                program.must_not_have_crashed()


@contextlib.contextmanager
def running_stack(*service_options, data=None, gateway=True, imports=(), token=None, settings=None):
    """A started stack in a temporary directory. `imports`: (tarball, collection) pairs imported before the start."""
    home = tempfile.mkdtemp(prefix="omics-")  # short: a unix socket's path has 107 bytes
    stack = Stack(home, data, token, settings)
    try:
        for tarball, collection in imports:
            stack.vectorctl("import", tarball, "--collection", collection, offline=True)
        stack.start_service(*service_options)
        if gateway:
            stack.start_gateway()
        yield stack
        stack.stop()
    finally:
        stack.kill()
        stack.must_not_have_crashed()
        shutil.rmtree(home, ignore_errors=True)
