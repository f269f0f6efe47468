"""Constructor parameters are looked at as scikit-learn looks at them."""

import numpy as np
import pytest
from parity import quietly
from sklearn.base import BaseEstimator
from sklearn.preprocessing import LabelBinarizer

from fastmlp import MLPClassifier, MLPRegressor, Perceptron

X = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
Y = np.array([0, 1, 1, 0])
KINDS = [MLPClassifier, MLPRegressor, Perceptron]
# what a parameter that takes nearly all of them may be given
REFUSED = [-1, 1.5, "nothing", object(), [object()], {}]


def refusal(call):
    try:
        call()
    except (ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_each_parameter_is_refused_in_the_words_of_scikit_learn(kind):
    refused = set()
    for name in kind._parameter_constraints:
        for value in REFUSED:
            model = kind(**{name: value})
            expected = refusal(lambda model=model: BaseEstimator._validate_params(model))
            assert refusal(model._validate_params) == expected
            if expected is not None:
                assert name in expected
                assert refusal(lambda model=model: model.fit(X, Y)) == expected
                refused.add(name)
    assert refused == set(kind._parameter_constraints)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_of_a_subclass_is_looked_at(kind):
    class Mine(kind):
        def __init__(self, alpha=-1.0, tol=1e-3):
            super().__init__()
            self.alpha, self.tol = alpha, tol

    assert Mine().get_params() == {"alpha": -1.0, "tol": 1e-3}
    for _ in range(2):
        with pytest.raises(ValueError, match=r"The 'alpha' parameter of Mine must be a float .* Got -1.0 instead"):
            Mine().fit(X, Y)
    Mine(alpha=1.0)._validate_params()


@pytest.mark.parametrize(
    "y",
    [
        np.array([3, 1, 2, 1, 2, 3, 1, 1, 1, 1, 1, 1, 1], np.int8),
        np.array([0, 7] * 4, np.uint64),
        np.array([2] * 4, np.int32),
        np.array([True, False] * 4),
        np.array(["no", "yes"] * 4, "<U9"),
        np.array(["a", "bc", "d"] * 4, dtype=object),
        np.array([0.0, 2.0] * 4),
        np.arange(30),
        np.arange(3),
    ],
    ids=lambda y: f"{y.dtype}-{len(y)}",
)
def test_labels_are_learnt_as_a_label_binarizer_learns_them(y):
    model = quietly(MLPClassifier((2,), max_iter=1).fit, np.zeros((len(y), 1)), y)
    expected, learnt = LabelBinarizer().fit(y), model._label_binarizer
    np.testing.assert_array_equal(model.classes_, expected.classes_, strict=True)
    assert vars(learnt).keys() == vars(expected).keys()
    assert (learnt.y_type_, learnt.sparse_input_) == (expected.y_type_, expected.sparse_input_)
    np.testing.assert_array_equal(learnt.transform(y), expected.transform(y))
