"""A net on the engine alone, below the estimators: what `fit` calls once per epoch."""

from types import SimpleNamespace

import numpy as np
from nets import ALPHA
from peers import BETA_1, BETA_2, EPSILON, RATE

from fastmlp.engine import OPTIMIZERS, Network


def adam(network):
    """An Adam for a network at its start, as the engine reads it."""
    return SimpleNamespace(
        name="adam",
        rate=RATE,
        t=0,
        hyper={"beta_1": BETA_1, "beta_2": BETA_2, "epsilon": EPSILON},
        state=[network.new_state() for _ in range(OPTIMIZERS["adam"])],
    )


class EngineNet:
    """A Network at the net's start, bound to its data, with an Adam and one order of rows.

    As in `fit`, its calls belong within `fastmlp.engine.single_threaded_blas()`.
    """

    def __init__(self, net, dtype, n_threads=None):
        X, y = net.data(dtype)
        if net.loss != "log_loss":
            y = y[:, None].astype(dtype if net.loss == "squared_error" else np.uint8)
        parameters, random = net.start(dtype)
        self.batch = net.batch
        self.network = Network(net.layers, "relu", net.loss, np.dtype(dtype), n_threads=n_threads)
        for (weights, biases), coef, intercept in zip(
            parameters, self.network.coefs, self.network.intercepts, strict=True
        ):
            coef[:], intercept[:] = weights, biases
        self.network.bind(X, y)
        self.rows = random.permutation(X.shape[0])
        self.optimizer = adam(self.network)

    def epoch(self):
        """One epoch of Adam; its loss."""
        return self.network.epoch(self.rows, self.batch, self.optimizer, ALPHA)

    def loss_and_grad(self):
        """Loss and gradient over all rows."""
        return self.network.loss_and_grad(alpha=ALPHA)
