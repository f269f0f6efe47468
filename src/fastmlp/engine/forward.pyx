"""Prediction: blocks of rows forward through all layers, memory bounded by the blocks."""

import contextlib
from itertools import chain

import numpy as np

from cython cimport floating
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBuffer_Release, PyObject_GetBuffer
from cython.parallel cimport parallel, threadid
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from .kernels cimport FM_ROW_BYTES, activation_number, fm_loss_options, loss_row, offsets_of
from .kinds cimport ends_product, first_kind, tiled_kind
from .layers cimport Layer, Layers, Parameter, Pass, Trace
from .memory cimport ceil_div, data_of, padded
from .passes cimport forward_pass
from .source cimport Rows, Source, dense_reader, index_of, read_rows, reader_of
from .threads cimport (
    FM_MOST_ITEMS, fm_flush_subnormals, fm_is_set, fm_open, fm_restore_subnormals, fm_set, fm_take, leave,
    raise_pending, startable, stopped, watch,
)
from .tuning cimport PREDICT_BYTES, PREDICT_ROWS, PREDICT_THREAD_FLOPS, WATCHED_FLOPS

from .threads import checked_max_threads, effective_n_threads, single_threaded_blas

_no_guard = contextlib.nullcontext()
_SINGLE, _DOUBLE, _BYTE = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.uint8)


cdef bint all_finite(const Prediction *job, const Rows *x, ptrdiff_t rows) noexcept nogil:
    """Whether dense rows are; what lies between them is not looked at."""
    cdef const Pass *net = &job.nets[0]
    cdef ptrdiff_t i
    if x.ld == job.reader.n_features:
        return net.kernels.all_finite(x.dense, rows * x.ld)
    for i in range(rows):
        if not net.kernels.all_finite(x.dense + i * x.ld * net.itemsize, job.reader.n_features):
            return False
    return True


cdef void add_rows(floating *total, const floating *z, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n, double ratio,
                   bint first, bint last, double share) noexcept nogil:
    """total (rows, n) = [total +] ratio * z (rows, ld), and behind the last times share."""
    cdef floating factor = <floating> ratio, whole = <floating> share
    cdef ptrdiff_t i, j
    for i in range(rows):
        for j in range(n):
            if first:
                total[i * n + j] = z[i * ld + j] * factor
            else:
                total[i * n + j] += z[i * ld + j] * factor
            if last:
                total[i * n + j] *= whole


cdef void add_member(const Prediction *job, int m, const char *z, ptrdiff_t ld, ptrdiff_t first,
                     ptrdiff_t rows) noexcept nogil:
    """Add the outputs z of a member for some rows; the members come in their order."""
    cdef char *total = job.out + first * job.n_outputs * job.nets[m].itemsize
    cdef bint last = m == job.n_members - 1
    if job.nets[m].itemsize == sizeof(float):
        add_rows(<float *> total, <const float *> z, ld, rows, job.n_outputs, job.ratios[m], m == 0, last, job.share)
    else:
        add_rows(<double *> total, <const double *> z, ld, rows, job.n_outputs, job.ratios[m], m == 0, last, job.share)


cdef void use_outputs(const Prediction *job, int m, char *z, ptrdiff_t first, ptrdiff_t rows,
                      char *targets) noexcept nogil:
    """Do with a member's outputs z for some rows what the call is about."""
    cdef const Pass *net = &job.nets[m]
    cdef const Layer *last = &net.layers[net.n_layers - 1]
    cdef const char *bias = net.parameters[net.n_parameters - 1].value
    cdef ptrdiff_t i, width = job.n_outputs * net.itemsize
    if job.score != NULL:
        net.kernels.targets[job.target](targets, job.targets, NULL, first, rows, last.n_out, last.ld, job.loss_options)
        job.score(z, bias, targets, job.sample_weight + first if job.sample_weight != NULL else NULL,
                  job.row_loss + first, rows, last.n_out, last.ld, job.loss_options)
        return
    if job.n_segments > 1:
        net.kernels.softmax_segments(z, bias, rows, last.ld, job.offsets, job.n_segments)
    if job.n_members > 1:
        add_member(job, m, z, last.ld, first, rows)
        return
    for i in range(rows):
        memcpy(job.out + (first + i) * width, z + i * last.ld * net.itemsize, width)


