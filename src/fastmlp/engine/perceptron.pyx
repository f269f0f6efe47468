"""One neuron with a step activation, and Rosenblatt's rule that trains it."""

import numpy as np
from scipy.linalg import get_blas_funcs

from cython cimport floating
from libc.math cimport fabs, isfinite, sqrt
from libc.stdint cimport PTRDIFF_MAX, int32_t, uint32_t
from libc.string cimport memset

from .kernels cimport fm_kernels, kernels_for
from .memory cimport data_of
from .source cimport Source, index_of
from .threads cimport Signals, interrupted, raise_pending, watch

cdef enum:
    DENSE_AHEAD = 8         # rows whose weighted sums are taken side by side
    SPARSE_AHEAD = 4        # fewer: these cost more, and those behind a mistake are in vain
    LOOK_VALUES = 1 << 17   # values to read between two looks at the clock


ctypedef struct Neuron:
    # X, (n_rows, n_features): rows lie one after the other, or are CSR's
    const void *values
    const int32_t *indices          # NULL: dense
    const int32_t *indptr
    ptrdiff_t n_rows, n_features
    ptrdiff_t ahead                 # rows to look ahead
    const double *signs             # (n_rows,): 1 or -1
    const double *steps             # (n_rows,): what a mistake adds, times the row
    void *stored                    # (n_features,): the weights are scale * stored
    double scale, intercept
    double intercept_rate
    double shrinkage                # of the L2 penalty, a factor for each row; 1: none
    double pull                     # of the L1 penalty, for each row; 0: none
    double pulled                   # what each weight should have been pulled so far,
    void *own_pulls                 # (n_features,) and what it was, with its sign
    double alpha, l1_ratio
    double square_norm, l1_norm     # of the weights
    bint with_norms
    double loss_sum, objective_sum
    Signals signals


cdef inline ptrdiff_t column(const int32_t *indices, ptrdiff_t k) noexcept nogil:
    return k if indices == NULL else indices[k]


cdef inline ptrdiff_t row_of(const Neuron *n, const floating **x, const int32_t **indices,
                             ptrdiff_t row) noexcept nogil:
    """Where a row's values and their columns are, and how many; columns NULL: all."""
    cdef ptrdiff_t start
    if n.indices == NULL:
        x[0] = <const floating *> n.values + row * n.n_features
        indices[0] = NULL
        return n.n_features
    start = n.indptr[row]
    x[0] = <const floating *> n.values + start
    indices[0] = n.indices + start
    return n.indptr[row + 1] - start


cdef void dense_sums(const Neuron *n, const floating *w, const ptrdiff_t *rows, double *sums) noexcept nogil:
    cdef const floating *x[DENSE_AHEAD]
    cdef double totals[DENSE_AHEAD]
    cdef ptrdiff_t k, r
    for r in range(DENSE_AHEAD):
        x[r] = <const floating *> n.values + rows[r] * n.n_features
        totals[r] = 0
    for k in range(n.n_features):
        for r in range(DENSE_AHEAD):
            totals[r] += w[k] * x[r][k]
    for r in range(DENSE_AHEAD):
        sums[r] = totals[r]


cdef void sparse_sums(const Neuron *n, const floating *w, const ptrdiff_t *rows, double *sums) noexcept nogil:
    cdef const floating *x[SPARSE_AHEAD]
    cdef const int32_t *indices[SPARSE_AHEAD]
    cdef ptrdiff_t lengths[SPARSE_AHEAD]
    cdef double totals[SPARSE_AHEAD]
    cdef ptrdiff_t k, r, common = PTRDIFF_MAX
    for r in range(SPARSE_AHEAD):
        lengths[r] = row_of(n, &x[r], &indices[r], rows[r])
        common = min(common, lengths[r])
        totals[r] = 0
    for k in range(common):
        for r in range(SPARSE_AHEAD):
            totals[r] += w[indices[r][k]] * x[r][k]
    for r in range(SPARSE_AHEAD):
        sums[r] = totals[r]
        for k in range(common, lengths[r]):
            sums[r] += w[indices[r][k]] * x[r][k]


