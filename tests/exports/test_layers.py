"""The list of layers that exports walk."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from fastmlp import MLPClassifier, MLPRegressor, Perceptron
from fastmlp.exports.layers import network_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X = np.linspace(-1, 1, 40).reshape(20, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_are_those_of_predict(dtype):
    model = MLPClassifier((5, 3), activation=["tanh", "relu"], max_iter=2, random_state=0)
    layers = network_of(model.fit(X.astype(dtype), np.arange(20) % 3)).layers
    assert [layer.activation for layer in layers] == ["tanh", "relu", "softmax"]
    assert [layer.coef.shape for layer in layers] == [(2, 5), (5, 3), (3, 3)]
    for layer, coef, intercept in zip(layers, model.coefs_, model.intercepts_, strict=True):
        assert layer.coef.dtype == layer.intercept.dtype == dtype
        np.testing.assert_array_equal(layer.coef, coef)
        np.testing.assert_array_equal(layer.intercept, intercept)


def test_what_is_not_a_network_is_refused():
    model = MLPRegressor(hidden_layer_sizes=(5, 3), max_iter=2, random_state=0)
    with pytest.raises(NotFittedError):
        network_of(model)
    model.fit(X, X[:, 0])
    model.activation = ["tanh"]
    with pytest.raises(ValueError, match="one function for each of 2 hidden layers"):
        network_of(model)
    model.coefs_ = [model.coefs_[0], model.coefs_[1][:4], model.coefs_[2]]
    with pytest.raises(ValueError, match=r"coefs_\[1\] must be of shape \(5, fan_out\)"):
        network_of(model)


def test_activations_and_outputs_that_no_network_has_are_refused():
    model = MLPClassifier((5,), max_iter=2, random_state=0).fit(X, np.arange(20) % 3)
    for activation in ("softmax", "exp", "none", ["softmax"], [None]):
        model.activation = activation
        with pytest.raises(ValueError, match="activation=.* must name functions among identity, logistic, tanh"):
            network_of(model)
    model.activation = "relu"
    model.coefs_[1], model.intercepts_[1] = np.ones((5, 2)), np.ones(2)
    with pytest.raises(ValueError, match=r"coefs_\[-1\] must be of shape \(fan_in, 3\), got \(5, 2\)"):
        network_of(model)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_perceptron_is_one_layer(dtype, n_classes):
    model = Perceptron().fit(X.astype(dtype), np.arange(20) % n_classes)
    network = network_of(model)
    ((coef, intercept, activation, _),) = network.layers
    # two classes have a bias in float64
    assert coef.dtype == intercept.dtype == np.result_type(model.coef_, model.intercept_)
    np.testing.assert_array_equal(coef.T, model.coef_)
    np.testing.assert_array_equal(intercept, model.intercept_)
    assert activation == "identity" and network.target == "class" and coef.flags.c_contiguous
    np.testing.assert_array_equal(network.classes, [np.arange(n_classes)])
    np.testing.assert_array_equal(network_of(model.sparsify()).layers[0].coef, coef)


def test_what_is_not_a_perceptron_is_refused():
    with pytest.raises(NotFittedError):
        network_of(Perceptron())
    model = Perceptron().fit(X, np.arange(20) % 3)
    model.coef_ = model.coef_[:2]
    with pytest.raises(ValueError, match=r"must be of shapes \(3, 2\) and \(3,\), got \(2, 2\) and \(3,\)"):
        network_of(model)
