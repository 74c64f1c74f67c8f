"""Both programs, as a user has them: start, first answers, memory, idle cost, latency and recall.

    benchmarks/run service [--quick]

Wall-clock figures belong to the machine they were measured on; the client runs on the same cores. What a call costs is
measured with `grpc_load` and `wrk`, which take little of them, and counted on the programs' own CPU clocks.
"""
import argparse
import http.client
import json
import pathlib
import statistics
import tempfile
import time

import measure  # which finds those below

import drivers
import load
import numpy
import ontology
import stack as stacks

IDLE_SECONDS = 5
STARTS = 5
CLIENTS = (1, 8)
NAMES = {"cell_ontology": "cell_ontology_v2024_01", "uberon": "uberon_v2024_01"}


def import_to_first_answer(report, home):
    """Imports into running programs, Cell Ontology first, and asks Uberon as soon as it is there."""
    stack = stacks.Stack(home)
    stack.start_service()
    stack.start_gateway()
    try:
        stack.vectorctl("import", ontology.tarball("cell_ontology"), "--collection", NAMES["cell_ontology"])
        vector = ontology.queries("uberon")[0][0]
        started = time.monotonic()
        stack.vectorctl("import", ontology.tarball("uberon"), "--collection", NAMES["uberon"])
        answer = stack.json("POST", stack.collection_path(NAMES["uberon"]) + "/query", json.loads(load.query_body(vector)))
        assert len(answer["ids"][0]) == load.K
        report.add("import of the 40 MB Uberon tarball to the first answer", time.monotonic() - started, "s", "<= 10")
        for name in NAMES.values():
            stack.vectorctl("compact", name)
        stack.stop()
    finally:
        stack.kill()


def cold_starts(report, home):
    """Process start to ready, and the first query after it, over gRPC's port through the gateway."""
    ready, first = [], []
    for _ in range(STARTS):
        stack = stacks.Stack(home)
        started = time.monotonic()
        stack.start_service("--prewarm-collections", ",".join(NAMES.values()))
        ready.append(time.monotonic() - started)
        stack.start_gateway()
        path = stack.collection_path(NAMES["uberon"]) + "/query"
        body = load.query_body(ontology.queries("uberon")[0][1])
        started = time.monotonic()
        status, _, _ = stack.request("POST", path, body, {"Content-Type": "application/json"})
        first.append(time.monotonic() - started)
        assert status == 200
        stack.stop()
    report.add("process start to ready, both collections (median of 5)", statistics.median(ready), "s", "<= 1")
    report.add("first query after a start, over REST (median of 5)", 1000 * statistics.median(first), "ms", "<= 50")


def recall_of(name, ids_found):
    ids, base, _ = ontology.stored(name)
    truth = numpy.argsort(ontology.cosine_distances(ontology.queries(name)[0], base))[:, :load.K]
    hits = sum(len({ids[row] for row in truth[q]} & set(found)) for q, found in enumerate(ids_found))
    return hits / (load.K * len(ids_found))


def queries_over_rest(stack, name):
    connection = http.client.HTTPConnection(stack.host, stack.port)
    path = stack.collection_path(NAMES[name]) + "/query"
    headers = {"X-Chroma-Token": stack.token, "Content-Type": "application/json"}
    bodies = [load.query_body(vector) for vector in ontology.queries(name)[0]]
    found, seconds = [], []
    for body in bodies:
        started = time.perf_counter()
        connection.request("POST", path, body=body, headers=headers)
        answer = connection.getresponse().read()
        seconds.append(time.perf_counter() - started)
        found.append(json.loads(answer)["ids"][0])
    return found, seconds


def queries_over_grpc(stack, name):
    vectors_pb2, services, collections_pb2, records_pb2, *_ = drivers.generated_protos()
    del records_pb2
    import grpc  # noqa: PLC0415
    metadata = (("authorization", f"Bearer {stack.token}"),)
    requests = [vectors_pb2.QueryRequest(collection=collections_pb2.CollectionRef(name=NAMES[name]), k=load.K,
                                         vectors=[vectors_pb2.QueryVector(values=vector)],
                                         include=vectors_pb2.Include(document=True, metadata=True))
                for vector in ontology.queries(name)[0]]
    found, seconds = [], []
    with grpc.insecure_channel(stack.grpc) as channel:
        service = services.VectorServiceStub(channel)
        for request in requests:
            started = time.perf_counter()
            answer = service.Query(request, metadata=metadata)
            seconds.append(time.perf_counter() - started)
            found.append([hit.record.id for hit in answer.results[0].hits])
    return found, seconds


def resident_mib(processes):
    return sum(measure.memory_mib(process)["rss"] for process in processes)


