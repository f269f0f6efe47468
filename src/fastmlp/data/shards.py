"""Shards: fixed parts of a source, each of which a task reads whole and keeps for the tasks that follow."""

import threading
from collections import OrderedDict
from typing import NamedTuple
from uuid import uuid4

import numpy as np

from ..engine import shuffle
from ..training.arrays import Data, physical_memory, plain_array
from .windows import Stream, is_drawn, random_of

__all__ = ["Piece", "Shard", "Shards", "dealt_pieces"]

_PIECES = 16  # of a shard at least, so that shards of rows that are sorted by something differ little
_KEPT = 8  # a process keeps shards of so large a part of the machine's memory


class Piece(NamedTuple):
    """Rows of a block."""

    block: int
    start: int
    stop: int


def dealt_pieces(blocks, n_shards):
    """The pieces of each shard.

    Of n shards each has one of every n pieces that follow each other, the one with the fewest rows the largest piece.
    This depends on the blocks' sizes alone.

    Parameters
    ----------
    blocks : sequence of int
        Rows of each block.
    n_shards : int

    Returns
    -------
    shards : list of list of Piece
        Ascending. Shards have no pieces where there are fewer rows than shards.
    """
    n_parts = -(-n_shards * _PIECES // len(blocks))
    pieces = []
    for block, n_rows in enumerate(np.asarray(blocks).tolist()):
        bounds = [n_rows * part // n_parts for part in range(n_parts + 1)]
        pieces += [Piece(block, *ends) for ends in zip(bounds[:-1], bounds[1:], strict=True) if ends[0] < ends[1]]
    random = random_of(0)
    shards, rows = [[] for _ in range(n_shards)], np.zeros(n_shards, dtype=np.intp)
    for first in range(0, len(pieces), n_shards):
        largest_first = sorted(pieces[first : first + n_shards], key=lambda piece: piece.start - piece.stop)
        shuffled = random.permutation(n_shards)
        fewest_first = shuffled[np.argsort(rows[shuffled], kind="stable")]
        for piece, shard in zip(largest_first, fewest_first, strict=False):
            shards[shard].append(piece)
            rows[shard] += piece.stop - piece.start
    return [sorted(shard) for shard in shards]


class Shard:
    """The rows of a shard in memory.

    Parameters
    ----------
    data : Data
        Without labels and weights of the score, unless some rows are held out.
    held_out : ndarray of bool or None
        Which rows are held out; None: none.
    """

    def __init__(self, data, held_out):
        self.data = data
        self._held_out, self._ordered = held_out, (None, None)

    def __getstate__(self):
        return vars(self) | {"_ordered": (None, None)}

    def __setstate__(self, state):
        vars(self).update(state)
        # messages have arrays at any address
        self.data = Data(*(None if part is None else plain_array(part, part.dtype) for part in self.data))

    @property
    def nbytes(self):
        return sum(part.nbytes for part in self.data if part is not None)

    def held_out(self):
        """The held-out rows, as `Data`."""
        return self.data.at(np.flatnonzero(self._held_out))

    def order(self, *seed):
        """Numbers of the rows to train on, shuffled by a seed; without one as they are."""
        known, order = self._ordered
        if order is None or known != seed:
            n_rows = len(self.data.y)
            order = np.arange(n_rows, dtype=np.intp) if self._held_out is None else np.flatnonzero(~self._held_out)
            if seed:
                shuffle(random_of(*seed), order)
            self._ordered = seed, order  # the other rounds of the epoch need it too
        return order


class _Kept:
    """What a process has read, the latest used of it, up to some bytes."""

    def __init__(self, most):
        self._most, self._lock, self._shards = most, threading.Lock(), OrderedDict()

    def get(self, key, read):
        with self._lock:
            shard = self._shards.get(key)
            if shard is not None:
                self._shards.move_to_end(key)
                return shard
        shard = read()
        with self._lock:
            self._shards[key] = shard
            while len(self._shards) > 1 and sum(kept.nbytes for kept in self._shards.values()) > self._most:
                self._shards.popitem(last=False)
        return shard


_KEPT_SHARDS = _Kept(physical_memory() // _KEPT)


def _held_out_of(shards, held_by, share, number, shard):
    """A task: held-out rows of a shard."""
    return shards.loaded(number, held_by, share, shard).held_out()


class Shards(Stream):
    """A source as fits by tasks take it: shard by shard.

    Tasks get a copy by pickle, without what belongs to the process that submits them.

    Parameters
    ----------
    source, encode, like, weighted, digest
        As for `Stream`.
    tasks : Tasks
        See `training.tasks`.
    n_replicas : int
        There are as many shards, or a multiple of them where a shard would have more rows than a window.

    Attributes
    ----------
    n_slots : int
        Shards of each replica.
    pieces : list of list of Piece
        Of each shard.

    Raises
    ------
    ValueError
        If there are fewer rows than shards.
    """

    def __init__(self, source, encode, like, weighted, digest, *, tasks, n_replicas):
        super().__init__(source, encode, like, weighted, digest)
        self.tasks, self.n_replicas = tasks, n_replicas
        self.n_slots = -(-source.n_rows // (n_replicas * source.window_rows))
        self.pieces = dealt_pieces(source.blocks, n_replicas * self.n_slots)
        if not all(self.pieces):
            raise ValueError(f"n_replicas={n_replicas} is too many for the {source.n_rows} rows of {source}.")
        self._token = uuid4().hex

    def __getstate__(self):
        own = ("_pool", "_ahead", "_stopped", "_buffers", "tasks")
        return {name: value for name, value in vars(self).items() if name not in own}

    def counts(self, seed, share):
        """Rows of each shard to train on; ndarray of intp."""
        counts = np.zeros(len(self.pieces), dtype=np.intp)
        held_out = {}
        for number, pieces in enumerate(self.pieces):
            for block, start, stop in pieces:
                counts[number] += stop - start
                if share:
                    if block not in held_out:
                        held_out[block] = np.concatenate([[0], np.cumsum(is_drawn(self.source, block, seed, share))])
                    counts[number] -= held_out[block][stop] - held_out[block][start]
        return counts

    def references(self, held_by, share):
        """What stands for the rows of each shard in the arguments of tasks; None: they read them."""
        return [None] * len(self.pieces)

    def held_out(self, seed, share):
        each = [(number, shard) for number, shard in enumerate(self.references(seed, share))]
        parts = self.tasks.map(_held_out_of, (self.tasks.shared(self), seed, share), each)
        return Data(*(None if part[0] is None else np.concatenate(part) for part in zip(*parts, strict=True)))

    def loaded(self, number, held_by, share, shard=None):
        """A shard, unless it is there.

        Parameters
        ----------
        number : int
        held_by, share
            Seed and share of the held-out rows.
        shard : Shard, default=None
            Itself, where `references` has more than None.
        """
        if shard is not None:
            return shard
        return _KEPT_SHARDS.get((self._token, number, share), lambda: self.read_shard(number, held_by, share))

    def read_shard(self, number, held_by, share):
        """Read the rows of a shard."""
        pieces, source = self.pieces[number], self.source
        n_rows = sum(stop - start for _, start, stop in pieces)
        X = np.empty((n_rows, source.n_features), source.dtype)
        buffer, parts, at = None, [], 0
        by_block = {}
        for piece in pieces:
            by_block.setdefault(piece.block, []).append(piece)
        for block, of_block in by_block.items():
            of_source = int(source.blocks[block])
            whole = of_block[0].stop - of_block[0].start == of_source
            if not whole and (buffer is None or len(buffer) < of_source):
                buffer = np.empty((of_source, source.n_features), source.dtype)
            read_to = X[at : at + of_source] if whole else buffer[:of_source]
            y, weight, read = self._read(block, read_to)
            held_out = is_drawn(self.source, block, held_by, share) if share else None
            given = (read.y, read.sample_weight) if share else (None, None)
            for _, start, stop in of_block:
                if not whole:
                    X[at : at + stop - start] = buffer[start:stop]
                at += stop - start
                rows = (y, weight, *given, held_out)
                parts.append([None if array is None else array[start:stop] for array in rows])
        *others, held_out = (None if part[0] is None else np.concatenate(part) for part in zip(*parts, strict=True))
        return Shard(Data(X, *others), held_out)