cdef void weighted_sums(const Neuron *n, const floating *w, const ptrdiff_t *rows, ptrdiff_t count,
                        double *sums) noexcept nogil:
    """sums[r] = sum_j w_j x_rj: products in the precision of X, each sum in double and in the order of the columns.

    One such sum waits at every addition for the one before. Those of several rows do not wait for one another.
    """
    cdef const floating *x
    cdef const int32_t *indices
    cdef double total
    cdef ptrdiff_t k, length, r
    if n.indices == NULL and count == DENSE_AHEAD:
        dense_sums(n, w, rows, sums)
        return
    if n.indices != NULL and count == SPARSE_AHEAD:
        sparse_sums(n, w, rows, sums)
        return
    for r in range(count):
        length = row_of(n, &x, &indices, rows[r])
        total = 0
        for k in range(length):
            total += w[column(indices, k)] * x[k]
        sums[r] = total


cdef void add(Neuron *n, floating *w, ptrdiff_t row, floating update) noexcept nogil:
    """w += update x."""
    cdef const floating *x
    cdef const int32_t *indices
    cdef ptrdiff_t length = row_of(n, &x, &indices, row), k, j
    cdef floating scale = <floating> n.scale
    cdef double factor = update / scale, squares = 0, sizes = 0
    if not n.with_norms:
        for k in range(length):
            w[column(indices, k)] += x[k] * factor
        return
    for k in range(length):
        j = column(indices, k)
        w[j] += x[k] * factor
        squares += w[j] * w[j]
        sizes += fabs(w[j])
    # of a sparse row's columns alone, as scikit-learn has them
    n.square_norm = squares * (scale * scale)
    n.l1_norm = sizes * scale


cdef void rescale(Neuron *n, floating *w) noexcept nogil:
    """The same weights with a scale of 1."""
    cdef floating scale = <floating> n.scale
    cdef ptrdiff_t j
    for j in range(n.n_features):
        w[j] *= scale
    n.scale = 1


cdef void shrink(Neuron *n, floating factor) noexcept nogil:
    """w *= factor."""
    n.scale *= factor
    n.square_norm *= factor * factor
    n.l1_norm *= fabs(factor)


cdef void pull(Neuron *n, floating *w, ptrdiff_t row) noexcept nogil:
    """Pull a row's weights to 0 by what they lack of all pulls so far: Tsuruoka et al. (2009), the cumulative penalty.

    It is for the weights that a row needs, when it needs them.
    """
    cdef floating *own = <floating *> n.own_pulls
    cdef const floating *x
    cdef const int32_t *indices
    cdef ptrdiff_t length = row_of(n, &x, &indices, row), k, j
    cdef double scale = n.scale, pulled = n.pulled, before
    for k in range(length):
        j = column(indices, k)
        before = w[j]
        if scale * before > 0:
            w[j] = max(0.0, before - (pulled + own[j]) / scale)
        elif scale * before < 0:
            w[j] = min(0.0, before + (pulled - own[j]) / scale)
        own[j] += scale * (w[j] - before)


cdef inline double squared(floating x) noexcept nogil:
    return x * x


cdef void learn(Neuron *n, floating *w, const ptrdiff_t *rows, ptrdiff_t count) noexcept nogil:
    """Rosenblatt's rule for one row after the other.

    The sums of the rows ahead hold until the weights change, so all are taken at once, and those behind a change anew.
    """
    cdef double sums[DENSE_AHEAD]
    cdef double z, update, loss, smallest_scale = 1e-9 if floating is double else 1e-6
    cdef ptrdiff_t i = 0, ahead, r, row
    cdef bint changed
    while i < count:
        ahead = min(n.ahead, count - i)
        weighted_sums(n, w, rows + i, ahead, sums)
        changed = False
        for r in range(ahead):
            row = rows[i]
            i += 1
            # positive where the neuron is right
            z = (<floating> (sums[r] * n.scale) + n.intercept) * n.signs[row]
            loss = 0.0 - z if z <= 0 else 0.0
            n.loss_sum += loss
            n.objective_sum += loss
            if n.alpha > 0:
                n.objective_sum += n.alpha * (
                    (1 - n.l1_ratio) * 0.5 * squared(<floating> sqrt(n.square_norm))
                    + n.l1_ratio * <floating> n.l1_norm)
            update = (1.0 if z <= 0 else 0.0) * n.steps[row]
            if n.shrinkage != 1:
                shrink(n, <floating> n.shrinkage)
                if n.scale < smallest_scale:
                    rescale(n, w)
                    changed = True
            if update != 0:
                add(n, w, row, <floating> update)
                n.intercept += update * n.intercept_rate
                changed = True
            if n.pull > 0:
                n.pulled += n.pull
                pull(n, w, row)
            if changed:
                break


