"""Parameters beyond scikit-learn's: what they do to a fit, what they refuse."""

import inspect
import pickle
import warnings
from datetime import timedelta

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from parity import N, data, distance, pair, quietly, weights
from scipy import sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.metrics import d2_pinball_score, hinge_loss, log_loss, mean_gamma_deviance, mean_pinball_loss
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_sample_weight

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.engine import ACTIVATIONS, OPTIMIZERS, effective_n_threads
from fastmlp.estimators.parameters import DOCUMENTATION
from fastmlp.training.initialization import INITIALIZERS
from fastmlp.training.schedules import SCHEDULES

X, LABELS = data("multiclass")
NUMBERS = data("regression")[1]
PARAMS = {"hidden_layer_sizes": (7, 5), "max_iter": 6, "random_state": 0, "batch_size": 16}
KINDS = [MLPClassifier, MLPRegressor]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
every_kind = pytest.mark.parametrize("kind", KINDS)


def _y(kind):
    return LABELS if kind is MLPClassifier else NUMBERS


def _same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True))


# ---- parameters ----


@every_kind
def test_scikit_learn_s_parameters_come_first_and_all_others_by_keyword(kind):
    ours = inspect.signature(kind).parameters
    theirs = inspect.signature(getattr(neural_network, kind.__name__)).parameters
    names = list(theirs)
    assert list(ours)[: len(names)] == names
    for name in names:
        assert (ours[name].default, ours[name].kind) == (theirs[name].default, theirs[name].kind)
    assert all(parameter.kind == parameter.KEYWORD_ONLY for parameter in list(ours.values())[len(names) :])


@every_kind
def test_every_parameter_is_documented_and_checked(kind):
    documented = {line.split(" : ")[0].strip() for line in kind.__doc__.splitlines() if " : " in line}
    documented = {name for names in documented for name in names.split(", ")}
    assert set(kind._get_param_names()) <= documented
    assert set(kind._get_param_names()) == set(kind._parameter_constraints)
    listed = inspect.cleandoc("\n".join(DOCUMENTATION.values()))
    for name in (*ACTIVATIONS, *OPTIMIZERS, *INITIALIZERS, *SCHEDULES):
        assert f'"{name}"' in listed, name


@every_kind
def test_clones_and_pickles_keep_every_parameter(kind):
    options = {"dropout": [0.1, 0.2], "lr_schedule": "step", "lr_schedule_params": {"gamma": 0.5}, "warmup": 3}
    model = kind(**PARAMS, **options, n_jobs=1)
    assert clone(model).get_params() == pickle.loads(pickle.dumps(model)).get_params() == model.get_params()
    model.fit(X, _y(kind))
    again = pickle.loads(pickle.dumps(model))
    for each in (model, again):
        each.partial_fit(X, _y(kind))
    assert _same(model, again)


WRONG = {
    "activation": ["swish", 3, ["relu", "swish"], ["relu"], ["relu", "tanh", "relu"]],
    "weight_init": ["xavier", None],
    "dropout": [1.0, -0.1, [0.1], [0.1, 1.0], [0.1, "a"], np.nan],
    "input_dropout": [1.0, -0.1, [0.1, 0.1]],
    "weight_decay": [-1.0, "a"],
    "max_norm": [0, -1.0],
    "clip_norm": [0, -1.0],
    "clip_value": [0, "a"],
    "lr_schedule": ["sine", 3],
    "lr_schedule_params": [[1]],
    "warmup": [-1, 1.5, -0.5],
    "scoring": ["accurate", 3],
    "callbacks": [3, "print"],
    "dtype": ["float16", int, np.int64],
    "n_jobs": [0, 1.5],
    "checkpoint_path": [3],
    "checkpoint_every": [0, -1, 1.5, timedelta(0)],
}
OF_LOSS = {
    MLPClassifier: {
        "loss": ["squared_error"],
        "class_weight": ["equal"],
        "label_smoothing": [1.0, -0.1],
        "focal_gamma": [-1.0],
    },
    MLPRegressor: {
        "loss": ["log_loss"],
        "quantile": [0.0, 1.0, [0.5, 1.0]],
        "sort_quantiles": ["yes", 2],
        "huber_delta": [0],
        "tweedie_power": [1.0, 2.0],
    },
}
NEEDED = {"quantile": {"loss": "quantile"}, "sort_quantiles": {"loss": "quantile"}, "scoring": {"early_stopping": True}}


@every_kind
@pytest.mark.parametrize("name", [*WRONG, *{name: None for wrong in OF_LOSS.values() for name in wrong}])
def test_a_wrong_value_is_refused_by_name(name, kind, tmp_path):
    if name == "checkpoint_every":
        NEEDED[name] = {"checkpoint_path": tmp_path / "here"}
    for value in WRONG.get(name) or OF_LOSS[kind].get(name, ()):
        model = kind(**{**PARAMS, name: value, **NEEDED.get(name, {})})
        with pytest.raises((ValueError, TypeError), match=name):
            model.fit(X, _y(kind))
        assert not hasattr(model, "coefs_")


