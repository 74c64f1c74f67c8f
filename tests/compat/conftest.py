import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import drivers  # noqa: E402
import stack as stacks  # noqa: E402

# Five clients for a quick run, one of each kind; all for the others.
QUICK_CLIENTS = ("chromadb-1.5.9", "chromadb-0.4.24", "javascript-3.5.0", "grpc-python", "grpcurl")
CLIENTS = ("chromadb-1.5.9", "chromadb-0.5.23", "chromadb-0.4.24", "javascript-3.5.0", "javascript-1.10.5",
           "grpc-python", "grpcurl")
matrix = {}  # operation -> client -> passed?


def chosen_clients():
    return QUICK_CLIENTS if os.environ.get("OMICS_VECTOR_TEST_CLIENTS") == "quick" else CLIENTS


def pytest_generate_tests(metafunc):
    if "client" in metafunc.fixturenames:
        metafunc.parametrize("client", chosen_clients(), scope="session")


@pytest.fixture(scope="session")
def stack():
    """Both programs, with the Cell Ontology served from the start."""
    with stacks.running_stack(imports=[(stacks.ONTOLOGY / "cell_ontology_sapbert_768.tar.gz", "cell_ontology_v2024_01")]) as started:
        yield started


@pytest.fixture(scope="session")
def connected(stack, client):
    """The client under test, connected with the right token."""
    driver = drivers.make_driver(client)
    driver.connect(stack, stack.token)
    yield driver
    driver.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed or report.when == "call":
        client = getattr(item, "callspec", None) and item.callspec.params.get("client")
        if client and item.module.__name__ == "clients_test":
            row = item.originalname.removeprefix("test_").replace("_", " ")
            cells = matrix.setdefault(row, {})
            cells[client] = cells.get(client, True) and report.passed


def pytest_terminal_summary(terminalreporter):
    if not matrix:
        return
    clients = [client for client in CLIENTS if any(client in row for row in matrix.values())]
    width = max(map(len, matrix)) + 2
    terminalreporter.section("what each client can do")
    terminalreporter.write_line(" " * width + "  ".join(clients))
    for row, cells in matrix.items():
        marks = ("" if client not in cells else "ok" if cells[client] else "FAILS" for client in clients)
        terminalreporter.write_line(row.ljust(width) + "  ".join(mark.ljust(len(name)) for mark, name in zip(marks, clients)))
