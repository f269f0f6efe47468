"""Prediction, and the loss of rows that are not trained on."""

from .blas cimport Blas
from .kernels cimport fm_kernels, fm_loss, fm_loss_options
from .products cimport Layer
from .source cimport Reader, Source
from .threads cimport fm_phases

# One call: what its threads share.
ctypedef struct PredictJob:
    const fm_kernels *kernels
    Blas blas
    Reader reader
    Layer *layers
    int n_layers
    bint check                  # refuse NaN and infinity in dense rows
    bint refused
    ptrdiff_t n_rows, block_rows, itemsize, input_ld, widest_ld
    char *scratch               # per thread: gathered input rows, and two layers' outputs in turn
    ptrdiff_t scratch_size
    char *out                   # (n_rows, n_outputs)
    const ptrdiff_t *offsets    # where the segments of outputs begin, and n_outputs; each has a softmax of its own
    ptrdiff_t n_segments
    # the loss of the rows in place of their outputs; score NULL: outputs
    fm_loss score
    int target
    const fm_loss_options *loss_options
    const char *targets
    const double *sample_weight
    double *row_loss            # (n_rows,)
    fm_phases phases


cdef class Predictor:
    cdef readonly list coefs, intercepts
    cdef list held_coefs, held_intercepts
    cdef readonly object dtype
    cdef readonly object activation
    cdef readonly str out_activation
    cdef readonly object segments, max_threads
    cdef object offsets             # array of intp
    cdef PredictJob job                # without the fields of a call
    cdef char **biases
    cdef ptrdiff_t n_weights, biases_size, n_features, n_outputs
    cdef bint uses_blas

    cdef int threads_for(self, double operations, ptrdiff_t n_rows, n_threads) except -1
    cdef ptrdiff_t block_rows_for(self, ptrdiff_t row_size, ptrdiff_t n_rows, int threads)
    cdef object _run(self, PredictJob *job, n_threads)
    cdef double mean_loss(self, Source source, targets, sample_weight, int loss, const fm_loss_options *options,
                          n_threads) except? -1
