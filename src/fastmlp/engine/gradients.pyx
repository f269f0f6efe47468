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
from libc.string cimport memcpy, memset

from .forward cimport Predictor, block_rows_for, threads_for
from .kernels cimport FM_ACTIVATION_identity, FM_ACTIVATION_softmax, activation_number
from .kinds cimport first_kind, tiled_kind
from .layers cimport BIAS, NO_SOURCE, WEIGHTS, Layer, Layers, Parameter, Pass, Trace
from .memory cimport Arena, ceil_div, data_of, padded
from .passes cimport backward_pass, forward_pass
from .source cimport Reader, Rows, Source, read_rows, reader_of
from .threads cimport (
    Signals, fm_flush_subnormals, fm_open, fm_phases, fm_restore_subnormals, fm_take, leave, raise_pending, stopped,
    watch,
)

from .layers import MAX_UNITS
from .threads import single_threaded_blas

_no_guard = contextlib.nullcontext()

# One call: what its workers share. Pointers to workspaces are those of worker 0; those of the next workers follow,
# workspace_size bytes apart.
ctypedef struct Gradients:
    Pass net
    Reader reader
    int out_activation
    int n_forward               # layers to go forward through: not the last one where it is linear
    bint logistic               # the outputs are; their layer keeps z
    bint softmax                # the outputs are, in blocks between offsets
    const ptrdiff_t *offsets
    ptrdiff_t n_segments
    const ptrdiff_t *targets    # (n_rows,): the output of each row; NULL: for all rows count from the first-th on
    ptrdiff_t first_target, count
    bint uses_blas
    ptrdiff_t n_rows, block_rows, workspace_size, input_ld
    char *inputs                # (block_rows, input_ld): gathered rows
    char *scratch               # what the layers' kinds ask for
    char *slopes                # (block_rows, ld of the outputs): their activation's
    char *seeds                 # (block_rows, ld of the outputs): dp_k/dz; before them what activations are mapped to
    char *out                   # (n_rows, count, n_features)
    # the mean along paths from a baseline to each row; n_steps 0: gradients at the rows
    ptrdiff_t n_steps
    const double *nodes         # (n_steps,): where on the path, in [0, 1],
    const double *weights       # and how much each place counts
    const char *baseline        # (., n_features), baseline_ld 0: one for all rows
    ptrdiff_t baseline_ld
    char *points                # (block_rows, input_ld)
    char *gradients             # (block_rows, count * n_features) at the points
    char *means                 # (block_rows, count * n_features) of double
    fm_phases phases
    Signals signals


cdef void output_slopes(const Gradients *job, const Layer *last, const char *outputs, char *slopes,
                        ptrdiff_t rows) noexcept nogil:
    """slopes (rows, ld) = f'(z) of activations of outputs that work on elements."""
    if job.logistic:
        job.net.kernels.logistic_slopes(slopes, outputs, rows * last.ld)
        return
    job.net.kernels.ones(slopes, rows * last.ld)
    if job.n_forward == job.net.n_layers:
        last.slope(slopes, outputs, rows, last.n_out, last.ld)


cdef void block_gradients(const Gradients *job, const Rows *x, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t workspace,
                          char *out) noexcept nogil:
    """out (rows, count, n_features) = gradients at x, the rows from the first-th on."""
    cdef const Pass *net = &job.net
    cdef const Layer *last = &net.layers[net.n_layers - 1]
    cdef ptrdiff_t n_features = net.layers[0].n_in, s
    cdef Layer column = last[0]
    cdef char *seeds = job.seeds + workspace
    cdef char *slopes = job.slopes + workspace if job.slopes != NULL else NULL
    cdef char *outputs = net.traces[net.n_layers - 1].outputs + workspace
    cdef const ptrdiff_t *targets = job.targets + first if job.targets != NULL else NULL
    cdef char *scratch = job.scratch + workspace
    cdef char *gradients
    forward_pass(net, x, job.n_forward, first, rows, workspace, 0, scratch, NULL)
    if not job.softmax:
        output_slopes(job, last, outputs, slopes, rows)
    elif job.n_segments > 1:
        net.kernels.softmax_segments(outputs, net.parameters[last.first + BIAS].value, rows, last.ld, job.offsets,
                                     job.n_segments)
    for s in range(job.count):
        gradients = out + s * n_features * net.itemsize
        if job.softmax or job.targets != NULL:
            if job.softmax:
                net.kernels.softmax_seed(seeds, outputs, targets, job.first_target + s, rows, last.ld, job.offsets)
            else:
                net.kernels.seed(seeds, slopes, targets, job.first_target + s, rows, last.ld)
            backward_pass(net, x, last, seeds, first, rows, workspace, 0, scratch, NULL, gradients,
                          job.count * n_features)
        else:
            # of all columns of delta and of W one is left
            column.n_out = 1
            column.first = net.n_parameters + job.first_target + s
            backward_pass(net, x, &column, slopes + (job.first_target + s) * net.itemsize, first, rows, workspace, 0,
                          scratch, NULL, gradients, job.count * n_features)