cdef void learn_all(Neuron *n, floating *w, const ptrdiff_t *rows, ptrdiff_t count, ptrdiff_t piece) noexcept nogil:
    """A piece of the rows after the other, and between them a look for signals."""
    cdef ptrdiff_t first = 0
    while first < count and not interrupted(&n.signals):
        learn(n, w, rows + first, min(piece, count - first))
        first += piece


def permutation(ptrdiff_t n, uint32_t seed):
    """Numbers 0, ..., n - 1 shuffled as scikit-learn's sequential data sets are.

    Fisher and Yates's shuffle with Marsaglia's xorshift generator (13, 17, 5) of 32 bits, of which 31 are used:
    Marsaglia (2003), "Xorshift RNGs", Journal of Statistical Software 8(14).

    Parameters
    ----------
    n : int
    seed : int
        In [0, 2**32); 0 is taken for 1.

    Returns
    -------
    order : ndarray of shape (n,), intp
    """
    order = np.arange(n, dtype=np.intp)
    cdef ptrdiff_t *numbers = <ptrdiff_t *> data_of(order, True)
    cdef ptrdiff_t i, j
    cdef uint32_t state = seed if seed != 0 else 1
    with nogil:
        for i in range(n - 1):
            state ^= state << 13
            state ^= state >> 17
            state ^= state << 5
            j = i + (state & 0x7fffffff) % <uint32_t> (n - i)
            numbers[i], numbers[j] = numbers[j], numbers[i]
    return order


