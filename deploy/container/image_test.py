"""The image does what README.md says: run for real by podman, the root read-only, the memory limited.

Both containers share one network namespace without a way out, as in an ECS task or a pod, and the tests enter it: so the
addresses are the defaults, and the README's commands run as they stand. test.sh builds the image and says which it is:
OMICS_VECTOR_IMAGE, OMICS_VECTOR_BASE_IMAGE, OMICS_VECTOR_IMAGE_REVISION, and OMICS_VECTOR_SPDX_TOOLS, the validator.
"""
import hashlib
import json
import os
import pathlib
import re
import secrets
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "compat")]
import environments  # noqa: E402  (found by the line above)

IMAGE, BASE = os.environ["OMICS_VECTOR_IMAGE"], os.environ["OMICS_VECTOR_BASE_IMAGE"]
REVISION, SPDX_TOOLS = os.environ["OMICS_VECTOR_IMAGE_REVISION"], os.environ["OMICS_VECTOR_SPDX_TOOLS"]
USER = 10001
ADDED_BYTES_MAX = 110_000_000
PROGRAMS = ("vector-service", "vector-gateway", "vectorctl")
SBOM = "usr/share/omics-vector/sbom.spdx.json"
SOCKET = "/run/omics-vector/service.sock"
# 512 MiB for both, the gateway a quarter, as in deploy/fargate.
MEMORY_MIB = {"vector-service": 384, "vector-gateway": 128}
# As many records of 768 floats as the three ontologies have: the Cell Ontology's 3,220 and Uberon's 7,407 six times.
UBERONS = [f"uberon_{number}" for number in range(1, 7)]
RECORDS = {"cell_ontology_v2024_01": 3220, **dict.fromkeys(UBERONS, 7407)}
READY_SECONDS = 240  # seven imports and graphs on a machine that does other work, too
WARM_READY_SECONDS = 30
STOP_SECONDS = 25  # the drain lasts 15 s at most
# Every record that is asked for is its own nearest.
ASK = """
import json, os, sys, chromadb
client = chromadb.HttpClient(host="127.0.0.1", port=8000, headers={"X-Chroma-Token": os.environ["TOKEN"]})
counts = {}
for name in json.loads(sys.argv[1]):
    collection = client.get_collection(name, embedding_function=None)
    counts[name] = collection.count()
    some = collection.get(limit=100, include=["embeddings"])
    found = collection.query(query_embeddings=some["embeddings"], n_results=1, include=["distances"])
    assert max(distance for distance, in found["distances"]) < 1e-3, (name, found["distances"])
print(json.dumps(counts))
"""


def run(*words, check=True, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=options.pop("timeout", 120), **options)
    assert not check or done.returncode == 0, f"{' '.join(map(str, words))}: code {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def podman(*words, **options):
    return run("podman", *words, **options)


def inspect(what):
    return json.loads(podman("inspect", what).stdout)[0]


class Container:
    """One program of the image, started as an orchestrator does it."""

    def __init__(self, program, *options, memory_mib=None):
        self.program = program
        memory = f"{memory_mib or MEMORY_MIB[program]}m"
        self.name = f"omics-vector-test-{secrets.token_hex(4)}"
        podman("run", "-d", "--name", self.name, "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt",
               "no-new-privileges", "--memory", memory, "--memory-swap", memory, "--no-hosts", *options, IMAGE, program)

    def state(self):
        return inspect(self.name)["State"]

    @property
    def pid(self):
        return self.state()["Pid"]

    def log(self):
        done = podman("logs", self.name, check=False)
        return done.stdout + done.stderr

    def inside(self, *words, **options):
        """A command of this machine in the container's network."""
        return run("nsenter", "-t", self.pid, "-n", *words, **options)

    def exec(self, *words, **options):
        return podman("exec", self.name, *words, **options)

    def process(self, field):
        return re.search(rf"^{field}:\s+(.*)$", pathlib.Path(f"/proc/{self.pid}/status").read_text(), re.M)[1]

    def peak_mib(self):
        return int(self.process("VmHWM").split()[0]) / 1024

    def healthy(self):
        """What the image's own HEALTHCHECK says."""
        return podman("healthcheck", "run", self.name, check=False).returncode == 0

    def stop(self):
        """SIGTERM, then the exit code."""
        podman("stop", "-t", str(STOP_SECONDS), self.name)
        return self.state()["ExitCode"]

    def remove(self):
        podman("rm", "-f", "-t", "0", "-v", self.name, check=False)


