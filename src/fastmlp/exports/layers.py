"""A fitted network as the list of its layers, which every export walks."""

from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..engine import ACTIVATIONS
from ..estimators.inputs import check_parameters, parameters_dtype

__all__ = ["SELU_ALPHA", "SELU_SCALE", "Layer", "layers_of"]

# Klambauer et al. (2017)
SELU_SCALE, SELU_ALPHA = 1.0507009873554804935, 1.6732632423543772848


class Layer(NamedTuple):
    """One layer: ``activation(a @ coef + intercept)``."""

    coef: np.ndarray  # (n_in, n_out)
    intercept: np.ndarray  # (n_out,)
    activation: str  # a row of the engine's table, or "softmax"


def layers_of(estimator):
    """The layers of a fitted estimator.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor

    Returns
    -------
    layers : list of Layer
        In order, their arrays C-contiguous and of the dtype that `predict` computes with. The last one's activation is
        `out_activation_`; with several outputs of classes its softmax is over each of the estimator's segments.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If `coefs_`, `intercepts_` or `activation` are not those of one network.
    """
    check_is_fitted(estimator)
    dtype = parameters_dtype(estimator.coefs_)
    coefs, intercepts = check_parameters(estimator.coefs_, estimator.intercepts_, dtype)
    hidden = estimator.activation
    hidden = [hidden] * (len(coefs) - 1) if isinstance(hidden, str) else list(hidden)
    if len(hidden) != len(coefs) - 1:
        raise ValueError(f"activation={hidden!r} must name one function for each of {len(coefs) - 1} hidden layers.")
    if not all(name in ACTIVATIONS for name in hidden):
        raise ValueError(f"activation={estimator.activation!r} must name functions among {', '.join(ACTIVATIONS)}.")
    if coefs[-1].shape[1] != estimator.n_outputs_:
        raise ValueError(f"coefs_[-1] must be of shape (fan_in, {estimator.n_outputs_}), got {coefs[-1].shape}.")
    return [Layer(*layer) for layer in zip(coefs, intercepts, [*hidden, estimator.out_activation_], strict=True)]
