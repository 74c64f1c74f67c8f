"""The real Chroma server of a version, in its pinned environment, on a free loopback port over a scratch directory.

    with running_reference("0.5.23") as server:
        server.address   # ("127.0.0.1", port)
"""
import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import environments

VERSIONS = ("0.4.24", "0.5.23", "1.5.9")
START_SECONDS = 90  # the Python servers import for several seconds, on a busy machine for many
STOP_SECONDS = 10


def free_port():
    """A port that was free a moment ago: Chroma cannot be told to choose its own and say which."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ReferenceServer:
    def __init__(self, version, home):
        self.version, self.home = version, home
        self.address = ("127.0.0.1", free_port())
        self.log = os.path.join(home, "server.log")
        self.process = None

    def command(self):
        program = str(environments.folder(f"server-{self.version}") / "bin" / "chroma")
        data = os.path.join(self.home, "data")
        if not self.version.startswith("1."):
            return [program, "run", "--path", data, "--host", "127.0.0.1", "--port", str(self.address[1])]
        told = os.path.join(self.home, "config.yaml")
        with open(told, "w") as out:
            out.write(f'port: {self.address[1]}\nlisten_address: "127.0.0.1"\npersist_path: "{data}"\nallow_reset: true\n')
        return [program, "run", told]

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CHROMA_", "PERSIST_", "OMICS_"))}
        return {**kept, "ANONYMIZED_TELEMETRY": "False", "ALLOW_RESET": "TRUE", "PYTHONWARNINGS": "ignore"}

    def start(self):
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(self.command(), stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=self.home,
                                            env=self.environment(), start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Chroma {self.version} did not start; its log:\n{self.said()}")
            time.sleep(0.05)

    def ready(self):
        api = "v2" if self.version.startswith("1.") else "v1"
        try:
            with contextlib.closing(http.client.HTTPConnection(*self.address, timeout=5)) as connection:
                connection.request("GET", f"/api/{api}/heartbeat")
                return connection.getresponse().status == 200
        except OSError:
            return False

    def said(self):
        with open(self.log, errors="replace") as told:
            return told.read()[-3000:]

    def stop(self):
        """Ends the server and what it started: its own process group, nothing else."""
        if self.process is None:
            return
        for how in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
                return


@contextlib.contextmanager
def running_reference(version):
    home = tempfile.mkdtemp(prefix="chroma-")
    server = ReferenceServer(version, home)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
