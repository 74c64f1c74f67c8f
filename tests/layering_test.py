"""Who may include whom: reads the #include lines of every room and fails on a wrong one.

    python3 tests/layering_test.py      prints the wrong includes of the tree
    pytest tests/layering_test.py       the same, and shows that each rule can fail

The rules are those of docs/architecture.md: a room sees only the rooms below it, protobuf and gRPC never reach the
engine, FAISS never leaves it, and the libraries behind a room stay in its .cc files.
"""
import fnmatch
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROOMS = ("base", "cloud", "index", "services", "gateway", "tools")
INCLUDE = re.compile(r'^\s*#\s*include\s*(<([^>]+)>|"([^"]+)")')

# Rooms each room may include besides itself.
ROOMS_BELOW = {
    "base": (),
    "cloud": ("base",),
    "index": ("base",),
    "services": ("base", "cloud", "index"),
    "gateway": ("base", "cloud"),
    "tools": ("base", "cloud", "index"),
}
PROTO = ("*.pb.h", "google/protobuf/*", "grpc/*", "grpc++/*", "grpcpp/*")
MAY_USE_PROTO = ("services", "gateway", "tools")
# A library and the files that may include it: patterns of repository paths.
# `_inl.h` files are parts of a .cc file that Highway compiles once for every CPU target.
LIBRARIES = {
    "FAISS": (("faiss/*",), ("index/internal/*.cc",)),
    "SQLite": (("sqlite3.h", "sqlite3ext.h"), ("index/*.cc", "tools/*.cc")),
    "CRoaring": (("roaring/*",), ("index/*.cc",)),
    "RE2": (("re2/*",), ("index/*.cc",)),
    "libarchive": (("archive.h", "archive_entry.h"), ("index/*.cc",)),
    "zstd": (("zstd.h", "zstd_errors.h"), ("index/*.cc",)),
    "Highway": (("hwy/*",), ("index/internal/*.cc", "index/internal/*_inl.h")),
    "simdjson": (("simdjson.h", "simdjson/*"), ("index/*.cc", "gateway/*", "cloud/*.cc", "services/*.cc")),
    "OpenSSL": (("openssl/*",), ("base/*", "services/*", "gateway/*", "cloud/*.cc")),
    "libcurl": (("curl/*",), ("cloud/*.cc",)),
    "spdlog": (("spdlog/*", "fmt/*"), ("base/*.cc",)),
    "prometheus-cpp": (("prometheus/*",), ("base/*",)),
    "Boost": (("boost/*",), ("gateway/*", "services/*", "tools/*", "base/*.cc")),
    "Boost.Beast": (("boost/beast*",), ("gateway/*",)),
}


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def room_fault(room, name):
    """Why `room` may not include `name` of another room, or None."""
    other = name.split("/", 1)[0]
    if other not in ROOMS or other == room:
        return None
    if other not in ROOMS_BELOW[room]:
        return f"{room}/ must not include {other}/"
    if other == "index" and name.startswith("index/internal/"):
        return f"{room}/ may include only the public headers of index/, not index/internal/"
    return None


def library_fault(path, room, name):
    """Why the file may not include this library header, or None."""
    if matches(name, PROTO) and room not in MAY_USE_PROTO:
        return f"{room}/ must not include protobuf or gRPC"
    for library, (headers, files) in LIBRARIES.items():
        if matches(name, headers) and not matches(path, files):
            return f"{library} may be included only by {', '.join(files)}"
    return None


def faults_of(path, text):
    """The wrong includes of one file as `path:line: reason`. `path` is relative to the root of the repository."""
    room = path.split("/", 1)[0]
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        name = found[2] or found[3]
        fault = room_fault(room, name) or library_fault(path, room, name)
        if not fault and name.startswith((".", "/")):
            fault = "includes are named from the root of the repository"
        if not fault and found[3] and "/" not in name:
            fault = f'"{name}" has no folder: includes are named from the root of the repository'
        if fault:
            faults.append(f"{path}:{number}: {line.strip()}: {fault}")
    if path.endswith(".h") and "#pragma once" not in text and not path.endswith("_inl.h"):
        faults.append(f"{path}:1: a header starts with #pragma once")
    return faults


