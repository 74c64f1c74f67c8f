#!/usr/bin/env python3
"""Makes the pinned environments that the tests run in, each apart from the others and from the machine's own.

    tests/compat/environments.py harness chromadb-1.5.9 grpcurl    makes these where they are missing or out of date
    tests/compat/environments.py --list                            names all

Python clients live in a virtual environment, JavaScript ones in a node_modules, programs in a bin folder, all below
.cache/clients/. What is pinned stands in tests/compat/pins/; an environment is made again when its pins change. A file
that opens with `# over NAME` holds only what differs from that environment and sees the rest of it. JavaScript pins
replace the embedding functions' packages, which no test uses and which weigh 700 MB, by a small one.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PINS = pathlib.Path(__file__).resolve().parent / "pins"
CACHE = ROOT / ".cache" / "clients"
GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.8.7"
NODE_MAJOR_MIN = 20  # what the newest JavaScript client asks for
GO_CLIENT = pathlib.Path(__file__).resolve().parent / "clients" / "chroma_go"
GO_MIN = (1, 24, 11)  # what chroma-go asks for
GO_TOOLCHAIN = "golang.org/toolchain@v0.0.1-go{}.linux-{}"
# Those that others lie over come first: they are made first.
ENVIRONMENTS = ("harness", "chromadb-1.5.9", "chromadb-0.5.23", "chromadb-0.4.24",
                "chromadb-1.0.21", "chromadb-1.0.0", "chromadb-0.6.3", "chromadb-0.5.16", "chromadb-0.5.5", "chromadb-0.4.14",
                "langchain-chroma-1.1.0", "llama-index-chroma-0.6.0",
                "javascript-3.5.0", "javascript-2.4.6", "javascript-1.10.5", "javascript-1.8.1", "javascript-1.5.11",
                "chroma-go-0.3.0", "grpcurl", "buf", "node",
                "server-1.5.9", "server-0.5.23", "server-0.4.24", "schemathesis", "moto")
ATTEMPTS = 3  # registries have bad moments
AT_ONCE = 6  # making one is mostly waiting for the network


def folder(name):
    return CACHE / name


def python_of(name):
    return folder(name) / "bin" / "python"


def grpcurl():
    return folder("grpcurl") / "bin" / "grpcurl"


def buf():
    return folder("buf") / "node_modules" / ".bin" / "buf"


def go_client():
    return folder("chroma-go-0.3.0") / "bin" / "chroma_go_client"


def go():
    """A Go that is new enough: the machine's, or the one that Go's own module proxy holds."""
    own = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", subprocess.run(["go", "version"], capture_output=True, text=True).stdout)
    if own and tuple(int(part or 0) for part in own.groups()) >= GO_MIN:
        return "go"
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    toolchain = GO_TOOLCHAIN.format(".".join(map(str, GO_MIN)), architecture)
    run(["go", "mod", "download", toolchain])
    found = json.loads(subprocess.run(["go", "mod", "download", "-json", toolchain], capture_output=True, text=True, check=True).stdout)
    for program in [*pathlib.Path(found["Dir"], "bin").iterdir(), *pathlib.Path(found["Dir"], "pkg", "tool").rglob("*")]:
        if program.is_file():
            program.chmod(0o555)  # a module's files come without the right to run
    return str(pathlib.Path(found["Dir"], "bin", "go"))


def node():
    """A Node.js that is new enough: the machine's, or the one of the environment `node`."""
    own = shutil.which("node")
    if own and node_major(own) >= NODE_MAJOR_MIN:
        return own
    return str(folder("node") / "node_modules" / "node" / "bin" / "node")


def node_major(program):
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    digits = version.lstrip("v").split(".")[0]
    return int(digits) if digits.isdigit() else 0


def run(command, **options):
    """Runs a step, again when it fails: most failures here are the network's."""
    for attempt in range(1, ATTEMPTS + 1):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
        if done.returncode == 0:
            return
        time.sleep(attempt if attempt < ATTEMPTS else 0)
    sys.exit(f"{done.stdout[:2000]}\nenvironments.py: `{' '.join(map(str, command[:6]))}` failed {ATTEMPTS} times; "
             "its output is above.")


def base_of(name):
    """The environment that this one lies over, or None."""
    pins = PINS / f"{name}.txt"
    found = pins.is_file() and re.match(r"# over (\S+)", pins.read_text())
    return found[1] if found else None