# What is set, the parameters among it that have no effect, and what the warning about each says
WITHOUT_EFFECT = [
    ({"label_smoothing": 0.1, "loss": "hinge"}, {"label_smoothing": "with loss='hinge': it needs loss='log_loss'"}),
    ({"label_smoothing": 0.1, "loss": "focal"}, {"label_smoothing": "with loss='focal': it needs loss='log_loss'"}),
    ({"focal_gamma": 1.0}, {"focal_gamma": "with loss='log_loss': it needs loss='focal'"}),
    ({"solver": "lbfgs", "dropout": 0.1}, {"dropout": "with solver='lbfgs': it needs solver='sgd' or "}),
    ({"solver": "lbfgs", "dropout": [0.1, 0.2, 0.3]}, {"dropout": "with solver='lbfgs': it needs solver='sgd' or "}),
    ({"solver": "lbfgs", "input_dropout": 0.1}, {"input_dropout": "with solver='lbfgs'"}),
    ({"solver": "lbfgs", "weight_decay": 0.1}, {"weight_decay": "with solver='lbfgs'"}),
    ({"solver": "lbfgs", "max_norm": 0.1}, {"max_norm": "with solver='lbfgs'"}),
    ({"solver": "lbfgs", "clip_norm": 0.1, "warmup": 5}, dict.fromkeys(["clip_norm", "warmup"], "with solver='lbfgs'")),
    ({"solver": "lbfgs", "clip_value": 0.1}, {"clip_value": "with solver='lbfgs'"}),
    (
        {"solver": "lbfgs", "lr_schedule": "step", "lr_schedule_params": {"gamma": 0.5}},
        dict.fromkeys(["lr_schedule", "lr_schedule_params"], "with solver='lbfgs'"),
    ),
    ({"solver": "lbfgs", "early_stopping": True, "scoring": "loss"}, {"scoring": "with solver='lbfgs'"}),
    ({"solver": "schedule_free_adamw", "max_norm": 0.1}, {"max_norm": "with solver='schedule_free_adamw': it needs"}),
    ({"lr_schedule_params": {"gamma": 0.5}}, {"lr_schedule_params": "with lr_schedule=None: it needs the name of"}),
    ({"lr_schedule": abs, "lr_schedule_params": {"gamma": 0.5}}, {"lr_schedule_params": "with lr_schedule=<built-in"}),
    (
        {"solver": "sgd", "lr_schedule": "step", "learning_rate": "invscaling"},
        {"learning_rate": "with lr_schedule='step', which replaces it"},
    ),
    ({"scoring": "accuracy"}, {"scoring": "with early_stopping=False: it needs early_stopping=True or a validation"}),
    ({"checkpoint_every": 3}, {"checkpoint_every": "with checkpoint_path=None: it needs the path of a file"}),
]


@pytest.mark.parametrize("params, without", WITHOUT_EFFECT)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_means_nothing_beside_another_has_no_effect_and_says_so(method, params, without):
    if method == "partial_fit" and params.get("solver") == "lbfgs":
        return
    models = MLPClassifier(**{**PARAMS, **params}), MLPClassifier(**{**PARAMS, **params})
    models[1].set_params(**{name: inspect.signature(MLPClassifier).parameters[name].default for name in without})
    classes = {"classes": [10, 20, 30]} if method == "partial_fit" else {}
    with pytest.warns(UserWarning) as told:
        getattr(models[0], method)(X, LABELS, **classes)
    told = [str(warning.message) for warning in told if "has no effect" in str(warning.message)]
    assert len(told) == len(without)
    for name, why in without.items():
        assert any(text.startswith(f"{name}={params[name]!r} has no effect {why}") for text in told)
    assert _same(models[0], getattr(models[1], method)(X, LABELS, **classes))
    assert models[0].get_params() == MLPClassifier(**{**PARAMS, **params}).get_params()


@pytest.mark.parametrize("loss, name, value", [("huber", "tweedie_power", 1.2), ("squared_error", "huber_delta", 0.01)])
def test_numbers_of_other_losses_have_no_effect(loss, name, value):
    with pytest.warns(UserWarning, match=f"{name}={value} has no effect with loss='{loss}'"):
        model = MLPRegressor(loss, **PARAMS, **{name: value}).fit(X, NUMBERS)
    assert _same(model, MLPRegressor(loss, **PARAMS).fit(X, NUMBERS))


def test_levels_of_other_losses_have_no_effect():
    model = MLPRegressor(**PARAMS, quantile=[0.1, 0.9], early_stopping=True)
    with pytest.warns(UserWarning, match=r"quantile=\[0.1, 0.9\] has no effect with loss='squared_error'"):
        model.fit(X, NUMBERS)
    plain = MLPRegressor(**PARAMS, early_stopping=True).fit(X, NUMBERS)
    assert _same(model, plain) and model.validation_scores_ == plain.validation_scores_
    assert model.predict(X).shape == (N,) and model.score(X, NUMBERS) == plain.score(X, NUMBERS)