cdef void integrate(Gradients *job, const Rows *x, ptrdiff_t first, ptrdiff_t rows, int worker,
                    char *out) noexcept nogil:
    """out (rows, count, n_features) = (x - baseline) times the weighted mean of the gradients between them."""
    cdef const Pass *net = &job.net
    cdef ptrdiff_t n = net.layers[0].n_in, workspace = worker * job.workspace_size, s
    cdef const char *baseline = job.baseline + first * job.baseline_ld * net.itemsize
    cdef char *points = job.points + workspace
    cdef char *gradients = job.gradients + workspace
    cdef double *means = <double *> (job.means + workspace)
    cdef Rows at
    memset(means, 0, rows * job.count * n * sizeof(double))
    at = x[0]
    at.dense = points
    at.ld = job.input_ld
    for s in range(job.n_steps):
        if stopped(&job.signals, worker):
            return
        net.kernels.path_points(points, at.ld, x.dense, x.ld, baseline, job.baseline_ld, job.nodes[s], rows, n)
        block_gradients(job, &at, first, rows, workspace, gradients)
        net.kernels.add_weighted(means, gradients, job.weights[s], rows * job.count * n)
    net.kernels.times_path(out, means, x.dense, x.ld, baseline, job.baseline_ld, rows, job.count, n)


cdef void gradient_blocks(Gradients *job, int worker) noexcept nogil:
    cdef unsigned long long mode = fm_flush_subnormals()
    cdef ptrdiff_t workspace = worker * job.workspace_size, itemsize = job.net.itemsize
    cdef ptrdiff_t width = job.count * job.net.layers[0].n_in, block, first, rows
    cdef char *out
    cdef Rows x
    while not stopped(&job.signals, worker):
        block = fm_take(&job.phases, worker)
        if block < 0:
            break
        first = block * job.block_rows
        rows = min(job.block_rows, job.n_rows - first)
        x = read_rows(&job.reader, first, rows, job.inputs + workspace, job.input_ld, True)
        out = job.out + first * width * itemsize
        if job.n_steps == 0:
            block_gradients(job, &x, first, rows, workspace, out)
        else:
            integrate(job, &x, first, rows, worker, out)
    fm_restore_subnormals(mode)
    leave(&job.phases, &job.signals, worker)


