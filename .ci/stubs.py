"""Stubs of the estimators, made from their signatures: `python .ci/stubs.py` writes them, `--check` compares.

A type checker sees little of the estimators in their source: scikit-learn's decorators have no types, and the
constructors of most are made of those of others. The types of parameters come from the constraints, those of attributes
from the table of fitted attributes (`estimators/fitted.py`); the tables here have the rest.
"""

import argparse
import inspect
import subprocess
import sys
from datetime import timedelta
from numbers import Integral, Real
from pathlib import Path

import numpy as np

import fastmlp
from fastmlp import dask, tuning
from fastmlp.borrowed import Interval, Options, StrOptions

SOURCE = Path(__file__).parents[1] / "src/fastmlp"
_PUBLIC = [getattr(fastmlp, name) for name in fastmlp.__all__]
ESTIMATORS = [public for public in _PUBLIC if hasattr(public, "_parameter_constraints")]

# Of parameters whose constraint says less than their documentation, or has names that depend on scikit-learn's version
PARAMETERS = {
    "activation": "_Activation | list[str] | tuple[str, ...]",
    "callbacks": "_Callback | Sequence[_Callback] | None",
    "categorical_features": 'Literal["from_dtype"] | Sequence[str] | Sequence[int] | NDArray[Any] | None',
    "checkpoint_path": "_Path | None",
    "class_weight": 'Mapping[Any, float] | Sequence[Mapping[Any, float]] | Literal["balanced"] | None',
    "client": "Any",
    "dense_layer_sizes": "Sequence[int]",
    "dropout": "float | Sequence[float] | NDArray[Any]",
    "dtype": 'Literal["float32", "float64"] | type[np.float32] | type[np.float64] | np.dtype[Any] | None',
    "hidden_layer_sizes": "int | Sequence[int] | NDArray[Any]",
    "input_shape": "Sequence[int] | None",
    "layers": 'Literal["auto"] | Sequence[tuple[Any, ...]]',
    "lr_schedule": "_Schedule | Callable[..., float] | None",
    "n_iter_no_change": "int | float",
    "quantile": "float | Sequence[float] | NDArray[Any]",
    "recipe": "Recipe | Mapping[str, Any] | None",
    "scoring": "str | Callable[..., Any] | None",
}
PARAMETERS_OF = {
    "TPESearchCV": {
        "estimator": "Any",
        "space": "Mapping[str, Any] | None",
        "scoring": "str | Callable[..., Any] | Sequence[str] | Mapping[str, Any] | None",
        "refit": "bool | str | Callable[..., int]",
        "cv": "Any",
        "pruner": "Any",
        "storage": "Any",
        "study_name": "str",
        "error_score": 'float | Literal["raise"]',
    }
}
ARGUMENTS = {
    "X": "_Rows",
    "y": "ArrayLike | _Shaped",
    "sample_weight": "ArrayLike",
    "X_val": "_Rows | None",
    "y_val": "ArrayLike | _Shaped | None",
    "sample_weight_val": "ArrayLike | None",
    "classes": "ArrayLike | None",
    "coef_init": "ArrayLike | None",
    "intercept_init": "ArrayLike | None",
    "target": "ArrayLike | None",
    "baseline": "ArrayLike | None",
    "raw_score": "bool",
    "n_steps": "int",
    "source": "Source",
    "path": "_Path",
    "method": "str",
    "name": "str",
    "dtype": "str",
    "opset": "int",
    "params": "Any",
}
FLOATS = "NDArray[np.floating[Any]]"
METHODS = {
    "decision_function": FLOATS,
    "fit": "Self",
    "get_params": "dict[str, Any]",
    "input_gradients": FLOATS,
    "integrated_gradients": FLOATS,
    "partial_fit": "Self",
    "predict": "NDArray[Any]",
    "predict_log_proba": f"{FLOATS} | Any",  # of several outputs a list of such
    "predict_proba": f"{FLOATS} | Any",
    "predict_to": "None",
    "save": "None",
    "score": "float",
    "set_params": "Self",
    "to_c": "str | None",
    "to_local": "{local}",
    "to_onnx": "Any",
    "to_sklearn": "Any",
}
KINDS = {  # of fitted attributes
    "array": "NDArray[Any]",
    "count": "int",
    "curve": "list[float]",
    "encoder": "Any",
    "feature names": "NDArray[np.object_]",
    "labels": "NDArray[Any] | Any",  # of several outputs a list of such
    "members": "list[Any]",
    "name": "str",
    "number": "float",
    "parameters": "list[NDArray[Any]]",
    "real count": "float",
    "shape": "tuple[int, ...]",
}
ATTRIBUTES = {  # that have no kind
    "TabularMLPClassifier": {"oof_prediction_": "NDArray[Any]", "classes_": "NDArray[Any]"},
    "TabularMLPRegressor": {"oof_prediction_": "NDArray[Any]"},
    "Perceptron": {"classes_": "NDArray[Any]"},
    "TPESearchCV": {
        "best_estimator_": "Any",
        "best_index_": "int",
        "best_params_": "dict[str, Any]",
        "best_score_": "float",
        "cv_results_": "dict[str, Any]",
        "feature_names_in_": "NDArray[np.object_]",
        "multimetric_": "bool",
        "n_splits_": "int",
        "refit_time_": "float",
        "scorer_": "Any",
        "trials_": "list[Any]",
    },
}
OPTIONAL = ("best_loss_", "best_validation_score_", "validation_scores_")  # None where there are none