def test_a_search_over_parameters_that_depend_on_each_other_scores_every_point():
    grid = {
        "solver": ["adam", "lbfgs"],
        "dropout": [0.0, 0.5],
        "loss": ["log_loss", "focal"],
        "focal_gamma": [0.0, 3.0],
    }
    model = MLPClassifier(**PARAMS)
    with pytest.warns(UserWarning, match="has no effect"):
        found = GridSearchCV(model, grid, cv=2, scoring="neg_log_loss", error_score="raise").fit(X, LABELS).cv_results_
    score = {
        tuple(params[name] for name in grid): s
        for params, s in zip(found["params"], found["mean_test_score"], strict=True)
    }
    for solver, dropout, loss, gamma in score:
        used = solver, dropout if solver == "adam" else 0.0, loss, gamma if loss == "focal" else 0.0
        assert score[solver, dropout, loss, gamma] == score[used]
    assert len(set(score.values())) > 4


def test_a_class_with_fewer_parameters_is_held_to_our_defaults():
    class Own(MLPClassifier):
        def __init__(self, solver="lbfgs", dropout=0.5):
            super().__init__(solver=solver, dropout=dropout, max_iter=6, random_state=0)

    with pytest.warns(UserWarning, match="dropout=0.5 has no effect with solver='lbfgs'"):
        model = Own().fit(X, LABELS)
    assert _same(model, MLPClassifier(solver="lbfgs", max_iter=6, random_state=0).fit(X, LABELS))


COMBINATIONS = [
    ({"solver": "lbfgs", "checkpoint_path": "x"}, "checkpoint_path='x' needs solver"),
    ({"solver": "lbfgs", "dtype": "float32"}, "dtype='float32' does not go with solver='lbfgs'"),
    ({"lr_schedule": "step", "lr_schedule_params": {"gama": 0.5}}, "lr_schedule_params.*gama"),
    ({"lr_schedule": "step", "lr_schedule_params": {"gamma": -1}}, "lr_schedule_params.*gamma"),
    ({"clip_norm": 1.0, "clip_value": 1.0}, "clip_norm=1.0 and clip_value=1.0"),
    ({"solver": "schedule_free_adamw", "beta_1": 0.0}, "beta_1=0.0 must be > 0 with solver='schedule_free_adamw'"),
    ({"checkpoint_path": "x", "warm_start": True}, "checkpoint_path='x' does not go with warm_start"),
    ({"class_weight": {99: 2.0}}, "class_weight={99: 2.0} does not go with the classes .*10, 20, 30.* not in class_w"),
    ({"class_weight": {10: 1, 20: 1, 3: 1}}, "class_weight=.*30.* not in class_weight"),
    ({"class_weight": {10: -2.0}}, "class_weight=.*>= 0"),
    ({"class_weight": {10: 0, 20: 0, 30: 0}}, "sample_weight times class_weight .*not all zero"),
    ({"class_weight": [{0: 1}, {0: 1}]}, "class_weight=.*list"),
]


@pytest.mark.parametrize("params, match", COMBINATIONS)
def test_what_contradicts_is_refused_by_name(params, match):
    model = MLPClassifier(**{**PARAMS, **params})
    with pytest.raises(ValueError, match=match):
        model.fit(X, LABELS)
    assert not hasattr(model, "coefs_")


def test_what_partial_fit_cannot_do_is_refused_by_name(tmp_path):
    for params in ({"class_weight": "balanced"}, {"checkpoint_path": tmp_path / "x"}, {"early_stopping": True}):
        with pytest.raises(ValueError, match=next(iter(params))):
            MLPClassifier(**PARAMS, **params).partial_fit(X, LABELS, classes=[10, 20, 30])


def test_sparse_input_has_no_input_dropout():
    with pytest.raises(ValueError, match="input_dropout"):
        MLPClassifier(**PARAMS, input_dropout=0.1).fit(data(kind="csr")[0], LABELS)


