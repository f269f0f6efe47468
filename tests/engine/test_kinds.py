"""The contract of every kind of layer (docs/development.md)."""

import numpy as np
import pytest
from networks import DTYPES, bits, bound, copies, data_for, distance, optimizer_for, pair, parameters, same_bits, train

from fastmlp.engine import ISAS

CLOSE = {np.float32: 5e-5, np.float64: 2e-13}
# what makes the layers of a network be of a kind; BLAS serves layers of this size where the portable kernels do
KINDS = {"dense": {"isa": ISAS[0]}, "dense by BLAS": {"isa": "baseline"}, "csr": {"sparse": np.int32}}
UNITS = (67, 31, 17, 5)

every_kind = pytest.mark.parametrize("kind", KINDS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def network_of(kind, dtype, n_rows, *, units=UNITS, **more):
    network = bound(units, "tanh", "log_loss", dtype, n_rows, **KINDS[kind], **more)
    if kind == "dense by BLAS" and not network.uses_blas:
        pytest.skip("the portable kernels are as wide as BLAS's here")
    return network


@every_kind
@every_dtype
@pytest.mark.parametrize("n_rows", [1, 2, 47, 130])
def test_twin(n_rows, dtype, kind):
    network_of(kind, dtype, 1)
    network, expected = pair(UNITS, "tanh", "log_loss", dtype, n_rows, **KINDS[kind], weights=n_rows > 2)
    losses = [train(net, optimizer_for(net, "adam"), 40) for net in (network, expected)]
    np.testing.assert_allclose(*losses, rtol=CLOSE[dtype])
    assert distance(parameters(network), parameters(expected)) < CLOSE[dtype]


@every_kind
def test_finite_differences(kind):
    network = network_of(kind, np.float64, 60)
    _, coef_grads, intercept_grads = network.loss_and_grad(alpha=0.1)
    gradients, rng, step = copies(coef_grads + intercept_grads), np.random.default_rng(0), 1e-6
    for array, gradient in zip(network.coefs + network.intercepts, gradients, strict=True):
        flat, slopes = array.reshape(-1), gradient.reshape(-1)
        for i in rng.choice(flat.size, size=5, replace=False):
            value, losses = flat[i], []
            for sign in (1, -1):
                flat[i] = value + sign * step
                losses.append(network.loss_and_grad(alpha=0.1)[0])
            flat[i] = value
            assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(slopes[i], rel=1e-5, abs=1e-9)


@every_kind
@every_dtype
def test_rows_do_not_depend_on_each_other(dtype, kind):
    network = network_of(kind, dtype, 70)
    X = data_for(UNITS, "log_loss", 70, dtype, sparse=KINDS[kind].get("sparse"))[0]
    together = network.predict(X)
    for rows in ([3], [69, 0], [5, 5, 41], range(17, 50)):
        rows = np.array(rows, dtype=np.intp)
        alone = network.predict(X, rows)
        if kind == "dense by BLAS":  # which may add in another order
            np.testing.assert_allclose(alone, together[rows], rtol=CLOSE[dtype])
        else:
            assert np.array_equal(bits(alone), bits(together[rows]))


@every_kind
@every_dtype
@pytest.mark.parametrize("units, batch_size", [(UNITS, 64), ((64, 100, 10), 200), ((300, 40, 3), 1500)], ids=str)
def test_no_sum_is_divided_by_worker(units, batch_size, dtype, kind):
    reached = []
    for n_threads in (1, 2, 3):
        network = network_of(kind, dtype, 1600, units=units, n_threads=n_threads)
        optimizer = optimizer_for(network, "adam")
        reached.append([np.array(train(network, optimizer, batch_size)), *parameters(network), *optimizer.state])
    assert all(same_bits(arrays, reached[0]) for arrays in reached)


@every_dtype
@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_gradients_are_those_of_any_division_into_tiles(kind, dtype):
    """Features whose weights are 0 change no delta, and so no gradient of the others, but the tiles."""
    few, many, n_rows = 9, 1500, 20
    gradients = []
    X, y, _ = data_for((many, 37, 4), "log_loss", n_rows, dtype, sparse=KINDS[kind].get("sparse"))
    for n_features in (few, many):
        network = bound((n_features, 37, 4), "tanh", "log_loss", dtype, 5, isa=KINDS[kind].get("isa"))
        for array in network.coefs + network.intercepts:
            array[:] = np.random.default_rng(array.shape[-1]).standard_normal((few, array.shape[-1]))[0] / 8
        network.coefs[0][few:] = 0
        network.bind(X if n_features == many else X[:, :few].copy(), y)
        gradients.append([network.loss_and_grad()[1][0][:few].copy()])
        assert network.row_groups == 1
    assert same_bits(*gradients)
    assert np.abs(gradients[0][0]).max() > 0
