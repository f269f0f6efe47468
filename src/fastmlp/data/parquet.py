"""Parquet files as a source: found, compared with each other, and read by row groups.

`pyarrow.dataset` is not what reads them: its batches pile up in memory (apache/arrow#39808).
"""

import glob
import os
import tempfile
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from ..engine import transpose
from ..training.disk import replace_file
from .sources import Block, ChangedError, Source, as_table, rows_of_window, stacked

__all__ = ["scan_parquet", "write_parquet"]

_TILE = 1 << 19  # bytes of columns that are put side by side while they are in the cache
_SUNK_ROWS = 1 << 16  # of the row groups that a lazy frame is written to
_FOOTER = 8  # bytes behind the footer: its length, and the magic number


def scan_parquet(
    paths: Any,
    target: str | list[str] | None = None,
    features: list[str] | None = None,
    sample_weight: str | None = None,
    *,
    window_rows: int | None = None,
    window_bytes: int | None = None,
) -> Source:
    """Rows of Parquet files, for `fit` and `predict` of models, without loading them.

    Needs ``pip install "fastmlp[arrow]"``.

    Parameters
    ----------
    paths : str, path, list of such, pyarrow.dataset.Dataset or polars.LazyFrame
        Files, globs such as ``"folder/**/*.parquet"``, and folders with all the files in them that end in ``.parquet``;
        also as addresses of fsspec, such as ``"s3://bucket/folder"``. Files of a glob or a folder come in the order of
        their names. Folders named ``key=value`` add a column of this name. A lazy frame is written to a temporary
        file first, which goes when the source does.
    target : str or list of str, default=None
        Column with the targets, or columns for several outputs. None is for prediction.
    features : list of str, default=None
        Columns with the features. None takes all columns of the files that are not named as something else.
        `MLPClassifier` and `MLPRegressor` need integers, floats or bools without gaps: where all are float32 they are
        read as such, else as float64. `TabularMLPClassifier` and `TabularMLPRegressor` take the columns as they are.
    sample_weight : str, default=None
        Column with non-negative weights.
    window_rows, window_bytes : int, default=None
        As for `scan_npy`. A window is made of whole row groups.

    Returns
    -------
    source : Source
        What `fit` takes in place of X, y and sample_weight, and `predict` in place of X.

    Raises
    ------
    ValueError, TypeError
        If there are no files, if one is no whole Parquet file, if it lacks a column or has it in another type than the
        first file, or if a row group is larger than a window.
    OSError
        If a file cannot be read.
    ImportError
        If PyArrow is missing.

    Examples
    --------
    >>> import pyarrow
    >>> import pyarrow.parquet
    >>> from sklearn.datasets import load_digits
    >>> import fastmlp
    >>> table = pyarrow.Table.from_pandas(load_digits(as_frame=True).frame)
    >>> pyarrow.parquet.write_table(table, "digits.parquet", row_group_size=100)
    >>> source = fastmlp.scan_parquet("digits.parquet", target="target", window_rows=500)
    >>> fastmlp.MLPClassifier(random_state=0).fit(source).predict(source).shape
    (1797,)
    """
    _need_arrow("scan_parquet")
    return ParquetSource(paths, target, features, sample_weight, window_rows, window_bytes)


def write_parquet(path, tables):
    """Write a Parquet file of a row group for each of some tables, whole or not at all.

    Parameters
    ----------
    path : str or path-like
    tables : iterable of dict of str to ndarray
        Columns by name, the same in all.
    """
    _need_arrow("predict_to")
    import pyarrow as pa
    import pyarrow.parquet as pq

    def table(columns):
        arrays = {
            name: pa.array(column.tolist() if column.dtype == object else column) for name, column in columns.items()
        }
        return pa.table(arrays)

    def write(file):
        rest = map(table, tables)
        first = next(rest)
        with pq.ParquetWriter(file, first.schema) as writer:
            writer.write_table(first)
            for other in rest:
                writer.write_table(other)

    replace_file(path, write)


def _need_arrow(name):
    try:
        import pyarrow.fs
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ImportError(f'{name} needs PyArrow: pip install "fastmlp[arrow]".') from error


class _File(NamedTuple):
    """A Parquet file."""

    filesystem: Any  # pyarrow.fs.FileSystem
    path: str
    keys: dict  # values of the columns that the names of its folders add
    row_groups: list | None  # numbers of those that count; None: all