cdef tuple plan(Gradients *job, Predictor predictor, bint raw_score, n_threads):
    """Blocks of rows, workspaces and transposes of a call: its memory, and the number of its threads."""
    cdef Layers layers = predictor.layers
    cdef Pass *net = &job.net
    cdef ptrdiff_t itemsize = net.itemsize, width = job.count * net.layers[0].n_in, size
    cdef int last = net.n_layers - 1, l, threads
    cdef bint path = job.n_steps > 0
    job.out_activation = activation_number("identity" if raw_score else predictor.out_activation)
    job.logistic = predictor.out_activation == "logistic" and not raw_score
    job.softmax = job.out_activation == FM_ACTIVATION_softmax
    job.n_forward = last if job.out_activation == FM_ACTIVATION_identity else last + 1
    job.input_ld = padded(net.layers[0].n_in, itemsize)

    # bytes of a row, by piece of a workspace
    row_sizes = {("deltas", i): layers.widest_ld * itemsize for i in range(2)}
    for l in range(last + 1):
        if net.layers[l].shared == l:
            row_sizes["activations", l] = net.layers[l].ld * itemsize
        if net.layers[l].read_again and net.layers[l].map != NULL:
            row_sizes["outputs", l] = net.layers[l].ld * itemsize
        if net.layers[l].source != NO_SOURCE:  # which the layer that it adds reads as well
            row_sizes["delta", l] = net.layers[l].ld * itemsize
        if net.layers[l].own_ld > 0:
            row_sizes["own", l] = net.layers[l].own_ld * itemsize
    if not job.softmax:
        row_sizes["slopes"] = net.layers[last].ld * itemsize
    if not (job.reader.direct or job.reader.sparse):
        row_sizes["inputs"] = job.input_ld * itemsize
    if path:
        row_sizes["points"] = job.input_ld * itemsize
        row_sizes["gradients"] = width * itemsize
        row_sizes["means"] = width * <ptrdiff_t> sizeof(double)
    operations = 2.0 * layers.multiply_adds * job.n_rows * (1 + job.count) * max(<ptrdiff_t> 1, job.n_steps)
    threads = threads_for(operations, job.n_rows, n_threads, predictor.max_threads)
    job.uses_blas = layers.calls_blas(job.n_rows)
    job.block_rows = block_rows_for(layers.uses_blas, sum(row_sizes.values()), job.n_rows, threads)

    arena = Arena()
    arena.reserve("layers", net.n_layers * sizeof(Layer))
    # behind the parameters, for each output, its column of the last layer's weights
    arena.reserve("parameters", (net.n_parameters + layers.units[-1]) * sizeof(Parameter))
    arena.reserve("traces", net.n_layers * sizeof(Trace))
    arena.reserve("one row", layers.one_row_bytes)
    for l in range(net.n_layers):
        if transposes(job, &net.layers[l], l):
            arena.reserve(("transposed", l), net.layers[l].n_out * padded(net.layers[l].n_in, itemsize) * itemsize)
    for worker in range(threads):
        for name, size in row_sizes.items():
            arena.reserve((worker, name), job.block_rows * size)
        arena.reserve((worker, "scratch"), layers.scratch)
    arena.allocate()
    job.workspace_size = 0 if threads == 1 else arena.pointer((1, ("deltas", 0))) - arena.pointer((0, ("deltas", 0)))
    copy_network(job, layers, arena)
    job.seeds = arena.pointer((0, ("deltas", 0)))
    job.slopes = NULL if job.softmax else arena.pointer((0, "slopes"))
    job.scratch = arena.pointer((0, "scratch"))
    job.inputs = arena.pointer((0, "inputs")) if "inputs" in row_sizes else NULL
    if path:
        job.points = arena.pointer((0, "points"))
        job.gradients = arena.pointer((0, "gradients"))
        job.means = arena.pointer((0, "means"))
    return arena, threads


cdef copy_network(Gradients *job, Layers layers, Arena arena):
    """Give the call layers, parameters and traces of its own, with the transposes that backward reads."""
    cdef Pass *net = &job.net
    cdef int last = net.n_layers - 1, half = 0, l, k
    cdef char *room = arena.pointer("one row")
    cdef Layer *layer
    cdef Parameter *weights
    cdef Parameter *column
    net.layers = <Layer *> memcpy(arena.pointer("layers"), net.layers, net.n_layers * sizeof(Layer))
    net.parameters = <Parameter *> memcpy(arena.pointer("parameters"), net.parameters,
                                          net.n_parameters * sizeof(Parameter))
    net.traces = <Trace *> arena.pointer("traces")
    net.traced = True
    for l in range(net.n_parameters):
        room = layers.copy_one_row(&net.parameters[l], room)
    for l in range(net.n_layers):
        layer = &net.layers[l]
        if layer.kind.calls_blas and not job.uses_blas:
            layer.kind = tiled_kind()
        net.traces[l].activations = arena.pointer((0, ("activations", layer.shared)))
        net.traces[l].outputs = net.traces[l].activations
        if layer.map != NULL:
            net.traces[l].outputs = arena.pointer((0, ("outputs", l) if layer.read_again else ("deltas", 0)))
        net.traces[l].own = arena.pointer((0, ("own", l))) if layer.own_ld > 0 else NULL
        if transposes(job, layer, l):
            weights = &net.parameters[layer.first + WEIGHTS]
            weights.transposed_ld = padded(layer.n_in, net.itemsize)
            weights.transposed = arena.pointer(("transposed", l))
            net.kernels.transpose(weights.transposed, weights.transposed_ld, weights.value, layer.n_out, layer.n_in,
                                  layer.n_out)
    for l in range(last, -1, -1):
        shared = net.layers[l].source == NO_SOURCE
        net.traces[l].deltas = arena.pointer((0, ("deltas", half) if shared else ("delta", l)))
        half = (half + 1) % 2 if net.layers[l].shared == l else half
    weights = &net.parameters[net.layers[last].first + WEIGHTS]
    if weights.transposed != NULL:
        for k in range(net.layers[last].n_out):
            column = &net.parameters[net.n_parameters + k]
            column[0] = weights[0]
            column.transposed += k * weights.transposed_ld * net.itemsize
    layer = &net.layers[last]
    layer.slope = net.kernels.backward[job.out_activation]
    if job.reader.sparse:
        net.layers[0].kind = first_kind(net, True)
    # slopes that are written in z need it
    net.output = net.kernels.forward[FM_ACTIVATION_identity if job.logistic
                                     or net.kernels.map[job.out_activation] != NULL else job.out_activation]
    if job.softmax and job.n_segments > 1:
        net.output = NULL