@settings(max_examples=60)
@given(st.data())
def test_any_allowed_combination_trains_or_names_what_it_refuses(draw):
    choices = {
        "activation": st.sampled_from([*ACTIVATIONS, ["relu", "gelu"]]),
        "weight_init": st.sampled_from(sorted(INITIALIZERS)),
        "solver": st.sampled_from(["lbfgs", *OPTIMIZERS]),
        "loss": st.sampled_from(["log_loss", "focal", "hinge"]),
        "label_smoothing": st.sampled_from([0.0, 0.2]),
        "class_weight": st.sampled_from([None, "balanced", {10: 3.0}]),
        "dropout": st.sampled_from([0.0, 0.3, [0.5, 0.0]]),
        "input_dropout": st.sampled_from([0.0, 0.2]),
        "weight_decay": st.sampled_from([None, 0.0, 0.1]),
        "max_norm": st.sampled_from([None, 0.5]),
        "clip_norm": st.sampled_from([None, 0.1]),
        "clip_value": st.sampled_from([None, 0.01]),
        "lr_schedule": st.sampled_from([None, *SCHEDULES]),
        "warmup": st.sampled_from([0, 5, 0.5]),
        "early_stopping": st.booleans(),
        "scoring": st.sampled_from([None, "loss", "accuracy"]),
        "dtype": st.sampled_from([None, "float32", "float64"]),
        "n_jobs": st.sampled_from([None, 1, -1]),
    }
    names = draw.draw(st.lists(st.sampled_from(sorted(choices)), unique=True, max_size=6))
    params = {name: draw.draw(choices[name], label=name) for name in names}
    model = MLPClassifier(**{**PARAMS, "max_iter": 2, **params})
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* has no effect with ")
            quietly(model.fit, X, LABELS)
    except ValueError as error:
        assert any(f"{name}=" in str(error) for name in params), error
    else:
        assert np.isfinite(model.loss_) and set(model.predict(X)) <= set(LABELS)
        assert model.coefs_[0].dtype == np.dtype(params.get("dtype") or np.float64)


# ---- precision and threads ----


@pytest.mark.parametrize("matrix", ["dense", "csr"])
@every_kind
def test_float64_rows_are_cast_as_they_are_read(kind, matrix):
    values = data(kind=matrix)[0]
    model = kind(**PARAMS, dtype="float32").fit(values, _y(kind))
    single = kind(**PARAMS).fit(values.astype(np.float32), _y(kind))
    assert _same(model, single) and model.loss_curve_ == single.loss_curve_
    assert {a.dtype for a in model.coefs_ + model.intercepts_} == {np.dtype(np.float32)}
    predict = "predict_proba" if kind is MLPClassifier else "predict"
    outputs = getattr(model, predict)(values)
    assert outputs.dtype == np.float32
    np.testing.assert_array_equal(outputs, getattr(single, predict)(values.astype(np.float32)))
    double = kind(**PARAMS, dtype=np.float64).fit(values.astype(np.float32), _y(kind))
    assert double.coefs_[0].dtype == getattr(double, predict)(values.astype(np.float32)).dtype == np.float64
    model.partial_fit(values, _y(kind))
    assert model.coefs_[0].dtype == np.float32


@every_kind
def test_values_beyond_float32_are_refused_not_made_infinite(kind):
    model = kind(**PARAMS, dtype="float32").fit(X, _y(kind))
    huge = X.copy()
    huge[3, 2] = -1e39
    for method, args in ((model.fit, (huge, _y(kind))), (model.predict, (huge,))):
        with pytest.raises(ValueError, match="X has values beyond float32"):
            method(*args)
    with pytest.raises(ValueError, match="X_val has values beyond float32"):
        model.fit(X, _y(kind), X_val=huge, y_val=_y(kind))


@every_kind
def test_n_jobs_limits_threads_and_changes_no_bit(kind):
    rng = np.random.RandomState(0)
    rows = rng.standard_normal((3000, 50))
    y = rng.randint(3, size=3000) if kind is MLPClassifier else rng.standard_normal(3000)
    params = {"hidden_layer_sizes": (200,), "max_iter": 2, "random_state": 0, "batch_size": 1000}
    models, predicted = [], []
    for n_jobs in (None, 1, 2, -1):
        models.append(kind(**params, n_jobs=n_jobs).fit(rows, y))
        predicted.append(models[-1].predict(rows))
        np.testing.assert_array_equal(predicted[-1], predicted[0])
        models[-1].partial_fit(rows, y)
    assert all(_same(model, models[0]) for model in models)
    assert models[1]._network[1].team_size == 1
    assert models[0]._network[1].team_size == models[3]._network[1].team_size == min(2, effective_n_threads())


# ---- classes and their weights ----


@pytest.mark.parametrize("target", ["binary", "multiclass"])
@pytest.mark.parametrize("given", ["balanced", "dict"])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_are_sample_weights(weighted, given, target):
    _, y = data(target)
    class_weight = {label: float(i + 1) for i, label in enumerate(np.unique(y)[1:])} if given == "dict" else given
    sample_weight = weights() if weighted else None
    model = MLPClassifier(**PARAMS, class_weight=class_weight).fit(X, y, sample_weight)
    product = compute_sample_weight(class_weight, y) * (sample_weight if weighted else 1)
    assert _same(model, MLPClassifier(**PARAMS).fit(X, y, product))


def test_class_weights_of_several_outputs_multiply():
    y = data("multilabel")[1]
    given = [{1: 2.0}, {0: 3.0}, {0: 1.0, 1: 0.5}]
    model = MLPClassifier(**PARAMS, class_weight=given).fit(X, y)
    product = np.prod([[w.get(v, 1.0) for v in column] for w, column in zip(given, y.T, strict=True)], axis=0)
    assert _same(model, MLPClassifier(**PARAMS).fit(X, y, product))
    balanced = MLPClassifier(**PARAMS, class_weight="balanced").fit(X, y)
    assert _same(balanced, MLPClassifier(**PARAMS).fit(X, y, compute_sample_weight("balanced", y)))


