"""One library in a process of its own, one thread: libraries_worker.py LIBRARY BUILD_JSON VECTORS.npy

Says {"built": seconds}, or {"error": why}. Then reads one line per pass, `SETTING QUERIES.npy FOUND`, searches all
queries, writes the rows found (queries x 10, int64) to FOUND and says {"seconds": of the pass}.
Vectors and queries have unit length: the inner product orders them as the cosine does.
"""
import json
import os
import sys
import time

K = 10
THREADS = len(os.sched_getaffinity(0))  # for building; a pass has one


class Faiss:
    """All queries in one call."""

    def __init__(self, base, factory):
        import faiss
        self.faiss = faiss
        self.index = faiss.index_factory(base.shape[1], factory["factory"], faiss.METRIC_INNER_PRODUCT)
        walk = faiss.downcast_index(self.index.base_index if "refine" in factory else self.index)
        walk.hnsw.efConstruction = factory["ef_construction"]
        self.walk, self.refine = walk, factory.get("refine")
        self.index.train(base)
        self.index.add(base)
        if self.refine:
            self.index.k_factor = self.refine

    def search(self, queries, setting):
        self.faiss.omp_set_num_threads(1)
        self.walk.hnsw.efSearch = setting
        return self.index.search(queries, K)[1]


class Hnswlib:
    """All queries in one call."""

    def __init__(self, base, told):
        import hnswlib
        self.index = hnswlib.Index("ip", base.shape[1])
        self.index.init_index(len(base), ef_construction=told["ef_construction"], M=told["m"])
        self.index.add_items(base, num_threads=THREADS)

    def search(self, queries, setting):
        self.index.set_ef(setting)
        return self.index.knn_query(queries, K, num_threads=1)[0]


class Usearch:
    """All queries in one call."""

    def __init__(self, base, told):
        import numpy
        from usearch.index import Index
        self.index = Index(ndim=base.shape[1], metric="ip", dtype=told["dtype"], connectivity=told["m"],
                           expansion_add=told["ef_construction"])
        self.index.add(numpy.arange(len(base)), base, threads=THREADS)

    def search(self, queries, setting):
        self.index.expansion_search = setting
        return self.index.search(queries, K, threads=1).keys


class Svs:
    """All queries in one call."""

    def __init__(self, base, told):
        import svs
        parameters = svs.VamanaBuildParameters(alpha=0.95, graph_max_degree=told["degree"], window_size=told["window"])
        self.svs = svs
        data, where = base, told["vectors"] + ".fvecs"
        if told["codes"] == "float16":
            data = base.astype("f2")
        elif told["codes"] != "float32":
            svs.write_vecs(base, where) if not os.path.exists(where) else None
            loader = svs.VectorDataLoader(where, svs.DataType.float32, dims=base.shape[1])
            data = {"lvq8": lambda: svs.LVQLoader(loader, primary=8, padding=32),
                    "lvq4x8": lambda: svs.LVQLoader(loader, primary=4, residual=8, padding=32),
                    "leanvec": lambda: svs.LeanVecLoader(loader, told["dims"], svs.LeanVecKind.lvq8, svs.LeanVecKind.lvq8),
                    }[told["codes"]]()
        self.index = svs.Vamana.build(parameters, data, svs.DistanceType.MIP, num_threads=THREADS)
        self.index.num_threads = 1

    def search(self, queries, setting):
        self.index.search_window_size = setting
        return self.index.search(queries, K)[0]


class Vsag:
    """One query a call: it has no batch."""

    def __init__(self, base, told):
        import numpy
        import pyvsag
        self.index = pyvsag.Index("hgraph", json.dumps(
            {"dtype": "float32", "metric_type": "ip", "dim": base.shape[1],
             "index_param": {"base_quantization_type": told["codes"], "max_degree": told["degree"],
                             "ef_construction": told["ef_construction"],
                             "use_reorder": told["codes"] != "fp32", "precise_quantization_type": "fp32"}}))
        self.index.build(numpy.array(base).reshape(-1), numpy.arange(len(base), dtype="i8"), len(base),
                         base.shape[1])

    def search(self, queries, setting):
        how = json.dumps({"hgraph": {"ef_search": setting}})
        return [self.index.knn_search(query, K, how)[0] for query in queries]


class Scann:
    """All queries in one call; the setting is the share of leaves searched."""

    def __init__(self, base, told):
        import scann
        leaves = max(1, round(told["leaves_per_root"] * len(base) ** 0.5))
        self.leaves = leaves
        self.reorder = told["reorder"]
        self.index = (scann.scann_ops_pybind.builder(base, K, "dot_product")
                      .tree(num_leaves=leaves, num_leaves_to_search=max(1, leaves // 10),
                            training_sample_size=min(len(base), 250_000))
                      .score_ah(told["block"], anisotropic_quantization_threshold=0.2).reorder(told["reorder"])
                      .set_n_training_threads(THREADS).build())

    def search(self, queries, setting):
        searched = max(1, round(setting / 1000 * self.leaves))
        return self.index.search_batched(queries, leaves_to_search=searched, pre_reorder_num_neighbors=self.reorder)[0]


KINDS = {"faiss-cpu": Faiss, "hnswlib": Hnswlib, "usearch": Usearch, "scalable-vs": Svs, "pyvsag": Vsag, "scann": Scann}


def say(out, **what):
    out.write(json.dumps(what) + "\n")
    out.flush()


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not an answer
    import numpy
    library, told, vectors = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
    base = numpy.load(vectors, mmap_mode="r")
    try:
        started = time.monotonic()
        index = KINDS[library](numpy.asarray(base), {**told, "vectors": vectors})
        say(out, built=time.monotonic() - started)
    except Exception as error:  # noqa: BLE001 - whatever a library raises is the reason it is left out
        say(out, error=f"{type(error).__name__}: {str(error)[:300]}")
        return
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for line in sys.stdin:
        setting, asked, told_to = line.split()
        queries = numpy.load(asked)
        started = time.perf_counter()
        found = index.search(queries, int(setting))
        seconds = time.perf_counter() - started
        numpy.asarray(found).astype("i8").tofile(told_to)
        say(out, seconds=seconds)


main()