class Pair:
    """vector-service and vector-gateway over two volumes."""

    def __init__(self):
        self.token = secrets.token_urlsafe(32)
        tag = secrets.token_hex(4)
        self.volumes = {place: f"omics-vector-test-{what}-{tag}" for what, place in (("data", "/data"), ("socket", "/run/omics-vector"))}
        self.containers = []
        self.service = self.gateway = None

    def start(self, seconds, *options, memory_mib=None):
        """Starts both and returns the seconds until the gateway says that all is ready."""
        shared = [word for place, name in self.volumes.items() for word in ("-v", f"{name}:{place}")]
        token = ("-e", f"CHROMA_SERVER_AUTHN_CREDENTIALS={self.token}")
        started = time.monotonic()
        self.service = self.keep(Container("vector-service", "--network", "none", *token, *shared, *options))
        self.gateway = self.keep(Container("vector-gateway", "--network", f"container:{self.service.name}", *token, *shared[2:]))
        while self.http("/readyz")[0] != "200":
            for container in (self.service, self.gateway):
                assert container.state()["Running"], f"{container.program} ended: {container.state()}\n{container.log()[-3000:]}"
            assert time.monotonic() - started < seconds, f"not ready:\n{self.service.log()[-3000:]}\n{self.gateway.log()[-1000:]}"
            time.sleep(0.1)
        return time.monotonic() - started

    def keep(self, container):
        self.containers.append(container)
        return container

    def http(self, path):
        """Status and body of a GET."""
        done = self.service.inside("curl", "-s", "-m", "10", "-w", "\n%{http_code}", "-H", f"X-Chroma-Token: {self.token}",
                                   f"http://127.0.0.1:8000{path}", check=False)
        body, _, status = done.stdout.rpartition("\n")
        return status, body

    def ask(self, names):
        done = self.gateway.inside(environments.python_of("chromadb-1.5.9"), "-c", ASK, json.dumps(list(names)),
                                   env={**os.environ, "TOKEN": self.token, "ANONYMIZED_TELEMETRY": "False"})
        return json.loads(done.stdout)

    def stop(self):
        return self.gateway.stop(), self.service.stop()

    def remove(self):
        for container in reversed(self.containers):
            container.remove()
        podman("volume", "rm", "-f", *self.volumes.values(), check=False)


@pytest.fixture(scope="module")
def served():
    pair = Pair()
    ontology = "/testdata/{}_sapbert_768.tar.gz"
    entries = [{"collection": name, "url": "file://" + ontology.format("uberon" if name in UBERONS else "cell_ontology")} for name in RECORDS]
    try:
        seconds = pair.start(READY_SECONDS, "-v", f"{ROOT / 'testdata' / 'ontology'}:/testdata:ro", "-e", f"OMICS_VECTOR_PREWARM={json.dumps(entries)}")
        print(f"\nready {seconds:.1f} s after the start, {sum(RECORDS.values())} records imported")
        yield pair
    finally:
        pair.remove()


@pytest.fixture(scope="module")
def files():
    """The image's and the base's root, mounted."""
    mounted = {image: pathlib.Path(podman("image", "mount", image).stdout.strip()) for image in (IMAGE, BASE)}
    yield mounted
    podman("image", "umount", *mounted, check=False)


# --- What it is made of --------------------------------------------------------------------------------------------------


def bytes_of(folder):
    return int(run("du", "-sb", folder).stdout.split()[0])


def test_it_adds_at_most_110_mb_to_its_base(files):
    tree = bytes_of(files[IMAGE]) - bytes_of(files[BASE])
    layers = inspect(IMAGE)["Size"] - inspect(BASE)["Size"]
    print(f"adds {tree / 1e6:.1f} MB of files, {layers / 1e6:.1f} MB of layers")
    assert 0 < max(tree, layers) <= ADDED_BYTES_MAX


