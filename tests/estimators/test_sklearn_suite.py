"""scikit-learn's own tests of its MLPs, as installed, with only the import swapped."""

from pathlib import Path

import pytest
import sklearn.neural_network.tests

_FILE = Path(sklearn.neural_network.tests.__path__[0]) / "test_mlp.py"
_THEIRS = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
_SOURCE = _FILE.read_text()

assert _SOURCE.count(_THEIRS) == 1
exec(compile(_SOURCE.replace(_THEIRS, "from fastmlp import MLPClassifier, MLPRegressor"), str(_FILE), "exec"))  # noqa: S102

del test_gradient  # noqa: F821  differentiates a private method of scikit-learn's; ours is tested with the engine


@pytest.fixture
def global_random_seed():
    return 42


def test_the_estimators_under_test_are_ours():
    assert {MLPClassifier.__module__, MLPRegressor.__module__} == {  # noqa: F821
        "fastmlp.estimators.classifier",
        "fastmlp.estimators.regressor",
    }
