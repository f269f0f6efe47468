"""Prediction: blocks of rows forward through all layers, memory bounded by the blocks."""

import numpy as np

from cython.parallel cimport parallel, threadid
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from .blas cimport Blas, blas_for
from .kernels cimport activation_number, fm_forward, fm_kernels, kernels_for
from .memory cimport Arena, ceil_div, data_of, padded
from .products cimport SPARSE, Layer, Rows, dense_strategy, forward_product
from .source cimport Reader, Source, index_of, read_rows, reader_of
from .threads cimport FM_MOST_ITEMS, fm_open, fm_phases, fm_take

from .threads import effective_n_threads

cdef enum:
    BLOCK_ROWS = 256            # rows a thread takes through the layers at a time
    THREAD_FLOPS = 1000000      # a call wakes one thread for each so many operations


ctypedef struct Job:
    const fm_kernels *kernels
    Blas blas
    Reader reader
    Layer *layers
    int n_layers
    fm_forward output
    ptrdiff_t n_rows, n_blocks, block_rows, itemsize, input_ld, widest_ld
    char *scratch               # per thread: gathered input rows, and two layers' outputs in turn
    ptrdiff_t scratch_size
    char *out                   # (n_rows, n_outputs)
    fm_phases phases


cdef void run(Job *job, int member) noexcept nogil:
    cdef int l
    cdef char *inputs = job.scratch + member * job.scratch_size
    cdef char *outputs = inputs + job.block_rows * job.input_ld * job.itemsize
    cdef ptrdiff_t block, first, rows, i, width
    cdef Layer *layer
    cdef Rows x
    cdef char *z
    while True:
        block = fm_take(&job.phases, member)
        if block < 0:
            return
        first = block * job.block_rows
        rows = min(job.block_rows, job.n_rows - first)
        x = read_rows(&job.reader, first, rows, inputs, job.input_ld, True)
        z = NULL
        for l in range(job.n_layers):
            layer = &job.layers[l]
            z = outputs + (l % 2) * job.block_rows * job.widest_ld * job.itemsize
            forward_product(job.kernels, &job.blas, layer, &x, rows, z)
            x.dense = z
            x.ld = layer.ld
        layer = &job.layers[job.n_layers - 1]
        width = layer.n_out * job.itemsize
        for i in range(rows):
            memcpy(job.out + (first + i) * width, z + i * layer.ld * job.itemsize, width)


def forward(list coefs, list intercepts, str activation, str out_activation, X, rows=None, *, n_threads=None,
            isa=None):
    """Outputs of a network given by plain arrays.

    Parameters
    ----------
    coefs : list of C-contiguous ndarray of shape (n_in, n_out)
        Weights, all of one dtype, float32 or float64, which is that of the result.
    intercepts : list of ndarray of shape (n_out,)
        Biases of the same dtype.
    activation, out_activation : str
        Activation of the hidden layers and of the output.
    X : C-contiguous ndarray or CSR matrix of shape (n_samples, n_features)
        float32 or float64; rows are cast as they are read. CSR indices must be within bounds.
    rows : ndarray of intp, default=None
        Row numbers to predict for, in order; None: all.
    n_threads : int, default=None
        Threads to use; None: what the environment allows and the work is worth.
    isa : str, default=None
        Instruction set; None: the default.

    Returns
    -------
    out : ndarray of shape (n, n_outputs)

    Raises
    ------
    ValueError
        If shapes do not fit each other.
    """
    cdef Job job
    cdef Source source = Source(X)
    cdef int l, threads, n_layers = len(coefs)
    cdef ptrdiff_t itemsize, n_in
    cdef Arena arena = Arena()
    dtype = coefs[0].dtype
    itemsize = dtype.itemsize

    n_in = source.n_features
    for coef, intercept in zip(coefs, intercepts, strict=True):
        if coef.dtype != dtype or intercept.dtype != dtype:
            raise ValueError(f"coefs and intercepts: all of {dtype}")
        if coef.ndim != 2 or coef.shape[0] != n_in or intercept.shape != coef.shape[1:]:
            raise ValueError(f"a layer with {n_in} inputs has weights {coef.shape} and biases {intercept.shape}")
        n_in = coef.shape[1]

    job.kernels = kernels_for(dtype, isa)
    job.blas = blas_for(dtype)
    job.itemsize = itemsize
    job.n_layers = n_layers
    job.reader = reader_of(source, job.kernels, itemsize, index_of(rows, source.n_rows))
    job.n_rows = source.n_rows if rows is None else len(rows)
    job.block_rows = max(min(<ptrdiff_t> BLOCK_ROWS, job.n_rows), ceil_div(job.n_rows, FM_MOST_ITEMS))
    out = np.empty((job.n_rows, n_in), dtype=dtype)
    if job.n_rows == 0:
        return out
    job.n_blocks = ceil_div(job.n_rows, job.block_rows)
    memset(&job.phases, 0, sizeof(fm_phases))
    fm_open(&job.phases, job.n_blocks)
    job.out = data_of(out, True)

    threads = effective_n_threads(n_threads)
    if n_threads is None:
        n_params = sum(coef.size for coef in coefs)
        threads = max(1, min(threads, job.n_blocks, 2 * n_params * job.n_rows // THREAD_FLOPS))
    job.input_ld = 0 if job.reader.direct or source.sparse else padded(source.n_features, itemsize)
    job.widest_ld = padded(max(coef.shape[1] for coef in coefs), itemsize)
    job.scratch_size = job.block_rows * (job.input_ld + 2 * job.widest_ld) * itemsize
    arena.reserve("scratch", threads * job.scratch_size)
    for l in range(n_layers):
        arena.reserve(l, padded(coefs[l].shape[1], itemsize) * itemsize)
    arena.allocate()
    job.scratch = arena.pointer("scratch")

    job.layers = <Layer *> calloc(n_layers, sizeof(Layer))
    if job.layers == NULL:
        raise MemoryError
    try:
        for l in range(n_layers):
            job.layers[l].n_in, job.layers[l].n_out = coefs[l].shape
            job.layers[l].strategy = SPARSE if l == 0 and source.sparse else dense_strategy(
                job.layers[l].n_in, job.layers[l].n_out)
            job.layers[l].ld = padded(job.layers[l].n_out, itemsize)
            job.layers[l].weights = data_of(coefs[l], False)
            job.layers[l].bias = arena.pointer(l)
            memcpy(job.layers[l].bias, data_of(intercepts[l], False), job.layers[l].n_out * itemsize)
            job.layers[l].epilogue = job.kernels.forward[
                activation_number(out_activation if l == n_layers - 1 else activation)]
        if threads == 1:
            with nogil:
                run(&job, 0)
        else:
            with nogil, parallel(num_threads=threads):
                run(&job, threadid())
    finally:
        free(job.layers)
    return out
