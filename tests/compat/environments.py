#!/usr/bin/env python3
"""Makes the pinned environments that the tests run in, each apart from the others and from the machine's own.

    tests/compat/environments.py harness chromadb-1.5.9 grpcurl    makes these where they are missing or out of date
    tests/compat/environments.py --list                            names all

Python clients live in a virtual environment, JavaScript ones in a node_modules, programs in a bin folder, all below
.cache/clients/. What is pinned stands in tests/compat/pins/; an environment is made again when its pins change.
"""
import argparse
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PINS = pathlib.Path(__file__).resolve().parent / "pins"
CACHE = ROOT / ".cache" / "clients"
GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.8.7"
NODE_MAJOR_MIN = 20  # what the newest JavaScript client asks for
ENVIRONMENTS = ("harness", "chromadb-1.5.9", "chromadb-0.5.23", "chromadb-0.4.24",
                "javascript-3.5.0", "javascript-1.10.5", "grpcurl", "buf", "node")
ATTEMPTS = 3  # registries have bad moments


def folder(name):
    return CACHE / name


def python_of(name):
    return folder(name) / "bin" / "python"


def grpcurl():
    return folder("grpcurl") / "bin" / "grpcurl"


def buf():
    return folder("buf") / "node_modules" / ".bin" / "buf"


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


def make_python(name, where):
    run([sys.executable, "-m", "venv", str(where)])
    run([str(where / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", "--no-compile",
         "--disable-pip-version-check", "-r", str(PINS / f"{name}.txt")])


def make_javascript(name, where):
    where.mkdir(parents=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(PINS / name / file, where)
    run(["npm", "install", "--loglevel=error", "--legacy-peer-deps", "--no-audit", "--no-fund"], cwd=where)


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


def maker_of(name):
    if name == "grpcurl":
        return make_grpcurl
    if name == "node":
        return make_node
    return make_javascript if (PINS / name).is_dir() else make_python


def stamp_of(name):
    """Changes when the pins do, and when what the environment was made with does."""
    digest = hashlib.sha256(platform.machine().encode())
    pins = PINS / name
    for file in sorted(pins.iterdir()) if pins.is_dir() else [PINS / f"{name}.txt"]:
        if file.exists():
            digest.update(file.read_bytes())
    if maker_of(name) is make_python:
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
    for name in arguments.names or ENVIRONMENTS:
        make(name)


if __name__ == "__main__":
    main()
