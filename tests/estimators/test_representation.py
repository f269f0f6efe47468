"""The HTML that notebooks show: scikit-learn's, and in it what the network is like."""

import html
import re

import numpy as np
import pytest
import sklearn
from parity import data, quietly
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

from fastmlp import MLPClassifier, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor, from_sklearn
from fastmlp.training.recipes import Recipe

X, LABELS = data("multiclass")
NUMBERS = data("regression")[1]
N_FEATURES, N_CLASSES = X.shape[1], len(np.unique(LABELS))
PARAMS = {"max_iter": 6, "random_state": 0, "batch_size": 16}


def shown(estimator):
    """Rows of the summary, text by name."""
    rows = re.findall(r'<td style="padding: .5em">(.*?)</td><td style="padding: .5em">(.*?)</td>', page(estimator))
    return {name: html.unescape(text) for name, text in rows}


def page(estimator):
    text = estimator._repr_html_()
    assert estimator._repr_mimebundle_()["text/html"].count("<table") == text.count("<table")
    return text


def test_unfitted():
    model = MLPClassifier((7, 3), activation=["gelu", "tanh"])
    assert shown(model) == {"Layers": "features → 7 gelu → 3 tanh → outputs"}
    assert shown(MLPRegressor(hidden_layer_sizes=5)) == {"Layers": "features → 5 relu → outputs"}
    assert shown(MLPRegressor(hidden_layer_sizes=())) == {"Layers": "features → outputs"}


@pytest.mark.parametrize("dtype, n_bytes", [("float32", 4), ("float64", 8)])
def test_fitted(dtype, n_bytes):
    model = quietly(MLPClassifier((7, 3), **PARAMS, activation=["gelu", "tanh"], dtype=dtype).fit, X, LABELS)
    n = (N_FEATURES + 1) * 7 + 8 * 3 + 4 * N_CLASSES
    size = n * n_bytes
    assert shown(model) == {
        "Layers": f"{N_FEATURES} → 7 gelu → 3 tanh → {N_CLASSES} softmax",
        "Size": f"{n} parameters ({dtype}, {f'{size} B' if size < 1000 else f'{size / 1000:.3g} kB'})",
        "Training": f"6 epochs, loss {model.loss_curve_[-1]:.4g}",
    }


def test_large_numbers_have_commas_and_larger_units():
    model = MLPRegressor(hidden_layer_sizes=(1000,))
    model.coefs_ = [np.zeros((499, 1000)), np.zeros((1000, 1))]
    model.intercepts_ = [np.zeros(1000), np.zeros(1)]
    assert shown(model)["Size"] == "501,001 parameters (float64, 4.01 MB)"
    model.coefs_[0] = np.broadcast_to(np.zeros(1), (10**6, 1000))
    assert shown(model)["Size"] == "1,000,002,001 parameters (float64, 8 GB)"


def test_validation():
    model = MLPRegressor(hidden_layer_sizes=(4,), **PARAMS, learning_rate_init=0.1)
    quietly(model.fit, X, NUMBERS, X_val=X[:20], y_val=NUMBERS[:20])
    loss, scores = model.validation_loss_curve_[-1], model.validation_scores_
    assert shown(model)["Validation"] == f"loss {loss:.4g}, score {scores[-1]:.4g}, best {max(scores):.4g}"
    model = quietly(MLPRegressor(hidden_layer_sizes=(4,), **PARAMS, early_stopping=True).fit, X, NUMBERS)
    scores = model.validation_scores_
    assert shown(model)["Validation"] == f"score {scores[-1]:.4g}, best {max(scores):.4g}"


def test_epochs_are_those_of_all_calls_and_lbfgs_has_iterations():
    model = MLPRegressor(hidden_layer_sizes=(4,), **PARAMS).partial_fit(X, NUMBERS)
    assert shown(model)["Training"] == f"1 epoch, loss {model.loss_:.4g}"
    model.partial_fit(X, NUMBERS)
    assert shown(model)["Training"] == f"2 epochs, loss {model.loss_:.4g}"
    model = quietly(MLPRegressor(hidden_layer_sizes=(4,), **PARAMS, solver="lbfgs").fit, X, NUMBERS)
    assert shown(model)["Training"] == f"6 iterations, loss {model.loss_:.4g}"


def test_several_outputs_of_classes():
    y = np.column_stack([LABELS, NUMBERS > 0])
    model = quietly(MLPClassifier((4,), **PARAMS).fit, X, y)
    assert shown(model)["Layers"] == f"{N_FEATURES} → 4 relu → {N_CLASSES} + 2 softmax"


def test_within_the_diagrams_of_others():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((4,), **PARAMS))
    assert shown(pipeline) == {"Layers": "features → 4 relu → outputs"}
    quietly(pipeline.fit, X, LABELS)
    assert shown(pipeline) == shown(pipeline[-1]) and "Size" in shown(pipeline)
    search = quietly(GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1, 1]}, cv=2).fit, X, LABELS)
    assert shown(search)["Layers"].startswith(f"{N_FEATURES} → 4 relu")


def test_scikit_learn_s_part_is_as_it_was():
    model = MLPClassifier((4,), alpha=0.25)
    summary = r'<div class="estimator-table"><table class="parameters-table"><tbody><tr.*?</div>'
    theirs = re.sub(summary, "", page(model))
    assert "<summary>Parameters</summary>" in theirs and "0.25" in theirs and "features →" not in theirs
    assert "features →" in estimator_html_repr(model)
    with sklearn.config_context(display="text"):
        assert not hasattr(model, "_repr_html_")
        assert list(model._repr_mimebundle_()) == ["text/plain"]


