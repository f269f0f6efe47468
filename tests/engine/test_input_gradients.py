"""Gradients with respect to inputs: against the twin, finite differences, and the engine's own other ways."""

import functools

import numpy as np
import pytest
import scipy.sparse
import twin
from networks import DTYPES, bits, with_index_dtype

from fastmlp.engine import ACTIVATIONS, ISAS, LOSSES, Predictor, input_gradients, integrated_gradients

every_isa = pytest.mark.parametrize("isa", ISAS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
OUT_ACTIVATIONS = sorted(set(LOSSES.values()))
# names and segments
LINKS = [*((name, None) for name in OUT_ACTIVATIONS), ("softmax", (2, 4, 1)), ("softmax", (7,))]


def parameters_for(units, dtype, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    coefs = [
        (scale * rng.standard_normal((n_in, n_out)) * np.sqrt(2 / (n_in + n_out))).astype(dtype)
        for n_in, n_out in zip(units, units[1:], strict=False)
    ]
    return coefs, [(rng.standard_normal(n_out) / 5).astype(dtype) for n_out in units[1:]]


def rows_for(n_rows, n_features, dtype, seed=1):
    return np.random.default_rng(seed).standard_normal((n_rows, n_features)).astype(dtype)


def check(units, activation, link, segments, dtype, n_rows, isa=None, X=None, **kwargs):
    """All outputs against the twin, then one and one for each row against all; returns all."""
    coefs, intercepts = parameters_for(units, dtype)
    predictor = Predictor(coefs, intercepts, activation, link, segments=segments, isa=isa)
    X = rows_for(n_rows, units[0], dtype) if X is None else X
    expected = twin.input_gradients(coefs, intercepts, activation, link, X, segments=segments)
    gradients = input_gradients(predictor, X, **kwargs)
    assert gradients.dtype == dtype
    assert gradients.shape == (X.shape[0], units[-1], units[0])
    tolerance = 64 * np.finfo(dtype).eps
    np.testing.assert_allclose(gradients, expected, rtol=0, atol=tolerance * max(1, abs(expected).max(initial=0)))
    for k in {0, units[-1] - 1}:
        np.testing.assert_array_equal(input_gradients(predictor, X, k, **kwargs), gradients[:, k])
    targets = np.random.default_rng(2).integers(units[-1], size=X.shape[0], dtype=np.intp)
    ones = input_gradients(predictor, X, targets, **kwargs)
    np.testing.assert_array_equal(ones, gradients[np.arange(X.shape[0]), targets])
    return gradients


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("link, segments", LINKS)
def test_finite_differences(activation, link, segments):
    units, step = (5, 6, 4, 7), 1e-5
    coefs, intercepts = parameters_for(units, np.float64)
    X = rows_for(9, 5, np.float64)
    for raw_score in (False, True):
        of, blocks = ("identity", None) if raw_score else (link, segments)
        predictor = Predictor(coefs, intercepts, activation, of, segments=blocks)
        expected = [(predictor(X + h) - predictor(X - h)) / (2 * step) for h in step * np.eye(5)]
        predictor = Predictor(coefs, intercepts, activation, link, segments=segments)
        gradients = input_gradients(predictor, X, raw_score=raw_score)
        np.testing.assert_allclose(gradients, np.stack(expected, axis=2), rtol=1e-6, atol=1e-8)


@every_isa
@every_dtype
@pytest.mark.parametrize("link", ["logistic", "softmax"])
def test_sure_probabilities_keep_their_digits(link, dtype, isa):
    """A logistic's slope is e^-|z| / (1 + e^-|z|)^2, also where p rounds to 1; a softmax of (0, z) has the same."""
    z = np.array([-80, -20, -3, -0.125, 0, 0.125, 3, 12, 20, 40, 80])
    slopes = np.exp(-abs(z)) / (1 + np.exp(-abs(z))) ** 2
    weights = np.ones((1, 1)) if link == "logistic" else np.array([[0.0, 1.0]])
    predictor = Predictor([weights.astype(dtype)], [np.zeros(weights.shape[1], dtype)], (), link, isa=isa)
    gradients = input_gradients(predictor, z[:, None].astype(dtype), weights.shape[1] - 1)
    np.testing.assert_allclose(gradients[:, 0], slopes, rtol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_any_activation_may_be_the_output_s(activation):
    coefs, intercepts = parameters_for((3, 5, 4), np.float64)
    X, step = rows_for(9, 3, np.float64), 1e-5
    predictor = Predictor(coefs, intercepts, "tanh", activation)
    expected = [(predictor(X + h) - predictor(X - h)) / (2 * step) for h in step * np.eye(3)]
    np.testing.assert_allclose(input_gradients(predictor, X), np.stack(expected, axis=2), rtol=1e-6, atol=1e-8)


@every_isa
@every_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("link, segments", LINKS)
def test_twin(activation, link, segments, dtype, isa):
    check((5, 6, 4, 7), activation, link, segments, dtype, 11, isa)


@every_isa
@every_dtype
@pytest.mark.parametrize("size", [1, 2, 3, 5, 15, 16, 17, 31, 33, 47, 48, 49, 67])
def test_sizes(size, dtype, isa):
    """One size of each kind at a time, about the widths of vectors and tiles."""
    for units in ((size, 5, 3), (3, size, 2), (3, 4, size), (size, size), (3, size, size, 2), (size, size, 1)):
        check(units, "tanh", "softmax" if units[-1] > 1 else "logistic", None, dtype, 5, isa)
    check((3, 4, 3), "silu", "softmax", None, dtype, size, isa)


@every_isa
@every_dtype
def test_activations_of_several_kinds(dtype, isa):
    for names in (("silu", "tanh", "gelu"), ("relu", "mish", "identity"), ("hard_swish", "silu", "gelu_tanh")):
        check((4, 9, 33, 5, 3), names, "exp", None, dtype, 300, isa)


@every_dtype
def test_without_hidden_layers(dtype):
    coefs, intercepts = parameters_for((4, 3), dtype)
    for n_rows in (0, 1, 40):
        gradients = input_gradients(Predictor(coefs, intercepts, (), "identity"), rows_for(n_rows, 4, dtype))
        np.testing.assert_array_equal(gradients, np.broadcast_to(coefs[0].T, (n_rows, 3, 4)))


@every_isa
@every_dtype
@pytest.mark.parametrize("link, segments", LINKS)
@pytest.mark.parametrize("raw_score", [False, True])
def test_same_bits_for_any_number_of_threads(link, segments, raw_score, dtype, isa):
    coefs, intercepts = parameters_for((5, 33, 6, 7), dtype)
    predictor = Predictor(coefs, intercepts, ("silu", "relu"), link, segments=segments, isa=isa)
    X = rows_for(701, 5, dtype)
    targets = np.arange(701, dtype=np.intp) % 7
    for target in (None, 3, targets):
        gradients = functools.partial(input_gradients, predictor, target=target, raw_score=raw_score)
        one = gradients(X, n_threads=1)
        for n_threads in (2, 3):
            np.testing.assert_array_equal(bits(gradients(X, n_threads=n_threads)), bits(one))
        some = targets[:29] if target is targets else target
        np.testing.assert_array_equal(bits(gradients(X[:29], n_threads=2, target=some)), bits(one[:29]))


@every_dtype
@pytest.mark.skipif(len(ISAS) < 3, reason="this processor has one instruction set with multiply-adds")
def test_same_bits_on_every_vector_width(dtype):
    for link, segments in LINKS:
        coefs, intercepts = parameters_for((37, 50, 6, 7), dtype)
        predictors = [
            Predictor(coefs, intercepts, ("gelu", "tanh"), link, segments=segments, isa=isa)
            for isa in ISAS
            if isa != "baseline"
        ]
        results = [input_gradients(predictor, rows_for(50, 37, dtype)) for predictor in predictors]
        for result in results[1:]:
            np.testing.assert_array_equal(bits(result), bits(results[0]))


@every_isa
@every_dtype
@pytest.mark.parametrize("x_dtype", DTYPES)
@pytest.mark.parametrize("indices", [np.int32, np.int64])
def test_sparse(indices, x_dtype, dtype, isa):
    X = rows_for(40, 19, x_dtype)
    X[np.random.default_rng(3).random(X.shape) < 0.8] = 0
    X[::7] = 0
    sparse = with_index_dtype(scipy.sparse.csr_array(X), indices)
    dense = check((19, 33, 3), "silu", "softmax", None, dtype, 40, isa, X=X)
    gradients = check((19, 33, 3), "silu", "softmax", None, dtype, 40, isa, X=sparse)
    np.testing.assert_allclose(gradients, dense, rtol=0, atol=20 * np.finfo(dtype).eps)


@every_dtype
def test_other_precision_read_only_and_no_rows(dtype):
    other = np.float32 if dtype == np.float64 else np.float64
    X = rows_for(30, 5, other)
    X.flags.writeable = False
    check((5, 6, 3), "tanh", "softmax", None, dtype, 30, X=X)
    check((5, 6, 3), "tanh", "softmax", None, dtype, 30, X=X[:0])
    check((5, 6, 3), "tanh", "softmax", None, dtype, 30, X=scipy.sparse.csr_array(X[:0]))


@pytest.mark.parametrize("units, link", [((4, 1500, 6000, 2), "softmax"), ((4, 2900, 2900), "identity")])
def test_layers_of_blas(units, link):
    """Bits are those of one thread there too, for a given number of rows."""
    coefs, intercepts = parameters_for(units, np.float32)
    predictor, X = Predictor(coefs, intercepts, "tanh", link), rows_for(90, 4, np.float32)
    gradients = input_gradients(predictor, X, 1, n_threads=1)
    expected = twin.input_gradients(
        [*coefs[:-1], coefs[-1][:, 1:2]], [*intercepts[:-1], intercepts[-1][1:2]], "tanh", "identity", X[:7]
    )[:, 0]
    raw = input_gradients(predictor, X[:7], 1, raw_score=True)
    np.testing.assert_allclose(raw, expected, rtol=0, atol=1e-5 * abs(expected).max())
    np.testing.assert_array_equal(bits(input_gradients(predictor, X, 1, n_threads=2)), bits(gradients))
    of_rows = input_gradients(predictor, X, np.ones(90, dtype=np.intp))
    np.testing.assert_allclose(of_rows, gradients, rtol=0, atol=1e-5 * abs(gradients).max())


def test_sparse_and_wide():
    """The first layer's products: CSR forward, BLAS back."""
    coefs, intercepts = parameters_for((90_000, 100, 2), np.float32, scale=10.0)
    X = rows_for(3, 90_000, np.float32)
    X[np.random.default_rng(3).random(X.shape) < 0.99] = 0
    X = with_index_dtype(scipy.sparse.csr_array(X), np.int32)
    gradients = input_gradients(Predictor(coefs, intercepts, "tanh", "softmax"), X)
    expected = twin.input_gradients(coefs, intercepts, "tanh", "softmax", X.toarray())
    np.testing.assert_allclose(gradients, expected, rtol=0, atol=1e-4 * abs(expected).max())


@every_isa
@every_dtype
@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu6", "hard_sigmoid", "softsign"])
@pytest.mark.parametrize("link", ["identity", "logistic", "softmax"])
def test_saturation(activation, link, dtype, isa):
    """Far out a bounded activation is flat, whatever the outputs make of it."""
    coefs, intercepts = parameters_for((3, 5, 2), dtype)
    X = np.array([[1e30, -1e30, 1e30], [1e15, 1e18, -1e17]], dtype=dtype)
    for raw_score in (False, True):
        predictor = Predictor(coefs, intercepts, activation, link, isa=isa)
        gradients = input_gradients(predictor, X, raw_score=raw_score)
        np.testing.assert_allclose(gradients, 0, atol=1e-25)


@every_dtype
def test_saturated_probabilities(dtype):
    """p_k (1 - p_k) where p_k rounds to 1 is not 0: it is the sum of the others."""
    coefs, intercepts = [np.array([[50.0, 0.0, -1.0]], dtype=dtype)], [np.zeros(3, dtype=dtype)]
    gradients = input_gradients(Predictor(coefs, intercepts, (), "softmax"), np.ones((1, 1), dtype=dtype))
    p = np.exp([-50.0, -51.0])
    np.testing.assert_allclose(gradients[0, :, 0], [50 * p[0] + 51 * p[1], -50 * p[0], -51 * p[1]], rtol=1e-4)
    assert (input_gradients(Predictor(coefs, intercepts, (), "logistic"), np.ones((1, 1), dtype=dtype), 0) >= 0).all()


def test_an_output_that_overflows_leaves_the_others():
    coefs, intercepts = [np.array([[1.0, 800.0], [2.0, 800.0]])], [np.zeros(2)]
    gradients = input_gradients(Predictor(coefs, intercepts, (), "exp"), np.ones((1, 2)))
    np.testing.assert_allclose(gradients[0], [[np.exp(3), 2 * np.exp(3)], [np.inf, np.inf]])


# ---- along paths ----


def reference(predictor, X, baseline, nodes, weights, **kwargs):
    """The same mean from gradients at each point, in float64."""
    total = 0.0
    for node, weight in zip(nodes, weights, strict=True):
        points = (baseline + node * (X.astype(np.float64) - baseline)).astype(predictor.dtype)
        total = total + weight * input_gradients(predictor, points, **kwargs).astype(np.float64)
    step = X.astype(np.float64) - baseline
    return total * (step if total.ndim == 2 else step[:, None])


@every_isa
@every_dtype
@pytest.mark.parametrize("link, segments", [("identity", None), ("logistic", None), ("softmax", (3, 4))])
def test_mean_along_a_path(link, segments, dtype, isa):
    coefs, intercepts = parameters_for((5, 33, 7), dtype)
    predictor = Predictor(coefs, intercepts, "silu", link, segments=segments, isa=isa)
    rng = np.random.default_rng(4)
    nodes, weights = rng.random(6), rng.random(6)
    for x_dtype in DTYPES:
        X = rows_for(530, 5, x_dtype)
        for n in (1, 530):
            baseline = rows_for(n, 5, dtype, seed=5)
            for target in (None, 4, np.arange(530, dtype=np.intp) % 7):
                options = {"target": target, "raw_score": target is not None}
                expected = reference(predictor, X.astype(dtype), baseline, nodes, weights, **options)
                results = [
                    integrated_gradients(predictor, X, baseline, nodes, weights, n_threads=n_threads, **options)
                    for n_threads in (1, 2)
                ]
                assert results[0].dtype == dtype
                np.testing.assert_array_equal(bits(results[0]), bits(results[1]))
                tolerance = 8 * np.finfo(dtype).eps * abs(expected).max()
                np.testing.assert_allclose(results[0], expected, rtol=0, atol=tolerance)


def test_no_rows_along_a_path():
    predictor = Predictor(*parameters_for((3, 4, 2), np.float64), "tanh", "softmax")
    half = np.array([0.5])
    result = integrated_gradients(predictor, np.empty((0, 3)), np.zeros((1, 3)), half, half)
    assert result.shape == (0, 2, 3)


# ---- what is refused ----


@pytest.mark.parametrize("target", [-1, 3, np.array([0, 3, 0], dtype=np.intp), np.array([0, -1, 0], dtype=np.intp)])
def test_targets_out_of_range(target):
    predictor = Predictor(*parameters_for((4, 5, 3), np.float64), "tanh", "softmax")
    with pytest.raises(IndexError, match="target: from 0 to 2, got"):
        input_gradients(predictor, np.zeros((3, 4)), target)


@pytest.mark.parametrize("target", [np.zeros(2, dtype=np.intp), np.zeros(3), np.zeros((3, 1), dtype=np.intp)])
def test_targets_of_another_shape_or_dtype(target):
    predictor = Predictor(*parameters_for((4, 5, 3), np.float64), "tanh", "softmax")
    with pytest.raises(ValueError, match=r"target: shape \(3,\) of intp"):
        input_gradients(predictor, np.zeros((3, 4)), target)


def test_what_does_not_fit_a_path():
    predictor = Predictor(*parameters_for((4, 5, 3), np.float64), "tanh", "softmax")
    X, origin, half = np.zeros((3, 4)), np.zeros((1, 4)), np.array([0.5])
    with pytest.raises(ValueError, match="X has 5 features, the network 4"):
        input_gradients(predictor, np.zeros((3, 5)))
    with pytest.raises(ValueError, match="X: dense"):
        integrated_gradients(predictor, scipy.sparse.csr_array(X), origin, half, half)
    for baseline in (np.zeros((2, 4)), np.zeros(4), np.zeros((1, 3)), origin.astype(np.float32)):
        with pytest.raises(ValueError, match="baseline: shape"):
            integrated_gradients(predictor, X, baseline, half, half)
    single = half.astype(np.float32)
    for nodes, weights in ((half[:0], half[:0]), (half, np.ones(2)), (half[None], half[None]), (single, half)):
        with pytest.raises(ValueError, match="nodes, weights"):
            integrated_gradients(predictor, X, origin, nodes, weights)


def test_more_gradients_of_a_row_than_blas_counts():
    predictor = Predictor(*parameters_for((70_000, 1, 40_000), np.float32), "tanh", "softmax")
    X = np.zeros((0, 70_000), dtype=np.float32)
    with pytest.raises(ValueError, match="40000 outputs, 70000 features: at most 2147483647 in a row"):
        input_gradients(predictor, X)
    assert input_gradients(predictor, X, 39_999).shape == (0, 70_000)
