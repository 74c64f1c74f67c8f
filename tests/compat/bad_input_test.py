"""Bad input over raw HTTP and through vectorctl: a clear error in Chroma's form, and nothing changed."""
import base64
import io
import json
import tarfile
import uuid

import pytest
import stack as stacks

V1, V2 = "/api/v1", stacks.V2
GOOD = {"ids": ["a", "b"], "embeddings": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "documents": ["one", "two"], "metadatas": [{"n": 1}, {"n": 2}]}
BODY_LIMIT = 4 << 20


@pytest.fixture(scope="module")
def small():
    """A stack with a small body limit, so that an oversized body need not be 128 MiB."""
    with stacks.running_stack() as started:
        started.gateway.terminate()
        started.start_gateway("--body-bytes-max", str(BODY_LIMIT))
        made = started.json("POST", V2 + "/collections", {"name": "bad-input"})
        started.id = made["id"]
        started.json("POST", f"{V2}/collections/{made['id']}/add", GOOD)
        yield started


@pytest.fixture(params=["v1", "v2"])
def path(request, small):
    """The collection's path in either API."""
    yield f"{V1 if request.param == 'v1' else V2}/collections/{small.id}"
    everything = small.json("POST", f"{V2}/collections/{small.id}/get", {"include": ["embeddings", "documents", "metadatas"]})
    assert {key: everything[key] for key in GOOD} == GOOD, "bad input has changed the collection"


def post(small, path, body, **options):
    return small.request("POST", path, body, **options)


def assert_chroma_error(answered, status, names, words=()):
    assert answered[0] == status, answered
    body = json.loads(answered[2])
    assert body["error"] in names, body
    assert isinstance(body["message"], str) and body["message"]
    for word in words:
        assert word in body["message"], body


BAD_ARGUMENT = {"InvalidArgumentError", "InvalidDimension"}


@pytest.mark.parametrize("op", ["add", "upsert"])
def test_a_wrong_dimension(small, path, op):
    answered = post(small, f"{path}/{op}", {"ids": ["c"], "embeddings": [[1.0, 2.0]]})
    assert_chroma_error(answered, 400, {"InvalidDimension"} if path.startswith(V1 + "/") else {"InvalidArgumentError"}, ["3", "2"])


def test_a_query_of_a_wrong_dimension(small, path):
    assert_chroma_error(post(small, path + "/query", {"query_embeddings": [[1.0]], "n_results": 1}), 400, BAD_ARGUMENT, ["3", "1"])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e39", "1e999"])
def test_numbers_that_are_not_finite(small, path, number):
    body = '{"ids": ["c"], "embeddings": [[1.0, 2.0, %s]]}' % number
    assert_chroma_error(post(small, path + "/add", body, headers={"Content-Type": "application/json"}), 400, BAD_ARGUMENT)


def test_a_base64_nan(small, path):
    if path.startswith(V1 + "/"):
        pytest.skip("base64 embeddings belong to v2")
    nan = base64.b64encode(b"\0\0\x80\x3f" * 2 + b"\0\0\xc0\x7f").decode()
    assert_chroma_error(post(small, path + "/add", {"ids": ["c"], "embeddings": [nan]}), 400, BAD_ARGUMENT)


@pytest.mark.parametrize("body", ["", "{", '{"ids": ["c"], "embeddings": [[1,2,3]]', '{"ids": ["c"]} trailing', "\xff"])
def test_malformed_json(small, path, body):
    answered = post(small, path + "/add", body.encode("latin-1"), headers={"Content-Type": "application/json"})
    assert_chroma_error(answered, 400, BAD_ARGUMENT)


@pytest.mark.parametrize("body", ["[" * 5000, "[]", '"\\ud800"', "7", '{"ids": 7, "embeddings": []}', '{"ids": ["c"], "embeddings": ["no base64"]}'])
def test_json_of_the_wrong_type(small, path, body):
    status, _, answer = post(small, path + "/add", body, headers={"Content-Type": "application/json"})
    assert status in (400, 422) and json.loads(answer)["error"] in BAD_ARGUMENT | {"ChromaError"}, (status, answer)


