"""Gradients of outputs with respect to inputs, exact, and their means along paths: blocks of rows, as in prediction.

A block of rows goes forward through the layers, which keep what backward reads, and for each output p_k back to the
input, as in a training step but for where it begins and where it ends:

    A_l = f(A_(l-1) W_l + b_l)                      D_L = dp_k/dz, z the outputs before their activation
    D_(l-1) = (D_l W_l^T) f'(A_(l-1))               dp_k/dX = D_1 W_1^T

dp_k/dz has one element, f'(z_k), or for a softmax all those of k's segment: p_k (1 - p_k) at k, -p_k p_j at the others.
No sum is split by thread, so the result is the same bit for bit for any number of threads.
"""

import contextlib

import numpy as np

from cython.parallel cimport parallel, threadid
from libc.math cimport exp, fabs
from libc.string cimport memcpy, memset

from .blas cimport Blas
from .forward cimport Predictor
from .kernels cimport (
    FM_ACTIVATION_identity, FM_ACTIVATION_softmax, activation_number, fm_epilogue, fm_kernels, fm_map,
)
from .memory cimport Arena, ceil_div, data_of, padded
from .products cimport FUSED, SPARSE, Layer, Rows, dense_strategy, forward_product, input_gradient
from .source cimport Reader, Source, read_rows, reader_of
from .threads cimport (
    Signals, fm_flush_subnormals, fm_is_set, fm_open, fm_phases, fm_restore_subnormals, fm_take, interrupted,
    raise_pending, watch,
)

from .threads import single_threaded_blas

cdef enum:
    MAX_STRIDE = 0x7fffffff  # BLAS counts in 32 bits

_no_guard = contextlib.nullcontext()

# Workspaces are of rows for every thread: member m's begin at row m * block_rows.
ctypedef struct Traced:
    Layer layer
    fm_epilogue backward        # of the activation that made this layer's outputs
    fm_map map                  # from z to its activation, if the slope is written in z; else NULL
    char *kept                  # (., ld): what backward reads, z or f(z)


# One call: what its threads share.
ctypedef struct GradientJob:
    const fm_kernels *kernels
    Blas blas
    Reader reader
    Traced *layers
    int n_layers
    int n_forward               # layers to go forward through: not the last one where it is linear
    bint logistic               # the outputs are; their layer keeps z
    bint softmax                # the outputs are, in blocks between offsets
    const ptrdiff_t *offsets
    ptrdiff_t n_segments
    const ptrdiff_t *targets    # (n_rows,): the output of each row; NULL: for all rows count from the first-th on
    ptrdiff_t first_target, count
    ptrdiff_t n_rows, block_rows, itemsize, input_ld, widest_ld
    char *inputs                # (., input_ld): gathered rows
    char *slopes                # (., ld of the outputs): their activation's
    char *deltas[2]             # (., widest_ld) each
    char *out                   # (n_rows, count, n_features)
    # the mean along paths from a baseline to each row; n_steps 0: gradients at the rows
    ptrdiff_t n_steps
    const double *nodes         # (n_steps,): where on the path, in [0, 1],
    const double *weights       # and how much each place counts
    const char *baseline        # (., n_features), baseline_ld 0: one for all rows
    ptrdiff_t baseline_ld
    char *points                # (., input_ld)
    char *gradients             # (., count * n_features) at the points
    double *means               # (., count * n_features)
    fm_phases phases
    Signals signals


ctypedef fused real:
    float
    double


cdef inline bint stopped(GradientJob *job, ptrdiff_t own) noexcept nogil:
    """Whether a signal's handler has raised; the member with the first workspaces looks for signals."""
    return interrupted(&job.signals) if own == 0 else fm_is_set(&job.signals.raised)


