"""Perceptron against scikit-learn's own, number by number."""

import contextlib
import io
import itertools
import pickle
import re
import signal
import time
import warnings
from unittest import SkipTest

import numpy as np
import pytest
import sklearn
from parity import quietly, weights
from scipy import sparse
from sklearn import linear_model
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator
from sklearn.utils.fixes import parse_version

from fastmlp import Perceptron

# Up to 1.7 scikit-learn's tol watches the loss without the penalty
WATCHES_PENALTY = parse_version(sklearn.__version__) >= parse_version("1.8.0")

PENALTIES = [None, "l2", "l1", "elasticnet"]
FORMS = {
    "dense": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "csr": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "unsorted": lambda X: sparse.csr_matrix(X)[:, np.random.RandomState(0).permutation(X.shape[1])],
}


def data(name="multiclass", form="dense", dtype=np.float64):
    """Small sets of which no class but one can be separated."""
    if name in ("multiclass", "binary"):
        rng = np.random.RandomState(5)
        X = rng.standard_normal((91, 13)) * (rng.uniform(size=(91, 13)) < 0.6)
        Z = X @ rng.standard_normal((13, 3)) + rng.standard_normal((91, 3))
        y = np.array(["b", "a", "c"])[Z.argmax(axis=1)] if name == "multiclass" else np.where(Z[:, 0] > 0, 4, -1)
    else:
        load = {"iris": load_iris, "wine": load_wine, "cancer": load_breast_cancer, "digits": load_digits}[name]
        X, y = load(return_X_y=True)
    return FORMS[form](X.astype(dtype)), y


def pair(**params):
    if params.get("penalty") is not None and not WATCHES_PENALTY:
        params["tol"] = None
        params.setdefault("max_iter", 20)
    return Perceptron(**params), linear_model.Perceptron(**params)


def assert_same(ours, theirs, X):
    """Every fitted attribute and every answer, bit for bit."""
    public = {name for name in vars(theirs) if name.endswith("_") and not name.startswith("_")}
    assert public == {name for name in vars(ours) if name.endswith("_")}
    for name in ("coef_", "intercept_", "classes_"):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert a.dtype == b.dtype and a.shape == b.shape, name
        np.testing.assert_array_equal(a, b)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    assert (type(ours.n_iter_), type(ours.t_)) == (type(theirs.n_iter_), type(theirs.t_))
    for method in ("decision_function", "predict"):
        a, b = getattr(ours, method)(X), getattr(theirs, method)(X)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def fit_both(X, y, fit=None, **params):
    ours, theirs = pair(**params)
    for model in (ours, theirs):
        quietly(model.fit, X, y, **(fit or {}))
    assert_same(ours, theirs, X)
    return ours, theirs


# ---- results ----