def test_an_oversized_body(small, path):
    body = b'{"ids": ["c"], "embeddings": [[' + b"1.0, " * (BODY_LIMIT // 5) + b"1.0]]}"
    connection = small.connect()
    connection.putrequest("POST", path + "/add")
    connection.putheader("X-Chroma-Token", small.token)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()  # the refusal comes from the header alone, before any of the body
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"]
    connection.close()


def test_unequal_numbers_of_ids_and_embeddings(small, path):
    status, _, answer = post(small, path + "/add", {"ids": ["c", "d"], "embeddings": [[1, 2, 3]]})
    assert status in (400, 422) and json.loads(answer)["error"]


def test_an_unknown_collection(small):
    missing = uuid.uuid4()
    assert_chroma_error(small.request("GET", V2 + "/collections/no-such-one"), 404, {"NotFoundError"}, ["no-such-one"])
    assert_chroma_error(post(small, f"{V2}/collections/{missing}/get", {}), 404, {"NotFoundError"})
    assert_chroma_error(post(small, f"{V2}/collections/not-a-uuid/get", {}), 400, {"InvalidArgumentError"})
    status, _, answer = post(small, f"{V1}/collections/{missing}/get", {})
    assert status in (400, 404) and json.loads(answer)["error"] in {"InvalidCollection", "NotFoundError"}


@pytest.mark.parametrize("token", [None, "wrong", "", "x" * 5000])
def test_a_bad_token(small, path, token):
    status, error = (401, "AuthorizationError") if path.startswith(V1 + "/") else (403, "AuthError")
    for method, target in (("POST", path + "/get"), ("GET", path.rsplit("/", 1)[0]), ("POST", path + "/add")):
        answered = small.request(method, target, GOOD if method == "POST" else None, token=token)
        if token and len(token) > 1000 and answered[0] == 431:
            continue
        assert_chroma_error(answered, status, {error})


@pytest.mark.parametrize("header", ["X-Chroma-Token: {}", "x-chroma-token: {}", "Authorization: Bearer {}", "authorization: bearer {}", "Authorization: Basic {basic}"])
def test_every_spelling_of_the_token(small, path, header):
    basic = base64.b64encode(f"anyone:{small.token}".encode()).decode()
    name, value = header.format(small.token, basic=basic).split(": ", 1)
    status, _, answer = small.request("GET", path + "/count", headers={name: value}, token=None)
    assert (status, answer) == (200, b"2")


def test_paths_without_a_token(small):
    for target in ("/livez", "/readyz", "/api/v1/heartbeat", "/api/v2/heartbeat", "/api/v1/version", "/api/v2/version"):
        assert small.request("GET", target, token=None)[0] == 200, target


def test_a_refused_request_is_not_read(small, path):
    """The answer to a bad token comes before the body is sent."""
    connection = small.connect()
    connection.putrequest("POST", path + "/add")
    connection.putheader("X-Chroma-Token", "wrong")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    assert connection.getresponse().status in (401, 403)
    connection.close()


def collections_of(small):
    return sorted(found["name"] for found in small.json("GET", V2 + "/collections"))


def refused_import(small, archive, words):
    before = collections_of(small)
    done = small.vectorctl("import", archive, "--collection", "imported", check=False)
    assert done.returncode != 0
    assert any(word in done.stderr.lower() for word in words), done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3, done.stderr
    assert collections_of(small) == before


def test_a_truncated_tarball(small, tmp_path):
    whole = (stacks.ONTOLOGY / "cell_ontology_sapbert_768.tar.gz").read_bytes()
    for part in (0.1, 0.5, 0.99):
        cut = tmp_path / f"cut-{part}.tar.gz"
        cut.write_bytes(whole[:int(len(whole) * part)])
        refused_import(small, cut, ["truncated", "incomplete", "damaged", "cut off", "unexpected end"])


def archive_of(tmp_path, *members):
    made = tmp_path / "made.tar.gz"
    with tarfile.open(made, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made


@pytest.mark.parametrize("name", ["../chroma.sqlite3", "store/../../chroma.sqlite3", "/tmp/chroma.sqlite3"])
def test_a_tarball_with_paths_that_lead_out(small, tmp_path, name):
    made = archive_of(tmp_path, (tarfile.TarInfo(name), b"x" * 100))
    refused_import(small, made, ["path", ".."])


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_tarball_with_something_else_than_files(small, tmp_path, kind):
    info = tarfile.TarInfo("store/chroma.sqlite3")
    info.type, info.linkname = kind, "/etc/passwd"
    refused_import(small, archive_of(tmp_path, (info, b"")), ["link", "regular", "file"])


def test_a_file_that_is_no_archive(small, tmp_path):
    made = tmp_path / "not.tar.gz"
    made.write_bytes(b"this is not an archive " * 100)
    refused_import(small, made, ["archive", "tar"])


def test_an_archive_without_a_store(small, tmp_path):
    refused_import(small, archive_of(tmp_path, (tarfile.TarInfo("readme.txt"), b"nothing here")), ["chroma.sqlite3"])
