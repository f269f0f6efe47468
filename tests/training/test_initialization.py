"""Where parameters start: the distributions, and scikit-learn's stream."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import kstest, uniform
from scipy.stats import norm as normal

from fastmlp.engine import Network
from fastmlp.training.initialization import INITIALIZERS, initialize

UNITS = (300, 200, 400, 30)
VARIANCES = {
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}
SCALED = [f"{name}_{kind}" for name in VARIANCES for kind in ("uniform", "normal")]
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)


def drawn(weight_init, *, units=UNITS, activation="relu", dtype=np.float64, rounded_to=None, seed=0):
    network = Network(units, activation, "log_loss", dtype)
    for array in network.coefs + network.intercepts:
        array.fill(np.nan)
    initialize(network, weight_init, rounded_to or dtype, np.random.RandomState(seed))
    return network


def test_the_names():
    assert tuple(INITIALIZERS) == ("auto", *SCALED, "orthogonal")
    with pytest.raises(ValueError, match="weight_init='xavier': one of auto, glorot_uniform, .*, orthogonal"):
        drawn("xavier")


@every_dtype
@pytest.mark.parametrize("weight_init", SCALED)
def test_distribution(weight_init, dtype):
    name, kind = weight_init.split("_")
    for coef in drawn(weight_init, dtype=dtype).coefs:
        deviation = sqrt(VARIANCES[name](*coef.shape))
        expected = normal(0, deviation)
        if kind == "uniform":
            bound = sqrt(3) * deviation
            expected = uniform(-bound, 2 * bound)
            assert 0.999 * bound < np.abs(coef).max() <= bound * (1 + np.finfo(dtype).eps)
        assert kstest(coef.ravel(), expected.cdf).pvalue > 1e-4
        assert abs(coef.var() / deviation**2 - 1) < 6 * sqrt(2 / coef.size)


@every_dtype
@pytest.mark.parametrize("units", [(40, 40, 3), (7, 90, 33, 1), (1, 5, 2)], ids=str)
def test_orthogonal(units, dtype):
    for coef in drawn("orthogonal", units=units, dtype=dtype).coefs:
        matrix = coef.astype(float) if coef.shape[0] <= coef.shape[1] else coef.T.astype(float)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=20 * np.finfo(dtype).eps)


def test_orthogonal_matrices_are_uniform():
    # the trace of a uniform one has mean 0 and variance 1 (Diaconis & Shahshahani 1994), that of LAPACK's Q has not
    traces = [np.trace(drawn("orthogonal", units=(6, 6), seed=seed).coefs[0]) for seed in range(600)]
    assert abs(np.mean(traces)) < 5 / sqrt(600)
    assert abs(np.var(traces) - 1) < 5 * sqrt(2 / 600)


@every_dtype
@pytest.mark.parametrize("weight_init", INITIALIZERS)
def test_seed_intercepts_and_rounding(weight_init, dtype):
    first, second, other = (drawn(weight_init, dtype=dtype, seed=seed) for seed in (0, 0, 1))
    for a, b, c in zip(first.coefs, second.coefs, other.coefs, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.mean(a == c) < 0.01
    assert all(np.isfinite(intercept).all() for intercept in first.intercepts)
    assert any(intercept.any() for intercept in first.intercepts) == (weight_init == "auto")
    # float32 parameters are float64's, rounded
    rounded = drawn(weight_init, dtype=np.float64, rounded_to=np.float32)
    for a, b in zip(drawn(weight_init, dtype=np.float32).coefs, rounded.coefs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("weight_init", INITIALIZERS)
def test_numbers_drawn_in_parts_are_one_stream(monkeypatch, weight_init):
    expected = drawn(weight_init)
    monkeypatch.setattr("fastmlp.training.initialization.PART", 1001)
    network = drawn(weight_init)
    for a, b in zip(network.coefs + network.intercepts, expected.coefs + expected.intercepts, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "activation, factors",
    [
        ("relu", [6, 6, 6]),
        ("logistic", [2, 2, 2]),
        (("logistic", "relu"), [2, 6, 6]),
        (("gelu", "logistic"), [6, 2, 2]),
    ],
    ids=str,
)
def test_auto_draws_as_scikit_learn_does(activation, factors):
    network, stream = drawn("auto", activation=activation), np.random.RandomState(0)
    for factor, coef, intercept in zip(factors, network.coefs, network.intercepts, strict=True):
        bound = np.sqrt(factor / (coef.shape[0] + coef.shape[1]))
        np.testing.assert_array_equal(coef, stream.uniform(-bound, bound, coef.shape))
        np.testing.assert_array_equal(intercept, stream.uniform(-bound, bound, intercept.shape))


def test_auto_without_a_hidden_layer():
    for activation, factor in (("logistic", 2), ("relu", 6), ((), 6)):
        network = drawn("auto", units=(50, 20), activation=activation)
        assert 0.98 * sqrt(factor / 70) < np.abs(network.coefs[0]).max() <= sqrt(factor / 70)