def test_partial_fit_takes_class_weights_and_batches_that_lack_a_class():
    model = MLPClassifier(**PARAMS, class_weight={10: 5.0})
    other = MLPClassifier(**PARAMS)
    for keep in (LABELS != 30, LABELS != 10):
        model.partial_fit(X[keep], LABELS[keep], classes=[10, 20, 30])
        other.partial_fit(X[keep], LABELS[keep], np.where(LABELS[keep] == 10, 5.0, 1.0), classes=[10, 20, 30])
    assert _same(model, other)


def test_class_weights_count_in_the_validation_loss_and_not_in_the_score():
    class_weight = {10: 4.0, 20: 1.0, 30: 0.5}
    model = MLPClassifier(**PARAMS, class_weight=class_weight)
    model.fit(X, LABELS, X_val=X[:40], y_val=LABELS[:40])
    proba, weight = model.predict_proba(X[:40]), compute_sample_weight(class_weight, LABELS[:40])
    assert model.validation_loss_curve_[-1] == pytest.approx(log_loss(LABELS[:40], proba, sample_weight=weight))
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]
    model.set_params(scoring="accuracy").fit(X, LABELS, X_val=X[:40], y_val=LABELS[:40])
    assert model.validation_scores_[-1] == model.score(X[:40], LABELS[:40])
    # balanced by the training labels, also where the validation set lacks a class
    two = LABELS != 30
    model.set_params(class_weight="balanced").fit(X, LABELS, X_val=X[two], y_val=LABELS[two])
    by_class = dict(zip([10, 20, 30], N / (3 * np.unique(LABELS, return_counts=True)[1]), strict=True))
    weight = [by_class[label] for label in LABELS[two]]
    loss = log_loss(LABELS[two], model.predict_proba(X[two]), sample_weight=weight, labels=[10, 20, 30])
    assert model.validation_loss_curve_[-1] == pytest.approx(loss)


OUTPUTS = np.stack([LABELS, np.array([1, 0, 7])[data("multiclass", seed=3)[1] // 10 - 1]], axis=1)


@pytest.mark.parametrize("names", [False, True])
def test_several_outputs_of_classes(names):
    y = np.array([f"c{v}" for v in OUTPUTS.ravel()]).reshape(OUTPUTS.shape) if names else OUTPUTS
    model = MLPClassifier(**{**PARAMS, "max_iter": 200}, learning_rate_init=0.02).fit(X, y, X_val=X, y_val=y)
    assert [list(labels) for labels in model.classes_] == [list(np.unique(column)) for column in y.T]
    probabilities = model.predict_proba(X)
    predicted = model.predict(X)
    assert predicted.shape == y.shape and predicted.dtype == y.dtype
    loss = 0
    for column, labels, proba, guess in zip(y.T, model.classes_, probabilities, predicted.T, strict=True):
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        np.testing.assert_array_equal(labels[proba.argmax(axis=1)], guess)
        loss += log_loss(column, proba, labels=labels)
    assert model.validation_loss_curve_[-1] == pytest.approx(loss, rel=1e-9)
    assert model.score(X, y) == (predicted == y).all(axis=1).mean() > 0.6
    for proba, logs in zip(probabilities, model.predict_log_proba(X), strict=True):
        np.testing.assert_allclose(logs, np.log(proba), rtol=1e-12, atol=1e-12)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), predicted)


def test_an_output_of_one_class_has_no_gradient():
    y = np.stack([LABELS, np.full(N, 5)], axis=1)
    short, long = (
        MLPClassifier(**{**PARAMS, "max_iter": epochs}, weight_init="he_uniform", alpha=0.0).fit(X, y)
        for epochs in (1, 6)
    )
    assert [proba.shape for proba in long.predict_proba(X)] == [(N, 3), (N, 1)]
    np.testing.assert_array_equal(long.predict(X)[:, 1], 5)
    np.testing.assert_array_equal(short.coefs_[-1][:, 3], long.coefs_[-1][:, 3])
    assert long.intercepts_[-1][3] == 0 and np.abs(short.coefs_[-1] - long.coefs_[-1])[:, :3].max(axis=0).min() > 0


def test_partial_fit_and_validation_with_several_outputs():
    classes = [np.unique(column) for column in OUTPUTS.T]
    model = MLPClassifier(**PARAMS, shuffle=False)
    for _ in range(3):
        model.partial_fit(X, OUTPUTS, classes=classes, X_val=X[:30], y_val=OUTPUTS[:30])
    whole = MLPClassifier(**{**PARAMS, "max_iter": 3}, shuffle=False).fit(X, OUTPUTS)
    assert _same(model, whole)
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]
    parts = zip(OUTPUTS[:30].T, model.predict_proba(X[:30]), classes, strict=True)
    expected = sum(log_loss(column, proba, labels=labels) for column, proba, labels in parts)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected)
    lacking = MLPClassifier(**{**PARAMS, "batch_size": 5}).partial_fit(X[:5], OUTPUTS[:5], classes=classes)
    assert [len(labels) for labels in lacking.classes_] == [3, 3]
    with pytest.raises(ValueError, match=r"y\[:, 1\] has classes not in"):
        model.partial_fit(X, OUTPUTS + [0, 1])
    with pytest.raises(ValueError, match="classes=.*not the same"):
        model.partial_fit(X, OUTPUTS, classes=[[10, 20, 30], [0, 1]])
    with pytest.raises(ValueError, match="loss='hinge' does not go with several outputs"):
        MLPClassifier(**PARAMS, loss="hinge").fit(X, OUTPUTS)
    stopped = MLPClassifier(**PARAMS, early_stopping=True).fit(X, OUTPUTS)
    assert len(stopped.validation_scores_) == stopped.n_iter_