cdef class StepNeuron:
    """A neuron that fires where w x + b > 0, and its training by Rosenblatt's rule.

    For each row in turn: if ``sign * (w x + b) <= 0``, then ``w += step x`` and ``b += intercept_rate * step``, where
    ``step = learning_rate * sign * row_weight``; with l(p) = max(0, -p), this is a step down the gradient of
    ``l(sign * (w x + b))``. Penalties act after every row, whether it was a mistake or not: L2 by a factor on w, L1 by
    the cumulative penalty of Tsuruoka et al. (2009).

    Parameters
    ----------
    X : C-contiguous ndarray or CSR matrix of shape (n_rows, n_features), float32 or float64
        CSR: int32 indices within bounds, in any order.
    signs : ndarray of shape (n_rows,), float64
        1 for the rows on which the neuron shall fire, -1 for the others.
    weights : ndarray of shape (n_rows,), of X's dtype
        Factors of the rows' steps.
    coef : ndarray of shape (n_features,), of X's dtype
        The weights w to begin with; trained in place. With an L2 penalty w is a multiple of it until :meth:`settle`.
    intercept : float
        The bias b to begin with.
    learning_rate : float
        Above 0.
    intercept_rate : float, default=1.0
        0 keeps the bias as it is.
    alpha : float, default=0.0
        The penalty ``alpha * ((1 - l1_ratio) / 2 * ||w||^2 + l1_ratio * |w|_1)``.
    l1_ratio : float, default=0.0
        In [0, 1].
    with_norms : bool, default=False
        Whether to keep ``norm`` up to date also where there is no penalty.

    Attributes
    ----------
    coef : ndarray
        As given.
    intercept : float
    norm : float
        Length of w; for sparse rows that of the part that the last update changed.

    Raises
    ------
    ValueError
        If an array does not fit X, or the indices of CSR are not int32.
    """

    cdef Neuron neuron
    cdef const fm_kernels *_kernels
    cdef Source _source
    cdef object _arrays                 # kept alive
    cdef readonly object coef
    cdef ptrdiff_t _piece

    def __cinit__(self, X, signs, weights, coef, double intercept, double learning_rate, *, double intercept_rate=1.0,
                  double alpha=0.0, double l1_ratio=0.0, bint with_norms=False):
        cdef Neuron *n = &self.neuron
        memset(n, 0, sizeof(Neuron))
        self._source = source = Source(X)
        if X.dtype == np.uint8:
            raise ValueError("X: float32 or float64, not uint8")
        dtype = X.dtype
        self._kernels = kernels_for(dtype, None)
        for name, array, wanted, size in (
            ("signs", signs, np.float64, source.n_rows), ("weights", weights, dtype, source.n_rows),
            ("coef", coef, dtype, source.n_features),
        ):
            if array.shape != (size,) or array.dtype != wanted:
                raise ValueError(f"{name}: shape ({size},) of {np.dtype(wanted)}, not {array.shape} of {array.dtype}")
        if self._source.sparse and self._source.long_indices:
            raise ValueError("X: CSR with indices of int32, not int64")
        self.coef = coef
        steps = learning_rate * signs * weights
        self._arrays = (signs, steps, np.zeros_like(coef))
        n.n_rows = source.n_rows
        n.n_features = source.n_features
        n.values = self._source.dense
        if self._source.sparse:
            n.values = self._source.csr.data
            n.indices = <const int32_t *> self._source.csr.indices
            n.indptr = <const int32_t *> self._source.csr.indptr
        self._piece = DENSE_AHEAD + LOOK_VALUES * n.n_rows // max(1, X.nnz if self._source.sparse else X.size)
        n.signs = <const double *> data_of(signs, False)
        n.steps = <const double *> data_of(steps, False)
        n.stored = data_of(coef, True)
        n.own_pulls = data_of(self._arrays[2], True)
        n.scale = 1
        n.intercept = intercept
        n.intercept_rate = intercept_rate
        n.shrinkage = max(0.0, 1.0 - (1.0 - l1_ratio) * learning_rate * alpha)
        n.pull = l1_ratio * learning_rate * alpha
        if n.pull > 0:
            n.ahead = 1  # the weights change at every row
        else:
            n.ahead = SPARSE_AHEAD if self._source.sparse else DENSE_AHEAD
        n.alpha = alpha
        n.l1_ratio = l1_ratio
        n.with_norms = with_norms or alpha > 0
        if n.with_norms:
            dot, asum = get_blas_funcs(("dot", "asum"), (coef,))
            n.square_norm = dot(coef, coef)
            n.l1_norm = asum(coef)

    @property
    def intercept(self):
        return self.neuron.intercept

    @property
    def norm(self):
        return sqrt(self.neuron.square_norm)

    def epoch(self, rows):
        """Train on the given rows, one after the other.

        Parameters
        ----------
        rows : ndarray of intp
            Row numbers in training order.

        Returns
        -------
        loss, objective : float
            Sums over the rows, each at its turn, of max(0, -sign * (w x + b)), and of this plus the penalty.

        Raises
        ------
        FloatingPointError
            If a weight or the bias is no longer finite.
        KeyboardInterrupt, or what another signal handler raised
            Between rows.
        """
        cdef Neuron *n = &self.neuron
        cdef const ptrdiff_t *index = index_of(rows, n.n_rows)
        cdef ptrdiff_t count = len(rows)
        cdef bint finite
        n.loss_sum = n.objective_sum = 0
        watch(&n.signals)
        with nogil:
            if self._source.values == 1:
                learn_all(n, <double *> n.stored, index, count, self._piece)
            else:
                learn_all(n, <float *> n.stored, index, count, self._piece)
            finite = self._kernels.all_finite(n.stored, n.n_features)
        raise_pending(&n.signals)
        if not (finite and isfinite(n.intercept)):
            raise FloatingPointError("a weight or the bias is not finite")
        return n.loss_sum, n.objective_sum

    def settle(self):
        """Make `coef` the weights themselves, no longer a multiple of them."""
        if self._source.values == 1:
            rescale(&self.neuron, <double *> self.neuron.stored)
        else:
            rescale(&self.neuron, <float *> self.neuron.stored)
