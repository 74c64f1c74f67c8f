"""Real Chroma servers and ours, given the same seeded streams of requests: no difference that differences.py does not name.

A run of this file sends some 750 operations a version with a fixed seed and as many with a fresh one that it prints, and
some 240 through that version's own Python client; with OMICS_VECTOR_TEST_DIFFERENTIAL=N it sends N operations an API, N / 20
through the client, and every entry of differences.py must have fired.
"""
import os
import pathlib
import re
import secrets
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "differential"))

import differences  # noqa: E402
import runner  # noqa: E402

LONG = int(os.environ.get("OMICS_VECTOR_TEST_DIFFERENTIAL", "0"))
SEED = "fixed"
OPERATIONS, SECONDS = 750, 20  # of one of the two streams of an API; whichever comes first
CLIENT_OPERATIONS, CLIENT_SECONDS = 240, 15
DOCUMENT = HERE.parent.parent / "docs" / "chroma-compatibility.md"
fired = {}  # (version, API) -> entries of a long run


@pytest.fixture(scope="module", params=sorted({version for version, _ in runner.PAIRS}))
def servers(request):
    with runner.started(request.param) as (reference, ours):
        yield request.param, reference, ours


def apis_of(version):
    return [api for one, api in runner.PAIRS if one == version]


def random_seed():
    return os.environ.get("OMICS_VECTOR_TEST_SEED") or secrets.token_hex(4)


@pytest.mark.parametrize("which", ["fixed", "random"] if LONG else ["fixed"])  # what a long run finds becomes a case of its own
def test_the_real_server_and_ours_answer_alike(servers, which):
    version, *both = servers
    seed = SEED if which == "fixed" else random_seed()
    for api in apis_of(version):
        share = len(apis_of(version))
        count = LONG // 2 if LONG else OPERATIONS // share
        report = runner.run_stream(version, api, seed, count, *both, seconds=None if LONG else SECONDS // share)
        print(report)
        fired.setdefault(version, set()).update(report.fired)
        assert report.filtered * 2 >= report.records * (0.9 if LONG else 0.6), "about half of the operations on records should be filtered"
        assert not report.unexplained, f"{len(report.unexplained)} unexplained differences; they are printed above with the command that repeats each"


@pytest.mark.skipif(not LONG, reason="only a long run meets every difference")
def test_every_deliberate_difference_still_shows():
    expected = {(one.name, version) for one in differences.ENTRIES for version in one.versions if version in fired and not one.rare}
    silent = {name for name, _ in expected} - {name for names in fired.values() for name in names}
    assert not silent, f"these entries of differences.py explained nothing: {sorted(silent)}"


def test_the_client_of_that_version_meets_the_same_with_both(servers):
    version, *both = servers
    seed = f"client-{random_seed() if LONG else SEED}"
    report = runner.run_stream(version, apis_of(version)[-1], seed, LONG // 20 or CLIENT_OPERATIONS, *both, seconds=None if LONG else CLIENT_SECONDS,
                               through_client=True)
    print(report)
    fired.setdefault(version, set()).update(report.fired)
    assert not report.unexplained, f"{len(report.unexplained)} unexplained differences; they are printed above with the command that repeats each"


def documented():
    """Name -> (versions, reason) of the rows under "Deliberate differences"."""
    section = DOCUMENT.read_text().partition("## Deliberate differences")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| (.+) \|$", section, re.MULTILINE)
    return {name: (tuple(versions.strip().split(", ")), reason.replace("\\|", "|")) for name, versions, reason in rows}


def test_every_deliberate_difference_is_documented_and_every_documented_one_is_checked():
    assert documented() == {one.name: (one.versions, one.reason) for one in differences.ENTRIES}


def test_an_answer_that_is_not_alike_is_reported():
    operation = runner.operations.Operation(0, 0, "get", "POST", "/x", {})
    one, other = (runner.compare.Answer(200, text) for text in (
        b'{"ids":["a","b"],"documents":["x","y"],"metadatas":[{"n":1},null],"include":[]}',
        b'{"ids":["a","b"],"documents":["x","y"],"metadatas":[{"n":1.0},null],"include":[]}'))
    assert runner.compare.compare(operation, one, one) == []
    assert runner.compare.compare(operation, one, other) == ["metadatas"]


def test_of_a_collection_that_was_put_away_a_list_compares_the_name_alone():
    operation = runner.operations.Operation(0, 0, "list_collections", "GET", "/collections", None)

    def listed(name, dimension):
        return runner.compare.Answer(200, b'[{"name":"%s","dimension":%d,"metadata":null}]' % (name.encode(), dimension))
    away = f"{runner.compare.PUT_AWAY}2-16-c0"
    assert runner.compare.compare(operation, listed(away, 9), listed(away, 8)) == []
    assert runner.compare.compare(operation, listed(away, 9), listed(away + "x", 9)) == ["names"]
    assert runner.compare.compare(operation, listed("col-c0", 9), listed("col-c0", 8)) == ["dimension."]