@pytest.mark.parametrize("sparse_y", [False, True])
def test_multilabel_partial_fit_is_fit_epoch_by_epoch(sparse_y):
    y = data("multilabel")[1]
    y = sparse.csr_matrix(y) if sparse_y else y
    whole = MLPClassifier(**PARAMS, shuffle=False).fit(X, y)
    parts = MLPClassifier(**PARAMS, shuffle=False)
    for _ in range(PARAMS["max_iter"]):
        parts.partial_fit(X, y, classes=range(3))
    assert _same(whole, parts)
    assert abs(whole.predict(X) - parts.predict(X)).sum() == 0


def test_columns_of_several_types_and_targets_that_do_not_fit():
    table = pd.DataFrame({"a": [f"c{label}" for label in LABELS], "b": OUTPUTS[:, 1]})
    model = MLPClassifier(**PARAMS).fit(X, table)
    plain = MLPClassifier(**PARAMS).fit(X, OUTPUTS)
    assert _same(model, plain)
    assert model.classes_[0].dtype.kind == "U" and model.classes_[1].dtype.kind == "i"
    predicted = model.predict(X)
    assert list(predicted[:, 0]) == [f"c{label}" for label in plain.predict(X)[:, 0]]
    assert list(predicted[:, 1]) == list(plain.predict(X)[:, 1])
    assert _same(MLPClassifier(**PARAMS).fit(X, OUTPUTS.astype(object)), plain)
    with pytest.raises(ValueError, match="y must be of shape"):
        plain.score(X, OUTPUTS[:1])
    with pytest.raises(TypeError, match="y must be dense"):
        plain.partial_fit(X, sparse.csr_matrix(OUTPUTS))
    assert plain._current_predictors() is plain._current_predictors()


def test_classes_of_any_kind_of_sequence():
    model = MLPClassifier(**PARAMS).partial_fit(X, LABELS, classes=pd.Series([10, 20, 30], index=[5, 6, 7]))
    assert _same(model, MLPClassifier(**PARAMS).partial_fit(X, LABELS, classes=[10, 20, 30]))
    with pytest.raises(ValueError, match="class_weight"):
        MLPClassifier(**PARAMS, class_weight=["balanced", {0: 1}]).partial_fit(X, OUTPUTS)


def test_what_a_model_gives_is_as_it_was_fitted_whatever_the_parameter_says_now():
    margins = MLPClassifier(**PARAMS, loss="hinge").fit(X, LABELS).set_params(loss="log_loss")
    probabilities = MLPClassifier(**PARAMS).fit(X, LABELS).set_params(loss="hinge")
    assert hasattr(margins, "decision_function") and not hasattr(margins, "predict_proba")
    assert hasattr(probabilities, "predict_proba") and not hasattr(probabilities, "decision_function")
    single = MLPRegressor(**PARAMS).fit(X.astype(np.float32), NUMBERS)
    assert single.set_params(dtype="float64").predict(X).dtype == np.float64


def test_activations_changed_in_place_are_those_of_the_next_call():
    model = MLPClassifier(**PARAMS, activation=["relu", "relu"]).partial_fit(X, LABELS, classes=[10, 20, 30])
    other = MLPClassifier(**PARAMS, activation=["relu", "relu"]).partial_fit(X, LABELS, classes=[10, 20, 30])
    model.activation[0] = "tanh"
    other.set_params(activation=["tanh", "relu"])
    assert _same(model.partial_fit(X, LABELS), other.partial_fit(X, LABELS))


def test_weights_are_judged_in_the_precision_that_trains():
    tiny = np.full(N, 1e-42)
    with pytest.raises(ValueError, match="sample_weight must have a positive"):
        MLPRegressor(**PARAMS, dtype="float32").fit(X, NUMBERS, tiny)
    MLPRegressor(**PARAMS, dtype="float64").fit(X.astype(np.float32), NUMBERS, tiny)
    with pytest.raises(ValueError, match="class_weight must have a positive"):
        MLPClassifier(**PARAMS, class_weight=dict.fromkeys([10, 20, 30], 1e-310)).fit(X, LABELS)