cdef void seed(const GradientJob *job, const real *p, const real *slopes, real *delta, ptrdiff_t first, ptrdiff_t rows,
               ptrdiff_t k) noexcept nogil:
    """delta (rows, ld) = dp_k/dz, p and slopes (rows, ld); with targets k is that of each row."""
    cdef Layer *last = &job.layers[job.n_layers - 1].layer
    cdef ptrdiff_t i, j, segment
    cdef real others
    for i in range(rows):
        if job.targets != NULL:
            k = job.targets[first + i]
        memset(delta, 0, last.ld * sizeof(real))
        if job.softmax:
            segment = 0
            while job.offsets[segment + 1] <= k:
                segment += 1
            others = 0  # the sum of the other p_j has digits that 1 - p_k has lost
            for j in range(job.offsets[segment], job.offsets[segment + 1]):
                if j != k:
                    others += p[j]
                    delta[j] = -p[k] * p[j]
            delta[k] = p[k] * others
            p += last.ld
        else:
            delta[k] = slopes[k]
            slopes += last.ld
        delta += last.ld


cdef void fill_ones(real *array, ptrdiff_t count) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(count):
        array[i] = 1


cdef void logistic_slopes(const real *z, real *slopes, ptrdiff_t count) noexcept nogil:
    """f'(z) = f(z) (1 - f(z)), from z: where f(z) is near 1, 1 - f(z) has lost its digits."""
    cdef ptrdiff_t i
    cdef double small
    for i in range(count):
        small = exp(-fabs(z[i]))
        slopes[i] = <real> (small / ((1 + small) * (1 + small)))


cdef void block_gradients(const GradientJob *job, Rows x, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t own,
                          char *out) noexcept nogil:
    """out (rows, count, n_features) = gradients at x, the rows from the first-th on, in workspaces from row own on."""
    cdef int last = job.n_layers - 1, l
    cdef ptrdiff_t offset = own * job.itemsize, n_features = job.layers[0].layer.n_in, s
    cdef Traced *t = &job.layers[last]
    cdef Traced *below
    cdef Layer column = t.layer
    cdef Layer *layer
    cdef char *seeds = job.deltas[0] + offset * job.widest_ld
    cdef char *slopes = job.slopes + offset * t.layer.ld if job.slopes != NULL else NULL
    cdef char *outputs = t.kept + offset * t.layer.ld
    cdef char *delta
    cdef char *z

    for l in range(job.n_forward):
        t = &job.layers[l]
        z = t.kept + offset * t.layer.ld
        forward_product(job.kernels, &job.blas, &t.layer, &x, rows, z)
        x.dense = z
        x.ld = t.layer.ld
        if t.map != NULL and l < last:
            t.map(seeds, z, rows, t.layer.n_out, t.layer.ld)
            x.dense = seeds
    t = &job.layers[last]
    if job.softmax:
        if job.n_segments > 1:
            job.kernels.softmax_segments(outputs, t.layer.bias, rows, t.layer.ld, job.offsets, job.n_segments)
    elif job.logistic:
        if job.itemsize == sizeof(float):
            logistic_slopes(<const float *> outputs, <float *> slopes, rows * t.layer.ld)
        else:
            logistic_slopes(<const double *> outputs, <double *> slopes, rows * t.layer.ld)
    else:
        if job.itemsize == sizeof(float):
            fill_ones(<float *> slopes, rows * t.layer.ld)
        else:
            fill_ones(<double *> slopes, rows * t.layer.ld)
        if job.n_forward > last:
            t.backward(slopes, outputs, rows, t.layer.n_out, t.layer.ld)

    for s in range(job.count):
        layer = &t.layer
        delta = seeds
        if job.softmax or job.targets != NULL:
            if job.itemsize == sizeof(float):
                seed(job, <const float *> outputs, <const float *> slopes, <float *> seeds, first, rows,
                     job.first_target + s)
            else:
                seed(job, <const double *> outputs, <const double *> slopes, <double *> seeds, first, rows,
                     job.first_target + s)
        else:
            # of all columns of delta and of W one is left
            column.n_out = 1
            column.transposed = layer.transposed + (job.first_target + s) * layer.transposed_ld * job.itemsize
            layer = &column
            delta = slopes + (job.first_target + s) * job.itemsize
        for l in range(last, 0, -1):
            below = &job.layers[l - 1]
            z = job.deltas[(last - l + 1) % 2] + offset * job.widest_ld
            input_gradient(job.kernels, &job.blas, layer, delta, rows, below.backward,
                           below.kept + offset * below.layer.ld, z, below.layer.ld)
            layer = &below.layer
            delta = z
        input_gradient(job.kernels, &job.blas, layer, delta, rows, NULL, NULL, out + s * n_features * job.itemsize,
                       job.count * n_features)


