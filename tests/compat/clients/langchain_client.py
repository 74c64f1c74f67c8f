"""Drives langchain-chroma as an application does: vectors come from an embedding class, records go in as texts.

Speaks the JSON lines of chromadb_client.py.
"""
import json
import os
import sys

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print must not look like an answer

import chromadb  # noqa: E402
from langchain_chroma import Chroma  # noqa: E402
from langchain_core.documents import Document  # noqa: E402
from langchain_core.embeddings import Embeddings  # noqa: E402


class Known(Embeddings):
    """Gives the vector that the test has named for a text."""

    def __init__(self):
        self.vectors = {}

    def embed_documents(self, texts):
        return [self.vectors[text] for text in texts]

    def embed_query(self, text):
        return self.vectors[text]


known = Known()
address = {}


def connect(host, port, token=None, spelling="headers", tenant=None, database=None):
    address.update(host=host, port=port, headers=None if token is None else {"X-Chroma-Token": token})
    client = chromadb.HttpClient(**address)
    client.list_collections()
    return client.heartbeat()


def store(name, **options):
    return Chroma(collection_name=name, embedding_function=known, **address, **options)


def opened(name):
    return store(name, create_collection_if_not_exists=False)


def create(name, metric=None, metadata=None, get_or_create=False):
    made = store(name, collection_metadata=metadata, collection_configuration={"hnsw": {"space": metric}} if metric else None)
    return {"id": str(made._collection.id), "name": name, "metadata": made._collection.metadata}


def add(name, ids, embeddings, documents, metadatas=None):
    known.vectors.update(zip(documents, embeddings))
    opened(name).add_texts(documents, metadatas=metadatas, ids=ids)


def update(name, ids, embeddings, documents, metadatas):
    known.vectors.update(zip(documents, embeddings))
    opened(name).update_documents(ids, [Document(page_content=text, metadata=metadata) for text, metadata in zip(documents, metadatas)])


def get(name, **choice):
    return {key: value.tolist() if hasattr(value, "tolist") else value for key, value in opened(name).get(**choice).items()}


def query(name, embeddings, n, where=None, where_document=None, include=()):
    rows = [opened(name).similarity_search_by_vector_with_relevance_scores(vector, k=n, filter=where, where_document=where_document)
            for vector in embeddings]
    return {"ids": [[document.id for document, _ in row] for row in rows],
            "documents": [[document.page_content for document, _ in row] for row in rows],
            "metadatas": [[document.metadata for document, _ in row] for row in rows],
            "distances": [[distance for _, distance in row] for row in rows]}


OPERATIONS = {
    "connect": connect, "create": create, "add": add, "upsert": add, "update": update, "get": get, "query": query,
    "delete": lambda name, **choice: opened(name).delete(**choice),
    "delete_collection": lambda name: opened(name).delete_collection(),
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"result": OPERATIONS[request.pop("op")](**request)}
    except Exception as error:  # the class is what the test looks at
        answer = {"error": type(error).__name__, "message": str(error)}
    answers.write(json.dumps(answer, default=str) + "\n")
    answers.flush()
