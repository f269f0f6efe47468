"""A fitted model of tables as every export walks it: columns, layers of its members, and what their outputs mean."""

from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ..data.fitting import CategoricalColumn, NumericColumn
from ..engine import LOSSES
from ..engine.architecture import Indicators, Inputs, Numbers, places

__all__ = ["Block", "Encoding", "FittedTable", "Units", "blocks_of", "encoding_of", "is_text", "table_of"]


class Encoding(NamedTuple):
    """The columns of a table, and in which order a network sees what becomes of them.

    The numbers are those of `numeric`, a column for each of their fields, then those of `binary`, then those of
    `with_gaps`; the codes are those of `coded`.
    """

    columns: list  # all in the order of the table
    numeric: list[NumericColumn]
    categorical: list[CategoricalColumn]
    binary: list[CategoricalColumn]
    with_gaps: list[NumericColumn]
    coded: list[CategoricalColumn]

    @property
    def center(self):
        """Of each field of `numeric`."""
        return np.concatenate([np.empty(0), *(column.center for column in self.numeric)])

    @property
    def scale(self):
        """Of each field of `numeric`."""
        return np.concatenate([np.empty(0), *(column.scale for column in self.numeric)])

    @property
    def first_fields(self):
        """The place of the first field of each of `with_gaps` among all fields: gaps are gaps in all fields."""
        starts = np.cumsum([0, *(len(column.fields) for column in self.numeric)]).tolist()
        return [start for start, column in zip(starts, self.numeric, strict=False) if column.indicator is not None]


class Units(NamedTuple):
    """How outputs become values: times `scale`, plus `center`, then from `least` to `greatest`."""

    scale: np.ndarray  # (n_outputs,), float64, as are the others
    center: np.ndarray
    least: np.ndarray
    greatest: np.ndarray


class FittedTable(NamedTuple):
    """Columns, networks over them, and what the average of their outputs means."""

    encoding: Encoding
    members: list[tuple]  # (layers, parameters, weight) as the engine's `Average` takes them
    activation: str  # of the outputs of each member
    n_outputs: int
    classes: np.ndarray | None  # the label of each output, predicted where it is the largest; None for regression
    units: Units | None  # of the values in regression
    ranks: np.ndarray | None  # the place of each output in its row, where rows of predictions are sorted


class Block(NamedTuple):
    """Layers that stand beside each other, or one that reads all that is before it."""

    layers: list[tuple[Any, list[np.ndarray]]]  # descriptions of `engine.architecture` and their parameters
    n_in: int  # columns of the block before; no meaning for those that read the inputs
    n_out: int


def table_of(estimator):
    """The fitted columns and networks of an estimator.

    Parameters
    ----------
    estimator : TabularMLPClassifier or TabularMLPRegressor

    Returns
    -------
    FittedTable

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    """
    check_is_fitted(estimator, "members_")
    classes = units = None
    if is_classifier(estimator):
        classes = estimator.classes_
    else:
        units = Units(estimator._scale, estimator._center, estimator._least, estimator._greatest)
    return FittedTable(
        encoding_of(estimator.encoder_.columns_),
        [(layers, own, float(weight)) for layers, own, weight in estimator._weighted_members() if weight > 0],
        LOSSES[estimator._loss],
        estimator.n_outputs_,
        classes,
        units,
        estimator._quantile_ranks,
    )


def encoding_of(columns):
    """The `Encoding` of fitted columns."""
    numeric = [column for column in columns if isinstance(column, NumericColumn)]
    with_gaps = [column for column in numeric if column.indicator is not None]
    binary, onehot, embedded = ([c for c in columns if c.role == role] for role in ("binary", "onehot", "embedding"))
    categorical = [column for column in columns if isinstance(column, CategoricalColumn)]
    return Encoding(columns, numeric, categorical, binary, with_gaps, onehot + embedded)


def is_text(level):
    """Whether a level can come as text in UTF-8 that ends with a NUL; others never come."""
    try:
        return b"\0" not in level.encode()
    except UnicodeEncodeError:  # a surrogate alone
        return False


def blocks_of(layers, parameters):
    """The layers of a network from its inputs to its outputs.

    Parameters
    ----------
    layers : list
        As `Network` takes them: the first is `Inputs`.
    parameters : list of ndarray
        In the order of `Network.parameters`.

    Returns
    -------
    inputs : Inputs
    blocks : list of Block
        The first reads the inputs: numbers, and codes of categories. The others read the block before.
    """
    inputs, *layers = layers
    inputs = Inputs(*inputs)
    given = iter(parameters)
    blocks = []
    if not layers[0].beside:  # it reads numbers and one-hot columns, which then stand beside each other
        n_levels = sum(inputs.levels)
        beside = [(Numbers(), [])] if inputs.n_features else []
        beside += [(Indicators(np.ones(n_levels), np.zeros(n_levels)), [])] if n_levels else []
        blocks.append(Block(beside, 0, inputs.n_features + n_levels))
    for _, group in groupby(places(inputs, layers), lambda place: place.shared):
        group = list(group)
        own = [(place.layer, [next(given) for _ in place.parameters]) for place in group]
        blocks.append(Block(own, blocks[-1].n_out if blocks else 0, group[-1].at + group[-1].n_out))
    return inputs, blocks