def test_its_configuration_says_user_volumes_and_version():
    image = inspect(IMAGE)
    config, labels = image["Config"], image["Config"]["Labels"]
    assert config["User"] == f"{USER}:{USER}" and set(config["Volumes"]) == {"/data", "/run/omics-vector"}
    assert not config.get("Entrypoint")
    version = podman("run", "--rm", "--network", "none", IMAGE, "vectorctl", "--version").stdout.split()[1]
    given = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    assert (given["version"], given["revision"], given["title"], given["base.name"]) == (version, REVISION, "omics-vector", BASE)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", given["created"])
    assert image["Architecture"] == inspect(BASE)["Architecture"]


def test_each_program_runs_by_its_name_and_none_prints_how():
    for program in PROGRAMS:
        done = podman("run", "--rm", "--read-only", "--network", "none", IMAGE, program, "--version")
        assert done.stdout.startswith(program), done.stdout
    usage = podman("run", "--rm", "--read-only", "--network", "none", IMAGE).stdout
    assert all(program in usage for program in PROGRAMS)


def test_only_the_volumes_belong_to_its_user(files):
    found = run("find", files[IMAGE], "-xdev", "(", "-uid", USER, "-o", "-gid", USER, ")", "-printf", "/%P %m\n").stdout.splitlines()
    assert sorted(found) == ["/data 755", "/data/chroma 755", "/run/omics-vector 755"]
    writable = run("find", files[IMAGE] / "usr", "-xdev", "-type", "f", "-perm", "/0022").stdout
    assert writable == ""


def test_its_bill_of_materials_is_valid_and_complete(files):
    root = files[IMAGE]
    run(SPDX_TOOLS, "-i", root / SBOM, "--version", "SPDX-2.3")
    bill = json.loads((root / SBOM).read_text())
    in_image = {(package["name"], package["versionInfo"]) for package in bill["packages"] if package["SPDXID"].startswith("SPDXRef-Image-")}
    installed = run("dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\n").stdout.splitlines()
    assert in_image == {tuple(line.split()) for line in installed}
    compiled_in = {package["name"] for package in bill["packages"] if package["SPDXID"].startswith("SPDXRef-CompiledIn-")}
    assert {"libfaiss-dev", "libboost1.81-dev", "libgrpc++-dev", "libsimdjson-dev"} <= compiled_in  # two of them have no library in the image
    sums = {file["fileName"]: file["checksums"][1]["checksumValue"] for file in bill["files"]}
    assert sums == {f"./usr/local/bin/{program}": hashlib.sha256((root / "usr/local/bin" / program).read_bytes()).hexdigest() for program in PROGRAMS}


def test_the_validator_refuses_a_damaged_bill(files, tmp_path):
    bill = json.loads((files[IMAGE] / SBOM).read_text())
    bill["relationships"].append({"spdxElementId": "SPDXRef-omics-vector", "relationshipType": "CONTAINS", "relatedSpdxElement": "SPDXRef-none"})
    (tmp_path / "damaged.spdx.json").write_text(json.dumps(bill))
    assert run(SPDX_TOOLS, "-i", tmp_path / "damaged.spdx.json", "--version", "SPDX-2.3", check=False).returncode != 0


# --- How it runs ---------------------------------------------------------------------------------------------------------


def test_both_run_as_10001_without_rights_over_a_root_that_is_read_only(served):
    for container in (served.service, served.gateway):
        assert container.process("Uid").split() == [str(USER)] * 4 and container.process("Gid").split() == [str(USER)] * 4
        assert int(container.process("CapEff"), 16) == 0 and container.process("NoNewPrivs") == "1"
        assert pathlib.Path(f"/proc/{container.pid}/comm").read_text().strip() == container.program[:15]  # no shell around it
        mounts = [line.split() for line in pathlib.Path(f"/proc/{container.pid}/mountinfo").read_text().splitlines()]
        assert ["ro"] == [words[5].split(",")[0] for words in mounts if words[4] == "/"]
        for place in ("/x", "/tmp/x", "/usr/local/bin/x", "/etc/x"):
            assert container.exec("touch", place, check=False).returncode != 0, place


