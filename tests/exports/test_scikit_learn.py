"""Models to and from scikit-learn."""

import numpy as np
import pytest
from parity import REGRESSION, assert_same_model, data, pair, quietly
from sklearn import linear_model
from sklearn.linear_model import LogisticRegression

import fastmlp
from fastmlp import from_sklearn

TARGETS = ["binary", "multiclass", "multilabel", "regression", "multi-output", "poisson"]
PARAMS = {"hidden_layer_sizes": (6, 4), "max_iter": 10, "random_state": 0, "alpha": 0.01}
# what makes a continuation differ if it is lost: momentum, both moments and the count of steps, the scheduled rate
SOLVERS = {
    "adam": {"solver": "adam", "beta_1": 0.8},
    "sgd": {"solver": "sgd", "learning_rate": "invscaling", "nesterovs_momentum": False},
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_training_goes_on_after_the_exchange_as_without_it(target, solver):
    X, y = data(target)
    ours, theirs = pair(target, **PARAMS, **SOLVERS[solver])
    for model in (ours, theirs):
        quietly(model.fit, X, y)
    taken, given = from_sklearn(theirs), ours.to_sklearn()
    assert type(taken) is type(ours) and type(given) is type(theirs)
    assert taken.get_params() == ours.get_params()
    assert given.get_params() == theirs.get_params()
    assert_same_model(taken, theirs, X, tol=1e-12)
    assert_same_model(ours, given, X, tol=1e-12)
    for model in (ours, theirs, taken, given):
        for _ in range(3):
            model.partial_fit(X, y)
    assert_same_model(taken, theirs, X)
    assert_same_model(taken, given, X)
    assert_same_model(ours, given, X)


@pytest.mark.parametrize("target", TARGETS)
def test_lbfgs_and_early_stopping_models(target):
    X, y = data(target)
    for params in ({"solver": "lbfgs"}, {"early_stopping": True, "warm_start": True}):
        ours, theirs = pair(target, **PARAMS, **params)
        for model in (ours, theirs):
            quietly(model.fit, X, y)
        taken, given = from_sklearn(theirs), ours.to_sklearn()
        assert_same_model(taken, theirs, X, tol=1e-12)
        assert_same_model(ours, given, X, tol=1e-12)
        for model in (taken, ours, given):
            quietly(model.fit, X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("target", ["binary", "multiclass"])
def test_a_perceptron_goes_on_after_the_exchange_as_without_it(target, dtype):
    X, y = data(target)
    X = X.astype(dtype)
    params = {"penalty": "l2", "max_iter": 3, "tol": None, "random_state": 1, "warm_start": True}
    ours, theirs = (kind(**params).fit(X, y) for kind in (fastmlp.Perceptron, linear_model.Perceptron))
    taken, given = from_sklearn(theirs), ours.to_sklearn()
    assert type(taken) is fastmlp.Perceptron and type(given) is linear_model.Perceptron
    assert taken.get_params() == ours.get_params()
    assert given.get_params() == theirs.get_params()
    assert vars(taken).keys() == vars(ours).keys()
    before = ours.coef_.copy()
    models = (ours, theirs, taken, given)
    for train in ("fit", "partial_fit", "partial_fit"):
        for model in models:
            np.testing.assert_array_equal(model.decision_function(X), ours.decision_function(X))
            assert (model.t_, model.n_iter_) == (ours.t_, ours.n_iter_)
        for model in models:
            getattr(model, train)(X, y)
    for model in models:
        np.testing.assert_array_equal(model.coef_, ours.coef_)
        np.testing.assert_array_equal(model.intercept_, ours.intercept_)
    assert (ours.coef_ != before).any()
    assert not np.shares_memory(from_sklearn(theirs).coef_, theirs.coef_)
    assert vars(from_sklearn(linear_model.Perceptron(**params))) == vars(fastmlp.Perceptron(**params))


def test_nothing_is_shared():
    X, y = data("multiclass")
    _, theirs = pair("multiclass", **PARAMS)
    quietly(theirs.fit, X, y)
    taken = from_sklearn(theirs)
    expected = theirs.predict_proba(X)
    back = taken.to_sklearn()
    taken.partial_fit(X, y)
    taken.coefs_[0][...] = 0
    np.testing.assert_array_equal(theirs.predict_proba(X), expected)
    np.testing.assert_array_equal(back.predict_proba(X), expected)


@pytest.mark.parametrize("target", ["binary", "poisson"])
def test_estimators_that_are_not_fitted(target):
    ours, theirs = pair(target, **PARAMS)
    for model, original in ((from_sklearn(theirs), ours), (ours.to_sklearn(), theirs)):
        assert type(model) is type(original)
        assert vars(model) == {**vars(original)}


@pytest.mark.parametrize("wrong", [LogisticRegression(), fastmlp.MLPClassifier(), "MLPClassifier"])
def test_from_sklearn_refuses_anything_else(wrong):
    with pytest.raises(TypeError, match="must be scikit-learn's MLPClassifier or MLPRegressor or Perceptron"):
        from_sklearn(wrong)


def test_names_of_constructor_parameters_and_defaults_are_those_of_scikit_learn():
    for target in ("binary", "regression"):
        ours, theirs = pair(target)
        assert ours.get_params().items() >= theirs.get_params().items()
        # positional use
        args = ("poisson", (3,), "tanh") if target in REGRESSION else ((3,), "tanh")
        assert type(ours)(*args).get_params().items() >= type(theirs)(*args).get_params().items()
        with pytest.raises(TypeError):
            type(ours)(*args, "adam")
