"""The nets every benchmark here runs on, their data, and the start and order of rows that every contender shares."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import scipy.sparse

SEED = 0
ALPHA = 1e-4


@dataclass(frozen=True)
class Net:
    """One multilayer perceptron (relu, Adam) and how long to train it."""

    name: str
    layers: tuple[int, ...]  # features, hidden units, outputs
    batch: int
    epochs: int  # of one timed fit: long enough to drown the set-up of the fit
    loss: str = "log_loss"
    n_batches: int = 10  # of one epoch
    density: float = 1.0  # below 1 the data is CSR
    both_dtypes: bool = False  # timed in float64 as well
    memory: bool = False  # its peak memory is measured

    @property
    def rows(self):
        return self.n_batches * self.batch

    @property
    def products(self):
        """Floating-point operations of one training batch, in the matrix products alone.

        Two per weight and row for each of: forward, gradient, and the deltas sent back (which the first layer
        spares). A sparse input counts its stored values only.
        """
        first, *others = (2 * self.batch * n_in * n_out for n_in, n_out in pairwise(self.layers))
        return 2 * first * self.density + 3 * sum(others)

    def data(self, dtype, rows=None):
        """X (rows, n_features), dense or CSR, and y (rows,): class codes, or real numbers in X's dtype."""
        rng = np.random.default_rng(SEED)
        shape = (rows or self.rows, self.layers[0])
        if self.density < 1:
            draw = partial(rng.standard_normal, dtype=dtype)
            X = scipy.sparse.random(*shape, self.density, "csr", dtype, rng=rng, data_rvs=draw)
        else:
            X = rng.standard_normal(shape, dtype)
        signal = X @ rng.standard_normal((shape[1], self.layers[-1]), dtype) / np.sqrt(shape[1] * self.density)
        if self.loss == "squared_error":
            return X, np.sin(signal[:, 0])
        return X, signal.argmax(axis=1) if self.loss == "log_loss" else (signal[:, 0] > 0).astype(np.intp)

    def estimator(self, module):
        """The net as `module`'s MLPClassifier or MLPRegressor; module is sklearn.neural_network or fastmlp."""
        make = module.MLPRegressor if self.loss == "squared_error" else module.MLPClassifier
        return make(
            hidden_layer_sizes=self.layers[1:-1], batch_size=self.batch, alpha=ALPHA, max_iter=self.epochs,
            random_state=SEED, tol=0, n_iter_no_change=np.inf,
        )  # fmt: skip

    def start(self, dtype):
        """scikit-learn's Glorot-uniform start: [(weights, biases), ...] and the random state to go on with."""
        random = np.random.RandomState(SEED)
        parameters = []
        for shape in pairwise(self.layers):
            bound = np.sqrt(6 / sum(shape))
            weights = random.uniform(-bound, bound, shape)
            parameters.append((weights.astype(dtype), random.uniform(-bound, bound, shape[1]).astype(dtype)))
        return parameters, random


def row_orders(random, rows, epochs):
    """scikit-learn's order of rows in each epoch: every permutation is applied to the one before."""
    order = np.arange(rows)
    for _ in range(epochs):
        order = order[random.permutation(rows)]
        yield order


NETS = {
    net.name: net
    for net in (
        Net("4-100-3", (4, 100, 3), 150, epochs=1500, n_batches=1, both_dtypes=True),
        Net("64-100-10", (64, 100, 10), 200, epochs=100, both_dtypes=True),
        Net("30-128-128-2", (30, 128, 128, 1), 256, epochs=40, loss="binary_log_loss", both_dtypes=True),
        Net("784-100-10", (784, 100, 10), 200, epochs=30, both_dtypes=True, memory=True),
        Net("784-512-512-10", (784, 512, 512, 10), 256, epochs=5, both_dtypes=True, memory=True),
        Net("8-100-100-1-regression", (8, 100, 100, 1), 200, epochs=60, loss="squared_error"),
        Net("2000-100-10-csr", (2000, 100, 10), 200, epochs=16, density=0.01, memory=True),
        Net("13-37-5", (13, 37, 5), 61, epochs=240),
        Net("301-211-97-7", (301, 211, 97, 7), 113, epochs=30),
    )
}
