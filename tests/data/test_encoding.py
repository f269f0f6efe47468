"""The compiled part of a table's encoding, with NumPy alone: the arithmetic to the bit, plain values of every type."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastmlp.data.columns import level_key
from fastmlp.data.encoding import Encoding, Levels


def encoding_of(n_continuous, with_gaps=(), n_binary=0):
    """An encoding, and its centers, scales and indicators."""
    rng = np.random.default_rng(n_continuous)
    center = rng.standard_normal(n_continuous)
    scale = np.where(np.arange(n_continuous) % 4 == 3, 0, rng.uniform(0.1, 1e3, n_continuous))
    indicators = rng.standard_normal((2, len(with_gaps))).astype(np.float32)
    numeric = [(i, i) for i in range(n_continuous)]
    binary = [(n_continuous + i, {"a": 0, "b": 1, None: -1}, -1, [0.1, 0.2, 0.3]) for i in range(n_binary)]
    n_columns = n_continuous + n_binary
    encoding = Encoding(n_columns, center, scale, numeric, binary, [], list(with_gaps), indicators)
    return encoding, center, scale, indicators


def scaled(x, center, scale):
    """The formula in NumPy, operation by operation."""
    with np.errstate(over="ignore", invalid="ignore"):
        u = np.fmin(np.fmax((x - center) * scale, -1e9), 1e9)
    third = u / 3.0
    out = u / np.sqrt(third * third + 1.0)
    out[np.isnan(x)] = 0.0
    return out.astype(np.float32)


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
@pytest.mark.parametrize("n_continuous", [1, 2, 3, 5, 16, 21])
def test_numbers_are_those_of_numpy_to_the_bit(n_continuous, rows):
    with_gaps, n_binary = [*range(0, n_continuous, 3)], 2
    encoding, center, scale, indicators = encoding_of(n_continuous, with_gaps, n_binary)
    rng = np.random.default_rng(rows)
    x = rng.standard_normal((rows, n_continuous)) * 10.0 ** rng.integers(-300, 300, (rows, n_continuous))
    x[rng.random(x.shape) < 0.5] /= 1e200
    x[rng.random(x.shape) < 0.2] = np.nan
    numbers = np.full((rows, n_continuous + n_binary + len(with_gaps)), 7, dtype=np.float32)
    assert encoding.fill(x, numbers)
    np.testing.assert_array_equal(numbers[:, :n_continuous], scaled(x, center, scale))
    np.testing.assert_array_equal(numbers[:, n_continuous : -len(with_gaps)], 7)
    gaps = np.isnan(x[:, with_gaps]).astype(int)
    np.testing.assert_array_equal(numbers[:, -len(with_gaps) :], indicators[gaps, np.arange(len(with_gaps))])
    lists = [[None if value != value else value for value in row] + ["b", "c"] for row in x.tolist()]
    by_row, codes = encoding.rows(lists)
    np.testing.assert_array_equal(by_row[:, n_continuous : -len(with_gaps)], [np.float32([0.2, 0.3])] * rows)
    numbers[:, n_continuous : -len(with_gaps)] = by_row[:, n_continuous : -len(with_gaps)]
    np.testing.assert_array_equal(by_row, numbers)
    assert codes.shape == (rows, 0)


@pytest.mark.parametrize("infinity", [math.inf, -math.inf])
def test_infinity_is_told(infinity):
    encoding, *_ = encoding_of(5)
    for j in range(5):
        x = np.zeros((6, 5))
        x[4, j] = infinity
        assert not encoding.fill(x, np.empty((6, 5), np.float32))
        assert encoding.rows(x.tolist()) is None
    assert encoding.fill(np.full((6, 5), 1.7e308), np.empty((6, 5), np.float32))


@pytest.mark.parametrize(
    "x, numbers",
    [
        (np.zeros((2, 4)), np.zeros((2, 3), np.float32)),
        (np.zeros((2, 3)), np.zeros((1, 3), np.float32)),
        (np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)),
        (np.zeros((2, 3)), np.zeros((2, 3))),
        (np.zeros((2, 6))[:, ::2], np.zeros((2, 3), np.float32)),
    ],
)
def test_other_arrays_are_refused(x, numbers):
    with pytest.raises((ValueError, BufferError)):
        encoding_of(3)[0].fill(x, numbers)


PLAIN = [1, True, 1.5, None, math.nan, 2**70]
PLAIN += [np.bool_(True), np.int8(-3), np.uint64(2**63), np.float32(0.1), np.float64(2)]
OTHER = ["1.5", b"1", 1j, [1.0], np.array(1.0), np.longdouble(1), 10**400, object()]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_numbers(value):
    encoding, *_ = encoding_of(1)
    numbers = np.empty((1, 1), np.float32)
    assert encoding.fill(np.array([[math.nan if value is None else float(value)]]), numbers)
    for row in ([value], (value,)):
        assert encoding.rows([row])[0].tobytes() == numbers.tobytes()


@pytest.mark.parametrize("value", OTHER, ids=lambda value: type(value).__name__)
def test_other_values_are_left_to_others(value):
    assert encoding_of(2)[0].rows([[1.0, 2.0], [0.0, value]]) is None


@pytest.mark.parametrize("row", [[1.0], [1.0, 2.0, 3.0], "ab", {0: 1.0, 1: 2.0}, np.zeros(2), 1.0], ids=repr)
def test_other_rows_are_left_to_others(row):
    assert encoding_of(2)[0].rows([[1.0, 2.0], row]) is None


KEYS = ["1", "0", "-7", "3.5", "1e+22", "1" + "0" * 22, "inf", "True", "False", "red", "", "1.0", "007", "nan"]
SCALARS = st.one_of(
    st.integers(-20, 20), st.floats(allow_nan=True), st.integers(), st.booleans(), st.none(), st.sampled_from(KEYS),
    st.integers(-20, 20).map(float), st.integers(-100, 100).map(np.int8), st.integers(-9, 9).map(np.float32),
)  # fmt: skip


@given(st.lists(st.sampled_from(KEYS), unique=True), SCALARS)
@example(KEYS, 1e22)
@example(KEYS, 10**22)
@example(KEYS, -0.0)
@example(KEYS, math.inf)
@example(KEYS, True)
@example(KEYS, np.bool_(False))
@example(KEYS, np.float64("nan"))
@settings(max_examples=300)
def test_levels_are_found_by_their_keys(keys, value):
    codes = {None: 100, **{key: i for i, key in enumerate(keys)}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN as text
        expected = codes.get(level_key(value), -1)
    assert Levels(codes, -1).code(value) == expected


def test_levels_of_other_types():
    class Text(str):
        pass

    levels = Levels({"a": 0, None: 1}, 2)
    for value in (Text("a"), b"a", 1j, ("a",), np.str_("a"), np.datetime64("2020-01-01")):
        assert levels.code(value) is None
