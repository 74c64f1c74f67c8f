"""One face for every client: connect(), then call(operation, ...) with the same words and results for all.

Driver.call raises ClientError(name) with the client's own error class or code. Results are plain lists and dicts, as
Chroma's Python client returns them; gRPC's answers are brought into that shape.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import environments
import roster
import stack as stacks

CLIENTS = pathlib.Path(__file__).resolve().parent / "clients"
ROOT = environments.ROOT
PROTO_OUT = ROOT / ".cache" / "proto-python"
METRICS = {"cosine": "METRIC_COSINE", "l2": "METRIC_SQUARED_L2", "ip": "METRIC_INNER_PRODUCT", None: "METRIC_UNSPECIFIED"}
PATIENCE_SECONDS = 120


class ClientError(Exception):
    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class ProcessDriver:
    """A client in a process of its own, in its own environment, spoken to in JSON lines."""

    def __init__(self, command):
        self.said = tempfile.TemporaryFile("w+")  # a pipe that nobody reads would fill up
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.said, text=True, env=stacks.clean_environment())

    def connect(self, stack, token, spelling="headers", **elsewhere):
        return self.call("connect", host=stack.host, port=stack.port, token=token, spelling=spelling, **elsewhere)

    def call(self, op, **arguments):
        self.process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.said.seek(0)
            raise RuntimeError(f"the client ended: {self.said.read()[-3000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise ClientError(answer["error"], answer["message"])
        return answer["result"]

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


def generated_protos():
    """Makes the Python messages from proto/ once per content, and returns the two service modules and the messages."""
    newest = max(path.stat().st_mtime for path in (ROOT / "proto").rglob("*.proto"))
    stamp = PROTO_OUT / "made"
    if not stamp.exists() or stamp.stat().st_mtime < newest:
        PROTO_OUT.mkdir(parents=True, exist_ok=True)
        files = [str(path) for path in (ROOT / "proto" / "omics").rglob("*.proto")]
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"--python_out={PROTO_OUT}",
                        f"--grpc_python_out={PROTO_OUT}", *files], check=True)
        stamp.touch()
    if str(PROTO_OUT) not in sys.path:
        sys.path.insert(0, str(PROTO_OUT))
    from omics.vector.v1 import (admin_service_pb2, admin_service_pb2_grpc, collections_pb2, records_pb2,  # noqa: PLC0415
                                 vector_service_pb2, vector_service_pb2_grpc)
    return (vector_service_pb2, vector_service_pb2_grpc, collections_pb2, records_pb2, admin_service_pb2,
            admin_service_pb2_grpc)


class GrpcCalls:
    """Chroma's operations as calls of VectorService, in protobuf's JSON form with proto/'s names. A subclass says how a call is made."""

    def unary(self, method, request):
        raise NotImplementedError

    def connect(self, stack, token, spelling="bearer"):
        self.address, self.token = stack.grpc, token
        self.call("list")

    def close(self):
        pass

    def call(self, op, **arguments):
        return getattr(self, "op_" + op)(**arguments)

    def op_create(self, name, metric=None, metadata=None, get_or_create=False):
        answer = self.unary("CreateCollection", {"name": name, "metric": METRICS[metric], "get_or_create": get_or_create,
                                                 "metadata": wrap(metadata)})
        return described(answer["collection"])

    def op_get_collection(self, name):
        return described(self.unary("GetCollection", {"collection": {"name": name}})["collection"])

    def op_list(self):
        return [found["name"] for found in self.unary("ListCollections", {}).get("collections", [])]

    def op_delete_collection(self, name):
        self.unary("DeleteCollection", {"collection": {"name": name}})

    def op_add(self, name, **records):
        self.unary("Insert", {"collection": {"name": name}, "records": changes(**records)})

    def op_upsert(self, name, **records):
        self.unary("Upsert", {"collection": {"name": name}, "records": changes(**records)})

    def op_update(self, name, **records):
        self.unary("Update", {"collection": {"name": name}, "records": changes(**records)})

    def op_delete(self, name, ids=(), **filters):
        self.unary("Delete", {"collection": {"name": name}, "ids": list(ids), **filtered(**filters)})

    def op_count(self, name):
        return int(self.unary("Count", {"collection": {"name": name}}).get("count", 0))

    def op_get(self, name, ids=(), limit=None, offset=0, include=("documents", "metadatas"), **filters):
        request = {"collection": {"name": name}, "ids": list(ids), "offset": str(offset), "include": included(include), **filtered(**filters)}
        if limit is not None:
            request["limit"] = str(limit)
        records = []
        while True:
            answer = self.unary("Get", request)
            records += answer.get("records", [])
            request["page_token"] = answer.get("next_page_token", "")
            if not request["page_token"]:
                break
        return {"ids": [record["id"] for record in records], **columns(records, include)}

    def op_query(self, name, embeddings, n, include=("documents", "metadatas", "distances"), **filters):
        answer = self.unary("Query", {"collection": {"name": name}, "k": n, "include": included(include),
                                      "vectors": [{"values": values} for values in embeddings], **filtered(**filters)})
        rows = [result.get("hits", []) for result in answer["results"]]
        parts = [columns([hit["record"] for hit in hits], include) for hits in rows]
        result = {key: [part[key] for part in parts] for key in (parts[0] if parts else {})}
        result["ids"] = [[hit["record"]["id"] for hit in hits] for hits in rows]
        result["distances"] = [[hit.get("distance", 0.0) for hit in hits] for hits in rows]
        return result


def wrap_value(value):
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    return {kinds[type(value)]: str(value) if type(value) is int else value}


