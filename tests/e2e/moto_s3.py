"""A real moto server on loopback, for tests that need an S3."""
import contextlib
import http.client
import json
import subprocess

import environments
import stack as stacks

BUCKET = "ontology-data"
# moto looks no further than that there is one.
SIGNATURE = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none"


class S3:
    """A moto server with one bucket."""

    def __init__(self, bucket=BUCKET):
        self.bucket = bucket
        self.process = subprocess.Popen([environments.python_of("moto"), stacks.ROOT / "tests" / "cloud" / "moto_server.py"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.process.stdout.readline())
        self.put("", b"")

    def put(self, key, body):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("PUT", f"/{self.bucket}/{key}".rstrip("/"), body=body, headers={"Authorization": SIGNATURE})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()

    def get(self, key):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", f"/{self.bucket}/{key}", headers={"Authorization": SIGNATURE})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            return answer.read()

    def settings(self, entries):
        return {"OMICS_VECTOR_PREWARM": json.dumps(entries), "OMICS_VECTOR_S3_ENDPOINT": f"http://127.0.0.1:{self.port}",
                "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
