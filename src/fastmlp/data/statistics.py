"""What a first pass over the targets and weights of a source tells a fit, without keeping them."""

import math
from hashlib import blake2b

import numpy as np

from .sources import as_table

__all__ = ["Labels", "Numbers", "Statistics"]


class Labels:
    """The labels of a column: which there are, how often, and in which blocks.

    Attributes
    ----------
    values : ndarray
        Ascending.
    counts : ndarray of float
    """

    def __init__(self):
        self.values, self._blocks = None, []

    def add(self, column):
        """Take a block's column in."""
        values, counts = np.unique(column, return_counts=True)
        self.values = values if self.values is None else np.union1d(self.values, values)
        self._blocks.append((values, counts))

    @property
    def counts(self):
        return self._counts(range(len(self._blocks)))

    def _counts(self, blocks):
        counts = np.zeros(len(self.values))
        for block in blocks:
            labels, of_block = self._blocks[block]
            counts[np.searchsorted(self.values, labels)] += of_block
        return counts

    def difference(self, windows):
        """How much the shares q of labels in windows differ from those p in all: mean of sum (q - p)**2 / p, weighted.

        What rows in random order hardly exceed is subtracted.
        """
        counts = np.stack([self._counts(blocks) for blocks in windows])
        rows = counts.sum(axis=1, keepdims=True)
        shares = counts.sum(axis=0) / rows.sum()
        measure = float((rows * (counts / rows - shares) ** 2 / shares).sum() / rows.sum())
        return measure - _by_chance((len(shares) - 1) * (len(rows) - 1), float(rows.sum()))


class Numbers:
    """The numbers of a column: their range, and where in it the blocks are.

    Attributes
    ----------
    values : ndarray of shape (2,)
        The lowest and the highest.
    """

    counts = None

    def __init__(self):
        self.values = self._first = None
        self._blocks, self._squares = [], 0.0  # rows and sum of y - c, and the sum of its square, for the first value c

    def add(self, column):
        """Take a block's column in."""
        if self.values is None:
            self._first, self.values = float(column[0]), column[:1]
        both = np.concatenate([self.values, column])
        self.values = np.array([both.min(), both.max()], dtype=column.dtype)
        values = column.astype(np.float64) - self._first
        self._blocks.append((len(values), values.sum()))
        self._squares += (values**2).sum()

    def difference(self, windows):
        """How much the means of windows differ from that of all: their variance as a share of that of y.

        What rows in random order hardly exceed is subtracted.
        """
        sums = np.array([np.sum([self._blocks[block] for block in blocks], axis=0) for blocks in windows])
        n_rows, total = sums.sum(axis=0)
        variance = self._squares - total**2 / n_rows
        between = (sums[:, 1] ** 2 / sums[:, 0]).sum() - total**2 / n_rows
        return float(between / variance) - _by_chance(len(sums) - 1, n_rows) if variance > 0 else 0.0


def _by_chance(degrees, n_rows):
    """Mean and four standard deviations of chi squared, divided by the rows."""
    return (degrees + 4 * math.sqrt(2 * degrees)) / n_rows


class Statistics:
    """Of the targets and weights of a source.

    Parameters
    ----------
    kind : type
        `Labels` or `Numbers`.

    Attributes
    ----------
    columns : list of Labels or Numbers
        Of each target.
    weight : float or None
        Sum of the weights, if there are any.
    """

    def __init__(self, kind):
        self._kind, self.columns, self.weight = kind, None, None
        self._digest = blake2b(digest_size=16)

    def add(self, columns, sample_weight):
        """Take a block in.

        Parameters
        ----------
        columns : list of ndarray
            The targets as vectors.
        sample_weight : ndarray or None
        """
        if self.columns is None:
            self.columns = [self._kind() for _ in columns]
        for statistics, column in zip(self.columns, columns, strict=True):
            statistics.add(column)
            if column.dtype.kind == "U":  # as wide as a block's longest label
                column = np.frombuffer("\n".join([*column.tolist(), ""]).encode(), np.uint8)
            self._digest.update(np.ascontiguousarray(column).view(np.uint8))
        if sample_weight is not None:
            self.weight = (self.weight or 0.0) + float(sample_weight.sum())
            self._digest.update(np.ascontiguousarray(sample_weight).view(np.uint8))

    def few(self):
        """Targets that have all labels of each column, or its lowest and its highest number."""
        length = max(len(column.values) for column in self.columns)
        columns = [np.resize(column.values, length) for column in self.columns]
        return as_table(columns) if len(columns) > 1 else columns[0]

    def digest(self):
        """A digest of all targets and weights; uint8 ndarray."""
        return np.frombuffer(self._digest.digest(), np.uint8)

    def difference(self, windows):
        """How much windows, each some numbers of blocks, differ in their targets; the most of all columns."""
        return max(column.difference(windows) for column in self.columns)
