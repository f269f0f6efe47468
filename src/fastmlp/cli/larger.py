"""Tables that are larger than memory, which train and predict read by windows of rows."""

import math
import os
import tempfile
from contextlib import contextmanager

import numpy as np

from ..data.parquet import scan_parquet
from ..training.arrays import physical_memory
from .files import TableError, delimiter_of, files_of, kind_of, refuse_absent, refuse_none, writing

__all__ = ["scanned"]

_SHARE = 8  # of the machine's memory: what a table may have to be read whole
_ROWS, _GROUPS = 1 << 16, 8  # of a row group that other files are copied to, at most, and such groups in a window


@contextmanager
def scanned(path, delimiter=None, window_rows=None):
    """A table as Parquet files that are not read, for as long as the block lasts.

    Parameters
    ----------
    path : str
        File or folder, as `read_file` takes it. What is not Parquet is copied to a temporary Parquet file.
    delimiter : str, default=None
        Between the fields of CSV.
    window_rows : int, default=None
        Rows in memory at a time. None: a table that is small beside the machine's memory is none for this.

    Yields
    ------
    table : ScannedTable or None
        None if the table is to be read whole.
    """
    if not os.path.exists(path):  # `read_file` says what is there
        yield None
        return
    files = files_of(path) if os.path.isdir(path) else [path]
    if window_rows is None and sum(map(_size, files)) <= physical_memory() // _SHARE:
        yield None
        return
    if kind_of(files[0]) == "parquet":
        yield ScannedTable(files, path, window_rows)
        return
    with tempfile.TemporaryDirectory(prefix="fastmlp-") as folder:
        copy = os.path.join(folder, "table.parquet")
        with writing(copy):
            rows = _ROWS if window_rows is None else max(1, min(_ROWS, window_rows // _GROUPS))
            _copy(files, path, delimiter, copy, rows)
        yield ScannedTable([copy], path, window_rows)


class ScannedTable:
    """Parquet files with the columns of a table.

    Parameters
    ----------
    files : list of str
    name : str
        What errors call the table.
    window_rows : int or None
    """

    def __init__(self, files, name, window_rows):
        import pyarrow as pa
        import pyarrow.dataset as dataset

        self.name, self.window_rows = name, window_rows
        try:
            self._dataset = dataset.dataset(files, format="parquet")
            fragments = [*self._dataset.get_fragments()]
            self._groups = [group for fragment in fragments for group in fragment.split_by_row_group()]
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"{name} cannot be read: {str(error).splitlines()[0]}.") from error
        self.columns = self._dataset.schema.names

    def source(self, target=None, without=(), groups=None):
        """Its rows, or those of some row groups, for `fit` and `predict`.

        Parameters
        ----------
        target : str, default=None
        without : sequence of str
            Columns that are no features, besides the target.
        groups : iterable of int, default=None
            Numbers of row groups.

        Returns
        -------
        source : Source
        """
        from pyarrow.dataset import FileSystemDataset

        for name in [*without, *([] if target is None else [target])]:
            refuse_absent(name, self.columns, self.name)
        features = [name for name in self.columns if name != target and name not in without]
        refuse_none(features)
        chosen = self._groups if groups is None else [self._groups[group] for group in groups]
        rows = FileSystemDataset(chosen, self._dataset.schema, self._dataset.format, self._dataset.filesystem)
        return scan_parquet(rows, target, features, window_rows=self.window_rows)

    def divided(self, share, seed):
        """Numbers of row groups to train on, and of those that are set aside."""
        n_groups = len(self._groups)
        n_aside = math.ceil(share * n_groups)
        if n_aside >= n_groups:
            raise TableError(
                f"{self.name} has {n_groups} row groups, of which --holdout would leave none to train on: write it with"
                " more row groups."
            )
        order = np.random.default_rng(seed).permutation(n_groups)
        return sorted(order[n_aside:]), sorted(order[:n_aside])


def _size(path):
    """Bytes of a file's table, about as many as it has in memory."""
    if kind_of(path) != "parquet":
        return os.path.getsize(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError):  # which reading it says
        return 0
    return sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))


def _copy(files, name, delimiter, copy, rows):
    """Write CSV or Arrow files to a Parquet file, a batch at a time; a row group has at most the given rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        batches = (batch for path in files for batch in _batches(path, delimiter))
        first = next(batches)
        with pq.ParquetWriter(copy, first.schema) as writer:
            writer.write_batch(first, rows)
            for batch in batches:
                writer.write_batch(batch.select(first.schema.names), rows)
    except (pa.ArrowException, StopIteration) as error:
        said = str(error).splitlines()[0] if str(error) else "it has no rows"
        raise TableError(f"{name} cannot be read: {said}.") from error


def _batches(path, delimiter):
    import pyarrow as pa
    import pyarrow.csv

    if kind_of(path) == "csv":
        yield from pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(block_size=1 << 24),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter_of(path, delimiter)),
            convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True),
        )
        return
    with pa.memory_map(path) as file:
        try:
            reader = pa.ipc.open_file(file)
        except pa.ArrowInvalid:
            yield from pa.ipc.open_stream(path)
            return
        for i in range(reader.num_record_batches):
            yield reader.get_batch(i)
