"""What the benchmarks share: lines of a table, the machine, JSON and plots, processes' memory and CPU, data sets."""
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "tests" / "compat"), str(ROOT / "tests" / "compat" / "differential")]

import mix_vectors  # noqa: E402
import numpy  # noqa: E402
import ontology  # noqa: E402

LIBRARIES = ROOT / ".cache" / "libraries"
PINS = ROOT / "benchmarks" / "libraries.txt"
HELD_OUT = 1000


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", info)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"processor": model[1] if model else platform.machine(), "cpus": os.cpu_count(), "memory_gib": round(memory, 1),
            "kernel": platform.release(), "load_before": os.getloadavg()[0], "time": time.strftime("%Y-%m-%d %H:%M:%S")}


class Report:
    """Lines that are printed as they come and written to build/bench_NAME.json and .svg at the end."""

    def __init__(self, name, **told):
        self.name, self.machine, self.told, self.rows, self.curves = name, machine(), told, [], []
        print(", ".join(f"{key} {value}" for key, value in {**self.machine, **told}.items()), flush=True)

    def add(self, what, value, unit="", target="", **more):
        self.keep(what, value, unit, target=target, **more)
        print(f"{what:66} {value:>12.5g} {unit:10} {target}", flush=True)

    def keep(self, what, value, unit="", **more):
        """As add(), for lines that the caller prints itself."""
        self.rows.append({**more, "what": what, "value": value, "unit": unit})

    def curve(self, title, label, points):
        """Points (x = recall, y = queries a second) of one line in the plot `title`."""
        self.curves.append({"title": title, "label": label, "points": points})

    def write(self):
        made = ROOT / "build" / f"bench_{self.name}.json"
        made.parent.mkdir(exist_ok=True)
        made.write_text(json.dumps({"machine": self.machine, "told": self.told, "rows": self.rows, "curves": self.curves},
                                   indent=1) + "\n")
        make_libraries()
        subprocess.run([LIBRARIES / "bin" / "python", ROOT / "benchmarks" / "plot.py", made, made.with_suffix(".svg")], check=True)
        print(f"written: {made.relative_to(ROOT)}, {made.with_suffix('.svg').relative_to(ROOT)}")


def make_libraries():
    """The environment of the compared libraries and of matplotlib; {requirement: why not} of those that do not install."""
    stamp = LIBRARIES / "made-from"
    pins = PINS.read_text()
    if stamp.exists() and json.loads(stamp.read_text())["pins"] == pins:
        return json.loads(stamp.read_text())["missing"]
    subprocess.run([sys.executable, "-m", "venv", LIBRARIES], check=True)
    missing = {}
    for requirement in pins.split():
        done = subprocess.run([LIBRARIES / "bin" / "pip", "install", "-q", "--no-deps", "--disable-pip-version-check", requirement],
                              capture_output=True, text=True)
        if done.returncode:
            missing[requirement.split("==")[0]] = done.stderr.strip().splitlines()[-1][:300]
    stamp.write_text(json.dumps({"pins": pins, "missing": missing}))
    return missing


def unit(vectors):
    return numpy.ascontiguousarray(vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True), "f4")


def real_rows():
    """Uberon's and Cell Ontology's own 10,627 vectors."""
    return numpy.concatenate([ontology.stored(name)[1] for name in ("uberon", "cell_ontology")])


def real_queries():
    return numpy.concatenate([ontology.queries(name)[0] for name in ("uberon", "cell_ontology")])


def mixed_file(rows, seed, path):
    """A .npy of `rows` mixed vectors, made in place on disk: memory holds one block of them."""
    out = numpy.lib.format.open_memmap(path, "w+", "f4", (rows, 768))
    mix_vectors.mixed(rows, seed, real_rows(), out)
    out.flush()


def nearest(base, queries, k=10, block=50_000):
    """The rows of the k greatest inner products, a block of the base at a time."""
    scores = numpy.full((len(queries), k), -numpy.inf, "f4")
    rows = numpy.full((len(queries), k), -1, "i8")
    for start in range(0, len(base), block):
        part = queries @ numpy.asarray(base[start:start + block]).T
        best = numpy.argpartition(-part, min(k, part.shape[1]) - 1, axis=1)[:, :k]
        scores = numpy.hstack([scores, numpy.take_along_axis(part, best, 1)])
        rows = numpy.hstack([rows, best + start])
        keep = numpy.argsort(-scores, axis=1)[:, :k]
        scores, rows = numpy.take_along_axis(scores, keep, 1), numpy.take_along_axis(rows, keep, 1)
    return rows


def recall(truth, found):
    return sum(len(set(wanted) & set(got)) for wanted, got in zip(truth.tolist(), map(list, found))) / truth.size


def memory_mib(process):
    """{"rss", "anonymous", "locked", "file"} of a process, file-backed pages counted in rss."""
    text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
    sizes = {name: int(kib) / 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    return {"rss": sizes["Rss"], "anonymous": sizes["Anonymous"], "locked": sizes["Locked"], "file": sizes["Rss"] - sizes["Anonymous"]}


def family(process):
    """A process and what it started."""
    children = pathlib.Path(f"/proc/{process}/task/{process}/children")
    return [process] + [pid for child in children.read_text().split() for pid in family(int(child))]


def cpu_seconds(processes):
    """User and system time of the processes, ended threads included, by the clock that each process has."""
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in processes)