@pytest.mark.parametrize("name", ["iris", "wine", "cancer", "digits"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_real_data(name, penalty, dtype):
    X, y = data(name, dtype=dtype)
    ours, _ = fit_both(X, y, penalty=penalty, random_state=1)
    assert ours.score(X, y) == np.mean(ours.predict(X) == y)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["binary", "multiclass"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_forms_of_the_data(form, dtype, name, penalty):
    fit_both(*data(name, form, dtype), penalty=penalty, alpha=0.01, max_iter=15)


@pytest.mark.parametrize(
    "penalty, alpha, l1_ratio",
    [
        *itertools.product(["l2", "l1", "elasticnet"], [0.0, 1e-6, 0.1, 1.0], [0.15]),
        ("elasticnet", 0.01, 0.0),
        ("elasticnet", 0.01, 1.0),
        ("l2", 0.01, 0.9),
        (None, 3.0, 0.5),
    ],
)
@pytest.mark.parametrize("form", ["dense", "csr"])
def test_penalties(penalty, alpha, l1_ratio, form):
    X, y = data(form=form)
    fit_both(X, y, penalty=penalty, alpha=alpha, l1_ratio=l1_ratio, max_iter=30)


@pytest.mark.parametrize(
    "params",
    [
        {"fit_intercept": False},
        {"max_iter": 1},
        {"max_iter": 7},
        {"tol": None, "max_iter": 25},
        {"tol": 0.0},
        {"tol": 0.5},
        {"shuffle": False},
        {"eta0": 0.37},
        {"eta0": 1e3},
        {"random_state": 2**32 - 1},
        {"random_state": None},
        {"n_iter_no_change": 1},
        {"n_iter_no_change": 30},
        {"n_jobs": 2},
        {"n_jobs": -1},
        {"class_weight": "balanced"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["binary", "multiclass"])
def test_parameters(params, name):
    X, y = data(name)
    models = pair(**params)
    for model in models:
        np.random.seed(3)  # for random_state=None
        quietly(model.fit, X, y)
    assert_same(*models, X)


@pytest.mark.parametrize("name", ["binary", "multiclass"])
def test_class_weights_by_label(name):
    X, y = data(name, dtype=np.float32)
    labels = np.unique(y).tolist()
    fit_both(X, y, class_weight={labels[0]: 0.3, labels[-1]: 2.7})


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["binary", "multiclass"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("fraction", [0.1, 0.35])
def test_early_stopping(form, dtype, name, penalty, fraction):
    X, y = data(name, form, dtype)
    params = {"early_stopping": True, "validation_fraction": fraction, "penalty": penalty, "alpha": 0.01}
    fit_both(X, y, fit={"sample_weight": weights(91)}, tol=1e-3, n_iter_no_change=3, random_state=4, **params)


def test_early_stopping_on_one_row():
    """Of rows of one class, which a later `partial_fit` may have, one is enough."""
    X, y = data("binary")
    ours, theirs = pair(random_state=2)
    of_one_class = np.flatnonzero(y == y[0])[:5]
    for model in (ours, theirs):
        model.partial_fit(X, y, classes=np.unique(y))
        model.set_params(early_stopping=True, validation_fraction=0.2).partial_fit(X[of_one_class], y[of_one_class])
    assert_same(ours, theirs, X)


@pytest.mark.parametrize("name", ["binary", "multiclass"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_random_state_is_drawn_from_alike(name, early_stopping):
    X, y = data(name)
    models = pair(early_stopping=early_stopping)
    states = [np.random.RandomState(9), np.random.RandomState(9)]
    for model, state in zip(models, states, strict=True):
        model.set_params(random_state=state)
        for _ in range(2):
            quietly(model.fit, X, y)
    assert_same(*models, X)
    assert states[0].randint(10**9) == states[1].randint(10**9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["binary", "multiclass"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_sample_weights(dtype, name, class_weight):
    X, y = data(name, dtype=dtype)
    given = weights(91)
    given[::5] = 0
    given[3] = -0.5  # which scikit-learn takes
    fit_both(X, y, fit={"sample_weight": given}, class_weight=class_weight, penalty="l2")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name, shape", [("binary", (13,)), ("binary", (1, 13)), ("multiclass", (3, 13))])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_initial_weights(dtype, name, shape, penalty):
    X, y = data(name, dtype=dtype)
    rng = np.random.RandomState(2)
    coef, intercept = rng.standard_normal(shape), rng.standard_normal(1 if name == "binary" else 3)
    before = coef.copy(), intercept.copy()
    models = pair(penalty=penalty, max_iter=3)
    for model in models:  # scikit-learn trains the caller's arrays
        quietly(model.fit, X, y, coef_init=coef.copy(), intercept_init=intercept.copy())
    assert_same(*models, X)
    quietly(Perceptron(max_iter=3).fit, X, y, coef_init=coef, intercept_init=intercept)
    assert np.array_equal(coef, before[0]) and np.array_equal(intercept, before[1])


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["binary", "multiclass"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_partial_fits(form, dtype, name, penalty):
    X, y = data(name, form, dtype)
    models = pair(penalty=penalty, alpha=0.01, eta0=0.1)
    for batch in (slice(0, 40), slice(40, 80), slice(20, 91), slice(0, 3)):
        for model in models:
            model.partial_fit(X[batch], y[batch], classes=np.unique(y), sample_weight=weights(91)[batch])
        assert_same(*models, X)
    for model in models:  # and what comes before and after them
        quietly(model.fit, X, y)
        model.partial_fit(X, y)
    assert_same(*models, X)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["binary", "multiclass"])
def test_warm_starts(dtype, name):
    X, y = data(name, dtype=dtype)
    models = pair(warm_start=True, max_iter=3, eta0=0.3)
    for seed in range(3):
        for model in models:
            quietly(model.set_params(random_state=seed).fit, X, y)
        assert_same(*models, X)
    cold = quietly(Perceptron(max_iter=3, eta0=0.3, random_state=2).fit, X, y)
    assert not np.array_equal(cold.coef_, models[0].coef_)


def test_n_jobs_changes_nothing():
    X, y = data("digits")
    alone, together = (quietly(Perceptron(n_jobs=n_jobs, early_stopping=True).fit, X, y) for n_jobs in (1, 3))
    np.testing.assert_array_equal(alone.coef_, together.coef_)


@pytest.mark.skipif(not WATCHES_PENALTY, reason="prints no objective before 1.8")
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("penalty", [None, "elasticnet"])
@pytest.mark.parametrize("form", ["dense", "csr"])
def test_verbose(early_stopping, penalty, form):
    X, y = data("binary", form)
    printed = []
    for model in pair(verbose=1, early_stopping=early_stopping, penalty=penalty):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            quietly(model.fit, X, y)
        printed.append(re.sub(r"[\d.]+ seconds", "", out.getvalue()))
    assert printed[0] == printed[1]
    assert "Convergence after" in printed[0]


# ---- scikit-learn's ways ----


def _checks():
    for _, check in estimator_checks_generator(Perceptron(), mark=None):
        label = getattr(check, "func", check).__name__
        yield pytest.param(label, check, id=f"{label}-{'-'.join(map(str, getattr(check, 'keywords', {}).values()))}")


@pytest.fixture(scope="module")
def failed_by_theirs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(linear_model.Perceptron(), on_fail=None, on_skip=None)
    return {result["check_name"] for result in results if result["status"] == "failed"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("label, check", list(_checks()))
def test_check(label, check, failed_by_theirs):
    try:
        check(Perceptron())
    except SkipTest:
        raise
    except Exception:
        if label not in failed_by_theirs:
            raise


def test_parameters_are_scikit_learns():
    assert Perceptron().get_params() == linear_model.Perceptron().get_params()
    assert clone(Perceptron(alpha=0.5)).get_params() == linear_model.Perceptron(alpha=0.5).get_params()
    with pytest.raises(TypeError):
        Perceptron("l2")


def test_pickles():
    X, y = data()
    model = quietly(Perceptron(penalty="l1").fit, X, y)
    again = pickle.loads(pickle.dumps(model))
    assert_same(again, model, X)
    again.partial_fit(X, y)
    model.partial_fit(X, y)
    assert_same(again, model, X)


def test_sparse_weights():
    X, y = data()
    model = quietly(Perceptron(penalty="l1", alpha=0.1).fit, X, y)
    coef, scores = model.coef_, model.decision_function(X)
    assert sparse.issparse(model.sparsify().coef_) and model.coef_.nnz < coef.size
    np.testing.assert_allclose(model.decision_function(X), scores, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="coef_ is sparse: call densify"):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(model.densify().coef_, coef)
    model.partial_fit(X, y)


def test_data_of_another_precision_go_on():
    X, y = data()
    model = Perceptron().partial_fit(X.astype(np.float32), y, classes=np.unique(y))
    assert model.coef_.dtype == np.float32
    expected = linear_model.Perceptron().partial_fit(X, y, classes=np.unique(y))
    expected.coef_, expected.intercept_ = model.coef_.astype(float), model.intercept_.astype(float)
    expected.partial_fit(X, y)
    assert_same(model.partial_fit(X, y), expected, X)


def test_data_are_not_changed_or_copied():
    X, y = data()
    X.flags.writeable = False
    ours, theirs = pair()
    quietly(ours.fit, X, y)
    assert_same(ours, quietly(theirs.fit, X, y), X)


def test_metadata_routing():
    X, y = data()
    given = weights(91)
    with sklearn.config_context(enable_metadata_routing=True):
        model = Perceptron().set_fit_request(sample_weight=True, coef_init=False).set_score_request(sample_weight=True)
        model.set_partial_fit_request(classes=True, sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = quietly(make_pipeline(scaler, model).fit, X, y, sample_weight=given)
    scaled = StandardScaler().fit_transform(X)
    expected = quietly(Perceptron().fit, scaled, y, sample_weight=given)
    np.testing.assert_array_equal(routed[-1].coef_, expected.coef_)


def test_names_of_features():
    pandas = pytest.importorskip("pandas")
    X, y = data("iris")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    ours, theirs = fit_both(frame, y)
    assert ours.feature_names_in_.tolist() == theirs.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        ours.predict(frame[["d", "c", "b", "a"]])


# ---- warnings and errors ----


def test_too_few_epochs_warn():
    X, y = data()
    messages = []
    for model in (Perceptron(max_iter=2), linear_model.Perceptron(max_iter=2)):
        with pytest.warns(ConvergenceWarning) as caught:
            model.fit(X, y)
        messages.append(str(caught[0].message))
    assert messages[0] == messages[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Perceptron(max_iter=2, tol=None).fit(X, y)
        Perceptron(max_iter=2).partial_fit(X, y, classes=np.unique(y))
    with warnings.catch_warnings():  # as an error it leaves the model fitted
        warnings.simplefilter("error")
        model = Perceptron(max_iter=2)
        with pytest.raises(ConvergenceWarning):
            model.fit(X, y)
        assert model.coef_.shape == (3, 13)


X13, Y3 = data()


@pytest.mark.parametrize(
    "params, call",
    [
        ({"penalty": "l3"}, lambda m: m.fit(X13, Y3)),
        ({"alpha": -1.0}, lambda m: m.fit(X13, Y3)),
        ({"l1_ratio": 1.1}, lambda m: m.fit(X13, Y3)),
        ({"max_iter": 0}, lambda m: m.fit(X13, Y3)),
        ({"tol": -0.1}, lambda m: m.fit(X13, Y3)),
        ({"n_iter_no_change": 0}, lambda m: m.fit(X13, Y3)),
        ({"validation_fraction": 1.0}, lambda m: m.fit(X13, Y3)),
        ({"class_weight": "even"}, lambda m: m.fit(X13, Y3)),
        ({"class_weight": {"z": 2}}, lambda m: m.fit(X13, Y3)),
        ({}, lambda m: m.fit(X13, np.ones(91))),
        ({}, lambda m: m.fit(X13, np.linspace(0, 1, 91))),
        ({}, lambda m: m.fit(X13, None)),
        ({}, lambda m: m.fit(X13, Y3[:5])),
        ({}, lambda m: m.fit(np.where(X13 > 0, np.nan, X13), Y3)),
        ({}, lambda m: m.fit(X13, Y3, sample_weight=np.ones(5))),
        ({}, lambda m: m.partial_fit(X13, Y3)),
        ({"early_stopping": True}, lambda m: m.partial_fit(X13, Y3, classes=np.unique(Y3))),
        ({"class_weight": "balanced"}, lambda m: m.partial_fit(X13, Y3, classes=np.unique(Y3))),
        ({}, lambda m: m.partial_fit(X13, Y3, classes=np.unique(Y3)).partial_fit(X13, Y3, classes=["a", "b"])),
        ({}, lambda m: m.partial_fit(X13, Y3, classes=np.unique(Y3)).partial_fit(X13[:, :4], Y3)),
        ({"early_stopping": True}, lambda m: m.fit(X13[:20], Y3[:20])),
        ({"early_stopping": True}, lambda m: m.fit(X13, Y3, sample_weight=[1.0] + [0.0] * 90)),
        ({"eta0": 1e300}, lambda m: m.fit(X13 * 1e10, Y3)),
        ({"eta0": 1e38}, lambda m: m.fit((X13 * 1e5).astype(np.float32), Y3)),
        ({}, lambda m: m.predict(X13)),
        ({}, lambda m: m.densify()),
    ],
)
def test_errors_are_scikit_learns(params, call):
    said = []
    for model in (Perceptron(**params), linear_model.Perceptron(**params)):
        with pytest.raises((ValueError, TypeError)) as caught:
            call(model)
        # sets of names are listed in any order
        said.append((caught.type, sorted(re.findall(r"[\w.]+", str(caught.value)))))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "fit, message",
    [
        ({"coef_init": np.zeros((3, 12))}, r"coef_init .* shape \(3, 13\), got \(3, 12\)"),
        ({"coef_init": np.zeros(13)}, r"coef_init .* shape \(3, 13\), got \(13,\)"),
        ({"intercept_init": np.zeros(2)}, r"intercept_init .* shape \(3,\), got \(2,\)"),
        ({"intercept_init": 0.0}, r"intercept_init .* shape \(3,\), got \(\)"),
        ({"sample_weight": np.zeros(91)}, "Sample weights must contain at least one non-zero number"),
    ],
)
def test_other_errors(fit, message):
    with pytest.raises(ValueError, match=message):
        Perceptron().fit(X13, Y3, **fit)


@pytest.mark.parametrize("eta0", [0, -1.0, "fast"])
def test_learning_rates_that_are_refused(eta0):
    with pytest.raises(ValueError, match=r"'eta0' parameter of Perceptron must be a float in the range \(0.0, inf\)"):
        Perceptron(eta0=eta0).fit(X13, Y3)


def test_a_matrix_that_is_inconsistent_is_refused():
    X = sparse.csr_matrix(X13)
    X.indices[5] = 99
    with pytest.raises(ValueError, match="not a valid CSR matrix"):
        Perceptron().fit(X, Y3)


def test_errors_leave_the_model_as_it_was():
    model = quietly(Perceptron(warm_start=True).fit, X13, Y3)
    before = {name: np.copy(value) for name, value in vars(model).items()}
    for call in (
        lambda: model.fit(X13, np.ones(91)),
        lambda: model.fit(X13[:, :3], Y3),
        lambda: model.fit(X13, Y3, sample_weight=np.full(91, 1e308)),
        lambda: model.partial_fit(X13, Y3, sample_weight=np.full(91, 1e308)),
    ):
        with pytest.raises(ValueError):
            call()
        assert before.keys() == vars(model).keys()
        for name, value in before.items():
            np.testing.assert_array_equal(getattr(model, name), value)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupt_ends_the_fit(n_jobs):
    def time_out(signum, frame):
        raise TimeoutError

    X, y = data("digits")
    model = quietly(Perceptron(n_jobs=n_jobs).fit, X, y)
    coef = model.coef_.copy()
    model.set_params(tol=None, max_iter=10**7)
    handler = signal.signal(signal.SIGALRM, time_out)
    began = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(TimeoutError):
            model.fit(X, y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert time.monotonic() - began < 60
    np.testing.assert_array_equal(model.coef_, coef)
    np.testing.assert_array_equal(model.classes_, np.arange(10))
