import json
import os
import pathlib
import secrets
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import drivers  # noqa: E402
import matrix  # noqa: E402
import roster  # noqa: E402
import stack as stacks  # noqa: E402

results = {}  # operation -> client -> passed?


def chosen_clients():
    """All, or those that OMICS_VECTOR_TEST_CLIENTS names: `quick`, or names with commas between."""
    chosen = os.environ.get("OMICS_VECTOR_TEST_CLIENTS", "")
    if not chosen:
        return [client.name for client in roster.ROSTER]
    names = roster.QUICK if chosen == "quick" else tuple(chosen.split(","))
    return [roster.BY_NAME[name].name for name in names]


def pytest_generate_tests(metafunc):
    """A test runs with the clients that offer what it needs."""
    if "client" in metafunc.fixturenames:
        needed = getattr(metafunc.function, "needs", ())
        offering = [name for name in chosen_clients() if roster.BY_NAME[name].offers.issuperset(needed)]
        metafunc.parametrize("client", offering, scope="session")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.module.__name__ == "matrix_test")  # it looks at what the others have shown


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """Both programs, with the Cell Ontology served from the start, a token for everything and one for reading."""
    token, reader = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(f"owner admin {token}\nsearch read {reader}\n")
    tokens.chmod(0o600)
    imports = [(stacks.ONTOLOGY / "cell_ontology_sapbert_768.tar.gz", "cell_ontology_v2024_01")]
    with stacks.running_stack(imports=imports, token=token, settings={"OMICS_VECTOR_TOKENS_FILE": str(tokens)}) as started:
        started.reader = reader
        yield started


@pytest.fixture(scope="session")
def connected(stack, client):
    """The client under test, connected with the right token."""
    driver = drivers.make_driver(client)
    driver.connect(stack, stack.token)
    yield driver
    driver.close()


@pytest.fixture(scope="session")
def other(client):
    """The same client a second time, not connected: for tests of connecting itself."""
    driver = drivers.make_driver(client)
    yield driver
    driver.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed or report.when == "call":
        client = getattr(item, "callspec", None) and item.callspec.params.get("client")
        if client and item.module.__name__ == "clients_test":
            cells = results.setdefault(item.originalname.removeprefix("test_").replace("_", " "), {})
            cells[client] = cells.get(client, True) and report.passed


@pytest.fixture
def shown():
    """What this run has shown so far: operation -> client -> passed?"""
    return results


def pytest_terminal_summary(terminalreporter):
    if not results:
        return
    terminalreporter.section("what each client can do")
    for line in matrix.text(results):
        terminalreporter.write_line(line)
    if os.environ.get("OMICS_VECTOR_TEST_MATRIX"):
        pathlib.Path(os.environ["OMICS_VECTOR_TEST_MATRIX"]).write_text(json.dumps(results))
