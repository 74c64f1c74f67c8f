"""The OpenAPI document against the running programs: schemathesis sends what the document allows, and what it does not,
and holds every answer against it. OMICS_VECTOR_TEST_OPENAPI_SECONDS says for how long (60). The calls are the same each
time, so that a red run means a changed program; another OMICS_VECTOR_TEST_SEED makes up others, as the long run does."""
import collections
import json
import os
import pathlib
import subprocess

import environments
import pytest
import stack as stacks

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = environments.folder("schemathesis") / "bin"
SECONDS = int(os.environ.get("OMICS_VECTOR_TEST_OPENAPI_SECONDS", 60))
SEED = int(os.environ.get("OMICS_VECTOR_TEST_SEED", 1))
ENDING = 100  # collections and databases that are there to be deleted
LATE_SECONDS = 300  # what is under way when the time is over, and a machine that is busy
# Most operations that end so must have succeeded once. Not every one: how far a run comes in its time, and so which names
# it has made up that are free, depends on the machine.
SUCCEEDING_SHARE = 3 / 4
SUCCEEDING = ("/add", "/upsert", "/update", "/get", "/query", "/delete", "/count", "/collections", "/{collection}", "/databases", "/tenants")
RECORDS = {"ids": [f"r{i}" for i in range(20)], "embeddings": [[1.0, i / 7, -i] for i in range(20)],
           "documents": [f"the {i}th document" for i in range(20)], "metadatas": [{"n": i, "even": i % 2 == 0} for i in range(20)]}


@pytest.fixture(scope="module")
def described():
    """A stack of its own, since everything in it may be changed."""
    with stacks.running_stack() as started:
        started.collections = {name: started.json("POST", stacks.V2 + "/collections", {"name": name})["id"]
                               for name in ("described-full", "described-empty", "described-renamed")}
        for i in range(ENDING):
            started.json("POST", stacks.V2 + "/collections", {"name": f"ending-{i}"})
            started.json("POST", "/api/v2/tenants/default_tenant/databases", {"name": f"ending-{i}"})
        started.json("POST", f"{stacks.V2}/collections/{started.collections['described-full']}/add", RECORDS)
        yield started


def count_answers(events):
    """operation -> status -> how often, of the calls with methods that are described."""
    answers = collections.defaultdict(collections.Counter)
    with open(events) as lines:
        for recorder in (json.loads(line).get("ScenarioFinished", {}).get("recorder") for line in lines):
            for case, interaction in (recorder or {}).get("interactions", {}).items():
                sent = recorder["cases"][case]["value"]
                if interaction.get("response"):
                    answers[f"{sent['method']} {sent['path']}"][interaction["response"]["status_code"]] += 1
    return {operation: statuses for operation, statuses in answers.items() if set(statuses) != {405}}


def test_the_document_is_valid_openapi(described, tmp_path):
    status, headers, document = described.request("GET", "/openapi.json", token=None)
    assert status == 200 and headers["Content-Type"] == "application/json"
    file = tmp_path / "openapi.json"
    file.write_bytes(document)
    done = subprocess.run([PROGRAMS / "python", "-m", "openapi_spec_validator", "--schema", "3.1", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_programs_answer_as_the_document_says(described, tmp_path):
    events = tmp_path / "events.ndjson"
    print(f"\nschemathesis: {SECONDS} s; OMICS_VECTOR_TEST_SEED={SEED} repeats this run")
    command = [PROGRAMS / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run", f"http://{described.rest}/openapi.json",
               "--header", f"X-Chroma-Token: {described.token}", "--seed", str(SEED), "--max-time", str(SECONDS),
               "--generation-database", "none", "--continue-on-failure", "--max-failures", "20", "--no-color",
               "--request-timeout", "60", "--suppress-health-check", "all", "--report", "ndjson", "--report-ndjson-path", events]
    environment = stacks.clean_environment(SCHEMATHESIS_HOOKS=str(HERE / "schemathesis_hooks.py"), OMICS_VECTOR_TEST_SEED=str(SEED),
                                           OMICS_VECTOR_TEST_ENDING=str(ENDING), OMICS_VECTOR_TEST_COLLECTIONS=json.dumps(described.collections))
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment, cwd=tmp_path,
                          timeout=SECONDS + LATE_SECONDS)
    print(done.stdout[-20_000:], done.stderr[-2_000:])
    answers = count_answers(events)
    for operation, statuses in sorted(answers.items()):
        print("  ".join([f"{operation:100}", *(f"{status}: {count}" for status, count in sorted(statuses.items()))]))
    assert done.returncode == 0, "the answers differ from the document: see above"
    succeeded = {operation: bool({200, 201} & statuses.keys()) for operation, statuses in answers.items() if operation.endswith(SUCCEEDING)}
    assert sum(succeeded.values()) >= SUCCEEDING_SHARE * len(succeeded) > 0, f"the run is worth little where little succeeds: {succeeded}"
    assert described.request("GET", "/readyz")[0] == 200