def grpc_load(stack, name, seconds, *how):
    return load.grpc_calls(stack, NAMES[name], measure.ROOT / "testdata" / "ontology" / f"{name}.queries.npy", seconds, *how)


def rest_load(stack, name, clients, scratch, seconds):
    bodies = scratch / f"{name}.bodies"
    if not bodies.exists():
        bodies.write_text("".join(load.query_body(vector) + "\n" for vector in ontology.queries(name)[0]))
    return load.rest_calls((stack.host, stack.port), stack.collection_path(NAMES[name]), {"X-Chroma-Token": stack.token}, clients,
                           bodies, seconds)


def cost_of(calls, processes, times):
    """The quietest of some rounds: what `calls` saw, with the CPU microseconds of each process per call."""
    rounds = []
    for _ in range(times):
        before = [measure.cpu_seconds([pid]) for pid in processes]
        seen = calls()
        seen["cpu_us"] = [1e6 * (measure.cpu_seconds([pid]) - then) / seen["calls"] for pid, then in zip(processes, before)]
        rounds.append(seen)
    return min(rounds, key=lambda seen: sum(seen["cpu_us"]))


def report_load(report, what, seen):
    report.add(f"{what}: p50", seen["p50_us"], "us")
    report.add(f"{what}: p99", seen["p99_us"], "us")
    report.add(f"{what}: queries", seen["per_second"], "1/s")


def cost_of_calls(report, stack, name, scratch, told):
    processes = [stack.service.process.pid, stack.gateway.process.pid]
    for clients in CLIENTS:
        seen = cost_of(lambda clients=clients: grpc_load(stack, name, told.seconds, "--clients", str(clients)), processes, told.rounds)
        report.add(f"gRPC {name}, c={clients}: CPU of the service per query", seen["cpu_us"][0], "us", "<= 130")
        report_load(report, f"gRPC {name}, c={clients}", seen)
    half = grpc_load(stack, name, told.seconds, "--rate", str(seen["per_second"] / 2))
    report.add(f"gRPC {name}, open loop at half of that: p50", half["p50_us"], "us")
    report.add(f"gRPC {name}, open loop at half of that: p99 / p50", half["p99_us"] / half["p50_us"], "", "<= 4")
    for clients in CLIENTS:
        seen = cost_of(lambda clients=clients: rest_load(stack, name, clients, scratch, told.seconds), processes, told.rounds)
        report.add(f"REST {name}, c={clients}: CPU of both per query", sum(seen["cpu_us"]), "us", "<= 280")
        report.add(f"REST {name}, c={clients}: CPU of the gateway alone", seen["cpu_us"][1], "us")
        report_load(report, f"REST {name}, c={clients}", seen)


def warm(report, home, told):
    stack = stacks.Stack(home)
    try:
        stack.start_service("--prewarm-collections", ",".join(NAMES.values()))
        stack.start_gateway()
        processes = [program.process.pid for program in (stack.service, stack.gateway)]
        report.add("memory after the start (RSS), both processes", resident_mib(processes), "MiB", "<= 200")
        for ask, kind in ((queries_over_grpc, "gRPC"), (queries_over_rest, "REST")):
            for name in NAMES:
                ask(stack, name)  # warm
                found, seconds = ask(stack, name)
                report.add(f"{kind} {name}: recall@10 of 1,000 queries", recall_of(name, found), "", ">= .99")
                report.add(f"{kind} {name}: p50, one Python client, documents and metadata",
                       1000 * statistics.median(seconds), "ms")
                report.add(f"{kind} {name}: p99", 1000 * statistics.quantiles(seconds, n=100)[98], "ms")
        report.add("memory after 8,000 queries (RSS), both processes", resident_mib(processes), "MiB", "<= 200")
        for name in NAMES:
            cost_of_calls(report, stack, name, pathlib.Path(home), told)
        before = measure.cpu_seconds(processes)
        time.sleep(IDLE_SECONDS)
        report.add("CPU of both processes when idle", 100 * (measure.cpu_seconds(processes) - before) / IDLE_SECONDS, "%", "~0")
        stack.stop()
    finally:
        stack.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3, help="of each load (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="of each load, of which the quietest counts (default 3)")
    parser.add_argument("--quick", action="store_true", help="one round of a second: a smoke test")
    told = parser.parse_args()
    if told.quick:
        told.seconds, told.rounds = 1, 1
    report = measure.Report("service", **vars(told))
    with tempfile.TemporaryDirectory(prefix="omics-") as home:
        import_to_first_answer(report, home)
        cold_starts(report, home)
        warm(report, home, told)
    report.write()


main()