def source_files():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *ROOMS],
                            cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [path for path in listed if path.endswith((".h", ".cc")) and (ROOT / path).exists()]


def tree_faults():
    files = source_files()
    return files, [fault for path in files for fault in faults_of(path, (ROOT / path).read_text())]


def test_every_include_of_the_tree_keeps_the_layers():
    files, faults = tree_faults()
    assert len(files) > 20, "the tree has hardly any sources: the test looks in the wrong place"
    assert not faults, "\n" + "\n".join(faults)


BAD = [
    ("base/log.cc", '#include "index/record.h"'),
    ("base/log.h", "#include <spdlog/spdlog.h>"),
    ("index/catalog.h", "#include <sqlite3.h>"),
    ("index/catalog.cc", '#include "cloud/s3.h"'),
    ("cloud/s3.cc", '#include "index/catalog.h"'),
    ("cloud/s3.cc", "#include <grpcpp/grpcpp.h>"),
    ("cloud/s3.cc", "#include <boost/asio.hpp>"),
    ("cloud/http.h", "#include <curl/curl.h>"),
    ("services/server.cc", "#include <curl/curl.h>"),
    ("index/internal/segment.h", "#include <faiss/IndexHNSW.h>"),
    ("index/collection.cc", "#include <faiss/IndexHNSW.h>"),
    ("index/record.cc", '#include "omics/vector/v1/records.pb.h"'),
    ("index/record.cc", "#include <grpcpp/grpcpp.h>"),
    ("index/record.cc", "#include <boost/asio.hpp>"),
    ("index/record.h", "#include <re2/re2.h>"),
    ("index/record.h", "#include <roaring/roaring.hh>"),
    ("index/internal/archive.h", "#include <archive.h>"),
    ("services/convert.cc", "#include <faiss/Index.h>"),
    ("services/convert.cc", '#include "index/internal/segment.h"'),
    ("services/server.cc", "#include <boost/beast/http.hpp>"),
    ("services/server.cc", '#include "gateway/server.h"'),
    ("gateway/server.cc", '#include "index/catalog.h"'),
    ("gateway/server.cc", '#include "services/server.h"'),
    ("gateway/server.cc", "#include <sqlite3.h>"),
    ("tools/vectorctl.cc", '#include "services/server.h"'),
    ("tools/vectorctl.cc", '#  include "gateway/server.h"'),
    ("tools/vectorctl.cc", '#include "index/internal/file.h"'),
    ("tools/vectorctl.cc", '#include "vectorctl.h"'),
    ("tools/vectorctl.cc", '#include "../base/log.h"'),
]
GOOD = [
    ("base/log.cc", "#include <spdlog/spdlog.h>"),
    ("index/internal/hnsw_builder.cc", "#include <faiss/IndexHNSW.h>"),
    ("index/internal/code_kernels.cc", "#include <hwy/highway.h>"),
    ("index/catalog.cc", '#include "index/internal/sqlite.h"'),
    ("services/convert.cc", '#include "index/catalog.h"'),
    ("services/convert.cc", '#include "omics/vector/v1/records.pb.h"'),
    ("gateway/server.cc", "#include <boost/beast/http.hpp>"),
    ("gateway/json_reader.h", "#include <simdjson.h>"),
    ("tools/vectorctl.cc", '#include "index/catalog.h"'),
    ("cloud/http.cc", "#include <curl/curl.h>"),
    ("services/server.cc", '#include "cloud/download.h"'),
]


def pytest_generate_tests(metafunc):
    for name, cases in (("bad", BAD), ("good", GOOD)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, cases, ids=lambda case: f"{case[0]} {case[1].split('include')[1].strip()}")


def test_a_wrong_include_is_found(bad):
    path, line = bad
    faults = faults_of(path, "#pragma once\n#include <string>\n" + line + "\n")
    assert len(faults) == 1 and faults[0].startswith(f"{path}:3: "), faults


def test_a_right_include_is_let_through(good):
    path, line = good
    assert faults_of(path, "#pragma once\n" + line + "\n") == []


if __name__ == "__main__":
    checked, found = tree_faults()
    print("\n".join(found) if found else f"layering: {len(checked)} files, no wrong include")
    sys.exit(1 if found else 0)