# ---- losses as the estimators offer them ----


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel"])
def test_hinge_has_margins_and_no_probabilities(target):
    _, y = data(target)
    model = MLPClassifier(**{**PARAMS, "max_iter": 300}, loss="hinge", learning_rate_init=0.02, alpha=0).fit(X, y)
    assert not hasattr(model, "predict_proba") and not hasattr(model, "predict_log_proba")
    margins, predicted = model.decision_function(X), model.predict(X)
    assert margins.shape == (y.shape if target != "multiclass" else (N, 3))
    assert model.score(X, y) > 0.9 and model.out_activation_ == "identity"
    if target == "multilabel":
        np.testing.assert_array_equal(predicted, margins > 0)
        loss = np.maximum(0, 1 - margins * (2 * y - 1)).sum(axis=1).mean()
    else:
        loss = hinge_loss(y, margins)
    assert model.loss_ == pytest.approx(loss, rel=0.2, abs=0.02)
    stopped = MLPClassifier(**PARAMS, loss="hinge", early_stopping=True).fit(X, y)
    assert max(stopped.validation_scores_) == stopped.best_validation_score_
    plain = MLPClassifier(**PARAMS).fit(X, LABELS)
    assert not hasattr(plain, "decision_function")


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel"])
def test_smoothing_and_focal_losses_are_probabilistic(target):
    _, y = data(target)
    for params in ({"label_smoothing": 0.2}, {"loss": "focal"}, {"loss": "focal", "focal_gamma": 0.0}):
        model = MLPClassifier(**{**PARAMS, "max_iter": 300}, **params, learning_rate_init=0.02).fit(X, y)
        assert model.score(X, y) > 0.85
        assert model.out_activation_ == ("softmax" if target == "multiclass" else "logistic")
    # without `tol`, which is relative for focal alone
    for each in (model, plain := MLPClassifier(**{**PARAMS, "max_iter": 300}, learning_rate_init=0.02)):
        each.set_params(tol=0).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(X), rtol=1e-5, atol=1e-6)
    smooth = MLPClassifier(**{**PARAMS, "max_iter": 2000}, label_smoothing=0.2, alpha=0, tol=0)
    smooth.set_params(batch_size=9).fit(X[:9], y[:9])
    share = 0.2 / (3 if target == "multiclass" else 2)
    assert smooth.predict_proba(X[:9]).min() == pytest.approx(share, abs=0.05)


def test_several_quantiles_at_once():
    rng = np.random.RandomState(0)
    rows = rng.uniform(-1, 1, (800, 2))
    y = rows[:, 0] + rng.exponential(1 + rows[:, 1])
    levels = [0.1, 0.5, 0.9]
    model = MLPRegressor("quantile", (16,), quantile=levels, random_state=0, max_iter=300, learning_rate_init=0.01)
    quietly(model.fit, rows, y)
    predicted = model.predict(rows)
    assert predicted.shape == (800, 3)
    np.testing.assert_allclose((y[:, None] <= predicted).mean(axis=0), levels, atol=0.04)
    losses = [mean_pinball_loss(y, column, alpha=level) for level, column in zip(levels, predicted.T, strict=True)]
    assert model.loss_ == pytest.approx(sum(losses), rel=0.05)
    scores = [d2_pinball_score(y, column, alpha=level) for level, column in zip(levels, predicted.T, strict=True)]
    assert model.score(rows, y) == pytest.approx(np.mean(scores))
    stopped = model.set_params(early_stopping=True, max_iter=20).fit(rows, y)
    assert len(stopped.validation_scores_) == stopped.n_iter_
    single = MLPRegressor("quantile", (16,), quantile=0.9, random_state=0, max_iter=5).fit(rows, y)
    assert single.predict(rows).shape == (800,)
    with pytest.raises(ValueError, match="quantile=.*several levels"):
        model.fit(rows, np.stack([y, y], axis=1))


