"""scikit-learn's check_estimator finds nothing in ours that it does not find in its own."""

import warnings
from unittest import SkipTest

import pytest
from sklearn import neural_network
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

import fastmlp

SOLVERS = ["adam", "sgd", "lbfgs"]


def _failures(name, solver):
    """Names of the checks that scikit-learn's own estimator does not pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(getattr(neural_network, name)(solver=solver, max_iter=20), on_fail=None, on_skip=None)
    return {result["check_name"] for result in results if result["status"] == "failed"}


_failed = {}
_OF_SCIKIT_LEARN = ("MLPClassifier", "MLPRegressor")


def _checks():
    for name in (*_OF_SCIKIT_LEARN, "ConvClassifier", "ConvRegressor", "RecurrentClassifier", "RecurrentRegressor"):
        for solver in SOLVERS if name in _OF_SCIKIT_LEARN else SOLVERS[:1]:
            estimator = getattr(fastmlp, name)(solver=solver, max_iter=20)
            for _, check in estimator_checks_generator(estimator, mark=None):
                label = getattr(check, "func", check).__name__
                keywords = "-".join(map(str, getattr(check, "keywords", {}).values()))
                yield pytest.param(name, solver, label, check, id=f"{name}-{solver}-{label}-{keywords}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, solver, label, check", list(_checks()))
def test_check(name, solver, label, check):
    # sums of some steps learn slowly at the rate of dense layers
    params = {"learning_rate_init": 0.01, "max_iter": 60} if name.startswith("Recurrent") else {"max_iter": 20}
    try:
        check(getattr(fastmlp, name)(solver=solver, **params))
    except SkipTest:
        raise
    except Exception:
        if name not in _OF_SCIKIT_LEARN:
            raise
        if (name, solver) not in _failed:
            _failed[name, solver] = _failures(name, solver)
        if label not in _failed[name, solver]:
            raise
