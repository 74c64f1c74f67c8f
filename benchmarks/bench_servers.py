"""Ours over gRPC and REST beside real Chroma 1.5.9, in turns in one run, k = 10 with documents and metadata.

    benchmarks/run servers [--records N] [--quick]

Closed loops of 1 and 8 clients (`grpc_load`, `wrk`), then gRPC in an open loop at half of what 8 clients got. CPU per
request is counted on the servers' own clocks. Of several rounds the median counts for all alike.
"""
import argparse
import contextlib
import json
import pathlib
import statistics
import tempfile

import bench_filter
import load
import measure
import reference_server
import stack as stacks

NAME = bench_filter.COLLECTION


def rest(server, clients, body_file, seconds):
    before = [measure.cpu_seconds([pid]) for pid in server.processes()]
    seen = load.rest_calls(server.address, server.path, server.headers, clients, body_file, seconds)
    spent = [measure.cpu_seconds([pid]) - then for pid, then in zip(server.processes(), before)]
    return {**seen, "cpu_us": 1e6 * sum(spent) / seen["calls"]}


def grpc(stack, queries, seconds, *how):
    before = measure.cpu_seconds([stack.service.process.pid])
    seen = load.grpc_calls(stack, NAME, queries, seconds, *how)
    return {**seen, "cpu_us": 1e6 * (measure.cpu_seconds([stack.service.process.pid]) - before) / seen["calls"]}


def median_of(rounds):
    return {key: statistics.median(seen[key] for seen in rounds) for key in rounds[0]}


def turns(kinds, rounds):
    """Each kind once per round, in turn: kind → what it saw."""
    seen = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, calls in kinds.items():
            seen[kind].append(calls())
    return {kind: median_of(of_kind) for kind, of_kind in seen.items()}


def recalls(report, servers, corpus):
    queries = corpus.queries
    truth = measure.nearest(corpus.embeddings, measure.unit(queries))
    place = {identifier: row for row, identifier in enumerate(corpus.ids)}
    for server in servers:
        found = []
        for query in queries:
            answer = server.post(f"{server.path}/query", json.dumps({"query_embeddings": [query.tolist()], "n_results": 10, "include": []}))
            found.append([place[identifier] for identifier in answer["ids"][0]])
        report.add(f"recall@10, {server.name} over REST", measure.recall(truth, found))


def compare(report, stack, servers, corpus, told, scratch):
    queries, bodies = scratch / "queries.npy", scratch / "bodies"
    measure.numpy.save(queries, corpus.queries)
    bodies.write_text("\n".join(corpus.body() for _ in range(1000)) + "\n")
    for clients in (1, 8):
        kinds = {f"{server.name} REST": lambda server=server: rest(server, clients, bodies, told.seconds) for server in servers}
        kinds["ours gRPC"] = lambda: grpc(stack, queries, told.seconds, "--clients", str(clients))
        seen = turns(kinds, told.rounds)
        for kind, values in seen.items():
            for key, unit in (("per_second", "1/s"), ("p50_us", "us"), ("p99_us", "us"), ("cpu_us", "us")):
                report.add(f"{kind}, c={clients}: {key}", values[key], unit)
        report.add(f"REST requests/s, ours / Chroma, c={clients}", seen["ours REST"]["per_second"] / seen["chroma REST"]["per_second"],
                   "x", ">= 10" if clients == 8 else "")
        report.add(f"REST p50, ours / Chroma, c={clients}", seen["ours REST"]["p50_us"] / seen["chroma REST"]["p50_us"], "x",
                   "<= .25" if clients == 1 else "")
    half = median_of([grpc(stack, queries, told.seconds, "--rate", str(seen["ours gRPC"]["per_second"] / 2)) for _ in range(told.rounds)])
    report.add("gRPC, open loop at half load: p99 / p50", half["p99_us"] / half["p50_us"], "x", "<= 4")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_627)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    told = parser.parse_args()
    if told.quick:
        told.records, told.seconds, told.rounds = 2000, 1, 1
    report = measure.Report("servers", **vars(told))
    corpus = bench_filter.Corpus(told.records, 7)
    with contextlib.ExitStack() as running, tempfile.TemporaryDirectory(prefix="omics-") as scratch:
        stack = running.enter_context(stacks.running_stack())
        chroma = running.enter_context(reference_server.running_reference("1.5.9"))
        servers = [bench_filter.Server("ours", (stack.host, stack.port), {"X-Chroma-Token": stack.token},
                                       lambda: [stack.service.process.pid, stack.gateway.process.pid]),
                   bench_filter.Server("chroma", chroma.address, {}, lambda: measure.family(chroma.process.pid))]
        for server in servers:
            server.fill(corpus)
        stack.vectorctl("compact", NAME)
        recalls(report, servers, corpus)
        compare(report, stack, servers, corpus, told, pathlib.Path(scratch))
    report.write()


main()