def _losses_of_rows(y, predicted, levels):
    """The sum over the levels of the pinball losses, for each row."""
    residuals = y[:, None] - predicted
    return np.maximum(np.array(levels) * residuals, (np.array(levels) - 1) * residuals).sum(axis=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("levels", [[0.1, 0.4, 0.5, 0.9], (0.9, 0.1, 0.5, 0.4), [0.5, 0.1, 0.5, 0.9]])
def test_sorted_quantiles_are_in_order_and_lose_no_more(levels, dtype):
    """Chernozhukov, Fernandez-Val and Galichon (2010): no row's loss is larger, that of rows that cross smaller."""
    rows, y = load_diabetes(return_X_y=True)
    rows, y = (rows * 20).astype(dtype), y / y.std()
    model = MLPRegressor("quantile", (20,), quantile=levels, random_state=0, max_iter=4)
    quietly(model.fit, rows, y)
    ordered = MLPRegressor("quantile", (20,), quantile=levels, random_state=0, max_iter=4, sort_quantiles=True)
    quietly(ordered.fit, rows, y)
    assert ordered.loss_curve_ == model.loss_curve_
    plain, predicted = model.predict(rows), ordered.predict(rows)
    by_level = np.argsort(levels, kind="stable")
    assert predicted.dtype == plain.dtype == dtype and predicted.flags.c_contiguous
    np.testing.assert_array_equal(predicted[:, by_level], np.sort(plain))
    before, after = _losses_of_rows(y, plain, levels), _losses_of_rows(y, predicted, levels)
    # to rounding: a rise of one level is subtracted from the fall of another
    assert (after <= before + 4 * np.finfo(dtype).eps * np.abs(plain).max()).all()
    distinct = np.diff(np.array(levels)[by_level]) > 0
    crosses = ((np.diff(plain[:, by_level]) < -1e-3) & distinct).any(axis=1)
    assert 0.1 < crosses.mean() < 1 and (after[crosses] < before[crosses]).all()
    assert ordered.score(rows, y) == pytest.approx(
        np.mean([d2_pinball_score(y, column, alpha=level) for level, column in zip(levels, predicted.T, strict=True)])
    )
    np.testing.assert_array_equal(clone(ordered).set_params(max_iter=4).fit(rows, y).predict(rows), predicted)
    np.testing.assert_array_equal(ordered.set_params(sort_quantiles=False).predict(rows), plain)


def test_only_quantiles_are_sorted():
    y = np.stack([-X[:, 0], X[:, 0] + 9, X[:, 1] - 9], axis=1)
    for quantile in (0.9, [0.9]):
        params = {"quantile": quantile, "random_state": 0, "max_iter": 20}
        plain = MLPRegressor("quantile", (5,), **params).fit(X, y).predict(X)
        outputs = MLPRegressor("quantile", (5,), sort_quantiles=True, **params).fit(X, y).predict(X)
        np.testing.assert_array_equal(outputs, plain)
        assert (np.diff(outputs) < 0).any()
    model = MLPRegressor("quantile", quantile=[0.1, 0.9], sort_quantiles=True, max_iter=1).fit(X, y[:, 0])
    with pytest.raises(
        ValueError, match="has 3 levels to sort the predictions by, but the fitted network has 2 outputs"
    ):
        model.set_params(quantile=[0.1, 0.5, 0.9]).predict(X)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "log_cosh", "quantile", "gamma", "tweedie", "poisson"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_every_regression_loss_learns(loss, solver):
    rng = np.random.RandomState(0)
    rows = rng.uniform(-1, 1, (300, 2))
    mean = np.exp(rows[:, 0] + rows[:, 1] ** 2)
    y = rng.gamma(20, mean / 20)
    model = MLPRegressor(loss, (16,), solver=solver, random_state=0, max_iter=400, learning_rate_init=0.01)
    quietly(model.fit, rows, y)
    assert distance(model.predict(rows), mean) < 0.18
    assert model.out_activation_ == ("exp" if loss in ("gamma", "tweedie", "poisson") else "identity")
    if loss == "gamma":
        assert model.loss_ == pytest.approx(mean_gamma_deviance(y, model.predict(rows)) / 2, rel=0.05)
    if loss in ("gamma", "tweedie", "poisson"):
        with pytest.raises(ValueError, match="y >"):
            model.fit(rows, -y)


# ---- exchange with scikit-learn ----


@pytest.mark.parametrize(
    "params", [{"activation": "gelu"}, {"activation": ["relu", "relu"]}, {"solver": "lion"}, {"loss": "hinge"}]
)
def test_to_sklearn_refuses_what_scikit_learn_has_not(params):
    model = MLPClassifier(**PARAMS, **params).fit(X, LABELS)
    with pytest.raises(ValueError, match=next(iter(params))):
        model.to_sklearn()
    with pytest.raises(ValueError, match="several outputs"):
        MLPClassifier(**PARAMS).fit(X, OUTPUTS).to_sklearn()


def test_to_sklearn_leaves_options_of_the_training_behind():
    model = MLPClassifier(**PARAMS, dropout=0.2, weight_decay=0.01, lr_schedule="cosine", clip_norm=1.0).fit(X, LABELS)
    np.testing.assert_allclose(model.to_sklearn().predict_proba(X), model.predict_proba(X), rtol=1e-12)
    stepped = MLPClassifier(**PARAMS, solver="sgd", lr_schedule="step").fit(X, LABELS).to_sklearn()
    assert stepped._optimizer.lr_schedule == "constant"
    other = MLPClassifier(**PARAMS, solver="adamw").fit(X, LABELS).set_params(solver="adam").to_sklearn()
    assert not hasattr(other, "_optimizer")
    assert MLPClassifier(dropout=0.2).to_sklearn().get_params() == pair("binary")[1].get_params()
    assert fastmlp.from_sklearn(pair("binary")[1]).get_params() == pair("binary")[0].get_params()
