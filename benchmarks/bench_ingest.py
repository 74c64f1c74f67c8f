"""Writes beside real Chroma 1.5.9 through REST with the same client code, queries during a build, memory and start.

    benchmarks/run ingest [--records N] [--quick]

Single upserts go in turns to both servers, by 1 and by 16 connections.
"""
import argparse
import base64
import contextlib
import http.client
import json
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

import bench_filter
import grpc_client
import load
import measure
import reference_server
import stack as stacks

NAME = bench_filter.COLLECTION


def singles(server, corpus, clients, seconds):
    """Acknowledged upserts of one record a second."""
    ends, done = time.monotonic() + seconds, []

    def write(number):
        count = 0
        with contextlib.closing(http.client.HTTPConnection(*server.address, timeout=60)) as connection:
            while time.monotonic() < ends:
                row = (number + count * clients) % len(corpus.ids)
                body = {"ids": [f"single-{number}-{count}"], "documents": [corpus.documents[row]], "metadatas": [corpus.metadatas[row]],
                        "embeddings": [base64.b64encode(corpus.embeddings[row].tobytes()).decode()]}
                connection.request("POST", f"{server.path}/upsert", json.dumps(body), {"Content-Type": "application/json", **server.headers})
                answer = connection.getresponse()
                assert answer.status in (200, 201), answer.read()[:300]
                answer.read()
                count += 1
        done.append(count)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == clients, "a writer failed"
    return sum(done) / seconds


def during_build(report, stack, server, corpus, queries, seconds):
    """Queries with eight callers at rest, then while the graph is built over all rows again, as a new one asks for."""
    stack.vectorctl("compact", NAME)
    idle = load.grpc_calls(stack, NAME, queries, seconds, "--clients", "8")
    singles(server, corpus, 1, 0.1)
    building = subprocess.Popen([stacks.VECTORCTL, "compact", NAME, "--address", stack.grpc], stdout=subprocess.DEVNULL,
                                env=stacks.clean_environment(OMICS_VECTOR_TOKEN=stack.token))
    seen = []
    try:
        while not seen or building.poll() is None:
            seen.append(load.grpc_calls(stack, NAME, queries, 1, "--clients", "8"))
    finally:
        assert building.wait() == 0
    report.add("queries at rest, c=8", idle["per_second"], "1/s")
    report.add("queries during a build / at rest", statistics.median(s["per_second"] for s in seen) / idle["per_second"], "x", ">= .4")
    p99s = [s["p99_us"] / idle["p99_us"] for s in seen]
    report.add("p99 in a second of the build (median) / at rest", statistics.median(p99s), "x", "< 2")
    report.add("p99 in its worst second / at rest", max(p99s), "x")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    told = parser.parse_args()
    if told.quick:
        told.records, told.seconds = 2000, 1
    report = measure.Report("ingest", **vars(told))
    corpus = bench_filter.Corpus(told.records, 7)
    with contextlib.ExitStack() as running, tempfile.TemporaryDirectory(prefix="omics-") as scratch:
        stack = running.enter_context(stacks.running_stack())
        chroma = running.enter_context(reference_server.running_reference("1.5.9"))
        both = lambda: [stack.service.process.pid, stack.gateway.process.pid]  # noqa: E731
        servers = [bench_filter.Server("ours", (stack.host, stack.port), {"X-Chroma-Token": stack.token}, both),
                   bench_filter.Server("chroma", chroma.address, {}, lambda: measure.family(chroma.process.pid))]
        rates = [told.records / server.fill(corpus) for server in servers]
        for server, rate in zip(servers, rates):
            report.add(f"batches of 1,000 over REST, {server.name}", rate, "records/s")
        report.add("batches, ours / Chroma", rates[0] / rates[1], "x", ">= 8")
        client = grpc_client.Client(stack, "grpc_ingest")
        client.create()
        spent = sum(client.upsert(at, corpus.embeddings[at:at + 1000]) for at in range(0, told.records, 1000))
        report.add("batches of 1,000 over gRPC, ours", told.records / spent, "records/s")
        client.service.DeleteCollection(grpc_client.vectors_pb2.DeleteCollectionRequest(collection=client.collection), metadata=client.metadata)
        stack.vectorctl("compact", NAME)
        queries = pathlib.Path(scratch) / "queries.npy"
        measure.numpy.save(queries, corpus.queries)
        load.grpc_calls(stack, NAME, queries, told.seconds, "--clients", "8")
        memory = sum(measure.memory_mib(pid)["rss"] for pid in both())
        report.add("memory of both, file-backed pages counted, / float32 bytes", memory * 2**20 / corpus.embeddings.nbytes, "x", "<= 1.6")
        for clients, target in ((1, ">= 3"), (16, ">= 15")):
            seen = {server.name: [] for server in servers}
            for _ in range(2):
                for server in servers:
                    seen[server.name].append(singles(server, corpus, clients, told.seconds))
            for name, values in seen.items():
                report.add(f"single upserts, c={clients}, {name}", max(values), "1/s")
            report.add(f"single upserts, c={clients}, ours / Chroma", max(seen["ours"]) / max(seen["chroma"]), "x", target)
        during_build(report, stack, servers[0], corpus, queries, told.seconds)
        stack.stop()
        started = time.monotonic()
        stack.start_service()
        grpc_client.Client(stack, NAME).service.Query(grpc_client.vectors_pb2.QueryRequest(
            collection=grpc_client.collections_pb2.CollectionRef(name=NAME), k=10,
            vectors=[grpc_client.vectors_pb2.QueryVector(values=corpus.queries[0])]), metadata=client.metadata)
        report.add("start to first answer, page cache warm", time.monotonic() - started, "s", "<= 1")
    report.write()


main()
