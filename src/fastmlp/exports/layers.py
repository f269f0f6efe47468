"""A fitted model as one network, which every export walks: its layers, and what its outputs mean."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ..engine import ACTIVATIONS
from ..engine.architecture import Dense, Inputs, LayerNorm, Residual, has_weights, sources, weight_shapes
from ..training.arrays import check_parameters, for_each, parameters_dtype, plain_array

__all__ = ["SELU_ALPHA", "SELU_SCALE", "FittedNetwork", "Layer", "network_of", "told"]

# Klambauer et al. (2017)
SELU_SCALE, SELU_ALPHA = 1.0507009873554804935, 1.6732632423543772848


class Layer(NamedTuple):
    """One layer: ``activation(a @ coef + intercept)``, or a window that slides over planes."""

    coef: np.ndarray | None  # (n_in, n_out), of a convolution (elements of its window, channels), of a normalisation
    # its factors (n_out,); pooling has none
    intercept: np.ndarray | None  # (n_out,)
    activation: str  # a row of the engine's table, or "softmax"
    window: Any = None  # the engine's layer, where it is not dense


class FittedNetwork(NamedTuple):
    """Layers in order, and what the outputs of the last one mean.

    A target of "class" is decided by the sign of its output, or by the largest of several; each of a "multilabel"
    target by the sign of its own; of "multioutput" by the largest in each segment. Signs are those before the last
    activation.
    """

    layers: list[Layer]  # arrays C-contiguous and of the dtype that `predict` computes with
    target: str  # "regression", "class", "multilabel" or "multioutput"
    classes: list[np.ndarray]  # labels of the one class, or of each of several; empty where there are none
    segments: tuple[int, ...]  # numbers of adjacent outputs that a softmax is over
    weights: str  # what the estimator calls the weights and biases of layer i, to be formatted with it
    biases: str
    ranks: np.ndarray | None = None  # the place of each output in its row, where rows of predictions are sorted

    @property
    def n_features(self):
        first = self.layers[0]
        if first.window is None:
            return len(first.coef)
        return first.window.reads

    @property
    def added(self):
        """Of each residual connection, by its number among the layers, the layer that it adds; -1: the input."""
        layers = [Dense(len(layer.intercept)) if layer.window is None else layer.window for layer in self.layers]
        return sources(Inputs(self.n_features), layers)

    @property
    def n_outputs(self):
        return len(self.layers[-1].intercept)

    @property
    def activation(self):
        """That of the outputs."""
        return self.layers[-1].activation


def told(layer):
    """What a layer leaves, and how, in a few words: "6 x 8 x 8 relu"."""
    if layer.window is None:
        return f"{len(layer.intercept)} {layer.activation}"
    shape = " x ".join(map(str, layer.window.shape_out))
    kind = type(layer.window).__name__
    if isinstance(layer.window, LayerNorm | Residual):
        return f"{shape} {kind}" if layer.activation == "identity" else f"{shape} {kind} {layer.activation}"
    return f"{shape} {getattr(layer.window, 'activation', kind)}"


def network_of(estimator):
    """The network that a fitted estimator predicts with; of a perceptron its one layer.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or Perceptron

    Returns
    -------
    network : FittedNetwork

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If its weights, biases or `activation` are not those of one network.
    """
    check_is_fitted(estimator)
    if hasattr(estimator, "coef_"):
        layer = _perceptron_layer(estimator)
        return FittedNetwork([layer], "class", [estimator.classes_], (len(layer.intercept),), "coef_", "intercept_")
    layers = _layers(estimator)
    target, classes = "regression", []
    if estimator._segments is not None:
        target, classes = "multioutput", estimator.classes_
    elif is_classifier(estimator) and estimator._is_binary() and estimator.n_outputs_ > 1:
        target = "multilabel"
    elif is_classifier(estimator):
        target, classes = "class", [estimator.classes_]
    segments = estimator._segments or (estimator.n_outputs_,)
    ranks = estimator._quantile_ranks
    return FittedNetwork(layers, target, classes, segments, "coefs_[{}]", "intercepts_[{}]", ranks)


def _layers(estimator):
    """The layers of a multilayer perceptron."""
    dtype = parameters_dtype(estimator.coefs_)
    layers = estimator._layers(estimator.n_features_in_, estimator.n_outputs_)
    if layers is not None:
        return _layers_with_windows(
            estimator,
            layers[1:],
            *check_parameters(estimator.coefs_, estimator.intercepts_, dtype, weight_shapes(layers)),
        )
    coefs, intercepts = check_parameters(estimator.coefs_, estimator.intercepts_, dtype)
    hidden = for_each(estimator.activation, len(coefs) - 1)
    if len(hidden) != len(coefs) - 1:
        raise ValueError(f"activation={hidden!r} must name one function for each of {len(coefs) - 1} hidden layers.")
    if not all(name in ACTIVATIONS for name in hidden):
        raise ValueError(f"activation={estimator.activation!r} must name functions among {', '.join(ACTIVATIONS)}.")
    if coefs[-1].shape[1] != estimator.n_outputs_:
        raise ValueError(f"coefs_[-1] must be of shape (fan_in, {estimator.n_outputs_}), got {coefs[-1].shape}.")
    return [Layer(*layer) for layer in zip(coefs, intercepts, [*hidden, estimator.out_activation_], strict=True)]


def _layers_with_windows(estimator, layers, coefs, intercepts):
    """The layers of a network that has convolutions."""
    parameters = iter(zip(coefs, intercepts, strict=True))
    made = []
    for layer in layers:
        coef, intercept = next(parameters) if has_weights(layer) else (None, None)
        activation = getattr(layer, "activation", "identity")
        window = None if isinstance(layer, Dense) else layer
        made.append(Layer(coef, intercept, estimator.out_activation_ if layer is layers[-1] else activation, window))
    return made


def _perceptron_layer(estimator):
    """The step neurons as one layer of sums."""
    coef, intercept = estimator.coef_, np.asarray(estimator.intercept_)
    coef = coef.toarray() if issparse(coef) else np.asarray(coef)
    n_neurons = 1 if len(estimator.classes_) == 2 else len(estimator.classes_)
    if coef.shape != (n_neurons, estimator.n_features_in_) or intercept.shape != (n_neurons,):
        raise ValueError(
            f"coef_ and intercept_ must be of shapes {(n_neurons, estimator.n_features_in_)} and ({n_neurons},), got"
            f" {coef.shape} and {intercept.shape}."
        )
    dtype = parameters_dtype([coef, intercept])
    return Layer(plain_array(coef.T, dtype), plain_array(intercept, dtype), "identity")