def wrap(metadata):
    return {key: wrap_value(value) for key, value in (metadata or {}).items()}


METADATA_OPERATORS = {"$eq": "EQUAL", "$ne": "NOT_EQUAL", "$gt": "GREATER", "$gte": "GREATER_OR_EQUAL", "$lt": "LESS",
                      "$lte": "LESS_OR_EQUAL", "$in": "IN", "$nin": "NOT_IN"}
DOCUMENT_OPERATORS = {"$contains": "CONTAINS", "$not_contains": "NOT_CONTAINS", "$regex": "MATCHES", "$not_regex": "NOT_MATCHES"}
JUNCTIONS = {"$and": "all_of", "$or": "any_of"}


def filter_of(tests):
    """A `where` or `where_document` of the tests as a Filter."""
    (word, value), = tests.items()
    if word in JUNCTIONS:
        return {JUNCTIONS[word]: {"filters": [filter_of(one) for one in value]}}
    if word in DOCUMENT_OPERATORS:
        return {"document": {"operator": f"OPERATOR_{DOCUMENT_OPERATORS[word]}", "pattern": value}}
    (operator, operand), = value.items() if isinstance(value, dict) else (("$eq", value),)
    values = operand if isinstance(operand, list) else [operand]
    return {"metadata": {"key": word, "operator": f"OPERATOR_{METADATA_OPERATORS[operator]}", "values": [wrap_value(one) for one in values]}}


def filtered(where=None, where_document=None):
    """The member `filter` of a request, if there is one."""
    filters = [filter_of(tests) for tests in (where, where_document) if tests]
    return {"filter": filters[0] if len(filters) == 1 else {"all_of": {"filters": filters}}} if filters else {}


def unwrap(metadata):
    """Plain values. protobuf's JSON writes int64 as text."""
    return {key: int(value) if kind == "int_value" else value
            for key, member in metadata.items() for kind, value in member.items()}


def described(collection):
    return {"id": collection["id"], "name": collection["name"], "metadata": unwrap(collection.get("metadata", {}))}


def included(include):
    singular = {"embeddings": "embedding", "documents": "document", "metadatas": "metadata"}
    return {singular[part]: True for part in include if part in singular}


def changes(ids, embeddings=None, documents=None, metadatas=None):
    records = [{"id": id} for id in ids]
    for key, values in (("embedding", embeddings), ("document", documents)):
        for record, value in zip(records, values or []):
            record[key] = value
    for record, metadata in zip(records, metadatas or []):
        record["metadata"] = wrap(metadata)
    return records


def columns(records, include):
    parts = {"embeddings": lambda record: record.get("embedding", []),
             "documents": lambda record: record.get("document"),
             "metadatas": lambda record: unwrap(record.get("metadata", {}))}
    return {name: [part(record) for record in records] for name, part in parts.items() if name in include}


class PythonGrpcDriver(GrpcCalls):
    """grpcio with messages generated from proto/."""

    def __init__(self):
        import grpc  # noqa: PLC0415
        from google.protobuf import json_format  # noqa: PLC0415
        self.grpc, self.json_format = grpc, json_format
        self.messages, self.stubs = generated_protos()[:2]

    def connect(self, stack, token, spelling="bearer"):
        self.channel = self.grpc.insecure_channel(stack.grpc)
        self.stub = self.stubs.VectorServiceStub(self.channel)
        super().connect(stack, token)

    def authorization(self):
        return [("authorization", f"Bearer {self.token}")] if self.token is not None else []

    def unary(self, method, request):
        message = self.json_format.ParseDict(request, getattr(self.messages, method + "Request")())
        sent = iter([message]) if method == "Insert" else message
        try:
            answer = getattr(self.stub, method)(sent, metadata=self.authorization(), timeout=PATIENCE_SECONDS)
        except self.grpc.RpcError as error:
            raise ClientError(error.code().name, error.details()) from None
        return self.json_format.MessageToDict(answer, preserving_proto_field_name=True)

    def close(self):
        self.channel.close()


class GrpcurlDriver(GrpcCalls):
    """The grpcurl program, which learns the API from the service's reflection."""

    def unary(self, method, request):
        authorization = ["-H", f"authorization: Bearer {self.token}"] if self.token is not None else []
        done = subprocess.run([str(environments.grpcurl()), "-plaintext", "-format-error", *authorization, "-d", "@",
                               "-max-time", str(PATIENCE_SECONDS), self.address, f"omics.vector.v1.VectorService/{method}"],
                              input=json.dumps(request), capture_output=True, text=True)
        if done.returncode != 0:
            try:
                code = json.loads(done.stderr)["code"]
            except (ValueError, KeyError, TypeError):
                raise ClientError("grpcurl", done.stderr) from None
            raise ClientError(code_name(code), done.stderr)
        return json.loads(done.stdout or "{}")


def code_name(number):
    import grpc  # noqa: PLC0415
    return next(code.name for code in grpc.StatusCode if code.value[0] == number)


def make_driver(name):
    client = roster.BY_NAME[name]
    if client.program == "grpc-python":
        return PythonGrpcDriver()
    if client.program == "grpcurl":
        return GrpcurlDriver()
    if client.program == "go":
        return ProcessDriver([environments.go_client()])
    if client.program == "javascript":
        return ProcessDriver([environments.node(), CLIENTS / "chromadb_client.mjs", environments.folder(client.environment)])
    script, *words = {"python": ["chromadb_client.py"], "python async": ["chromadb_client.py", "async"],
                      "langchain": ["langchain_client.py"], "llama-index": ["llama_index_client.py"]}[client.program]
    return ProcessDriver([environments.python_of(client.environment), CLIENTS / script, *words])
