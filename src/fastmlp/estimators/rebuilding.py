"""Estimators made of data that anybody may have written: every value is checked."""

import numpy as np
from sklearn.preprocessing import LabelBinarizer

from ..borrowed import validate_parameter_constraints
from ..engine import LOSS_ROWS, OPTIMIZERS
from ..engine.architecture import weight_shapes
from ..exports.files import RefusedError
from ..exports.layers import network_of
from ..exports.states import OF_PROCESS
from ..training.arrays import check_parameters, parameters_dtype
from ..training.documents import LARGEST_COUNT, are_arrays, is_count, is_number, random_state_of, require
from ..training.optimizers import EXTRAS, RULES, Optimizer
from .inputs import hidden_units
from .parameters import CONSTRAINTS
from .tabular_rebuilding import rebuild_table, recipe_of

__all__ = ["rebuilt"]

_PRECISIONS = {kind.__name__: kind for kind in (np.float32, np.float64)}


def rebuilt(kind, params, fitted):
    """The estimator that `state_of` took apart.

    Parameters
    ----------
    kind : type
        Its class.
    params, fitted : dict of str to object
        Its parameters and fitted attributes as data; those that are data elsewhere become what they were, in place.

    Raises
    ------
    RefusedError
        If it has parameters of a later version.
    ValueError, TypeError, KeyError
        If it is not an estimator's.
    """
    estimator = _constructed(kind, params)
    if not fitted:
        return estimator
    _check_attributes(kind, fitted)
    if kind._fitted_by == "members_":
        rebuild_table(estimator, fitted)
        return estimator
    several_layers = kind._fitted_by == "coefs_"
    if several_layers:
        _check_layers(estimator, fitted)
    else:
        classes = fitted["classes_"]
        require(isinstance(classes, np.ndarray) and len(classes) > 1, "classes_ are not labels")
    optimizer = fitted.pop("_optimizer", None)
    vars(estimator).update(fitted)
    if optimizer is not None:
        estimator._optimizer = _rebuilt_optimizer(**optimizer)
    network_of(estimator)  # which looks at activations and quantiles, of a perceptron at shapes
    if several_layers:
        estimator._current_predictors()  # which looks at shapes and outputs once more
    return estimator


def _constructed(kind, params):
    """An estimator that is not fitted."""
    if unknown := params.keys() - {*kind._get_param_names()}:
        raise RefusedError(f"was written by a newer version: {kind.__name__} has no {', '.join(sorted(unknown))} here.")
    for name in params.keys() & {*OF_PROCESS}:
        raise ValueError(f"{name} is not for files")
    if isinstance(params.get("dtype"), tuple):
        (name,) = params["dtype"]
        params["dtype"] = _PRECISIONS[name]
    if isinstance(params.get("random_state"), tuple):
        params["random_state"] = random_state_of(*params["random_state"])
    if isinstance(params.get("recipe"), tuple):
        (values,) = params["recipe"]
        params["recipe"] = recipe_of(values)
    estimator = kind(**params)
    estimator._validate_params()
    if hasattr(estimator, "hidden_layer_sizes"):
        hidden_units(estimator.hidden_layer_sizes)
    return estimator


# Attributes


def _check_attributes(kind, fitted):
    """Refuse attributes that a model has not, values of other kinds, and a model without what it has in any case."""
    if unknown := fitted.keys() - kind._attributes.keys():
        raise ValueError(f"{kind.__name__} has no attributes {', '.join(sorted(unknown))}")
    needed = {name for name, attribute in kind._attributes.items() if attribute.needed}
    if missing := needed - fitted.keys():
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    for name, attribute in kind._attributes.items():
        check = _CHECKS.get(attribute.kind)
        if check is not None and name in fitted:
            fitted[name] = check(name, fitted[name])
    names = fitted.get("feature_names_in_")
    if names is not None:
        of_features = are_arrays([names], "OU", ndim=1) and len(names) == fitted["n_features_in_"]
        require(of_features, "feature_names_in_ has other features")


def _count(name, value):
    require(is_count(value), f"{name} is {value!r}")
    return value


def _real_count(name, value):
    require(is_number(value) and 0 <= value <= LARGEST_COUNT, f"{name} is {value!r}")
    return value


def _number(name, value):
    require(value is None or is_number(value), f"{name} is {value!r}")
    return value


def _curve(name, value):
    if value is None:
        return None
    require(are_arrays([value], "f", ndim=1), f"{name} is no curve")
    return value.tolist()


def _parameters(name, value):
    require(are_arrays(value, "f"), f"{name} are not arrays of floats")
    return value


def _array(name, value):
    require(are_arrays([value], "f"), f"{name} is no array of floats")
    return value


def _shape(name, value):
    require(type(value) is tuple and 1 <= len(value) <= 3 and all(map(is_count, value)), f"{name} is {value!r}")
    return value


def _flag(name, value):
    require(type(value) is bool, f"{name} is {value!r}")
    return value


def _labels(name, value):
    every = value if isinstance(value, list) else [value]
    require(every and are_arrays(every, "biufUO", ndim=1) and all(map(len, every)), f"{name} are not labels")
    return value


def _scoring(name, value):
    scoring, given = value
    require((scoring is None or type(scoring) is str) and type(given) is bool, f"{name} is no scoring")
    return value


def _description(name, value):
    require(type(value) is str, f"{name} is no description of data")
    return value


# What refuses a value of a kind, and else gives what it was; it is called with the name of the attribute
_CHECKS = {
    "count": _count,
    "real count": _real_count,
    "number": _number,
    "curve": _curve,
    "parameters": _parameters,
    "array": _array,
    "flag": _flag,
    "shape": _shape,
    "labels": _labels,
    "scoring": _scoring,
    "description": _description,
}


def _check_layers(estimator, fitted):
    """Refuse attributes that are not those of one network."""
    coefs, kind = fitted["coefs_"], type(estimator)
    vars(estimator).update({name: fitted[name] for name in kind._attributes.keys() & {"input_shape_"}})
    layers = estimator._layers(fitted["n_features_in_"], fitted["n_outputs_"])
    shapes = None if layers is None else weight_shapes(layers)
    coefs, _ = check_parameters(coefs, fitted["intercepts_"], parameters_dtype(coefs), shapes)
    require(shapes is None or len(coefs) == len(shapes), "coefs_ are not those of the layers")
    n_features, n_outputs = coefs[0].shape[0] if layers is None else layers[0].n_features, coefs[-1].shape[1]
    for name, value in (("n_features_in_", n_features), ("n_outputs_", n_outputs), ("n_layers_", len(coefs) + 1)):
        require(fitted[name] == value, f"{name} is {fitted[name]}, by coefs_ it is {value}")
    classifies = "classes_" in kind._attributes
    outs = {row.output for row in LOSS_ROWS.values() if (row.target != "real") == classifies}
    out = fitted["out_activation_"]
    require(out in outs, f"out_activation_ is {out!r}")
    if classifies:
        _check_classes(fitted, n_outputs, out)


def _check_classes(fitted, n_outputs, out_activation):
    """Refuse classes that are not those of the outputs; make the LabelBinarizer of a single output."""
    classes, binarizer = fitted.get("classes_"), fitted.get("_label_binarizer")
    require(classes is not None, "classes_ are not labels")
    if isinstance(classes, list):
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
