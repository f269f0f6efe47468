"""The order in which a fit reads a source: windows of several blocks, whose rows are shuffled together.

As CorgiPile (Xu et al. 2022, SIGMOD): random blocks for each window, and a random order of the rows in it. Both
are functions of a seed and the numbers of epoch and window, so that nothing need be kept to go on within an epoch.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from ..engine import shuffle
from ..training.arrays import Data, fits_precision, targets_in_precision

__all__ = ["BlockRows", "Stream", "Window", "features_of", "is_drawn", "random_of", "window_blocks"]


class Rows(NamedTuple):
    """What stands for an array that is not in memory."""

    shape: tuple
    dtype: np.dtype


class BlockRows(NamedTuple):
    """Features of a block, checked to be finite."""

    start: int  # number of the first row
    X: np.ndarray


class Window(NamedTuple):
    """Rows in memory, with room ahead of them for those that the window before has left over."""

    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None
    order: np.ndarray | None  # numbers of the rows to train on, behind room for those of the rows ahead; None: all
    room: int  # rows ahead
    stop: int  # of the rows; of `order`, if there is one


def window_blocks(source, seed, epoch):
    """The numbers of the blocks of each window of an epoch.

    Of n windows each has one of every n blocks that follow each other, so that windows of files that are sorted by
    something differ little.

    Parameters
    ----------
    source : Source
    seed : int or None
        None: all in their own order, and as many in each window as it has room for.
    epoch : int

    Returns
    -------
    windows : list of list of int
    """
    blocks = source.blocks
    if seed is None:
        windows, rows = [[]], 0
        for block, n_rows in enumerate(blocks.tolist()):
            if rows + n_rows > source.window_rows:
                windows.append([])
                rows = 0
            windows[-1].append(block)
            rows += n_rows
        return windows
    random = random_of(seed, epoch)
    n_windows = -(-source.n_rows // source.window_rows)
    while (windows := _dealt(blocks.tolist(), n_windows, source.window_rows, random)) is None:
        n_windows += 1
    return [windows[window] for window in random.permutation(n_windows)]


def _dealt(blocks, n_windows, most, random):
    """Blocks dealt to windows, one of every `n_windows` to each; None if a window had more rows than the `most`.

    Where a window has no room for its block, the emptiest one takes it.
    """
    windows, rows = [[] for _ in range(n_windows)], np.zeros(n_windows)
    for start in range(0, len(blocks), n_windows):
        for block, window in zip(range(start, len(blocks)), random.permutation(n_windows).tolist(), strict=False):
            if rows[window] + blocks[block] > most:
                window = int(rows.argmin())
                if rows[window] + blocks[block] > most:
                    return None
            windows[window].append(block)
            rows[window] += blocks[block]
    return windows if all(windows) else None


class Stream:
    """A source as a fit takes it in place of `Data`.

    Parameters
    ----------
    source : Source
    encode : callable
        (y, sample_weight) of a block -> y as the engine takes it, or floats of any kind, and weights of the loss.
    like : ndarray
        Some y as `encode` gives it.
    weighted : bool
        Whether there are weights of the loss.
    digest : ndarray of uint8
        Of all targets and weights.

    Attributes
    ----------
    X : Rows
        Shape and dtype.
    y : ndarray
        A few rows, for their shape and dtype.
    n_rows : int
    """

    def __init__(self, source, encode, like, weighted, digest):
        self.source, self._encode, self._digest = source, encode, digest
        self.n_rows = source.n_rows
        self.X, self.y = Rows((source.n_rows, source.n_features), source.dtype), like
        self.weighted, self._precision = weighted, None
        self._pool = self._ahead = None
        self._stopped = threading.Event()
        self._buffers = []

    def given(self):
        """What tells the rows and their order from others, by the names of `fit`."""
        return {
            "X": self.source.description(),
            "y": self._digest,
            "blocks": self.source.blocks,
            "window_rows": np.array(self.source.window_rows),
        }

    def telling(self):
        """The arrays that tell the data from others."""
        try:
            return tuple(self.given().values())
        except ValueError:  # of a transformer without a value: its targets tell a source nearly as well
            return (self._digest,)

    def in_precision(self, dtype):
        """The same, of which rows are checked to be of a precision, and real targets converted to it."""
        self._precision = dtype
        self.y = targets_in_precision(self.y, dtype)
        return self

    # One block

    def _read(self, block, X):
        """Read a block's features; its y and weights as the engine takes them, and both as they are in the source."""
        source = self.source
        read = source.read_finite(block, X)
        try:
            if X.dtype.itemsize > self._precision.itemsize and not fits_precision(X, self._precision):
                raise ValueError(f"X has values beyond {self._precision}, in which it is trained.")
            y, weight = self._encode(*read)
            return targets_in_precision(y, self._precision), weight, read
        except (ValueError, TypeError) as error:
            raise type(error)(f"{source.place(block)}: {error}") from error

    def held_out(self, seed, share):
        """The held-out rows as `Data`.

        Parameters
        ----------
        seed : int
        share : float
            A row is held out by a hash of its position and the seed, so that they are this share nearly.
        """
        parts = []
        X = np.empty((int(self.source.blocks.max()), self.source.n_features), self.source.dtype)
        for block, n_rows in enumerate(self.source.blocks):
            rows = np.flatnonzero(is_drawn(self.source, block, seed, share))
            if len(rows):
                y, weight, read = self._read(block, X[:n_rows])
                arrays = (X, y, weight, read.y, read.sample_weight)
                parts.append([None if array is None else array[rows] for array in arrays])
        return Data(*(None if part[0] is None else np.concatenate(part) for part in zip(*parts, strict=True)))

    def n_held_out(self, seed, share):
        """The number of held-out rows."""
        return sum(
            int(np.count_nonzero(is_drawn(self.source, block, seed, share))) for block in range(len(self.source.blocks))
        )

    # Windows

    def _plan(self, order):
        return window_blocks(self.source, order.seed, order.epoch)

    def n_windows(self, order):
        """The number of windows of an epoch."""
        return len(self._plan(order))

    def windows(self, order, first=0, follows=None):
        """The windows of an epoch, each good until the next one is asked for.

        Parameters
        ----------
        order : Order
            See `training.streams`.
        first : int, default=0
            The window to begin with.
        follows : Order, default=None
            The epoch whose first window is read ahead at the end.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="fastmlp-reader")
        plan = self._plan(order)
        for number in range(first, len(plan)):
            window = self._taken(order, plan, number)
            if number + 1 < len(plan):
                self._read_ahead(order, plan, number + 1)
            elif follows is not None:
                self._read_ahead(follows, self._plan(follows), 0)
            yield window

    def _taken(self, order, plan, number):
        if self._ahead is None or self._ahead[0] != (order, number):
            self._read_ahead(order, plan, number)
        (_, future), self._ahead = self._ahead, None
        return future.result()

    def _read_ahead(self, order, plan, number):
        if self._ahead is not None:
            self._ahead[1].result()  # nobody wants it, but it has a buffer
        if len(self._buffers) < 2:
            self._buffers.append(self._buffer(order))
        else:
            self._buffers.reverse()
        try:
            future = self._pool.submit(self._filled, self._buffers[-1], order, plan[number], number)
        except RuntimeError as error:
            raise RuntimeError(f"The thread that reads {self.source} ahead was ended: {error}.") from error
        self._ahead = (order, number), future

    def _buffer(self, order):
        n = order.room + min(self.source.window_rows, self.n_rows)
        return Window(
            np.empty((n, self.source.n_features), self.source.dtype),
            np.zeros((n, *self.y.shape[1:]), self.y.dtype),
            np.zeros(n) if self.weighted else None,
            np.empty(n, dtype=np.intp) if order.picks else None,
            order.room,
            n,
        )

    def _filled(self, buffer, order, blocks, number):
        """A window with its rows, in the thread that reads."""
        stop = stop_order = order.room
        for block in blocks:
            if self._stopped.is_set():
                return None
            first, stop = stop, stop + int(self.source.blocks[block])
            y, weight, _ = self._read(block, buffer.X[first:stop])
            buffer.y[first:stop] = y
            if weight is not None:
                buffer.sample_weight[first:stop] = weight
            if order.picks:
                rows = np.arange(first, stop, dtype=np.intp)
                if order.share:
                    rows = rows[~is_drawn(self.source, block, order.held_by, order.share)]
                buffer.order[stop_order : stop_order + len(rows)] = rows
                stop_order += len(rows)
        if order.seed is not None:
            shuffle(random_of(order.seed, order.epoch, number), buffer.order[order.room : stop_order])
        return buffer._replace(
            X=buffer.X[:stop],
            y=buffer.y[:stop],
            sample_weight=None if buffer.sample_weight is None else buffer.sample_weight[:stop],
            stop=stop_order if order.picks else stop,
        )

    def close(self):
        """End the thread, and let go of the windows."""
        self._stopped.set()
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = self._ahead = None
        self._buffers = []
        self._stopped.clear()


def features_of(source):
    """Blocks of features in their order, as `BlockRows`, the next one read ahead by a thread.

    Each is good until the next one is asked for.
    """
    most = int(source.blocks.max())
    buffers = [np.empty((most, source.n_features), source.dtype) for _ in range(min(2, len(source.blocks)))]

    def read(block):
        X = buffers[block % 2][: source.blocks[block]]
        source.read_finite(block, X, targets=False)
        return BlockRows(int(source.starts[block]), X)

    with ThreadPoolExecutor(1, thread_name_prefix="fastmlp-reader") as pool:
        ahead = pool.submit(read, 0)
        for block in range(len(source.blocks)):
            current = ahead.result()
            if block + 1 < len(source.blocks):
                ahead = pool.submit(read, block + 1)
            yield current


def is_drawn(source, block, seed, share):
    """Which rows of a block are among a share of all: by splitmix64 (Steele et al. 2014) of their position and a seed.

    Parameters
    ----------
    source : Source
    block, seed : int
    share : float
        Below 1.

    Returns
    -------
    drawn : ndarray of bool
    """
    start = int(source.starts[block])
    z = np.arange(start, start + source.blocks[block], dtype=np.uint64) + np.uint64(1)
    with np.errstate(over="ignore"):
        z = z * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) < np.uint64(int(share * 2**64))


def random_of(*seed):
    """NumPy keeps the numbers of a RandomState from version to version."""
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
