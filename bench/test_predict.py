"""Class probabilities of one row and of many, by every library installed: `pytest bench --benchmark-only`."""

import numpy as np
import pytest
import sklearn.neural_network
from nets import NETS
from peers import CORES, PEERS, limit_threads


@pytest.mark.parametrize("peer", [peer.name for peer in PEERS.values() if peer.predictor and peer.installed])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 200, 20_000])
@pytest.mark.parametrize("net", ["64-100-10", "784-100-10"])
def test_predict_proba(benchmark, net, rows, dtype, peer):
    net = NETS[net]
    benchmark.group = f"predict_proba of {rows} rows, {net.name} {dtype}"
    fitted = net.estimator(sklearn.neural_network).set_params(max_iter=1).fit(*net.data(dtype))
    X, _ = net.data(dtype, rows)
    call = PEERS[peer].predictor(fitted, CORES)
    with limit_threads(CORES):
        probabilities = benchmark(call, X)
    np.testing.assert_allclose(probabilities, fitted.predict_proba(X), atol=1e-4)
