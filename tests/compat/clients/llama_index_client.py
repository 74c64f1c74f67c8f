"""Drives llama-index-vector-stores-chroma as an application does: nodes that bring their vectors, in a ChromaVectorStore.

Speaks the JSON lines of chromadb_client.py.
"""
import json
import math
import os
import sys

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print must not look like an answer

import chromadb  # noqa: E402
from llama_index.core.schema import TextNode  # noqa: E402
from llama_index.core.vector_stores.types import (FilterCondition, MetadataFilter, MetadataFilters,  # noqa: E402
                                                  VectorStoreQuery)
from llama_index.vector_stores.chroma import ChromaVectorStore  # noqa: E402

OPERATORS = {"$eq": "==", "$ne": "!=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<=", "$in": "in", "$nin": "nin"}
client = None


def connect(host, port, token=None, spelling="headers", tenant=None, database=None):
    global client
    client = chromadb.HttpClient(host=host, port=port, headers=None if token is None else {"X-Chroma-Token": token})
    return client.heartbeat()


def store(name):
    return ChromaVectorStore(chroma_collection=client.get_collection(name, embedding_function=None))


def create(name, metric=None, metadata=None, get_or_create=False):
    made = client.get_or_create_collection(name, metadata=metadata, embedding_function=None,
                                           configuration={"hnsw": {"space": metric}} if metric else None)
    return {"id": str(made.id), "name": made.name, "metadata": made.metadata}


def filters(where):
    """llama-index's own form of a where; None for none."""
    if where is None:
        return None
    (key, value), = where.items()
    if key in ("$and", "$or"):
        condition = FilterCondition.AND if key == "$and" else FilterCondition.OR
        return MetadataFilters(filters=[filters(part).filters[0] for part in value], condition=condition)
    operator, operand = next(iter(value.items())) if isinstance(value, dict) else ("$eq", value)
    return MetadataFilters(filters=[MetadataFilter(key=key, value=operand, operator=OPERATORS[operator])])


def add(name, ids, embeddings, documents, metadatas):
    store(name).add([TextNode(id_=id, text=text, embedding=vector, metadata=metadata)
                     for id, vector, text, metadata in zip(ids, embeddings, documents, metadatas)])


def columns(nodes):
    return {"ids": [node.node_id for node in nodes], "documents": [node.get_content() for node in nodes],
            "metadatas": [node.metadata for node in nodes]}


def get(name, ids=None, where=None, limit=None, include=()):
    return columns(store(name).get_nodes(node_ids=ids, filters=filters(where)))


def query(name, embeddings, n, where=None, include=(), **choice):
    rows = [store(name).query(VectorStoreQuery(query_embedding=vector, similarity_top_k=n, filters=filters(where)), **choice)
            for vector in embeddings]
    parts = [columns(row.nodes) for row in rows]
    return {**{key: [part[key] for part in parts] for key in ("documents", "metadatas")}, "ids": [row.ids for row in rows],
            "distances": [[-math.log(similarity) for similarity in row.similarities] for row in rows]}


def delete(name, ids=None, where=None):
    store(name).delete_nodes(node_ids=ids, filters=filters(where))


OPERATIONS = {
    "connect": connect, "create": create, "add": add, "get": get, "query": query, "delete": delete,
    "count": lambda name: len(store(name).get_nodes(node_ids=None, filters=None)),
    "delete_collection": lambda name: client.delete_collection(name),
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"result": OPERATIONS[request.pop("op")](**request)}
    except Exception as error:  # the class is what the test looks at
        answer = {"error": type(error).__name__, "message": str(error)}
    answers.write(json.dumps(answer, default=str) + "\n")
    answers.flush()
