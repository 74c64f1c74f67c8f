#!/usr/bin/env python3
"""Sends one seeded stream of operations to a real Chroma server and to ours, and compares every answer.

    tests/compat/differential/runner.py --version 1.5.9 --seed 7 --operations 2000
    tests/compat/differential/runner.py --version 1.5.9 --seed 7 --only 12            episode 12 of that run again
    tests/compat/differential/runner.py --version 1.5.9 --seed 7 --only 12 --trace    … and print all of it

A difference that an entry of differences.py explains is counted; where it leaves the two servers with different data, the
collection is made anew on both. Any other is printed and makes the exit code 1.
"""
import argparse
import collections
import contextlib
import dataclasses
import http.client
import os
import pathlib
import shutil
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent / "e2e")]

import client_target  # noqa: E402
import compare  # noqa: E402
import differences  # noqa: E402
import operations  # noqa: E402
import reference_server  # noqa: E402
import stack as stacks  # noqa: E402

ALL_HITS = 200  # more than any collection of a stream has
MISSING_ID = "00000000-0000-4000-8000-00000000abcd"
SHOWN_MAX = 12  # differences printed in full
MEMORY = "/dev/shm"
MEMORY_BYTES_MIN = 2 * 1024**3  # the stores of a run of 20,000 operations, several times
READS = ("get", "query")
WRITES = ("add", "update", "upsert", "delete")
PAIRS = (("0.4.24", "v1"), ("0.5.23", "v1"), ("0.5.23", "v2"), ("1.5.9", "v2"))


class Target:
    """One server: sends operations, and knows the ids that it gave to the collections."""

    def __init__(self, address, dialect, token=None):
        self.connection = http.client.HTTPConnection(*address, timeout=60)
        self.dialect = dialect
        self.headers = {"User-Agent": dialect.user_agent()}
        if dialect.modern:
            self.headers["Content-Type"] = "application/json"
        if token:
            self.headers["X-Chroma-Token"] = token
        self.ids = {}  # slot -> UUID

    def begin(self, episode):
        """A new episode: none of its collections is there yet."""
        del episode
        self.ids.clear()

    def send(self, operation):
        """The answer to an operation of the stream."""
        return self.ask(operation)

    flag = ""  # of this program, for such targets
    compare = staticmethod(compare.compare)

    def ask(self, operation):
        """The answer over raw HTTP."""
        path = operation.path
        for slot, identity in self.ids.items():
            path = path.replace(f"{{{slot}}}", identity)
        if "{" in path:
            path = path.partition("{")[0] + MISSING_ID + path.partition("}")[2]
        return self.request(operation.method, path, operation.text(), operation)

    def request(self, method, path, text, operation=None):
        path = f"/api/{self.dialect.api}" + urllib.parse.quote(path, safe="/?&=-._~")
        answer = self.exchange(method, path, None if text is None else text.encode())
        if operation and operation.kind == "create_collection" and operation.slot and answer.good:
            self.ids[operation.slot] = answer.body["id"]
        return answer

    def exchange(self, method, path, data):
        """Status 0 for a connection that the server broke instead of answering."""
        try:
            self.connection.request(method, path, body=data, headers=self.headers)
            response = self.connection.getresponse()
            return compare.Answer(response.status, response.read())
        except (http.client.RemoteDisconnected, ConnectionResetError):
            self.connection.close()
            return compare.Answer(0, b"")


class Report:
    """What a run found."""

    def __init__(self, version, api, seed):
        self.version, self.api, self.seed = version, api, seed
        self.operations = self.filtered = self.records = 0
        self.fired = collections.Counter()  # entry id -> times
        self.unexplained = []
        self.seconds = 0.0

    def add(self, operation):
        self.operations += 1
        if operation.kind in ("add", "upsert", "update", "delete", "get", "query", "count"):
            self.records += 1
            self.filtered += isinstance(operation.body, dict) and bool(operation.body.get("where") or operation.body.get("where_document"))

    def __str__(self):
        lines = [f"Chroma {self.version}, {self.api}, seed {self.seed}: {self.operations} operations, {self.filtered} of {self.records} on "
                 f"records filtered, {sum(self.fired.values())} explained, {len(self.unexplained)} unexplained, {self.seconds:.0f} s"]
        lines += [f"   {count:6} {entry}" for entry, count in self.fired.most_common()]
        groups = collections.Counter((one.operation.kind, one.operation.trait, one.found[0]) for one in self.unexplained)
        lines += [f"   {count:6} UNEXPLAINED {kind} {trait!r}: {found}" for (kind, trait, found), count in groups.most_common()]
        return "\n".join(lines)


