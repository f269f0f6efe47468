"""Estimators as data: parameters, fitted attributes and what they are checked for when they come back."""

import numpy as np
from scipy.sparse import issparse
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import validate_parameter_constraints

from ..engine import LOSS_ROWS, OPTIMIZERS
from ..estimators.classifier import MLPClassifier
from ..estimators.inputs import hidden_units
from ..estimators.parameters import CONSTRAINTS, constructor_defaults
from ..estimators.perceptron import Perceptron
from ..estimators.pickling import pickled_attributes
from ..estimators.regressor import MLPRegressor
from ..training.arrays import check_parameters, parameters_dtype
from ..training.documents import LARGEST_COUNT, are_arrays, is_count, is_number, random_state_of, require
from ..training.optimizers import EXTRAS, RULES, Optimizer
from .layers import network_of

__all__ = ["KINDS", "RefusedError", "rebuilt", "state_of"]

KINDS = {kind.__name__: kind for kind in (MLPClassifier, MLPRegressor, Perceptron)}
_PRECISIONS = {kind.__name__: kind for kind in (np.float32, np.float64)}
# Parameters of the process that trains; a path in a file would have a later `fit` write there
_OF_PROCESS = ("callbacks", "checkpoint_path", "checkpoint_every")

_COUNTS = ("n_features_in_", "n_outputs_", "n_layers_", "n_iter_", "t_", "_no_improvement_count")
_NUMBERS = ("loss_", "best_loss_", "best_validation_score_")
_CURVES = ("loss_curve_", "learning_rate_curve_", "validation_scores_", "validation_loss_curve_")
_WEIGHTS = ("coefs_", "intercepts_", "_best_coefs", "_best_intercepts")
_OTHERS = ("out_activation_", "feature_names_in_", "_scored", "_trained_on", "_optimizer")
_OF_BOTH = (*_COUNTS, *_NUMBERS, *_CURVES, *_WEIGHTS, *_OTHERS)
_OF_PERCEPTRON = ("coef_", "intercept_", "classes_", "n_features_in_")
_ATTRIBUTES = {
    MLPClassifier: (*_OF_BOTH, "classes_", "_label_binarizer"),
    MLPRegressor: _OF_BOTH,
    Perceptron: (*_OF_PERCEPTRON, "n_iter_", "t_", "feature_names_in_"),
}
_OF_NETWORK = ("coefs_", "intercepts_", "n_features_in_", "n_outputs_", "n_layers_", "out_activation_")
# What a fitted model has in any case; the first tells that it is fitted
_NEEDED = {MLPClassifier: _OF_NETWORK, MLPRegressor: _OF_NETWORK, Perceptron: _OF_PERCEPTRON}
_SPOKEN = {"_skl_callbacks": "scikit-learn's callbacks", "_metadata_request": "metadata requests"}
_A_FUNCTION = "a function"  # in place of a scoring that is one: unequal to any name


class RefusedError(ValueError):
    """Says what a file is that is not read, "is truncated: ..."; anything else raised means that it is corrupt."""


def state_of(estimator):
    """An estimator as data.

    Returns
    -------
    state : dict
        Under "class", "params" and "fitted".
    left_out : list of str
        Names of what is no data.
    """
    params, left_out = _params_of(estimator)
    fitted = _fitted_of(estimator) if hasattr(estimator, _NEEDED[type(estimator)][0]) else {}
    known = {*estimator._get_param_names(), *fitted}
    left_out += [_SPOKEN.get(name, name) for name in pickled_attributes(estimator) if name not in known]
    return {"class": type(estimator).__name__, "params": params, "fitted": fitted}, left_out


def _params_of(estimator):
    """Parameters as data, and the names of those that cannot be."""
    defaults = constructor_defaults(type(estimator))
    params, left_out = {}, []
    for name, value in estimator.get_params(deep=False).items():
        if name == "dtype" and isinstance(value, type):
            value = (value.__name__,)  # apart from a name
        elif isinstance(value, np.dtype):
            value = value.name  # which is equal to it
        elif isinstance(value, np.random.RandomState):
            if value.get_state(legacy=False)["bit_generator"] != "MT19937":
                raise TypeError(f"{name}={value!r} cannot be saved: only RandomStates of MT19937 can.")
            value = value.get_state()
        elif name in _OF_PROCESS or callable(value):
            if value is not defaults[name] and value != defaults[name]:
                left_out.append(name)
            continue
        params[name] = value
    return params, left_out


