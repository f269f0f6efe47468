"""Parameters as searches and arrays give them: NumPy's scalars, arrays and dtypes mean what Python's values mean."""

import importlib.util
import pickle

import numpy as np
import pytest
import sklearn.neural_network
from parity import data
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

from fastmlp import MLPClassifier, MLPRegressor, Perceptron, load

X, LABELS = data("multiclass")
NUMBERS = data("regression")[1]
Y = {MLPClassifier: LABELS, MLPRegressor: NUMBERS}
SMALL = {"hidden_layer_sizes": (7, 5), "max_iter": 4, "random_state": 0, "batch_size": 16}
KINDS = [MLPClassifier, MLPRegressor]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# as NumPy has them, as Python has them, and what they need; numbers that float32 has to the bit
OF_BOTH = [
    ({"hidden_layer_sizes": np.array([6, 4])}, {"hidden_layer_sizes": (6, 4)}),
    ({"hidden_layer_sizes": np.int64(6)}, {"hidden_layer_sizes": 6}),
    ({"activation": np.str_("tanh")}, {"activation": "tanh"}),
    ({"activation": np.array(["tanh", "gelu"])}, {"activation": ["tanh", "gelu"]}),
    ({"activation": [np.str_("tanh"), np.str_("gelu")]}, {"activation": ["tanh", "gelu"]}),
    ({"solver": np.str_("lion"), "beta_1": np.float32(0.875)}, {"solver": "lion", "beta_1": 0.875}),
    ({"solver": np.str_("lbfgs"), "max_fun": np.int8(9)}, {"solver": "lbfgs", "max_fun": 9}),
    (
        {"solver": np.str_("sgd"), "learning_rate": np.str_("invscaling"), "power_t": np.float32(0.25)},
        {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.25},
    ),
    (
        {"solver": "sgd", "momentum": np.float32(0.5), "nesterovs_momentum": np.False_},
        {"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False},
    ),
    ({"alpha": np.float32(0.25), "batch_size": np.int8(16)}, {"alpha": 0.25, "batch_size": 16}),
    ({"max_iter": np.int8(5), "shuffle": np.False_}, {"max_iter": 5, "shuffle": False}),
    ({"batch_size": np.str_("auto"), "random_state": np.int64(3)}, {"batch_size": "auto", "random_state": 3}),
    (
        {"early_stopping": np.True_, "validation_fraction": np.float32(0.25), "n_iter_no_change": np.int8(2)},
        {"early_stopping": True, "validation_fraction": 0.25, "n_iter_no_change": 2},
    ),
    ({"tol": np.float32(0.125), "n_iter_no_change": np.int8(1)}, {"tol": 0.125, "n_iter_no_change": 1}),
    ({"early_stopping": True, "scoring": np.str_("loss")}, {"early_stopping": True, "scoring": "loss"}),
    ({"dropout": np.array([0.25, 0.5])}, {"dropout": [0.25, 0.5]}),
    ({"dropout": np.float32(0.25), "input_dropout": np.float32(0.5)}, {"dropout": 0.25, "input_dropout": 0.5}),
    ({"weight_decay": np.float32(0.25), "max_norm": np.float16(1)}, {"weight_decay": 0.25, "max_norm": 1.0}),
    (
        {"weight_init": np.str_("he_normal"), "clip_norm": np.float32(0.5)},
        {"weight_init": "he_normal", "clip_norm": 0.5},
    ),
    (
        {"lr_schedule": np.str_("step"), "lr_schedule_params": {"gamma": np.float32(0.5), "step_size": np.int8(2)}},
        {"lr_schedule": "step", "lr_schedule_params": {"gamma": 0.5, "step_size": 2}},
    ),
    ({"warmup": np.int8(5)}, {"warmup": 5}),
    ({"warmup": np.float32(0.5), "n_jobs": np.int64(1)}, {"warmup": 0.5, "n_jobs": 1}),
    ({"dtype": X.dtype}, {"dtype": "float64"}),
    ({"dtype": np.dtype("float32")}, {"dtype": "float32"}),
    ({"dtype": np.str_("float32")}, {"dtype": "float32"}),
    ({"dtype": np.float32}, {"dtype": "float32"}),
]
OF_ONE = {
    MLPClassifier: [
        ({"loss": np.str_("focal"), "focal_gamma": np.float32(3)}, {"loss": "focal", "focal_gamma": 3.0}),
        ({"loss": np.str_("hinge")}, {"loss": "hinge"}),
        ({"label_smoothing": np.float32(0.25)}, {"label_smoothing": 0.25}),
        ({"class_weight": {np.int64(10): np.float32(0.5)}}, {"class_weight": {10: 0.5}}),
    ],
    MLPRegressor: [
        (
            {"loss": np.str_("quantile"), "quantile": np.linspace(0.25, 0.75, 3)},
            {"loss": "quantile", "quantile": [0.25, 0.5, 0.75]},
        ),
        ({"loss": "quantile", "quantile": np.float32(0.25)}, {"loss": "quantile", "quantile": 0.25}),
        ({"loss": np.str_("huber"), "huber_delta": np.float32(0.5)}, {"loss": "huber", "huber_delta": 0.5}),
    ],
}
CASES = [(kind, *case) for kind in KINDS for case in (*OF_BOTH, *OF_ONE[kind])]


def _same(a, b):
    pairs = zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True)
    return all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in pairs)


def _equal_parameters(a, b):
    """Whether values are equal, arrays as arrays."""
    a, b = a.get_params(), b.get_params()
    return all(
        np.array_equal(a[name], b[name]) if isinstance(a[name], np.ndarray) else a[name] == b[name]
        for name in a.keys() - {"random_state"}
    )