class Context:
    """A difference, as the entries of differences.py see it."""

    def __init__(self, run, operation, theirs, ours, found):
        self.run, self.operation, self.theirs, self.ours, self.found = run, operation, theirs, ours, found
        self.version, self.api = run.dialect.version, run.dialect.api
        self.faults = differences.NOT_LOOKED_FOR
        self._records, self._distances = {}, None

    @property
    def body(self):
        return self.operation.body if isinstance(self.operation.body, dict) else {}

    def records(self, whose):
        """All records of the operation's collection after it: id -> {"document", "metadata", "uri", "embedding"}."""
        if whose not in self._records:
            self._records[whose] = self.run.records(self.run.targets[whose], self.operation)
        return self._records[whose]

    def collection(self, whose):
        """The operation's collection as the server describes it."""
        return self.run.described(self.run.targets[whose], self.operation)

    def reached(self):
        """For every vector of a query, the records that their server finds without a filter, if asked for all."""
        body = {"query_embeddings": self.body["query_embeddings"], "n_results": ALL_HITS, "include": ["distances"]}
        return [set(ids) for ids in self.run.targets["theirs"].ask(dataclasses.replace(self.operation, body=body)).body["ids"]]

    def all_distances(self):
        """For every vector of a query, its distance to every record, from our server without a filter."""
        if self._distances is None:
            body = {"query_embeddings": self.body["query_embeddings"], "n_results": ALL_HITS, "include": ["distances"]}
            answer = self.run.targets["ours"].ask(dataclasses.replace(self.operation, body=body)).body
            self._distances = [dict(zip(*row)) for row in zip(answer["ids"], answer["distances"])]
        return self._distances


class Run:
    shown = SHOWN_MAX

    def __init__(self, dialect, theirs, ours, seed, filters=True, trace=False):
        self.dialect, self.seed, self.filters, self.trace = dialect, seed, filters, trace
        self.targets = {"theirs": theirs, "ours": ours}
        self.report = Report(dialect.version, dialect.api, seed)
        self.current = None  # the episode

    def episode(self, number):
        self.current = episode = operations.Episode(self.dialect, self.seed, number, self.filters)
        for target in self.targets.values():
            target.begin(episode)
        for operation in episode:
            self.step(operation, episode)

    def step(self, operation, episode):
        self.report.add(operation)
        theirs, ours = (target.send(operation) for target in self.targets.values())
        if self.trace:
            print(f"{operation.episode}:{operation.step} {operation}\n    theirs {theirs}\n    ours   {ours}")
        context = Context(self, operation, theirs, ours, self.targets["theirs"].compare(operation, theirs, ours))
        if context.found and operation.kind == "query" and theirs.good and ours.good \
                and (self.only_ties(operation, theirs, ours) or differences.is_a_tie(context)):
            return
        if not context.found or operation.trait == "unknown space":
            context.found += self.hidden(context)
        if not context.found:
            return
        entries = differences.explain(context)
        for entry in entries:
            self.report.fired[entry.name] += 1
        if not entries:
            self.complain(context)
        if not entries or (operation.kind not in READS and any(entry.diverges for entry in entries)):
            self.repair(operation, episode)

    def hidden(self, context):
        """Differences that the answers do not show: of the records after a write, of what a refused creation left."""
        operation = context.operation
        if operation.kind in WRITES and context.theirs.good and isinstance(operation.body, dict):
            return compare.compare_states(context.records("theirs"), context.records("ours"))
        if operation.kind == "create_collection" and operation.trait and isinstance(operation.body, dict) and isinstance(operation.body.get("name"), str):
            path = operation.path.replace("/collections", f"/collections/{operation.body['name']}", 1)
            present = [target.request("GET", path, None).good for target in self.targets.values()]
            return [] if present[0] == present[1] else ["state: collection"]
        return []

    def only_ties(self, operation, theirs, ours):
        """Whether the hits differ only where several are at one distance: all hits, with distances, are then the same, and
        each answer is a nearest part of them."""
        body = {**operation.body, "n_results": ALL_HITS, "include": ["distances"]}
        whole = dataclasses.replace(operation, body=body, trait="")
        full = [target.ask(whole) for target in self.targets.values()]
        if not all(one.good for one in full) or compare.compare(whole, *full):
            return False
        return all(compare.is_nearest_part(answer.body, everything.body) for answer, everything in zip((theirs, ours), full))

    def complain(self, context):
        self.report.unexplained.append(context)
        if len(self.report.unexplained) > self.shown:
            return
        operation = context.operation
        print(f"\nUNEXPLAINED {'; '.join(context.found)}\n  {operation}\n  theirs {context.theirs}\n  ours   {context.ours}{self.states(context)}\n"
              f"  again: runner.py --version {self.dialect.version} --api {self.dialect.api} --seed {self.seed} --only {operation.episode}"
              f"{'' if self.filters else ' --no-filters'}{self.targets['ours'].flag}   (step {operation.step})", flush=True)

    @staticmethod
    def states(context):
        if not context.found[0].startswith("state"):
            return ""
        theirs, ours = context.records("theirs"), context.records("ours")
        unlike = [identity for identity in {**theirs, **ours} if compare.compare_states({0: theirs.get(identity)}, {0: ours.get(identity)})]
        return "".join(f"\n  record {identity!r}:\n    theirs {theirs.get(identity)}\n    ours   {ours.get(identity)}" for identity in unlike[:3])

    def repair(self, operation, episode):
        """Gives both servers the same data again."""
        if operation.kind == "create_collection" and operation.slot is None:
            name = operation.body.get("name") if isinstance(operation.body, dict) else None
            if isinstance(name, str):
                path = self.dialect.collections(episode.tenant, episode.database, f"/{name}")
                for target in self.targets.values():
                    target.request("DELETE", path, None)
        if operation.slot is None:
            return
        anew = operations.Operation(operation.episode, operation.step, "create_collection", "POST",
                                    self.dialect.collections(episode.tenant, episode.database), {"name": f"col-{operation.slot}"}, operation.slot)
        filled = operations.Episode(self.dialect, f"{self.seed}/repair", operation.step, self.filters)
        filled.tenant, filled.database, filled.dimensions = episode.tenant, episode.database, episode.dimensions
        filled.values.repeats = 0
        add = filled.write("add", operation.slot, 12)
        self.put_away(operation, episode)
        for target in self.targets.values():
            target.ask(anew)
            target.ask(add)

    def put_away(self, operation, episode):
        """Renames the collection: deleting it would wake up more of Chroma's faults than the stream looks for. Where only
        one server has it, it is deleted there."""
        by_name = self.dialect.collections(episode.tenant, episode.database, f"/col-{operation.slot}")
        found = {whose: target.request("GET", by_name, None) for whose, target in self.targets.items()}
        both = all(answer.good for answer in found.values())
        for whose, target in self.targets.items():
            target.ids.pop(operation.slot, None)
            if both:
                path = self.dialect.collection(episode.tenant, episode.database, "x").replace("{x}", found[whose].body["id"])
                target.request("PUT", path, f'{{"new_name": "{compare.PUT_AWAY}{operation.episode}-{operation.step}-{operation.slot}", "new_metadata": {{"away": 1}}}}')
            elif found[whose].good:
                target.request("DELETE", by_name, None)

    def described(self, target, operation):
        return target.request("GET", self.dialect.collections(self.current.tenant, self.current.database, f"/col-{operation.slot}"), None).body

    def records(self, target, operation):
        path = operation.path.rpartition("/")[0] + "/get"
        everything = operations.Operation(0, 0, "get", "POST", path, {"include": ["documents", "metadatas", "uris", "embeddings"]}, operation.slot)
        answer = target.ask(everything)
        if not answer.good:
            return {}
        columns = (answer.body[column] for column in ("documents", "metadatas", "uris", "embeddings"))
        return {identity: dict(zip(("document", "metadata", "uri", "embedding"), row)) for identity, *row in zip(answer.body["ids"], *columns)}


