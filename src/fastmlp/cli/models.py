"""The commands for one model: train, predict, show, export."""

import json
import math
import os
import sys
import time
from decimal import Decimal

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.model_selection import train_test_split

from ..data.tables import TableEncoder
from ..estimators.shapes import ShapedRowsMixin, told_layers
from ..estimators.tabular_base import BaseTabularMLP
from ..estimators.tabular_classifier import TabularMLPClassifier
from ..estimators.tabular_regressor import TabularMLPRegressor
from ..interchange import load
from ..training.disk import check_writable, replace_file
from .arguments import command, count, json_option, positive, share
from .files import (
    TableError,
    column,
    columns_of,
    read_file,
    refuse_absent,
    refuse_none,
    rows_where,
    with_values,
    without,
    write_columns,
    writing,
)
from .larger import scanned

__all__ = ["add", "targets_of"]

_MOST_CLASSES = 20  # distinct whole numbers that are taken for classes


def add(subparsers):
    """Add the commands to the parser of ``fastmlp``."""
    train = command(
        subparsers, "train", _train, "train a model on a table and write it to a file",
        "fastmlp train people.csv --target income",
        "fastmlp train sales.parquet --target price --drop id --holdout 0.2 -o price.fastmlp",
    )  # fmt: skip
    train.add_argument("data", help="CSV, Parquet, Arrow or Feather file, or a folder of one of these kinds")
    train.add_argument("--target", "-t", required=True, metavar="COLUMN", help="column to predict")
    train.add_argument("--task", choices=["classification", "regression"], help="default: by the target's values")
    train.add_argument("--output", "-o", default="model.fastmlp", metavar="FILE", help="default: %(default)s")
    train.add_argument("--drop", nargs="+", default=[], metavar="COLUMN", help="columns to leave out")
    train.add_argument("--categorical", nargs="+", metavar="COLUMN", help="columns of numbers that are codes")
    train.add_argument("--holdout", type=share, metavar="SHARE", help="share of the rows to set aside for the scores")
    train.add_argument("--members", type=count, metavar="N", help="networks in the ensemble")
    train.add_argument("--epochs", type=count, metavar="N", help="epochs of each network")
    train.add_argument("--time-limit", type=positive, metavar="SECONDS", help="time that the training may take")
    train.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    train.add_argument("--jobs", type=int, metavar="N", help="threads; default: the physical cores")
    train.add_argument("--quiet", "-q", action="store_true", help="print no progress")
    _table_options(train)
    json_option(train)
    predict = command(
        subparsers, "predict", _predict, "predict the rows of a table",
        "fastmlp predict model.fastmlp new.csv -o out.csv",
        "fastmlp predict model.fastmlp new.csv --keep id | head",
    )  # fmt: skip
    _model(predict)
    predict.add_argument("data", help="a file or folder as `fastmlp train` takes it; further columns are not looked at")
    predict.add_argument("--output", "-o", metavar="FILE", help="CSV, Parquet or Feather; default: CSV on the terminal")
    predict.add_argument("--keep", nargs="+", default=[], metavar="COLUMN", help="columns to copy to the output")
    predict.add_argument("--labels-only", action="store_true", help="leave out the probabilities of classes")
    _table_options(predict)
    show = command(subparsers, "show", _show, "say what is in a model", "fastmlp show model.fastmlp")
    _model(show)
    json_option(show)
    export = command(
        subparsers, "export", _export, "write a model as ONNX or C",
        "fastmlp export model.fastmlp --onnx model.onnx", "fastmlp export model.fastmlp --c model.c",
    )  # fmt: skip
    _model(export)
    export.add_argument("--onnx", metavar="FILE", help="file for ONNX Runtime and others")
    export.add_argument("--c", metavar="FILE", help="file of C source that needs no library")


def _model(parser):
    parser.add_argument("model", help="file that `fastmlp train` or `save` wrote")


def _table_options(parser):
    parser.add_argument("--delimiter", metavar="CHARACTER", help="between the fields of CSV; default: a comma")
    parser.add_argument(
        "--window-rows", type=count, metavar="N",
        help="rows in memory at a time; default: all of a table that is small beside the machine's memory",
    )  # fmt: skip


# train


