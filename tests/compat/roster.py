"""The clients that are tested, and what each of them offers its users."""
import dataclasses
import re

RECORDS = {"create", "get_or_create", "created metadata", "add", "get", "page", "embeddings", "query", "where", "bool filter", "where_document", "not_contains",
           "delete", "delete where", "delete_collection", "upsert", "update", "ontology"}
COLLECTIONS = {"list", "count", "create existing", "keeps metadata", "modify", "peek", "dimension", "get missing", "many queries", "query where_document",
               "update missing", "add existing", "partial update"}
CONNECTING = {"heartbeat", "headers", "token", "bearer", "basic", "no token"}
CHROMA = RECORDS | COLLECTIONS | CONNECTING | {"count_collections", "list page", "reset", "read-only writes", "merge"}
TENANCY = {"tenants", "connect elsewhere"}
DATABASES = {"databases"}
MODERN = {"regex", "configuration", "change configuration"}
GRPC = RECORDS | COLLECTIONS - {"modify", "peek", "add existing"} | {"regex", "token", "bearer", "no token"}


@dataclasses.dataclass(frozen=True)
class Client:
    name: str  # as tests and ./test name it
    heading: str  # its column in the table
    family: str
    environment: str | None
    program: str  # how it is driven
    offers: frozenset

    @property
    def version(self):
        return tuple(int(part) for part in re.search(r"\d+(\.\d+)+", self.name)[0].split("."))


def python(version, *more, mode=""):
    number = tuple(map(int, version.split(".")))
    offers = CHROMA | {"local duplicates"} | set(more)
    if number < (0, 4, 15):
        offers -= {"count_collections", "list page", "not_contains"}
    else:
        offers |= TENANCY
    if number >= (0, 6):
        offers |= DATABASES
    if number >= (1, 0):
        offers |= MODERN
    if number <= (1, 0, 0):
        offers -= {"regex", "merge"}  # refuses them itself
    if mode:
        offers -= {"token", "bearer", "basic"}  # AsyncHttpClient ignores the providers; a header is how one says it
    name = f"chromadb-{version}{'-async' if mode else ''}"
    family = "Python 1.x" if number >= (1, 0) else "Python 0.x"
    return Client(name, f"{version}{' async' if mode else ''}", family, f"chromadb-{version}", f"python {mode}".strip(), frozenset(offers))


def javascript(version, *more):
    number = tuple(map(int, version.split(".")))
    offers = CHROMA | {"local duplicates"} | set(more)
    if number < (1, 8):
        offers -= {"count_collections", "list page"}
    else:
        offers |= TENANCY
    if number >= (1, 10):
        offers |= DATABASES
    if number >= (3,):
        offers -= {"merge"}  # leaves nulls out
    return Client(f"javascript-{version}", version, "JavaScript", f"javascript-{version}", "javascript", frozenset(offers))


LATEST = ("schema", "arrays", "search", "fork", "own embedding function")
FRAMEWORK = {"headers", "no token", "create", "get_or_create", "add", "get", "query", "where", "where_document", "delete",
             "delete_collection", "many queries", "ontology", "query where_document"}
ROSTER = (
    python("0.4.14"), python("0.4.24"), python("0.5.5"), python("0.5.16"), python("0.5.23"), python("0.6.3"),
    python("1.0.0"), python("1.0.21", "fork"), python("1.5.9", *LATEST), python("1.5.9", *LATEST, mode="async"),
    javascript("1.5.11"), javascript("1.8.1"), javascript("1.10.5"), javascript("2.4.6", "configuration", "change configuration"),
    javascript("3.5.0", *MODERN, "arrays", "search", "fork"),
    Client("chroma-go-0.3.0", "chroma-go 0.3.0", "Go and frameworks", "chroma-go-0.3.0", "go", frozenset(
        CHROMA - {"peek", "merge", "partial update"} | TENANCY | DATABASES | {"regex", "search", "fork", "local duplicates"})),
    Client("langchain-chroma-1.1.0", "langchain-chroma 1.1.0", "Go and frameworks", "langchain-chroma-1.1.0", "langchain", frozenset(
        FRAMEWORK | {"page", "embeddings", "upsert", "update", "regex", "bool filter", "not_contains", "delete where"})),
    Client("llama-index-chroma-0.6.0", "llama-index 0.6.0", "Go and frameworks", "llama-index-chroma-0.6.0", "llama-index", frozenset(
        FRAMEWORK - {"where_document"} | {"count"})),
    Client("grpc-python", "gRPC, grpcio", "gRPC", "harness", "grpc-python", frozenset(GRPC)),
    Client("grpcurl", "gRPC, grpcurl", "gRPC", "grpcurl", "grpcurl", frozenset(GRPC)),
)
BY_NAME = {client.name: client for client in ROSTER}
FAMILIES = tuple(dict.fromkeys(client.family for client in ROSTER))
# One of each kind, for a quick run.
QUICK = ("chromadb-1.5.9", "chromadb-0.4.24", "javascript-3.5.0", "grpc-python", "grpcurl")
