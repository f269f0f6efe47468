"""What the engine's tests share: networks with random parameters and data, and the tables they run over."""

from types import SimpleNamespace

import numpy as np
import scipy.sparse
from twin import TwinNetwork

from fastmlp.engine import LOSS_ROWS, OPTIMIZERS, Network
from fastmlp.engine.architecture import Inputs

DTYPES = (np.float32, np.float64)

# hyperparameters that every row of the optimizer table is tested with: the defaults, and what else changes the formula
HYPER = {
    "sgd": [{"momentum": 0.9, "nesterov": True}, {"momentum": 0.5, "nesterov": False}],
    "adam": [{"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}],
    "adamw": [{"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.1}],
    "nadam": [{"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}],
    "rmsprop": [{"beta_2": 0.9, "epsilon": 1e-8}],
    "adagrad": [{"epsilon": 1e-8}],
    "lion": [{"beta_1": 0.9, "beta_2": 0.99}],
    "schedule_free_adamw": [{"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.1}],
}
RATE = {"sgd": 0.05, "adagrad": 0.05, "lion": 0.003}
OPTIMIZER_CASES = [(name, hyper) for name in OPTIMIZERS for hyper in HYPER[name]]

# options of losses that change their formula
CHECKED_OPTIONS = [
    *(("log_loss", {"label_smoothing": s}) for s in (0.1, 0.75)),
    *(("soft_binary_log_loss", {"label_smoothing": s}) for s in (0.1, 0.75)),
    *((loss, {"focal_gamma": gamma}) for loss in ("focal", "binary_focal") for gamma in (0.0, 0.5, 1.0, 3.5)),
    *(("huber", {"huber_delta": delta}) for delta in (0.05, 0.7, 10.0)),
    *(("quantile", {"quantiles": (q,)}) for q in (0.1, 0.8)),
    *(("tweedie", {"tweedie_power": power}) for power in (1.1, 1.9)),
]


def optimizer_for(network, name, hyper=None):
    """A fresh optimizer, as Network.epoch reads it."""
    state = [network.new_state() for _ in range(OPTIMIZERS[name])]
    return SimpleNamespace(
        name=name, rate=RATE.get(name, 0.01), t=0, hyper=hyper or HYPER[name][0], state=state, dropout_seed=7
    )


def targets_for(loss, n_rows, n_outputs, dtype, rng, segments=None):
    """Targets of the kind that bind() wants for a loss."""
    if segments is not None:
        return np.stack([rng.integers(size, size=n_rows, dtype=np.intp) for size in segments], axis=1)
    row = LOSS_ROWS[loss]
    if row.target == "code":
        return rng.integers(n_outputs, size=n_rows, dtype=np.intp)
    if row.target == "bit":
        return rng.integers(2, size=(n_rows, n_outputs), dtype=np.uint8)
    if row.domain == "y >= 0":
        return rng.poisson(1.5, size=(n_rows, n_outputs)).astype(dtype)
    if row.domain == "y > 0":
        return rng.gamma(2.0, size=(n_rows, n_outputs)).astype(dtype)
    return rng.standard_normal((n_rows, n_outputs)).astype(dtype)


def described(layers):
    """Inputs and number of outputs of a network that is given as units or as layers."""
    return (layers[0], layers[-1].units) if isinstance(layers[0], Inputs) else (Inputs(layers[0]), layers[-1])


def data_for(layers, loss, n_rows, dtype, *, x_dtype=None, weights=False, sparse=None, seed=0, segments=None):
    """X, y and weights; `sparse` is None or the dtype of CSR indices (some rows empty)."""
    rng = np.random.default_rng(seed)
    inputs, n_outputs = described(layers)
    scale = min(1.0, 4 / np.sqrt(max(1, inputs.n_features)))  # wide rows would make the first steps diverge
    X = (scale * rng.standard_normal((n_rows, inputs.n_features))).astype(x_dtype or dtype)
    if sparse is not None:
        X[rng.random(X.shape) < 0.7] = 0
        X[:: max(2, n_rows // 5)] = 0
        X = with_index_dtype(scipy.sparse.csr_array(X), sparse)
    y = targets_for(loss, n_rows, n_outputs, dtype, rng, segments)
    return X, y, rng.choice([0.0, 0.5, 1.0, 2.0], size=n_rows) if weights else None


def codes_for(layers, n_rows, *, seed=0):
    """Codes of the categories, some of them of no level; None if there are no categories."""
    levels = described(layers)[0].levels
    if not levels:
        return None
    return np.random.default_rng(seed + 1000).integers(-1, levels, size=(n_rows, len(levels)), dtype=np.int32)


def with_index_dtype(X, dtype):
    """The same CSR array with indices of the given dtype, which SciPy would choose itself."""
    X.indices, X.indptr = X.indices.astype(dtype), X.indptr.astype(dtype)
    return X


def network_for(layers, activation, loss, dtype, *, kind=Network, seed=1, **kwargs):
    """A network with Glorot-sized parameters, the same for every kind of network."""
    network = kind(layers, activation, loss, dtype, **kwargs)
    rng = np.random.default_rng(seed)
    for name, array, _ in network.parameters:
        if array.ndim == 2:
            array[:] = rng.standard_normal(array.shape) * np.sqrt(2 / sum(array.shape))
        else:
            array[:] = rng.standard_normal(array.shape) / 10 + (0 if name.startswith("intercepts") else 1)
    return network


def bound(
    layers,
    activation,
    loss,
    dtype,
    n_rows,
    *,
    kind=Network,
    loss_options=None,
    dropout=None,
    n_threads=None,
    isa=None,
    **data,
):
    """A network as network_for() makes it, with data as data_for() makes them."""
    options = {"loss_options": loss_options, "dropout": dropout, "n_threads": n_threads, "isa": isa}
    network = network_for(layers, activation, loss, dtype, kind=kind, **options)
    network.bind(
        *data_for(layers, loss, n_rows, dtype, segments=network.segments, **data), codes=codes_for(layers, n_rows)
    )
    return network


def train(network, optimizer, batch_size, *, epochs=2, alpha=0.01, rows=None):
    """Losses of some epochs."""
    return [network.epoch(rows, batch_size, optimizer, alpha) for _ in range(epochs)]


def pair(*args, isa=None, **kwargs):
    """The same network twice, the engine's and the twin's."""
    return bound(*args, isa=isa, **kwargs), bound(*args, kind=TwinNetwork, **kwargs)


def copies(arrays):
    """Copies of a list of arrays."""
    return [array.copy() for array in arrays]


def parameters(network):
    """Copies of all weights and biases, and of what other layers have."""
    others = [array for name, array, _ in network.parameters if not name.startswith(("coefs", "intercepts"))]
    return copies(network.coefs + network.intercepts + others)


def gradients(network, alpha=0.0):
    """The gradient of each parameter over all rows, which is what a step of sgd with the rate 1 subtracts."""
    arrays, state = [array for _, array, _ in network.parameters], network.new_state()
    before, hyper = copies(arrays), {"momentum": 0.0, "nesterov": False}
    network.epoch(None, 1 << 30, SimpleNamespace(name="sgd", rate=1.0, t=0, hyper=hyper, state=[state]), alpha)
    for array, values in zip(arrays, before, strict=True):
        array[:] = values
    return [-array for array in network.arrays_in(state)]


def distance(arrays, expected):
    """The largest norm of a difference over the norm of what is expected."""
    return max(
        float(np.linalg.norm(np.asarray(a, float) - b) / (np.linalg.norm(np.asarray(b, float)) or 1.0))
        for a, b in zip(arrays, expected, strict=True)
    )


def same_bits(arrays, expected):
    """Whether two lists of arrays agree in every bit."""
    return all(np.array_equal(bits(a), bits(b)) for a, b in zip(arrays, expected, strict=True))


def bits(array):
    """An array's bytes as integers, so that NaN equals itself and 0 differs from -0."""
    return np.ascontiguousarray(array).view(np.uint8)
