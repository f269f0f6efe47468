"""Convolutional networks for images and series, classification and regression."""

from typing import ClassVar

from ..borrowed import StrOptions
from .classifier import MLPClassifier
from .fitted import Attribute
from .parameters import DOCUMENTATION, keep_parameters
from .planes import PLANES_DOCUMENTATION, PlanesMixin
from .regressor import MLPRegressor
from .values import LOSS_DOCUMENTATION

__all__ = ["ConvClassifier", "ConvRegressor"]

_CONSTRAINTS = {
    "layers": [list, tuple, StrOptions({"auto"})],
    "data": [StrOptions({"images", "series"})],
    "input_shape": [tuple, list, None],
}
_OF_PLANES = {"input_shape_": Attribute("shape", needed=True)}
_SHAPE = """\
    input_shape_ : tuple of int
        Shape of a row."""
_TRAINING = DOCUMENTATION["training"].replace("min(200, n_samples)", "min(64, n_samples)")
_X = """\
    X may have a row's axes, (n_samples, channels, height, width) and so on, or one axis for all of a row, channel after
    channel; bytes (uint8) are divided by 255. It must be dense."""


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
    loss : {{"log_loss", "focal", "hinge"}}, default="log_loss"
        "focal" is the log-loss with less weight on samples that are right already; "hinge" gives no probabilities.
    class_weight : dict, "balanced", list of dict or None, default=None
        Weights of the classes in the loss, as of `MLPClassifier`.
    label_smoothing : float, default=0.0
        Share of a target that is spread evenly over the classes, in [0, 1). No effect but with loss="log_loss".
    focal_gamma : float, default=2.0
        Exponent of loss="focal". No effect with another loss.
{DOCUMENTATION["more"]}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,) or list of such
        Labels in ascending order; a list, one for each output, for multiclass-multioutput.
{DOCUMENTATION["attributes"]}
{_SHAPE}
    out_activation_ : str
        "softmax" or "logistic"; "identity" for "hinge".

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

    def __init__(
        self,
        layers="auto",
        activation="relu",
        *,
        data="images",
        input_shape=None,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        loss="log_loss",
        class_weight=None,
        label_smoothing=0.0,
        focal_gamma=2.0,
        weight_init="auto",
        dropout=0.0,
        input_dropout=0.0,
        weight_decay=None,
        max_norm=None,
        clip_norm=None,
        clip_value=None,
        lr_schedule=None,
        lr_schedule_params=None,
        warmup=0,
        scoring=None,
        callbacks=None,
        dtype=None,
        n_jobs=None,
        checkpoint_path=None,
        checkpoint_every=1,
    ):
        keep_parameters(self, locals())


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
    out_activation_ : str
        "identity", or "exp" for the losses that predict through it.

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

    def __init__(
        self,
        loss="squared_error",
        layers="auto",
        activation="relu",
        *,
        data="images",
        input_shape=None,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        quantile=0.5,
        sort_quantiles=False,
        huber_delta=1.0,
        tweedie_power=1.5,
        weight_init="auto",
        dropout=0.0,
        input_dropout=0.0,
        weight_decay=None,
        max_norm=None,
        clip_norm=None,
        clip_value=None,
        lr_schedule=None,
        lr_schedule_params=None,
        warmup=0,
        scoring=None,
        callbacks=None,
        dtype=None,
        n_jobs=None,
        checkpoint_path=None,
        checkpoint_every=1,
    ):
        keep_parameters(self, locals())
