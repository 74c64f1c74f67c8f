"""A server as an application sees it: the operations of a stream, sent through the Python client of the server's own version.

What the client returns stands for a good answer, the class and text of the exception that it raises for a bad one. Tenants,
databases and what is not about a collection of the episode go over raw HTTP, and so does all that the runner asks by itself.
"""
import base64
import contextlib
import json
import struct

import compare
import drivers

RECORD_KINDS = ("get", "query", "add", "update", "upsert", "delete", "count")
# Chroma's exception classes -> name and status of the answer that makes a client raise them.
CLASSES = {"InvalidDimensionException": ("InvalidDimension", 400), "InvalidCollectionException": ("InvalidCollection", 400), "InvalidUUIDError": ("InvalidUUID", 400),
           "NotFoundError": ("NotFoundError", 404), "UniqueConstraintError": ("UniqueConstraintError", 409), "InternalError": ("InternalError", 500)}
BROKEN = ("RemoteProtocolError", "ConnectionError")  # httpx of 0.5 and later, requests of 0.4


class ClientAnswer(compare.Answer):
    """What a call of the client came to; `raised` is the class of its exception, None for none."""

    def __init__(self, result=None, raised=None, message=""):
        self.raised = raised
        status, body = answer_behind(raised, message) if raised else (200, result)
        super().__init__(status, json.dumps(body).encode())

    def __str__(self):
        return f"[{self.raised or 'returned'}] {self.raw.decode()[:1500]}"


def answer_behind(raised, message):
    """Status and body of the answer that made the client raise this. One that it does not understand is its exception's text.
    Status 0, as over raw HTTP, for a connection that the server broke instead of answering."""
    if raised in BROKEN:
        return 0, {}
    with contextlib.suppress(ValueError):
        body, _ = json.JSONDecoder().raw_decode(message)
        if isinstance(body, dict) and "detail" in body:
            return (422 if isinstance(body["detail"], list) else 500), body
        if isinstance(body, dict) and "error" in body:
            return (500 if "(" in str(body["error"]) else 400), body
    name, status = CLASSES.get(raised, ("InvalidArgumentError", 400))
    return (422 if message.startswith("Failed to deserialize") else status), {"error": name, "message": message}


def floats(embedding):
    """A base64 embedding as numbers: clients take no others."""
    if not isinstance(embedding, str):
        return embedding
    data = base64.b64decode(embedding)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


class ClientTarget:
    flag = " --client"

    def __init__(self, raw, address, dialect, token):
        self.raw, self.dialect, self.calls = raw, dialect, 0
        self.client = drivers.make_driver(f"chromadb-{dialect.version}")
        self.client.call("connect", host=address[0], port=address[1], token=token)
        self.home = self.entered = None

    def close(self):
        self.client.close()

    @property
    def ids(self):
        return self.raw.ids

    def begin(self, episode):
        self.raw.begin(episode)
        self.home = episode.tenant, episode.database

    def ask(self, operation):
        return self.raw.ask(operation)

    def request(self, *words):
        return self.raw.request(*words)

    def send(self, operation):
        call = self.call_for(operation)
        if call is None:
            return self.ask(operation)
        answer = self.call(*call)
        if operation.kind == "create_collection" and operation.slot and answer.good:
            self.ids[operation.slot] = answer.body["id"]
        return answer

    def call(self, name, arguments):
        self.calls += 1
        try:
            if self.entered != self.home:
                self.client.call("use", tenant=self.home[0], database=self.home[1])
                self.entered = self.home
            return ClientAnswer(self.client.call(name, **arguments))
        except drivers.ClientError as error:
            return ClientAnswer(raised=error.name, message=error.message)

    def call_for(self, operation):
        """The client's operation and its arguments; None for what goes over raw HTTP."""
        body = {} if operation.body is None else operation.body
        if not isinstance(body, dict) or "no-such" in operation.path or body.get("ids") == []:
            return None  # 0.4's client leaves out an empty list of ids
        name = operation.slot and f"col-{operation.slot}"
        if operation.kind in RECORD_KINDS:
            return self.call_on_records(operation.kind, name, dict(body)) if name else None
        if operation.kind == "create_collection":
            known = body.keys() <= {"name", "metadata", "configuration", "get_or_create"} and "name" in body
            return ("create", body) if known else None
        if operation.kind == "update_collection" and name:
            return "modify", {"name": name, **{member: body[sent] for sent, member in (("new_name", "new_name"), ("new_metadata", "metadata")) if body.get(sent) is not None}}
        named = {"get_collection": "get_collection", "delete_collection": "delete_collection"}.get(operation.kind)
        if named and name:
            return named, {"name": name}
        return ("count_collections", {}) if operation.kind == "count_collections" else None

    @staticmethod
    def call_on_records(kind, name, body):
        if isinstance(body.get("embeddings"), list):
            body["embeddings"] = [floats(one) for one in body["embeddings"]]
        if kind == "query":
            body.update(embeddings=body.pop("query_embeddings", None), n=body.pop("n_results", 10))
        return kind, {"name": name, **body}

    @staticmethod
    def compare(operation, theirs, ours):
        """The exceptions must be of one class; results are compared as answers are."""
        raised = [getattr(answer, "raised", None) for answer in (theirs, ours)]
        if raised == [None, None]:
            return compare.compare(operation, theirs, ours)
        return [] if raised[0] == raised[1] else [f"class {raised[0]} / {raised[1]}"]
