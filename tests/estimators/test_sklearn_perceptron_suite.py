"""scikit-learn's own tests of its Perceptron, as installed, with only the import swapped."""

from pathlib import Path

import pytest
import sklearn.linear_model.tests

_FILE = Path(sklearn.linear_model.tests.__path__[0]) / "test_perceptron.py"
_THEIRS = "from sklearn.linear_model import Perceptron"
_SOURCE = _FILE.read_text()

assert _SOURCE.count(_THEIRS) == 1
exec(compile(_SOURCE.replace(_THEIRS, "from fastmlp import Perceptron"), str(_FILE), "exec"))  # noqa: S102


@pytest.fixture
def global_random_seed():
    return 42


def test_the_estimator_under_test_is_ours():
    assert Perceptron.__module__ == "fastmlp.estimators.perceptron"  # noqa: F821
