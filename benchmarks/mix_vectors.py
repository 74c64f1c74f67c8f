"""Any number of vectors with the spectrum and the neighbourhoods of real ontology embeddings, for tests of scale.

Each row mixes a real vector with one of its 16 nearest neighbours and adds noise of the data's own covariance. The real
queries come from other text than the rows, as users' queries do.
"""
import numpy

NOISE = 0.35  # of the covariance's scale: distances to the 10th, 100th and 1,000th neighbour then match the real data's
STEP = 4096
NEIGHBOURS = 16


def mixed(count, seed, real, out=None):
    """`count` unit vectors as float32, the same ones for the same arguments. `out`: an array to fill."""
    rng = numpy.random.default_rng(seed)
    real = real.astype("f4")
    _, singular, axes = numpy.linalg.svd(real - real.mean(0), full_matrices=False)
    scale = (NOISE * singular / numpy.sqrt(len(real))).astype("f4")
    out = numpy.empty((count, real.shape[1]), "f4") if out is None else out
    for start in range(0, count, STEP):
        rows = min(STEP, count - start)
        own = rng.integers(0, len(real), rows)
        near = numpy.argpartition(-(real[own] @ real.T), NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        other = near[numpy.arange(rows), rng.integers(0, NEIGHBOURS, rows)]
        weight = rng.uniform(0.5, 1.0, (rows, 1)).astype("f4")
        noise = (rng.standard_normal((rows, len(scale)), dtype="f4") * scale) @ axes
        vectors = weight * real[own] + (1 - weight) * real[other] + noise
        out[start:start + rows] = vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)
    return out