cdef void integrate(GradientJob *job, const Rows *x, const real *baseline, real *points, real *gradients,
                    ptrdiff_t first, ptrdiff_t rows, ptrdiff_t own, real *out) noexcept nogil:
    """out (rows, count, n_features) = (x - baseline) times the weighted mean of the gradients between them."""
    cdef ptrdiff_t n = job.layers[0].layer.n_in, width = job.count * n, i, j, k, s
    cdef double *means = job.means + own * width
    cdef const real *row
    cdef Rows at
    cdef double step
    memset(means, 0, rows * width * sizeof(double))
    memset(&at, 0, sizeof(Rows))
    at.dense = <const char *> points
    at.ld = job.input_ld
    for s in range(job.n_steps):
        if stopped(job, own):
            return
        for i in range(rows):
            row = <const real *> x.dense + i * x.ld
            for j in range(n):
                step = <double> row[j] - <double> baseline[i * job.baseline_ld + j]
                points[i * at.ld + j] = <real> (baseline[i * job.baseline_ld + j] + job.nodes[s] * step)
        block_gradients(job, at, first, rows, own, <char *> gradients)
        for i in range(rows * width):
            means[i] += job.weights[s] * gradients[i]
    for i in range(rows):
        row = <const real *> x.dense + i * x.ld
        for k in range(job.count):
            for j in range(n):
                step = <double> row[j] - <double> baseline[i * job.baseline_ld + j]
                out[i * width + k * n + j] = <real> (step * means[i * width + k * n + j])


cdef void gradient_blocks(GradientJob *job, int member) noexcept nogil:
    cdef unsigned long long mode = fm_flush_subnormals()
    cdef ptrdiff_t own = member * job.block_rows, width = job.count * job.layers[0].layer.n_in
    cdef ptrdiff_t block, first, rows
    cdef const char *baseline
    cdef char *out
    cdef Rows x
    while not stopped(job, own):
        block = fm_take(&job.phases, member)
        if block < 0:
            break
        first = block * job.block_rows
        rows = min(job.block_rows, job.n_rows - first)
        x = read_rows(&job.reader, first, rows, job.inputs + own * job.input_ld * job.itemsize, job.input_ld, True)
        out = job.out + first * width * job.itemsize
        if job.n_steps == 0:
            block_gradients(job, x, first, rows, own, out)
            continue
        baseline = job.baseline + first * job.baseline_ld * job.itemsize
        if job.itemsize == sizeof(float):
            integrate(job, &x, <const float *> baseline, <float *> job.points + own * job.input_ld,
                      <float *> job.gradients + own * width, first, rows, own, <float *> out)
        else:
            integrate(job, &x, <const double *> baseline, <double *> job.points + own * job.input_ld,
                      <double *> job.gradients + own * width, first, rows, own, <double *> out)
    fm_restore_subnormals(mode)