ALIASES = """\
class _Shaped(Protocol):  # sparse matrices, frames
    @property
    def shape(self) -> tuple[Any, ...]: ...

_Rows = ArrayLike | _Shaped | Source | Mapping[str, Any] | Sequence[Mapping[str, Any]]
_Path = str | os.PathLike[str]
_Callback = Callable[[Any, int, dict[str, Any]], Any]
{named}

__version__: str

"""
NAMED = {"activation": "_Activation", "lr_schedule": "_Schedule", "solver": "_Solver", "weight_init": "_Initial"}
HEADER = """\
# Written by .ci/stubs.py
import os

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
{imports}
"""


def literal(names):
    return f"Literal{sorted(map(str, names))}".replace("'", '"')


def options_of(cls, name):
    """The names that a parameter may be."""
    constraint = cls._parameter_constraints.get(name, ())
    return next((allowed.options for allowed in constraint if isinstance(allowed, StrOptions)), None)


def of_constraint(constraint):
    """The type that the constraint of a parameter allows."""
    if isinstance(constraint, str):
        return "Any"
    types = []
    for allowed in constraint:
        match allowed:
            case StrOptions():
                types.append(literal(allowed.options))
            case Interval() | Options():
                types.append({Real: "float", Integral: "int"}[allowed.type])
            case "boolean":
                types.append("bool")
            case "verbose":
                types += ["bool", "int"]
            case "random_state":
                types += ["int", "np.random.RandomState", "None"]
            case None:
                types.append("None")
            case _:
                known = {dict: "Mapping[str, Any]", str: "str", timedelta: "timedelta", Integral: "int"}
                types.append(known[allowed])
    return " | ".join(dict.fromkeys(sorted(types, key=lambda kind: kind == "None")))


def parameter_type(cls, name):
    own = PARAMETERS_OF.get(cls.__name__, {})
    if name in own:
        return own[name]
    constraint = cls._parameter_constraints.get(name, "no_validation")
    if name in NAMED and len(constraint) == 1:
        return NAMED[name]
    return PARAMETERS.get(name) or of_constraint(constraint)


def default_of(value):
    """A default as a stub has it."""
    if isinstance(value, float) and np.isnan(value):
        return "..."
    return repr(value).replace("'", '"')


def signature_of(function, type_of, returns):
    parts, starred = [], False
    for parameter in inspect.signature(function).parameters.values():
        name, kind = parameter.name, parameter.kind
        if name in ("self", "cls"):
            parts.append(name)
            continue
        if kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        annotation = type_of(name)
        if kind is parameter.VAR_KEYWORD:
            parts.append(f"**{name}: {annotation}")
        elif parameter.default is parameter.empty:
            parts.append(f"{name}: {annotation}")
        else:
            if parameter.default is None and "None" not in annotation and annotation != "Any":
                annotation += " | None"
            parts.append(f"{name}: {annotation} = {default_of(parameter.default)}")
    return f"({', '.join(parts)}) -> {returns}: ..."