def _train(args):
    with writing(args.output):
        check_writable(args.output)
    tell = _teller(args)
    with scanned(args.data, args.delimiter, args.window_rows) as larger:
        if larger is None:
            rows = _Whole(args, tell)
        else:
            rows = _Windows(args, tell, larger)
        model = _model_of(args, rows.example, rows.task)
        encoder = TableEncoder(categorical_features=model.categorical_features, estimator="train")
        columns = _columns_of(encoder.fit(rows.example))
        for kind, names in columns.items():
            tell(f"{kind}: {', '.join(names)}")
        began = time.perf_counter()
        scores = rows.fit(model)
        seconds = time.perf_counter() - began
    model.set_params(callbacks=None)
    with writing(args.output):
        model.save(args.output)
    for how, of_rows in scores.items():
        tell(f"{how}: {', '.join(f'{name} {value:.4g}' for name, value in of_rows.items())}")
    tell(f"{len(model.members_)} networks in {seconds:.1f} s, written to {args.output}")
    if args.json:
        result = {"model": args.output, "task": rows.task, "rows": rows.n_rows, "columns": columns, "scores": scores}
        print(json.dumps(result | {"members": len(model.members_), "seconds": round(seconds, 3)}))
    return 0


class _Whole:
    """A table that is read whole.

    Attributes
    ----------
    example : table
        Features, by which the columns are told apart.
    task : {"classification", "regression"}
    n_rows : int
        That have a target.
    """

    def __init__(self, args, tell):
        self.args = args
        table = read_file(args.data, args.delimiter)
        values = column(table, args.target, args.data)
        for name in [*args.drop, *(args.categorical or ())]:
            refuse_absent(name, columns_of(table), args.data)
        n_rows = len(values)
        table, values = with_values(table, values)
        if not values:
            raise TableError(f"The target {args.target!r} has no values.")
        tell(f"{n_rows:,} rows, {len(columns_of(table)):,} columns in {args.data}")
        if len(values) < n_rows:
            tell(f"{n_rows - len(values):,} rows without a target are left out")
        self.task, why = _task_of(values, args.task)
        self.y, self.n_rows = targets_of(values, self.task, args.target), len(values)
        tell(f"target {args.target}: {self.task}, {why}")
        self.example = without(table, [args.target, *args.drop])
        refuse_none(columns_of(self.example))

    def fit(self, model):
        """Fit the model; gives its scores by what they are of."""
        return _fitted(model, self.example, self.y, self.args)


class _Windows:
    """A table of which a part at a time is in memory; attributes and `fit` are as those of `_Whole`."""

    def __init__(self, args, tell, table):
        aside = None
        if args.holdout is not None:
            rows, aside = table.divided(args.holdout, args.seed)
        self.source = table.source(args.target, args.drop, None if aside is None else rows)
        self.aside = None if aside is None else table.source(args.target, args.drop, aside)
        for name in args.categorical or ():
            refuse_absent(name, table.columns, args.data)
        self.n_rows = self.source.n_rows + (0 if aside is None else self.aside.n_rows)
        tell(f"{self.n_rows:,} rows, {len(table.columns):,} columns in {args.data}, read by windows")
        self.task, why = _task_of(np.unique(self.source.targets()[0]).tolist(), args.task)
        tell(f"target {args.target}: {self.task}, {why}")
        self.example = self.source.table([0], targets=False)[0]

    def fit(self, model):
        model.fit(self.source)
        name = "accuracy" if is_classifier(model) else "R2"
        scores = {"out of fold": {name: float(model.oof_score_)}}
        if self.aside is not None:
            predicted = (model.predict_proba if is_classifier(model) else model.predict)(self.aside)
            scores[f"{self.aside.n_rows:,} rows set aside"] = _scores(self.aside.targets()[0], predicted, model)
        return scores


def _teller(args):
    """What prints a line: to the errors where the output is for a program."""
    return lambda line: print(line, file=sys.stderr if args.json else sys.stdout, flush=True)


