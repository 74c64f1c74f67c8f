"""./run as its user meets it: start, paste the three commands, start again, stop; and the sentences when it cannot start."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import environments
import pytest
import stack as stacks

RUN = stacks.ROOT / "run"
READY_SECONDS = 120
STOP_SECONDS = 25
ADDRESSES = ("OMICS_VECTOR_REST_ADDRESS", "OMICS_VECTOR_GRPC_ADDRESS", "OMICS_VECTOR_METRICS_ADDRESS",
             "OMICS_VECTOR_GATEWAY_METRICS_ADDRESS")
TRY = stacks.ROOT / "build" / "try"

pytestmark = pytest.mark.skipif(not stacks.BINARIES.samefile(stacks.ROOT / "build" / "release") if stacks.BINARIES.exists() else True,
                                reason="./run serves build/release, which this run does not test")


@pytest.fixture
def home():
    made = tempfile.mkdtemp(prefix="omics-")
    yield pathlib.Path(made)
    shutil.rmtree(made, ignore_errors=True)


def environment(data, **extra):
    return stacks.clean_environment(OMICS_VECTOR_DATA_DIR=str(data), **{name: "127.0.0.1:0" for name in ADDRESSES}, **extra)


def with_clients(env):
    """The environment of a user who has grpcurl and chromadb."""
    folders = (environments.python_of("chromadb-1.5.9").parent, environments.grpcurl().parent)
    return {**env, "PATH": ":".join(map(str, folders)) + ":" + env["PATH"]}


class Running:
    """./run in a session of its own, as in a terminal."""

    def __init__(self, env, log):
        self.log = pathlib.Path(log)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([RUN], stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env, start_new_session=True)

    def said(self):
        return self.log.read_text(errors="replace")

    def wait_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while "Ctrl-C stops both." not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)
        return self.said()

    def ctrl_c(self):
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(STOP_SECONDS)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(STOP_SECONDS)


@contextlib.contextmanager
def running(env, home):
    started = Running(env, home / "said")
    try:
        yield started
    finally:
        started.end()


def commands(said):
    """The three blocks to paste, under their headings."""
    blocks = re.split(r"^# \d\. (\w+):.*$", said, flags=re.M)[1:]
    return {name: block.replace("Ctrl-C stops both.", "").strip() for name, block in zip(blocks[::2], blocks[1::2])}


def pasted(command, env):
    done = subprocess.run(["bash"], input=command, capture_output=True, text=True, env=env, timeout=300, cwd="/")
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def program_pids(data):
    """The running programs that work on this data directory."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[0].rpartition(b"/")[2] in (b"vector-service", b"vector-gateway") and str(data).encode() in b" ".join(words):
                found.append(int(folder.name))
    return found


def assert_answers(blocks, env):
    assert "CL:" in pasted(blocks["curl"], env)
    assert "neuron" in pasted(blocks["grpcurl"], env)
    answer = pasted(blocks["Python"], env)
    assert "3220 terms" in answer and re.search(r"0\.0000  CL:0000540  neuron", answer), answer


def test_start_paste_stop_and_start_again(home):
    data = home / "data"
    env = with_clients(environment(data))
    with running(env, home) as first:
        said = first.wait_ready()
        assert "Importing the Cell Ontology" in said
        assert (data / "token").stat().st_mode & 0o777 == 0o600
        token = (data / "token").read_text()
        assert re.fullmatch(r"[\w-]{43}", token) and token not in said
        assert_answers(commands(said), stacks.clean_environment(PATH=env["PATH"]))
        assert len(program_pids(data)) == 2
        assert first.ctrl_c() == 0
        assert first.said().rstrip().endswith("Stopped.")
        assert program_pids(data) == []
    started = time.monotonic()
    with running(env, home) as second:
        said = second.wait_ready()
        seconds = time.monotonic() - started
        print(f"second start: ready after {seconds:.1f} s")
        assert "Importing" not in said and "Building" not in said
        assert (data / "token").read_text() == token
        assert_answers(commands(said), stacks.clean_environment(PATH=env["PATH"]))
        second.process.terminate()
        assert second.process.wait(STOP_SECONDS) == 0
        assert program_pids(data) == []