def _fitted_of(estimator):
    """Fitted attributes as data, by name."""
    attributes = vars(estimator)
    fitted = {name: attributes[name] for name in _ATTRIBUTES[type(estimator)] if name in attributes}
    for name in fitted.keys() & {*_CURVES}:
        if fitted[name] is not None:
            fitted[name] = np.array(fitted[name], dtype=np.float64)
    for name in fitted.keys() & {*_WEIGHTS}:
        fitted[name] = list(map(np.asarray, fitted[name]))
    for name in fitted.keys() & {"coef_", "intercept_"}:
        if issparse(fitted[name]):
            raise ValueError(f"{name} is sparse: call densify before it is saved.")
        fitted[name] = np.asarray(fitted[name])
    if (binarizer := fitted.get("_label_binarizer")) is not None:
        fitted["_label_binarizer"] = {"y_type": binarizer.y_type_, "sparse_input": bool(binarizer.sparse_input_)}
    if "_scored" in fitted:
        scoring, given = fitted["_scored"]
        fitted["_scored"] = _A_FUNCTION if callable(scoring) else scoring, given
    if (optimizer := fitted.pop("_optimizer", None)) is not None:
        fitted |= {"_optimizer": _optimizer_of(optimizer)}
    return fitted


def _optimizer_of(optimizer):
    """What an optimizer was told and what it remembers; None of one whose schedule is a function."""
    if optimizer.plan.function is not None:
        return None
    told = ("name", "learning_rate_init", "power_t", "schedule", "hyper")
    plan = {"lr_schedule": optimizer.plan.name, "options": optimizer.plan.options, "warmup": optimizer.plan.warmup}
    return {name: getattr(optimizer, name) for name in told} | plan | optimizer.get_state()


# Coming back


def rebuilt(name, params, fitted):
    """The estimator that was taken apart by `state_of`; every value is checked.

    Raises
    ------
    RefusedError
        If it has parameters of a later version.
    ValueError, TypeError, KeyError
        If it is not an estimator's.
    """
    kind = KINDS.get(name)
    require(kind is not None, f"its class {name!r} is none of {', '.join(KINDS)}")
    estimator = _constructed(kind, params)
    if fitted and kind is Perceptron:
        _check_perceptron(fitted)
        vars(estimator).update(fitted)
        network_of(estimator)  # which looks at shapes
    elif fitted:
        _check_fitted(kind, fitted)
        optimizer = fitted.pop("_optimizer", None)
        vars(estimator).update(fitted)
        if optimizer is not None:
            estimator._optimizer = _rebuilt_optimizer(**optimizer)
        network_of(estimator)  # which looks at activations and quantiles
        # which looks at shapes and outputs once more
        estimator._current_predictors()
    return estimator


def _constructed(kind, params):
    """An estimator that is not fitted."""
    if unknown := params.keys() - {*kind._get_param_names()}:
        raise RefusedError(f"was written by a newer version: {kind.__name__} has no {', '.join(sorted(unknown))} here.")
    for name in params.keys() & {*_OF_PROCESS}:
        raise ValueError(f"{name} is not for files")
    if isinstance(params.get("dtype"), tuple):
        (name,) = params["dtype"]
        params["dtype"] = _PRECISIONS[name]
    if isinstance(params.get("random_state"), tuple):
        params["random_state"] = random_state_of(*params["random_state"])
    estimator = kind(**params)
    estimator._validate_params()
    if kind is not Perceptron:
        hidden_units(estimator.hidden_layer_sizes)
    return estimator


def _check_names(kind, fitted):
    """Refuse fitted attributes that a model has not, or without those that it has."""
    if unknown := fitted.keys() - {*_ATTRIBUTES[kind]}:
        raise ValueError(f"{kind.__name__} has no attributes {', '.join(sorted(unknown))}")
    if missing := {*_NEEDED[kind]} - fitted.keys():
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")


def _check_counts(fitted, names):
    for name in fitted.keys() & {*names}:
        value = fitted[name]
        require(is_count(value), f"{name} is {value!r}")


def _check_feature_names(fitted, n_features):
    names = fitted.get("feature_names_in_")
    if names is not None:
        require(are_arrays([names], "OU", ndim=1) and len(names) == n_features, "feature_names_in_ has other features")


def _are_labels(values):
    return are_arrays(values, "biufUO", ndim=1) and all(map(len, values))


def _check_perceptron(fitted):
    """Refuse fitted attributes that are not one perceptron, but for shapes."""
    _check_names(Perceptron, fitted)
    _check_counts(fitted, ("n_features_in_", "n_iter_"))
    t = fitted.get("t_", 1.0)
    require(is_number(t) and 0 <= t <= LARGEST_COUNT, f"t_ is {t!r}")
    require(are_arrays([fitted["coef_"], fitted["intercept_"]], "f"), "coef_ or intercept_ is no array of floats")
    require(_are_labels([fitted["classes_"]]) and len(fitted["classes_"]) > 1, "classes_ are not labels")
    _check_feature_names(fitted, fitted["n_features_in_"])


