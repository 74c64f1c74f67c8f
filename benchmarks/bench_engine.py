"""The engine alone, one thread: recall, time, bytes and what the machine allows, for every width of the walk.

    benchmarks/run engine [--vectors V.npy --queries Q.npy] [--quick]

Without vectors: Cell Ontology, Uberon and 50,000 vectors mixed from them, each with the real queries.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import measure
import numpy
import stack as stacks

ONTOLOGIES = measure.ROOT / "testdata" / "ontology"
MIXED = 50_000
COLUMNS = ("", "ef", "recall@10", "queries/s", "us/query", "distances", "KB/query", "memory us", "kernels us")
FORMATS = ("{:16}", "{:>6}", "{:>10}", "{:>10}", "{:>9}", "{:>10}", "{:>9}", "{:>10}", "{:>11}")


class Table:
    """What one call of the program says, printed as it comes and kept in the report."""

    def __init__(self, report, name):
        self.report, self.name, self.curves = report, name, {}
        print(f"\n== {name}")

    def take(self, said):
        getattr(self, said.pop("line"))(said)

    def keep(self, what, value, unit, said):
        self.report.keep(f"{self.name}: {what}", value, unit, said=said)

    def built(self, said):
        print(f"{said['records']:,} records in {said['import_seconds']:.2f} s, graph in {said['build_seconds']:.2f} s on {said['threads']} threads")
        self.keep("graph built", said["build_seconds"], "s", said)

    def kernel(self, said):
        print(f"  {said['what']:32} {said['cached_ns']:8.1f} ns a row in the cache, {said['random_ns']:8.1f} anywhere")
        self.keep(said["what"], said["cached_ns"], "ns", said)

    def limits(self, said):
        print(f"  memory in order {said['bytes_per_second'] / 1e9:.1f} GB/s; a query's codes {said['encode_us']:.1f} us\n"
              f"codes of {said['code_numbers']} numbers in {said['code_bytes']} bytes, m {said['m']}; ef {said['ef_for_10']} and "
              f"{said['ef_for_100']} for 10 and 100 hits")
        print(" ".join(form.format(column) for form, column in zip(FORMATS, COLUMNS)))
        self.keep("memory in order", said["bytes_per_second"] / 1e9, "GB/s", said)

    def search(self, said):
        cells = [said["what"], said["ef"] or "", f"{said['recall']:.4f}", f"{1e6 / said['us']:.0f}", f"{said['us']:.1f}"]
        if "bytes" in said:
            cells += [f"{said['distances']:.0f}", f"{said['bytes'] / 1e3:.0f}", f"{said['memory_us']:.1f}", f"{said['kernels_us']:.1f}"]
        print(" ".join(form.format(cell) for form, cell in zip(FORMATS, cells)), flush=True)
        self.keep(f"{said['what']}, ef {said['ef']}", said["us"], "us/query", said)
        if said["ef"]:
            self.point(said["what"], said["recall"], said["us"])
        if said["what"] == "walk by codes":
            self.point("what memory allows", said["recall"], said["memory_us"])
            self.point("what the kernels allow", said["recall"], said["kernels_us"])

    def point(self, label, recall, microseconds):
        self.curves.setdefault(label, []).append((recall, 1e6 / microseconds))

    def close(self):
        for label, points in self.curves.items():
            self.report.curve(self.name, label, points)


def run(report, name, source, queries):
    table = Table(report, name)
    program = [stacks.BINARIES / "benchmarks" / "bench_engine", source, queries]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            table.take(json.loads(line))
    if process.returncode:
        raise SystemExit(f"bench_engine ended with code {process.returncode}")
    table.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=pathlib.Path, help="a .npy, a Chroma store or a segment instead of the three data sets")
    parser.add_argument("--queries", type=pathlib.Path, help="a .npy of queries for them")
    parser.add_argument("--quick", action="store_true", help="Cell Ontology only: a smoke test")
    told = parser.parse_args()
    if bool(told.vectors) != bool(told.queries):
        parser.error("--vectors and --queries go together")
    report = measure.Report("engine", vectors=str(told.vectors or ""), quick=told.quick)
    if told.vectors:
        run(report, told.vectors.name, told.vectors, told.queries)
    else:
        for ontology in ("cell_ontology",) if told.quick else ("cell_ontology", "uberon"):
            run(report, ontology, ONTOLOGIES / f"{ontology}_sapbert_768.tar.gz", ONTOLOGIES / f"{ontology}.queries.npy")
        if not told.quick:
            with tempfile.TemporaryDirectory(prefix="omics-", dir=measure.ROOT / "build") as folder:
                made, queries = pathlib.Path(folder, "base.npy"), pathlib.Path(folder, "queries.npy")
                measure.mixed_file(MIXED, 7, made)
                numpy.save(queries, measure.real_queries())
                run(report, f"{MIXED:,} mixed", made, queries)
    report.write()


main()
