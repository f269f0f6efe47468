"""The parts of an experiment: its estimator, its table, its scores and its splits."""

import importlib
import inspect
import os
import sys
from contextlib import contextmanager

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold, ShuffleSplit, StratifiedShuffleSplit

from ..estimators.parameters import did_you_mean
from ..estimators.tabular_base import BaseTabularMLP
from ..interchange import KINDS
from .experiment import ExperimentError
from .files import TableError, column, columns_of, read_file, rows_where, with_values, without
from .models import targets_of

__all__ = ["load_data", "make", "rows_of", "scorers_of", "splits_of"]


def _class(name):
    if name in KINDS:
        return KINDS[name]
    module, dot, attribute = name.rpartition(".")
    if not dot:
        raise ExperimentError(
            f"there is no estimator {name!r} in fastmlp{did_you_mean(name, KINDS)}"
            " Others are named with their module, as in sklearn.linear_model.Ridge.",
            ["estimator", "name"],
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # modules beside the experiment, as for a script
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ExperimentError(f"{name!r} cannot be imported: {error}.", ["estimator", "name"]) from error


def make(experiment, **more):
    """The estimator of an experiment, which a class makes or a function of the user's.

    The parameters in `more` are set wherever in it they are None, in the steps of a pipeline too.
    """
    kind, params = _class(experiment["estimator"]["name"]), experiment["estimator"]["params"]
    known = inspect.signature(kind).parameters
    if not any(param.kind == param.VAR_KEYWORD for param in known.values()):
        for name in params:
            if name not in known:
                owner = experiment["estimator"]["name"]
                raise ExperimentError(
                    f"{owner} has no parameter {name!r}{did_you_mean(name, known)}",
                    ["estimator", "params", name],
                )
    estimator = kind(**params)
    for name, value in estimator.get_params().items():
        if value is None and (given := more.get(name.rpartition("__")[2])) is not None:
            estimator.set_params(**{name: given})
    return estimator


@contextmanager
def _of(*keys):
    """Let an error of a table be one about these keys of the experiment."""
    try:
        yield
    except TableError as error:
        raise ExperimentError(str(error), keys) from error


def load_data(experiment, path):
    """The table without its target, and the target."""
    data = experiment["data"]
    with _of("data", "delimiter"):
        table = read_file(path, data.get("delimiter"), "data.delimiter =")
    with _of("data", "target"):
        values = column(table, data["target"], path)
    with _of("data", "drop"):
        for name in data.get("drop", ()):
            column(table, name, path)
    table, values = with_values(table, values)
    if not values:
        raise ExperimentError(f"The target {data['target']!r} has no values.", ["data", "target"])
    estimator = make(experiment)
    task = data.get("task") or ("classification" if is_classifier(estimator) else "regression")
    with _of("data", "target"):
        y = targets_of(values, task, data["target"])
    X = without(table, [data["target"], *data.get("drop", ())])
    if isinstance(estimator, BaseTabularMLP):
        return X, y
    try:
        return np.column_stack([np.array(column(X, name, path), dtype=np.float64) for name in columns_of(X)]), y
    except (ValueError, TypeError) as error:
        raise ExperimentError(
            f"{type(estimator).__name__} takes numbers alone, and {path} has other columns: drop them with data.drop."
        ) from error


def rows_of(X, keep):
    return X[keep] if isinstance(X, np.ndarray) else rows_where(X, keep)


def scorers_of(experiment, estimator):
    names = experiment.get("metrics") or (["accuracy", "neg_log_loss"] if is_classifier(estimator) else ["r2"])
    for name in names:
        if name not in get_scorer_names():
            raise ExperimentError(f"there is no score {name!r}{did_you_mean(name, get_scorer_names())}", ["metrics"])
    return {name: get_scorer(name) for name in names}


def splits_of(experiment, estimator, X, y):
    splits = experiment["splits"]
    if "held_out" in splits:
        kind = StratifiedShuffleSplit if is_classifier(estimator) else ShuffleSplit
        splitter = kind(n_splits=splits["repeats"], test_size=splits["held_out"], random_state=splits["seed"])
    else:
        kind = RepeatedStratifiedKFold if is_classifier(estimator) else RepeatedKFold
        splitter = kind(n_splits=splits["folds"], n_repeats=splits["repeats"], random_state=splits["seed"])
    return list(splitter.split(np.zeros(len(y)), y))