def _check_fitted(kind, fitted):
    """Refuse fitted attributes that are not one model; those that are data elsewhere become what they were."""
    _check_names(kind, fitted)
    _check_counts(fitted, _COUNTS)
    for name in fitted.keys() & {*_NUMBERS}:
        value = fitted[name]
        require(value is None or is_number(value), f"{name} is {value!r}")
    for name in fitted.keys() & {*_CURVES}:
        if fitted[name] is not None:
            require(are_arrays([fitted[name]], "f", ndim=1), f"{name} is no curve")
            fitted[name] = fitted[name].tolist()
    for name in fitted.keys() & {*_WEIGHTS}:
        require(are_arrays(fitted[name], "f"), f"{name} are not arrays of floats")
    coefs, intercepts = _network(fitted)
    n_features, n_outputs = coefs[0].shape[0], coefs[-1].shape[1]
    for name, value in (("n_features_in_", n_features), ("n_outputs_", n_outputs), ("n_layers_", len(coefs) + 1)):
        require(fitted[name] == value, f"{name} is {fitted[name]}, by coefs_ it is {value}")
    _check_feature_names(fitted, n_features)
    scoring, given = fitted.get("_scored", (None, False))
    require((scoring is None or type(scoring) is str) and type(given) is bool, "_scored is no scoring")
    require(type(fitted.get("_trained_on", "")) is str, "_trained_on is no description of data")
    real = {row.output for row in LOSS_ROWS.values() if row.target == "real"}
    others = {row.output for row in LOSS_ROWS.values() if row.target != "real"}
    out = fitted["out_activation_"]
    require(out in (others if kind is MLPClassifier else real), f"out_activation_ is {out!r}")
    if kind is MLPClassifier:
        _check_classes(fitted, n_outputs, out)


def _network(fitted):
    """coefs_ and intercepts_ as the engine would take them."""
    coefs = fitted["coefs_"]
    return check_parameters(coefs, fitted["intercepts_"], parameters_dtype(coefs))


def _check_classes(fitted, n_outputs, out_activation):
    """Refuse classes that are not those of the outputs; make the LabelBinarizer of a single output."""
    classes, binarizer = fitted.get("classes_"), fitted.get("_label_binarizer")
    several = isinstance(classes, list)
    every = classes if several else [classes]
    require(every and _are_labels(every), "classes_ are not labels")
    if several:
        require(sum(map(len, classes)) == n_outputs, f"classes_ are not those of {n_outputs} outputs")
        require(out_activation == "softmax" and binarizer is None, "several classes_ go with a softmax")
        return
    require(isinstance(binarizer, dict), "it has no _label_binarizer")
    y_type, sparse_input = binarizer["y_type"], binarizer["sparse_input"]
    units = {"binary": 1, "multiclass": len(classes), "multilabel-indicator": len(classes)}
    require(y_type in units and type(sparse_input) is bool, f"_label_binarizer is {binarizer}")
    require(units[y_type] == n_outputs, f"{len(classes)} {y_type} classes_ are not those of {n_outputs} outputs")
    require(y_type != "binary" or len(classes) <= 2, f"classes_ has {len(classes)} classes for one output")
    one_of_all = out_activation == "softmax"
    require(out_activation == "identity" or (y_type == "multiclass") == one_of_all, f"{y_type} with {out_activation}")
    fitted["_label_binarizer"] = rebuilt = LabelBinarizer()
    rebuilt.classes_, rebuilt.y_type_, rebuilt.sparse_input_ = classes, y_type, sparse_input


def _rebuilt_optimizer(
    name, learning_rate_init, power_t, schedule, hyper, lr_schedule, options, warmup, moments, **changing
):
    """An optimizer as it was."""
    require(name in RULES, f"_optimizer is {name!r}")
    params = {parameter: hyper[key] for key, parameter in RULES[name].hyper.items()}
    params |= {key: hyper.get(key) for key in EXTRAS} | {"weight_decay": hyper.get("weight_decay", 0.0)}
    params |= {"learning_rate_init": learning_rate_init, "power_t": power_t}
    validate_parameter_constraints(CONSTRAINTS, params, "the optimizer")
    plan = {"learning_rate": "constant", "lr_schedule": lr_schedule, "lr_schedule_params": options, "warmup": warmup}
    optimizer = Optimizer(name, params | plan)
    require(optimizer.hyper == hyper, f"_optimizer has hyperparameters {hyper}")
    require(schedule == lr_schedule or schedule in ("constant", "invscaling", "adaptive"), f"schedule is {schedule!r}")
    optimizer.schedule = schedule
    require(
        isinstance(moments, list)
        and len(moments) == OPTIMIZERS[name]
        and all(are_arrays(arrays, "f") for arrays in moments),
        "_optimizer has other moments",
    )
    optimizer.moments = moments
    optimizer.set_changing(changing)
    return optimizer
