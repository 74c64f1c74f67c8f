"""docs/chroma-compatibility.md says what this run has shown."""
import os

import matrix
import pytest


def test_the_page_agrees_with_this_run(shown):
    if not shown:
        pytest.skip("no client has run")
    kept = matrix.kept()
    ran = {(operation, client): matrix.OK if passed else matrix.FAILS for operation, cells in shown.items() for client, passed in cells.items()}
    written = {(operation, client): mark for operation, cells in kept.items() for client, mark in cells.items()}
    wrong = {cell: (mark, written.get(cell)) for cell, mark in ran.items() if written.get(cell) != mark}
    assert not wrong, f"(run, page): {wrong}; `tests/compat/matrix.py --write` brings the page up to date"


def test_the_page_lists_nothing_that_is_not_tested(request, shown):
    clients = {client for cells in shown.values() for client in cells}
    chosen = request.config.getoption("keyword") or os.environ.get("OMICS_VECTOR_TEST_CLIENTS")
    if chosen or not shown:
        pytest.skip("not every client has run")
    stale = {(operation, client) for operation, cells in matrix.kept().items() for client in cells
             if client not in shown.get(operation, {})}
    assert clients and not stale, f"the page has cells that nothing tests: {sorted(stale)}"
