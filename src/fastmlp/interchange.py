"""Estimators made of what is not one of ours yet: a file, scikit-learn's estimator; and skl2onnx is told of them."""

import os
from copy import deepcopy
from typing import Any

from .estimators.classifier import MLPClassifier
from .estimators.convolution import ConvClassifier, ConvRegressor
from .estimators.perceptron import Perceptron
from .estimators.rebuilding import rebuilt
from .estimators.regressor import MLPRegressor
from .estimators.sequences import RecurrentClassifier, RecurrentRegressor
from .estimators.tabular_classifier import TabularMLPClassifier
from .estimators.tabular_regressor import TabularMLPRegressor
from .exports.files import read
from .exports.onnx_graph import convert, parse_classifier, set_types
from .exports.onnx_nodes import needs
from .exports.scikit_learn import MOMENTS, counterpart
from .training.documents import require
from .training.optimizers import Optimizer

__all__ = ["KINDS", "from_sklearn", "load", "register_onnx_converters"]

_OF_MATRICES = {kind.__name__: kind for kind in (MLPClassifier, MLPRegressor, Perceptron)}
_OF_SHAPES = (ConvClassifier, ConvRegressor, RecurrentClassifier, RecurrentRegressor)
KINDS = _OF_MATRICES | {kind.__name__: kind for kind in (*_OF_SHAPES, TabularMLPClassifier, TabularMLPRegressor)}


def load(path: str | os.PathLike[str]) -> Any:
    """Load an estimator that `save` wrote. Nothing in a file can run code, whoever made it.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    MLPClassifier, MLPRegressor, Perceptron, ConvClassifier or another of fastmlp's estimators
        As it was saved: the same parameters, fitted attributes and predictions, and `partial_fit` and warm starts go
        on as they would have.

    Raises
    ------
    ValueError
        If the file is not fastmlp's, truncated, corrupt, too large for this machine or written by a newer version. The
        sentence says which.
    OSError
        If it cannot be opened or read.
    ImportError
        If safetensors is not installed: ``pip install "fastmlp[files]"``.

    See Also
    --------
    MLPClassifier.save : Write such a file.

    Examples
    --------
    >>> import fastmlp, os, tempfile
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = fastmlp.MLPClassifier(random_state=1, max_iter=1000).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "iris.fastmlp"))
    ...     again = fastmlp.load(os.path.join(folder, "iris.fastmlp"))
    >>> bool((again.predict_proba(X) == model.predict_proba(X)).all())
    True
    """

    def make(name, params, fitted):
        kind = KINDS.get(name)
        require(kind is not None, f"its class {name!r} is none of {', '.join(KINDS)}")
        return rebuilt(kind, params, fitted)

    return read(path, make)


def from_sklearn(estimator: Any) -> Any:
    """Take over a perceptron of scikit-learn, with or without hidden layers.

    Parameters
    ----------
    estimator : sklearn.neural_network.MLPClassifier or MLPRegressor, or sklearn.linear_model.Perceptron
        Fitted or not; left as it is, nothing is shared.

    Returns
    -------
    MLPClassifier, MLPRegressor or Perceptron
        The counterpart in fastmlp, with the same parameters and, if fitted, the same model: `predict` agrees and
        `partial_fit` goes on as the original's would.

    Raises
    ------
    TypeError
        If it is something else.
    """
    packages = ("sklearn.neural_network.", "sklearn.linear_model.")
    names = [c.__name__ for c in type(estimator).__mro__ if c.__module__.startswith(packages)]
    kind = next((_OF_MATRICES[name] for name in names if name in _OF_MATRICES), None)
    if kind is None:
        raise TypeError(f"estimator must be scikit-learn's {' or '.join(_OF_MATRICES)}, got {estimator!r}.")
    taken = counterpart(kind, estimator)
    if kind is Perceptron:
        return taken
    theirs = getattr(estimator, "_optimizer", None)
    if theirs is not None:
        name = next(name for name, moments in MOMENTS.items() if hasattr(theirs, moments[0]))
        optimizer = Optimizer(name, vars(estimator))
        optimizer.learning_rate_init = theirs.learning_rate_init
        optimizer.hyper = {key: getattr(theirs, key) for key in optimizer.hyper}
        optimizer.schedule = getattr(theirs, "lr_schedule", "constant")
        optimizer.power_t = getattr(theirs, "power_t", optimizer.power_t)
        optimizer.t = getattr(theirs, "t", 0)
        # adam's rate is derived from its t; theirs is what the last update used
        optimizer.rate = float(theirs.learning_rate_init if name == "adam" else theirs.learning_rate)
        optimizer.moments = [deepcopy(getattr(theirs, moment)) for moment in MOMENTS[name]]
        taken._optimizer = optimizer
    taken._keep_predictors()
    return taken


def register_onnx_converters() -> None:
    """Make fastmlp's estimators known to skl2onnx, so that it converts pipelines that have them.

    Once in a process, or more often, before ``skl2onnx.to_onnx(pipeline, X)``. The classifiers have the options
    of skl2onnx's own: "zipmap", "nocl" and "output_class_labels". docs/onnx.md says which outputs there are.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    See Also
    --------
    MLPClassifier.to_onnx : The same for an estimator alone, without skl2onnx.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.register_onnx_converters()  # doctest: +SKIP
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise needs("skl2onnx", "register_onnx_converters") from error
    options = {"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True]}
    for kind in (MLPClassifier, Perceptron, ConvClassifier, RecurrentClassifier):
        update_registered_converter(
            kind, f"Fastmlp{kind.__name__}", set_types, convert, parser=parse_classifier, options=options
        )
    for kind in (MLPRegressor, ConvRegressor, RecurrentRegressor):
        update_registered_converter(kind, f"Fastmlp{kind.__name__}", set_types, convert)
