"""Prediction, and the loss of rows that are not trained on."""

from .kernels cimport fm_loss, fm_loss_options
from .layers cimport Layers, Pass
from .source cimport Reader, Source
from .threads cimport Signals, fm_phases

# One call: what its workers share.
ctypedef struct Prediction:
    Pass *nets                  # the members: one network, or several whose outputs are averaged
    int n_members
    const double *ratios        # (n_members,): weights divided by the largest; one member has none
    double share                # the largest weight
    bint kept                   # parameters of one row are readable to whole lanes, one behind the other
    Reader reader
    bint check                  # refuse NaN and infinity in dense rows
    bint refused
    ptrdiff_t n_rows, block_rows, input_ld
    char *scratch               # a worker's: gathered input rows, two layers' outputs in turn, targets, the kinds'
    ptrdiff_t scratch_size, targets_at, kinds_at
    char *out                   # (n_rows, n_outputs)
    ptrdiff_t n_outputs
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
    Signals signals


cdef int threads_for(double operations, ptrdiff_t n_rows, n_threads, max_threads) except -1
cdef ptrdiff_t block_rows_for(bint uses_blas, ptrdiff_t row_size, ptrdiff_t n_rows, int threads)
cdef object outputs_of(Prediction *job, list members, n_threads, max_threads)
cdef double mean_loss(Prediction *job, Layers layers, Source source, targets, sample_weight, int loss,
                      const fm_loss_options *options, n_threads, max_threads) except? -1


cdef class Predictor:
    cdef readonly list parameters   # in the order of the layers
    cdef readonly list coefs, intercepts    # those of dense layers
    cdef list held_coefs, held_intercepts
    cdef list copied                # pairs of an array of the network and the array that it is a copy of
    cdef readonly str out_activation
    cdef readonly object segments, max_threads
    cdef object offsets             # array of intp
    cdef object described           # the layers as given, where they are no units
    cdef Layers layers
    cdef list members               # of which there is one
    cdef Pass net
    cdef Prediction job             # without the fields of a call

    cdef _set(self, Layers layers, list parameters, str out_activation, segments, max_threads)
    cdef _hold(self, held)
    cdef int refresh(self) except -1
