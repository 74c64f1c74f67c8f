"""What a client raises, by the situation: what its users catch. Clients name errors in their own way.

"Class" is the class that is raised; "Class: words" is a class that says little, whose message then has these words.
"""

PYTHON_14 = "chromadb-0.4.14"  # v1: few classes; the rest is an Exception with the answer
PYTHON_V1 = ("chromadb-0.4.24", "chromadb-0.5.5")  # v1 as well
PYTHON_0516 = "chromadb-0.5.16"  # v2, without UniqueConstraintError and InvalidArgumentError
PYTHON_05 = "chromadb-0.5.23"  # without UniqueConstraintError
PYTHON_06 = "chromadb-0.6.3"
PYTHON_10 = "chromadb-1.0.0"  # without ChromaError
PYTHON_1 = ("chromadb-1.0.21", "chromadb-1.5.9", "chromadb-1.5.9-async", "langchain-chroma-1.1.0", "llama-index-chroma-0.6.0")
JAVASCRIPT_V1 = ("javascript-1.5.11", "javascript-1.8.1")  # an Error, or the bare answer
JAVASCRIPT_V2 = ("javascript-1.10.5", "javascript-2.4.6")
JAVASCRIPT_3 = "javascript-3.5.0"
GO = "chroma-go-0.3.0"  # the name in the server's answer
GRPC = ("grpc-python", "grpcurl")

GROUPS = {"py 0.4.14": PYTHON_14, "py v1": PYTHON_V1, "py 0.5.16": PYTHON_0516,
          "py 0.5": PYTHON_05, "py 0.6": PYTHON_06, "py 1.0.0": PYTHON_10,
          "py 1": PYTHON_1, "js v1": JAVASCRIPT_V1, "js v2": JAVASCRIPT_V2, "js 3": JAVASCRIPT_3, "go": GO, "grpc": GRPC}

TAKEN = {"py 0.4.14": "Exception: UniqueConstraintError", "py v1": "Exception: UniqueConstraintError", "py 0.5.16": "Exception: UniqueConstraintError",
         "py 0.5": "Exception: UniqueConstraintError",
         "py 0.6": "UniqueConstraintError", "py 1.0.0": "Exception: already exists", "py 1": "ChromaError: already exists",
         "js v1": "Error: UniqueConstraintError", "js v2": "ChromaUniqueError", "js 3": "ChromaUniqueError", "go": "ChromaError: (409)",
         "grpc": "ALREADY_EXISTS"}
NOT_THERE = {"py v1": "Exception: NotFoundError", "py 0.5.16": "NotFoundError",
             "py 0.5": "NotFoundError", "py 0.6": "NotFoundError", "py 1.0.0": "NotFoundError",
             "py 1": "NotFoundError", "js v1": "Error: NotFoundError", "js v2": "ChromaNotFoundError", "js 3": "ChromaNotFoundError",
             "go": "NotFoundError"}
NOT_ALLOWED = {"py 0.4.14": ("Exception: AuthorizationError", "HTTPError: 403"), "py v1": "AuthorizationError", "py 0.5.16": "ChromaAuthError",
               "py 0.5": "ChromaAuthError",
               "py 0.6": "ChromaAuthError", "py 1.0.0": "ChromaAuthError", "py 1": "ChromaAuthError",
               "js v1": ("Error: AuthorizationError", "Response: 403"), "js v2": "ChromaForbiddenError", "js 3": "ChromaForbiddenError",
               "go": "AuthError", "grpc": "PERMISSION_DENIED"}

TABLE = {
    "wrong token": {**NOT_ALLOWED, "py 0.4.14": "Exception: AuthorizationError", "js v1": "Response: 401",
                    "js v2": ("ChromaForbiddenError", "Error: Could not connect"), "grpc": "UNAUTHENTICATED"},
    "read only": NOT_ALLOWED,
    "reset": NOT_ALLOWED,
    "exists": TAKEN,
    "tenant exists": TAKEN,
    "database exists": TAKEN,
    "missing": {"py 0.4.14": "InvalidCollectionException", "py v1": "InvalidCollectionException", "py 0.5.16": "InvalidCollectionException",
                "py 0.5": "InvalidCollectionException", "py 0.6": "InvalidCollectionException",
                "py 1.0.0": "NotFoundError", "py 1": "NotFoundError", "js v1": "Error: InvalidCollection",
                "js v2": "ChromaNotFoundError", "js 3": "ChromaNotFoundError", "go": "NotFoundError", "grpc": "NOT_FOUND"},
    # Chroma's servers before 1.0 called this a bad argument, which the oldest clients have no class for.
    "missing to delete": {"py 0.4.14": "Exception: InvalidArgumentError", "py v1": "Exception: InvalidArgumentError",
                          "py 0.5.16": "Exception: InvalidArgumentError", "py 0.5": "InvalidArgumentError",
                          "py 0.6": "InvalidArgumentError", "py 1.0.0": "NotFoundError", "py 1": "NotFoundError",
                          "js v1": "Error: InvalidArgumentError", "js v2": "ChromaNotFoundError",
                          "js 3": "ChromaNotFoundError", "go": "NotFoundError", "grpc": "NOT_FOUND"},
    "tenant missing": NOT_THERE,
    "database missing": NOT_THERE,
    "connect missing": {**NOT_THERE, "py v1": "ValueError: Could not connect to tenant no-such-tenant",
                        "js v2": "Error: Could not connect to tenant no-such-tenant"},
    "dimension": {"py 0.4.14": "InvalidDimensionException", "py v1": "InvalidDimensionException", "py 0.5.16": "InvalidDimensionException",
                  "py 0.5": ("InvalidDimensionException", "InvalidArgumentError"), "py 0.6": ("InvalidDimensionException", "InvalidArgumentError"),
                  "py 1.0.0": "InvalidArgumentError", "py 1": "InvalidArgumentError",
                  "js v1": "Error: InvalidDimension", "js v2": "InvalidArgumentError", "js 3": "ChromaClientError",
                  "go": "InvalidArgumentError", "grpc": "INVALID_ARGUMENT"},
    "duplicates": {"py 0.4.14": "DuplicateIDError", "py v1": "DuplicateIDError", "py 0.5.16": "DuplicateIDError",
                   "py 0.5": "DuplicateIDError", "py 0.6": "DuplicateIDError",
                   "py 1.0.0": "DuplicateIDError", "py 1": "DuplicateIDError", "js v1": "Error: unique", "js v2": "Error: unique",
                   "js 3": "ChromaValueError", "go": "error: duplicate"},
    "not implemented": {"py 1": "ChromaError: this server", "js 3": "ChromaServerError: this server", "go": "ChromaError: this server"},
}


def accepted(situation, client):
    """The spellings that are right for this client."""
    group = next(name for name, members in GROUPS.items() if client == members or (isinstance(members, tuple) and client in members))
    spellings = TABLE[situation][group]
    return (spellings,) if isinstance(spellings, str) else spellings


def check(error, situation, client):
    """Fails unless `error` is what this client's users expect in this situation."""
    def fits(spelling):
        name, _, words = spelling.partition(": ")
        return error.name == name and words in error.message
    assert any(fits(spelling) for spelling in accepted(situation, client)), \
        f"{client} raises {error.name}: {error.message}; {situation} should be {' or '.join(accepted(situation, client))}"
