"""The order of rows, beside NumPy's shuffle; and columns put side by side."""

from functools import partial

import numpy as np
import pytest
from together import in_threads

from fastmlp.engine import shuffle, transpose


def _same_state(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_state(), b.get_state(), strict=True))


@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.PCG64, np.random.Philox])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8, 9, 127, 128, 129, 130, 255, 256, 257, 1021, 65537, 300_007])
def test_a_shuffle_is_numpys(n, generator):
    ours, theirs = np.random.RandomState(generator(n)), np.random.RandomState(generator(n))
    rows, expected = np.arange(n), np.arange(n)
    for _ in range(3):
        shuffle(ours, rows)
        theirs.shuffle(expected)
        np.testing.assert_array_equal(rows, expected)
    assert ours.standard_normal() == theirs.standard_normal() and ours.randint(1 << 40) == theirs.randint(1 << 40)


def test_what_comes_after_a_shuffle_is_numpys():
    ours, theirs = np.random.RandomState(5), np.random.RandomState(5)
    rows = np.arange(1000)
    ours.standard_normal(), theirs.standard_normal()  # half of a pair is kept
    shuffle(ours, rows)
    theirs.shuffle(np.arange(1000))
    assert _same_state(ours, theirs)


def test_numpys_own_random_state():
    np.random.seed(3)
    rows = np.arange(50)
    shuffle(np.random.mtrand._rand, rows)
    np.random.seed(3)
    expected = np.arange(50)
    np.random.shuffle(expected)
    np.testing.assert_array_equal(rows, expected)


def test_part_of_an_array_is_shuffled_where_it_stands():
    rows, expected = np.arange(300), np.arange(300)
    shuffle(np.random.RandomState(1), rows[20:270])
    np.random.RandomState(1).shuffle(expected[20:270])
    np.testing.assert_array_equal(rows, expected)


def test_threads_that_share_a_random_state_wait_for_each_other():
    random, orders = np.random.RandomState(0), [np.arange(50_000) for _ in range(4)]
    in_threads(*[partial(shuffle, random, rows) for rows in orders])
    alone, expected = np.random.RandomState(0), []
    for _ in range(4):
        expected.append(np.arange(50_000))
        alone.shuffle(expected[-1])
    assert sorted(map(tuple, orders)) == sorted(map(tuple, expected)) and _same_state(random, alone)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (np.arange(4, dtype=np.int32), ValueError),
        (np.zeros((2, 2), np.intp), ValueError),
        (np.arange(8)[::2], (ValueError, BufferError)),
    ],
)
def test_other_arrays_are_refused(rows, error):
    before = rows.copy()
    with pytest.raises(error):
        shuffle(np.random.RandomState(0), rows)
    np.testing.assert_array_equal(rows, before)


def test_a_read_only_array_is_refused():
    rows = np.arange(5)
    rows.flags.writeable = False
    with pytest.raises((ValueError, BufferError)):
        shuffle(np.random.RandomState(0), rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 2, 3, 4, 7, 8, 15, 16, 17, 30])
@pytest.mark.parametrize("n", [0, 1, 3, 8, 16, 17, 129])
def test_columns_side_by_side(m, n, dtype):
    columns = np.arange(m * (n + 3), dtype=dtype).reshape(m, n + 3)
    room = np.full((n, m + 2), -1, dtype)
    transpose(columns[:, :n], room[:, :m])
    np.testing.assert_array_equal(room[:, :m], columns[:, :n].T)
    assert (room[:, m:] == -1).all()


@pytest.mark.parametrize(
    ("a", "out"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3))),
        (np.zeros((2, 3)), np.zeros((3, 2), np.float32)),
        (np.zeros((2, 3), order="F"), np.zeros((3, 2))),
        (np.zeros((2, 3)), np.zeros((3, 2), order="F")),
    ],
)
def test_other_shapes_dtypes_and_strides_are_refused(a, out):
    with pytest.raises(ValueError, match=r"a \(|rows are not contiguous"):
        transpose(a, out)
