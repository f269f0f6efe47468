"""Spaces become distributions of Optuna's, and what is drawn becomes parameters."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import (
    ConvClassifier,
    MLPClassifier,
    MLPRegressor,
    Perceptron,
    RecurrentRegressor,
    TabularMLPClassifier,
    TabularMLPRegressor,
)
from fastmlp.training.recipes import Recipe

distributions = pytest.importorskip("optuna").distributions

from fastmlp.tuning import default_space  # noqa: E402
from fastmlp.tuning.spaces import Space  # noqa: E402


@pytest.mark.parametrize(
    "given, expected",
    [
        (stats.uniform(0.1, 0.3), distributions.FloatDistribution(0.1, 0.4)),
        (stats.loguniform(1e-4, 1e-1), distributions.FloatDistribution(1e-4, 1e-1, log=True)),
        (stats.randint(2, 9), distributions.IntDistribution(2, 8)),
        (distributions.IntDistribution(1, 5), distributions.IntDistribution(1, 5)),
        ([0.1, 0.5], distributions.CategoricalDistribution([0.1, 0.5])),
        (np.array([2, 3]), distributions.CategoricalDistribution([2, 3])),
    ],
    ids=["uniform", "loguniform", "randint", "own", "list", "array"],
)
def test_what_optuna_has_is_its_own(given, expected):
    space = Space({"alpha": given}, MLPClassifier().get_params())
    assert space.distributions == {"alpha": expected}
    value = expected.choices[0] if hasattr(expected, "choices") else expected.low
    assert space.params({"alpha": value}) == {"alpha": value}


@pytest.mark.parametrize("name", ["norm", "shifted", "poisson"])
def test_other_distributions_are_drawn_by_quantiles(name):
    given = {"norm": stats.norm(2, 3), "shifted": stats.loguniform(1, 2, loc=1), "poisson": stats.poisson(4)}[name]
    space = Space({"alpha": given}, MLPClassifier().get_params())
    part = space.distributions["alpha"]
    assert (part.low, part.high) == (1e-6, 1 - 1e-6)
    for share in (part.low, 0.3, 0.9, part.high):
        value = space.params({"alpha": share})["alpha"]
        assert value == given.ppf(share) and type(value) in (int, float)


def test_values_that_no_storage_keeps_have_labels():
    values = [(64,), (64, 64), np.float64]
    space = Space({"hidden_layer_sizes": values, "alpha": [1, True]}, MLPClassifier().get_params())
    labels = space.distributions["hidden_layer_sizes"].choices
    assert labels == ("(64,)", "(64, 64)", "<class 'numpy.float64'>")
    for label, value in zip(labels, values, strict=True):
        assert space.params({"hidden_layer_sizes": label, "alpha": "True"})["hidden_layer_sizes"] is value
    assert space.params({"hidden_layer_sizes": labels[0], "alpha": "True"})["alpha"] is True
    alike = [object.__new__(type("Same", (), {"__repr__": lambda self: "same"})) for _ in range(2)]
    space = Space({"alpha": alike}, MLPClassifier().get_params())
    assert space.distributions["alpha"].choices == ("0: same", "1: same")


def test_a_dict_is_put_together_over_the_one_that_is_there():
    parts = {"recipe": {"dropout": stats.uniform(0, 0.5), "activation": ["mish"]}}
    drawn = {"recipe.dropout": 0.25, "recipe.activation": "mish"}
    for before, expected in (
        (None, {"dropout": 0.25, "activation": "mish"}),
        ({"epochs": 3, "dropout": 0.1}, {"epochs": 3, "dropout": 0.25, "activation": "mish"}),
        (Recipe(epochs=3), Recipe(epochs=3, dropout=0.25, activation="mish")),
    ):
        space = Space(parts, TabularMLPClassifier(recipe=before).get_params())
        assert list(space.distributions) == ["recipe.dropout", "recipe.activation"]
        assert space.params(drawn) == {"recipe": expected}
    steps = make_pipeline(TabularMLPClassifier())
    params = Space({"tabularmlpclassifier__recipe": parts["recipe"]}, steps.get_params()).params(
        {"tabularmlpclassifier__recipe.dropout": 0.0}
    )
    assert params == {"tabularmlpclassifier__recipe": {"dropout": 0.0}}


@pytest.mark.parametrize(
    "space, error, said",
    [
        ({}, ValueError, "space must be a dict of at least one parameter, got {}."),
        ({"alhpa": [1]}, ValueError, "'alhpa', which is no parameter of the estimator; did you mean 'alpha'?"),
        ({"qqqqq": [1]}, ValueError, "space has 'qqqqq', which is no parameter of the estimator."),
        ({"alpha": []}, ValueError, r"space\['alpha'\] is empty."),
        ({"recipe": {}}, ValueError, r"space\['recipe'\] is an empty dict."),
        ({"alpha": 0.1}, TypeError, r"space\['alpha'\] must be a distribution of optuna.distributions or scipy.stats"),
        ({"recipe": {"dorpout": [0.1]}}, ValueError, "recipe has 'dorpout', which is none of hidden_layer_sizes, "),
    ],
)
def test_what_is_no_space_is_refused(space, error, said):
    with pytest.raises(error, match=said):
        Space(space, (TabularMLPClassifier() if "recipe" in space else MLPClassifier()).get_params())


def test_a_step_that_is_searched_may_have_parameters_of_its_own():
    steps = make_pipeline(StandardScaler(), LogisticRegression())
    space = Space({"logisticregression": [MLPClassifier()], "logisticregression__alpha": [0.1]}, steps.get_params())
    assert list(space.distributions) == ["logisticregression", "logisticregression__alpha"]


@pytest.mark.parametrize(
    "estimator",
    [
        MLPClassifier(),
        MLPRegressor(solver="sgd"),
        MLPRegressor(solver="lbfgs"),
        Perceptron(),
        ConvClassifier(),
        RecurrentRegressor(),
        TabularMLPClassifier(),
        TabularMLPRegressor(recipe={"dropout": 0.1}),
        make_pipeline(StandardScaler(), MLPClassifier()),
    ],
    ids=lambda estimator: f"{type(estimator).__name__}",
)
def test_each_draw_of_a_default_space_is_valid(estimator):
    import optuna

    space = Space(default_space(estimator), estimator.get_params())
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        params = space.params(study.ask(space.distributions).params)
        estimator.set_params(**params)
        if hasattr(estimator, "_validate_params"):
            estimator._validate_params()
        if "recipe" in params:
            assert Recipe(**params["recipe"])
        assert params.keys() <= estimator.get_params().keys()
    assert "dropout" not in default_space(MLPRegressor(solver="lbfgs"))
    assert ("label_smoothing" in default_space(TabularMLPClassifier())["recipe"]) is True
    assert "label_smoothing" not in default_space(TabularMLPRegressor())["recipe"]
    assert "dropout" not in default_space(TabularMLPClassifier(recipe={"dropout": 0.1}))["recipe"]


def test_other_estimators_have_no_default_space():
    with pytest.raises(TypeError, match="space=None: there is no default space for LogisticRegression, give one."):
        default_space(make_pipeline(StandardScaler(), LogisticRegression()))
