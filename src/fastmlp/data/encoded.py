"""Rows of a source as networks over tables take them, written once to temporary files and read window by window.

To decode and encode them in each epoch of each member would take longer than to train on them.
"""

import os
import tempfile

import numpy as np

from .windows import window_blocks

__all__ = ["EncodedRows"]


class EncodedRows:
    """Numbers, codes, targets and weights of all rows in mapped files, in the order of the source.

    Parameters
    ----------
    source : Source
    drawn : ndarray of intp
        Numbers of the rows of a sample, ascending; members hold some of these out, and initialisations look at others.
    n_numbers, n_codes : int
        Columns of the encoder.
    like : ndarray
        Some targets as the engine takes them.
    weighted : bool
        Whether there are weights of the loss.

    Attributes
    ----------
    data : tuple of X, codes, y and sample_weight
        As `train_member` takes them.
    """

    def __init__(self, source, drawn, n_numbers, n_codes, like, weighted):
        self.source, self.drawn = source, drawn
        self._folder = tempfile.TemporaryDirectory(prefix="fastmlp-", ignore_cleanup_errors=True)
        self.data = (
            self._mapped("X", np.float32, n_numbers),
            self._mapped("codes", np.int32, n_codes),
            self._mapped("y", like.dtype, *like.shape[1:]),
            self._mapped("sample_weight", np.float64) if weighted else None,
        )

    def _mapped(self, name, dtype, *columns):
        shape = (self.source.n_rows, *columns)
        if 0 in shape:  # no file can be mapped that is empty
            return np.empty(shape, dtype)
        path = os.path.join(self._folder.name, name)
        return np.asarray(np.memmap(path, dtype=dtype, mode="w+", shape=shape))

    def write(self, block, *arrays):
        """Put the rows of a block in their place; `arrays` are those of `data`."""
        start = int(self.source.starts[block])
        for mapped, array in zip(self.data, arrays, strict=True):
            if mapped is not None:
                mapped[start : start + len(array)] = array

    def all_but(self, held_out):
        """The rows to train on, as `train_member` takes them.

        Parameters
        ----------
        held_out : ndarray of intp
            Which rows of the sample are not among them.
        """
        return _Windows(self.source, np.delete(self.drawn, held_out), self.drawn[held_out])

    def close(self):
        """Remove the files."""
        self.data = None
        self._folder.cleanup()


class _Windows:
    """Rows that are trained on window by window, see `training.recipes.Shuffled`."""

    def __init__(self, source, sample, held_out):
        self._source, self._held_out = source, held_out
        self.sample, self.n_rows = sample, source.n_rows - len(held_out)

    def epoch(self, rng):
        source = self._source
        for blocks in window_blocks(source, int(rng.integers(2**63)), 0):
            parts = [np.arange(source.starts[block], source.starts[block] + source.blocks[block]) for block in blocks]
            rows = np.concatenate(parts)
            yield rng.permutation(rows[np.isin(rows, self._held_out, invert=True)])
