"""Sources in place of arrays: what a fit by windows needs to know of all rows before it trains on the first."""

import warnings
from contextlib import contextmanager

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ..data.parquet import write_parquet
from ..data.sources import Source
from ..data.statistics import Labels, Numbers, Statistics
from ..data.windows import Stream, features_of, window_blocks
from ..training.arrays import is_finite
from .inputs import check_nonnegative, check_total
from .parameters import OF_LOSSES, constructor_defaults
from .targets import checked_column, columns_of

__all__ = [
    "PredictToMixin",
    "SourceMixin",
    "check_features",
    "check_source",
    "is_larger_than_memory",
    "loaded",
    "loaded_table",
    "placed",
    "take_features",
    "take_targets",
    "targets_of",
]

_DIFFERENT = 0.02  # measure of how targets of windows differ, from which on training loses by it


def check_source(source, names, others):
    """Refuse a source without targets, and arrays beside one that has them.

    Parameters
    ----------
    source : Source
    names : sequence of str
        Of the parameters that a source stands for: X, then y and weights.
    others : sequence of object
        What was given for the latter.

    Raises
    ------
    ValueError
        That names the parameter.
    """
    if not source.has_targets:
        raise ValueError(f"{names[0]} has no targets: name them where {source} is made.")
    for name, value in zip(names[1:], others, strict=True):
        if value is not None:
            raise ValueError(f"{name} must be None beside {names[0]}={source}: name it where the source is made.")


def targets_of(X, y, sample_weight):
    """y and weights as they are, or all those of a source.

    Raises
    ------
    ValueError
        If there are none, or if they are given beside a source.
    """
    if isinstance(X, Source):
        check_source(X, ("X", "y", "sample_weight"), (y, sample_weight))
        return X.targets()
    if y is None:
        raise ValueError("y must be given where X is no source, got None.")
    return y, sample_weight


def check_features(model, source):
    """Refuse a source whose features are others than those of the fit.

    Raises
    ------
    ValueError
    """
    if source.n_features != model.n_features_in_:
        raise ValueError(
            f"X has {source.n_features} features, but {type(model).__name__} is expecting {model.n_features_in_}"
            " features as input."
        )
    source.check_numbers()
    known = getattr(model, "feature_names_in_", None)
    if known is not None and source.names is not None and source.names != known.tolist():
        raise ValueError(
            "The feature names should match those that were passed during fit:"
            f" {known.tolist()}, got {source.names} of {source}."
        )


def take_features(model, source, first):
    """Learn number and names of features in a fit that starts anew, else check them."""
    if not first:
        check_features(model, source)
        return
    source.check_numbers()
    model.n_features_in_ = source.n_features
    vars(model).pop("feature_names_in_", None)
    if source.names is not None:
        model.feature_names_in_ = np.array(source.names, dtype=object)


def take_targets(statistics, y, weight):
    """Take the checked targets of a block, and its weights or None, in.

    Raises
    ------
    ValueError
        If a weight is none.
    """
    if weight is not None:
        if not is_finite(weight):
            raise ValueError("Input sample_weight contains NaN or infinity.")
        check_nonnegative(weight)
    statistics.add(columns_of(y), weight)


# What `predict_to` names the columns of a method
_PREFIXES = {
    "predict": "prediction",
    "predict_proba": "probability",
    "predict_log_proba": "log_probability",
    "decision_function": "score",
}


class PredictToMixin:
    """Predictions that are not in memory together."""

    _segments = None  # sizes of the blocks of outputs that each have a softmax

    def predict_to(self, source, path, method="predict"):
        """Predict for a source and write a Parquet file, block by block.

        Needs ``pip install "fastmlp[arrow]"``.

        Parameters
        ----------
        source : source
            Of `scan_parquet` or `scan_npy`.
        path : str or path
            The file to write. It is replaced when the new one is whole.
        method : str, default="predict"
            "predict", "predict_proba", "predict_log_proba" or "decision_function", if the model has it. The file has
            the column "prediction", "probability", "log_probability" or "score"; where the method gives several, one
            for each, with a label of `classes_`, or a number from 0, behind an underscore.

        Raises
        ------
        ValueError, TypeError
            As `predict`, or if `source` or `method` is none.
        OSError
            If the file cannot be written; the one that was there is as it was.
        ImportError
            If PyArrow is missing.
        """
        if not isinstance(source, Source):
            raise TypeError(f"source must be one of scan_parquet or scan_npy, got {type(source).__name__}.")
        if method not in _PREFIXES:
            raise ValueError(f"method must be one of {', '.join(map(repr, _PREFIXES))}, got {method!r}.")
        check_is_fitted(self)
        predict = getattr(self, method)
        blocks = self._blocks_to_predict(source)
        write_parquet(path, (self._columns_of(predict(block), _PREFIXES[method]) for block in blocks))

    def _columns_of(self, predicted, prefix):
        """What a method has given as columns by name."""
        classes = getattr(self, "classes_", None)
        if isinstance(predicted, list):  # of several outputs of classes
            parts = zip(classes, predicted, strict=True)
            return {
                f"{prefix}_{i}_{label}": column
                for i, (labels, part) in enumerate(parts)
                for label, column in zip(labels.tolist(), part.T, strict=True)
            }
        if predicted.ndim == 1:
            return {prefix: predicted}
        predicted = predicted.toarray() if issparse(predicted) else predicted
        labels = range(predicted.shape[1]) if classes is None or self._segments is not None else classes.tolist()
        return {f"{prefix}_{label}": column for label, column in zip(labels, predicted.T, strict=True)}