class _Scanned(NamedTuple):
    """A file that was looked at."""

    file: _File
    metadata: Any
    stamp: tuple
    footer: bytes


class ParquetSource(Source):
    """See `scan_parquet`."""

    def __init__(self, paths, target, features, sample_weight, window_rows, window_bytes):
        self._folder, files = _found(paths)
        self._files = [_scanned(file) for file in files]
        self._targets = [target] if isinstance(target, str) else list(target or [])
        self._weight = sample_weight
        self.has_targets, self.is_weighted = bool(self._targets), sample_weight is not None
        first = self._files[0]
        schema = _schema(first)
        taken = {*self._targets, *([] if sample_weight is None else [sample_weight])}
        if features is None:
            features = [name for name in schema if name not in taken and name not in first.file.keys]
        self._features = [features] if isinstance(features, str) else list(features)
        if not self._features:
            raise ValueError(f"features: {self} has no columns beside target and sample_weight.")
        if len({*self._features, *taken}) < len(self._features) + len(self._targets) + (sample_weight is not None):
            raise ValueError(
                f"features={self._features!r}, target={target!r}, sample_weight={sample_weight!r}: a"
                " column is named twice."
            )
        columns = {name: _type(schema, name, first) for name in (*self._features, *taken)}
        messages = (_no_number(name, columns[name], first, "features") for name in self._features)
        self._no_numbers = next(filter(None, messages), None)
        if sample_weight is not None:
            if message := _no_number(sample_weight, columns[sample_weight], first, "sample_weight"):
                raise TypeError(message)
        for scanned in self._files[1:]:
            schema = _schema(scanned)
            for name, kind in columns.items():
                other = _type(schema, name, scanned)
                if other != kind:
                    raise ValueError(
                        f"{_quoted(scanned)} has the column {name!r} as {other}, {_quoted(first)} as {kind}."
                    )
        single = all(str(columns[name]) == "float" for name in self._features)
        dtype = np.dtype(np.float32 if single else np.float64)
        self._groups = [
            (i, group)
            for i, scanned in enumerate(self._files)
            for group in (
                range(scanned.metadata.num_row_groups) if scanned.file.row_groups is None else scanned.file.row_groups
            )
            if scanned.metadata.row_group(group).num_rows
        ]
        blocks = [self._files[i].metadata.row_group(group).num_rows for i, group in self._groups]
        most = rows_of_window(len(self._features), dtype, window_rows, window_bytes)
        super().__init__(blocks, len(self._features), dtype, list(self._features), most, None)

    def __getstate__(self):
        return vars(self) | {"_folder": None}  # which goes with the source that made it

    def __repr__(self):
        more = "" if len(self._files) == 1 else f" and {len(self._files) - 1} more"
        return f"scan_parquet({_quoted(self._files[0])}{more})"

    def place(self, block):
        i, group = self._groups[block]
        return f"row group {group} of {_quoted(self._files[i])}"

    def column(self, j):
        return f"column {self._features[j]!r}"

    def description(self):
        digest = blake2b(repr(self._features).encode(), digest_size=16)
        for scanned in self._files:
            digest.update(scanned.footer + repr((scanned.file.keys, scanned.file.row_groups)).encode())
        return np.frombuffer(digest.digest(), np.uint8)

    def read(self, block, X=None, targets=True):
        if X is not None:
            self.check_numbers()
        columns, read = self._columns(block, self._features if X is not None else [], targets)
        columns = [self._array(block, name, column) for name, column in columns.items()]
        if columns:
            _put_side_by_side(columns, X)
        return read

    def table(self, blocks, targets=True):
        import pyarrow as pa

        tables, read = [], []
        for block in blocks:
            columns, of_block = self._columns(block, self._features, targets)
            tables.append(pa.table(columns))
            read.append(of_block)
        return pa.concat_tables(tables), *stacked(read)

    def _columns(self, block, features, targets):
        """Features of a block as Arrow has them, by name, and its targets and weights as a `Block`."""
        import pyarrow as pa

        others = self._targets if targets else []
        weights = [self._weight] if targets and self._weight is not None else []
        names = [*features, *others, *weights]
        keys = self._files[self._groups[block][0]].file.keys
        table = self._table(block, [name for name in names if name not in keys])
        n_rows = int(self.blocks[block])
        columns = {
            name: pa.chunked_array([pa.repeat(keys[name], n_rows)]) if name in keys else table.column(name)
            for name in names
        }
        y = [self._array(block, name, columns[name]) for name in others]
        weight = None
        if weights:
            weight = self._array(block, self._weight, columns[self._weight]).astype(np.float64, copy=False)
        read = Block(None if not y else as_table(y) if len(y) > 1 else y[0], weight)
        return {name: columns[name] for name in features}, read

    def _array(self, block, name, column):
        """A column of a block as NumPy has it."""
        return _values(column, f"column {name!r} of {self.place(block)}")

    def _table(self, block, names):
        """The columns of a row group, as they are in the file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        i, group = self._groups[block]
        scanned = self._files[i]
        if not names:
            return None
        try:
            with scanned.file.filesystem.open_input_file(scanned.file.path) as file:
                if _changed(scanned, file):
                    raise ChangedError(f"{_quoted(scanned)} has changed since it was scanned.")
                reader = pq.ParquetFile(file, metadata=scanned.metadata, pre_buffer=True)
                return reader.read_row_group(group, columns=names, use_threads=False)
        except FileNotFoundError as error:
            raise ChangedError(f"{_quoted(scanned)} has gone since it was scanned.") from error
        except (pa.ArrowException, OSError) as error:
            damaged = self._damaged(scanned, group, names)
            raise ValueError(f"{damaged}{self.place(block)} cannot be read: {error}") from error

    def _damaged(self, scanned, group, names):
        """In words, the first column that cannot be read by itself; nothing if all can."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for name in names:
            try:
                with scanned.file.filesystem.open_input_file(scanned.file.path) as file:
                    pq.ParquetFile(file, metadata=scanned.metadata).read_row_group(group, columns=[name])
            except (pa.ArrowException, OSError):
                return f"column {name!r} of "
        return ""


