"""Whatever is wrong is refused before any work, by an error that names it; the estimator stays as it was."""

import re

import numpy as np
import pytest
from parity import N_FEATURES, N, data, pair, quietly
from scipy import sparse

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators import inputs

X, LABELS = data("multiclass")
NUMBERS = data("regression")[1]


def _with(value, at=(3, 2)):
    changed = X.copy()
    changed[at] = value
    return changed


def _csr(indices=None, indptr=None):
    matrix = sparse.csr_matrix(X)
    if indices is not None:
        matrix.indices = np.asarray(indices, dtype=np.int32)
    if indptr is not None:
        matrix.indptr = np.asarray(indptr, dtype=np.int32)
    return matrix


_GOOD = sparse.csr_matrix(X)
_FAR, _NEGATIVE = _GOOD.indices.copy(), _GOOD.indices.copy()
_FAR[5], _NEGATIVE[7] = N_FEATURES, -1
_FALLING, _LONG, _LATE = _GOOD.indptr.copy(), _GOOD.indptr.copy(), _GOOD.indptr.copy()
_FALLING[4], _LONG[-1], _LATE[0] = 1000, _GOOD.nnz + 1, 1

# estimator, parameters, X, y, keywords of fit, a part of the message
CASES = {
    "layer of 0": (MLPClassifier, {"hidden_layer_sizes": 0}, X, LABELS, {}, "hidden_layer_sizes.*Got 0"),
    "layer of 0 among others": (MLPClassifier, {"hidden_layer_sizes": (5, 0)}, X, LABELS, {}, "> 0, got (5, 0)"),
    "layer of -3": (MLPRegressor, {"hidden_layer_sizes": [-3]}, X, NUMBERS, {}, "hidden_layer_sizes.*> 0, got [-3]"),
    "layer of 2.5": (MLPRegressor, {"hidden_layer_sizes": (2.5,)}, X, NUMBERS, {}, "hidden_layer_sizes.*(2.5,)"),
    "layer of 2.5, scalar": (MLPRegressor, {"hidden_layer_sizes": 2.5}, X, NUMBERS, {}, "hidden_layer_sizes.*2.5"),
    "layer that is bool": (MLPRegressor, {"hidden_layer_sizes": (True,)}, X, NUMBERS, {}, "integers > 0, got (True,)"),
    "layers in layers": (MLPRegressor, {"hidden_layer_sizes": [[3], [4, 5]]}, X, NUMBERS, {}, "hidden_layer_sizes"),
    "layers by name": (MLPRegressor, {"hidden_layer_sizes": "100"}, X, NUMBERS, {}, "hidden_layer_sizes"),
    "layer of 10**12": (MLPClassifier, {"hidden_layer_sizes": 10**12}, X, LABELS, {}, "(1000000000000,).*GiB"),
    "layers whose product is too large": (
        MLPClassifier,
        {"hidden_layer_sizes": (10**7, 10**7)},
        X,
        LABELS,
        {},
        "hidden_layer_sizes.*GiB",
    ),
    "activation": (MLPClassifier, {"activation": "sine"}, X, LABELS, {}, "activation.*'relu'.*Got 'sine'"),
    "solver": (MLPClassifier, {"solver": "adamax"}, X, LABELS, {}, "solver.*'adam'.*Got 'adamax'"),
    "loss": (MLPRegressor, {"loss": "log_loss"}, X, NUMBERS, {}, "loss.*'squared_error'.*Got 'log_loss'"),
    "alpha": (MLPRegressor, {"alpha": -1}, X, NUMBERS, {}, "alpha.*Got -1"),
    "alpha of NaN": (MLPRegressor, {"alpha": np.nan}, X, NUMBERS, {}, "alpha.*Got nan"),
    "batch_size": (MLPRegressor, {"batch_size": 0}, X, NUMBERS, {}, "batch_size.*Got 0"),
    "no validation rows": (
        MLPRegressor,
        {"early_stopping": True, "validation_fraction": 0.0},
        X,
        NUMBERS,
        {},
        "validation_fraction must be in (0, 1)",
    ),
    "one validation row": (
        MLPRegressor,
        {"early_stopping": True, "validation_fraction": 0.01},
        X,
        NUMBERS,
        {},
        "The validation set is too small",
    ),
    "NaN in X": (MLPClassifier, {}, _with(np.nan), LABELS, {}, "Input X contains NaN"),
    "inf in X": (MLPClassifier, {}, _with(np.inf), LABELS, {}, "Input X contains infinity"),
    "NaN in CSR": (MLPClassifier, {}, sparse.csr_matrix(_with(np.nan)), LABELS, {}, "Input X contains NaN"),
    "X of one dimension": (MLPClassifier, {}, X[:, 0], LABELS, {}, "Expected 2D array, got 1D"),
    "X of three dimensions": (MLPClassifier, {}, X[:, None], LABELS, {}, "Found array with dim 3"),
    "X of no rows": (MLPClassifier, {}, X[:0], LABELS[:0], {}, "0 sample(s)"),
    "X of no columns": (MLPClassifier, {}, X[:, :0], LABELS, {}, "0 feature(s)"),
    "complex X": (MLPClassifier, {}, X * 1j, LABELS, {}, "Complex data not supported"),
    "words in X": (MLPClassifier, {}, X.astype(str).astype(object) + "x", LABELS, {}, "could not convert string"),
    "rows of X and y": (MLPClassifier, {}, X[:-1], LABELS, {}, "inconsistent numbers of samples"),
    "NaN in y": (MLPRegressor, {}, X, np.where(np.arange(N) == 5, np.nan, NUMBERS), {}, "y contains NaN"),
    "continuous labels": (MLPClassifier, {}, X, NUMBERS, {}, "Unknown label type"),
    "sparse numbers": (MLPRegressor, {}, X, sparse.csr_matrix(np.c_[NUMBERS, NUMBERS]), {}, "y must be dense"),
    "Poisson below zero": (MLPRegressor, {"loss": "poisson"}, X, NUMBERS, {}, "loss='poisson' needs y >= 0, got -"),
    "Tweedie below zero": (MLPRegressor, {"loss": "tweedie"}, X, NUMBERS, {}, "loss='tweedie' needs y >= 0, got -"),
    "gamma of zero": (MLPRegressor, {"loss": "gamma"}, X, 0 * NUMBERS, {}, "loss='gamma' needs y > 0, got "),
    "loss of classes": (MLPRegressor, {"loss": "binary_hinge"}, X, NUMBERS, {}, "loss.*'huber'.*Got 'binary_hinge'"),
    "y beyond float32": (
        MLPRegressor,
        {},
        X.astype(np.float32),
        NUMBERS * 1e300,
        {},
        "y has values beyond float32",
    ),
    "negative weight": (
        MLPClassifier,
        {},
        X,
        LABELS,
        {"sample_weight": np.where(np.arange(N) == 3, -0.5, 1.0)},
        "sample_weight must be >= 0, got -0.5",
    ),
    "weights all zero": (MLPClassifier, {}, X, LABELS, {"sample_weight": np.zeros(N)}, "zero"),
    "NaN in weights": (MLPClassifier, {}, X, LABELS, {"sample_weight": np.full(N, np.nan)}, "weight.*NaN"),
    "scalar weight of NaN": (MLPClassifier, {}, X, LABELS, {"sample_weight": np.nan}, "sample_weight.*sum is nan"),
    "too few weights": (MLPClassifier, {}, X, LABELS, {"sample_weight": np.ones(3)}, "sample_weight.shape"),
    "weights of two dimensions": (MLPClassifier, {}, X, LABELS, {"sample_weight": np.ones((N, 1))}, "1D array"),
    "column out of bounds": (MLPClassifier, {}, _csr(_FAR), LABELS, {}, "column indices must lie in [0, 11)"),
    "column below zero": (MLPClassifier, {}, _csr(_NEGATIVE), LABELS, {}, "column indices must lie in [0, 11)"),
    "rows that overlap": (MLPClassifier, {}, _csr(indptr=_FALLING), LABELS, {}, "indptr must rise"),
    "rows past the end": (MLPClassifier, {}, _csr(indptr=_LONG), LABELS, {}, "indptr must rise"),
    "rows after the start": (MLPClassifier, {}, _csr(indptr=_LATE), LABELS, {}, "indptr must rise"),
}


