"""Writes and queries over gRPC, for benchmarks that load a service."""
import time

import measure  # which finds those below

import drivers
import grpc

vectors_pb2, services, collections_pb2, records_pb2, *_ = drivers.generated_protos()
K = 10


class Client:
    def __init__(self, stack, name):
        self.channel = grpc.insecure_channel(stack.grpc)
        self.service = services.VectorServiceStub(self.channel)
        self.metadata = (("authorization", f"Bearer {stack.token}"),)
        self.collection = collections_pb2.CollectionRef(name=name)
        self.name = name

    def create(self):
        self.service.CreateCollection(vectors_pb2.CreateCollectionRequest(
            name=self.name, metric=collections_pb2.METRIC_COSINE), metadata=self.metadata)

    def upsert(self, first, vectors):
        """Rows `first` onward, acknowledged and durable: the seconds it took, waits for a full backlog included."""
        records = [records_pb2.RecordChange(id=str(first + i), embedding=vector, document=f"row {first + i}")
                   for i, vector in enumerate(vectors)]
        request = vectors_pb2.UpsertRequest(collection=self.collection, records=records)
        started = time.monotonic()
        while True:
            try:
                self.service.Upsert(request, metadata=self.metadata)
                return time.monotonic() - started
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                time.sleep(0.1)  # the backlog of builds is bounded: the writer waits

    def query(self, vector):
        answer = self.service.Query(vectors_pb2.QueryRequest(
            collection=self.collection, k=K, vectors=[vectors_pb2.QueryVector(values=vector)]), metadata=self.metadata)
        return [int(hit.record.id) for hit in answer.results[0].hits]

    def recall(self, base, queries):
        return measure.recall(measure.nearest(base, measure.unit(queries)), [self.query(query) for query in queries])