# Files


def _found(paths):
    """The temporary folder of a lazy frame, or None, and the files."""
    import pyarrow as pa

    if hasattr(paths, "sink_parquet"):
        folder = tempfile.TemporaryDirectory(prefix="fastmlp-")
        path = os.path.join(folder.name, "frame.parquet")
        paths.sink_parquet(path, row_group_size=_SUNK_ROWS)
        return folder, [_File(pa.fs.LocalFileSystem(), path, {}, None)]
    if hasattr(paths, "get_fragments"):
        return None, _files_of_dataset(paths)
    files = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        found = _files_at(os.fspath(path))
        if not found:
            raise ValueError(f"paths: there are no Parquet files at {os.fspath(path)!r}.")
        files += found
    if not files:
        raise ValueError(f"paths={paths!r} has no files.")
    return None, files


def _files_at(path):
    import pyarrow as pa

    if "://" in path:
        try:
            import fsspec
        except ImportError as error:
            raise ImportError(f'paths={path!r} needs fsspec: pip install "fastmlp[arrow]".') from error

        filesystem, inner = fsspec.core.url_to_fs(path)
        if any(character in inner for character in "*?["):
            names = filesystem.glob(inner)
        elif filesystem.isdir(inner):
            names = filesystem.find(inner)
        else:
            names = [inner]
        opener = pa.fs.PyFileSystem(pa.fs.FSSpecHandler(filesystem))
        several = names != [inner]
    else:
        opener = pa.fs.LocalFileSystem()
        path = os.path.abspath(path)
        if os.path.isfile(path):
            names, several = [path], False
        elif os.path.isdir(path):
            names, several = glob.glob(os.path.join(glob.escape(path), "**", "*"), recursive=True), True
        elif glob.has_magic(path):
            names, several = glob.glob(path, recursive=True), True
        else:
            raise FileNotFoundError(f"paths: there is no file or folder {path!r}.")
        names = [name for name in names if os.path.isfile(name)]
    if several:
        names = sorted(name for name in names if name.endswith(".parquet") and not _is_hidden(name))
    keys = _typed([_keys(name) for name in names])
    return [_File(opener, name, own, None) for name, own in zip(names, keys, strict=True)]


def _is_hidden(name):
    return os.path.basename(name).startswith((".", "_"))


def _keys(path):
    """The columns that the names of a file's folders add, as text."""
    return dict(part.split("=", 1) for part in path.replace(os.sep, "/").split("/")[:-1] if "=" in part)


def _typed(keys):
    """The same as integers where all files' values of a column are such."""
    names = {name for own in keys for name in own}
    for name in names:
        values = [own[name] for own in keys if name in own]
        if all(value.lstrip("-").isascii() and value.lstrip("-").isdigit() for value in values):
            for own in keys:
                if name in own:
                    own[name] = int(own[name])
    return keys