def _pattern(message):
    """Literal text but for '.*'."""
    return ".*".join(map(re.escape, message.split(".*")))


@pytest.mark.parametrize("name", CASES)
def test_fit_refuses(name):
    kind, params, bad_X, bad_y, keywords, message = CASES[name]
    model = kind(**params)
    with pytest.raises((ValueError, TypeError), match=_pattern(message)):
        model.fit(bad_X, bad_y, **keywords)
    assert vars(model) == vars(kind(**params))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_layers_beyond_the_integers_of_blas(solver, monkeypatch):
    monkeypatch.setattr(inputs, "physical_memory", lambda: 2**60)
    with pytest.raises(ValueError, match=re.escape("hidden_layer_sizes=(2147483648,)") + ".*at most 2147483647"):
        MLPClassifier(2**31, solver=solver).fit(X, LABELS)


def test_the_memory_that_is_too_much_counts_the_arrays_of_the_solver(monkeypatch):
    # 11 -> 100 -> 1: 1301 parameters of 8 bytes, with adam's moments three arrays, for lbfgs 23
    for solver, n_arrays in (("adam", 3), ("sgd", 2), ("lbfgs", 23)):
        model = MLPRegressor(solver=solver, max_iter=1)
        monkeypatch.setattr(inputs, "physical_memory", lambda n=n_arrays: 1301 * 8 * n)
        quietly(model.fit, X, NUMBERS)
        monkeypatch.setattr(inputs, "physical_memory", lambda n=n_arrays: 1301 * 8 * n - 1)
        with pytest.raises(ValueError, match="1301 parameters"):
            model.fit(X, NUMBERS)