def _draws(kind, params):
    """Whether scikit-learn's own estimator has an HTML form with these parameters: 1.7 compares arrays by truth."""
    peer = getattr(sklearn.neural_network, kind.__name__)()
    try:
        return bool(peer.set_params(**{name: params[name] for name in params.keys() & peer.get_params()})._repr_html_())
    except ValueError:
        return False


@pytest.mark.parametrize("kind, numpy, python", CASES)
def test_numpy_s_values_train_as_python_s(kind, numpy, python, tmp_path):
    y = Y[kind]
    model, plain = clone(kind(**{**SMALL, **numpy})).fit(X, y), kind(**{**SMALL, **python}).fit(X, y)
    assert _same(model, plain) and model.score(X, y) == plain.score(X, y)
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    assert model.predict(X).dtype == plain.predict(X).dtype
    for name, value in numpy.items():
        assert np.array_equal(model.get_params()[name], value) and type(model.get_params()[name]) is type(value)
    assert repr(model).startswith(kind.__name__)
    if all(_draws(kind, {"hidden_layer_sizes": value}) for value in numpy.values() if isinstance(value, np.ndarray)):
        assert kind.__name__ in model._repr_html_()
    model.save(tmp_path / "model.fastmlp")
    again = [pickle.loads(pickle.dumps(model)), load(tmp_path / "model.fastmlp")]
    for other in again:
        np.testing.assert_array_equal(other.predict(X), plain.predict(X))
        assert _equal_parameters(other, model)
    exported = {"a": model, "b": plain} if {"activation", "dtype", "loss"} & numpy.keys() else {}
    with_onnx = importlib.util.find_spec("onnx") is not None
    for name, each in exported.items():
        (tmp_path / name).mkdir()
        each.to_c(tmp_path / name / "model.c")
        if with_onnx:
            (tmp_path / f"{name}.onnx").write_bytes(each.to_onnx().SerializeToString())
    for files in ("{}/model.c", "{}.onnx")[: 1 + with_onnx] if exported else ():
        assert (tmp_path / files.format("a")).read_bytes() == (tmp_path / files.format("b")).read_bytes()
    if plain.solver != "lbfgs" and not plain.early_stopping:
        plain.partial_fit(X, y)
        assert all(_same(other.partial_fit(X, y), plain) for other in (model, *again))
        path = {"checkpoint_path": tmp_path / "checkpoint", "checkpoint_every": np.int64(1)}
        stopped = kind(**{**SMALL, **numpy}, **path, callbacks=lambda _, epoch, __: np.bool_(epoch == 2)).fit(X, y)
        assert stopped.n_iter_ == 2 and _same(kind(**{**SMALL, **numpy}, **path).fit(X, y), stopped)


@pytest.mark.parametrize(
    "numpy, python",
    [
        ({"penalty": np.str_("elasticnet"), "l1_ratio": np.float32(0.25)}, {"penalty": "elasticnet", "l1_ratio": 0.25}),
        ({"eta0": np.float32(0.5), "max_iter": np.int8(5)}, {"eta0": 0.5, "max_iter": 5}),
        ({"class_weight": np.str_("balanced"), "shuffle": np.False_}, {"class_weight": "balanced", "shuffle": False}),
        ({"early_stopping": np.True_, "n_iter_no_change": np.int8(2)}, {"early_stopping": True, "n_iter_no_change": 2}),
        ({"fit_intercept": np.False_, "random_state": np.int64(3)}, {"fit_intercept": False, "random_state": 3}),
        ({"tol": np.float32(0.125), "n_jobs": np.int64(2)}, {"tol": 0.125, "n_jobs": 2}),
    ],
)
def test_numpy_s_values_train_a_perceptron_as_python_s(numpy, python):
    model, plain = clone(Perceptron(**numpy)).fit(X, LABELS), Perceptron(**python).fit(X, LABELS)
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    assert model.n_iter_ == plain.n_iter_


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.dtype("int64"), np.dtype("float16"), np.dtype("O")])
def test_other_dtypes_are_refused(kind, dtype):
    with pytest.raises(ValueError, match="dtype"):
        kind(**SMALL, dtype=dtype).fit(X, Y[kind])


def test_arrays_with_wrong_values_are_refused_by_name():
    for wrong in (
        {"activation": np.array(["relu", "swish"])},
        {"dropout": np.array([0.1, 1.0])},
        {"dropout": np.ones(3)},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            MLPClassifier(**SMALL, **wrong).fit(X, LABELS)
    with pytest.raises(ValueError, match="quantile=.* must have levels"):
        MLPRegressor("quantile", quantile=np.linspace(0, 1, 3)).fit(X, NUMBERS)


def test_searches_over_arrays():
    grid = {
        "activation": np.array(["relu", "tanh"]),
        "hidden_layer_sizes": list(np.array([[4, 3], [6, 5]])),
        "learning_rate_init": np.logspace(-3, -2, 2, dtype=np.float32),
        "shuffle": np.array([True, False]),
    }
    found = GridSearchCV(MLPRegressor(max_iter=3, random_state=0), grid, cv=2, error_score="raise").fit(X, NUMBERS)
    assert len(found.cv_results_["params"]) == 16 and np.isfinite(found.cv_results_["mean_test_score"]).all()
    assert found.best_estimator_.coefs_[0].shape == (X.shape[1], found.best_params_["hidden_layer_sizes"][0])
    levels = {"quantile": [np.linspace(0.1, 0.9, n) for n in (2, 3)], "dropout": np.array([0.0, 0.2])}
    model = MLPRegressor("quantile", max_iter=3, random_state=0)
    found = RandomizedSearchCV(model, levels, n_iter=3, cv=2, random_state=0, error_score="raise").fit(X, NUMBERS)
    assert found.predict(X).shape == (len(X), len(found.best_params_["quantile"]))