def make_layer(name, where):
    base = base_of(name)
    run([sys.executable, "-m", "venv", "--without-pip", str(where)])
    packages, = where.glob("lib/python*/site-packages")
    (packages / "over.pth").write_text("".join(f"{path}\n" for path in folder(base).glob("lib/python*/site-packages")))
    run([str(python_of(base)), "-m", "pip", "--python", str(python_of(name)), "install", "-q", "--no-deps", "--no-compile",
         "--disable-pip-version-check", "-r", str(PINS / f"{name}.txt")])


def make_python(name, where):
    run([sys.executable, "-m", "venv", str(where)])
    run([str(where / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", "--no-compile",
         "--disable-pip-version-check", "-r", str(PINS / f"{name}.txt")])


def make_javascript(name, where):
    where.mkdir(parents=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(PINS / name / file, where)
    leave = ["--omit=optional"] if name.startswith("javascript-") else []  # a local server, which no test uses
    run(["npm", "install", "--loglevel=error", "--legacy-peer-deps", "--no-audit", "--no-fund", *leave], cwd=where)


def make_node(name, where):
    if node() == shutil.which("node"):
        where.mkdir(parents=True)  # the machine's own will do
        return
    make_javascript(name, where)
    if not pathlib.Path(node()).exists():
        sys.exit(f"environments.py: the npm package `node` brought no program {node()}")


def make_grpcurl(_, where):
    (where / "bin").mkdir(parents=True)
    run(["go", "install", GRPCURL], env={**os.environ, "GOBIN": str(where / "bin"), "GOTOOLCHAIN": "local"})


def make_go_client(_, where):
    (where / "bin").mkdir(parents=True)
    run([go(), "build", "-o", str(go_client()), "."], cwd=GO_CLIENT, env={**os.environ, "GOTOOLCHAIN": "local"})


def maker_of(name):
    if name == "chroma-go-0.3.0":
        return make_go_client
    if name == "grpcurl":
        return make_grpcurl
    if name == "node":
        return make_node
    if base_of(name):
        return make_layer
    return make_javascript if (PINS / name).is_dir() else make_python


def stamp_of(name):
    """Changes when the pins do, and when what the environment was made with does."""
    digest = hashlib.sha256(platform.machine().encode())
    pins = GO_CLIENT if maker_of(name) is make_go_client else PINS / name
    for file in sorted(pins.iterdir()) if pins.is_dir() else [PINS / f"{name}.txt"]:
        if file.exists():
            digest.update(file.read_bytes())
    if base_of(name):
        digest.update(stamp_of(base_of(name)).encode())
    if name.startswith("javascript-"):
        digest.update(b"without what is optional")
    if maker_of(name) in (make_python, make_layer):
        digest.update(f"{sys.version_info[:2]} {os.path.realpath(sys.executable)}".encode())
    if name == "grpcurl":
        digest.update(GRPCURL.encode())
    if name == "node":
        digest.update(node().encode())
    return digest.hexdigest()


def make(name):
    """Makes an environment unless it is there already. A half-made one has no stamp and is made anew."""
    where, stamp = folder(name), folder(name) / "made-from"
    wanted = stamp_of(name)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    started = time.monotonic()
    shutil.rmtree(where, ignore_errors=True)
    where.parent.mkdir(parents=True, exist_ok=True)
    maker_of(name)(name, where)
    stamp.write_text(wanted)
    print(f"  made {name} in {time.monotonic() - started:.0f} s", flush=True)


def make_all(names):
    """Makes these and what they lie over, several at once."""
    wanted = {base_of(name) for name in names if base_of(name)} | set(names)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        making = {}

        def after_base(name):
            if base_of(name):
                making[base_of(name)].result()
            make(name)

        for name in sorted(wanted, key=ENVIRONMENTS.index):
            making[name] = pool.submit(after_base, name)
        for done in making.values():
            done.result()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="environments to make; all if none is given")
    parser.add_argument("--list", action="store_true", help="print the names of all environments")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(ENVIRONMENTS))
        return
    unknown = set(arguments.names) - set(ENVIRONMENTS)
    if unknown:
        parser.error(f"no such environment: {', '.join(sorted(unknown))}; there are {', '.join(ENVIRONMENTS)}")
    make_all(arguments.names or ENVIRONMENTS)


if __name__ == "__main__":
    main()
