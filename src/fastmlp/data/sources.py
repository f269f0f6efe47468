"""Rows on a disk, read block by block: what `fit` and `predict` take in place of arrays that fit into memory."""

import math
import os
from abc import ABC, abstractmethod
from hashlib import blake2b
from numbers import Integral
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..training.arrays import is_finite, physical_memory
from ..training.identity import fingerprint

__all__ = ["Block", "ChangedError", "Source", "as_table", "scan_npy", "stacked"]

_T = TypeVar("_T")
_Array = str | os.PathLike[str] | NDArray[Any]
_SHARE = 16  # of the machine's memory: a window's part, of which a fit holds two
_NPY_BLOCK = 1 << 22  # bytes of X in a block of an .npy file
_LEAST_BLOCKS = 16  # of a window, where blocks can be of any size
_SAMPLES, _SAMPLE = 64, 1 << 16  # places of a file that a description looks at, and bytes at each
_OF_ROW = 24  # bytes of a row beside its features: target, weight and number


class ChangedError(ValueError):
    """A file is no longer what it was when it was scanned."""


class Block(NamedTuple):
    """Targets and weights of a block's rows, as the file has them."""

    y: NDArray[Any] | None  # of shape (n,), or (n, n_targets) where several columns are named
    sample_weight: NDArray[np.float64] | None  # float64


def as_table(columns):
    """Columns of labels side by side: in a dtype that they have in common, or else as objects."""
    kinds = {column.dtype.kind for column in columns}
    if len(kinds) == 1 or kinds <= {*"iuf"}:
        return np.stack(columns, axis=1)
    table = np.empty((len(columns[0]), len(columns)), dtype=object)
    for i, column in enumerate(columns):
        table[:, i] = list(column) if column.dtype.kind in "mM" else column  # NumPy would make integers of dates
    return table


