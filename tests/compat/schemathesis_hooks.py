"""Loaded by schemathesis (see schemathesis_test.py): lets most of what it makes up meet something that exists.

Of its own it would ask for collections that nobody made, with embeddings of as many dimensions as it likes: nearly all
answers would be 404 or 400. So the names in a path are replaced by real ones in seven calls of eight, and the columns of
well-formed writes and queries are brought to one length and one dimension in three of four. What is malformed stays so.
"""
import json
import os
import random

import schemathesis
from schemathesis.core.parameters import ParameterLocation

HOME = {"tenant": "default_tenant", "database": "default_database"}
COLLECTIONS = json.loads(os.environ["OMICS_VECTOR_TEST_COLLECTIONS"])  # name -> id
RENAMED = "described-renamed"  # the one of these that may get another name
ENDING = int(os.environ["OMICS_VECTOR_TEST_ENDING"])  # there are so many databases, and collections, to be deleted
DIMENSION = 3
chance = random.Random(int(os.environ["OMICS_VECTOR_TEST_SEED"]))


def is_positive(case, location):
    component = case.meta and case.meta.components.get(location)
    return component is None or component.mode.is_positive


def fitting(vector):
    numbers = [number for number in vector if isinstance(number, (int, float))] if isinstance(vector, list) else []
    return (numbers + [1.0, 0.5, 0.25])[:DIMENSION]


def fit_columns(body):
    """A write's columns, all as long as the shortest that holds something. Ids are few, so that changes and deletes meet some."""
    columns = {key: body[key] for key in ("embeddings", "metadatas", "documents", "uris") if body.get(key)}
    rows = min(map(len, [*columns.values(), *([body["ids"]] if body["ids"] else [])]), default=0)
    fitted = {key: column[:rows] for key, column in columns.items()}
    if "embeddings" in fitted:
        fitted["embeddings"] = [None if vector is None else fitting(vector) for vector in fitted["embeddings"]]
    ids = [name if len(name) > 2 else f"r{chance.randrange(20)}" for name in body["ids"][:rows] or [""] * rows]
    return {**body, **dict.fromkeys(("metadatas", "documents", "uris")), **fitted, "ids": ids}


def real_names(operation):
    """What to put into a path instead of what was made up."""
    if operation == "delete_database":
        return {**HOME, "database": f"ending-{chance.randrange(ENDING)}"}
    if operation == "delete_collection":
        return {**HOME, "collection": f"ending-{chance.randrange(ENDING)}"}
    if operation == "update_collection":
        return {**HOME, "collection": COLLECTIONS[RENAMED]}
    found = chance.choice(sorted(COLLECTIONS.keys() - {RENAMED}))
    return {**HOME, "collection": found if operation == "get_collection" else COLLECTIONS[found]}


def would_end_the_others(operation, path):
    """True for what would leave nothing for the calls that follow."""
    if operation == "delete_database":
        return path.get("database") == HOME["database"]
    if operation == "delete_collection":
        return path.get("collection") in COLLECTIONS
    return operation == "update_collection" and path.get("collection") in COLLECTIONS.values()


@schemathesis.hook
def before_call(context, case, kwargs):
    operation = (case.operation.definition.raw.get("operationId") or "").split("_", 1)[-1]
    path = case.path_parameters
    made_up = path and is_positive(case, ParameterLocation.PATH) and chance.random() < 7 / 8
    if path and (made_up or would_end_the_others(operation, path)):
        names = real_names(operation)
        path.update((name, names[name]) for name in path)
    body = case.body
    if not isinstance(body, dict) or not is_positive(case, ParameterLocation.BODY) or chance.random() < 1 / 4:
        return
    if operation in ("add", "upsert", "update"):
        case.body = fit_columns(body)
    elif operation == "query":
        case.body = {**body, "query_embeddings": [fitting(vector) for vector in body["query_embeddings"]]}
