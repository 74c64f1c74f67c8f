"""Our engine beside the vector libraries of PyPI and Debian's FAISS: one thread, same vectors, same queries, in turns.

    benchmarks/run libraries [--rows N] [--libraries A,B] [--first-builds] [--quick]

GRID is searched whole: every build with every setting, one pass each. For recall@10 of .95, .99 and .995 each library's
fastest setting on the real queries is then timed in turns with the others' (A-B-A-B), and the best pass counts for all
alike. Ours and Debian's FAISS answer one query a call, pyvsag must too; the others get all queries in one call, which
spares them the calls. 1,000 rows are held out of the data and asked as a second set of queries with the same settings.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import measure
import numpy
import stack as stacks

K = 10
TARGETS = (0.95, 0.99, 0.995)
WIDTHS = (10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 400)
LARGE = 200_000  # rows from which only the first build of each library is made
DEBIAN = "faiss-debian"  # M16, efC200
GRID = {
    "ours": [({}, (0, *WIDTHS))],
    DEBIAN: [({}, WIDTHS)],
    # LVQ and LeanVec refuse to run on processors that are not Intel's
    "scalable-vs": [({"codes": "float16", "degree": 32, "window": 200}, WIDTHS), ({"codes": "float16", "degree": 64, "window": 200}, WIDTHS),
                    ({"codes": "lvq8", "degree": 32, "window": 200}, WIDTHS), ({"codes": "lvq4x8", "degree": 32, "window": 200}, WIDTHS),
                    ({"codes": "lvq4x8", "degree": 64, "window": 200}, WIDTHS),
                    ({"codes": "leanvec", "dims": 256, "degree": 32, "window": 200}, WIDTHS),
                    ({"codes": "leanvec", "dims": 192, "degree": 64, "window": 200}, WIDTHS),
                    ({"codes": "float32", "degree": 32, "window": 200}, WIDTHS)],
    "usearch": [({"dtype": dtype, "m": m, "ef_construction": 200}, WIDTHS) for dtype in ("i8", "bf16", "f32") for m in (16, 32)],
    "faiss-cpu": [({"factory": "HNSW16,SQ8,RFlat", "refine": 3, "ef_construction": 200}, WIDTHS),
                  ({"factory": "HNSW16,Flat", "ef_construction": 200}, WIDTHS), ({"factory": "HNSW32,Flat", "ef_construction": 200}, WIDTHS)],
    "hnswlib": [({"m": 16, "ef_construction": 200}, WIDTHS), ({"m": 32, "ef_construction": 200}, WIDTHS)],
    "pyvsag": [({"codes": codes, "degree": degree, "ef_construction": 200}, WIDTHS)
               for codes, degree in (("sq8", 32), ("sq8_uniform", 32), ("fp32", 32), ("sq8", 64))],
    # settings: thousandths of the leaves
    "scann": [({"leaves_per_root": 1, "block": 2, "reorder": reorder}, (5, 10, 20, 40, 80, 120, 160, 240, 320, 480)) for reorder in (50, 150)],
}


class Worker:
    """A library with one build of an index, in its own process."""

    def __init__(self, library, build, vectors, scratch):
        self.library, self.build, self.found = library, build, scratch / "found"
        program = stacks.BINARIES / "benchmarks" / "bench_worker"
        if library in ("ours", DEBIAN):
            command = [program, library, vectors]
        else:
            command = [measure.LIBRARIES / "bin" / "python", measure.ROOT / "benchmarks" / "libraries_worker.py", library,
                       json.dumps(build), vectors]
        self.said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.said, text=True)
        answer = self.answer()
        self.error, self.built = answer.get("error"), answer.get("built")

    def answer(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.said.seek(0)
        return {"error": f"ended with code {self.process.wait()}: {self.said.read().strip()[-300:]}"}

    def search(self, setting, queries):
        """(seconds of one pass, rows found)."""
        self.process.stdin.write(f"{setting} {queries} {self.found}\n")
        self.process.stdin.flush()
        answer = self.answer()
        if "error" in answer:
            raise RuntimeError(f"{self.library} {self.build}: {answer['error']}")
        return answer["seconds"], numpy.fromfile(self.found, "i8").reshape(-1, K)

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


class Data:
    """Vectors on disk, two sets of queries and their truths."""

    def __init__(self, name, rows, scratch):
        self.name, self.vectors = name, scratch / "base.npy"
        if rows:
            made = scratch / "all.npy"
            measure.mixed_file(rows + measure.HELD_OUT, 7, made)
            stored = numpy.load(made, mmap_mode="r")
        else:
            stored = measure.unit(measure.real_rows())
        picked = numpy.sort(numpy.random.default_rng(7).choice(len(stored), measure.HELD_OUT, replace=False))
        self.base = numpy.lib.format.open_memmap(self.vectors, "w+", "f4", (len(stored) - len(picked), stored.shape[1]))
        at = 0
        for first, last in zip([0, *(picked + 1)], [*picked, len(stored)]):
            self.base[at:at + last - first] = stored[first:last]
            at += last - first
        self.base.flush()
        held = measure.unit(stored[picked])
        if rows:
            del stored
            made.unlink()
        self.queries, self.truth = {}, {}
        for kind, vectors in {"real": measure.unit(measure.real_queries()), "held out": held}.items():
            self.queries[kind] = scratch / f"{kind.split()[0]}.npy"
            numpy.save(self.queries[kind], vectors)
            self.truth[kind] = measure.nearest(self.base, vectors)

    def recall(self, kind, found):
        return measure.recall(self.truth[kind], found)


def survey(report, data, grid, scratch):
    """Every build and setting once: the workers, and per library [(recall, seconds, worker, setting)]."""
    workers, seen = [], {}
    for library, builds in grid.items():
        for build, settings in builds:
            worker = Worker(library, build, data.vectors, scratch)
            workers.append(worker)
            try:
                if worker.error:
                    raise RuntimeError(worker.error)
                points = []
                for setting in settings:
                    seconds, found = worker.search(setting, data.queries["real"])
                    points.append((data.recall("real", found), seconds, worker, setting))
            except RuntimeError as error:
                report.add(f"{data.name}: {library} {json.dumps(build)}: left out", 0, "", str(error))
                continue
            rates = [(accuracy, len(data.truth["real"]) / seconds) for accuracy, seconds, *_ in points]
            report.curve(data.name, f"{library} {build or ''}", rates)
            report.add(f"{data.name}: {library} {json.dumps(build)}: built", worker.built, "s", curve=rates)
            seen.setdefault(library, []).extend(points)
    return workers, seen


def compare(report, data, target, seen, rounds):
    chosen = {}
    for library, points in seen.items():
        fine = [point for point in points if point[0] >= target]
        if fine:
            chosen[library] = min(fine, key=lambda point: point[1])
        else:
            report.add(f"{data.name} >= {target}: {library} best recall", max(point[0] for point in points), "", "not reached")
    for kind in data.queries:
        best, accuracy = {}, {}
        for _ in range(rounds):
            for library, (_, _, worker, setting) in chosen.items():
                seconds, found = worker.search(setting, data.queries[kind])
                best[library] = min(seconds, best.get(library, seconds))
                accuracy[library] = data.recall(kind, found)
        rates = {library: len(data.truth[kind]) / seconds for library, seconds in best.items()}
        for library, rate in sorted(rates.items(), key=lambda item: -item[1]):
            _, _, worker, setting = chosen[library]
            report.add(f"{data.name} >= {target}, {kind}: {library}", rate, "queries/s", f"recall {accuracy[library]:.4f}",
                       recall=accuracy[library], build=worker.build, setting=setting)
        ratios(report, f"{data.name} >= {target}, {kind}", rates)


def ratios(report, what, rates):
    if "ours" not in rates:
        return
    others = {name: rate for name, rate in rates.items() if name not in ("ours", DEBIAN)}
    if others:
        best = max(others, key=others.get)
        report.add(f"{what}: ours / {best}", rates["ours"] / others[best], "x")
    if DEBIAN in rates:
        report.add(f"{what}: ours / Debian's FAISS", rates["ours"] / rates[DEBIAN], "x")


def first_builds(grid):
    return {library: builds[:1] for library, builds in grid.items()}


def run(report, name, rows, grid, rounds):
    with tempfile.TemporaryDirectory(prefix="omics-", dir=measure.ROOT / "build") as folder:
        scratch = pathlib.Path(folder)
        data = Data(name, rows, scratch)
        if rows >= LARGE:
            grid = first_builds(grid)
        workers, seen = survey(report, data, grid, scratch)
        try:
            for target in TARGETS:
                compare(report, data, target, seen, rounds)
        finally:
            for worker in workers:
                worker.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, action="append", help="mixed vectors (default: the ontologies, then 50,000)")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--libraries", help="comma list of GRID's names (default: all)")
    parser.add_argument("--first-builds", action="store_true", help="one build of each library, as from 200,000 rows on")
    parser.add_argument("--quick", action="store_true", help="3,000 vectors, one build of each library: a smoke test")
    told = parser.parse_args()
    missing = measure.make_libraries()
    report = measure.Report("libraries", rows=told.rows, rounds=told.rounds, quick=told.quick)
    for library, why in missing.items():
        report.add(f"{library} does not install here", 0, "", why)
    names = told.libraries.split(",") if told.libraries else list(GRID)
    grid = {name: GRID[name] for name in names if name not in missing}
    if told.first_builds or told.quick:
        grid = first_builds(grid)
    if told.quick:
        run(report, "3,000 mixed", 3000, grid, 2)
    else:
        for rows in told.rows or (0, 50_000):
            run(report, f"{rows:,} mixed" if rows else "Uberon + Cell Ontology", rows, grid, told.rounds)
    report.write()


main()
