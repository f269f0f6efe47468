"""Models as scikit-learn's own estimators, fitted or not, the optimizer's state included."""

from copy import deepcopy

from sklearn.base import is_classifier

from ..borrowed import StrOptions, mlp_optimizers
from ..training.optimizers import RULES

__all__ = ["MOMENTS", "counterpart", "to_sklearn"]

# What a fit sets under the same name and with the same meaning there and here, beside the names that end in "_"
_PRIVATE = ("_label_binarizer", "_random_state", "_no_improvement_count", "_best_coefs", "_best_intercepts")
# scikit-learn's names of an optimizer's moments, one list of arrays each
MOMENTS = {"sgd": ("velocities",), "adam": ("ms", "vs")}


def _copy_fitted(source, target):
    for name, value in dict(vars(source)).items():  # at once: another thread may predict, and keep its predictors
        if name in _PRIVATE or (name.endswith("_") and not name.startswith("_")):
            # one by one: under early stopping scikit-learn's best weights are those in use, and would stay so
            setattr(target, name, deepcopy(value))


def counterpart(kind, estimator):
    """An estimator of the kind, with the parameters that both have and what was learnt."""
    made = kind(**{name: getattr(estimator, name) for name in kind._get_param_names() if hasattr(estimator, name)})
    _copy_fitted(estimator, made)
    return made


def to_sklearn(estimator):
    """A scikit-learn estimator with the same parameters and the same model; see `ExportMixin.to_sklearn`."""
    from sklearn import linear_model, neural_network

    if not hasattr(estimator, "hidden_layer_sizes"):
        return counterpart(linear_model.Perceptron, estimator)
    kind = neural_network.MLPClassifier if is_classifier(estimator) else neural_network.MLPRegressor
    known = {**kind._parameter_constraints, "loss": kind._parameter_constraints.get("loss", [StrOptions({"log_loss"})])}
    for name in ("activation", "loss", "solver"):
        value = getattr(estimator, name)
        if not any(option.is_satisfied_by(value) for option in known[name]):
            raise ValueError(f"{name}={value!r} has no counterpart in scikit-learn's {kind.__name__}.")
    if estimator._segments is not None:
        raise ValueError(f"scikit-learn's {kind.__name__} has no several outputs of classes.")
    given = counterpart(kind, estimator)
    if not hasattr(given, "coefs_"):
        return given
    if not hasattr(given, "_best_coefs"):
        given._best_coefs, given._best_intercepts = deepcopy(given.coefs_), deepcopy(given.intercepts_)
    ours = getattr(estimator, "_optimizer", None)
    if ours is not None and ours.name in MOMENTS:
        hyper = {key: ours.hyper[key] for key in RULES[ours.name].hyper}
        theirs = mlp_optimizers()[ours.name]([], ours.learning_rate_init, **hyper)
        theirs.learning_rate, theirs.t = ours.learning_rate, ours.t
        if ours.name == "sgd":
            theirs.power_t = ours.power_t
            theirs.lr_schedule = ours.schedule if ours.schedule in ("invscaling", "adaptive") else "constant"
        for name, moments in zip(MOMENTS[ours.name], ours.moments, strict=True):
            setattr(theirs, name, deepcopy(moments))
        given._optimizer = theirs
    return given
