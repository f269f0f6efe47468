"""Rows of a Dask collection, partition by partition."""

import numpy as np

from .shards import Shards
from .sources import Block, Source

__all__ = ["CollectionShards", "CollectionSource", "delayed_parts", "is_collection", "others_of"]


def is_collection(X):
    """Whether it is an array or a frame of Dask."""
    return hasattr(type(X), "__dask_graph__")


def _delayed(collection, name):
    """The partitions of a collection as delayed objects.

    Raises
    ------
    TypeError
        If it is no array or frame.
    """
    if hasattr(collection, "rechunk"):
        return (collection.rechunk({1: -1}) if collection.ndim > 1 else collection).to_delayed().ravel().tolist()
    if hasattr(collection, "npartitions") and hasattr(collection, "columns"):
        return list(collection.to_delayed())
    raise TypeError(f"{name} must be a Dask array or a frame of Dask, got {type(collection).__name__}.")


def delayed_parts(X, y, sample_weight):
    """The partitions of X, of y and of weights that belong together, as delayed objects; None for what is None.

    Raises
    ------
    ValueError, TypeError
        If they are no collections, or have other partitions than X.
    """
    parts = [_delayed(X, "X")]
    for name, array in (("y", y), ("sample_weight", sample_weight)):
        if array is not None and not is_collection(array):
            raise TypeError(f"{name} must be a Dask collection as X is, got {type(array).__name__}.")
        if hasattr(array, "rechunk") and hasattr(X, "rechunk") and array.chunks[0] != X.chunks[0]:
            if np.isnan(array.chunks[0] + X.chunks[0]).any() or array.shape[0] != X.shape[0]:
                raise ValueError(f"{name} must have the partitions of X, {X.chunks[0]}, got {array.chunks[0]}.")
            array = array.rechunk({0: X.chunks[0]})
        own = [None] * len(parts[0]) if array is None else _delayed(array, name)
        if len(own) != len(parts[0]):
            raise ValueError(f"{name} must have the {len(parts[0])} partitions of X, got {len(own)}.")
        parts.append(own)
    return list(zip(*parts, strict=True))


def _features_of(X):
    """Number, dtype and names of the features of a collection.

    Raises
    ------
    TypeError
        If some are no numbers.
    ValueError
        If it is no matrix.
    """
    if X.ndim != 2:
        raise ValueError(f"X must have rows and columns, got {X.ndim} dimension.")
    if hasattr(X, "rechunk"):
        dtypes, names = [X.dtype], None
    else:
        dtypes, names = list(X.dtypes), list(X.columns)
        names = names if all(isinstance(name, str) for name in names) else None
    for i, dtype in enumerate(dtypes):
        if getattr(dtype, "kind", "O") not in "biuf":
            column = "" if names is None else f" in column {names[i]!r}"
            raise TypeError(f"X has dtype {dtype}{column}: features must be numbers.")
    single = all(dtype == np.float32 for dtype in dtypes)
    return X.shape[1], np.dtype(np.float32 if single else np.float64), names


def others_of(X, y, weight):
    """A task: rows of a partition, and what belongs to them."""
    return len(X), None if y is None else np.asarray(y), None if weight is None else np.asarray(weight, np.float64)


def _first(values):
    return values[0]


class CollectionSource(Source):
    """Rows of collections of Dask.

    Their targets and weights are computed when it is made, and stay with the cluster. The features are computed when
    they are read.

    Parameters
    ----------
    X : Array or DataFrame of shape (n_samples, n_features)
    y : Array, Series or DataFrame of shape (n_samples,) or (n_samples, n_outputs)
    sample_weight : Array or Series of shape (n_samples,) or None
    client : distributed.Client

    Raises
    ------
    ValueError, TypeError
        If they do not go together, or the features are no numbers.
    """

    has_targets = True

    def __init__(self, X, y, sample_weight, client):
        from dask import delayed

        n_features, dtype, names = _features_of(X)
        self.is_weighted, self._kind = sample_weight is not None, type(X).__name__
        parts = delayed_parts(X, y, sample_weight)
        others = client.compute([delayed(others_of)(*part) for part in parts])
        rows = client.gather([client.submit(_first, other) for other in others])
        filled = [i for i, n_rows in enumerate(rows) if n_rows]  # others would be blocks of no rows
        self._others, self.delayed = [others[i] for i in filled], [parts[i][0] for i in filled]
        self._partitions, self._read_rows = filled, {}
        super().__init__([rows[i] for i in filled], n_features, dtype, names, max(1, sum(rows)), None)

    def __repr__(self):
        return f"{self._kind} of Dask"

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name not in ("_others", "delayed")}

    def place(self, block):
        return f"partition {self._partitions[block]} of the {self._kind}"

    def column(self, j):
        return f"column {j}" if self.names is None else f"column {self.names[j]!r}"

    def description(self):
        raise ValueError(
            "checkpoint_path needs rows that can be told from others without reading them, which those of Dask's"
            " collections cannot: write them to Parquet and use scan_parquet."
        )

    def with_rows(self, rows):
        """The same with the partitions of some blocks in memory: X, and what `others_of` gives, by block."""
        made = object.__new__(type(self))
        vars(made).update(self.__getstate__() | {"_read_rows": rows})
        return made

    def given_others(self, blocks):
        """Targets and weights of some blocks, as futures."""
        return [self._others[block] for block in blocks]

    def read(self, block, X=None, targets=True):
        if block in self._read_rows:
            features, (_, y, weight) = self._read_rows[block]
            values = np.asarray(features)
            if values.shape != X.shape:
                raise ValueError(f"{self.place(block)} has the shape {values.shape}, not {X.shape}.")
            X[...] = values
        else:
            _, y, weight = self._others[block].result()
        for name, array in (("y", y), ("sample_weight", weight)):
            if array is not None and len(array) != self.blocks[block]:
                raise ValueError(
                    f"{self.place(block)} has {self.blocks[block]} rows, but {name} has {len(array)} in it."
                )
        return Block(y, weight if weight is None else weight.ravel())


def _read_shard(shards, number, held_by, share, blocks, features, others):
    """A task: a shard, of the partitions that have rows of it."""
    rows = dict(zip(blocks, zip(features, others, strict=True), strict=True))
    own = copy_with_source(shards, shards.source.with_rows(rows))
    return own.read_shard(number, held_by, share)


def copy_with_source(shards, source):
    """The same shards, of which another object reads the rows."""
    own = object.__new__(type(shards))
    vars(own).update(shards.__getstate__() | {"source": source})
    return own


class CollectionShards(Shards):
    """Shards of a `CollectionSource`: the cluster has them in memory as long as a fit lasts."""

    def __init__(self, *arguments, client, **named):
        super().__init__(*arguments, **named)
        self._client, self._futures = client, {}

    def __getstate__(self):
        return {name: value for name, value in super().__getstate__().items() if name not in ("_client", "_futures")}

    def references(self, held_by, share):
        from dask import delayed

        if (held_by, share) not in self._futures:
            source, shared = self.source, self.tasks.shared(self)
            each = []
            for number, pieces in enumerate(self.pieces):
                blocks = sorted({piece.block for piece in pieces})
                features = [source.delayed[block] for block in blocks]
                task = delayed(_read_shard, pure=False)
                each.append(task(shared, number, held_by, share, blocks, features, source.given_others(blocks)))
            self._futures = {(held_by, share): self._client.compute(each)}
        return self._futures[held_by, share]

    def close(self):
        super().close()
        self._futures = {}