class Source(ABC):
    """Rows that are read block by block.

    Parameters
    ----------
    blocks : sequence of int
        Rows of each block, in the order of the rows.
    n_features : int
    dtype : dtype
        float32 or float64.
    names : list of str or None
        Of the features.
    window_rows, window_bytes : int or None
        As the functions that make sources document them.

    Attributes
    ----------
    n_rows : int
    blocks, starts : ndarray of intp
        Rows of each block, and the number of its first row.
    window_rows : int
        The most rows in memory at a time.
    has_targets : bool
    is_weighted : bool
    in_memory : bool
        Whether the rows are arrays of this process.
    has_bytes : bool
        Whether the features are uint8 before they become floats.

    Raises
    ------
    ValueError
        If there are no rows, or if a block is larger than a window.
    """

    n_rows: int
    n_features: int
    dtype: np.dtype[Any]
    names: list[str] | None
    window_rows: int
    has_targets: bool = False
    is_weighted: bool = False
    in_memory: bool = False
    has_bytes: bool = False
    _no_numbers: str | None = None  # what is wrong with the first feature of which no numbers can be made

    def __init__(self, blocks, n_features, dtype, names, window_rows, window_bytes):
        self.blocks = np.asarray(blocks, dtype=np.intp)
        self.starts = np.concatenate([[0], np.cumsum(self.blocks)])[:-1].astype(np.intp)
        self.n_rows = int(self.blocks.sum())
        self.n_features, self.dtype, self.names = n_features, np.dtype(dtype), names
        if self.n_rows == 0:
            raise ValueError(f"{self} has no rows.")
        self.window_rows = rows_of_window(n_features, self.dtype, window_rows, window_bytes)
        largest = int(self.blocks.argmax())
        if self.blocks[largest] > self.window_rows:
            raise ValueError(
                f"{self.place(largest)} has {self.blocks[largest]} rows, a window at most {self.window_rows}: set"
                f" window_rows={self.blocks[largest]} or more, or write the file with smaller row groups."
            )

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            f"{self} is a source and no array: fit, score, predict and the like of fastmlp's estimators take it."
            " Its partial_fit and transformed are for transformers, and its load gives all rows as arrays."
        )

    @abstractmethod
    def read(self, block, X=None, targets=True):
        """Read a block.

        Parameters
        ----------
        block : int
        X : ndarray of shape (n, n_features), default=None
            Where the features go, of the source's dtype. None: they are not read.
        targets : bool, default=True
            Whether targets and weights are read.

        Returns
        -------
        block : Block

        Raises
        ------
        ValueError, OSError
            That names the file, and the row group and the column if there are such.
        """

    @abstractmethod
    def place(self, block):
        """In words, where a block is."""

    @abstractmethod
    def column(self, j):
        """In words, a feature."""

    @abstractmethod
    def description(self):
        """A digest of what tells these features from others without reading them all; uint8 ndarray."""

    def check_numbers(self):
        """Refuse features of which no matrix of numbers can be made; a table can have them.

        Raises
        ------
        TypeError
            That names the column.
        """
        if self._no_numbers is not None:
            raise TypeError(self._no_numbers)

    def row(self, block, i):
        """In words, a row of a block."""
        return f"row {i} of {self.place(block)}"

    def table(self, blocks, targets=True):
        """Read some blocks as a table, whose columns may have gaps and be no numbers.

        Parameters
        ----------
        blocks : sequence of int
        targets : bool, default=True
            Whether targets and weights are read.

        Returns
        -------
        X : table
            As `frames.read_table` takes it.
        y, sample_weight : ndarray or None

        Raises
        ------
        ValueError, OSError
            As those of `read`.
        """
        X = np.empty((int(self.blocks[blocks].sum()), self.n_features), self.dtype)
        read, stop = [], 0
        for block in blocks:
            start, stop = stop, stop + int(self.blocks[block])
            read.append(self.read(block, X[start:stop], targets))
        return X, *stacked(read)

    def read_finite(self, block, X, targets=True):
        """The same, with features that are no finite numbers refused."""
        read = self.read(block, X, targets)
        if not is_finite(X):
            i, j = np.argwhere(~np.isfinite(X))[0]
            what = "NaN" if np.isnan(X[i, j]) else "infinity"
            raise ValueError(f"Input X contains {what}: {self.column(j)}, {self.row(block, i)}.")
        return read

    def load(self) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[np.float64] | None]:
        """All rows as arrays: X, and y and weights or None."""
        X = np.empty((self.n_rows, self.n_features), self.dtype)
        read = [
            self.read_finite(i, X[start : start + rows])
            for i, (start, rows) in enumerate(zip(self.starts, self.blocks, strict=True))
        ]
        return X, *stacked(read)

    def partial_fit(self, transformer: _T) -> _T:
        """Fit one of scikit-learn's transformers to all rows, a block at a time.

        Parameters
        ----------
        transformer : object
            With `partial_fit`, such as `sklearn.preprocessing.StandardScaler`. It gets the features as arrays, without
            targets and weights.

        Returns
        -------
        transformer : object
            The same.

        Raises
        ------
        TypeError
            If it has no `partial_fit`.
        ValueError, OSError
            If rows cannot be read, or are not finite.
        """
        if not hasattr(transformer, "partial_fit"):
            raise TypeError(f"transformer must have partial_fit, which {type(transformer).__name__} has not.")
        X = np.empty((int(self.blocks.max()), self.n_features), self.dtype)
        for block, n_rows in enumerate(self.blocks):
            self.read_finite(block, X[:n_rows], targets=False)
            transformer.partial_fit(X[:n_rows])
        return transformer

    def transformed(self, transformer: Any) -> "Source":
        """The same rows with their features transformed when they are read.

        Parameters
        ----------
        transformer : object
            Fitted, with `transform`: features of a block in, as an array, and as many rows of numbers out.

        Returns
        -------
        source : Source
            Its features have no names.
        """
        return _Transformed(self, transformer)

    def targets(self):
        """y and weights of all rows, None where there are none."""
        return stacked([self.read(block) for block in range(len(self.blocks))])


class _Transformed(Source):
    """See `Source.transformed`."""

    def __init__(self, source, transformer):
        self._source, self._transformer = source, transformer
        self.has_targets, self.is_weighted = source.has_targets, source.is_weighted
        self.in_memory = source.in_memory
        first = np.empty((int(source.blocks[0]), source.n_features), source.dtype)
        source.read_finite(0, first, targets=False)
        shape, dtype = self._transform(0, first[:1]).shape, self._transform(0, first[:1]).dtype
        single = dtype == np.float32
        super().__init__(source.blocks, shape[1], np.float32 if single else np.float64, None, source.window_rows, None)

    def __repr__(self):
        return f"{self._source} by {type(self._transformer).__name__}"

    def _transform(self, block, X):
        try:
            transformed = np.asarray(self._transformer.transform(X))
        except (ValueError, TypeError) as error:
            raise type(error)(f"{self.place(block)}: {error}") from error
        if transformed.ndim != 2 or len(transformed) != len(X) or transformed.dtype.kind not in "biuf":
            raise ValueError(
                f"{type(self._transformer).__name__} must make as many rows of numbers, got"
                f" {transformed.shape} of {transformed.dtype} from {X.shape}."
            )
        return transformed

    def read(self, block, X=None, targets=True):
        if X is None:
            return self._source.read(block, None, targets)
        own = np.empty((len(X), self._source.n_features), self._source.dtype)
        read = self._source.read_finite(block, own, targets)
        X[...] = self._transform(block, own)
        return read

    def place(self, block):
        return self._source.place(block)

    def row(self, block, i):
        return self._source.row(block, i)

    def column(self, j):
        return f"column {j} of what {type(self._transformer).__name__} makes"

    def description(self):
        digest = blake2b(self._source.description(), digest_size=16)
        digest.update(fingerprint({"transformer": self._transformer}, {})["params"]["transformer"].encode())
        return np.frombuffer(digest.digest(), np.uint8)


