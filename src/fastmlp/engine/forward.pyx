"""Prediction: blocks of rows forward through all layers, memory bounded by the blocks."""

import contextlib

import numpy as np

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBuffer_Release, PyObject_GetBuffer
from cython.parallel cimport parallel, threadid
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from .blas cimport blas_for
from .kernels cimport (
    FM_ROW_BYTES, activation_names, activation_number, fm_loss_options, kernels_for, loss_row, offsets_of,
)
from .memory cimport ceil_div, data_of, padded
from .products cimport BLAS, SPARSE, Layer, Rows, dense_strategy, forward_product
from .source cimport Source, dense_reader, index_of, read_rows, reader_of
from .threads cimport FM_MOST_ITEMS, fm_is_set, fm_open, fm_set, fm_take
from .tuning cimport PREDICT_BYTES, PREDICT_ROWS, PREDICT_THREAD_FLOPS

from .threads import checked_max_threads, effective_n_threads, single_threaded_blas

_no_guard = contextlib.nullcontext()


cdef bint all_finite(const PredictJob *job, const Rows *x, ptrdiff_t rows) noexcept nogil:
    """Whether dense rows are; what lies between them is not looked at."""
    cdef ptrdiff_t i
    if x.ld == job.reader.n_features:
        return job.kernels.all_finite(x.dense, rows * x.ld)
    for i in range(rows):
        if not job.kernels.all_finite(x.dense + i * x.ld * job.itemsize, job.reader.n_features):
            return False
    return True