cdef bint transposes(const Gradients *job, const Layer *layer, int l) noexcept:
    """Whether backward reads a layer's weights transposed: all that BLAS does not serve, and single columns."""
    return layer.kind.dense and (not job.uses_blas or layer.kind.transposes or (
            l == job.net.n_layers - 1 and not job.softmax and job.targets == NULL))


cdef object run(Gradients *job, Predictor predictor, X, codes, target, bint raw_score, n_threads):
    """The gradients, or means of them along paths, that a job asks for."""
    cdef Source source = predictor.layers.source_of(X, codes)
    cdef int threads
    if job.n_steps > 0 and source.sparse:
        raise ValueError("X: dense, for a path from a baseline to it")
    job.net = predictor.net
    job.offsets = predictor.job.offsets
    job.n_segments = predictor.job.n_segments
    job.reader = reader_of(source, job.net.kernels, job.net.itemsize, NULL)
    job.n_rows = source.n_rows
    job.count = 1
    if target is None:
        job.count = predictor.layers.units[-1]
    elif isinstance(target, np.ndarray):
        if target.shape != (job.n_rows,) or target.dtype != np.intp:
            raise ValueError(f"target: shape ({job.n_rows},) of intp, not {target.shape} of {target.dtype}")
        job.targets = <const ptrdiff_t *> data_of(target, False)
    else:
        job.first_target = target
    n_outputs = predictor.layers.units[-1]
    if target is not None and np.size(target) and not (0 <= np.min(target) and np.max(target) < n_outputs):
        raise IndexError(f"target: from 0 to {n_outputs - 1}, got {np.min(target)} to {np.max(target)}")
    if job.count * predictor.layers.units[0] > MAX_UNITS:
        raise ValueError(f"{job.count} outputs, {predictor.layers.units[0]} features: at most {MAX_UNITS} in a row")
    predictor.refresh()
    out = np.empty((job.n_rows, job.count, predictor.layers.units[0]), dtype=predictor.dtype)
    job.out = data_of(out, True)
    if job.n_rows > 0:
        _arena, threads = plan(job, predictor, raw_score, n_threads)
        fm_open(&job.phases, ceil_div(job.n_rows, job.block_rows))
        watch(&job.signals)
        with single_threaded_blas() if job.uses_blas else _no_guard:
            if threads == 1:
                with nogil:
                    gradient_blocks(job, 0)
            else:
                with nogil, parallel(num_threads=threads):
                    gradient_blocks(job, threadid())
        raise_pending(&job.signals)
    return out if target is None else out[:, 0]


def input_gradients(Predictor predictor, X, target=None, *, codes=None, bint raw_score=False, n_threads=None):
    """Gradients of outputs with respect to the numbers of the input, at the rows of X.

    Parameters
    ----------
    predictor : Predictor
        The network.
    X : C-contiguous ndarray or CSR matrix of shape (n_samples, n_features)
        As a Predictor takes it.
    target : int or ndarray of intp of shape (n_samples,), default=None
        Which output, or which for each row; None: all.
    codes : C-contiguous ndarray of shape (n_samples, n_categories), int32, default=None
        Levels of categories, for layers that read them.
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
    cdef Gradients job
    memset(&job, 0, sizeof(Gradients))
    return run(&job, predictor, X, codes, target, raw_score, n_threads)


def integrated_gradients(Predictor predictor, X, baseline, nodes, weights, target=None, *, codes=None,
                         bint raw_score=False, n_threads=None):
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
    target, codes, raw_score, n_threads
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
    cdef Gradients job
    memset(&job, 0, sizeof(Gradients))
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
    return run(&job, predictor, X, codes, target, raw_score, n_threads)
