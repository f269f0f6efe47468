"""Rows of every kind are predicted as scikit-learn's validation would have them, by predictors that are kept."""

import copy
import pickle
import threading
import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn.neural_network
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.engine import Predictor, forward
from fastmlp.estimators import prediction

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PARAMS = {"hidden_layer_sizes": (7, 5), "max_iter": 3, "random_state": 0}
NAMES = ["a", "b", "c", "d"]
X = np.random.default_rng(0).integers(-3, 4, (60, 4)).astype(float)  # exact in every dtype
Y = np.arange(60) % 3
FRAME = pd.DataFrame(X, columns=NAMES)


def fitted(data=X, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MLPClassifier(**PARAMS | params).fit(data, Y)


@pytest.fixture
def validated(monkeypatch):
    """The inputs that went through scikit-learn's validation."""
    seen = []
    validate_data = prediction.validate_data

    def counted(estimator, X, **kwargs):
        seen.append(X)
        return validate_data(estimator, X, **kwargs)

    monkeypatch.setattr(prediction, "validate_data", counted)
    return seen


def by_hand(model, rows, dtype):
    """What scikit-learn's own forward pass gives for these parameters, in one precision."""
    theirs = sklearn.neural_network.MLPClassifier(**PARAMS).fit(X.astype(dtype), Y)
    theirs.coefs_ = [np.asarray(coef, dtype) for coef in model.coefs_]
    theirs.intercepts_ = [np.asarray(intercept, dtype) for intercept in model.intercepts_]
    return theirs.predict_proba(np.asarray(rows, dtype))


def assert_right(model, rows, values, dtype):
    """Whether a model gives for rows what it gives for their values, in a dtype and as precisely as that is."""
    probabilities = model.predict_proba(rows)
    assert probabilities.dtype == dtype
    close = 1e-13 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(probabilities, by_hand(model, values, dtype), rtol=close)


# ---- rows of every kind ----

# how a matrix becomes such rows, and the precision in which a model of float32 answers them
ROWS = {
    "float64": (np.asarray, np.float64),
    "float32": (lambda rows: rows.astype(np.float32), np.float32),
    "float16": (lambda rows: rows.astype(np.float16), np.float32),
    "int64": (lambda rows: rows.astype(np.int64), np.float64),
    "int8": (lambda rows: rows.astype(np.int8), np.float32),
    "list": (lambda rows: rows.tolist(), np.float64),
    "tuple": (lambda rows: tuple(map(tuple, rows.astype(int).tolist())), np.float64),
    "list of arrays": (lambda rows: list(rows.astype(np.float32)), np.float32),
    "F-order": (np.asfortranarray, np.float64),
    "strided": (lambda rows: np.repeat(rows, 2, axis=1)[:, ::2], np.float64),
    "frame": (lambda rows: pd.DataFrame(rows.astype(np.float32)), np.float32),
}


@pytest.mark.parametrize("n_rows", [1, 3])
@pytest.mark.parametrize("kind", ROWS)
def test_rows_of_numbers_need_no_validation(kind, n_rows, validated):
    make, of_single = ROWS[kind]
    rows = X[5 : 5 + n_rows]
    assert_right(fitted(), make(rows), rows, np.float64)
    assert_right(fitted(X.astype(np.float32)), make(rows), rows, of_single)
    assert_right(fitted(dtype="float32"), make(rows), rows, np.float32)
    assert validated == []


def mixed(frame):
    return frame.astype({"a": int, "b": np.float32, "c": bool})


FRAMES = {
    "pandas": lambda rows: pd.DataFrame(rows, columns=NAMES),
    "object index": lambda rows: pd.DataFrame(rows, columns=pd.Index(NAMES, dtype=object)),
    "dicts": lambda rows: pd.DataFrame([dict(zip(NAMES, row, strict=True)) for row in rows.tolist()]),
    "mixed": lambda rows: mixed(pd.DataFrame(rows, columns=NAMES)),
    "bool": lambda rows: pd.DataFrame(rows > 0, columns=NAMES),
    "polars": lambda rows: pl.DataFrame(rows, schema=NAMES),
    "polars of integers": lambda rows: pl.DataFrame(rows.astype(int), schema=NAMES),
}


@pytest.mark.parametrize("n_rows", [1, 3])
@pytest.mark.parametrize("kind", FRAMES)
def test_frames_with_the_names_of_fit_need_no_validation(kind, n_rows, validated):
    rows = FRAMES[kind](X[5 : 5 + n_rows])
    assert_right(fitted(FRAME), rows, np.asarray(rows, dtype=float), np.float64)
    assert_right(fitted(FRAME.astype(np.float32), dtype="float32"), rows, np.asarray(rows, dtype=float), np.float32)
    assert validated == []


def test_frames_of_float32_are_answered_in_their_precision():
    single = fitted(FRAME.astype(np.float32))
    assert_right(single, FRAME.astype(np.float32), X, np.float32)
    assert_right(single, FRAME, X, np.float64)
    assert_right(single, FRAME.astype(np.float32).astype({"a": int}), X, np.float64)


WITH_NAN = np.where(np.arange(4) == 2, np.nan, X[:1])
UNUSUAL = {
    "nan": (X, WITH_NAN),
    "inf": (X, WITH_NAN * np.inf),
    "nan in a list": (X, WITH_NAN.tolist()),
    "wide": (X, np.ones((1, 5))),
    "wide list": (X, [[1, 2, 3]]),
    "ragged": (X, [[1, 2, 3, 4], [1]]),
    "one row": (X, X[0]),
    "one list": (X, X[0].tolist()),
    "number": (X, 3.0),
    "empty": (X, X[:0]),
    "no rows": (X, []),
    "cube": (X, X[None]),
    "strings": (X, np.array([["a", "b", "c", "d"]])),
    "words": (X, [["a", 1, 2, 3]]),
    "complex": (X, X[:1] + 1j),
    "objects": (X, X[:1].astype(object)),
    "masked": (X, np.ma.array(X[:1], mask=[[0, 1, 0, 0]])),
    "series": (X, pd.Series(X[0])),
    "names unknown to fit": (X, FRAME[:1]),
    "polars, names unknown to fit": (X, pl.DataFrame(X[:1], schema=NAMES)),
    "no names": (FRAME, X[:1]),
    "list, no names": (FRAME, X[:1].tolist()),
    "frame, no names": (FRAME, pd.DataFrame(X[:1])),
    "a name of no text": (X, pd.DataFrame(X[:1], columns=["a", 1, 2, 3])),
    "another order": (FRAME, FRAME[NAMES[::-1]][:1]),
    "polars, another order": (FRAME, pl.DataFrame(X[:1], schema=NAMES[::-1])),
    "missing": (FRAME, FRAME[NAMES[:3]][:1]),
    "more": (FRAME, FRAME[:1].assign(e=1.0)),
    "twice": (FRAME, FRAME[[*NAMES, "a"]][:1]),
    "another name": (FRAME, FRAME[:1].rename(columns={"a": "z"})),
    "levels": (FRAME, pd.DataFrame(X[:1], columns=pd.MultiIndex.from_product([["a", "b"], ["c", "d"]]))),
    "frame of nan": (FRAME, pd.DataFrame(WITH_NAN, columns=NAMES)),
    "frame of no rows": (FRAME, FRAME[:0]),
    "frame of objects": (FRAME, FRAME[:1].astype(object)),
    "frame of words": (FRAME, FRAME[:1].astype({"b": str})),
    "frame of dates": (FRAME, FRAME[:1].assign(b=pd.Timestamp("2020-01-01"))),
    "frame of categories": (FRAME, FRAME[:1].astype({"b": "category"})),
    "frame of nullable": (FRAME, FRAME[:1].convert_dtypes()),
    "frame of missing": (FRAME, FRAME[:1].convert_dtypes().assign(b=pd.array([pd.NA], dtype="Int64"))),
    "frame of sparse": (FRAME, FRAME[:1].astype(pd.SparseDtype(float, 0.0))),
    "frame of some sparse": (FRAME, FRAME[:1].astype({"b": pd.SparseDtype(float, 0.0)})),
    "frame of complex": (FRAME, FRAME[:1].astype({"b": complex})),
    "polars with null": (FRAME, pl.DataFrame({"a": [1], "b": [None], "c": [1], "d": [1]}, schema_overrides={"b": int})),
    "polars of decimals": (FRAME, pl.DataFrame(X[:1], schema=NAMES).cast({"b": pl.Decimal(10, 2)})),
}


def outcome(model, rows):
    """What a call returns or raises, and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = model.predict_proba(rows).shape
        except (ValueError, TypeError) as error:
            result = type(error), str(error)
    # scikit-learn 1.7 asks Polars in a way that Polars gives up; ours asks otherwise
    messages = [str(warning.message) for warning in caught]
    return result, [message for message in messages if "interchange protocol" not in message]


@pytest.mark.parametrize("kind", UNUSUAL)
def test_what_is_unusual_is_refused_or_warned_of_as_by_scikit_learn(kind):
    data, rows = UNUSUAL[kind]
    theirs = sklearn.neural_network.MLPClassifier(**PARAMS).fit(data, Y)
    assert outcome(fitted(data), rows) == outcome(theirs, rows)


def test_objects_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fitted().predict([[None, 1, 2, 3]])
    with pytest.raises(ValueError, match="could not convert string to float: 'x'"):
        fitted(FRAME).predict(pl.DataFrame({"a": [1], "b": ["x"], "c": [1], "d": [1]}))
    np.testing.assert_array_equal(fitted().predict_proba(X.astype(object)), fitted().predict_proba(X))


def test_single_precision_refuses_what_is_beyond_it():
    with pytest.raises(ValueError, match="beyond float32"):
        fitted(dtype="float32").predict(np.full((1, 4), 1e300))
    assert fitted(X.astype(np.float32)).predict_proba(np.full((1, 4), 1e300)).dtype == np.float64


# ---- predictors that are kept ----


def test_a_fitted_model_is_as_it_was_after_predictions():
    model = fitted(X.astype(np.float32), n_jobs=-1)
    before = dict(vars(model))
    for make, _ in ROWS.values():
        model.predict_proba(make(X[:2]))
    assert before == vars(model) and all(vars(model)[name] is value for name, value in before.items())


CHANGES = {
    "n_jobs": lambda model: model.set_params(n_jobs=1),
    "activation": lambda model: model.set_params(activation=["tanh", "relu"]),
    "dtype": lambda model: model.set_params(dtype="float64"),
    "coefs_": lambda model: setattr(model, "coefs_", [coef / 2 for coef in model.coefs_]),
    "coefs_ in F-order": lambda model: setattr(model, "coefs_", [np.asfortranarray(c / 2) for c in model.coefs_]),
    "coefs_ of float16": lambda model: setattr(model, "coefs_", [c.astype(np.float16) for c in model.coefs_]),
    "coefs_ as a tuple": lambda model: setattr(model, "coefs_", tuple(coef / 2 for coef in model.coefs_)),
    "an entry": lambda model: model.coefs_.__setitem__(1, -model.coefs_[1]),
    "intercepts_": lambda model: setattr(model, "intercepts_", [b + 1 for b in model.intercepts_]),
    "a scalar": lambda model: model.intercepts_.__setitem__(0, np.array([0.5])),
}


def computed(model, rows):
    """The probabilities of a network that is made anew of a model's parameters."""
    dtype = model.dtype if model.dtype and model.coefs_[0].dtype == model.dtype else np.result_type(rows, *model.coefs_)
    coefs = [np.array(coef, dtype, order="C") for coef in model.coefs_]
    intercepts = [
        np.zeros(coef.shape[1], dtype) + np.asarray(intercept, dtype)
        for intercept, coef in zip(model.intercepts_, coefs, strict=True)
    ]
    return forward(coefs, intercepts, model.activation, model.out_activation_, rows.astype(dtype))


@pytest.mark.parametrize("precision", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_model_makes_its_predictors_once(kind, precision, monkeypatch):
    model = fitted(X.astype(precision))
    CHANGES[kind](model)
    made = []
    monkeypatch.setattr(prediction, "Predictor", lambda *args, **kw: made.append(0) or Predictor(*args, **kw))
    for _ in range(3):
        for rows in (X[:2], X[:2].astype(np.float32)):
            expected = computed(model, rows)
            np.testing.assert_allclose(model.predict_proba(rows), expected, rtol=1e-4)
            assert model.predict_proba(rows).dtype == expected.dtype
    assert len(made) <= 2  # one for each precision
    for array in (*model.coefs_, *model.intercepts_):  # what is written into arrays counts at once
        array[...] *= 1.5
        for rows in (X[:2], X[:2].astype(np.float32)):
            np.testing.assert_allclose(model.predict_proba(rows), computed(model, rows), rtol=1e-4)
    assert len(made) <= 2


def test_parameters_that_are_no_arrays_are_read_at_every_call():
    model = fitted()
    model.coefs_ = [coef.tolist() for coef in model.coefs_]
    before = model.predict_proba(X)
    model.coefs_[0][0][0] += 1
    halved = fitted()
    halved.coefs_ = [np.array(coef) for coef in model.coefs_]
    np.testing.assert_array_equal(model.predict_proba(X), halved.predict_proba(X))
    assert (model.predict_proba(X) != before).any()


def test_gradients_follow_what_is_written_into_arrays():
    model, other = fitted(X.astype(np.float32)), fitted(X.astype(np.float32))
    model.input_gradients(X)
    for changed in (model, other):
        changed.coefs_[0][...] *= 2
    other._keep_predictors()
    np.testing.assert_array_equal(model.input_gradients(X), other.input_gradients(X))


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
@pytest.mark.parametrize("after", [False, True])
def test_one_row_does_not_ask_joblib_for_threads(n_jobs, after, monkeypatch):
    model = fitted().set_params(n_jobs=n_jobs) if after else fitted(n_jobs=n_jobs)
    model.predict(X[:1])
    asked = []
    monkeypatch.setattr(joblib, "effective_n_jobs", lambda n_jobs: asked.append(n_jobs) or 1)
    for rows in (X[:1], X[:1].astype(np.float32), X[:1].tolist()):
        assert model.predict(rows) == fitted().predict(X[:1])
    assert asked == []


def test_models_that_predict_are_copied_as_they_are():
    model = fitted(X.astype(np.float32))
    model.coefs_ = [coef * 2 for coef in model.coefs_]
    size = len(pickle.dumps(model))
    expected = model.predict_proba(X)
    assert len(pickle.dumps(model)) == size
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        np.testing.assert_array_equal(other.predict_proba(X), expected)
    assert not hasattr(clone(model), "coefs_")


def test_threads_that_predict_at_once_while_predictors_are_made():
    model = fitted(X.astype(np.float32))
    expected = {dtype: model.predict_proba(X.astype(dtype)) for dtype in (np.float32, np.float64, np.int64)}
    wrong, barrier = [], threading.Barrier(6)

    def predict(dtype):
        rows = X.astype(dtype)
        for _ in range(100):
            barrier.wait()
            if not np.array_equal(model.predict_proba(rows), expected[dtype]):
                wrong.append(dtype)
            if barrier.wait() == 0:  # others find predictors that do not serve any more
                model.coefs_ = list(map(np.copy, model.coefs_))

    threads = [threading.Thread(target=predict, args=(dtype,)) for dtype in [*expected] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_regressors_and_pipelines_take_the_same_way(validated):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLPRegressor(**PARAMS).fit(FRAME, X[:, 0])
    np.testing.assert_array_equal(model.predict(FRAME[:1]), model.predict(pl.DataFrame(X[:1], schema=NAMES)))
    assert validated == []