def test_the_commands_bring_the_clients_they_need(home):
    """What is printed to a user who has neither grpcurl nor chromadb, pasted whole."""
    shutil.rmtree(TRY, ignore_errors=True)
    plain = environment(home / "data")
    plain["PATH"] = ":".join(folder for folder in plain["PATH"].split(":") if not folder.startswith(str(environments.CACHE)))
    if shutil.which("grpcurl", path=plain["PATH"]):
        pytest.skip("this machine has a grpcurl of its own")
    with running(plain, home) as started:
        blocks = commands(started.wait_ready())
        assert "# once" in blocks["grpcurl"] and "# once" in blocks["Python"]
        assert_answers(blocks, plain)
        started.ctrl_c()
    shutil.rmtree(TRY, ignore_errors=True)


def test_a_long_data_directory(home):
    """A unix socket's path has 107 bytes at most; the data directory may be longer."""
    data = home / ("long-" * 24) / "data"
    with running(with_clients(environment(data)), home) as started:
        started.wait_ready()
        assert started.ctrl_c() == 0


def test_the_token_of_the_environment(home):
    env = with_clients(environment(home / "data", CHROMA_SERVER_AUTHN_CREDENTIALS="a-token-of-my-own-of-some-length"))
    with running(env, home) as started:
        said = started.wait_ready()
        assert not (home / "data" / "token").exists() and "a-token-of-my-own" not in said
        assert_answers(commands(said), env)
        started.ctrl_c()


@pytest.mark.parametrize("victim", ["vector-service", "vector-gateway"])
def test_one_program_dies(home, victim):
    with running(with_clients(environment(home / "data")), home) as started:
        started.wait_ready()
        for pid in program_pids(home / "data"):
            program = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
            if pathlib.Path(program).name == victim:  # the other's arguments name the service's socket
                os.kill(pid, signal.SIGKILL)
        assert started.process.wait(STOP_SECONDS) == 1
        assert f"{victim} ended with code 137" in started.said()
        assert program_pids(home / "data") == []


def sentence(env, home):
    """What ./run says when it cannot start: the code is 1 and the last line is the reason."""
    with running(env, home) as started:
        assert started.process.wait(READY_SECONDS) == 1, started.said()
        said = started.said().strip().splitlines()
    assert sum(line.startswith("run:") for line in said) == 1, said
    return said[-1]


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_port_in_use(home, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = sentence({**environment(home / "data"), name: address}, home)
    assert f"port {address.rpartition(':')[2]} is in use" in said and name in said


def test_a_second_run_at_the_same_time(home):
    env = with_clients(environment(home / "data"))
    with running(env, home) as first:
        first.wait_ready()
        (home / "second").mkdir()
        said = sentence(env, home / "second")
        assert f"process {first.process.pid}" in said and "OMICS_VECTOR_DATA_DIR" in said
        assert first.process.poll() is None
        first.ctrl_c()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize("megabytes", [1, 16, 40])
def test_a_full_disk(home, megabytes):
    """Too small a disk: one sentence, no half collection; with room, the next start works."""
    data = home / "disk"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(data)], check=True)
    try:
        said = sentence(environment(data), home)
        assert "full" in said and str(data) in said, said
        subprocess.run(["mount", "-o", "remount,size=512m", str(data)], check=True)
        with running(with_clients(environment(data)), home) as started:
            assert_answers(commands(started.wait_ready()), with_clients(environment(data)))
            started.ctrl_c()
    finally:
        subprocess.run(["umount", str(data)], check=True)


def test_help():
    said = subprocess.run([RUN, "--help"], capture_output=True, text=True)
    assert said.returncode == 0
    for name in (*ADDRESSES, "OMICS_VECTOR_DATA_DIR"):
        assert name in said.stdout
    wrong = subprocess.run([RUN, "--no-such-thing"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "--no-such-thing" in wrong.stderr