class SourceMixin(PredictToMixin):
    """Fitting to rows that are not in memory together."""

    def _blocks_to_predict(self, source):
        """The features of a source as `predict` takes them, block by block."""
        check_features(self, source)
        return features_of(source)

    def _stream(self, source, first):
        """A source as the `Stream` that a fit takes, what to aim at, and the weights of classes."""
        take_features(self, source, first)
        statistics = Statistics(Labels if is_classifier(self) else Numbers)
        for block in range(len(source.blocks)):
            with placed(source.place(block)):
                y, weight = source.read(block)
                take_targets(statistics, self._targets_of_block(y), weight)
        if statistics.weight is not None:
            check_total(np.array([statistics.weight]), self._precision(source), "sample_weight")
        # each label some times: few rows with many labels are for scikit-learn no classification
        target = self._encode(np.repeat(statistics.few(), 4, axis=0), incremental=False)
        columns = statistics.columns
        class_weights = self._class_weights([c.values for c in columns], [c.counts for c in columns])
        self._warn_if_clustered(source, statistics)

        encode = _Encoder(self, class_weights)
        weighted = source.is_weighted or class_weights is not None
        return self._stream_of(source, encode, target.y, weighted, statistics.digest()), target, class_weights

    def _stream_of(self, *arguments):
        """A `Stream`, by its arguments."""
        return Stream(*arguments)

    def _targets_of_block(self, y):
        """y of a block, checked as far as one block tells."""
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        y = self._checked_y(y, "y")
        if is_classifier(self) and y.ndim == 1 and y.dtype == object:
            y = checked_column(y, "y")
        if not is_classifier(self) and y.dtype.kind not in "biuf":
            raise TypeError(f"y has dtype {y.dtype}: targets of a regression must be numbers.")
        if y.dtype.kind == "f" and not is_finite(y):
            row = np.argwhere(~np.isfinite(y))[0, 0]
            raise ValueError(f"Input y contains NaN or infinity, the first in row {row} of it.")
        return y

    def _warn_if_clustered(self, source, statistics):
        """Say so where the windows of an epoch have other targets than all rows have."""
        if self.shuffle and statistics.difference(window_blocks(source, 0, 0)) > _DIFFERENT:
            warnings.warn(
                f"The rows of {source} are sorted or grouped by their targets: windows of at most {source.window_rows}"
                " rows differ in them, and training follows from one to the next. Larger windows, smaller row groups or"
                " rows in random order help."
            )

    def _held_out_of(self, fit, source):
        """Rows that a fit by windows holds out, as `Data`; no more than a window has room for."""
        share = float(self.validation_fraction)
        room = source.window_rows / source.n_rows
        if share > room:
            warnings.warn(
                f"validation_fraction={self.validation_fraction!r} of {source.n_rows} rows is more than a window of"
                f" {source.window_rows} rows: {room:.2g} of the rows are held out instead."
            )
            share = room
        return fit.hold_out(share)


class _Encoder:
    """Encodes targets and weights of a block as a fit has learnt to, in any process.

    Parameters
    ----------
    estimator : BaseMLP
        Which has learnt the labels.
    class_weights : object
        As its `_class_weights` gives them.
    """

    def __init__(self, estimator, class_weights):
        self._class_weights = class_weights
        self._estimator = type(estimator).__new__(type(estimator))
        known = {*OF_LOSSES, "classes_", "_label_binarizer"}
        own = {name: value for name, value in dict(vars(estimator)).items() if name in known}
        vars(self._estimator).update(constructor_defaults(type(estimator)) | own)  # others may not go into a pickle

    def __call__(self, y, weight):
        estimator = self._estimator
        y = estimator._targets_of_block(y)
        return estimator._encode(y, incremental=True).y, estimator._loss_weights(self._class_weights, y, weight)


@contextmanager
def placed(place):
    """Errors that do not say where the rows are do so."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if place in str(error):
            raise
        raise type(error)(f"{place}: {error}") from error


def loaded(source, name):
    """All rows of a source that is no larger than its window.

    Raises
    ------
    ValueError
        If it is larger.
    """
    _check_room(source, name)
    return source.load()


def loaded_table(source, names, others):
    """A table, and the targets and weights beside it; those of a source that is no larger than its window.

    Parameters
    ----------
    source : table or Source
    names : sequence of str
        Of the parameters: X, then y and weights.
    others : sequence of object
        What was given for the latter.

    Returns
    -------
    X, y, sample_weight

    Raises
    ------
    ValueError
        If a source is larger, has no targets, or has some beside it.
    """
    if not isinstance(source, Source):
        return source, *others
    check_source(source, names, others)
    _check_room(source, names[0])
    return source.table(range(len(source.blocks)))


def _check_room(source, name):
    if source.n_rows > source.window_rows:
        raise ValueError(
            f"{name}={source} has {source.n_rows} rows, more than its window of {source.window_rows}: they must be in"
            " memory together."
        )


def is_larger_than_memory(X):
    """Whether X is a source of more rows than a window has."""
    return isinstance(X, Source) and X.n_rows > X.window_rows
