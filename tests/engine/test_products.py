"""The fused product by itself: every edge of the register tiles, strides, alignments, instruction sets."""

import numpy as np
import pytest

from fastmlp.engine import ISAS
from fastmlp.engine.kernels import product

DTYPES = [np.float32, np.float64]
# around vectors of 4, 8 and 16 lanes, panels of 2, 3 and 4 vectors, tiles of 4, 6 and 8 rows
COLUMNS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 100, 113, 131]
ROWS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 17, 31, 33, 40]
DEPTHS = [1, 2, 3, 8, 15, 16, 17, 31, 64, 127, 128, 129, 300]

every_isa = pytest.mark.parametrize("isa", ISAS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def padded(rng, rows, columns, dtype, gap=0, shift=0):
    """A random matrix whose rows are `columns + gap` apart, NaN between, `shift` elements behind a boundary."""
    flat = np.full(rows * (columns + gap) + shift, np.nan, dtype)
    matrix = flat[shift:].reshape(rows, columns + gap)[:, :columns]
    matrix[...] = rng.uniform(-1, 1, (rows, columns))
    return matrix


def check(a, b, isa, accumulate=False, gap=0, shift=0):
    """Against float64, within the error of a sum of `depth` products; nothing outside of out is touched."""
    (m, depth), n, dtype = a.shape, b.shape[1], a.dtype
    rng = np.random.default_rng(m * n + depth)
    out = padded(rng, m, n, dtype, gap, shift)
    before = out.astype(np.float64)
    whole = out.base if gap == 0 else out.base.copy()
    product(a, b, out, accumulate=accumulate, isa=isa)
    expected = a.astype(np.float64) @ b.astype(np.float64) + accumulate * before
    bound = np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64)) + np.abs(before)
    assert np.all(np.abs(out - expected) <= (depth + 2) * np.finfo(dtype).eps * bound + np.finfo(dtype).tiny)
    if gap:
        assert np.array_equal(np.isnan(out.base), np.isnan(whole))
    return out


@every_isa
@every_dtype
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("by_columns", [False, True], ids=["rows", "columns"])
def test_every_tile(isa, dtype, columns, by_columns):
    rng = np.random.default_rng(columns)
    for i, rows in enumerate(ROWS):
        for depth in DEPTHS[i % 3 :: 3]:
            a = padded(rng, depth, rows, dtype).T if by_columns else padded(rng, rows, depth, dtype)
            b = padded(rng, depth, columns, dtype)
            for accumulate in (False, True):
                check(a, b, isa, accumulate)


@every_isa
@every_dtype
@pytest.mark.parametrize("columns", [*range(66, 300, 13), 256, 385, 512])
def test_a_single_row(isa, dtype, columns):
    rng = np.random.default_rng(columns)
    for depth, gap, shift in [(0, 0, 0), (1, 0, 0), (77, 3, 1), (300, 0, 0)]:
        b = padded(rng, depth, columns, dtype, gap, shift)
        for a in (padded(rng, 1, depth, dtype, gap, shift), padded(rng, depth, 1, dtype, gap, shift).T):
            for accumulate in (False, True):
                check(a, b, isa, accumulate, gap, shift)


@every_isa
@every_dtype
@pytest.mark.parametrize("gap", [0, 1, 5])
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_odd_strides_and_misaligned_pointers(isa, dtype, gap, shift):
    rng = np.random.default_rng(gap + shift)
    for m, n, depth in [(1, 1, 1), (7, 3, 33), (13, 37, 19), (40, 10, 100), (33, 100, 65), (9, 129, 140)]:
        b = padded(rng, depth, n, dtype, gap, shift)
        check(padded(rng, m, depth, dtype, gap, shift), b, isa, gap=gap, shift=shift)
        check(padded(rng, depth, m, dtype, gap, shift).T, b, isa, gap=gap, shift=shift)


@every_isa
@every_dtype
@pytest.mark.parametrize("width", [64, 128, 256, 512])
def test_strides_that_fall_on_the_same_cache_sets(isa, dtype, width):
    rng = np.random.default_rng(width)
    for m in (31, 32, 33):
        for n in (width, width - 1, 17):
            b = padded(rng, 150, width, dtype)[:, :n]
            check(padded(rng, m, 150, dtype), b, isa)
            check(padded(rng, 150, m, dtype).T, b, isa, accumulate=True)