cdef tuple plan(GradientJob *job, Predictor predictor, bint raw_score, n_threads):
    """Layers, blocks of rows and workspaces of a call: its memory, and the number of its threads."""
    cdef ptrdiff_t itemsize = job.itemsize, width = job.count * predictor.n_features, size
    cdef int last = job.n_layers - 1, l, i, threads
    cdef bint path = job.n_steps > 0
    cdef Layer *layer
    cdef Traced *t
    activation = predictor.activation
    names = (activation,) * last if isinstance(activation, str) else activation
    numbers = [activation_number(name) for name in (*names, "identity" if raw_score else predictor.out_activation)]
    job.logistic = predictor.out_activation == "logistic" and not raw_score
    job.softmax = numbers[last] == FM_ACTIVATION_softmax
    job.n_forward = last if numbers[last] == FM_ACTIVATION_identity else last + 1
    job.widest_ld = predictor.job.widest_ld
    job.input_ld = padded(predictor.n_features, itemsize)

    row_sizes = {("deltas", i): job.widest_ld * itemsize for i in range(2)}
    for l in range(last + 1):
        row_sizes["kept", l] = predictor.job.layers[l].ld * itemsize
    if not job.softmax:
        row_sizes["slopes"] = predictor.job.layers[last].ld * itemsize
    if not (job.reader.direct or job.reader.sparse):
        row_sizes["inputs"] = job.input_ld * itemsize
    if path:
        row_sizes["points"] = job.input_ld * itemsize
        row_sizes["gradients"] = width * itemsize
        row_sizes["means"] = width * <ptrdiff_t> sizeof(double)
    threads = predictor.threads_for(
        2.0 * predictor.n_weights * job.n_rows * (1 + job.count) * max(<ptrdiff_t> 1, job.n_steps), job.n_rows,
        n_threads)
    job.block_rows = predictor.block_rows_for(sum(row_sizes.values()), job.n_rows, threads)

    arena = Arena()
    arena.reserve("layers", job.n_layers * sizeof(Traced))
    for name, size in row_sizes.items():
        arena.reserve(name, threads * job.block_rows * size)
    for l in range(last + 1):
        layer = &predictor.job.layers[l]
        arena.reserve(("bias", l), layer.ld * itemsize)
        if transposes(job, layer, l):
            arena.reserve(("transposed", l), layer.n_out * padded(layer.n_in, itemsize) * itemsize)
    arena.allocate()

    job.layers = <Traced *> arena.pointer("layers")
    for l in range(last + 1):
        t = &job.layers[l]
        t.layer = predictor.job.layers[l]
        t.layer.bias = arena.pointer(("bias", l))
        memcpy(t.layer.bias, predictor.biases[l], t.layer.n_out * itemsize)
        t.map = job.kernels.map[<int> numbers[l]]
        t.backward = job.kernels.backward[<int> numbers[l]]
        t.layer.finish = job.kernels.forward[
            <int> numbers[l] if t.map == NULL else <int> FM_ACTIVATION_identity]
        t.kept = arena.pointer(("kept", l))
        if transposes(job, &t.layer, l):
            t.layer.transposed_ld = padded(t.layer.n_in, itemsize)
            t.layer.transposed = arena.pointer(("transposed", l))
            job.kernels.transpose(t.layer.transposed, t.layer.transposed_ld, 0, t.layer.weights, t.layer.n_in,
                                  t.layer.n_out)
    if job.reader.sparse:
        job.layers[0].layer.strategy = SPARSE
    if job.logistic:
        job.layers[last].layer.finish = job.kernels.forward[FM_ACTIVATION_identity]
    if job.softmax and job.n_segments > 1:
        job.layers[last].layer.finish = NULL
    job.deltas[0] = arena.pointer(("deltas", 0))
    job.deltas[1] = arena.pointer(("deltas", 1))
    job.slopes = NULL if job.softmax else arena.pointer("slopes")
    job.inputs = arena.pointer("inputs") if "inputs" in row_sizes else NULL
    if path:
        job.points = arena.pointer("points")
        job.gradients = arena.pointer("gradients")
        job.means = <double *> arena.pointer("means")
    return arena, threads


cdef bint transposes(const GradientJob *job, const Layer *layer, int l) noexcept:
    """Whether backward reads a layer's weights transposed: all that BLAS does not serve, and single columns."""
    return (dense_strategy(layer.n_in, layer.n_out) == FUSED
            or (l == job.n_layers - 1 and not job.softmax and job.targets == NULL))