def _task_of(values, given):
    distinct = set(values)
    numbers = all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in distinct)
    whole = numbers and all(math.isfinite(value) and value == int(value) for value in distinct)
    if given is not None:
        return given, "as --task says"
    if not numbers:
        return "classification", f"for its {len(distinct):,} values are no numbers"
    if whole and len(distinct) <= _MOST_CLASSES:
        return "classification", f"for it has {len(distinct)} whole numbers; else give --task regression"
    return "regression", f"for it has {len(distinct):,} numbers; else give --task classification"


def targets_of(values, task, name):
    """Values of the column with the targets as an array: labels of one type, or float64."""
    if task == "classification":
        # whole numbers that were read as others because of gaps
        if all(isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value) for value in values):
            values = [int(value) for value in values]
        kinds = {type(value) for value in values}
        return np.array(values if len(kinds) == 1 else [str(value) for value in values])
    try:
        return np.array(values, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise TableError(f"The target {name!r} has values that are no numbers, and --task is regression.") from error


def _model_of(args, X, task):
    kind = TabularMLPClassifier if task == "classification" else TabularMLPRegressor
    categories = "from_dtype"
    if args.categorical:
        encoder = TableEncoder(estimator="train").fit(X)
        found = {str(part.name) for part in encoder.columns_ if part.role in ("binary", "onehot", "embedding")}
        categories = [name for name in columns_of(X) if name in found or name in args.categorical]
    return kind(
        n_members=args.members, max_iter=args.epochs, time_limit=args.time_limit, random_state=args.seed,
        n_jobs=args.jobs, categorical_features=categories, callbacks=None if args.quiet else _progress,
    )  # fmt: skip


def _progress(estimator, epoch, metrics):
    """A line when a network has done its epochs; a callback."""
    if epoch == estimator.members_[0].recipe.epochs:
        score = metrics.get("validation_score", float("nan"))
        print(f"network {metrics['member'] + 1}: {epoch} epochs, validation score {score:.4g}", file=sys.stderr)


def _columns_of(encoder):
    """Names of the columns by what they are."""
    kinds = {"number": "numbers", "date": "dates", "empty": "empty"}
    columns = {}
    for part in encoder.columns_:
        columns.setdefault(kinds.get(part.role, "categories"), []).append(str(part.name))
    return columns


def _fitted(model, X, y, args):
    """Fit the model; gives its scores by what they are of."""
    classifies = is_classifier(model)
    held_out = None
    if args.holdout is not None:
        smallest = min(np.unique(y, return_counts=True)[1]) if classifies else 0
        rows, held_out = train_test_split(
            np.arange(len(y)), test_size=args.holdout, random_state=args.seed, stratify=y if smallest > 1 else None
        )
        X, y, X_test, y_test = rows_where(X, rows), y[rows], rows_where(X, held_out), y[held_out]
    model.fit(X, y)
    scores = {}
    known = np.isfinite(model.oof_prediction_).reshape(len(y), -1).all(axis=1)
    scores["out of fold"] = _scores(y[known], model.oof_prediction_[known], model)
    if held_out is not None:
        predicted = model.predict_proba(X_test) if classifies else model.predict(X_test)
        scores[f"{len(held_out):,} rows set aside"] = _scores(y_test, predicted, model)
    return scores


def _scores(y, predicted, model):
    if not is_classifier(model):
        return {
            "R2": float(r2_score(y, predicted)),
            "RMSE": float(root_mean_squared_error(y, predicted)),
            "MAE": float(mean_absolute_error(y, predicted)),
        }
    classes = model.classes_
    scores = {
        "accuracy": float(accuracy_score(y, classes[predicted.argmax(axis=1)])),
        "log loss": float(log_loss(y, predicted, labels=classes)),
    }
    if len(classes) == 2 and len(np.unique(y)) == 2:
        scores["AUC"] = float(roc_auc_score(y == classes[1], predicted[:, 1]))
    return scores


# predict


def _predict(args):
    if args.output is not None:
        with writing(args.output):
            check_writable(args.output)
    model = load(args.model)
    if not hasattr(model, "n_features_in_"):
        raise TableError(f"{args.model} has a model that is not fitted.")
    with scanned(args.data, args.delimiter, args.window_rows) as larger:
        if larger is None:
            columns = _predicted(model, read_file(args.data, args.delimiter), args)
        else:
            source = larger.source()
            parts = [
                _predicted(model, source.table([block], targets=False)[0], args) for block in range(len(source.blocks))
            ]
            columns = {name: [value for part in parts for value in part[name]] for name in parts[0]}
    write_columns(args.output, columns)
    return 0


def _predicted(model, table, args):
    """The columns of the output: those to keep, predictions, and the probabilities of classes."""
    columns = {name: column(table, name, args.data) for name in args.keep}
    X = _features(model, table, args)
    columns["prediction"] = model.predict(X)
    if is_classifier(model) and hasattr(model, "predict_proba") and not args.labels_only:
        for label, probabilities in zip(model.classes_, model.predict_proba(X).T, strict=True):
            columns[f"probability of {label}"] = probabilities
    if np.ndim(columns["prediction"]) > 1:
        outputs = columns.pop("prediction")
        columns |= {f"prediction {i + 1}": part for i, part in enumerate(outputs.T)}
    return {name: part.tolist() if isinstance(part, np.ndarray) else part for name, part in columns.items()}


def _features(model, table, args):
    """The columns that the model was trained on, as it takes them."""
    names = [*getattr(model, "feature_names_in_", ())]
    have = columns_of(table)
    if names and (lacking := [name for name in names if name not in have]):
        raise TableError(f"{args.data} lacks columns of the model: {', '.join(lacking[:10])}.")
    table = without(table, [name for name in have if names and name not in names])
    if isinstance(model, BaseTabularMLP):
        return table
    try:  # a network for matrices
        matrix = [np.array(column(table, name, args.data), dtype=np.float64) for name in names or columns_of(table)]
    except (ValueError, TypeError) as error:
        raise TableError(f"{type(model).__name__} takes numbers alone, and {args.data} has others.") from error
    if len(matrix) != model.n_features_in_:
        raise TableError(f"{args.data} has {len(matrix)} columns, and the model takes {model.n_features_in_}.")
    vars(model).pop("feature_names_in_", None)  # they have been compared
    return np.column_stack(matrix)


# show and export


def _show(args):
    model = load(args.model)
    shown = {"model": type(model).__name__, "file": args.model, "bytes": os.path.getsize(args.model)}
    defaults = type(model)().get_params()
    shown["parameters"] = {
        name: value for name, value in model.get_params().items() if repr(value) != repr(defaults[name])
    }
    if hasattr(model, "n_features_in_"):
        shown["features"] = model.n_features_in_
    if hasattr(model, "classes_"):
        shown["classes"] = [str(label) for label in model.classes_]
    if isinstance(model, BaseTabularMLP) and hasattr(model, "members_"):
        shown["columns"] = _columns_of(model.encoder_)
        shown["networks"] = len(model.members_)
        shown["weights"] = sum(array.size for member in model.members_ for array in member.parameters)
        if hasattr(model, "oof_score_"):
            shown["out-of-fold score"] = float(model.oof_score_)
    elif hasattr(model, "coefs_"):
        if isinstance(model, ShapedRowsMixin):
            shown["layers"] = told_layers(model)
        else:
            shown["layers"] = [model.coefs_[0].shape[0], *(len(intercept) for intercept in model.intercepts_)]
        shown["weights"] = sum(array.size for array in [*model.coefs_, *model.intercepts_])
        shown["loss"] = float(model.loss_)
    if args.json:
        print(json.dumps(shown, default=str))
        return 0
    for name, value in shown.items():
        if isinstance(value, dict):
            value = "; ".join(f"{key}: {_listed(part)}" for key, part in value.items()) or "defaults"
        print(f"{name}: {_listed(value)}")
    return 0


def _listed(value):
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _export(args):
    if args.onnx is None and args.c is None:
        raise TableError("Say what to write: --onnx FILE, --c FILE or both.")
    for path in (args.onnx, args.c):
        if path is not None:
            with writing(path):
                check_writable(path)
    model = load(args.model)
    if args.onnx is not None:
        content = model.to_onnx().SerializeToString()
        with writing(args.onnx):
            replace_file(args.onnx, lambda file: file.write(content))
        print(f"written to {args.onnx}")
    if args.c is not None:
        with writing(args.c):
            model.to_c(args.c)
        print(f"written to {args.c}")
    return 0
