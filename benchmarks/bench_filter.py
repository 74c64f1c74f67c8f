"""Queries with filters, over REST, beside real Chroma 1.5.9 in the same run.

    benchmarks/run filter [--records N] [--alone] [--quick]

50,000 records of ontology form, every request with a filter of its own (at least 1,000 distinct ones per kind, where the
kind has that many), n_results=10, documents, metadatas and distances returned. `wrk` asks over 8 connections; the two
servers take turns, and only the one that is asked works. Recall is measured against a filtered brute force.
"""
import argparse
import base64
import contextlib
import http.client
import json
import pathlib
import random
import re
import statistics
import tempfile
import time

import load
import measure
import mix_vectors
import numpy
import ontology
import reference_server
import stack as stacks

BATCH = 1000
CONNECTIONS = 8
REQUESTS = 2000  # distinct bodies per kind
BRANCHES = 20
COLLECTION = "ontology_form"
SELECTIVITIES = (0.5, 0.1, 0.01, 0.001)
RECALL_QUERIES = 200
READS = 5
TARGETS = {"where boolean": ">= 100", "where one of 20 values": ">= 100", "where $in of 200": ">= 40",
           "where_document $contains": ">= 40"}


class Corpus:
    """Records of ontology form: a term's text, its identifier, its branch, its depth, flags and scores."""

    def __init__(self, count, seed):
        self.random = random.Random(seed)
        stored = [ontology.stored(name) for name in ("uberon", "cell_ontology")]
        texts = [text for _, _, documents in stored for text in documents]
        self.embeddings = mix_vectors.mixed(count, seed, numpy.concatenate([base for _, base, _ in stored]))
        self.queries = numpy.concatenate([ontology.queries(name)[0] for name in ("uberon", "cell_ontology")])
        self.ids = [f"TERM:{number:07d}" for number in range(count)]
        self.documents = [f"{self.random.choice(texts)}; {self.random.choice(texts)}" for _ in range(count)]
        self.uniform = numpy.random.default_rng(seed).random(count)
        self.metadatas = [{"term_id": self.ids[i], "branch": f"branch_{i * 7919 % BRANCHES}", "depth": i % 13,
                           "obsolete": i % 2 == 0, "information": float(self.uniform[i])} for i in range(count)]
        self.words = sorted({word for text in texts for word in re.findall(r"[a-z]{5,}", text)})

    def body(self, **filters):
        vector = self.queries[self.random.randrange(len(self.queries))]
        return load.query_body(vector, **filters)

    def kinds(self):
        """Kind of filter → a function that draws one."""
        draw = self.random
        return {
            "none": dict,
            "where boolean": lambda: {"where": {"obsolete": draw.random() < 0.5}},
            "where one of 20 values": lambda: {"where": {"branch": f"branch_{draw.randrange(BRANCHES)}"}},
            "where number below x": lambda: {"where": {"information": {"$lt": draw.random()}}},
            "where $in of 200": lambda: {"where": {"term_id": {"$in": draw.sample(self.ids, 200)}}},
            "where_document $contains": lambda: {"where_document": {"$contains": draw.choice(self.words)}},
        }


class Server:
    """What is asked: its address, the path of its collection, its processes."""

    def __init__(self, name, address, headers, processes):
        self.name, self.address, self.headers, self.processes = name, address, headers, processes
        self.path = None

    def post_raw(self, path, body):
        with contextlib.closing(http.client.HTTPConnection(*self.address, timeout=300)) as connection:
            connection.request("POST", path, body=body, headers={"Content-Type": "application/json", **self.headers})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status in (200, 201), f"{self.name} {path}: {answer.status} {text[:300]!r}"
            return text

    def post(self, path, body):
        return json.loads(self.post_raw(path, body))

    def fill(self, corpus):
        made = self.post(f"{stacks.V2}/collections", json.dumps(
            {"name": COLLECTION, "metadata": {"hnsw:space": "cosine"}, "get_or_create": False}))
        self.path = f"{stacks.V2}/collections/{made['id']}"
        started = time.monotonic()
        for begin in range(0, len(corpus.ids), BATCH):
            part = slice(begin, begin + BATCH)
            self.post(f"{self.path}/add", json.dumps(
                {"ids": corpus.ids[part], "documents": corpus.documents[part], "metadatas": corpus.metadatas[part],
                 "embeddings": [base64.b64encode(row.tobytes()).decode() for row in corpus.embeddings[part]]}))
        return time.monotonic() - started

    def load(self, bodies, seconds):
        """(requests a second, CPU microseconds of the server per request) for a file of bodies."""
        before = measure.cpu_seconds(self.processes())
        seen = load.rest_calls(self.address, self.path, self.headers, CONNECTIONS, bodies, seconds)
        return seen["per_second"], 1e6 * (measure.cpu_seconds(self.processes()) - before) / seen["calls"]


