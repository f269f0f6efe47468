"""Sources in place of tables: what a fit to more rows than a window has needs to know of all of them."""

from typing import NamedTuple

import numpy as np
from sklearn.base import is_classifier

from ..data.encoded import EncodedRows
from ..data.statistics import Labels, Numbers, Statistics
from ..data.summaries import TableSummary
from ..data.tables import TableEncoder
from ..data.windows import is_drawn
from .inputs import check_total
from .streaming import placed, take_targets

__all__ = ["encoded_rows", "first_pass"]

_MOST_DRAWN = 1 << 17  # rows of the sample that scales, knots and scores come from, about, if a window has as many


class FirstPass(NamedTuple):
    """What one pass over a source finds: the columns, the targets, and a sample of the rows."""

    encoder: TableEncoder  # fitted
    statistics: Statistics  # of targets and weights
    drawn: np.ndarray  # numbers of the rows in the sample, ascending: uniform, by a hash of number and seed
    labels: np.ndarray  # checked targets of these
    weights: np.ndarray | None


def first_pass(model, source, seed):
    """Read all rows once, and keep a sample.

    Parameters
    ----------
    model : BaseTabularMLP
    source : Source
        Of more rows than its window, with targets.
    seed : int
        Of the hash by which the sample is drawn.

    Returns
    -------
    found : FirstPass
    """
    statistics = Statistics(Labels if is_classifier(model) else Numbers)
    encoder = TableEncoder(categorical_features=model.categorical_features, estimator=type(model).__name__)
    summary = TableSummary(encoder, source.window_rows)
    share = min(source.window_rows, _MOST_DRAWN) / source.n_rows
    sample = []
    for block, start in enumerate(source.starts):
        with placed(source.place(block)):
            X, y, weight = source.table([block])
            y = model._checked_y(y, "y")
            take_targets(statistics, y, weight)
            rows = np.flatnonzero(is_drawn(source, block, seed, share))
            summary.add(X, rows)
            sample.append((start + rows, y[rows], None if weight is None else weight[rows]))
    encoder.fit_summary(summary)
    columns = zip(*sample, strict=True)
    drawn, labels, weights = (None if parts[0] is None else np.concatenate(parts) for parts in columns)
    if len(drawn) < 2:
        raise ValueError(f"{source} has a window of {source.window_rows} rows: too few for a sample of its rows.")
    if source.is_weighted:
        check_total(np.array([statistics.weight]), np.float32, "sample_weight")
    return FirstPass(encoder, statistics, drawn, labels, weights)


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

    def blocks():
        for block in range(len(source.blocks)):
            with placed(source.place(block)):
                X, y, weight = source.table([block])
                y = model._engine_y(model._checked_y(y, "y"), "y")
                rows = (*found.encoder.transform(X), y, model._weighed(class_weights, y, weight))
            yield rows

    encoded = EncodedRows(source, found.drawn, blocks())
    if class_weights is not None:
        try:
            check_total(encoded.data[3], np.float32, "sample_weight times class_weight")
        except ValueError:
            encoded.close()
            raise
    return encoded
