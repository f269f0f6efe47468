"""Estimators as data: their parameters and fitted attributes."""

from datetime import datetime
from inspect import signature

import numpy as np
from scipy.sparse import issparse

from ..training.recipes import Recipe

__all__ = ["OF_PROCESS", "state_of"]

# Parameters of the process that trains; a path in a file would have a later `fit` write there
OF_PROCESS = ("callbacks", "checkpoint_path", "checkpoint_every")
_SPOKEN = {"_skl_callbacks": "scikit-learn's callbacks", "_metadata_request": "metadata requests"}
_A_FUNCTION = "a function"  # in place of a scoring that is one: unequal to any name


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
    fitted = _fitted_of(estimator) if hasattr(estimator, estimator._fitted_by) else {}
    known = {*estimator._get_param_names(), *fitted}
    left_out += [_SPOKEN.get(name, name) for name in estimator._pickled_attributes() if name not in known]
    return {"class": type(estimator).__name__, "params": params, "fitted": fitted}, left_out


def _params_of(estimator):
    """Parameters as data, and the names of those that cannot be."""
    defaults = signature(type(estimator)).parameters
    params, left_out = {}, []
    for name, value in estimator.get_params(deep=False).items():
        if name == "dtype" and isinstance(value, type):
            value = (value.__name__,)  # apart from a name
        elif type(value) is Recipe:
            value = (dict(vars(value)),)  # apart from a dict, which has some of the fields
        elif isinstance(value, np.dtype):
            value = value.name  # which is equal to it
        elif isinstance(value, np.random.RandomState):
            if value.get_state(legacy=False)["bit_generator"] != "MT19937":
                raise TypeError(f"{name}={value!r} cannot be saved: only RandomStates of MT19937 can.")
            value = value.get_state()
        elif name in OF_PROCESS or callable(value):
            if value is not defaults[name].default and value != defaults[name].default:
                left_out.append(name)
            continue
        params[name] = value
    return params, left_out


def _fitted_of(estimator):
    """Fitted attributes as data, by name."""
    attributes, fitted = vars(estimator), {}
    for name, (kind, *_) in estimator._attributes.items():
        if name in attributes:
            value = attributes[name]
            if kind == "array" and issparse(value):
                raise ValueError(f"{name} is sparse: call densify before it is saved.")
            fitted[name] = _AS_DATA[kind](value) if kind in _AS_DATA and value is not None else value
    return fitted


def _optimizer_of(optimizer):
    """What an optimizer was told and what it remembers; None of one whose schedule is a function."""
    if optimizer.plan.function is not None:
        return None
    told = ("name", "learning_rate_init", "power_t", "schedule", "hyper")
    plan = {"lr_schedule": optimizer.plan.name, "options": optimizer.plan.options, "warmup": optimizer.plan.warmup}
    return {name: getattr(optimizer, name) for name in told} | plan | optimizer.get_state()


def _binarizer_of(binarizer):
    return {"y_type": binarizer.y_type_, "sparse_input": bool(binarizer.sparse_input_)}


def _members_of(members):
    return [
        {
            "recipe": dict(vars(member.recipe)),
            "parameters": list(map(np.asarray, member.parameters)),
            "loss_curve": np.array(member.loss_curve_, dtype=np.float64),
            "validation_scores": np.array(member.validation_scores_, dtype=np.float64),
            "best_epoch": member.best_epoch_,
            "weight": member.weight_,
        }
        for member in members
    ]


def _encoder_of(encoder):
    """The columns; what they were fitted by is the estimator's."""
    state = encoder.state()
    names = state["names"]
    return {"names": None if names is None else list(map(_plain_name, names)), "columns": state["columns"]}


def _plain_name(name):
    """A column's name, of Python's types where pandas has its own."""
    if isinstance(name, tuple):
        return tuple(map(_plain_name, name))
    if isinstance(name, datetime) and not getattr(name, "nanosecond", 1):  # equal to it, the hash included
        return name.to_pydatetime()
    return name


def _scoring_of(scored):
    scoring, given = scored
    return _A_FUNCTION if callable(scoring) else scoring, given


# Values of each kind of attribute as data; those of other kinds are data as they are
_AS_DATA = {
    "curve": lambda values: np.array(values, dtype=np.float64),
    "parameters": lambda arrays: list(map(np.asarray, arrays)),
    "array": np.asarray,
    "binarizer": _binarizer_of,
    "scoring": _scoring_of,
    "optimizer": _optimizer_of,
    "encoder": _encoder_of,
    "members": _members_of,
}
