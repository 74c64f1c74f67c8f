"""A large collection in the service: ingest over gRPC, build, memory, recall, queries, starts.

    benchmarks/run scale [--rows 1000000] [--quick]

The vectors lie in a file that is read a batch at a time. Queries come from `grpc_load`.
"""
import argparse
import pathlib
import subprocess
import tempfile
import threading
import time

import grpc_client
import load
import measure
import numpy
import stack as stacks

NAME = "scale"
BATCH = 1000


def compact(stack):
    """As long as it takes: a million rows need more than the tests' patience."""
    subprocess.run([stacks.VECTORCTL, "compact", NAME, "--address", stack.grpc], check=True, stdout=subprocess.DEVNULL,
                   env=stacks.clean_environment(OMICS_VECTOR_TOKEN=stack.token))


def watch(pid, peak, done):
    while not done.wait(0.5):
        sizes = measure.memory_mib(pid)
        peak[0] = max(peak[0], sizes["anonymous"] + sizes["locked"])


def ingest(report, stack, client, base, queries):
    """All rows, while an open loop asks 50 queries a second: what it saw; and the memory that the service had at most."""
    peak, done = [0.0], threading.Event()
    watcher = threading.Thread(target=watch, args=(stack.service.process.pid, peak, done))
    client.upsert(0, base[:BATCH])
    watcher.start()
    started, inside = time.monotonic(), 0.0
    try:
        with load.grpc_calls_beside(stack, NAME, queries, "--rate", "50") as seen:
            for first in range(BATCH, len(base), BATCH):
                inside += client.upsert(first, base[first:first + BATCH])
            report.add("ingest, acknowledged and durable", (len(base) - BATCH) / inside, "records/s")
            report.add("ingest with the client's own work", time.monotonic() - started, "s")
            started = time.monotonic()
            compact(stack)
            report.add("build after the last write", time.monotonic() - started, "s")
    finally:
        done.set()
        watcher.join()
    report.add("memory, anonymous and pinned, at most", peak[0], "MiB", "<= 1300 at 1M")
    return seen


def start(report, stack, what, query):
    stack.stop()
    if what == "cold":
        subprocess.run(["sync"], check=True)
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    started = time.monotonic()
    stack.start_service()
    grpc_client.Client(stack, NAME).query(query)
    report.add(f"start to first answer, {what}", time.monotonic() - started, "s", "<= 5 at 1M" if what == "warm" else "")


def disk_speed(report, path):
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")
    size, started = min(path.stat().st_size, 1 << 30), time.monotonic()
    with open(path, "rb") as file:
        for _ in range(0, size, 1 << 22):
            file.read(1 << 22)
    report.add("disk, read in order", size / 2**20 / (time.monotonic() - started), "MiB/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--quick", action="store_true")
    told = parser.parse_args()
    if told.quick:
        told.rows, told.seconds = 4000, 1
    report = measure.Report("scale", **vars(told))
    with tempfile.TemporaryDirectory(prefix="omics-", dir=measure.ROOT / "build") as folder, \
            stacks.running_stack(gateway=False, data=f"{folder}/data") as stack:
        made, queries = pathlib.Path(folder, "base.npy"), pathlib.Path(folder, "queries.npy")
        measure.mixed_file(told.rows, 7, made)
        real = measure.real_queries()
        numpy.save(queries, real)
        base = numpy.load(made, mmap_mode="r")
        client = grpc_client.Client(stack, NAME)
        client.create()
        busy = ingest(report, stack, client, base, queries)
        idle = load.grpc_calls(stack, NAME, queries, told.seconds, "--rate", "50")
        for key in ("p50_us", "p99_us", "worst_us"):
            report.add(f"query, 50 a second: {key} while it was written and built", busy[key], "us")
            report.add(f"query, 50 a second: {key} idle", idle[key], "us")
        report.add("query p99 while it was written and built / idle", busy["p99_us"] / idle["p99_us"], "x", "<= 5")
        report.add("recall@10", client.recall(base, real), "", ">= .95")
        for clients in (1, 8):
            report.add(f"queries, c={clients}", load.grpc_calls(
                stack, NAME, queries, told.seconds, "--clients", str(clients))["per_second"], "1/s")
        sizes = measure.memory_mib(stack.service.process.pid)
        for key, value in sizes.items():
            report.add(f"memory at rest: {key}", value, "MiB")
        start(report, stack, "warm", real[0])
        if not told.quick:  # dropping the page cache disturbs everything else on the machine
            start(report, stack, "cold", real[0])
            disk_speed(report, made)
    report.write()


main()
