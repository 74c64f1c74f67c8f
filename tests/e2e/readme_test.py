"""The README's commands work: every ```sh block under a line `<!-- tested -->` is run against a started stack.

The blocks are written for ./run's defaults; the test puts its own ports and token in their place.
"""
import re
import subprocess

import environments
import pytest
import stack as stacks

README = stacks.ROOT / "README.md"
BLOCK = re.compile(r"^<!-- tested -->\s*\n```(?:sh|bash)\n(.*?)^```", re.S | re.M)


def blocks():
    return BLOCK.findall(README.read_text()) if README.exists() else []


@pytest.fixture(scope="module")
def served():
    with stacks.running_stack(imports=[(stacks.ONTOLOGY / "cell_ontology_sapbert_768.tar.gz", "cell_ontology_v2024_01")]) as started:
        (started.home / "token").write_text(started.token)
        yield started


@pytest.mark.parametrize("block", blocks() or [pytest.param("", marks=pytest.mark.skip(reason="README.md has no tested block"))])
def test_a_block_of_the_readme(served, block):
    script = block.replace("127.0.0.1:8000", served.rest).replace("localhost:8000", served.rest)
    script = script.replace("127.0.0.1:50051", served.grpc).replace("localhost:50051", served.grpc)
    script = script.replace("data/token", str(served.home / "token")).replace("port=8000", f"port={served.port}")
    folders = (environments.python_of("chromadb-1.5.9").parent, environments.grpcurl().parent, stacks.VECTORCTL.parent)
    env = stacks.clean_environment()
    env["PATH"] = ":".join(map(str, folders)) + ":" + env["PATH"]
    done = subprocess.run(["bash", "-euo", "pipefail"], input=script, capture_output=True, text=True, env=env, cwd=stacks.ROOT, timeout=300)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    print(done.stdout[:2000])
