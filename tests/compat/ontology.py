"""The ontology stores as real Chroma reads them: the truth that answers are compared with."""
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile

import environments
import numpy
import stack as stacks

# Runs in the environment of the Chroma version that wrote the stores.
READER = """
import sys, chromadb, numpy
collection, = chromadb.PersistentClient(sys.argv[1], settings=chromadb.Settings(anonymized_telemetry=False)).list_collections()
stored = collection.get(include=["embeddings", "documents"])
numpy.savez(sys.argv[2], ids=numpy.array(stored["ids"]), embeddings=numpy.asarray(stored["embeddings"], "f4"),
            documents=numpy.array(stored["documents"]))
"""


def tarball(name):
    return stacks.ONTOLOGY / f"{name}_sapbert_768.tar.gz"


def stored(name):
    """(ids, embeddings float32, documents) of an ontology, read by Chroma 1.5.9 and kept for the next time."""
    digest = hashlib.sha256(tarball(name).read_bytes()).hexdigest()[:16]
    kept = stacks.ROOT / ".cache" / f"{name}-{digest}.npz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            with tarfile.open(tarball(name)) as archive:
                archive.extractall(scratch, filter="data") if sys.version_info >= (3, 11, 4) else archive.extractall(scratch)
            made = f"{scratch}/made.npz"
            subprocess.run([environments.python_of("chromadb-1.5.9"), "-c", READER, f"{scratch}/{name}_sapbert_768", made],
                           check=True, env=stacks.clean_environment())
            kept.write_bytes(open(made, "rb").read())
    with numpy.load(kept) as arrays:
        return list(arrays["ids"]), arrays["embeddings"], list(arrays["documents"])


def queries(name):
    """1,000 query vectors and what they were made from: (text, expected term id)."""
    vectors = numpy.load(stacks.ONTOLOGY / f"{name}.queries.npy").astype("f4")
    return vectors, json.loads((stacks.ONTOLOGY / f"{name}.queries.json").read_text())


def cosine_distances(vectors, base):
    """Brute force in float32, all against all."""
    unit = base / numpy.linalg.norm(base, axis=1, keepdims=True)
    return 1 - (vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)) @ unit.T
