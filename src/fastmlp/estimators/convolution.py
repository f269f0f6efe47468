"""Convolutional networks for images and series, classification and regression."""

from typing import ClassVar

from ..borrowed import StrOptions
from .classifier import MLPClassifier
from .fitted import Attribute
from .parameters import DOCUMENTATION, constructor
from .planes import PLANES_DOCUMENTATION, PlanesMixin
from .regressor import MLPRegressor
from .values import LOSS_DOCUMENTATION

__all__ = ["ConvClassifier", "ConvRegressor"]

_CONSTRAINTS = {
    "layers": [list, tuple, StrOptions({"auto"})],
    "data": [StrOptions({"images", "series"})],
    "input_shape": [tuple, list, None],
    "augmentation": [dict, None],
}
_OF_PLANES = {"input_shape_": Attribute("shape", needed=True)}
_SHAPE = """\
    input_shape_ : tuple of int
        Shape of a row."""
_TRAINING = DOCUMENTATION["training"].replace("min(200, n_samples)", "min(64, n_samples)")
_X = """\
    X may have a row's axes, (n_samples, channels, height, width) and so on, or one axis for all of a row, channel after
    channel. Bytes (uint8) count as divided by 255, and are cast row by row as they are read, from a memory map
    (`numpy.load(..., mmap_mode="r")`) as from an array; all else is taken as it is. X must be dense."""


def _constraints(of_matrices):
    return {name: value for name, value in of_matrices.items() if name != "hidden_layer_sizes"} | _CONSTRAINTS


class ConvClassifier(PlanesMixin, MLPClassifier):
    __doc__ = f"""Convolutional network for classification of images and series.

    The neuron of `MLPClassifier` slid over an image or a series: every output channel of a layer is a weighted sum of
    what a small window sees, at each place, behind an activation; LeCun et al. (1998), "Gradient-based learning applied
    to document recognition". Labels, losses, solvers and all controls of the training are those of `MLPClassifier`.
{_X}

    Parameters
    ----------
{PLANES_DOCUMENTATION}
{_TRAINING}
{DOCUMENTATION["classification"]}
{DOCUMENTATION["more"]}

    Attributes
    ----------
{DOCUMENTATION["classes"]}
{DOCUMENTATION["attributes"]}
{_SHAPE}
{DOCUMENTATION["outputs of classes"]}

    See Also
    --------
    ConvRegressor : The same network for regression.
    MLPClassifier : Dense layers alone.

    Notes
    -----
    Weights of a convolution are in `coefs_` as matrices of shape (input channels / groups * height * width of the
    window, channels): ``coef.T.reshape(channels, -1, height, width)`` is what PyTorch and ONNX call its weight.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import ConvClassifier
    >>> digits = load_digits()
    >>> layers = [("conv", 16, 3), ("pool", 2), ("conv", 32, 3), ("pool", 2)]
    >>> model = ConvClassifier(layers, learning_rate_init=0.005, max_iter=15, tol=0, random_state=0)
    >>> model = model.fit(digits.images[:1500] / 16, digits.target[:1500])
    >>> model.score(digits.images[1500:] / 16, digits.target[1500:]) > 0.92
    True
    """

    _parameter_constraints: ClassVar[dict] = _constraints(MLPClassifier._parameter_constraints)
    _attributes: ClassVar[dict] = MLPClassifier._attributes | _OF_PLANES

    __init__ = constructor(
        MLPClassifier, {"layers": "auto", "activation": "relu"}, data="images", input_shape=None, augmentation=None
    )


class ConvRegressor(PlanesMixin, MLPRegressor):
    __doc__ = f"""Convolutional network for regression on images and series.

    `ConvClassifier`'s layers with the losses of `MLPRegressor`.
{_X}

    Parameters
    ----------
    loss : str, default="squared_error"
        As of `MLPRegressor`.
{PLANES_DOCUMENTATION}
{_TRAINING}
{LOSS_DOCUMENTATION.format(training="Training is the same.", unit="")}
{DOCUMENTATION["more"]}

    Attributes
    ----------
{DOCUMENTATION["attributes"]}
{_SHAPE}
{DOCUMENTATION["outputs of numbers"]}

    See Also
    --------
    ConvClassifier : The same network for classification.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import ConvRegressor
    >>> rng = np.random.default_rng(0)
    >>> phase = rng.uniform(0, 6, 400)
    >>> X = np.sin(np.linspace(0, 20, 64) + phase[:, None])
    >>> model = ConvRegressor(layers=[("conv", 8, 5), ("pool", 4), ("dense", 16)], tol=0, max_iter=60, random_state=0)
    >>> model.fit(X[:300], np.cos(phase[:300])).score(X[300:], np.cos(phase[300:])) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict] = _constraints(MLPRegressor._parameter_constraints)
    _attributes: ClassVar[dict] = MLPRegressor._attributes | _OF_PLANES

    __init__ = constructor(
        MLPRegressor,
        {"loss": "squared_error", "layers": "auto", "activation": "relu"},
        data="images",
        input_shape=None,
        augmentation=None,
    )