@every_isa
@every_dtype
def test_columns_that_lie_far_apart(isa, dtype):
    rng = np.random.default_rng(0)
    shapes = [(1, 130, 5), (19, 97, 341), (40, 193, 127), (80, 131, 129), (81, 200, 343), (161, 300, 40), (600, 99, 3)]
    shapes += [(20, 99, 2800)]  # deeper than the room of a slab
    # around slabs of 8, 12 and 16 columns
    shapes += [(m, 193, depth) for m in (7, 8, 9, 11, 12, 13, 15, 16, 17, 25) for depth in (1, 2, 257)]
    for m, n, depth in shapes:
        a = padded(rng, depth, m, dtype, gap=600).T
        b = padded(rng, depth, n, dtype)
        for accumulate in (False, True):
            out = check(a, b, isa, accumulate, gap=1)
            if not accumulate:
                near = padded(rng, depth, m, dtype).T
                near[...] = a
                beside = product(near, b, np.empty((m, n), dtype), isa=isa)
                assert out.tobytes() == beside.tobytes()


@every_isa
@every_dtype
@pytest.mark.parametrize("n", [1, 10, 40, 300])
def test_a_sum_of_nothing(isa, dtype, n):
    for a in (np.zeros((90, 0), dtype), np.zeros((600, 700), dtype)[:0, :90].T):
        for accumulate in (False, True):
            out = product(a, np.zeros((0, n), dtype), np.full((90, n), 7, dtype), accumulate=accumulate, isa=isa)
            assert np.all(out == 7 * accumulate)


@every_isa
@every_dtype
def test_panels_that_are_fetched_ahead(isa, dtype):
    rng = np.random.default_rng(0)
    for m, n, depth in [(1, 200, 700), (5, 512, 300), (37, 511, 257), (64, 384, 350), (3, 24, 6000)]:
        assert n * depth * np.dtype(dtype).itemsize > 1 << 18
        check(padded(rng, m, depth, dtype), padded(rng, depth, n, dtype), isa)


@every_dtype
@pytest.mark.skipif(len(ISAS) < 3, reason="needs a processor with two instruction sets that fuse")
def test_the_same_bits_on_every_instruction_set_that_fuses(dtype):
    rng = np.random.default_rng(0)
    for _ in range(150):
        m, n, depth = rng.integers(1, 140, 3)
        for a in (padded(rng, m, depth, dtype), padded(rng, depth, m, dtype).T):
            b = padded(rng, depth, n, dtype)
            outs = [product(a, b, np.empty((m, n), dtype), isa=isa) for isa in ("avx512", "avx2")]
            assert outs[0].tobytes() == outs[1].tobytes(), (m, n, depth)
    far = padded(rng, 400, 90, dtype, gap=600).T
    b = padded(rng, 400, 300, dtype)
    outs = [product(far, b, np.empty((90, 300), dtype), isa=isa) for isa in ("avx512", "avx2")]
    assert outs[0].tobytes() == outs[1].tobytes()


@every_isa
@every_dtype
def test_a_row_does_not_depend_on_the_others(isa, dtype):
    rng = np.random.default_rng(1)
    for n, depth in [(1, 50), (3, 16), (10, 100), (100, 64), (130, 140), (250, 300), (300, 31), (517, 9)]:
        a, b = padded(rng, 53, depth, dtype), padded(rng, depth, n, dtype)
        whole = check(a, b, isa)
        for rows in (slice(0, 1), slice(5, 12), slice(20, 53)):
            assert product(a[rows], b, np.empty((len(a[rows]), n), dtype), isa=isa).tobytes() == whole[rows].tobytes()


@every_isa
@every_dtype
def test_nan_and_infinity_reach_their_row_and_column(isa, dtype):
    for n in (1, 3, 10, 40):
        a, b = np.ones((9, 20), dtype), np.ones((20, n), dtype)
        a[4, 7] = np.nan
        b[19, n - 1] = np.inf
        out = product(a, b, np.empty((9, n), dtype), isa=isa)
        expected = np.full((9, n), 20.0)
        expected[:, n - 1] = np.inf
        expected[4] = np.nan
        np.testing.assert_array_equal(out, expected)


def test_refused():
    a, b, out = np.ones((2, 3)), np.ones((3, 4)), np.ones((2, 4))
    for bad in [
        (a[:, :2], b, out),
        (a, b[:, :3], out),
        (a.astype(np.float32), b, out),
        (np.ones((2, 6))[:, ::2], b, out),
        (a, np.ones((3, 8))[:, ::2], out),
        (a[::-1], b, out),
    ]:
        with pytest.raises(ValueError):
            product(*bad)
