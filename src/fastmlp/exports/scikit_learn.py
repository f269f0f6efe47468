"""Exchange of models with scikit-learn, fitted or not, the optimizer's state included."""

from copy import deepcopy

from sklearn.base import is_classifier
from sklearn.utils._param_validation import StrOptions

from ..estimators.classifier import MLPClassifier
from ..estimators.perceptron import Perceptron
from ..estimators.regressor import MLPRegressor
from ..training.optimizers import RULES, Optimizer

__all__ = ["from_sklearn", "to_sklearn"]

# What a fit sets under the same name and with the same meaning there and here, beside the names that end in "_"
_PRIVATE = ("_label_binarizer", "_random_state", "_no_improvement_count", "_best_coefs", "_best_intercepts")
# scikit-learn's names of an optimizer's moments, one list of arrays each
_MOMENTS = {"sgd": ("velocities",), "adam": ("ms", "vs")}


def _copy_fitted(source, target):
    for name, value in vars(source).items():
        if name in _PRIVATE or (name.endswith("_") and not name.startswith("_")):
            # one by one: under early stopping scikit-learn's best weights are those in use, and would stay so
            setattr(target, name, deepcopy(value))


def _counterpart(kind, estimator):
    """An estimator of the kind, with the parameters that both have and what was learnt."""
    made = kind(**{name: getattr(estimator, name) for name in kind._get_param_names() if hasattr(estimator, name)})
    _copy_fitted(estimator, made)
    return made


def from_sklearn(estimator):
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
    ours = {kind.__name__: kind for kind in (MLPClassifier, MLPRegressor, Perceptron)}
    theirs = ("sklearn.neural_network.", "sklearn.linear_model.")
    names = [c.__name__ for c in type(estimator).__mro__ if c.__module__.startswith(theirs)]
    kind = next((ours[name] for name in names if name in ours), None)
    if kind is None:
        raise TypeError(f"estimator must be scikit-learn's {' or '.join(ours)}, got {estimator!r}.")
    taken = _counterpart(kind, estimator)
    if kind is Perceptron:
        return taken
    theirs = getattr(estimator, "_optimizer", None)
    if theirs is not None:
        name = next(name for name, moments in _MOMENTS.items() if hasattr(theirs, moments[0]))
        optimizer = Optimizer(name, vars(estimator))
        optimizer.learning_rate_init = theirs.learning_rate_init
        optimizer.hyper = {key: getattr(theirs, key) for key in optimizer.hyper}
        optimizer.schedule = getattr(theirs, "lr_schedule", "constant")
        optimizer.power_t = getattr(theirs, "power_t", optimizer.power_t)
        optimizer.t = getattr(theirs, "t", 0)
        # adam's rate is derived from its t; theirs is what the last update used
        optimizer.rate = float(theirs.learning_rate_init if name == "adam" else theirs.learning_rate)
        optimizer.moments = [deepcopy(getattr(theirs, moment)) for moment in _MOMENTS[name]]
        taken._optimizer = optimizer
    taken._keep_predictors()
    return taken


def to_sklearn(estimator):
    """The opposite of `from_sklearn`: a scikit-learn estimator with the same parameters and the same model."""
    from sklearn import linear_model, neural_network
    from sklearn.neural_network._stochastic_optimizers import (
        AdamOptimizer,
        SGDOptimizer,
    )

    if isinstance(estimator, Perceptron):
        return _counterpart(linear_model.Perceptron, estimator)
    kind = neural_network.MLPClassifier if is_classifier(estimator) else neural_network.MLPRegressor
    known = {**kind._parameter_constraints, "loss": kind._parameter_constraints.get("loss", [StrOptions({"log_loss"})])}
    for name in ("activation", "loss", "solver"):
        value = getattr(estimator, name)
        if not any(option.is_satisfied_by(value) for option in known[name]):
            raise ValueError(f"{name}={value!r} has no counterpart in scikit-learn's {kind.__name__}.")
    if estimator._segments is not None:
        raise ValueError(f"scikit-learn's {kind.__name__} has no several outputs of classes.")
    given = _counterpart(kind, estimator)
    if not hasattr(given, "coefs_"):
        return given
    if not hasattr(given, "_best_coefs"):
        given._best_coefs, given._best_intercepts = deepcopy(given.coefs_), deepcopy(given.intercepts_)
    ours = getattr(estimator, "_optimizer", None)
    if ours is not None and ours.name in _MOMENTS:
        hyper = {key: ours.hyper[key] for key in RULES[ours.name].hyper}
        theirs = {"sgd": SGDOptimizer, "adam": AdamOptimizer}[ours.name]([], ours.learning_rate_init, **hyper)
        theirs.learning_rate, theirs.t = ours.learning_rate, ours.t
        if ours.name == "sgd":
            theirs.power_t = ours.power_t
            theirs.lr_schedule = ours.schedule if ours.schedule in ("invscaling", "adaptive") else "constant"
        for name, moments in zip(_MOMENTS[ours.name], ours.moments, strict=True):
            setattr(theirs, name, deepcopy(moments))
        given._optimizer = theirs
    return given
