"""What Python does per epoch: the time of an epoch within `fit`, less that of the engine's call, for 150 rows."""

import time
import warnings

import numpy as np
from engine_nets import EngineNet
from nets import NETS
from sklearn.exceptions import ConvergenceWarning

import fastmlp
from fastmlp.engine import single_threaded_blas

ROUNDS = 30
FEW, MANY = 50, 550  # epochs of two fits; the difference is free of what a fit does once


def seconds(call, *arguments):
    begin = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - begin


def measure(net, dtype):
    """Microseconds per epoch of a fit and of the engine alone, and what a fit costs once."""
    X, y = net.data(dtype)
    estimator, engine_net = net.estimator(fastmlp), EngineNet(net, dtype)

    def fit(epochs):
        estimator.set_params(max_iter=epochs).fit(X, y)

    def engine_epochs(epochs):
        with single_threaded_blas():
            for _ in range(epochs):
                engine_net.epoch()

    few, many, engine = [], [], []
    for _ in range(ROUNDS):
        few.append(seconds(fit, FEW))
        many.append(seconds(fit, MANY))
        engine.append(seconds(engine_epochs, MANY - FEW))
    epoch = (min(many) - min(few)) / (MANY - FEW)
    return epoch * 1e6, min(engine) / (MANY - FEW) * 1e6, (min(few) - FEW * epoch) * 1e6


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    net = NETS["4-100-3"]
    for dtype in (np.float32, np.float64):
        epoch, engine, once = measure(net, dtype)
        print(
            f"{net.name}, {net.rows} rows, {np.dtype(dtype).name}: {epoch:.1f} us an epoch, {engine:.1f} in the engine,"
            f" {epoch - engine:.1f} ({1 - engine / epoch:.0%}) in Python; {once:.0f} us once per fit"
        )


if __name__ == "__main__":
    main()
