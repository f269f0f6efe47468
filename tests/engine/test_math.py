"""The engine's own exp, tanh, log, logistic, cos and sin against a higher precision."""

import functools

import mpmath
import numpy as np
import pytest
from networks import DTYPES, bits
from scipy.special import expit

from fastmlp.engine import ISAS
from fastmlp.engine.kernels import apply, logarithm

FUNCTIONS = {
    "exp": (np.exp, mpmath.exp),
    "tanh": (np.tanh, mpmath.tanh),
    "log": (np.log, mpmath.log),
    "logistic": (expit, lambda x: 1 / (1 + mpmath.exp(-x))),
    "cos": (np.cos, mpmath.cos),
    "sin": (np.sin, mpmath.sin),
}
ULPS = {np.float32: 2, np.float64: 4}
COS_RANGE = 1e4  # cos and sin are so exact for arguments up to this,
COS_FAR = {np.float32: 1e5, np.float64: 1e9}  # and beyond these 1 and 0
LOGISTIC_ULPS = 3  # in float32: the rounded sum and quotient come on top of the error of exp

every_isa = pytest.mark.parametrize("isa", ISAS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_function = pytest.mark.parametrize("name", FUNCTIONS)


def evaluate(name, x, isa):
    """The function in place; the sine is the negative slope of the cosine."""
    return np.negative(apply("cos", x, isa, slope=True), out=x) if name == "sin" else apply(name, x, isa)


def grid(name, dtype, count):
    """Finite arguments: the interesting range, both ends of it, neighbours of powers of two, and random bits."""
    info = np.finfo(dtype)
    rng = np.random.default_rng(0)
    integer = np.uint32 if dtype == np.float32 else np.uint64
    patterns = rng.integers(np.iinfo(integer).max, size=count, dtype=integer, endpoint=True).view(dtype)
    powers = np.ldexp(dtype(1), np.arange(info.minexp - info.nmant, info.maxexp, max(1, 200 * info.maxexp // count)))
    powers = powers.astype(dtype)
    pieces = [patterns, powers, np.nextafter(powers, dtype(np.inf)), np.nextafter(powers, dtype(0))]
    if name == "log":
        near_one = rng.uniform(-1, 1, count) * np.exp2(rng.uniform(-info.nmant, -1, count))
        pieces += [1 + near_one, np.exp2(rng.uniform(info.minexp, info.maxexp, count))]
    elif name in ("cos", "sin"):
        # neighbours of multiples of pi / 2, where one of them is 0, and of odd multiples of pi / 4
        quarters = np.arange(-int(2 * COS_RANGE / np.pi), 2 * COS_RANGE / np.pi, max(1, 10_000 // count)) * (np.pi / 2)
        quarters = np.concatenate([quarters, quarters + np.pi / 4]).astype(dtype)
        pieces += [np.nextafter(quarters, dtype(side * np.inf)) for side in (-1, 1)]
        pieces += [quarters, rng.uniform(-COS_RANGE, COS_RANGE, count), rng.uniform(-7, 7, count)]
    else:
        low, high = np.log(float(info.smallest_subnormal)), np.log(float(info.max))
        pieces += [rng.uniform(low, high, count), rng.uniform(-1, 1, count)]
        # multiples of ln(2) / 2, where the reduced argument is smallest or jumps from one end to the other
        half_turns = np.arange(2 * int(low), 2 * int(high), max(1, 2000 // count)) * (np.log(2) / 2)
        pieces += [half_turns[(half_turns > low) & (half_turns < high)], -powers]
    x = np.concatenate([np.asarray(piece, dtype=dtype) for piece in pieces])
    if name in ("cos", "sin"):
        return x[np.abs(x) <= COS_RANGE]
    return x[np.isfinite(x) & ((x > 0) | (name != "log"))]


@functools.cache
def reference(name, dtype):
    """Arguments, and the true values as sums of two float64."""
    if dtype == np.float32:
        x = grid(name, dtype, 100_000)
        return x, FUNCTIONS[name][0](x.astype(np.float64)), np.zeros(len(x))
    x = grid(name, dtype, 700)
    with mpmath.workprec(140):
        values = [FUNCTIONS[name][1](mpmath.mpf(float(v))) for v in x]
        high = np.array([float(v) for v in values])
        low = np.array([float(v - h) if np.isfinite(h) else 0.0 for v, h in zip(values, high, strict=True)])
    return x, high, low


def ulp_errors(got, high, low, dtype):
    """Distance from the true value in units of the result's last place, subnormal ones included."""
    rounded = high.astype(dtype)
    finite = np.isfinite(rounded)
    # a value that rounds to infinity may come out as the largest number, and the other way round, if within the bound
    spacing = np.spacing(np.abs(np.where(finite, rounded, np.finfo(dtype).max))).astype(np.float64)
    limit = 2.0 ** np.finfo(dtype).maxexp if dtype == np.float32 else np.finfo(dtype).max
    got = np.where(np.isinf(got), np.copysign(limit, got.astype(np.float64)), got.astype(np.float64))
    high = np.where(np.isinf(high), np.copysign(limit, high), high)
    return np.abs((got - high) - low) / spacing


@every_isa
@every_dtype
@every_function
@np.errstate(over="ignore", under="ignore")
def test_errors_stay_within_the_bound(name, dtype, isa):
    x, high, low = reference(name, dtype)
    errors = ulp_errors(evaluate(name, x.copy(), isa), high, low, dtype)
    worst = int(np.argmax(errors))
    bound = max(ULPS[dtype], LOGISTIC_ULPS) if name == "logistic" else ULPS[dtype]
    assert errors[worst] <= bound, f"{name}({x[worst]!r}) is {errors[worst]:.2f} ulp off"


@every_isa
@every_dtype
@pytest.mark.parametrize(
    "name, x, expected",
    [
        ("exp", [0.0, -0.0, np.inf, -np.inf, np.nan], [1.0, 1.0, np.inf, 0.0, np.nan]),
        ("exp", [1e4, -1e4, 3e38, -3e38], [np.inf, 0.0, np.inf, 0.0]),
        ("tanh", [0.0, -0.0, np.inf, -np.inf, np.nan], [0.0, -0.0, 1.0, -1.0, np.nan]),
        ("tanh", [100.0, -100.0, 3e38, -3e38], [1.0, -1.0, 1.0, -1.0]),
        ("log", [0.0, -0.0, np.inf, -np.inf, np.nan], [-np.inf, -np.inf, np.inf, np.nan, np.nan]),
        ("log", [1.0, -1.0, -1e-30, -3e38], [0.0, np.nan, np.nan, np.nan]),
        ("logistic", [0.0, -0.0, np.inf, -np.inf, np.nan], [0.5, 0.5, 1.0, 0.0, np.nan]),
        ("logistic", [1e4, -1e4, 3e38, -3e38], [1.0, 0.0, 1.0, 0.0]),
        ("cos", [0.0, -0.0, np.inf, -np.inf, np.nan], [1.0, 1.0, np.nan, np.nan, np.nan]),
        ("cos", [1.1e9, -1e30, 3e38, -3e38], [1.0, 1.0, 1.0, 1.0]),
        ("sin", [0.0, -0.0, np.inf, -np.inf, np.nan], [0.0, -0.0, np.nan, np.nan, np.nan]),
        ("sin", [1.1e9, -1e30, 3e38, -3e38], [0.0, -0.0, 0.0, -0.0]),
        ("relu", [1.5, -1.5, np.inf, -np.inf, np.nan], [1.5, 0.0, np.inf, 0.0, np.nan]),
        ("identity", [1.5, -1.5, np.inf, -np.inf, np.nan], [1.5, -1.5, np.inf, -np.inf, np.nan]),
    ],
)
def test_exact_values(name, x, expected, dtype, isa):
    got = evaluate(name, np.array(x, dtype=dtype), isa)
    expected = np.array(expected, dtype=dtype)
    np.testing.assert_array_equal(got, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))


@every_isa
@every_dtype
def test_exp_overflows_and_underflows_where_it_should(dtype, isa):
    info = np.finfo(dtype)
    with mpmath.workprec(100):
        # halfway between the largest number and the next power of two; half of the smallest subnormal
        top = mpmath.log(mpmath.mpf(2) ** info.maxexp - mpmath.mpf(2) ** (info.maxexp - info.nmant - 2))
        bottom = mpmath.log(mpmath.mpf(float(info.smallest_subnormal)) / 2)
    top, bottom = dtype(float(top)), dtype(float(bottom))
    x = np.array([top * (1 - 4 * info.eps), top * (1 + 4 * info.eps)], dtype=dtype)
    assert list(np.isfinite(apply("exp", x, isa))) == [True, False]
    x = np.array([bottom * (1 - 4 * info.eps), bottom * (1 + 4 * info.eps)], dtype=dtype)
    assert list(apply("exp", x, isa)) == [info.smallest_subnormal, 0]


@every_isa
@every_dtype
def test_subnormal_arguments(dtype, isa):
    tiny = np.finfo(dtype).smallest_subnormal
    x = tiny * np.array([1, 2, 3, 1000, -1, -7], dtype=dtype)
    np.testing.assert_array_equal(apply("exp", x.copy(), isa), np.ones(6, dtype=dtype))
    np.testing.assert_array_equal(apply("tanh", x.copy(), isa), x)
    np.testing.assert_array_equal(apply("logistic", x.copy(), isa), np.full(6, 0.5, dtype=dtype))
    np.testing.assert_array_equal(apply("cos", x.copy(), isa), np.ones(6, dtype=dtype))
    np.testing.assert_array_equal(evaluate("sin", x.copy(), isa), x)
    np.testing.assert_allclose(
        apply("log", x[:4].copy(), isa), np.log(x[:4].astype(np.longdouble)), rtol=2 * np.finfo(dtype).eps
    )


@every_isa
@every_dtype
def test_logistic_is_a_probability_and_rises(dtype, isa):
    x = np.sort(grid("logistic", dtype, 3000))
    p = apply("logistic", x.copy(), isa)
    assert p.min() >= 0 and p.max() <= 1
    # rounding may undo a rise, by no more than the bound
    assert np.all(p[1:] >= p[:-1] * (1 - 2 * ULPS[dtype] * np.finfo(dtype).eps))
    both = p.astype(np.float64) + apply("logistic", -x, isa)
    np.testing.assert_allclose(both, 1, rtol=2 * np.finfo(dtype).eps)


@every_isa
@every_dtype
@pytest.mark.parametrize("name", ["cos", "sin"])
def test_far_out_cos_and_sin_are_those_of_a_neighbouring_argument(name, dtype, isa):
    x = np.random.default_rng(0).uniform(-COS_FAR[dtype], COS_FAR[dtype], 20_000).astype(dtype)
    got = evaluate(name, x.copy(), isa)
    expected = FUNCTIONS[name][0](x.astype(np.float64))
    assert np.all(np.abs(got - expected) <= np.spacing(np.abs(x)) / 2 + np.finfo(dtype).eps)
    assert np.abs(got).max() <= 1


@every_isa
@every_dtype
@every_function
@pytest.mark.parametrize("size", [0, 1, 2, 15, 16, 17, 511, 512, 513, 1021, 4099])
def test_any_size_and_nothing_beyond(name, size, dtype, isa):
    rng = np.random.default_rng(size)
    room = np.abs(rng.standard_normal(size + 40)).astype(dtype)
    before = room.copy()
    whole = evaluate(name, room[20 : 20 + size], isa)
    assert whole.shape == (size,)
    np.testing.assert_array_equal(room[:20], before[:20])
    np.testing.assert_array_equal(room[20 + size :], before[20 + size :])
    # the same function for every element, wherever it stands
    one_by_one = [evaluate(name, before[20 + i : 21 + i].copy(), isa) for i in range(0, size, 37)]
    one_by_one = np.concatenate(one_by_one or [[]])
    np.testing.assert_array_equal(whole[::37], one_by_one)


@every_dtype
def test_logarithm_is_the_table_s_log_in_place(dtype):
    x = np.random.default_rng(0).random((7, 13)).astype(dtype)
    expected = apply("log", x.copy())
    assert logarithm(x) is x
    np.testing.assert_array_equal(bits(x), bits(expected))


@pytest.mark.parametrize(
    "name, x, match",
    [
        ("softmax", np.ones(3), "softmax works on rows"),
        ("cosh", np.ones(3), "unknown activation 'cosh'"),
        ("exp", np.ones(3, dtype=np.int64), "float32 or float64"),
        ("exp", np.ones((4, 4)).T[::2], "contiguous"),
        ("exp", np.frombuffer(bytes(8)), "read-only"),
    ],
)
def test_refused(name, x, match):
    with pytest.raises((ValueError, BufferError), match=match):
        apply(name, x)
