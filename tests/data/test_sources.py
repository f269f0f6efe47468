"""Rows of files, read block by block: what comes out is what is in them, and what is wrong is named."""

import glob
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp.data.sources import ChangedError
from fastmlp.data.statistics import Labels, Numbers
from fastmlp.data.windows import features_of, window_blocks

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("pyarrow.dataset")

N, F = 211, 5
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, F))
Y = RNG.integers(0, 3, N)
W = RNG.uniform(0.5, 2, N)


def table(rows=slice(None), dtype=np.float64, **more):
    return pa.table({f"f{j}": X[rows, j].astype(dtype) for j in range(F)} | {"y": Y[rows], "w": W[rows]} | more)


def loaded(source):
    return [np.asarray(part) if part is not None else None for part in source.load()]


@pytest.mark.parametrize("missing, message", [("pyarrow", "scan_parquet needs PyArrow"), ("fsspec", "needs fsspec")])
def test_readers_are_imported_where_they_are_used(missing, message):
    code = f"""
import sys
sys.modules[{missing!r}] = None  # as if it were not installed
import fastmlp
fastmlp.scan_parquet("memory://a.parquet")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert message in ran.stderr and 'pip install "fastmlp[arrow]".' in ran.stderr


# .npy


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", "<f2", "<i4", "?"])
@pytest.mark.parametrize("how", ["path", "array", "mapped"])
def test_npy(how, dtype, tmp_path):
    values = (10 * X).astype(dtype)
    np.save(tmp_path / "X.npy", values)
    np.save(tmp_path / "y.npy", Y)
    given = {
        "path": tmp_path / "X.npy",
        "array": values,
        "mapped": np.load(tmp_path / "X.npy", mmap_mode="r"),
    }[how]
    source = fastmlp.scan_npy(given, str(tmp_path / "y.npy"), W, window_rows=50)
    expected = np.float32 if values.dtype == np.float32 else np.float64
    assert source.dtype == expected and source.n_rows == N and source.blocks.max() == 50 // 16
    read, y, weight = loaded(source)
    np.testing.assert_array_equal(read, values.astype(expected))
    np.testing.assert_array_equal(y, Y)
    np.testing.assert_array_equal(weight, W)
    digest = fastmlp.scan_npy(values, Y).description()
    np.testing.assert_array_equal(source.description(), digest)
    values[N // 2, 2] += 1
    assert dtype == "?" or (fastmlp.scan_npy(values, Y).description() != digest).any()


def test_npy_labels_are_text(tmp_path):
    labels = np.array(["no", "yes", "perhaps"])[Y]
    np.save(tmp_path / "y.npy", labels)
    np.testing.assert_array_equal(fastmlp.scan_npy(X, tmp_path / "y.npy").load()[1], labels)


def test_npy_refusals(tmp_path):
    path = tmp_path / "X.npy"
    path.write_bytes(b"not numpy's")
    with pytest.raises(ValueError, match=r"X.npy' is no .npy file"):
        fastmlp.scan_npy(path)
    np.save(path, X)
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with pytest.raises(ValueError, match=rf"X.npy' is not whole: it has {len(whole) - 7} bytes in place of"):
        fastmlp.scan_npy(path)
    np.save(path, np.asfortranarray(X))
    with pytest.raises(ValueError, match="Fortran"):
        fastmlp.scan_npy(path)
    np.save(path, X.astype(object))
    with pytest.raises(TypeError, match="Python objects"):
        fastmlp.scan_npy(path)
    with pytest.raises(ValueError, match=rf"y must have {N} rows"):
        fastmlp.scan_npy(X, Y[1:])
    with pytest.raises(ValueError, match="numbers in rows and columns"):
        fastmlp.scan_npy(Y)
    with pytest.raises(TypeError, match="X must be an array or the path"):
        fastmlp.scan_npy(X.tolist())
    with pytest.raises(ValueError, match="has no rows"):
        fastmlp.scan_npy(X[:0])
    with pytest.raises(TypeError, match="sample_weight must have numbers, got <U1"):
        fastmlp.scan_npy(X, Y, np.full(N, "1"))


@pytest.mark.parametrize(
    "window, error, message",
    [
        ({"window_rows": 0}, ValueError, "window_rows must be > 0, got 0"),
        ({"window_bytes": 2.5}, TypeError, "window_bytes must be None or an integer > 0, got 2.5"),
        ({"window_rows": True}, TypeError, "window_rows must be None or an integer"),
        ({"window_rows": 9, "window_bytes": 9}, ValueError, "window_rows=9 and window_bytes=9 exclude each other"),
    ],
)
def test_windows_that_are_refused(window, error, message):
    with pytest.raises(error, match=message):
        fastmlp.scan_npy(X, Y, **window)


def test_window_bytes_are_those_of_rows():
    assert fastmlp.scan_npy(X, Y, window_bytes=100 * (8 * F + 24)).window_rows == 100
    assert fastmlp.scan_npy(X.astype(np.float32), Y, window_bytes=100 * (4 * F + 24)).window_rows == 100
    assert fastmlp.scan_npy(X, Y).window_rows > N


# Parquet: where files are


def write_parts(folder, **keywords):
    folder.mkdir(parents=True, exist_ok=True)
    for i, start in enumerate(range(0, N, 60)):
        pq.write_table(table(slice(start, start + 60), **keywords), folder / f"part-{i}.parquet", row_group_size=25)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parquet(dtype, tmp_path):
    write_parts(tmp_path / "set", dtype=dtype)
    (tmp_path / "set" / "_SUCCESS").write_text("")
    (tmp_path / "set" / "_metadata.parquet").write_text("not one of them")
    sources = [
        fastmlp.scan_parquet(where, target="y", sample_weight="w")
        for where in (
            tmp_path / "set",
            str(tmp_path / "set" / "part-*.parquet"),
            str(tmp_path / "**" / "part-*.parquet"),
            [tmp_path / "set" / f"part-{i}.parquet" for i in range(4)],
            f"file://{tmp_path / 'set'}",
        )
    ]
    for source in sources:
        read, y, weight = loaded(source)
        np.testing.assert_array_equal(read, X.astype(dtype))
        assert read.dtype == dtype and source.names == [f"f{j}" for j in range(F)]
        np.testing.assert_array_equal(y, Y)
        np.testing.assert_array_equal(weight, W)
        np.testing.assert_array_equal(source.description(), sources[0].description())
        assert source.blocks.tolist() == [25, 25, 10, 25, 25, 10, 25, 25, 10, 25, 6]


def test_files_of_fsspec(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    write_parts(tmp_path / "set")
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "set"), "/streamed", recursive=True)
    for where in ("memory://streamed", "memory://streamed/*.parquet"):
        source = fastmlp.scan_parquet(where, target="y", features=["f3", "f1"])
        np.testing.assert_array_equal(source.load()[0], X[:, [3, 1]])
    pq.write_table(table(), tmp_path / "other.parquet")
    memory.put(str(tmp_path / "other.parquet"), "/streamed/part-1.parquet")
    with pytest.raises(ChangedError, match=r"streamed/part-1.parquet' has changed"):
        source.load()


def test_partitions_name_columns(tmp_path):
    for label in (10, 9):
        rows = np.flatnonzero(Y == label - 9)
        write = table(rows).drop_columns(["y"])
        folder = tmp_path / f"kind={label}" / "day=mon"
        folder.mkdir(parents=True)
        pq.write_table(write, folder / "rows.parquet")
    source = fastmlp.scan_parquet(tmp_path, target="kind", sample_weight="w")
    read, y, _ = loaded(source)
    assert source.names == [f"f{j}" for j in range(F)]
    first = np.flatnonzero(Y == 1)
    np.testing.assert_array_equal(read[: len(first)], X[first])
    np.testing.assert_array_equal(y, np.repeat([10, 9], [len(first), (Y == 0).sum()]))
    assert set(fastmlp.scan_parquet(tmp_path, target="day").load()[1]) == {"mon"}


def test_datasets_and_lazy_frames(tmp_path):
    dataset = pytest.importorskip("pyarrow.dataset")
    write_parts(tmp_path / "set")
    source = fastmlp.scan_parquet(dataset.dataset(tmp_path / "set"), target="y", sample_weight="w")
    np.testing.assert_array_equal(source.load()[0], X)
    polars = pytest.importorskip("polars")
    lazy = polars.scan_parquet(tmp_path / "set" / "*.parquet").filter(polars.col("y") > 0)
    source = fastmlp.scan_parquet(lazy, target="y", sample_weight="w")
    for same in (source, pickle.loads(pickle.dumps(source))):
        np.testing.assert_array_equal(same.load()[0], X[Y > 0])
    (file,) = glob.glob(os.path.join(source._folder.name, "*"))
    del source
    assert not os.path.exists(file)
    with pytest.raises(TypeError, match="must be of Parquet files, got Fragment"):
        fastmlp.scan_parquet(dataset.dataset(table()))


@pytest.mark.parametrize(
    "values",
    [
        np.array(["no", "yes", "perhaps"])[Y],
        Y.astype(bool),
        Y.astype(np.int8),
        Y.astype(np.float32),
        np.array(["2020-01-01", "2020-01-02", "2021-01-01"], dtype="datetime64[D]")[Y],
        pa.array(np.array(["b", "a", "c"])[Y]).dictionary_encode(),
        pa.array(np.array(["b", "a", "c"])[Y], pa.large_string()),
    ],
    ids=str,
)
def test_types_of_targets(values, tmp_path):
    pq.write_table(table(t=values), tmp_path / "a.parquet", row_group_size=50)
    y = fastmlp.scan_parquet(tmp_path / "a.parquet", target="t").load()[1]
    np.testing.assert_array_equal(y, np.asarray(values))
    two = fastmlp.scan_parquet(tmp_path / "a.parquet", target=["t", "y"]).load()[1]
    assert two.shape == (N, 2) and (two[:, 1] == Y).all()


def test_empty_row_groups_and_files_have_no_rows(tmp_path):
    with pq.ParquetWriter(tmp_path / "a.parquet", table().schema) as writer:
        for rows in (slice(0, 40), slice(0, 0), slice(40, None)):
            writer.write_table(table(rows))
    pq.write_table(table(slice(0, 0)), tmp_path / "b.parquet")
    source = fastmlp.scan_parquet(tmp_path, target="y")
    assert source.blocks.tolist() == [40, N - 40]
    np.testing.assert_array_equal(source.load()[0], np.column_stack([X, W]))
    with pytest.raises(ValueError, match=r"b.parquet'\) has no rows"):
        fastmlp.scan_parquet(tmp_path / "b.parquet", target="y")


# Parquet: what is wrong


def test_files_that_are_refused(tmp_path):
    write_parts(tmp_path)
    second = tmp_path / "part-1.parquet"
    whole = second.read_bytes()

    def refused(error, message, **keywords):
        with pytest.raises(error, match=message):
            fastmlp.scan_parquet(tmp_path, **{"target": "y", **keywords})

    second.write_bytes(whole[:-20])
    refused(ValueError, r"part-1.parquet' is no whole Parquet file")
    second.write_text("a,b\n1,2\n")
    refused(ValueError, r"part-1.parquet' is no whole Parquet file")
    pq.write_table(table().drop_columns(["f2"]), second)
    refused(ValueError, r"part-1.parquet' has no column 'f2': it has 'f0', 'f1', 'f3', 'f4', 'y', 'w'")
    pq.write_table(table().set_column(2, "f2", pa.array(["x"] * N)), second)
    refused(ValueError, r"part-1.parquet' has the column 'f2' as string, .*part-0.parquet' as double")
    second.write_bytes(whole)
    refused(ValueError, r"has no column 'z'", target="z")
    refused(ValueError, r"has no column 'z'", features=["f1", "z"])
    refused(ValueError, "a column is named twice", features=["f1", "y"])
    refused(ValueError, "has no columns beside target and sample_weight", features=[])
    refused(ValueError, r"row group 0 of .*part-0.parquet' has 25 rows, a window at most 20", window_rows=20)
    pq.write_table(table(s=["a"] * N), tmp_path / "part-0.parquet")
    with pytest.raises(TypeError, match=r"column 's' of .*part-0.parquet' is string: features needs columns of int"):
        fastmlp.scan_parquet(tmp_path / "part-0.parquet", target="y").load()
    refused(TypeError, r"column 's' of .* is string: sample_weight needs", sample_weight="s")
    with pytest.raises(FileNotFoundError, match="there is no file or folder"):
        fastmlp.scan_parquet(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="there are no Parquet files at"):
        fastmlp.scan_parquet(str(tmp_path / "*.txt"))
    with pytest.raises(ValueError, match=r"paths=\[\] has no files"):
        fastmlp.scan_parquet([])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="the dataset has no files"):
        fastmlp.scan_parquet(pa.dataset.dataset(tmp_path / "empty", format="parquet"))


@pytest.mark.parametrize("bad, what", [(np.nan, "NaN"), (-np.inf, "infinity")])
def test_features_that_are_no_finite_numbers(bad, what, tmp_path):
    values = X.copy()
    values[141, 3] = bad
    columns = {f"f{j}": values[:, j] for j in range(F)} | {"y": Y}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=50)
    with pytest.raises(ValueError, match=rf"X contains {what}: column 'f3', row 41 of row group 2 of .*a.parquet'"):
        fastmlp.scan_parquet(tmp_path / "a.parquet", target="y").load()
    np.save(tmp_path / "X.npy", values)
    with pytest.raises(ValueError, match=rf"X contains {what}: column 3, row 141 of .*X.npy'"):
        fastmlp.scan_npy(tmp_path / "X.npy", Y, window_rows=100).load()


def test_gaps(tmp_path):
    gap = pa.array([None if i == 77 else float(i) for i in range(N)])
    pq.write_table(table(g=gap), tmp_path / "a.parquet", row_group_size=50)
    message = r"column 'g' of row group 1 of .*a.parquet' contains NaN or other missing values, the first in row 27"
    for keywords in ({"target": "y"}, {"target": "g"}, {"target": "y", "features": ["f1"], "sample_weight": "g"}):
        with pytest.raises(ValueError, match=message):
            fastmlp.scan_parquet(tmp_path / "a.parquet", **keywords).load()


def test_types_that_are_no_targets(tmp_path):
    pq.write_table(table(t=[[1]] * N), tmp_path / "a.parquet")
    with pytest.raises(TypeError, match=r"column 't' of row group 0 of .* is list<.*>, which is no type of a target"):
        fastmlp.scan_parquet(tmp_path / "a.parquet", target="t", features=["f0"]).load()


def test_files_that_change_or_break(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table(), path, row_group_size=50)
    source = fastmlp.scan_parquet(path, target="y")
    where = pq.ParquetFile(path).metadata.row_group(2).column(1).data_page_offset
    whole = path.read_bytes()
    path.write_bytes(whole[:where] + bytes(64) + whole[where + 64 :])
    with pytest.raises(ChangedError, match=r"a.parquet' has changed since it was scanned"):
        source.load()
    with pytest.raises(ValueError, match=r"column 'f1' of row group 2 of .*a.parquet' cannot be read"):
        fastmlp.scan_parquet(path, target="y").load()
    source = fastmlp.scan_parquet(path, target="y")
    path.unlink()
    with pytest.raises(ChangedError, match=r"a.parquet' has gone since it was scanned"):
        source.load()
    np.save(tmp_path / "X.npy", X)
    source = fastmlp.scan_npy(tmp_path / "X.npy", Y, window_rows=100)
    np.save(tmp_path / "X.npy", X[:100])
    with pytest.raises(ChangedError, match=r"X.npy' has changed since it was scanned"):
        source.load()
    (tmp_path / "X.npy").unlink()
    with pytest.raises(ChangedError, match=r"X.npy' has gone since it was scanned"):
        source.load()


# Windows


@pytest.mark.parametrize("n_blocks, most, window", [(37, 9, 20), (40, 1, 7), (5, 30, 30), (60, 30, 45)])
@pytest.mark.parametrize("seed", [None, 0, 2**62])
def test_windows_have_each_block_once(seed, n_blocks, most, window):
    source = fastmlp.scan_npy(X, Y)
    source.blocks = np.random.default_rng(n_blocks).integers(1, most + 1, n_blocks)
    source.n_rows, source.window_rows = int(source.blocks.sum()), window
    plans = [window_blocks(source, seed, epoch) for epoch in (0, 0, 1)]
    assert plans[0] == plans[1] and (plans[0] == plans[2]) == (seed is None)
    for plan in plans:
        numbers = [block for blocks in plan for block in blocks]
        assert (numbers if seed is None else sorted(numbers)) == list(range(n_blocks))
        assert max(source.blocks[blocks].sum() for blocks in plan) <= window and all(plan)
    if seed is not None and most == 1:  # one of every so many blocks in each window
        n_windows = len(plans[0])
        assert n_windows == 6
        for blocks in plans[0]:
            strata = [block // n_windows for block in sorted(blocks)]
            assert strata == list(range(len(strata)))


def test_windows_of_sorted_rows_are_alike():
    labels = np.repeat([0, 1], [600, 400])
    statistics, numbers = Labels(), Numbers()
    for start in range(0, 1000, 20):
        statistics.add(labels[start : start + 20])
        numbers.add(labels[start : start + 20].astype(float))
    source = fastmlp.scan_npy(X, Y)
    source.blocks, source.n_rows, source.window_rows = np.full(50, 20), 1000, 100
    dealt = window_blocks(source, 0, 0)
    in_order = window_blocks(source, None, 0)
    by_chance = (9 + 4 * 18**0.5) / 1000
    # all labels of a window alike: sum over p (1 - p)**2 / p + (1 - p) p**2 / (1 - p) = 1
    assert statistics.difference(in_order) == pytest.approx(1 - by_chance)
    assert numbers.difference(in_order) == pytest.approx(1 - by_chance)
    assert statistics.difference(dealt) == pytest.approx(-by_chance)
    assert statistics.values.tolist() == [0, 1] and statistics.counts.tolist() == [600, 400]
    assert numbers.values.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("window", [10, 64, 1000])
def test_features_read_ahead(window):
    source = fastmlp.scan_npy(X, window_rows=window)
    starts, parts = zip(*((start, part.copy()) for start, part in features_of(source)), strict=True)
    np.testing.assert_array_equal(np.concatenate(parts), X)
    assert list(starts) == source.starts.tolist()
