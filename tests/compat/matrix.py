#!/usr/bin/env python3
"""The table of what each client can do: printed by a test run, kept in docs/chroma-compatibility.md.

    tests/compat/matrix.py --write      runs every client against the built programs and writes the section "Clients"
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import environments
import roster

PAGE = environments.ROOT / "docs" / "chroma-compatibility.md"
OPENS, CLOSES = "<!-- what follows is written by tests/compat/matrix.py --write -->", "<!-- end of what it writes -->"
OK, NOT_OFFERED, FAILS = "ok", "–", "FAIL"


def mark(cells, client):
    return NOT_OFFERED if client.name not in cells else OK if cells[client.name] else FAILS


def tables(results):
    """(family, its clients that have run, rows of (operation, marks)) for each family with any."""
    for family in roster.FAMILIES:
        clients = [client for client in roster.ROSTER if client.family == family
                   and any(client.name in cells for cells in results.values())]
        if clients:
            yield family, clients, [(operation, [mark(cells, client) for client in clients]) for operation, cells in results.items()]


def text(results):
    for family, clients, rows in tables(results):
        width = max(len(operation) for operation, _ in rows) + 2
        yield family.ljust(width) + "  ".join(client.heading for client in clients)
        for operation, marks in rows:
            if set(marks) != {NOT_OFFERED}:
                yield operation.ljust(width) + "  ".join(m.ljust(len(client.heading)) for m, client in zip(marks, clients)).rstrip()
        yield ""


def markdown(results):
    lines = []
    for family, clients, rows in tables(results):
        lines += [f"### {family}", "", "| operation | " + " | ".join(client.heading for client in clients) + " |",
                  "|---|" + "---|" * len(clients)]
        lines += [f"| {operation} | " + " | ".join(marks) + " |" for operation, marks in rows if set(marks) != {NOT_OFFERED}]
        lines.append("")
    return "\n".join(lines)


def kept():
    """The page's marks: operation -> client -> mark, without those that are not offered."""
    found, clients = {}, []
    written = PAGE.read_text().partition(OPENS)[2].partition(CLOSES)[0]
    for line in written.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("### "):
            family = line[4:]
        elif line.startswith("| operation |"):
            headings = {client.heading: client.name for client in roster.ROSTER if client.family == family}
            clients = [headings.get(heading, heading) for heading in cells[1:]]
        elif line.startswith("| "):
            found.setdefault(cells[0], {}).update({name: m for name, m in zip(clients, cells[1:]) if m != NOT_OFFERED})
    return found


def write(results):
    page = PAGE.read_text()
    block = f"{OPENS}\n\n{markdown(results)}\n{CLOSES}"
    written, replaced = re.subn(re.escape(OPENS) + ".*?" + re.escape(CLOSES), lambda _: block, page, flags=re.S)
    if replaced != 1:
        sys.exit(f"matrix.py: {PAGE} has not one section between `{OPENS}` and `{CLOSES}`")
    PAGE.write_text(written)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", required=True, help="run all clients and write the table")
    parser.parse_args()
    environments.make_all(environments.ENVIRONMENTS)
    with tempfile.TemporaryDirectory() as scratch:
        told = pathlib.Path(scratch) / "matrix.json"
        tests = environments.ROOT / "tests" / "compat" / "clients_test.py"
        code = subprocess.run([environments.python_of("harness"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", tests],
                              env={**os.environ, "OMICS_VECTOR_TEST_CLIENTS": "", "OMICS_VECTOR_TEST_MATRIX": str(told)}).returncode
        write(json.loads(told.read_text()))
    sys.exit(code)


if __name__ == "__main__":
    main()
