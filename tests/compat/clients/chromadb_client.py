"""Drives whichever chromadb is installed beside it: one JSON request a line on standard input, one answer a line out.

Runs unchanged under every pinned version, as an application would use that version; the differences between versions
are the few lines of connect(). An answer is {"result": ...} or {"error": class name, "message": text}.
"""
import json
import os
import sys

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print must not look like an answer

import chromadb  # noqa: E402
from chromadb.config import Settings  # noqa: E402

VERSION = tuple(int(part) for part in chromadb.__version__.split(".")[:2])
TOKEN_PROVIDER = ("chromadb.auth.token.TokenAuthClientProvider" if VERSION < (0, 5)
                  else "chromadb.auth.token_authn.TokenAuthClientProvider")
client = None


def plain(value):
    """Lists and numbers instead of numpy's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    return value


def settings_for(token, spelling):
    """The client's own token provider, spelled as `Authorization: Bearer` or as `X-Chroma-Token`."""
    header = {"bearer": "Authorization", "token": "X-Chroma-Token"}[spelling]
    if VERSION < (0, 5):
        return Settings(chroma_client_auth_provider=TOKEN_PROVIDER, chroma_client_auth_credentials=token,
                        chroma_client_auth_token_transport_header={"bearer": "AUTHORIZATION", "token": "X_CHROMA_TOKEN"}[spelling])
    return Settings(chroma_client_auth_provider=TOKEN_PROVIDER, chroma_client_auth_credentials=token,
                    chroma_auth_token_transport_header=header)


def connect(host, port, token=None, spelling="headers"):
    global client
    options = {"host": host, "port": str(port) if VERSION < (0, 5) else port}
    if token is not None and spelling == "headers":
        options["headers"] = {"X-Chroma-Token": token}
    elif token is not None:
        options["settings"] = settings_for(token, spelling)
    client = chromadb.HttpClient(**options)
    return client.heartbeat()


def collection(name):
    return client.get_collection(name, embedding_function=None)


def described(found):
    return {"id": str(found.id), "name": found.name, "metadata": found.metadata}


def create(name, metric=None, metadata=None, get_or_create=False):
    told = dict(metadata or {})
    options = {}
    if metric and VERSION >= (1, 0):
        options["configuration"] = {"hnsw": {"space": metric}}
    elif metric:
        told["hnsw:space"] = metric
    make = client.get_or_create_collection if get_or_create else client.create_collection
    return described(make(name, metadata=told or None, embedding_function=None, **options))


def listing():
    return [getattr(found, "name", found) for found in client.list_collections()]


OPERATIONS = {
    "connect": connect,
    "version": lambda: client.get_version(),
    "create": create,
    "get_collection": lambda name: described(collection(name)),
    "list": listing,
    "delete_collection": lambda name: client.delete_collection(name),
    "add": lambda name, **records: collection(name).add(**records),
    "upsert": lambda name, **records: collection(name).upsert(**records),
    "update": lambda name, **records: collection(name).update(**records),
    "delete": lambda name, ids: collection(name).delete(ids=ids) and None,
    "count": lambda name: collection(name).count(),
    "get": lambda name, **choice: collection(name).get(**choice),
    "query": lambda name, embeddings, n, include: collection(name).query(query_embeddings=embeddings, n_results=n, include=include),
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"result": plain(OPERATIONS[request.pop("op")](**request))}
    except Exception as error:  # the class is what the test looks at
        answer = {"error": type(error).__name__, "message": str(error)}
    answers.write(json.dumps(answer, default=str) + "\n")
    answers.flush()
