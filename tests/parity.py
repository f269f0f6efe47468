"""Data and comparisons with scikit-learn's own estimators, shared by the tests of this folder."""

import warnings

import numpy as np
from scipy import sparse
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning

import fastmlp

N, N_FEATURES = 90, 11
REGRESSION = ("regression", "multi-output", "poisson", "poisson multi-output")
TARGETS = ("binary", "multiclass", "multilabel", *REGRESSION)


def data(target="multiclass", kind="dense", seed=0, n=N):
    """X with some zeros, and y of the given kind."""
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((n, N_FEATURES)) * (rng.uniform(size=(n, N_FEATURES)) < 0.7)
    Z = X @ rng.standard_normal((N_FEATURES, 3)) + 0.5 * rng.standard_normal((n, 3))
    y = {
        "binary": lambda: np.array([-1, 4])[(Z[:, 0] > 0).astype(int)],
        "multiclass": lambda: np.array([10, 20, 30])[Z.argmax(axis=1)],
        "multilabel": lambda: (Z > 0.3).astype(int),
        "regression": lambda: Z[:, 0] / 3,
        "multi-output": lambda: Z / 3,
        "poisson": lambda: rng.poisson(np.exp(Z[:, 0] / 5)),
        "poisson multi-output": lambda: rng.poisson(np.exp(Z / 5)),
    }[target]()
    return (sparse.csr_matrix(X) if kind == "csr" else X), y


def weights(n=N, seed=1):
    return np.random.RandomState(seed).uniform(0.1, 3, n)


def pair(target, **params):
    """Our estimator and scikit-learn's, for the kind of target."""
    name = "MLPRegressor" if target in REGRESSION else "MLPClassifier"
    if target.startswith("poisson"):
        params["loss"] = "poisson"
    return getattr(fastmlp, name)(**params), getattr(neural_network, name)(**params)


def quietly(method, *args, **kwargs):
    """Call without warnings about convergence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return method(*args, **kwargs)


def distance(a, b):
    """Norm of the difference over the norm."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    assert a.shape == b.shape
    norm = np.linalg.norm(b)
    return np.linalg.norm(a - b) / norm if norm > 0 else np.linalg.norm(a)


def assert_same_model(ours, theirs, X, tol=1e-6):
    """Every fitted array within `tol` in norm, every counter exactly, the same attributes, the same predictions."""
    own = {"learning_rate_curve_"}  # the one attribute that these fits have beyond scikit-learn's
    names, expected = ({name for name in vars(model) if name.endswith("_")} - own for model in (ours, theirs))
    assert names == expected
    if hasattr(ours, "learning_rate_curve_"):
        assert len(ours.learning_rate_curve_) == len(ours.loss_curve_)
    assert (ours.n_iter_, ours.t_, ours.n_layers_) == (theirs.n_iter_, theirs.t_, theirs.n_layers_)
    assert (ours.n_outputs_, ours.out_activation_) == (theirs.n_outputs_, theirs.out_activation_)
    for name in ("coefs_", "intercepts_"):
        for i, (a, b) in enumerate(zip(getattr(ours, name), getattr(theirs, name), strict=True)):
            assert a.dtype == b.dtype and a.flags.c_contiguous
            assert distance(a, b) < tol, (name, i)
    for name in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_", "loss_"):
        expected = getattr(theirs, name, None)
        if expected is None:
            assert getattr(ours, name, None) is None, name
        else:
            assert distance(getattr(ours, name), expected) < tol, name
    if hasattr(theirs, "_no_improvement_count"):
        assert ours._no_improvement_count == theirs._no_improvement_count
    if hasattr(theirs, "_optimizer"):
        assert np.isclose(ours._optimizer.learning_rate, theirs._optimizer.learning_rate, rtol=1e-12)
    if hasattr(theirs, "classes_"):
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        assert ours.predict(X).dtype == theirs.predict(X).dtype
        assert distance(ours.predict_proba(X), theirs.predict_proba(X)) < tol
        with np.errstate(divide="ignore"):  # scikit-learn's warning; ours is silent
            logs = theirs.predict_log_proba(X)
        assert distance(np.maximum(ours.predict_log_proba(X), -30), np.maximum(logs, -30)) < tol
    else:
        assert distance(ours.predict(X), theirs.predict(X)) < tol
        assert ours.predict(X).shape == theirs.predict(X).shape
