"""Columns that come block by block: what a fit of an encoder must know of all rows, and of which a sample will do."""

import numpy as np

from .columns import Column, as_category, as_numbers
from .fitting import (
    add_levels,
    are_categorical,
    check_most_onehot_levels,
    fitted_levels,
    fitted_numbers,
    least_rows,
)
from .frames import described, read_table

__all__ = ["TableSummary"]


class TableSummary:
    """The columns of a table that comes block by block.

    Parameters
    ----------
    encoder : TableEncoder
        Which learns from it, see `TableEncoder.fit_summary`.
    most_levels : int
        Levels that a column may have.

    Attributes
    ----------
    names : list or None
        Of the columns.
    """

    def __init__(self, encoder, most_levels):
        self._encoder, self._most_levels = encoder, most_levels
        self.names, self._columns, self._n_rows = None, None, 0

    def add(self, X, sample):
        """Take a block in.

        Parameters
        ----------
        X : table
        sample : ndarray of int
            Numbers of its rows that are in the sample.

        Raises
        ------
        TypeError, ValueError
            As those of `TableEncoder.fit`, or if a column has too many levels.
        """
        encoder = self._encoder
        table = read_table(X, encoder.estimator)
        columns = [table.column(i) for i in range(table.n_columns)]
        if self._columns is None:
            self.names = table.names
            called = range(table.n_columns) if self.names is None else self.names
            categorical = are_categorical(encoder.categorical_features, columns, self.names)
            self._columns = [
                _Levels(name, self._most_levels) if is_categorical else _Numbers(name)
                for name, is_categorical in zip(called, categorical, strict=True)
            ]
        self._n_rows += table.n_rows
        for summary, column in zip(self._columns, columns, strict=True):
            summary.add(column, sample)

    def fitted(self):
        """The fitted columns."""
        encoder = self._encoder
        least = least_rows(encoder.min_frequency, self._n_rows)
        check_most_onehot_levels(encoder.max_onehot_levels)
        return [summary.fitted(least, encoder.max_onehot_levels) for summary in self._columns]


class _Levels:
    """The levels of a column and their rows, all of them.

    Parameters
    ----------
    name : object
    most : int
        Levels that a column may have.
    """

    def __init__(self, name, most):
        self.name, self.most = name, most
        self.counts, self.ordered = {}, False

    def add(self, column, sample):
        """Take the column of a block in; sample has the numbers of the rows that a sample is to have."""
        where = described(self.name)
        column = as_category(column, where)
        self.ordered |= column.ordered
        if column.ordered:  # keeps the place of levels that come later
            self.counts = dict.fromkeys(column.levels, 0) | self.counts
        add_levels(self.counts, column)
        if len(self.counts) > self.most:
            raise ValueError(
                f"{where} has more than {self.most} levels, as many as a window has rows: leave it out of features, or"
                " take a larger window."
            )

    def fitted(self, least, max_onehot_levels):
        counts = {level: count for level, count in self.counts.items() if count}
        return fitted_levels(self.name, counts, self.ordered, least, max_onehot_levels)


class _Numbers:
    """Numbers or dates: a sample of them, and of all rows the number of gaps, the lowest and the highest value."""

    def __init__(self, name):
        self.name, self.kind = name, "number"
        self.n_rows = self.n_gaps = 0
        self.parts, self.ends = [], None

    def add(self, column, sample):
        """Take the column of a block in; sample has the numbers of the rows that a sample is to have."""
        where = described(self.name)
        if column.kind == "date":
            self.kind, values = "date", column.values
            there = values[~np.isnat(values)]
        else:
            values = as_numbers(column, where).astype(np.float64)
            there = values[~np.isnan(values)]
        self.n_rows += len(values)
        self.n_gaps += len(values) - len(there)
        self.parts.append(values[sample])
        if len(there):
            ends = there if self.ends is None else np.concatenate([there, self.ends])
            self.ends = np.array([ends.min(), ends.max()])
            if self.kind == "number" and np.isinf(self.ends).any():
                raise ValueError(f"{where} contains infinity or a value too large for float64.")

    def fitted(self, least, max_onehot_levels):
        values = np.concatenate(self.parts if self.ends is None else [*self.parts, self.ends])
        column = Column(self.kind, values)
        return fitted_numbers(self.name, column, np.arange(len(values)), (self.n_gaps, self.n_rows))