def _fitted(target="multiclass"):
    X, y = data(target)
    kind = MLPRegressor if target in ("regression", "multi-output") else MLPClassifier
    return quietly(kind(hidden_layer_sizes=(5,), max_iter=2, random_state=0).fit, X, y)


@pytest.mark.parametrize(
    "target, bad_y, message",
    [
        ("multiclass", np.full(N, 40), "`y` has classes not in `self.classes_`"),
        ("multiclass", np.full(N, "ten"), "`y` has classes not in `self.classes_`"),
        ("multiclass", np.eye(3, dtype=int)[np.arange(N) % 3], "does not go on from the multiclass targets"),
        ("binary", np.arange(N) % 2, "`y` has classes not in `self.classes_`"),
        ("multilabel", np.ones((N, 4), dtype=int), "`y` has classes not in `self.classes_`"),
        ("multilabel", np.ones((N, 2), dtype=int), "`y` has classes not in `self.classes_`"),
        ("multilabel", np.arange(N) % 3, "does not go on from the multilabel"),
        ("multi-output", np.ones((N, 2)), "does not go on from coefs_ of shapes"),
        ("regression", np.ones((N, 2)), "does not go on from coefs_ of shapes"),
    ],
)
def test_partial_fit_refuses_targets_of_another_kind(target, bad_y, message):
    with pytest.raises(ValueError, match=message):
        _fitted(target).partial_fit(X, bad_y)