cdef void predict_blocks(Prediction *job, int worker) noexcept nogil:
    """Blocks of rows through the networks, as each worker takes them: outputs or losses."""
    cdef ptrdiff_t workspace = worker * job.scratch_size
    cdef char *inputs = job.scratch + workspace
    cdef ptrdiff_t block, first, rows
    cdef int m
    cdef const Pass *net
    cdef Signals *signals = &job.signals if worker == 0 else NULL
    cdef unsigned long long mode = fm_flush_subnormals()
    cdef Rows x
    cdef bint goes_on = True
    while goes_on and not stopped(&job.signals, worker):
        block = fm_take(&job.phases, worker)
        if block < 0 or fm_is_set(&job.refused):
            break
        first = block * job.block_rows
        rows = min(job.block_rows, job.n_rows - first)
        x = read_rows(&job.reader, first, rows, inputs, job.input_ld, True)
        if job.check and not all_finite(job, &x, rows):
            fm_set(&job.refused)
            break
        for m in range(job.n_members):
            net = &job.nets[m]
            goes_on = forward_pass(net, &x, net.n_layers, first, rows, workspace, 0, inputs + job.kinds_at, signals)
            if not goes_on:
                break
            use_outputs(job, m, net.traces[net.n_layers - 1].outputs + workspace, first, rows, inputs + job.targets_at)
    fm_restore_subnormals(mode)
    leave(&job.phases, &job.signals, worker)


