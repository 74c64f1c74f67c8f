"""Both programs, as a user has them: start, first answers, memory, idle cost, latency and recall.

    benchmarks/run            builds, makes the environment and calls this and bench_engine

Prints a table and writes the same as JSON to build/bench_service.json. Wall-clock figures belong to the machine they were
measured on; the client runs on the same cores. What a call costs is measured with `grpc_load` and `wrk`, which take little
of them, and counted on the programs' own CPU clocks.
"""
import http.client
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "tests" / "compat")]

import drivers  # noqa: E402
import numpy  # noqa: E402
import ontology  # noqa: E402
import stack as stacks  # noqa: E402

K = 10
IDLE_SECONDS = 5
STARTS = 5
LOAD_SECONDS = 3
LOAD_ROUNDS = 3
CLIENTS = (1, 8)
NAMES = {"cell_ontology": "cell_ontology_v2024_01", "uberon": "uberon_v2024_01"}
rows = []

LUA = """
local bodies, at = {}, 0
function init(args)
  for line in io.lines(args[1]) do bodies[#bodies + 1] = line end
end
function request()
  at = at % #bodies + 1
  return wrk.format("POST", nil, nil, bodies[at])
end
"""


def report(what, value, unit, target=""):
    rows.append({"what": what, "value": value, "unit": unit, "target": target})
    print(f"{what:62} {value:>12.4g} {unit:6} {target}", flush=True)


def query_body(vector):
    return json.dumps({"query_embeddings": [vector.tolist()], "n_results": K,
                       "include": ["documents", "metadatas", "distances"]})


def import_to_first_answer(home):
    """Imports into running programs, Cell Ontology first, and asks Uberon as soon as it is there."""
    stack = stacks.Stack(home)
    stack.start_service()
    stack.start_gateway()
    try:
        stack.vectorctl("import", ontology.tarball("cell_ontology"), "--collection", NAMES["cell_ontology"])
        vector = ontology.queries("uberon")[0][0]
        started = time.monotonic()
        stack.vectorctl("import", ontology.tarball("uberon"), "--collection", NAMES["uberon"])
        answer = stack.json("POST", stack.collection_path(NAMES["uberon"]) + "/query", json.loads(query_body(vector)))
        assert len(answer["ids"][0]) == K
        report("import of the 40 MB Uberon tarball to the first answer", time.monotonic() - started, "s", "<= 10")
        for name in NAMES.values():
            stack.vectorctl("compact", name)
        stack.stop()
    finally:
        stack.kill()


def cold_starts(home):
    """Process start to ready, and the first query after it, over gRPC's port through the gateway."""
    ready, first = [], []
    for _ in range(STARTS):
        stack = stacks.Stack(home)
        started = time.monotonic()
        stack.start_service("--prewarm-collections", ",".join(NAMES.values()))
        ready.append(time.monotonic() - started)
        stack.start_gateway()
        path = stack.collection_path(NAMES["uberon"]) + "/query"
        body = query_body(ontology.queries("uberon")[0][1])
        started = time.monotonic()
        status, _, _ = stack.request("POST", path, body, {"Content-Type": "application/json"})
        first.append(time.monotonic() - started)
        assert status == 200
        stack.stop()
    report("process start to ready, both collections (median of 5)", statistics.median(ready), "s", "<= 1")
    report("first query after a start, over REST (median of 5)", 1000 * statistics.median(first), "ms", "<= 50")


def recall_of(name, ids_found):
    ids, base, _ = ontology.stored(name)
    truth = numpy.argsort(ontology.cosine_distances(ontology.queries(name)[0], base))[:, :K]
    hits = sum(len({ids[row] for row in truth[q]} & set(found)) for q, found in enumerate(ids_found))
    return hits / (K * len(ids_found))


def queries_over_rest(stack, name):
    connection = http.client.HTTPConnection(stack.host, stack.port)
    path = stack.collection_path(NAMES[name]) + "/query"
    headers = {"X-Chroma-Token": stack.token, "Content-Type": "application/json"}
    bodies = [query_body(vector) for vector in ontology.queries(name)[0]]
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
    requests = [vectors_pb2.QueryRequest(collection=collections_pb2.CollectionRef(name=NAMES[name]), k=K,
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
    pages = sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in processes)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds(processes):
    """User and system time of the processes, ended threads included, by the clock that each process has."""
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in processes)