def test_everything_is_escaped():
    class Odd(str):
        def __str__(self):
            return "<script>alert(1)</script>"

        __format__ = __repr__ = lambda self, *_: str(self)

    model = quietly(MLPClassifier((4,), **PARAMS).fit, X, LABELS)
    model.out_activation_, model.activation = Odd("softmax"), "<b>relu</b>"
    assert "<script>alert" in shown(model)["Layers"] and "<b>relu" in shown(model)["Layers"]
    assert "<script>alert" not in page(model) and "<b>relu" not in page(model)
    assert "<b>relu" not in page(make_pipeline(model))


class _Hostile:
    def __array__(self, *args, **kwargs):
        raise RuntimeError


BROKEN = {
    "coefs_": [None, [], [None], [3.0], "abc", [np.zeros(3)], [[[1, 2], [3]]], object(), _Hostile()],
    "intercepts_": [None, [], "abc", [object()], 3],
    "activation": [None, 5, [], ["relu", "relu"], [None]],
    "out_activation_": [None, 5],
    "loss_": [None, "low", [1.0]],
    "loss_curve_": [None, 5, []],
    "n_iter_": [None],
    "validation_scores_": [None, 5, ["a"], [[]], np.ones(3)],
    "best_validation_score_": [None, "a"],
    "validation_loss_curve_": [None, 5, ["a"], np.ones(3)],
}


@pytest.mark.parametrize("name", BROKEN)
def test_models_that_somebody_broke_are_shown_all_the_same(name):
    def model():
        made = MLPClassifier((4,), **PARAMS)
        return quietly(made.fit, X, LABELS, X_val=X[:20], y_val=LABELS[:20])

    whole = shown(model())
    for value in BROKEN[name]:
        broken = model()
        setattr(broken, name, value)
        assert set(shown(broken)) <= set(whole)
        shown(make_pipeline(broken))
    if name == "activation":  # without a parameter scikit-learn's own part fails
        return
    broken = model()
    delattr(broken, name)
    assert set(shown(broken)) <= set(whole) and "<summary>Parameters</summary>" in page(broken)


@pytest.mark.parametrize("sizes", [None, "abc", (0,), (2.5,), [[3]]])
def test_parameters_that_fit_would_refuse(sizes):
    assert "<summary>Parameters</summary>" in page(MLPClassifier(sizes)) and shown(MLPClassifier(sizes)) == {}


def test_another_interface_of_scikit_learn_s_is_left_alone(monkeypatch):
    monkeypatch.setattr(BaseEstimator, "_get_params_html", lambda self: {"alpha": 1})
    assert MLPClassifier()._get_params_html() == {"alpha": 1}


def test_models_from_scikit_learn():
    theirs = quietly(MLPClassifier((4,), **PARAMS).fit, X, LABELS).to_sklearn()
    assert shown(from_sklearn(theirs))["Layers"] == f"{N_FEATURES} → 4 relu → {N_CLASSES} softmax"


def table(n=40):
    return {
        "size": np.arange(n) / 7,
        "<b>rooms</b>": [None if i % 9 == 0 else i % 5 for i in range(n)],
        "sold": np.datetime64("2024-02-29") + np.arange(n),
        "town": [("Graz", "Lyon", "Porto", "Oslo", "Bern")[min(i % 7, 4) if i > 1 else 3 + i] for i in range(n)],
        "street": [f"{i % 20} lane" for i in range(n)],
        "new": np.arange(n) % 3 == 0,
        "nothing": [None] * n,
    }


def test_tables():
    assert shown(TabularMLPClassifier()) == {}
    recipe = Recipe(hidden_layer_sizes=(5,), epochs=3)
    model = TabularMLPRegressor(2, random_state=0, recipe=recipe).fit(table(), np.arange(40))
    n = sum(array.size for array in model.members_[0].parameters)
    best = sorted(member.best_epoch_ for member in model.members_)
    expected = {
        "Numbers": "2: size, <b>rooms</b>",
        "Dates": "1: sold (days, month, day of week)",
        "Categories": "3: town (5 levels), street (20 levels), new (2 levels)",
        "Empty columns": "1: nothing",
        "Members": f"2 of {n:,} parameters, best epochs {' to '.join(map(str, dict.fromkeys(best)))} of 3",
        "Out-of-fold score": f"{model.oof_score_:.4g}",
    }
    assert shown(model) == expected and "<b>rooms" not in page(model)
    pipeline = make_pipeline("passthrough", model)
    assert shown(pipeline) == expected
    del model.encoder_
    assert shown(model) == {name: expected[name] for name in ("Members", "Out-of-fold score")}


def test_wide_tables_and_members_of_several_recipes():
    wide = np.random.default_rng(0).normal(size=(30, 1500))
    model = TabularMLPClassifier(1, random_state=0, recipe=Recipe(hidden_layer_sizes=(2,), epochs=1, frequencies=0))
    model.fit(wide, np.arange(30) % 2)
    assert shown(model)["Numbers"] == "1,500: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …"
    other = clone(model).set_params(recipe=Recipe(hidden_layer_sizes=(3,), epochs=1, frequencies=0))
    model.members_ = [*model.members_, *other.fit(wide, np.arange(30) % 2).members_]
    sizes = [sum(array.size for array in member.parameters) for member in model.members_]
    assert shown(model)["Members"].startswith(f"2 of 2 recipes, {sizes[0]:,} to {sizes[1]:,} parameters, best epoch")