def readme_examples():
    """The first tested block of each of the README's three clients."""
    blocks = re.findall(r"^<!-- tested -->\s*\n```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)
    kinds = {"curl": "curl ", "python": "TOKEN=$(cat data/token) python", "grpcurl": "grpcurl "}
    return [pytest.param(next(block for block in blocks if block.startswith(start)), id=kind) for kind, start in kinds.items()]


@pytest.mark.parametrize("block", readme_examples())
def test_an_example_of_the_readme(served, block, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "token").write_text(served.token)
    folders = (environments.python_of("chromadb-1.5.9").parent, environments.grpcurl().parent)
    env = {**os.environ, "PATH": ":".join(map(str, folders)) + ":" + os.environ["PATH"], "ANONYMIZED_TELEMETRY": "False"}
    done = served.gateway.inside("bash", "-euo", "pipefail", input=block, env=env, cwd=tmp_path)
    assert "CL:0000540" in done.stdout or '"cell_ontology_v2024_01"' in done.stdout, done.stdout + done.stderr
    assert '"error"' not in done.stdout


def test_health_needs_no_shell_and_no_token(served):
    assert served.service.healthy() and served.gateway.healthy()
    assert served.service.exec("vectorctl", "health").stdout.strip() == "SERVING"  # over loopback, too
    assert served.service.exec("vectorctl", "health", "--service", UBERONS[0], "--address", f"unix:{SOCKET}").stdout.strip() == "SERVING"
    image = inspect(IMAGE)  # podman 4 keeps it beside the configuration
    assert (image.get("Healthcheck") or image["Config"]["Healthcheck"])["Test"][:2] == ["CMD", "vectorctl"]
    assert served.http("/livez")[0] == "200"


def test_both_stay_within_512_mib_with_as_many_records_as_the_three_ontologies(served):
    assert served.ask(RECORDS) == RECORDS
    for name in RECORDS:  # graphs take the most memory while they are built; this returns when the collection's is
        done = podman("exec", "-e", f"OMICS_VECTOR_TOKEN={served.token}", served.gateway.name, "vectorctl", "compact", name, timeout=READY_SECONDS)
        print(done.stdout.strip())
    assert served.ask(RECORDS) == RECORDS
    peaks = {container.program: container.peak_mib() for container in (served.service, served.gateway)}
    print("peak of resident memory in MiB: " + ", ".join(f"{program} {peak:.0f} of {MEMORY_MIB[program]}" for program, peak in peaks.items()))
    for container in (served.service, served.gateway):
        state = container.state()
        limit = inspect(container.name)["HostConfig"]["Memory"]
        assert state["Running"] and not state["OOMKilled"] and limit == MEMORY_MIB[container.program] << 20
        assert limit_in_force(container) == limit


def limit_in_force(container):
    """The kernel's word on the container's memory limit."""
    lines = [line.split(":", 2) for line in pathlib.Path(f"/proc/{container.pid}/cgroup").read_text().splitlines()]
    for _, controllers, path in lines:
        if controllers == "memory":
            return int(pathlib.Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read_text())
    path, = (path for _, controllers, path in lines if controllers == "")
    return int(pathlib.Path(f"/sys/fs/cgroup{path}/memory.max").read_text())


# The last: it ends the containers.
def test_sigterm_drains_with_code_0_and_the_volume_serves_again(served):
    assert served.service.healthy()
    gateway, service = served.stop()
    assert (gateway, service) == (0, 0), f"{served.gateway.log()[-1500:]}\n{served.service.log()[-1500:]}"
    seconds = served.start(WARM_READY_SECONDS)
    print(f"ready again {seconds:.1f} s after the start, containers' start included")
    assert served.ask(RECORDS) == RECORDS
    assert served.service.stop() == 0
    assert not served.gateway.healthy()
    assert served.gateway.stop() == 0