def method_of(cls, name, function):
    collections = issubclass(cls, dask._DaskMixin)

    def type_of(argument):
        if collections and argument in ("X", "y", "sample_weight"):
            return "Any"
        return "bool" if argument == "deep" else ARGUMENTS[argument]

    returns = METHODS[name]
    if name == "to_local":
        returns = cls._local.__name__
    if collections and returns.startswith("NDArray"):
        returns = "Any"
    elif cls.__name__ == "TabularMLPClassifier" and "proba" in name:
        returns = "NDArray[np.float32]"
    return f"    def {name}{signature_of(function, type_of, returns)}"


def members_of(cls):
    """The lines of the stub of a class."""
    for name in list(inspect.signature(cls.__init__).parameters)[1:]:
        yield f"    {name}: {parameter_type(cls, name)}"
    fitted = {name: KINDS[a.kind] for name, a in getattr(cls, "_attributes", {}).items() if not name.startswith("_")}
    fitted |= ATTRIBUTES.get(cls.__name__, {})
    for name, kind in fitted.items():
        yield f"    {name}: {kind}{' | None' if name in OPTIONAL else ''}"
    yield f"    def __init__{signature_of(cls.__init__, lambda name: parameter_type(cls, name), 'None')}"
    for name in METHODS:
        function = getattr(cls, name, None)
        if function is not None:
            yield method_of(cls, name, function)


def class_of(cls):
    """The stub of a class, without what is the same in the one that it derives from."""
    parents = [base for base in cls.__mro__[1:] if base in ESTIMATORS][:1]
    mixins = [base.__name__ for base in cls.__mro__ if base.__name__ in ("ClassifierMixin", "RegressorMixin")]
    bases = [base.__name__ for base in parents] or [*mixins, "BaseEstimator"]
    inherited = {line for base in parents for line in members_of(base)}
    own = [line for line in members_of(cls) if line not in inherited]
    return "\n".join([f"class {cls.__name__}({', '.join(bases)}):", *own, ""])


def stubs():
    """The text of each stub, by its file."""
    named = (f"{alias} = {literal(options_of(fastmlp.MLPClassifier, name))}" for name, alias in NAMED.items())
    sklearn = "from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin\n"
    top = f"""{sklearn}
from .data.parquet import scan_parquet as scan_parquet
from .data.sources import Source
from .data.sources import scan_npy as scan_npy
from .estimators.display import TrainingCurveDisplay as TrainingCurveDisplay
from .interchange import from_sklearn as from_sklearn
from .interchange import load as load
from .interchange import register_onnx_converters as register_onnx_converters
from .training.recipes import Recipe
"""
    aliases = "_Callback, _Path, _Rows, _Schedule, _Shaped, _Solver, _Activation, _Initial"
    of_dask = f"from . import MLPClassifier, MLPRegressor, {aliases}\n\n"
    of_tuning = f"{sklearn}\nfrom .. import {aliases}\nfrom .defaults import default_space as default_space\n\n"
    modules = {
        "__init__.pyi": (top + "\n" + ALIASES.format(named="\n".join(named)), ESTIMATORS),
        "dask.pyi": (of_dask, [dask.DaskMLPClassifier, dask.DaskMLPRegressor]),
        "tuning/__init__.pyi": (of_tuning, [tuning.TPESearchCV]),
    }
    return {
        name: HEADER.format(imports=head) + "\n".join(map(class_of, classes))
        for name, (head, classes) in modules.items()
    }


def formatted(text, path):
    """The text as ruff has it, without imports that it does not use."""
    name = ["--stdin-filename", str(path)]
    for command in (["check", "--quiet", "--fix-only", "--select", "F401,I", *name], ["format", "--quiet", *name]):
        text = subprocess.run(["ruff", *command, "-"], input=text, capture_output=True, text=True, check=True).stdout
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail where a stub is not what would be written")
    check = parser.parse_args().check
    wrong = []
    for name, text in stubs().items():
        path = SOURCE / name
        text = formatted(text, path)
        if check and (not path.exists() or path.read_text("utf-8") != text):
            wrong.append(name)
        elif not check:
            path.write_text(text, "utf-8")
    return f"Not the signatures of the estimators: {', '.join(wrong)}. Write with .ci/stubs.py." if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
