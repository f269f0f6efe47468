"""Digests of what the engine computes, to the last bit, recorded in golden.json.

    python tests/engine/golden.py            compares
    python tests/engine/golden.py --renew    records anew

A renewal is a decision: models trained by the next version differ in rounding from those of the version before, and
CHANGELOG.md says so.

What is recorded does not depend on the number of threads, nor on the instruction set, as long as that multiplies and
adds in one rounding. BLAS has no part in it, because its bits depend on the processor. The data come from products,
sums and square roots, which every platform rounds alike, and so do the powers in Adam's bias corrections here: each
beta is a small multiple of a power of two, and its powers are exact. What is left to the platform's libm is nadam's
0.96^x, the power in focal losses and the exp in the slope of logistic outputs.
"""

import hashlib
import json
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import scipy.sparse

from fastmlp.engine import (
    ACTIVATIONS,
    LOSS_ROWS,
    LOSSES,
    OPTIMIZERS,
    Network,
    Predictor,
    input_gradients,
    integrated_gradients,
)
from fastmlp.engine.architecture import (
    Dense,
    Embedding,
    Indicators,
    Inputs,
    Numbers,
    Parametric,
    Periodic,
    Piecewise,
    Scale,
)

PATH = Path(__file__).with_suffix(".json")
EPOCHS = 3
OTHER = {np.float32: np.float64, np.float64: np.float32}
BETAS = {"beta_1": 0.875, "beta_2": 0.9375, "epsilon": 1e-8}

HYPER = {
    "sgd": {"momentum": 0.875, "nesterov": True},
    "adam": BETAS,
    "adamw": BETAS | {"weight_decay": 0.125},
    "nadam": BETAS,
    "rmsprop": {"beta_2": 0.9375, "epsilon": 1e-8},
    "adagrad": {"epsilon": 1e-8},
    "lion": {"beta_1": 0.875, "beta_2": 0.9375},
    "schedule_free_adamw": BETAS | {"weight_decay": 0.125},
}
LOSS_OPTIONS = {
    "quantile": {"quantiles": (0.25, 0.5, 0.875)},
    "soft_binary_log_loss": {"label_smoothing": 0.125},
    "tweedie": {"tweedie_power": 1.25},
}


# ---- data ----


def uniform(rng, shape, dtype):
    """Numbers in [-1, 1)."""
    return (2 * rng.random_sample(shape) - 1).astype(dtype)


def rows_for(rng, n_rows, n_features, dtype, sparse=None, scale=1):
    """Rows, or with the dtype of its indices a CSR matrix of which a third of the elements is there."""
    X = scale * uniform(rng, (n_rows, n_features), dtype)
    if sparse is None:
        return X
    X[rng.random_sample(X.shape) < 2 / 3] = 0
    X = scipy.sparse.csr_array(X)
    X.indices, X.indptr = X.indices.astype(sparse), X.indptr.astype(sparse)
    return X


def codes(rng, shape, size):
    return (size * rng.random_sample(shape)).astype(np.intp)


def targets_for(rng, loss, n_rows, n_outputs, dtype, segments):
    if segments is not None:
        return np.stack([codes(rng, n_rows, size) for size in segments], axis=1)
    row = LOSS_ROWS[loss]
    if row.target == "code":
        return codes(rng, n_rows, n_outputs)
    if row.target == "bit":
        return codes(rng, (n_rows, n_outputs), 2).astype(np.uint8)
    y = uniform(rng, (n_rows, n_outputs), dtype)
    if row.domain == "y >= 0":
        return np.maximum(y, 0)
    return abs(y) + dtype(0.125) if row.domain == "y > 0" else y


def arrays_of(network):
    """Weights, biases, and what other layers have."""
    others = [array for name, array, _ in network.parameters if not name.startswith(("coefs", "intercepts"))]
    return network.coefs + network.intercepts + others


def fill(rng, arrays):
    """Give weights and biases uniform values of the variance that Glorot's have."""
    for array in arrays:
        array[...] = uniform(rng, array.shape, np.float64) * np.sqrt(6 / sum(array.shape))
    return arrays


# ---- training ----


