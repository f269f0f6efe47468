"""Rows of a source as networks over tables take them, written once to temporary files and read window by window.

To decode and encode them in each epoch of each member would take longer than to train on them.
"""

import tempfile
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np

from .windows import window_blocks

__all__ = ["EncodedRows"]


class EncodedRows:
    """Numbers, codes, targets and weights of all rows in mapped files, in the order of the source.

    The files have no names where the system allows that, so that nothing is left of them when the process is killed.

    Parameters
    ----------
    source : Source
    drawn : ndarray of intp
        Numbers of the rows of a sample, ascending; members hold some of these out, and initialisations look at others.
    blocks : iterable of tuple of ndarray
        Of each block X and codes as the encoder gives them, y as the engine takes it, and weights of the loss or None.

    Attributes
    ----------
    data : tuple of X, codes, y and sample_weight
        As `train_member` takes them.

    Raises
    ------
    OSError
        If the files cannot be written. They are gone then.
    """

    def __init__(self, source, drawn, blocks):
        self.source, self.drawn, self._files = source, drawn, []
        try:
            like = self._write(blocks)
            self.data = tuple(map(self._mapped, self._files, like))
        except BaseException:
            self.close()
            raise

    def _write(self, blocks):
        """Write all blocks; gives no rows of each array."""
        like = []
        for arrays in blocks:
            with _explained():
                if not like:
                    like = [None if array is None else array[:0] for array in arrays]
                    for array in like:  # no file can be mapped that is empty
                        self._files.append(tempfile.TemporaryFile() if array is not None and _width(array) else None)
                for file, array in zip(self._files, arrays, strict=True):
                    if file is not None:
                        file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        with _explained():
            for file in self._files:
                if file is not None:
                    file.flush()
        return like

    def _mapped(self, file, like):
        if like is None:
            return None
        shape = (self.source.n_rows, *like.shape[1:])
        if file is None:
            return np.empty(shape, like.dtype)
        return np.asarray(np.memmap(file, dtype=like.dtype, mode="r", shape=shape))

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
        for file in self._files:
            if file is not None:
                with suppress(OSError):  # of rows that found no room, and are written by close again
                    file.close()
        self._files = []


def _width(array):
    return int(np.prod(array.shape[1:]))


@contextmanager
def _explained():
    """Let an error say what the files are."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            "A table of more rows than the window of its source is encoded to temporary files, which failed:"
            f" {error.strerror}. Set the environment variable TMPDIR to a folder with more room.",
        ) from error


class _Windows:
    """Rows that are trained on window by window, see `training.recipes.Shuffled`."""

    def __init__(self, source, sample, held_out):
        self._source, self._held_out = source, held_out
        self.sample, self.n_rows = sample, source.n_rows - len(held_out)

    def epoch(self, rng):
        windows = window_blocks(self._source, int(rng.integers(2**63)), 0)
        return len(windows), map(partial(self._window, rng), windows)

    def _window(self, rng, blocks):
        source = self._source
        parts = [np.arange(source.starts[block], source.starts[block] + source.blocks[block]) for block in blocks]
        rows = np.concatenate(parts)
        return rng.permutation(rows[np.isin(rows, self._held_out, invert=True)])