def test_partial_fit_refuses_classes_that_are_missing_or_changed():
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        MLPClassifier().partial_fit(X, LABELS)
    with pytest.raises(ValueError, match="is not the same as on last call"):
        _fitted().partial_fit(X, LABELS, classes=[10, 20])
    with pytest.raises(ValueError, match="`y` has classes not in `self.classes_`"):
        MLPClassifier().partial_fit(X, LABELS, classes=[10, 20])


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_partial_fit_is_not_there_with_lbfgs(kind):
    model = kind(solver="lbfgs")
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'"):
        model.partial_fit(X, LABELS)
    assert hasattr(model.set_params(solver="sgd"), "partial_fit")


@pytest.mark.parametrize("bad_X", [_with(np.nan), _with(-np.inf), X[:, :-1], X[0], X[:0], X.astype(np.float32)[:, 1:]])
@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
def test_prediction_refuses_with_the_words_of_scikit_learn(bad_X, method):
    messages = []
    for model in pair("multiclass", hidden_layer_sizes=(5,), max_iter=2):
        quietly(model.fit, X, LABELS)
        with pytest.raises(ValueError) as refusal:
            getattr(model, method)(bad_X)
        messages.append(str(refusal.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("matrix", [_csr(_FAR), _csr(_NEGATIVE), _csr(indptr=_FALLING), _csr(indptr=_LONG)])
def test_prediction_refuses_malformed_csr(matrix):
    with pytest.raises(ValueError, match="X is not a valid CSR matrix"):
        _fitted().predict(matrix)


@pytest.mark.parametrize("model", [MLPClassifier(), MLPRegressor()])
def test_prediction_before_fit(model):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError, match="is not fitted yet"):
        model.predict(X)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda m: m.coefs_.pop(), "one entry per layer, got 1 and 2"),
        (lambda m: m.coefs_.reverse(), r"intercepts_\[0\] must be of shape \(3,\), got \(5,\)"),
        (
            lambda m: (m.coefs_.reverse(), m.intercepts_.reverse()),
            r"coefs_\[1\] must be of shape \(3, fan_out\), got \(11, 5\)",
        ),
        (lambda m: m.coefs_.__setitem__(0, np.ones((7, 5))), r"coefs_\[0\] must be of shape \(11, fan_out\)"),
        (lambda m: m.coefs_.__setitem__(0, np.ones(55)), r"coefs_\[0\] must be of shape"),
        (lambda m: m.intercepts_.__setitem__(1, np.ones(4)), r"intercepts_\[1\] must be of shape \(3,\), got \(4,\)"),
    ],
)
def test_parameters_assigned_in_shapes_of_no_network(change, message):
    model = _fitted()
    change(model)
    with pytest.raises(ValueError, match=message):
        model.predict(X)
    with pytest.raises(ValueError, match=message if "11, fan_out" not in message else "does not go on"):
        model.partial_fit(X, LABELS)


def test_a_warm_start_refuses_other_layers():
    model = _fitted().set_params(warm_start=True, hidden_layer_sizes=(6,))
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(6,\).*does not go on from coefs_ of shapes"):
        model.fit(X, LABELS)


def test_validation_rows_of_no_weight():
    # the split draws from this stream: find the rows it sets aside and take their weight
    from sklearn.model_selection import train_test_split

    state = np.random.RandomState(0)
    for fan_in, fan_out in ((N_FEATURES, 3), (3, 1)):
        state.uniform(size=(fan_in, fan_out)), state.uniform(size=fan_out)
    _, held_out = train_test_split(np.arange(N), test_size=0.1, random_state=state)
    sample_weight = np.ones(N)
    sample_weight[held_out] = 0
    model = MLPRegressor(hidden_layer_sizes=3, early_stopping=True, random_state=0)
    with pytest.raises(ValueError, match="sample_weight or class_weight is zero on all rows of the validation set"):
        model.fit(X, NUMBERS, sample_weight=sample_weight)


def test_early_stopping_names_partial_fit():
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        MLPRegressor(early_stopping=True).partial_fit(X, NUMBERS)
