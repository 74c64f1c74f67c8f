"""Drives whichever chromadb is installed beside it: one JSON request a line on standard input, one answer a line out.

Runs unchanged under every pinned version, as an application would use that version; the differences between versions
are the few lines that look at VERSION. An answer is {"result": ...} or {"error": class name, "message": text}.
    chromadb_client.py [async]      async: through AsyncHttpClient
"""
import asyncio
import inspect
import json
import os
import sys

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print must not look like an answer

import chromadb  # noqa: E402
from chromadb.config import Settings  # noqa: E402

VERSION = tuple(int(part) for part in chromadb.__version__.split("."))
IS_ASYNC = "async" in sys.argv[1:]
SCHEME_MODULE = {"basic": "basic", "bearer": "token", "token": "token"}
SCHEME_CLASS = {"basic": "BasicAuthClientProvider", "bearer": "TokenAuthClientProvider", "token": "TokenAuthClientProvider"}
loops = []
client = None
address = {}


class Awaited:
    """An async client or collection whose methods wait for their answers."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        member = getattr(self.inner, name)
        return (lambda *given, **named: awaited(member(*given, **named))) if callable(member) else member


def awaited(value):
    if inspect.isawaitable(value):
        value = loops[-1].run_until_complete(value)
    if isinstance(value, (list, tuple)):
        return [awaited(member) for member in value]
    return Awaited(value) if IS_ASYNC and (hasattr(value, "upsert") or hasattr(value, "heartbeat")) else value


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
    """The client's own provider: `Authorization: Bearer`, `X-Chroma-Token` or `Authorization: Basic`."""
    credentials = f"someone:{token}" if spelling == "basic" else token
    module = SCHEME_MODULE[spelling] + ("_authn" if VERSION >= (0, 5) else "")
    provider = f"chromadb.auth.{module}.{SCHEME_CLASS[spelling]}"
    header = {"bearer": "Authorization", "token": "X-Chroma-Token"}.get(spelling)
    if VERSION < (0, 5):
        transport = {"bearer": "AUTHORIZATION", "token": "X_CHROMA_TOKEN"}.get(spelling)
        extra = {"chroma_client_auth_token_transport_header": transport} if transport else {}
        return Settings(chroma_client_auth_provider=provider, chroma_client_auth_credentials=credentials, **extra)
    extra = {"chroma_auth_token_transport_header": header} if header else {}
    return Settings(chroma_client_auth_provider=provider, chroma_client_auth_credentials=credentials, **extra)


def connect(host, port, token=None, spelling="headers", tenant=None, database=None):
    global client
    options = {"host": host, "port": str(port) if VERSION < (0, 5) else port}
    if token is not None and spelling == "headers":
        options["headers"] = {"X-Chroma-Token": token}
    elif token is not None:
        options["settings"] = settings_for(token, spelling)
    address.clear()
    address.update(options)
    if tenant is not None:
        options.update(tenant=tenant, database=database)
    loops.append(asyncio.new_event_loop())  # on one event loop all async clients share the first one's headers
    client = awaited((chromadb.AsyncHttpClient if IS_ASYNC else chromadb.HttpClient)(**options))
    if VERSION < (0, 4, 15):
        client.list_collections()  # the constructor asks nothing: the first call shows whether the token is taken
    return client.heartbeat()


def administration():
    if IS_ASYNC:
        return Awaited(client.inner._admin_client)
    return chromadb.AdminClient(client.get_settings())


def collection(name):
    return client.get_collection(name, embedding_function=None)


def described(found):
    return {"id": str(found.id), "name": found.name, "metadata": found.metadata}


def create(name, metric=None, metadata=None, get_or_create=False, configuration=None, schema=None):
    told = dict(metadata or {})
    options = {}
    if configuration is not None or (metric and VERSION >= (1, 0)):
        options["configuration"] = {**({"hnsw": {"space": metric}} if metric else {}), **(configuration or {})}
    elif metric:
        told["hnsw:space"] = metric
    make = client.get_or_create_collection if get_or_create else client.create_collection
    return described(make(name, metadata=told or None, embedding_function=None, **options))


def create_with_schema(name, ef_search):
    from chromadb import Schema, VectorIndexConfig
    from chromadb.api.types import HnswIndexConfig
    schema = Schema().create_index(config=VectorIndexConfig(space="cosine", embedding_function=None, hnsw=HnswIndexConfig(ef_search=ef_search)))
    client.create_collection(name, schema=schema, embedding_function=None)
    return collection(name).schema.serialize_to_json()


def create_with_embedding_function(name):
    """A collection whose embedding function is one of the application's own, unknown to Chroma."""
    class Own(chromadb.EmbeddingFunction):
        def __init__(self):
            pass

        def __call__(self, input):
            return [[float(len(text)), 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0] for text in input]

    made = client.create_collection(name, embedding_function=Own())
    made.add(ids=["short", "long"], documents=["a", "a longer text"])
    reopened = client.get_collection(name, embedding_function=Own())
    found = reopened.query(query_texts=["b"], n_results=1)
    return {"ids": found["ids"], "configuration": configuration_of(reopened)}


def configuration_of(found):
    return json.loads(json.dumps(found.configuration_json))


def modify(name, new_name=None, **changes):
    return collection(name).modify(name=new_name, **changes)


def search(name, embedding):
    from chromadb import K, Knn, Search
    return collection(name).search(Search().rank(Knn(query=embedding)).limit(1).select(K.DOCUMENT))


OPERATIONS = {
    "connect": connect,
    "version": lambda: client.get_version(),
    "heartbeat": lambda: client.heartbeat(),
    "create": create,
    "create_with_schema": create_with_schema,
    "create_with_embedding_function": create_with_embedding_function,
    "configuration": lambda name: configuration_of(collection(name)),
    "get_collection": lambda name: described(collection(name)),
    "list": lambda **page: [found if isinstance(found, str) else found.name for found in client.list_collections(**page)],
    "count_collections": lambda: client.count_collections(),
    "modify": modify,
    "delete_collection": lambda name: client.delete_collection(name),
    "add": lambda name, **records: collection(name).add(**records),
    "upsert": lambda name, **records: collection(name).upsert(**records),
    "update": lambda name, **records: collection(name).update(**records),
    "delete": lambda name, **choice: collection(name).delete(**choice) and None,
    "count": lambda name: collection(name).count(),
    "get": lambda name, **choice: collection(name).get(**choice),
    "peek": lambda name, limit: collection(name).peek(limit),
    "query": lambda name, embeddings, n, **choice: collection(name).query(query_embeddings=embeddings, n_results=n, **choice),
    "search": search,
    "fork": lambda name, new_name: collection(name).fork(new_name) and None,
    "reset": lambda: client.reset(),
    "create_tenant": lambda name: administration().create_tenant(name),
    "get_tenant": lambda name: administration().get_tenant(name)["name"],
    "create_database": lambda name, tenant: administration().create_database(name, tenant),
    "get_database": lambda name, tenant: administration().get_database(name, tenant)["name"],
    "list_databases": lambda tenant: [found["name"] for found in administration().list_databases(tenant=tenant)],
    "delete_database": lambda name, tenant: administration().delete_database(name, tenant),
    "use": lambda tenant, database: client.set_tenant(tenant, database),
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"result": plain(OPERATIONS[request.pop("op")](**request))}
    except Exception as error:  # the class is what the test looks at
        answer = {"error": type(error).__name__, "message": str(error)}
    answers.write(json.dumps(answer, default=str) + "\n")
    answers.flush()