def _files_of_dataset(dataset):
    from pyarrow.dataset import ParquetFileFragment, get_partition_keys

    files = []
    for fragment in dataset.get_fragments():
        if not isinstance(fragment, ParquetFileFragment):
            raise TypeError(f"paths: a dataset must be of Parquet files, got {type(fragment).__name__} in it.")
        keys = dict(get_partition_keys(fragment.partition_expression))
        groups = None
        if fragment.row_groups is not None:
            groups = [group.id for group in fragment.row_groups]
        files.append(_File(fragment.filesystem, fragment.path, keys, groups))
    if not files:
        raise ValueError("paths: the dataset has no files.")
    return files


def _scanned(file):
    import pyarrow as pa
    import pyarrow.parquet as pq

    with file.filesystem.open_input_file(file.path) as opened:
        try:
            metadata = pq.ParquetFile(opened).metadata
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{file.path!r} is no whole Parquet file: {error}") from error
        return _Scanned(file, metadata, _stamp(file), _footer(opened))


def _stamp(file):
    info = file.filesystem.get_file_info(file.path)
    return info.size, info.mtime_ns


def _changed(scanned, opened):
    """Whether a file is another than it was; where its place tells no time, its footer does."""
    stamp = _stamp(scanned.file)
    return stamp != scanned.stamp or (not stamp[1] and _footer(opened) != scanned.footer)


def _footer(opened):
    """A digest of a file's footer, which has the sizes, places and extremes of all columns of its row groups."""
    size = opened.seek(0, os.SEEK_END) or opened.tell()
    opened.seek(max(0, size - _FOOTER))
    length = int.from_bytes(opened.read(4), "little")
    opened.seek(max(0, size - _FOOTER - length))
    digest = blake2b(opened.read(), digest_size=16).digest()
    opened.seek(0)
    return digest


def _quoted(scanned):
    return repr(scanned.file.path)


# Columns


def _schema(scanned):
    """Types of the columns by name, those of the folders' names included."""
    import pyarrow as pa

    schema = scanned.metadata.schema.to_arrow_schema()
    types = dict(zip(schema.names, schema.types, strict=True))
    return types | {name: pa.scalar(value).type for name, value in scanned.file.keys.items()}


def _put_side_by_side(columns, X):
    """X[:, j] = columns[j]"""
    height = max(16, _TILE // (X.itemsize * len(columns)))
    tile = np.empty((len(columns), min(height, len(X))), X.dtype)
    for start in range(0, len(X), height):
        rows = X[start : start + height]
        for row, column in zip(tile, columns, strict=True):
            row[: len(rows)] = column[start : start + height]
        transpose(tile[:, : len(rows)], rows)


def _type(schema, name, scanned):
    if name not in schema:
        raise ValueError(f"{_quoted(scanned)} has no column {name!r}: it has {', '.join(map(repr, schema))}.")
    return schema[name]


def _no_number(name, kind, scanned, parameter):
    """What is wrong with a column that has no numbers; None if it has."""
    from pyarrow import types

    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return None
    return f"column {name!r} of {_quoted(scanned)} is {kind}: {parameter} needs columns of integers, floats or bools."


def _values(column, where):
    """A column as NumPy has it.

    Raises
    ------
    ValueError
        If it has gaps.
    TypeError
        If NumPy has no such type.
    """
    from pyarrow import types

    kind = column.type
    if column.null_count:
        gap = column.is_null().to_numpy().argmax()
        raise ValueError(f"{where} contains NaN or other missing values, the first in row {gap} of it.")
    if types.is_dictionary(kind) or types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        column = column.combine_chunks().dictionary_encode() if not types.is_dictionary(kind) else column
        column = column.unify_dictionaries().combine_chunks() if hasattr(column, "unify_dictionaries") else column
        parts = column.chunks if hasattr(column, "chunks") else [column]
        labels = [np.asarray(part.dictionary.to_pylist())[part.indices.to_numpy()] for part in parts if len(part)]
        return np.concatenate(labels)
    known = types.is_integer, types.is_floating, types.is_boolean, types.is_date, types.is_timestamp, types.is_duration
    if not any(is_such(kind) for is_such in known):
        raise TypeError(f"{where} is {kind}, which is no type of a target.")
    return column.to_numpy()
