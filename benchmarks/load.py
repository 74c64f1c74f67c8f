"""Load on servers by programs that take little of the machine: `grpc_load` and `wrk`. What they saw is
{"calls", "per_second", "p50_us", "p99_us"}."""
import contextlib
import json
import re
import signal
import subprocess

import measure
import stack as stacks

K = 10


def query_body(vector, **filters):
    return json.dumps({"query_embeddings": [vector.tolist()], "n_results": K,
                       "include": ["documents", "metadatas", "distances"], **filters})


def grpc_program(stack, collection, queries, seconds, *how):
    return [stacks.BINARIES / "benchmarks" / "grpc_load", stack.grpc, collection, queries, "--token", stack.token,
            "--k", str(K), "--seconds", str(seconds), *how]


def grpc_calls(stack, collection, queries, seconds, *how):
    """Queries of a .npy file; `how` is --clients N or --rate N."""
    done = subprocess.run(grpc_program(stack, collection, queries, seconds, *how), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@contextlib.contextmanager
def grpc_calls_beside(stack, collection, queries, *how):
    """The same for as long as the block lasts: a dict that is filled when it ends."""
    seen = {}
    process = subprocess.Popen(grpc_program(stack, collection, queries, 24 * 3600, *how), stdout=subprocess.PIPE, text=True)
    try:
        yield seen
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    seen.update(json.loads(said))


def microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def rest_calls(address, path, headers, clients, bodies, seconds):
    """The lines of the file `bodies` as queries of the collection at `path`."""
    told = [word for name, value in {"Content-Type": "application/json", **headers}.items() for word in ("-H", f"{name}: {value}")]
    said = subprocess.run(["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "--timeout", "60s",
                           "-s", measure.ROOT / "benchmarks" / "requests.lua", *told,
                           f"http://{address[0]}:{address[1]}{path}/query", "--", bodies],
                          capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said and "Socket errors" not in said, said
    return {"calls": int(re.search(r"(\d+) requests in", said)[1]),
            "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),
            "p50_us": microseconds(re.search(r"^ +50% +(\S+)$", said, re.MULTILINE)[1]),
            "p99_us": microseconds(re.search(r"^ +99% +(\S+)$", said, re.MULTILINE)[1])}