def grpc_calls(stack, collection, queries, seconds, *how):
    """What grpc_load saw: calls, per_second, p50_us, p99_us."""
    done = subprocess.run([stacks.BINARIES / "benchmarks" / "grpc_load", stack.grpc, collection, queries, "--token", stack.token,
                           "--k", str(K), "--seconds", str(seconds), *how], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def grpc_load(stack, name, *how):
    return grpc_calls(stack, NAMES[name], ROOT / "testdata" / "ontology" / f"{name}.queries.npy", LOAD_SECONDS, *how)


def microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def wrk(address, path, headers, clients, bodies, script, seconds):
    """The same from wrk, over the queries of a collection's path."""
    told = [word for name, value in {"Content-Type": "application/json", **headers}.items() for word in ("-H", f"{name}: {value}")]
    said = subprocess.run(["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "--timeout", "60s", "-s", script, *told,
                           f"http://{address[0]}:{address[1]}{path}/query", "--", bodies],
                          capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said and "Socket errors" not in said, said
    return {"calls": int(re.search(r"(\d+) requests in", said)[1]),
            "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),
            "p50_us": microseconds(re.search(r"^ +50% +(\S+)$", said, re.MULTILINE)[1]),
            "p99_us": microseconds(re.search(r"^ +99% +(\S+)$", said, re.MULTILINE)[1])}


def rest_load(stack, name, clients, scratch):
    bodies, script = scratch / f"{name}.bodies", scratch / "requests.lua"
    if not bodies.exists():
        bodies.write_text("".join(query_body(vector) + "\n" for vector in ontology.queries(name)[0]))
        script.write_text(LUA)
    return wrk((stack.host, stack.port), stack.collection_path(NAMES[name]), {"X-Chroma-Token": stack.token}, clients, bodies, script,
               LOAD_SECONDS)


def cost_of(load, processes):
    """The quietest of some rounds: what `load` saw, with the CPU microseconds of each process per call."""
    rounds = []
    for _ in range(LOAD_ROUNDS):
        before = [cpu_seconds([pid]) for pid in processes]
        seen = load()
        seen["cpu_us"] = [1e6 * (cpu_seconds([pid]) - then) / seen["calls"] for pid, then in zip(processes, before)]
        rounds.append(seen)
    return min(rounds, key=lambda seen: sum(seen["cpu_us"]))


def report_load(what, seen):
    report(f"{what}: p50", seen["p50_us"], "us")
    report(f"{what}: p99", seen["p99_us"], "us")
    report(f"{what}: queries", seen["per_second"], "1/s")


def cost_of_calls(stack, name, scratch):
    processes = [stack.service.process.pid, stack.gateway.process.pid]
    for clients in CLIENTS:
        seen = cost_of(lambda clients=clients: grpc_load(stack, name, "--clients", str(clients)), processes)
        report(f"gRPC {name}, c={clients}: CPU of the service per query", seen["cpu_us"][0], "us", "<= 130")
        report_load(f"gRPC {name}, c={clients}", seen)
    half = grpc_load(stack, name, "--rate", str(seen["per_second"] / 2))
    report(f"gRPC {name}, open loop at half of that: p50", half["p50_us"], "us")
    report(f"gRPC {name}, open loop at half of that: p99 / p50", half["p99_us"] / half["p50_us"], "", "<= 4")
    for clients in CLIENTS:
        seen = cost_of(lambda clients=clients: rest_load(stack, name, clients, scratch), processes)
        report(f"REST {name}, c={clients}: CPU of both per query", sum(seen["cpu_us"]), "us", "<= 280")
        report(f"REST {name}, c={clients}: CPU of the gateway alone", seen["cpu_us"][1], "us")
        report_load(f"REST {name}, c={clients}", seen)


def warm(home):
    stack = stacks.Stack(home)
    try:
        stack.start_service("--prewarm-collections", ",".join(NAMES.values()))
        stack.start_gateway()
        processes = [program.process.pid for program in (stack.service, stack.gateway)]
        report("memory after the start (RSS), both processes", resident_mib(processes), "MiB", "<= 200")
        for ask, kind in ((queries_over_grpc, "gRPC"), (queries_over_rest, "REST")):
            for name in NAMES:
                ask(stack, name)  # warm
                found, seconds = ask(stack, name)
                report(f"{kind} {name}: recall@10 of 1,000 queries", recall_of(name, found), "", ">= .99")
                report(f"{kind} {name}: p50, one Python client, documents and metadata",
                       1000 * statistics.median(seconds), "ms")
                report(f"{kind} {name}: p99", 1000 * statistics.quantiles(seconds, n=100)[98], "ms")
        report("memory after 8,000 queries (RSS), both processes", resident_mib(processes), "MiB", "<= 200")
        for name in NAMES:
            cost_of_calls(stack, name, pathlib.Path(home))
        before = cpu_seconds(processes)
        time.sleep(IDLE_SECONDS)
        report("CPU of both processes when idle", 100 * (cpu_seconds(processes) - before) / IDLE_SECONDS, "%", "~0")
        stack.stop()
    finally:
        stack.kill()


def main():
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, {platform.release()}")
    with tempfile.TemporaryDirectory(prefix="omics-") as home:
        import_to_first_answer(home)
        cold_starts(home)
        warm(home)
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "bench_service.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