def train(
    dtype,
    isa,
    n_threads,
    *,
    units=(20, 33, 9, 3),
    layers=None,
    activation="tanh",
    loss="squared_error",
    options=None,
    segments=None,
    n_rows=75,
    batch_size=32,
    optimizer="sgd",
    hyper=None,
    dropout=None,
    alpha=0.01,
    groups=1,
    weights=False,
    sparse=None,
    other_floats=False,
    scale=1,
    permuted=False,
    rates=False,
):
    """Losses and parameters after some epochs, and the loss of other rows."""
    rng = np.random.RandomState(0)
    loss_options = options if segments is None else {"segments": segments}
    network = Network(
        layers or units, None if layers else activation, loss, dtype, loss_options=loss_options, dropout=dropout,
        n_threads=n_threads, isa=isa,
    )  # fmt: skip
    fill(rng, arrays_of(network))
    n_features, n_outputs = network.layer_units[0], network.layer_units[-1]

    def data(n):
        X = rows_for(rng, n, n_features, OTHER[dtype] if other_floats else dtype, sparse, scale)
        y = targets_for(rng, loss, n, n_outputs, dtype, segments)
        weight = codes(rng, n, 4) / 2 if weights else None
        # -1: no level
        categories = [codes(rng, n, n_levels + 1) - 1 for n_levels in (layers[0].levels if layers else ())]
        return (X, y, weight), np.stack(categories, axis=1).astype(np.int32) if categories else None

    arrays, categories = data(n_rows)
    network.bind(*arrays, codes=categories)
    state = SimpleNamespace(
        name=optimizer, rate=2.0**-6, t=0, state=[network.new_state() for _ in range(OPTIMIZERS[optimizer])],
        hyper=HYPER[optimizer] | (hyper or {}), dropout_seed=7,
    )  # fmt: skip
    losses = []
    for _ in range(EPOCHS):
        if rates:
            state.rates = 2.0**-6 * rng.random_sample(-(-n_rows // batch_size))
        rows = rng.permutation(n_rows).astype(np.intp) if permuted else None
        losses.append(network.epoch(rows, batch_size, state, alpha))
        assert network.row_groups == groups
    arrays, categories = data(50)
    losses.append(network.evaluate(*arrays, codes=categories))
    return [np.array(losses), *arrays_of(network)]


def gradient(dtype, isa, n_threads, *, n_rows, sparse=None):
    """Loss and gradient over all rows, as lbfgs gets them."""
    rng = np.random.RandomState(0)
    network = Network((20, 33, 4), "silu", "log_loss", dtype, n_threads=n_threads, isa=isa)
    fill(rng, network.coefs + network.intercepts)
    network.bind(rows_for(rng, n_rows, 20, dtype, sparse), codes(rng, n_rows, 4), rng.random_sample(n_rows))
    loss, coef_grads, intercept_grads = network.loss_and_grad(alpha=0.25)
    return [np.array(loss), *coef_grads, *intercept_grads]


GROUPED = {"units": (64, 100, 10), "loss": "log_loss", "activation": "relu", "groups": 8, "n_rows": 1203,
           "batch_size": 1000}  # fmt: skip
CHUNKED = {"n_rows": 2600, "batch_size": 2500}
FREE = "schedule_free_adamw"
CLIPPED = {"clip_norm": 0.0625, "weight_decay": 0.125}
CSR = {"sparse": np.int32, "permuted": True}

LEVELS = (3, 1, 40)
EDGES = [[-0.75, -0.25, 0.0, 0.5], [-0.5, 0.5, np.inf, np.inf], [-0.25, 0.0, 0.75, np.inf]]
ONES = Indicators(np.ones(44), np.zeros(44))
EVERY = {
    "layers": [
        Inputs(9, LEVELS), Numbers(range(2)), Periodic(range(2, 6), 5, 3), Piecewise(EDGES, range(6, 9), 5),
        Indicators(np.arange(4) / 4, np.arange(4) / -8, range(2)), Embedding(4, range(1, 3)), Scale(), Dense(33),
        Parametric("mish"), Dense(18, "silu"), Dense(3),
    ],
    "optimizer": "adamw", "permuted": True, "loss": "log_loss",
}  # fmt: skip
LAYERED = {
    "one-hot": [Inputs(5, LEVELS), Dense(33, "relu"), Dense(3)],
    "categories alone": [Inputs(0, (7, 300)), Dense(17, "tanh"), Dense(3)],
    "embedding": [Inputs(5, LEVELS), Numbers(), Embedding(7), Dense(17, "relu"), Dense(3)],
    "indicators": [Inputs(5, LEVELS), Numbers(), ONES, Dense(17, "relu"), Dense(3)],
    "periodic": [Inputs(5), Periodic(), Dense(17, "relu"), Dense(3)],
    "piecewise": [Inputs(3), Piecewise(EDGES), Dense(17, "relu"), Dense(3)],
    "scale": [Inputs(20), Scale(), Dense(17, "relu"), Scale(), Dense(3)],
    "parametric": [Inputs(20), Dense(17), Parametric("gelu"), Dense(33), Parametric("relu"), Dense(3)],
}

TRAINED = {
    # every row of the tables
    **{f"optimizer {name}": {"optimizer": name, "permuted": True} for name in OPTIMIZERS},
    **{f"activation {name}": {"activation": name, "optimizer": "adam", "scale": 8} for name in ACTIVATIONS},
    **{f"loss {name}": {"loss": name, "options": LOSS_OPTIONS.get(name), "weights": True} for name in LOSSES},
    # what is done to gradients and weights beside the step
    "momentum": {"hyper": {"momentum": 0.5, "nesterov": False}},
    "clip_value": {"hyper": {"clip_value": 2.0**-7}},
    "clip_norm": {"hyper": CLIPPED, "optimizer": "adam"},
    "max_norm": {"hyper": {"max_norm": 0.5}, "optimizer": "adamw"},
    "clip_norm and max_norm": {"hyper": CLIPPED | {"max_norm": 0.5}, "units": (5, 70, 3)},
    "rates": {"rates": True, "optimizer": "nadam", "hyper": {"weight_decay": 0.5}},
    "averages, rates": {"rates": True, "optimizer": FREE, "permuted": True},
    "averages, clip_norm": {"hyper": CLIPPED, "optimizer": FREE},
    "dropout": {"dropout": (0.25, 0.5, 0.125), "permuted": True},
    "dropout of the input": {"dropout": (0.25, 0.0, 0.0)},
    "dropout, slopes in z": {"dropout": (0.0, 0.5, 0.5), "activation": "silu", "optimizer": "adam"},
    # shapes
    "no hidden layer": {"units": (20, 3), "loss": "log_loss"},
    "units of one": {"units": (1, 1, 2, 1), "loss": "binary_log_loss"},
    "several activations": {"units": (7, 1, 130, 18, 3), "activation": ("mish", "relu", "gelu")},
    "many outputs": {"units": (17, 24, 50), "loss": "log_loss", "optimizer": "adam"},
    "many inputs": {"units": (784, 100, 10), "loss": "log_loss", "n_rows": 300, "batch_size": 160, "groups": 2},
    "wide": {"units": (64, 512, 520, 4), "n_rows": 150, "batch_size": 130, "optimizer": "adam"},
    "batches of one row": {"n_rows": 12, "batch_size": 1},
    # data
    "other floats": {"other_floats": True},
    "sample weights": {"weights": True, "optimizer": "adam", "loss": "log_loss", "permuted": True},
    "segments": {"units": (20, 33, 9), "loss": "log_loss", "segments": (2, 4, 3), "weights": True},
    "csr": CSR,
    "csr, long indices": CSR | {"sparse": np.int64, "weights": True, "optimizer": "adam"},
    "csr, other floats": CSR | {"other_floats": True},
    "csr, no hidden layer": CSR | {"units": (300, 3), "loss": "log_loss"},
    "csr, dropout, clip_norm": CSR | {"dropout": (0.0, 0.25, 0.5), "hyper": CLIPPED, "units": (300, 7, 5, 2)},
    "csr, segments": CSR | {"units": (20, 33, 9), "loss": "log_loss", "segments": (2, 4, 3)},
    # groups of rows
    "2 groups": {"units": (20, 100, 5), "n_rows": 430, "batch_size": 200, "groups": 2},
    "4 groups": GROUPED | {"batch_size": 400, "groups": 4, "weights": True},
    "8 groups": GROUPED | {"optimizer": "adam", "permuted": True},
    "8 groups, dropout": GROUPED | {"dropout": (0.125, 0.5), "activation": "gelu", "permuted": True},
    "8 groups, clip_norm and max_norm": GROUPED | {"hyper": CLIPPED | {"max_norm": 0.5}},
    "8 groups, averages": GROUPED | {"optimizer": FREE},
    # chunks of a batch
    "chunks": CHUNKED | {"optimizer": "adam", "permuted": True, "weights": True},
    "chunks, csr": CHUNKED | CSR,
    "chunks, clip_norm, dropout": CHUNKED | {"hyper": CLIPPED, "dropout": (0.25, 0.5, 0.125), "activation": "mish"},
    "chunks, averages": CHUNKED | {"optimizer": FREE, "rates": True},
    # kinds of layers
    **{f"layers, {name}": {"layers": layers, "optimizer": "adam"} for name, layers in LAYERED.items()},
    "layers, every kind": EVERY,
    "layers, dropout, clip_norm": EVERY | {"hyper": CLIPPED, "dropout": (0.125, *5 * [0], 0.25, 0, 0.5, 0.125)},
    "layers, chunks": EVERY | CHUNKED | {"weights": True, "other_floats": True},
    "layers, groups": EVERY | {"n_rows": 1203, "batch_size": 1000, "groups": 2},
}


# ---- prediction and input gradients ----


def predictor_for(dtype, isa, *, units, activation, link, segments=None):
    rng = np.random.RandomState(1)
    coefs = fill(rng, [np.empty(shape, dtype) for shape in zip(units, units[1:], strict=False)])
    intercepts = fill(rng, [np.empty(n, dtype) for n in units[1:]])
    return Predictor(coefs, intercepts, activation, link, segments=segments, isa=isa)


def predict(dtype, isa, n_threads, *, other_floats=False, sparse=None, chosen=False, n_rows=600, **network):
    rng = np.random.RandomState(2)
    X = rows_for(rng, n_rows, network["units"][0], OTHER[dtype] if other_floats else dtype, sparse)
    rows = rng.permutation(n_rows)[: n_rows // 2].astype(np.intp) if chosen else None
    return [predictor_for(dtype, isa, **network)(X, rows, n_threads=n_threads)]


def explain(dtype, isa, n_threads, *, target, n_rows=300, path=False, sparse=None, raw_score=False, **network):
    rng = np.random.RandomState(2)
    n_features, n_outputs = network["units"][0], network["units"][-1]
    X = rows_for(rng, n_rows, n_features, dtype, sparse)
    target = codes(rng, n_rows, n_outputs) if target == "each" else target
    arguments = {"raw_score": raw_score, "n_threads": n_threads}
    predictor = predictor_for(dtype, isa, **network)
    if not path:
        return [input_gradients(predictor, X, target, **arguments)]
    baseline = uniform(rng, (1, n_features), dtype)
    nodes, weights = np.array([0.125, 0.5, 0.75]), np.array([0.25, 0.5, 0.25])
    return [integrated_gradients(predictor, X, baseline, nodes, weights, target, **arguments)]


DEEP = {"units": (20, 70, 9, 3), "activation": ("relu", "silu"), "link": "softmax"}
SEGMENTED = {"units": (20, 33, 9), "activation": "tanh", "link": "softmax", "segments": (2, 4, 3)}

PREDICTED = {
    "dense": DEEP,
    "other floats": DEEP | {"other_floats": True},
    "chosen rows": DEEP | {"chosen": True},
    "one row": DEEP | {"n_rows": 1},
    "csr": DEEP | {"sparse": np.int32},
    "csr, chosen rows": DEEP | {"sparse": np.int64, "chosen": True},
    "segments": SEGMENTED,
    "no hidden layer": {"units": (20, 5), "activation": (), "link": "identity"},
    "logistic": {"units": (20, 100, 1), "activation": "gelu", "link": "logistic"},
    "exp": {"units": (20, 100, 2), "activation": "selu", "link": "exp"},
}
EXPLAINED = {
    "all outputs": DEEP | {"target": None},
    "one output": DEEP | {"target": 1},
    "an output each": DEEP | {"target": "each"},
    "raw scores": DEEP | {"target": None, "raw_score": True},
    "csr": DEEP | {"target": 1, "sparse": np.int32},
    "segments": SEGMENTED | {"target": None},
    "logistic": {"units": (20, 100, 1), "activation": "gelu", "link": "logistic", "target": 0},
    "exp": {"units": (20, 100, 2), "activation": "elu", "link": "exp", "target": "each"},
    "path": DEEP | {"target": 1, "path": True},
    "path, all outputs": SEGMENTED | {"target": None, "path": True},
}


# ---- digests ----

CASES = {
    **{f"train: {name}": partial(train, **case) for name, case in TRAINED.items()},
    "gradient": partial(gradient, n_rows=100),
    "gradient, chunks": partial(gradient, n_rows=1500),
    "gradient, csr": partial(gradient, n_rows=1500, sparse=np.int32),
    **{f"predict: {name}": partial(predict, **case) for name, case in PREDICTED.items()},
    **{f"explain: {name}": partial(explain, **case) for name, case in EXPLAINED.items()},
}


def digest(arrays):
    """Of dtypes, shapes and all bits."""
    state = hashlib.blake2b(digest_size=8)
    for array in arrays:
        state.update(f"{array.dtype.str}{array.shape}".encode())
        state.update(array.tobytes())
    return state.hexdigest()


def digests(name, isa=None, n_threads=1):
    """A case's digest in each precision."""
    return {dtype.__name__: digest(CASES[name](dtype, isa, n_threads)) for dtype in OTHER}


def recorded():
    return json.loads(PATH.read_text())


def main():
    before = recorded() if PATH.exists() else {}
    found = {name: digests(name) for name in CASES}
    changed = [name for name in {**before, **found} if before.get(name) != found.get(name)]
    for name in changed:
        print(name, before.get(name), "->", found.get(name))
    if "--renew" in sys.argv[1:]:
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(case)}" for name, case in found.items())
        PATH.write_text("{\n" + lines + "\n}\n")
        return 0
    return len(changed) > 0


if __name__ == "__main__":
    sys.exit(main())
