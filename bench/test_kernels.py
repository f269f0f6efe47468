"""Elementwise kernels beside NumPy, and the engine's passes over a whole data set: `pytest bench --benchmark-only`."""

import numpy as np
import pytest
import scipy.special
from engine_nets import EngineNet
from nets import NETS

from fastmlp.engine import ISAS, forward, kernels, single_threaded_blas

DTYPES = ("float32", "float64")
SIZE = 20_000  # elements of a batch's hidden layer, in the second-level cache
NUMPY = {
    "identity": np.positive,
    "logistic": scipy.special.expit,
    "tanh": np.tanh,
    "relu": lambda x, out: np.maximum(0, x, out=out),
    "exp": np.exp,
    "log": np.log,
}


@pytest.mark.parametrize("isa", [*ISAS, "numpy"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NUMPY)
def test_elementwise(benchmark, name, dtype, isa):
    benchmark.group = f"{name} {dtype}, {SIZE} elements"
    x = np.random.default_rng(0).normal(size=SIZE).astype(dtype)
    if name == "log":
        x = abs(x)

    def apply(x):
        return NUMPY[name](x, out=x) if isa == "numpy" else kernels.apply(name, x, isa)

    # In place, so every call gets values of its own: applied again and again, they would leave the usual range.
    result = benchmark.pedantic(apply, setup=lambda: ((x.copy(),), {}), rounds=300, warmup_rounds=3)
    np.testing.assert_allclose(result, NUMPY[name](x.astype(float), out=None), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("net", NETS)
def test_loss_and_grad(benchmark, net, dtype):
    benchmark.group = f"loss and gradient, {dtype}"
    with single_threaded_blas():
        loss, coef_grads, _ = benchmark(EngineNet(NETS[net], dtype).loss_and_grad)
    assert np.isfinite(loss)
    assert all(np.any(grad) for grad in coef_grads)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("net", NETS)
def test_forward(benchmark, net, dtype):
    benchmark.group = f"forward over an epoch's rows, {dtype}"
    net = NETS[net]
    X, _ = net.data(dtype)
    coefs, intercepts = (list(arrays) for arrays in zip(*net.start(dtype)[0], strict=True))
    with single_threaded_blas():
        output = benchmark(forward, coefs, intercepts, "relu", "identity", X)
    assert output.shape == (net.rows, net.layers[-1])