cdef void predict_blocks(PredictJob *job, int member) noexcept nogil:
    cdef char *inputs = job.scratch + member * job.scratch_size
    cdef char *outputs = inputs + job.block_rows * job.input_ld * job.itemsize
    cdef Layer *last = &job.layers[job.n_layers - 1]
    cdef ptrdiff_t block, first, rows, i, width = last.n_out * job.itemsize
    cdef int l
    cdef Layer *layer
    cdef Rows x
    cdef char *z = NULL
    cdef char *z_targets
    while True:
        block = fm_take(&job.phases, member)
        if block < 0 or fm_is_set(&job.refused):
            return
        first = block * job.block_rows
        rows = min(job.block_rows, job.n_rows - first)
        x = read_rows(&job.reader, first, rows, inputs, job.input_ld, True)
        if job.check and not all_finite(job, &x, rows):
            fm_set(&job.refused)
            return
        for l in range(job.n_layers):
            layer = &job.layers[l]
            z = outputs + (l % 2) * job.block_rows * job.widest_ld * job.itemsize
            forward_product(job.kernels, &job.blas, layer, &x, rows, z)
            x.dense = z
            x.ld = layer.ld
        if job.score != NULL:
            z_targets = outputs + 2 * job.block_rows * job.widest_ld * job.itemsize
            job.kernels.targets[job.target](z_targets, job.targets, NULL, first, rows, last.n_out, last.ld,
                                            job.loss_options)
            job.score(z, last.bias, z_targets, job.sample_weight + first if job.sample_weight != NULL else NULL,
                      job.row_loss + first, rows, last.n_out, last.ld, job.loss_options)
            continue
        if job.n_segments > 1:
            job.kernels.softmax_segments(z, last.bias, rows, last.ld, job.offsets, job.n_segments)
        for i in range(rows):
            memcpy(job.out + (first + i) * width, z + i * last.ld * job.itemsize, width)


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
    max_threads : int, default=None
        The most threads that a call takes unless it names their number; None sets no limit.
    segments : tuple of int, default=None
        Sizes of blocks of outputs that have a softmax each; None: one block.
    isa : str, default=None
        Instruction set; None: the default.
    held : tuple of two lists, default=None
        The lists that :meth:`serves` compares with, if the arrays are views on others; None: these.

    Raises
    ------
    ValueError
        If shapes or dtypes do not fit each other, the number of activations that of the hidden layers, or segments the
        outputs.
    """

    def __cinit__(self, list coefs, list intercepts, activation, str out_activation, *, segments=None, max_threads=None,
                  isa=None, held=None):
        cdef int l, last = len(coefs) - 1
        cdef Layer *layer
        if not coefs:
            raise ValueError("a network has at least one layer")
        self.max_threads = checked_max_threads(max_threads)
        dtype = coefs[0].dtype
        n_in = coefs[0].shape[0]
        for coef, intercept in zip(coefs, intercepts, strict=True):
            if coef.dtype != dtype or intercept.dtype != dtype:
                raise ValueError(f"coefs and intercepts: all of {dtype}")
            if coef.ndim != 2 or coef.shape[0] != n_in or intercept.shape != coef.shape[1:]:
                raise ValueError(f"a layer with {n_in} inputs has weights {coef.shape} and biases {intercept.shape}")
            n_in = coef.shape[1]
        self.coefs = list(coefs)
        self.intercepts = list(intercepts)
        self.held_coefs, self.held_intercepts = (self.coefs, self.intercepts) if held is None else map(list, held)
        self.dtype = np.dtype(dtype.type)
        self.activation, self.out_activation = activation_names(activation, last), out_activation
        self.n_features, self.n_outputs = coefs[0].shape[0], n_in
        if segments is not None and out_activation != "softmax":
            raise ValueError(f"segments={segments!r}: only outputs with softmax have them, not {out_activation}")
        self.segments = None if segments is None else tuple(segments)
        self.offsets = offsets_of(self.segments, n_in)
        memset(&self.job, 0, sizeof(PredictJob))
        self.job.offsets = <const ptrdiff_t *> data_of(self.offsets, False)
        self.job.n_segments = len(self.offsets) - 1
        self.job.kernels = kernels_for(dtype, isa)
        self.job.blas = blas_for(dtype)
        self.job.itemsize = dtype.itemsize
        self.job.n_layers = last + 1
        self.job.layers = <Layer *> calloc(last + 1, sizeof(Layer))
        self.biases = <char **> calloc(last + 1, sizeof(char *))
        if self.job.layers == NULL or self.biases == NULL:
            raise MemoryError
        names = (self.activation,) * last if isinstance(self.activation, str) else self.activation
        numbers = [activation_number(name) for name in (*names, out_activation)]
        for l in range(last + 1):
            layer = &self.job.layers[l]
            layer.n_in, layer.n_out = coefs[l].shape
            layer.ld = padded(layer.n_out, self.job.itemsize)
            layer.strategy = dense_strategy(layer.n_in, layer.n_out)
            layer.weights = data_of(coefs[l], False)
            layer.finish = self.job.kernels.forward[<int> numbers[l]]
            self.uses_blas = self.uses_blas or layer.strategy == BLAS
            self.biases[l] = data_of(intercepts[l], False)
            self.n_weights += layer.n_in * layer.n_out
            self.biases_size += layer.ld * self.job.itemsize
            self.job.widest_ld = max(self.job.widest_ld, layer.ld)

    def __dealloc__(self):
        free(self.job.layers)
        free(self.biases)

    def serves(self, list coefs, list intercepts, activation, out_activation, segments=None):
        """Whether these are the very arrays, the activations and the segments of this predictor."""
        cdef Py_ssize_t l, n = len(self.held_coefs)
        if len(coefs) != n or len(intercepts) != n:
            return False
        for l in range(n):
            if coefs[l] is not self.held_coefs[l] or intercepts[l] is not self.held_intercepts[l]:
                return False
        if not isinstance(activation, str):
            activation = tuple(activation)
        return (activation, out_activation, segments) == (self.activation, self.out_activation, self.segments)

    def __call__(self, X, rows=None, *, n_threads=None):
        """Outputs for X.

        Parameters
        ----------
        X : C-contiguous ndarray or CSR matrix of shape (n_samples, n_features)
            float32 or float64; rows are cast as they are read. CSR indices must be within bounds.
        rows : ndarray of intp, default=None
            Row numbers to predict for, in order; None: all.
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
        cdef Source source = Source(X)
        if source.n_features != self.n_features:
            raise ValueError(f"X has {source.n_features} features, the network {self.n_features}")
        cdef PredictJob job = self.job
        job.reader = reader_of(source, job.kernels, job.itemsize, index_of(rows, source.n_rows))
        job.n_rows = source.n_rows if rows is None else len(rows)
        return self._run(&job, n_threads)

    def quick(self, X, bint cast=False):
        """Outputs for X, if it is an array that needs no conversion; else None.

        Parameters
        ----------
        X : object
            Taken if it is a C-contiguous ndarray of the network's dtype and of shape (n_samples, n_features) with at
            least one row, all finite.
        cast : bool, default=False
            Take float32 and float64 alike, if the values are finite in the network's dtype.

        Returns
        -------
        out : ndarray of shape (n_samples, n_outputs), or None
        """
        cdef Py_buffer view
        cdef PredictJob job = self.job
        if type(X) is not np.ndarray or (X.dtype != self.dtype and not (
                cast and X.dtype in (np.float32, np.float64))):
            return None
        try:
            PyObject_GetBuffer(X, &view, PyBUF_C_CONTIGUOUS)
        except (ValueError, BufferError):
            return None
        try:
            if view.ndim != 2 or view.shape[0] == 0 or view.shape[1] != self.n_features:
                return None
            if <uintptr_t> view.buf % <uintptr_t> view.itemsize:
                return None
            job.reader = dense_reader(job.kernels, <const char *> view.buf, view.itemsize == 8, view.shape[1],
                                      job.itemsize)
            job.n_rows = view.shape[0]
            job.check = True
            return self._run(&job, None)
        finally:
            PyBuffer_Release(&view)

    cdef double mean_loss(self, Source source, targets, sample_weight, int loss, const fm_loss_options *options,
                          n_threads) except? -1:
        """Mean loss of a source's rows, whose targets and weights fit the loss; out_activation has no part in it."""
        cdef PredictJob job = self.job
        cdef double total = 0, weight = source.n_rows
        cdef double[::1] row_loss = np.empty(source.n_rows)
        cdef ptrdiff_t i
        job.reader = reader_of(source, job.kernels, job.itemsize, NULL)
        job.n_rows = source.n_rows
        job.score = job.kernels.loss[loss]
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
        self._run(&job, n_threads)
        for i in range(job.n_rows):
            total += row_loss[i]
        return total / weight

    cdef int threads_for(self, double operations, ptrdiff_t n_rows, n_threads) except -1:
        """Threads for so many operations on rows: as wished, or what the environment allows and the work is worth."""
        if n_threads is None and (n_rows <= 1 or operations < 2 * PREDICT_THREAD_FLOPS):
            return 1
        threads = effective_n_threads(n_threads, self.max_threads)
        return threads if n_threads is not None else max(1, min(threads, int(operations // PREDICT_THREAD_FLOPS)))

    cdef ptrdiff_t block_rows_for(self, ptrdiff_t row_size, ptrdiff_t n_rows, int threads):
        """Rows that a thread takes through the layers at a time, with a workspace of row_size bytes for each."""
        # for BLAS no function of the number of threads: it may add in another order for another number of rows
        cdef ptrdiff_t rows = min(max(<ptrdiff_t> 1, PREDICT_BYTES // row_size), <ptrdiff_t> PREDICT_ROWS,
                                  n_rows if self.uses_blas else ceil_div(n_rows, threads))
        return max(rows, ceil_div(n_rows, FM_MOST_ITEMS))

    cdef object _run(self, PredictJob *job, n_threads):
        cdef int l, threads
        cdef ptrdiff_t row_size
        cdef char *memory
        cdef char *piece
        cdef Layer *layers
        out = None
        if job.score == NULL:
            out = np.empty((job.n_rows, self.n_outputs), dtype=self.dtype)
            if job.n_rows == 0:
                return out
            job.out = data_of(out, True)
        threads = self.threads_for(2.0 * self.n_weights * job.n_rows, job.n_rows, n_threads)
        job.input_ld = 0 if job.reader.direct or job.reader.sparse else padded(self.n_features, job.itemsize)
        # gathered inputs, two layers' outputs, targets
        row_size = (job.input_ld + 2 * job.widest_ld) * job.itemsize
        if job.score != NULL:
            row_size += job.layers[job.n_layers - 1].ld * job.itemsize
        job.block_rows = self.block_rows_for(row_size, job.n_rows, threads)
        fm_open(&job.phases, ceil_div(job.n_rows, job.block_rows))
        job.scratch_size = job.block_rows * row_size
        memory = <char *> malloc(FM_ROW_BYTES + job.n_layers * sizeof(Layer) + self.biases_size
                                 + threads * job.scratch_size)
        if memory == NULL:
            raise MemoryError
        # the layers of this call, with biases readable to whole lanes
        piece = memory + (FM_ROW_BYTES - <uintptr_t> memory % FM_ROW_BYTES) % FM_ROW_BYTES
        job.scratch = piece + self.biases_size
        layers = <Layer *> (job.scratch + threads * job.scratch_size)
        memcpy(layers, job.layers, job.n_layers * sizeof(Layer))
        for l in range(job.n_layers):
            layers[l].bias = piece
            memset(piece, 0, layers[l].ld * job.itemsize)
            memcpy(piece, self.biases[l], layers[l].n_out * job.itemsize)
            piece += layers[l].ld * job.itemsize
        if job.reader.sparse:
            layers[0].strategy = SPARSE
        if job.score != NULL or job.n_segments > 1:
            layers[job.n_layers - 1].finish = NULL
        job.layers = layers
        try:
            with single_threaded_blas() if self.uses_blas else _no_guard:
                if threads == 1:
                    with nogil:
                        predict_blocks(job, 0)
                else:
                    with nogil, parallel(num_threads=threads):
                        predict_blocks(job, threadid())
        finally:
            free(memory)
        return None if job.refused else out


def forward(list coefs, list intercepts, activation, str out_activation, X, rows=None, *, segments=None,
            n_threads=None, max_threads=None, isa=None):
    """Outputs for X of a network given by plain arrays: a :class:`Predictor` used once."""
    predictor = Predictor(coefs, intercepts, activation, out_activation, segments=segments, max_threads=max_threads,
                          isa=isa)
    return predictor(X, rows, n_threads=n_threads)