cdef object run(GradientJob *job, Predictor predictor, X, target, bint raw_score, n_threads):
    """The gradients, or means of them along paths, that a job asks for."""
    cdef Source source = Source(X)
    cdef int threads
    if source.n_features != predictor.n_features:
        raise ValueError(f"X has {source.n_features} features, the network {predictor.n_features}")
    if job.n_steps > 0 and source.sparse:
        raise ValueError("X: dense, for a path from a baseline to it")
    job.kernels = predictor.job.kernels
    job.blas = predictor.job.blas
    job.itemsize = predictor.job.itemsize
    job.n_layers = predictor.job.n_layers
    job.offsets = predictor.job.offsets
    job.n_segments = predictor.job.n_segments
    job.reader = reader_of(source, job.kernels, job.itemsize, NULL)
    job.n_rows = source.n_rows
    job.count = 1
    if target is None:
        job.count = predictor.n_outputs
    elif isinstance(target, np.ndarray):
        if target.shape != (job.n_rows,) or target.dtype != np.intp:
            raise ValueError(f"target: shape ({job.n_rows},) of intp, not {target.shape} of {target.dtype}")
        job.targets = <const ptrdiff_t *> data_of(target, False)
    else:
        job.first_target = target
    if target is not None and np.size(target) and not (0 <= np.min(target) and np.max(target) < predictor.n_outputs):
        raise IndexError(f"target: from 0 to {predictor.n_outputs - 1}, got {np.min(target)} to {np.max(target)}")
    if job.count * predictor.n_features > MAX_STRIDE:
        raise ValueError(f"{job.count} outputs, {predictor.n_features} features: at most {MAX_STRIDE} in a row")
    out = np.empty((job.n_rows, job.count, predictor.n_features), dtype=predictor.dtype)
    job.out = data_of(out, True)
    if job.n_rows > 0:
        _arena, threads = plan(job, predictor, raw_score, n_threads)
        fm_open(&job.phases, ceil_div(job.n_rows, job.block_rows))
        watch(&job.signals)
        with single_threaded_blas() if predictor.uses_blas else _no_guard:
            if threads == 1:
                with nogil:
                    gradient_blocks(job, 0)
            else:
                with nogil, parallel(num_threads=threads):
                    gradient_blocks(job, threadid())
        raise_pending(&job.signals)
    return out if target is None else out[:, 0]


def input_gradients(Predictor predictor, X, target=None, *, bint raw_score=False, n_threads=None):
    """Gradients of outputs with respect to the inputs, at the rows of X.

    Parameters
    ----------
    predictor : Predictor
        The network.
    X : C-contiguous ndarray or CSR matrix of shape (n_samples, n_features)
        As a Predictor takes it.
    target : int or ndarray of intp of shape (n_samples,), default=None
        Which output, or which for each row; None: all.
    raw_score : bool, default=False
        Take the outputs before their activation.
    n_threads : int, default=None
        Threads to use; None: what the environment allows and the work is worth.

    Returns
    -------
    gradients : ndarray of shape (n_samples, n_features), or for all outputs (n_samples, n_outputs, n_features)
        Of the network's dtype, the same for any number of threads.

    Raises
    ------
    ValueError, IndexError
        If X or target does not fit the network.
    KeyboardInterrupt, or what another signal handler raised
        Between blocks of rows.
    """
    cdef GradientJob job
    memset(&job, 0, sizeof(GradientJob))
    return run(&job, predictor, X, target, raw_score, n_threads)


def integrated_gradients(Predictor predictor, X, baseline, nodes, weights, target=None, *, bint raw_score=False,
                         n_threads=None):
    """X - baseline times the weighted mean of the gradients at points between them.

    Parameters
    ----------
    predictor : Predictor
        The network.
    X : C-contiguous ndarray of shape (n_samples, n_features)
        As a Predictor takes it.
    baseline : C-contiguous ndarray of shape (1, n_features) or (n_samples, n_features)
        Of the network's dtype; one row serves all of X.
    nodes, weights : ndarray of float64 of shape (n_steps,)
        Where the points are, baseline + node * (X - baseline), and how much each counts. The mean is kept in float64.
    target, raw_score, n_threads
        As of :func:`input_gradients`.

    Returns
    -------
    attributions : ndarray of shape (n_samples, n_features), or for all outputs (n_samples, n_outputs, n_features)

    Raises
    ------
    ValueError, IndexError
        If an array does not fit the network or the others.
    KeyboardInterrupt, or what another signal handler raised
        Between points.
    """
    cdef GradientJob job
    memset(&job, 0, sizeof(GradientJob))
    if baseline.dtype != predictor.dtype or baseline.shape not in ((1, X.shape[1]), X.shape):
        raise ValueError(f"baseline: shape (1, {X.shape[1]}) or {X.shape} of {predictor.dtype}")
    if nodes.ndim != 1 or nodes.size == 0 or nodes.shape != weights.shape or not (
            nodes.dtype == weights.dtype == np.float64):
        raise ValueError("nodes, weights: as many of each, at least one, float64")
    job.n_steps = nodes.size
    job.nodes = <const double *> data_of(nodes, False)
    job.weights = <const double *> data_of(weights, False)
    job.baseline = data_of(baseline, False)
    job.baseline_ld = 0 if len(baseline) == 1 else baseline.shape[1]
    return run(&job, predictor, X, target, raw_score, n_threads)
