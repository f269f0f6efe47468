"""One epoch of the engine on one thread and on all, and whole fits: `pytest bench --benchmark-only`."""

import numpy as np
import pytest
from engine_nets import EngineNet
from nets import NETS
from peers import CORES, PEERS

from fastmlp.engine import single_threaded_blas

DTYPES = ("float32", "float64")


@pytest.mark.parametrize("n_threads", sorted({1, CORES}))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("net", NETS)
def test_epoch(benchmark, net, dtype, n_threads):
    net = NETS[net]
    benchmark.group = f"epoch of {net.n_batches} batches, {net.name} {dtype}"
    engine_net = EngineNet(net, dtype, n_threads)
    with single_threaded_blas():
        first_loss = engine_net.epoch()
        benchmark(engine_net.epoch)
    np.testing.assert_allclose(first_loss, PEERS["scikit-learn"].trainer(net, *net.data(dtype))(1), rtol=1e-4)


@pytest.mark.parametrize("peer", ["fastmlp", "scikit-learn"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("net", NETS)
def test_fit(benchmark, net, dtype, peer):
    net = NETS[net]
    benchmark.group = f"fit of {net.epochs} epochs, {net.name} {dtype}"
    fit = PEERS[peer].trainer(net, *net.data(dtype))
    assert np.isfinite(benchmark.pedantic(fit, (net.epochs,), rounds=3, warmup_rounds=1))