def wait_for_graph(stack):
    """Until what was written is in segments with their graphs, as a service at rest has it."""
    stack.vectorctl("compact", COLLECTION)


def throughput(report, servers, corpus, seconds, rounds, scratch):
    for kind, draw in corpus.kinds().items():
        bodies = [corpus.body(**draw()) for _ in range(REQUESTS)]
        file = scratch / "bodies"
        file.write_text("\n".join(bodies) + "\n")
        measured = {server.name: [] for server in servers}
        for _ in range(rounds):
            for server in servers:
                measured[server.name].append(server.load(file, seconds))
        rates = {name: statistics.median(rate for rate, _ in values) for name, values in measured.items()}
        for name, values in measured.items():
            report.add(f"{kind}: {name}", rates[name], "1/s", distinct=len(set(bodies)))
            report.add(f"{kind}: {name}, CPU per request", statistics.median(cost for _, cost in values), "us")
        if len(servers) > 1:
            report.add(f"{kind}: ours / chroma", rates["ours"] / rates["chroma"], "x", TARGETS.get(kind, ""))


def recall(report, servers, corpus):
    chosen = corpus.queries[corpus.random.sample(range(len(corpus.queries)), RECALL_QUERIES)]
    distances = 1 - (chosen / numpy.linalg.norm(chosen, axis=1, keepdims=True)) @ corpus.embeddings.T
    for selectivity in SELECTIVITIES:
        allowed = numpy.flatnonzero(corpus.uniform < selectivity)
        truth = allowed[numpy.argsort(distances[:, allowed], axis=1)[:, :load.K]]
        for server in servers:
            hits = 0
            for query, wanted in zip(chosen, truth):
                answer = server.post(f"{server.path}/query", json.dumps(
                    {"query_embeddings": [query.tolist()], "n_results": load.K, "include": [],
                     "where": {"information": {"$lt": selectivity}}}))
                hits += len({corpus.ids[row] for row in wanted} & set(answer["ids"][0]))
            report.add(f"recall@10 at {100 * selectivity:g} %: {server.name}", hits / truth.size, "", ">= .99")


def reads(report, server, corpus):
    """Large gets, to the last byte of the answer: 5,000 records with embeddings, and 40,000 by their ids."""
    asked = {"get 5,000 with embeddings": ({"limit": 5000, "include": ["embeddings", "documents", "metadatas"]}, 5000, "<= 0.3"),
             "get 40,000 by id": ({"ids": corpus.ids[:40000], "include": ["documents"]}, min(40000, len(corpus.ids)), "")}
    for what, (body, count, target) in asked.items():
        seconds = []
        for _ in range(READS):
            started = time.monotonic()
            answer = server.post_raw(f"{server.path}/get", json.dumps(body))
            seconds.append(time.monotonic() - started)
            assert len(json.loads(answer)["ids"]) == count
        report.add(what, statistics.median(seconds), "s", target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--seconds", type=int, default=6, help="of each turn (default 6)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each server per kind (default 2)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--alone", action="store_true", help="without Chroma")
    parser.add_argument("--quick", action="store_true", help="6,000 records, one turn of a second: a smoke test")
    told = parser.parse_args()
    if told.quick:
        told.records, told.seconds, told.rounds = 6000, 1, 1
    report = measure.Report("filter", **vars(told))
    corpus = Corpus(told.records, told.seed)
    with contextlib.ExitStack() as running, tempfile.TemporaryDirectory(prefix="omics-") as scratch:
        stack = running.enter_context(stacks.running_stack())
        servers = [Server("ours", (stack.host, stack.port), {"X-Chroma-Token": stack.token},
                          lambda: [stack.service.process.pid, stack.gateway.process.pid])]
        if not told.alone:
            chroma = running.enter_context(reference_server.running_reference("1.5.9"))
            servers.append(Server("chroma", chroma.address, {}, lambda: measure.family(chroma.process.pid)))
        for server in servers:
            report.add(f"ingest: {server.name}", told.records / server.fill(corpus), "records/s")
        wait_for_graph(stack)
        recall(report, servers, corpus)
        throughput(report, servers, corpus, told.seconds, told.rounds, pathlib.Path(scratch))
        reads(report, servers[0], corpus)
    report.write()


if __name__ == "__main__":
    main()