def stacked(read):
    """Targets and weights of all blocks."""
    return [np.concatenate(parts) if parts[0] is not None else None for parts in zip(*read, strict=True)]


def rows_of_window(n_features, dtype, window_rows, window_bytes):
    """The most rows of a window.

    Raises
    ------
    ValueError, TypeError
        If both parameters are given, or one is no positive integer.
    """
    for name, value in (("window_rows", window_rows), ("window_bytes", window_bytes)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
            raise TypeError(f"{name} must be None or an integer > 0, got {value!r}.")
        if value is not None and value <= 0:
            raise ValueError(f"{name} must be > 0, got {value}.")
    if window_rows is not None:
        if window_bytes is not None:
            raise ValueError(f"window_rows={window_rows} and window_bytes={window_bytes} exclude each other.")
        return int(window_rows)
    if window_bytes is None:
        window_bytes = physical_memory() // _SHARE
    return max(1, int(window_bytes) // (n_features * dtype.itemsize + _OF_ROW))


def scan_npy(
    X: _Array,
    y: _Array | None = None,
    sample_weight: _Array | None = None,
    *,
    window_rows: int | None = None,
    window_bytes: int | None = None,
) -> Source:
    """Rows of ``.npy`` files, for `fit` and `predict` of models, without loading them.

    Files are read, not mapped, so that memory holds no more of them than the window.

    Parameters
    ----------
    X : str, path or ndarray of shape (n_samples, n_features)
        An ``.npy`` file, or an array, such as one of ``numpy.load(..., mmap_mode="r")``: numbers in C order. float32
        and float64 are read as they are, anything else becomes float64.
    y : str, path or ndarray of shape (n_samples,) or (n_samples, n_outputs), default=None
        Targets. None is for prediction.
    sample_weight : str, path or ndarray of shape (n_samples,), default=None
        Non-negative weights.
    window_rows : int, default=None
        The most rows that are shuffled together. A fit holds two windows in memory, one to train on and one to read
        into; rows that fit into one window are read once and trained on as arrays are.
    window_bytes : int, default=None
        The same in bytes. None for both is a sixteenth of the machine's memory; give one of them for a fit that is the
        same on machines of different memory.

    Returns
    -------
    source : Source
        What `fit` takes in place of X, y and sample_weight, and `predict` in place of X.

    Raises
    ------
    ValueError, TypeError
        If a file is no whole ``.npy`` file of numbers, or if shapes do not go together.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> import fastmlp
    >>> X, y = load_digits(return_X_y=True)
    >>> np.save("X.npy", X)
    >>> np.save("y.npy", y)
    >>> source = fastmlp.scan_npy("X.npy", "y.npy", window_rows=500)
    >>> fastmlp.MLPClassifier(random_state=0).fit(source).predict(source).shape
    (1797,)
    """
    return NpySource(X, y, sample_weight, window_rows, window_bytes)


class NpySource(Source):
    """See `scan_npy`."""

    def __init__(self, X, y, sample_weight, window_rows, window_bytes):
        self._X, *others = [
            None if array is None else _Rows(array, name)
            for name, array in (("X", X), ("y", y), ("sample_weight", sample_weight))
        ]
        self._y, self._weight = others
        shape = self._X.shape
        if len(shape) != 2 or shape[1] == 0 or self._X.dtype.kind not in "biuf":
            raise ValueError(f"{self._X} must have numbers in rows and columns, got {shape} of {self._X.dtype}.")
        for part, most in ((self._y, 2), (self._weight, 1)):
            if part is not None and (not 1 <= len(part.shape) <= most or part.shape[0] != shape[0]):
                raise ValueError(f"{part} must have {shape[0]} rows, as {self._X} has, got the shape {part.shape}.")
        if self._weight is not None and self._weight.dtype.kind not in "biuf":
            raise TypeError(f"{self._weight} must have numbers, got {self._weight.dtype}.")
        self.has_targets, self.is_weighted = self._y is not None, self._weight is not None
        self.in_memory = any(part is not None and part.path is None for part in (self._X, *others))
        self.has_bytes = self._X.dtype == np.uint8
        dtype = self._X.dtype if self._X.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        dtype = dtype.newbyteorder("=")
        most = rows_of_window(shape[1], dtype, window_rows, window_bytes)
        rows = max(1, min(_NPY_BLOCK // (shape[1] * dtype.itemsize), most // _LEAST_BLOCKS))
        blocks = np.full(-(-shape[0] // rows), rows, dtype=np.intp)
        if len(blocks):
            blocks[-1] = shape[0] - rows * (len(blocks) - 1)
        super().__init__(blocks, shape[1], dtype, None, most, None)

    def __repr__(self):
        return f"scan_npy({self._X})"

    def place(self, block):
        return str(self._X)

    def column(self, j):
        return f"column {j}"

    def row(self, block, i):
        return f"row {self.starts[block] + i} of {self._X}"

    def read(self, block, X=None, targets=True):
        start = self.starts[block]
        stop = start + self.blocks[block]
        if X is not None:
            self._X.read(start, stop, X)
        y = self._y.read(start, stop) if targets and self._y is not None else None
        if self._weight is None or not targets:
            return Block(y, None)
        return Block(y, self._weight.read(start, stop).astype(np.float64, copy=False))

    def description(self):
        return self._X.description()


class _Rows:
    """An array of which rows are read: in an .npy file, or given.

    Parameters
    ----------
    array : str, path or ndarray
    name : str
        What errors call it, if it is no file.
    """

    def __init__(self, array, name):
        self.path, self.array, self.name = None, array, name
        if not isinstance(array, str | os.PathLike):
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{name} must be an array or the path of an .npy file, got {type(array).__name__}.")
            self.shape, self.dtype, fortran, self.stamp = array.shape, array.dtype, False, None
        else:
            self.path, self.array = os.path.abspath(os.fsdecode(array)), None
            with open(self.path, "rb") as file:
                try:
                    version = np.lib.format.read_magic(file)
                    header = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                        version, np.lib.format.read_array_header_2_0
                    )
                    self.shape, fortran, self.dtype = header(file)
                except ValueError as error:
                    raise ValueError(f"{self} is no .npy file: {error}") from error
                self.offset = file.tell()
                self.stamp = _stamp(file)
            size = self.offset + math.prod(self.shape) * self.dtype.itemsize
            if not self.dtype.hasobject and size != self.stamp[0]:
                raise ValueError(f"{self} is not whole: it has {self.stamp[0]} bytes in place of {size}.")
        if self.dtype.hasobject:
            raise TypeError(f"{self} has Python objects: write it with a dtype of numbers or text.")
        if fortran and len(self.shape) > 1 and min(self.shape) > 1:
            raise ValueError(f"{self} is in Fortran's order: write it again with numpy.ascontiguousarray.")

    def __str__(self):
        return repr(self.path) if self.path is not None else self.name

    def read(self, start, stop, out=None):
        """Rows from start to stop, into an array if there is one."""
        if self.path is None:
            if out is None:
                return self.array[start:stop]
            out[...] = self.array[start:stop]
            return out
        direct = out is not None and out.dtype == self.dtype
        read = out if direct else np.empty((stop - start, *self.shape[1:]), self.dtype)
        with self._opened() as file:
            if _stamp(file) != self.stamp:
                raise ChangedError(f"{self} has changed since it was scanned.")
            file.seek(self.offset + start * (read.nbytes // max(1, len(read))))
            left = memoryview(read.reshape(-1).view(np.uint8))
            while left:
                n_bytes = file.readinto(left)
                if not n_bytes:
                    raise ChangedError(f"{self} ends before row {stop}: it has changed since it was scanned.")
                left = left[n_bytes:]
        if out is not None and not direct:
            out[...] = read
        return read if out is None else out

    def _opened(self):
        try:
            return open(self.path, "rb", buffering=0)
        except FileNotFoundError as error:
            raise ChangedError(f"{self} has gone since it was scanned.") from error

    def description(self):
        """A digest of shape, dtype and evenly spaced pieces of the values."""
        digest = blake2b(f"{self.shape} {self.dtype.str}".encode(), digest_size=16)
        of_row = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
        rows = max(1, min(self.shape[0], _SAMPLE // of_row))
        for start in np.linspace(0, self.shape[0] - rows, _SAMPLES).astype(np.intp):
            digest.update(np.ascontiguousarray(self.read(start, start + rows)).reshape(-1).view(np.uint8))
        return np.frombuffer(digest.digest(), np.uint8)


def _stamp(file):
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns
