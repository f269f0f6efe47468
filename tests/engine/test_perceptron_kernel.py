"""The step neuron against the rule as textbooks write it, and against the convergence theorem."""

import signal

import numpy as np
import pytest
from scipy import sparse

from fastmlp.engine import StepNeuron, permutation

DTYPES = [np.float64, np.float32]
PENALTIES = {"none": (0.0, 0.0), "l2": (0.03, 0.0), "l1": (0.01, 1.0), "elasticnet": (0.03, 0.4)}


def twin_permutation(n, seed):
    """Fisher and Yates with a 32-bit xorshift, in Python's integers."""
    order, state = list(range(n)), seed or 1
    for i in range(n - 1):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        j = i + state % 2**31 % (n - i)
        order[i], order[j] = order[j], order[i]
    return order


class Twin:
    """The rule in float64, one row at a time, the penalties on the weights themselves."""

    def __init__(self, X, signs, weights, rate, intercept_rate, alpha, l1_ratio):
        self.present = X.toarray() != 0 if sparse.issparse(X) else np.ones(X.shape, dtype=bool)
        self.X = (X.toarray() if sparse.issparse(X) else X).astype(float)
        self.signs, self.steps = signs, rate * signs * weights
        self.rate, self.intercept_rate, self.alpha, self.l1_ratio = rate, intercept_rate, alpha, l1_ratio
        self.w, self.b = np.zeros(X.shape[1]), 0.0
        self.u, self.q = 0.0, np.zeros(X.shape[1])
        self.norms = 0.0, 0.0  # square of L2 and L1, of the columns that the last update changed

    def epoch(self, rows):
        loss = objective = 0.0
        for i in rows:
            x, sign = self.X[i], self.signs[i]
            z = sign * (x @ self.w + self.b)
            loss += max(0.0, -z)
            square, length = self.norms
            objective += max(0.0, -z) + self.alpha * ((1 - self.l1_ratio) / 2 * square + self.l1_ratio * length)
            shrinkage = max(0.0, 1 - self.rate * self.alpha * (1 - self.l1_ratio))
            self.w *= shrinkage
            self.norms = square * shrinkage**2, length * shrinkage
            if z <= 0 and self.steps[i] != 0:
                self.w += self.steps[i] * x
                self.b += self.intercept_rate * self.steps[i]
                kept = self.w[self.present[i]]
                self.norms = kept @ kept, np.abs(kept).sum()
            if self.alpha * self.l1_ratio:
                self.pull(self.present[i])
        return loss, objective

    def pull(self, columns):
        self.u += self.rate * self.alpha * self.l1_ratio
        w, q = self.w[columns], self.q[columns]
        pulled = np.where(w > 0, np.maximum(0, w - (self.u + q)), np.minimum(0, w + (self.u - q)))
        pulled[w == 0] = 0
        self.q[columns] += pulled - w
        self.w[columns] = pulled


def problem(n, d, dtype=np.float64, form="dense", seed=0):
    """X with zeros, signs that no plane separates, and weights of which some are 0."""
    rng = np.random.default_rng([n, d, seed])
    X = (rng.standard_normal((n, d)) * (rng.uniform(size=(n, d)) < 0.6)).astype(dtype)
    signs = np.where(X @ rng.standard_normal(d) + 0.3 * rng.standard_normal(n) > 0, 1.0, -1.0)
    weights = (rng.uniform(0.5, 2, n) * (rng.uniform(size=n) < 0.9)).astype(dtype)
    if form == "csr":
        X = sparse.csr_matrix(X)
    return X, signs, weights


def neuron_of(X, signs, weights, rate=1.0, **options):
    return StepNeuron(X, signs, weights, np.zeros(X.shape[1], dtype=X.dtype), 0.0, rate, **options)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 100])
@pytest.mark.parametrize("seed", [0, 1, 12345, 2**31 - 2, 2**32 - 1])
def test_permutation(n, seed):
    assert permutation(n, seed).tolist() == twin_permutation(n, seed)


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("dtype, tol", [(np.float64, 1e-10), (np.float32, 2e-4)])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("n, d", [(1, 1), (7, 3), (8, 8), (9, 1), (33, 17), (100, 5)])
def test_epochs_are_the_twins(n, d, penalty, dtype, tol, form):
    X, signs, weights = problem(n, d, dtype, form)
    alpha, l1_ratio = PENALTIES[penalty]
    options = {"intercept_rate": 0.5, "alpha": alpha, "l1_ratio": l1_ratio}
    ours, twin = neuron_of(X, signs, weights, 0.7, **options), Twin(X, signs, weights, 0.7, **options)
    rng = np.random.default_rng(0)
    for _ in range(4):
        rows = rng.permutation(n)[: max(1, n - 2)]
        sums, expected = ours.epoch(rows), twin.epoch(rows)
        np.testing.assert_allclose(sums, expected, rtol=tol, atol=tol)
        assert ours.intercept == pytest.approx(twin.b, rel=tol, abs=tol)
    ours.settle()
    np.testing.assert_allclose(ours.coef, twin.w, rtol=tol, atol=tol)
    if alpha:
        assert ours.norm == pytest.approx(np.sqrt(twin.norms[0]), rel=tol, abs=tol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_strong_l2_penalty_does_not_underflow(dtype):
    X, signs, weights = problem(50, 3, dtype)
    options = {"intercept_rate": 1.0, "alpha": 0.5, "l1_ratio": 0.0}
    ours, twin = neuron_of(X, signs, weights, **options), Twin(X, signs, weights, 1.0, **options)
    for _ in range(10):  # 2**-500 in all
        ours.epoch(np.arange(50))
        twin.epoch(range(50))
    ours.settle()
    np.testing.assert_allclose(ours.coef, twin.w, rtol=1e-4 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [0.0, 0.02])
def test_csr_rows_are_dense_rows(dtype, alpha):
    X, signs, weights = problem(83, 13, dtype)
    dense, csr = (neuron_of(rows, signs, weights, 0.3, alpha=alpha) for rows in (X, sparse.csr_matrix(X)))
    for seed in range(5):
        rows = permutation(83, seed)
        assert dense.epoch(rows)[0] == csr.epoch(rows)[0]
    dense.settle()
    csr.settle()
    np.testing.assert_array_equal(dense.coef, csr.coef)
    assert dense.intercept == csr.intercept != 0


def test_csr_columns_in_any_order_and_duplicates():
    X, signs, weights = problem(83, 13)
    mixed = sparse.csr_matrix(X)[:, np.random.default_rng(0).permutation(13)]
    assert not mixed.has_sorted_indices
    halves = sparse.csr_matrix(
        (np.repeat(mixed.data / 2, 2), np.repeat(mixed.indices, 2), 2 * mixed.indptr), shape=mixed.shape
    )
    plain, ours, doubled = (neuron_of(rows, signs, weights) for rows in (mixed.toarray(), mixed, halves))
    for neuron in (plain, ours, doubled):
        for _ in range(3):
            neuron.epoch(np.arange(83))
    np.testing.assert_allclose(ours.coef, plain.coef, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(doubled.coef, plain.coef, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_at_once_are_rows_one_by_one(dtype, form):
    X, signs, weights = problem(61, 7, dtype, form)
    together, alone = neuron_of(X, signs, weights), neuron_of(X, signs, weights)
    for seed in range(4):
        rows = permutation(61, seed)
        together.epoch(rows)
        for i in range(61):
            alone.epoch(rows[i : i + 1])
    np.testing.assert_array_equal(together.coef, alone.coef)
    assert together.intercept == alone.intercept


def test_the_sums_are_added_in_the_order_of_the_columns():
    X = np.array([[1e16, 1.0, -1e16, 1.0]] * 9)  # 1 from left to right, and 2 exactly
    neuron = StepNeuron(X, -np.ones(9), np.zeros(9), np.ones(4), 0.0, 1.0)
    assert neuron.epoch(np.arange(9))[0] == 9.0


def test_the_step_learns_and():
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    neuron = neuron_of(X, np.array([-1.0, -1.0, -1.0, 1.0]), np.ones(4))
    # by hand: the first epoch ends at w = (1, 1), b = 0; at the sixth all are right
    neuron.epoch(np.arange(4))
    assert (neuron.coef.tolist(), neuron.intercept) == ([1.0, 1.0], 0.0)
    for _ in range(5):
        neuron.epoch(np.arange(4))
    assert np.array_equal(X @ neuron.coef + neuron.intercept > 0, [False, False, False, True])


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("margin", [0.3, 0.05])
@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_mistakes_are_bounded_as_novikoff_proved(margin, rate, form):
    rng = np.random.default_rng(7)
    best = rng.standard_normal(6)
    best /= np.linalg.norm(best)  # (w, b) of length 1
    X = rng.standard_normal((400, 5))
    sums = X @ best[:5] + best[5]
    X, sums = X[np.abs(sums) >= margin], sums[np.abs(sums) >= margin]
    gamma = np.abs(sums).min()
    radius = np.sqrt((X**2).sum(axis=1) + 1).max()
    signs = np.sign(sums)
    neuron = neuron_of(sparse.csr_matrix(X) if form == "csr" else X, signs, np.ones(len(X)), rate)
    mistakes, before = 0, -1
    while mistakes > before:
        before = mistakes
        for i in range(len(X)):
            bias = neuron.intercept
            neuron.epoch(np.array([i]))
            mistakes += neuron.intercept != bias
        assert mistakes <= (radius / gamma) ** 2
    assert mistakes > 0
    assert np.all(signs * (X @ neuron.coef + neuron.intercept) > 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_overflow_is_reported(dtype):
    big = np.finfo(dtype).max
    X = np.full((3, 2), big, dtype=dtype)
    neuron = neuron_of(X, np.array([1.0, -1.0, 1.0]), np.full(3, 4, dtype=dtype))
    with pytest.raises(FloatingPointError, match="not finite"):
        neuron.epoch(np.arange(3))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"signs": np.ones(4)}, r"signs: shape \(5,\) of float64, not \(4,\)"),
        ({"signs": np.ones(5, dtype=int)}, "signs: .* of int64"),
        ({"weights": np.ones((5, 1))}, r"weights: .* not \(5, 1\)"),
        ({"weights": np.ones(5, dtype=np.float32)}, "weights: .* of float32"),
        ({"coef": np.ones(2)}, r"coef: shape \(3,\)"),
        ({"coef": np.ones(3, dtype=np.float32)}, "coef: .* of float32"),
        ({"X": np.ones((5, 3), dtype=int)}, "X: .*int64"),
    ],
)
def test_misfits_are_refused(change, message):
    arguments = {"X": np.ones((5, 3)), "signs": np.ones(5), "weights": np.ones(5), "coef": np.zeros(3)} | change
    with pytest.raises(ValueError, match=message):
        StepNeuron(*arguments.values(), 0.0, 1.0)


def test_csr_of_long_indices_is_refused():
    X = sparse.csr_matrix(np.eye(3))
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    with pytest.raises(ValueError, match="int32, not int64"):
        neuron_of(X, np.ones(3), np.ones(3))


def test_rows_out_of_range_are_refused():
    neuron = neuron_of(np.ones((3, 2)), np.ones(3), np.ones(3))
    with pytest.raises(IndexError, match="from 0 to 2"):
        neuron.epoch(np.array([0, 3]))
    assert neuron.epoch(np.array([], dtype=np.intp)) == (0.0, 0.0)


def test_an_interrupt_comes_between_rows():
    def time_out(signum, frame):
        raise TimeoutError

    n = 20_000_000
    # a negative weight makes every row a mistake, and each takes 1 from w and from b
    neuron = neuron_of(np.ones((1, 1)), np.ones(1), -np.ones(1))
    rows = np.zeros(n, dtype=np.intp)
    before = signal.signal(signal.SIGALRM, time_out)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(TimeoutError):
            neuron.epoch(rows)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert -n < neuron.coef[0] == neuron.intercept <= 0
    neuron.epoch(rows[:10])
    assert neuron.coef[0] == neuron.intercept