@contextlib.contextmanager
def in_memory():
    """Makes temporary files in memory, where there is room: these runs ask what is answered, not what a power cut leaves."""
    kept = tempfile.tempdir
    if os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN:
        tempfile.tempdir = MEMORY
    try:
        yield
    finally:
        tempfile.tempdir = kept


@contextlib.contextmanager
def started(version):
    """The real server of that version and ours, both empty."""
    with in_memory(), reference_server.running_reference(version) as reference, stacks.running_stack("--allow-reset") as ours:
        yield reference, ours


@contextlib.contextmanager
def both_targets(dialect, reference, ours, through_client):
    addresses = (reference.address, None), ((ours.host, ours.port), ours.token)
    if not through_client:
        yield [Target(address, dialect, token) for address, token in addresses]
        return
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(contextlib.closing(client_target.ClientTarget(Target(address, dialect, token), address, dialect, token)))
               for address, token in addresses]


def run_stream(version, api, seed, count, reference, ours, filters=True, only=None, trace=False, seconds=None, through_client=False):
    """Runs episodes until `count` operations are done (or `seconds` are over), or the one episode; the report."""
    dialect = operations.Dialect(version, api)
    with both_targets(dialect, reference, ours, through_client) as targets:
        return run_on(Run(dialect, *targets, seed, filters, trace), count, only, seconds)


def run_on(run, count, only, seconds):
    start = time.monotonic()
    number = only or 0
    while True:
        run.episode(number)
        number += 1
        late = seconds is not None and time.monotonic() - start > seconds
        if only is not None or run.report.operations >= count or late:
            break
    run.report.seconds = time.monotonic() - start
    return run.report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", choices=reference_server.VERSIONS, required=True)
    parser.add_argument("--api", choices=("v1", "v2"), help="default: v1 for 0.4.24, else v2")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--operations", type=int, default=2000)
    parser.add_argument("--seconds", type=float, help="end then, if the operations are not done")
    parser.add_argument("--only", type=int, metavar="EPISODE")
    parser.add_argument("--client", action="store_true", help="send through that version's own Python client")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--no-filters", action="store_true")
    parser.add_argument("--show", type=int, default=SHOWN_MAX, metavar="N", help="print N unexplained differences in full")
    arguments = parser.parse_args()
    Run.shown = arguments.show
    api = arguments.api or ("v1" if arguments.version == "0.4.24" else "v2")
    with started(arguments.version) as (reference, ours):
        report = run_stream(arguments.version, api, arguments.seed, arguments.operations, reference, ours, not arguments.no_filters,
                            arguments.only, arguments.trace, arguments.seconds, through_client=arguments.client)
    print(report)
    sys.exit(1 if report.unexplained else 0)


if __name__ == "__main__":
    main()
