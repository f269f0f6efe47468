"""Sources in place of tables: what a fit to more rows than a window has needs to know of all of them."""

import numpy as np
from sklearn.base import is_classifier

from ..data.encoded import EncodedRows
from ..data.statistics import Labels, Numbers, Statistics
from ..data.tables import TableEncoder
from ..data.windows import is_drawn
from ..training.arrays import is_finite
from .inputs import check_nonnegative, check_total
from .streaming import placed
from .targets import columns_of

__all__ = ["FirstPass", "encoded_rows"]

_MOST_DRAWN = 1 << 17  # rows of the sample that scales, knots and scores come from; at most a window


class FirstPass:
    """What one pass over a source finds: the columns, the targets, and a sample of the rows.

    Parameters
    ----------
    model : BaseTabularMLP
    source : Source
        Of more rows than its window, with targets.

    Attributes
    ----------
    encoder : TableEncoder
        Fitted.
    statistics : Statistics
        Of targets and weights.
    drawn : ndarray of intp
        Numbers of the rows in the sample, ascending: uniform, by a hash of the number.
    labels, weights : ndarray
        Checked targets of these, and their weights or None.
    """

    def __init__(self, model, source):
        self._model, self._source = model, source
        self.statistics = Statistics(Labels if is_classifier(model) else Numbers)
        self._drawn, self._labels, self._weights = [], [], []
        name = type(model).__name__
        encoder = TableEncoder(categorical_features=model.categorical_features, estimator=name)
        self.encoder = encoder.fit_blocks(self._blocks(), source.window_rows)
        self.drawn, self.labels = np.concatenate(self._drawn), np.concatenate(self._labels)
        self.weights = np.concatenate(self._weights) if source.is_weighted else None
        if len(self.drawn) < 2:
            raise ValueError(f"{source} has a window of {source.window_rows} rows: too few for a sample of its rows.")
        if source.is_weighted:
            check_total(np.array([self.statistics.weight]), np.float32, "sample_weight")

    def _blocks(self):
        source = self._source
        share = min(source.window_rows, _MOST_DRAWN) / source.n_rows
        for block in range(len(source.blocks)):
            with placed(source.place(block)):
                X, y, weight = source.table([block])
                y = self._model._checked_y(y, "y")
                if weight is not None:
                    if not is_finite(weight):
                        raise ValueError("Input sample_weight contains NaN or infinity.")
                    check_nonnegative(weight)
                self.statistics.add(columns_of(y), weight)
            rows = np.flatnonzero(is_drawn(source, block, 0, share))
            self._drawn.append(source.starts[block] + rows)
            self._labels.append(y[rows])
            self._weights.append(None if weight is None else weight[rows])
            yield placed(source.place(block)), X, rows


def encoded_rows(model, source, found, class_weights):
    """All rows of a source as `EncodedRows`, by a second pass.

    Parameters
    ----------
    model : BaseTabularMLP
        That has learnt columns and targets.
    source : Source
    found : FirstPass
    class_weights : ndarray or None
    """
    like = model._engine_y(found.statistics.few(), "y")
    n_numbers, n_codes = len(found.encoder.number_names_), len(found.encoder.code_columns_)
    weighted = source.is_weighted or class_weights is not None
    encoded = EncodedRows(source, found.drawn, n_numbers, n_codes, like, weighted)
    for block in range(len(source.blocks)):
        with placed(source.place(block)):
            X, y, weight = source.table([block])
            y = model._engine_y(model._checked_y(y, "y"), "y")
            encoded.write(block, *found.encoder.transform(X), y, model._weighed(class_weights, y, weight))
    if class_weights is not None:
        check_total(encoded.data[3], np.float32, "sample_weight times class_weight")
    return encoded