cdef int threads_for(double operations, ptrdiff_t n_rows, n_threads, max_threads) except -1:
    """Threads for a number of operations on rows: n_threads, or what the environment allows and the work is worth."""
    if n_threads is None and (n_rows <= 1 or operations < 2 * PREDICT_THREAD_FLOPS):
        return 1
    threads = effective_n_threads(n_threads, max_threads)
    if n_threads is None:
        threads = max(1, min(threads, int(operations // PREDICT_THREAD_FLOPS)))
    return startable(threads)


cdef ptrdiff_t block_rows_for(bint uses_blas, ptrdiff_t row_size, ptrdiff_t n_rows, int threads):
    """Rows that a worker takes through the layers at a time, with a workspace of row_size bytes for each."""
    # for BLAS no function of the number of threads: it may add in another order for another number of rows
    cdef ptrdiff_t rows = min(max(<ptrdiff_t> 1, PREDICT_BYTES // row_size), <ptrdiff_t> PREDICT_ROWS,
                              n_rows if uses_blas else ceil_div(n_rows, threads))
    return max(rows, ceil_div(n_rows, FM_MOST_ITEMS))


cdef inline bint joins_product(const Layer *layers, int l) noexcept nogil:
    """Whether the product of the layer before can end in what a layer does."""
    return ends_product(&layers[l]) and not layers[l - 1].read_again


cdef char *copy_network(Pass *net, bint sparse, bint uses_blas, char *room) noexcept:
    """Give the call layers and parameters of its own, and traces, which are empty; returns what follows them.

    What a product can end in is no layer any more.
    """
    cdef int l, k, n = 0
    cdef Layer *layer
    cdef const Layer *given = net.layers
    net.layers = <Layer *> memcpy(room, net.layers, net.n_layers * sizeof(Layer))
    net.parameters = <Parameter *> memcpy(&net.layers[net.n_layers], net.parameters,
                                          net.n_parameters * sizeof(Parameter))
    net.traces = <Trace *> &net.parameters[net.n_parameters]
    room = <char *> &net.traces[net.n_layers]
    net.layers[0].kind = first_kind(net, sparse)
    for l in range(net.n_layers):
        layer = &net.layers[l]
        if joins_product(given, l):
            net.layers[n - 1].epilogue = net.kernels.parametric[layer.activation]
            net.layers[n - 1].read_again = layer.read_again
            continue
        for k in range(layer.source, 0, -1):
            layer.source -= joins_product(given, k)
        if layer.kind.calls_blas and not uses_blas:
            layer.kind = tiled_kind()
        layer.shared = n if layer.shared == l else layer.shared
        net.layers[n] = layer[0]
        n += 1
    net.n_layers = n
    return room


cdef void set_traces(Pass *net, char *outputs, ptrdiff_t half_size, ptrdiff_t rows) noexcept:
    """Let layers leave their outputs in two halves of a workspace by turns, and behind them what is read again."""
    cdef int l, half = 1
    cdef char *kept = outputs + 2 * half_size
    for l in range(net.n_layers):
        net.traces[l].own = NULL
        if net.layers[l].shared < l:
            net.traces[l].activations = net.traces[l].outputs = net.traces[l - 1].outputs
            continue
        half = (half + 1) % 2
        net.traces[l].activations = net.traces[l].outputs = outputs + half * half_size
        if net.layers[l].read_again:
            net.traces[l].activations = net.traces[l].outputs = kept
            kept += rows * net.layers[l].ld * net.itemsize


cdef inline ptrdiff_t room_of(Layers layers):
    """Bytes that the outputs of a row take."""
    return (2 * layers.widest_ld + layers.kept_ld) * layers.net.itemsize


cdef char *prepare(Prediction *job, list members, int threads, ptrdiff_t row_size) except NULL:
    """Everything that the call needs of its own: workspaces, and networks that say where these are; to be freed."""
    cdef ptrdiff_t one_row_bytes = 0, size = job.n_members * sizeof(Pass), itemsize = job.nets[0].itemsize
    cdef ptrdiff_t outputs_at = job.block_rows * job.input_ld * itemsize
    cdef Layers layers
    cdef Pass *net
    cdef char *memory
    cdef char *one_row
    cdef char *room
    cdef int m, i
    for layers in members:
        one_row_bytes += 0 if job.kept else layers.one_row_bytes
        size += (layers.net.n_layers * (sizeof(Layer) + sizeof(Trace)) + layers.net.n_parameters * sizeof(Parameter))
    job.kinds_at = job.block_rows * row_size
    for layers in members:
        job.scratch_size = max(job.scratch_size, job.kinds_at + layers.scratch)
    memory = <char *> malloc(FM_ROW_BYTES + one_row_bytes + threads * job.scratch_size + size)
    if memory == NULL:
        raise MemoryError
    one_row = memory + (FM_ROW_BYTES - <uintptr_t> memory % FM_ROW_BYTES) % FM_ROW_BYTES
    job.scratch = one_row + one_row_bytes
    job.nets = <Pass *> memcpy(job.scratch + threads * job.scratch_size, job.nets, job.n_members * sizeof(Pass))
    room = <char *> &job.nets[job.n_members]
    for m, layers in enumerate(members):
        net = &job.nets[m]
        room = copy_network(net, job.reader.sparse, layers.calls_blas(job.n_rows), room)
        for i in range(0 if job.kept else net.n_parameters):
            one_row = layers.copy_one_row(&net.parameters[i], one_row)
        set_traces(net, job.scratch + outputs_at, job.block_rows * layers.widest_ld * itemsize, job.block_rows)
        if job.score != NULL or job.n_segments > 1:
            net.output = NULL
        job.targets_at = max(job.targets_at, outputs_at + job.block_rows * room_of(layers))
    return memory


cdef object outputs_of(Prediction *job, list members, n_threads, max_threads):
    """Outputs of the job's rows, (n_rows, n_outputs), or None if it is refused or about losses."""
    cdef const Pass *net = &job.nets[0]
    cdef Layers layers
    cdef ptrdiff_t itemsize = net.itemsize, outputs = 0, row_size
    cdef double operations = 0, of_a_member = 0
    cdef bint may_use_blas = False, uses_blas = False
    cdef int threads
    cdef char *memory
    out = None
    for layers in members:
        operations += 2.0 * layers.multiply_adds * job.n_rows
        of_a_member = max(of_a_member, 2.0 * layers.multiply_adds * job.n_rows)
        outputs = max(outputs, room_of(layers))
        may_use_blas |= layers.uses_blas
        uses_blas |= layers.calls_blas(job.n_rows)
    job.n_outputs = layers.units[-1]
    if job.score == NULL:
        out = np.empty((job.n_rows, job.n_outputs), dtype=layers.dtype)
        if job.n_rows == 0:
            return out
        job.out = data_of(out, True)
    # every thread reads the weights of all members, which few rows do not repay
    threads = threads_for(of_a_member, job.n_rows, n_threads, max_threads)
    job.input_ld = 0 if job.reader.direct or job.reader.sparse else padded(net.layers[0].n_in, itemsize)
    row_size = job.input_ld * itemsize + outputs
    if job.score != NULL:
        row_size += net.layers[net.n_layers - 1].ld * itemsize
    job.block_rows = block_rows_for(may_use_blas, row_size, job.n_rows, threads)
    fm_open(&job.phases, ceil_div(job.n_rows, job.block_rows))
    memory = prepare(job, members, threads, row_size)
    try:
        watch(&job.signals, operations >= WATCHED_FLOPS)
        with single_threaded_blas() if uses_blas else _no_guard:
            if threads == 1:
                with nogil:
                    predict_blocks(job, 0)
            else:
                with nogil, parallel(num_threads=threads):
                    predict_blocks(job, threadid())
        raise_pending(&job.signals)
    finally:
        free(memory)
    return None if job.refused else out


cdef double mean_loss(Prediction *job, Layers layers, Source source, targets, sample_weight, int loss,
                      const fm_loss_options *options, n_threads, max_threads) except? -1:
    """Mean loss of a source's rows, whose targets and weights fit the loss; the output activation has no part in it."""
    cdef double total = 0, weight = source.n_rows
    cdef double[::1] row_loss = np.empty(source.n_rows)
    cdef ptrdiff_t i
    job.reader = reader_of(source, job.nets.kernels, job.nets.itemsize, NULL)
    job.n_rows = source.n_rows
    job.score = job.nets.kernels.loss[loss]
    job.target = loss_row(loss).target
    job.loss_options = options
    job.targets = data_of(targets, False)
    if sample_weight is not None:
        job.sample_weight = <const double *> data_of(sample_weight, False)
        weight = 0
        for i in range(job.n_rows):
            weight += job.sample_weight[i]
    if not weight > 0:
        raise ValueError("no rows" if job.n_rows == 0 else "sample_weight: all zero")
    job.row_loss = &row_loss[0]
    outputs_of(job, [layers], n_threads, max_threads)
    for i in range(job.n_rows):
        total += row_loss[i]
    return total / weight


cdef class Predictor:
    """A network given by plain arrays, ready to predict.

    The arrays are read at every call, so what is written into them counts. Calls from several threads at once are safe:
    each has workspaces of its own.

    Parameters
    ----------
    coefs : list of C-contiguous ndarray of shape (n_in, n_out)
        Weights, all of one dtype, float32 or float64, which is that of the result.
    intercepts : list of ndarray of shape (n_out,)
        Biases of the same dtype.
    activation : str or sequence of str
        Activation of the hidden layers: one for all, or one for each.
    out_activation : str
        Activation of the output.
    max_threads : int or function, default=None
        The most threads that a call takes unless it names their number; None sets no limit. A function is asked for
        this number by each call that is worth more than one thread.
    segments : tuple of int, default=None
        Sizes of blocks of outputs that have a softmax each; None: one block.
    isa : str, default=None
        Instruction set; None: the default.
    layers : sequence of layers, default=None
        What has these weights and biases, as :class:`Network` takes it; activation is then None. None: dense layers.
    held : tuple of two lists of ndarray, default=None
        The arrays that coefs and intercepts were made from, for :meth:`serves` to compare with; None: the same arrays.
        Every call reads them again where the network's own arrays are copies.

    Raises
    ------
    ValueError
        If shapes or dtypes do not fit each other, the number of activations that of the hidden layers, or segments the
        outputs.
    """

    def __init__(self, list coefs, list intercepts, activation, str out_activation, *, segments=None, max_threads=None,
                 isa=None, layers=None, held=None):
        if not coefs:
            raise ValueError("a network has at least one layer")
        dtype = coefs[0].dtype
        parameters = list(chain.from_iterable(zip(coefs, intercepts)))
        if layers is not None:
            self._set(Layers(layers, activation, dtype, isa), parameters, out_activation, segments, max_threads)
            self.described = layers
            self._hold(held)
            return
        n_in = coefs[0].shape[0]
        units = [n_in]
        for coef, intercept in zip(coefs, intercepts, strict=True):
            if coef.dtype != dtype or intercept.dtype != dtype:
                raise ValueError(f"coefs and intercepts: all of {dtype}")
            if coef.ndim != 2 or coef.shape[0] != n_in or intercept.shape != coef.shape[1:]:
                raise ValueError(f"a layer with {n_in} inputs has weights {coef.shape} and biases {intercept.shape}")
            n_in = coef.shape[1]
            units.append(n_in)
        self._set(Layers(units, activation, dtype, isa), parameters, out_activation, segments, max_threads)
        self._hold(held)

    cdef _hold(self, held):
        """Remember the arrays that the network's own were made from, and which of these are copies."""
        if held is not None:
            self.held_coefs, self.held_intercepts = map(list, held)
        self.copied = [
            (own, other)
            for own, other in zip(self.coefs + self.intercepts, self.held_coefs + self.held_intercepts, strict=True)
            if not np.may_share_memory(own, other)
        ]

    @staticmethod
    def of(layers, list parameters, str out_activation, *, segments=None, max_threads=None, isa=None):
        """A network of any layers, ready to predict.

        Parameters
        ----------
        layers : sequence of layers
            As :class:`Network` takes them.
        parameters : list of C-contiguous ndarray
            In the order and of the shapes of :attr:`Network.parameters`, all of one dtype.
        out_activation, segments, max_threads, isa
            As the class takes them.

        Returns
        -------
        predictor : Predictor

        Raises
        ------
        ValueError
            If shapes or dtypes do not fit the layers.
        """
        cdef Predictor predictor = Predictor.__new__(Predictor)
        if not parameters:
            raise ValueError("parameters: at least those of one layer")
        predictor._set(Layers(layers, None, parameters[0].dtype, isa), list(parameters), out_activation, segments,
                       max_threads)
        return predictor

    cdef _set(self, Layers layers, list parameters, str out_activation, segments, max_threads):
        cdef Pass *net = &self.net
        cdef int i
        self.job.nets, self.job.n_members = net, 1
        self.max_threads = checked_max_threads(max_threads)
        if segments is not None and out_activation != "softmax":
            raise ValueError(f"segments={segments!r}: only outputs with softmax have them, not {out_activation}")
        self.layers, self.members = layers, [layers]
        self.out_activation = out_activation
        self.segments = None if segments is None else tuple(segments)
        self.offsets = offsets_of(self.segments, layers.units[-1])
        self.job.offsets = <const ptrdiff_t *> data_of(self.offsets, False)
        self.job.n_segments = len(self.offsets) - 1
        net[0] = layers.net
        net.output = net.kernels.forward[activation_number(out_activation)]
        self.parameters = layers.checked(parameters)
        for i, array in enumerate(parameters):
            net.parameters[i].value = data_of(array, False)
        self.coefs, self.intercepts = layers.dense_among(parameters)
        self.held_coefs, self.held_intercepts, self.copied = self.coefs, self.intercepts, []

    @property
    def dtype(self):
        """Of the parameters and of the result."""
        return self.layers.dtype

    @property
    def activation(self):
        """As given."""
        return self.layers.activation

    cdef int refresh(self) except -1:
        """Take over what was written into the arrays that copies were made from."""
        for own, other in self.copied:
            np.copyto(own, other)
        return 0

    def serves(self, coefs, intercepts, activation, out_activation, segments=None, layers=None):
        """Whether these are the very arrays and layers, the activations and the segments of this predictor."""
        cdef Py_ssize_t l, n = len(self.held_coefs)
        if layers is not self.described or len(coefs) != n or len(intercepts) != n:
            return False
        for l in range(n):
            if coefs[l] is not self.held_coefs[l] or intercepts[l] is not self.held_intercepts[l]:
                return False
        if layers is not None:
            activation = None
        elif not isinstance(activation, str):
            activation = tuple(activation)
        return (activation, out_activation, segments) == (self.layers.activation, self.out_activation, self.segments)

    def __call__(self, X, rows=None, *, codes=None, n_threads=None):
        """Outputs for X.

        Parameters
        ----------
        X : C-contiguous ndarray or CSR matrix of shape (n_samples, n_features)
            float32 or float64, a dense one also uint8, which is divided by 255; rows are cast as they are read. CSR
            indices must be within bounds.
        rows : ndarray of intp, default=None
            Row numbers to predict for, in order; None: all.
        codes : C-contiguous ndarray of shape (n_samples, n_categories), int32, default=None
            Levels of categories, for layers that read them.
        n_threads : int, default=None
            Threads to use; None: what the environment allows and the work is worth.

        Returns
        -------
        out : ndarray of shape (n, n_outputs)

        Raises
        ------
        ValueError
            If X does not fit the network.
        """
        cdef Source source = self.layers.source_of(X, codes)
        cdef Prediction job = self.job
        job.reader = reader_of(source, self.net.kernels, self.net.itemsize, index_of(rows, source.n_rows))
        job.n_rows = source.n_rows if rows is None else len(rows)
        self.refresh()
        return outputs_of(&job, self.members, n_threads, self.max_threads)

    def quick(self, X):
        """Outputs for X, if it is an array that needs no conversion; else None.

        Parameters
        ----------
        X : object
            Taken if it is a C-contiguous ndarray of float32 or float64, or of uint8, which is divided by 255, and of
            shape (n_samples, n_features) with at least one row, all finite in the network's dtype, and the network
            reads no categories.

        Returns
        -------
        out : ndarray of shape (n_samples, n_outputs), or None
        """
        cdef Py_buffer view
        cdef Prediction job = self.job
        if type(X) is not np.ndarray or self.layers.inputs.levels:
            return None
        dtype = X.dtype
        # NumPy has one object for each of its own types: to compare values takes longer
        if (dtype is not _SINGLE and dtype is not _DOUBLE and dtype is not _BYTE
                and dtype != _SINGLE and dtype != _DOUBLE):
            return None
        try:
            PyObject_GetBuffer(X, &view, PyBUF_C_CONTIGUOUS)
        except (ValueError, BufferError):
            return None
        try:
            if view.ndim != 2 or view.shape[0] == 0 or view.shape[1] != self.layers.units[0]:
                return None
            if <uintptr_t> view.buf % <uintptr_t> view.itemsize:
                return None
            job.reader = dense_reader(self.net.kernels, <const char *> view.buf, view.itemsize, view.shape[1],
                                      self.net.itemsize)
            job.n_rows = view.shape[0]
            job.check = True
            self.refresh()
            return outputs_of(&job, self.members, None, self.max_threads)
        finally:
            PyBuffer_Release(&view)


def forward(list coefs, list intercepts, activation, str out_activation, X, rows=None, *, segments=None,
            n_threads=None, max_threads=None, isa=None):
    """Outputs for X of a network given by plain arrays: a :class:`Predictor` used once."""
    predictor = Predictor(coefs, intercepts, activation, out_activation, segments=segments, max_threads=max_threads,
                          isa=isa)
    return predictor(X, rows, n_threads=n_threads)
