"""The estimators in the hands of others: copies, files, searches, meta-estimators, frames."""

import copy
import io
import pickle
import threading

import joblib
import numpy as np
import pytest
from parity import N_FEATURES, data, quietly
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor

SMALL = {"hidden_layer_sizes": (6, 4), "max_iter": 15, "random_state": 0}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def _trained(target, solver="adam", **params):
    """An estimator after a fit and two partial_fits, which leave it with a network of its own."""
    X, y = data(target)
    kind = MLPRegressor if target == "regression" else MLPClassifier
    model = quietly(kind(**{**SMALL, **params}, solver=solver).fit, X, y)
    if solver != "lbfgs":
        model.partial_fit(X, y).partial_fit(X, y)
    return model, X, y


def _through_joblib(model, **kwargs):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file, **kwargs)


COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "pickle protocol 2": lambda model: pickle.loads(pickle.dumps(model, protocol=2)),
    "deepcopy": copy.deepcopy,
    "joblib": _through_joblib,
}


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_the_model_and_independent_of_it(how, target, solver):
    model, X, y = _trained(target, solver)
    copied = COPIES[how](model)
    before = [coef.copy() for coef in model.coefs_]
    np.testing.assert_array_equal(copied.predict(X), model.predict(X))
    assert not any(np.shares_memory(a, b) for a, b in zip(copied.coefs_, model.coefs_, strict=True))
    if solver == "lbfgs":
        return
    copied.partial_fit(X, y)
    assert all(np.array_equal(a, b) for a, b in zip(model.coefs_, before, strict=True))
    model.partial_fit(X, y)  # with its own optimizer state: the copy has gone the same way
    for a, b in zip(copied.coefs_ + copied.intercepts_, model.coefs_ + model.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_pickle_holds_parameters_and_moments_once_and_nothing_else_of_size():
    X = np.random.RandomState(0).standard_normal((3000, 50))
    model = MLPRegressor(hidden_layer_sizes=(64, 64), max_iter=1, random_state=0).fit(X, X[:, 0])
    fitted = len(pickle.dumps(model))
    model.partial_fit(X, X[:, 0])
    n_params = sum(a.size for a in model.coefs_ + model.intercepts_)
    assert abs(len(pickle.dumps(model)) - fitted) < 100
    assert 3 * 8 * n_params < fitted < 3 * 8 * n_params + 10_000


def test_a_model_mapped_from_disk_predicts_and_trains(tmp_path):
    model, X, y = _trained("multiclass")
    joblib.dump(model, tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    assert not mapped.coefs_[0].flags.writeable
    np.testing.assert_array_equal(mapped.predict_proba(X), model.predict_proba(X))
    mapped.partial_fit(X, y)
    model.partial_fit(X, y)
    np.testing.assert_array_equal(mapped.predict_proba(X), model.predict_proba(X))


def test_clone_is_unfitted_with_the_same_parameters():
    model, _, _ = _trained("binary", alpha=0.5)
    cloned = clone(model)
    assert cloned.get_params() == model.get_params()
    assert set(vars(cloned)) == set(model.get_params())


def test_cross_val_score_in_two_processes_is_that_in_one():
    X, y = data("multiclass")
    model = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    scores = [cross_val_score(model, X, y, cv=3, n_jobs=n_jobs) for n_jobs in (1, 2)]
    np.testing.assert_array_equal(*scores)
    assert scores[0].min() > 0


def test_grid_search_in_a_pipeline():
    X, y = data("multiclass")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MLPClassifier(**SMALL, learning_rate_init=0.05)),
        {"mlpclassifier__alpha": [1e-4, 1e4], "mlpclassifier__hidden_layer_sizes": [(), (8,)]},
        cv=3,
    ).fit(X, y)
    assert search.best_params_["mlpclassifier__alpha"] == 1e-4
    assert search.best_score_ > 0.7


@pytest.mark.parametrize(
    "name, value, others",
    [
        ("activation", "tanh", {}),
        ("activation", ["tanh", "gelu"], {}),
        ("solver", "sgd", {}),
        ("solver", "lbfgs", {}),
        ("loss", "focal", {}),
        ("learning_rate", "adaptive", {"solver": "sgd"}),
        ("lr_schedule", "cosine", {}),
        ("weight_init", "he_normal", {}),
        ("class_weight", "balanced", {}),
        ("batch_size", "auto", {}),
        ("scoring", "balanced_accuracy", {"early_stopping": True}),
        ("dtype", "float32", {}),
    ],
)
def test_text_of_numpy_as_a_grid_in_an_array_has_it(name, value, others):
    text = list(map(np.str_, value)) if isinstance(value, list) else np.str_(value)
    X, y = data()
    model, expected = (quietly(MLPClassifier(**{**SMALL, **others, name: v}).fit, X, y) for v in (text, value))
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.get_params()[name] is text


def test_calibration_bagging_and_permutation_importance():
    X, y = data("binary")
    base = MLPClassifier(**{**SMALL, "max_iter": 60, "learning_rate_init": 0.02})
    assert CalibratedClassifierCV(base, cv=3).fit(X, y).score(X, y) > 0.8
    bagged = BaggingClassifier(base, n_estimators=3, max_features=0.8, random_state=0).fit(X, y)
    assert bagged.score(X, y) > 0.8
    X = X.copy()
    X[:, 4] = 0
    importance = permutation_importance(base.fit(X, y), X, y, n_repeats=2, random_state=0)
    assert importance.importances_mean[4] == 0 and importance.importances_mean.max() > 0.02


def test_a_pipeline_of_frames():
    pandas = pytest.importorskip("pandas")
    X, y = data("multiclass")
    frame = pandas.DataFrame(X, columns=[f"x{i}" for i in range(N_FEATURES)])
    model = make_pipeline(StandardScaler(), MLPClassifier(**SMALL)).set_output(transform="pandas").fit(frame, y)
    assert list(model[-1].feature_names_in_) == list(frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"x3": "other"}))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model[-1].predict(model[:-1].transform(frame).to_numpy())


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_give_the_model_of_the_array(library):
    frames = pytest.importorskip(library)
    X, y = data("regression")
    names = [f"x{i}" for i in range(N_FEATURES)]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    model = MLPRegressor(**SMALL).fit(frame, frames.Series(y))
    assert list(model.feature_names_in_) == names
    np.testing.assert_array_equal(model.predict(frame), MLPRegressor(**SMALL).fit(X, y).predict(X))


def test_predictions_of_one_model_in_many_threads():
    model, X, _ = _trained("multiclass")
    expected, results = model.predict_proba(X), []

    def work():
        results.extend(np.array_equal(model.predict_proba(X), expected) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 200 and all(results)


def test_fits_in_threads_do_not_meet():
    problems = [data("multiclass", seed=seed) for seed in range(4)]
    expected = [MLPClassifier(**SMALL).fit(X, y).coefs_ for X, y in problems]
    models = [MLPClassifier(**SMALL) for _ in problems]
    threads = [
        threading.Thread(target=model.fit, args=problem) for model, problem in zip(models, problems, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model, coefs in zip(models, expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(model.coefs_, coefs, strict=True))
