"""The gateway's memory under large bodies and large answers: within the bound that docs/threat-model.md states."""
import concurrent.futures
import json
import os
import random
import re
import time

import stack as stacks

MIB = 1 << 20
BODY_BYTES = 40 * MIB
DIMENSION = 768
SEED = 40
# The formula's parts, in MiB.
BASE, POOL, PER_THREAD = 32, 256, 24


def large_add(first):
    """A body of about BODY_BYTES: records with floats as Python prints them."""
    random.seed(SEED)
    vectors = [json.dumps([random.gauss(0, 1) for _ in range(DIMENSION)]) for _ in range(64)]
    count = BODY_BYTES // (len(vectors[0]) + 16)
    ids = json.dumps([f"{first}-{i}" for i in range(count)])
    return f'{{"ids":{ids},"embeddings":[{",".join(vectors[i % 64] for i in range(count))}]}}'.encode(), count


def memory_mib(program, what):
    status = open(f"/proc/{program.process.pid}/status").read()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) / 1024


def test_large_bodies_and_answers_stay_within_the_documented_memory():
    with stacks.running_stack() as stack:
        path = f"{stacks.V2}/collections/" + stack.json("POST", f"{stacks.V2}/collections", {"name": "large"})["id"]
        threads = len(os.sched_getaffinity(0))

        def until_accepted(what, body):
            """Sends it again as Retry-After says, and returns how often it was refused."""
            for attempt in range(200):
                status, headers, answer = stack.request("POST", f"{path}/{what}", body, {"Content-Type": "application/json"})
                if status != 503:
                    assert status in (200, 201), answer[:300]
                    return attempt
                assert int(headers["Retry-After"]) >= 1
                time.sleep(0.05)
            raise AssertionError("refused 200 times")

        bodies = [large_add(i) for i in range(10)]
        read = json.dumps({"limit": 5000, "include": ["embeddings"]}).encode()
        with concurrent.futures.ThreadPoolExecutor(13) as pool:
            work = [pool.submit(until_accepted, "add", body) for body, _ in bodies] + [pool.submit(until_accepted, "get", read) for _ in range(3)]
            refused = sum(one.result() for one in work)
        written = sum(count for _, count in bodies)
        assert int(stack.json("GET", f"{path}/count")) == written
        for _ in range(3):
            until_accepted("get", read)
        bound = BASE + POOL + threads * (2 * BODY_BYTES / MIB + PER_THREAD)
        peak = memory_mib(stack.gateway, "VmHWM")
        print(f"{written} records, {refused} refusals, peak {peak:.0f} MiB of {bound:.0f}")
        assert peak <= bound
        deadline = time.monotonic() + 10  # given back right after the last answer
        while memory_mib(stack.gateway, "VmRSS") > BASE + 64 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert memory_mib(stack.gateway, "VmRSS") <= BASE + 64
