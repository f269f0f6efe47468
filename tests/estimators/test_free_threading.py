"""Estimators in the hands of several threads, with and without Python's global lock: the bits are those of one thread.

A free-threaded Python runs these threads at once, any other by turns.
"""

import copy
import pickle
import subprocess
import sys
import sysconfig
from importlib.util import find_spec

import numpy as np
import pytest
from parity import data, quietly
from sklearn.base import clone
from together import in_threads

import fastmlp
from fastmlp import (
    ConvClassifier,
    MLPClassifier,
    MLPRegressor,
    Perceptron,
    RecurrentClassifier,
    TabularMLPClassifier,
    TabularMLPRegressor,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, LABELS = data("multiclass")
VALUES = data("regression")[1]
SMALL = {"hidden_layer_sizes": (6, 4), "max_iter": 5, "random_state": 0}
TABLES = {"recipe": {"hidden_layer_sizes": (8,)}, "max_iter": 3, "n_members": 2, "random_state": 0}
SERIES = X[:, :10].reshape(len(X), 2, 5)
ROWS = [[*row[:3], f"level {int(row[3] > 0)}", None if row[4] < -1 else row[4]] for row in X.tolist()]

MODELS = {
    "adam": (MLPClassifier(**SMALL), X, LABELS),
    "float32": (MLPClassifier(**SMALL, early_stopping=True), X.astype(np.float32), LABELS),
    "lbfgs": (MLPRegressor(**SMALL, solver="lbfgs"), X, VALUES),
    "sgd": (MLPRegressor(**SMALL, solver="sgd", dropout=0.25), X, VALUES),
    "windows": (ConvClassifier([("conv", 4, 3), ("dense", 5)], max_iter=3, random_state=0), SERIES, LABELS),
    "sequences": (RecurrentClassifier(5, max_iter=3, random_state=0), SERIES, LABELS),
    "perceptron": (Perceptron(random_state=0, max_iter=5), X, LABELS),
    "classes of a table": (TabularMLPClassifier(**TABLES), ROWS, LABELS),
    "values of a table": (TabularMLPRegressor(**TABLES), ROWS, VALUES),
}
every_model = pytest.mark.parametrize("name", MODELS)


def outputs_of(model, rows):
    """All that a model says of rows."""
    names = [name for name in ("predict", "predict_proba", "decision_function") if hasattr(model, name)]
    return [getattr(model, name)(rows) for name in names]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def fitted(name):
    """A model, its rows, and what it says of them when one thread asks."""
    model, rows, y = MODELS[name]
    model = clone(model).fit(rows, y)
    return model, rows, outputs_of(model, rows)


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="not a free-threaded Python")
@every_model
def test_the_lock_stays_off(name):
    # in a process of its own: another package of the suite may switch it on
    code = f"""if True:
        import sys, warnings
        warnings.simplefilter("ignore")
        sys.path[:0] = {sys.path!r}
        from test_free_threading import fitted
        assert not sys._is_gil_enabled()
        fitted({name!r})
        assert not sys._is_gil_enabled()
    """
    subprocess.run([sys.executable, "-c", code], check=True)


@every_model
def test_one_model(name, tmp_path):
    model, rows, expected = fitted(name)
    few = [0, 7] if isinstance(rows, list) else slice(0, 8, 7)

    def predict():
        for _ in range(15):
            assert_same(outputs_of(model, rows), expected)
            part = [rows[i] for i in few] if isinstance(rows, list) else rows[few]
            assert_same(outputs_of(model, part), [values[few] for values in expected])

    def copies():
        for make in (lambda: pickle.loads(pickle.dumps(model)), lambda: copy.deepcopy(model), lambda: copy.copy(model)):
            for _ in range(5):
                assert_same(outputs_of(make(), rows), expected)

    def file(number):
        for _ in range(5 if find_spec("safetensors") else 0):  # it has no wheels for free-threaded Pythons
            model.save(tmp_path / f"{number}")
            assert_same(outputs_of(fastmlp.load(tmp_path / f"{number}"), rows), expected)

    def fit_again():
        for _ in range(2):
            assert_same(outputs_of(clone(model).fit(rows, MODELS[name][2]), rows), expected)

    in_threads(predict, predict, copies, copies, lambda: file(0), lambda: file(1), fit_again)


def test_many_fits_at_once():
    expected = {name: fitted(name)[2] for name in MODELS}

    def fit(names):
        for name in names:
            assert_same(fitted(name)[2], expected[name])

    names = [*MODELS]
    in_threads(*[lambda i=i: fit(names[i:] + names[:i]) for i in range(0, len(names), 2)])


def repeated_beside(times, train, predict):
    """Train so many times in one thread, while two others predict again and again."""
    done = []

    def fit():
        try:
            for _ in range(times):
                train()
        finally:
            done.append(True)

    def ask():
        while not done:
            predict()

    in_threads(fit, ask, ask)


@every_model
def test_predictions_of_a_model_that_is_fitted_again(name):
    """They may be of either model or of a mixture; the fit itself gives the bits that it gives alone."""
    model, rows, expected = fitted(name)

    def predict():
        assert type(pickle.loads(pickle.dumps(model))) is type(model)
        assert [one.shape for one in outputs_of(model, rows)] == [one.shape for one in expected]

    repeated_beside(6, lambda: model.fit(rows, MODELS[name][2]), predict)
    assert_same(outputs_of(model, rows), expected)


@pytest.mark.parametrize("name", ["adam", "sgd", "windows", "perceptron"])
def test_predictions_between_the_steps_of_partial_fit(name):
    model, rows, y = MODELS[name]
    models = [clone(model).set_params(**({} if name == "perceptron" else {"early_stopping": False})) for _ in range(2)]
    classes = {} if name == "sgd" else {"classes": np.unique(y)}
    for one in models:
        one.partial_fit(rows, y, **classes)
    for _ in range(20):
        models[0].partial_fit(rows, y)
    model = models[1]

    def predict():
        assert all(len(one) == len(y) for one in outputs_of(model, rows))

    repeated_beside(20, lambda: model.partial_fit(rows, y), predict)
    assert_same(outputs_of(model, rows), outputs_of(models[0], rows))


def test_callbacks_of_fits_at_once():
    def fit(seed):
        told = []

        def tell(estimator, epoch, metrics):
            told.append((epoch, metrics["loss"], estimator.predict_proba(X).tobytes()))
            return epoch == 4

        quietly(MLPClassifier(**SMALL | {"random_state": seed}, callbacks=tell).fit, X, LABELS)
        return told

    expected = [fit(seed) for seed in range(4)]
    assert [len(told) for told in expected] == [4] * 4
    assert in_threads(*[lambda seed=seed: fit(seed) for seed in range(4)]) == expected


def test_rows_that_another_thread_changes():
    """Rows as lists: each is read once, whole or not at all."""
    model, rows, _ = fitted("classes of a table")
    row, done = list(rows[0]), []
    whole = list(row)

    def change():
        while not done:
            row.clear()
            row.extend(f"{i}" * 50 for i in range(5))
            row[:] = whole

    def predict():
        try:
            for _ in range(300):
                try:
                    assert model.predict_proba([row]).shape == (1, 3)
                except ValueError:  # a row of too few values, or strings where there are numbers
                    continue
        finally:
            done.append(True)

    in_threads(change, predict)
