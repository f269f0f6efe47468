"""What a network is: layers and their parameters; and what a call that passes rows through it reads."""

from libc.stdint cimport uint32_t, uint64_t

from .blas cimport Blas
from .kernels cimport FM_MAX_STATES, fm_epilogue, fm_kernels, fm_map
from .memory cimport Arena
from .source cimport Rows

# The places of a layer's parameters after its first.
cdef enum:
    WEIGHTS
    BIAS
    PARAMETERS   # the number of them

# The groups of parameters.
cdef enum:
    WEIGHT_GROUP
    BIAS_GROUP
    GROUPS_OF_PARAMETERS


cdef struct Layer
cdef struct Pass


# What layers do. Rows do not depend on each other, no sum is divided by worker, and gradients add in ascending order of
# rows whatever the rows of the parameter that are asked for.
ctypedef struct Kind:
    const char *name
    bint calls_blas                     # which may add in another order for another number of rows
    bint transposes                     # backward reads the weights' transpose
    # z (rows, ld) = epilogue(the layer's sums); NULL: the sums without the bias
    void (*forward)(const Pass *p, const Layer *layer, const Rows *x, ptrdiff_t rows, fm_epilogue epilogue,
                    void *z) noexcept nogil
    # out (rows, ld) = slope(dL/dx, activations), delta (rows, layer.ld) = dL/dz; slope NULL: dL/dx
    void (*backward)(const Pass *p, const Layer *layer, const void *delta, ptrdiff_t rows, fm_epilogue slope,
                     const void *activations, void *out, ptrdiff_t ld) noexcept nogil
    # gradient (stop - start, columns) = [gradient +] those rows of the gradient of the layer's i-th parameter
    void (*gradient)(const Pass *p, const Layer *layer, int i, const Rows *x, const void *delta, ptrdiff_t rows,
                     ptrdiff_t start, ptrdiff_t stop, bint accumulate, void *gradient) noexcept nogil


ctypedef struct Parameter:
    char *value                         # (rows, columns), row-major; of one row readable to whole lanes
    char *gradient                      # (rows, columns), or NULL while no call keeps it
    char *state[FM_MAX_STATES]          # of the optimizer, (rows, columns) each
    char *transposed                    # (columns, transposed_ld): the values' transpose, or NULL
    ptrdiff_t transposed_ld
    ptrdiff_t rows, columns             # a bias has one row
    int layer, group


# Dropout of some outputs.
ctypedef struct Dropout:
    double rate                         # 0: none
    bint on                             # in this call
    uint32_t threshold                  # 2^16 times the rate of this update
    double scale                        # 1 / (1 - that rate, so rounded)


cdef struct Layer:
    const Kind *kind
    ptrdiff_t n_in, n_out
    ptrdiff_t ld                        # row stride of the layer's outputs: n_out rounded up to whole lanes
    int first                           # parameter; its others follow
    fm_epilogue epilogue                # z = f(z + bias)
    fm_epilogue slope                   # d = d f'(z)
    fm_map map                          # from z to f(z) where the slope is written in z; else NULL
    Dropout dropout                     # of the layer's outputs


# What a pass leaves of one layer. Each worker of a prediction has workspaces of its own, a fixed number of bytes apart.
ctypedef struct Trace:
    char *activations                   # (., ld): what backward reads, z or f(z)
    char *outputs                       # (., ld): what the next layer reads; mostly the activations
    char *deltas                        # (., ld): dL/dz


# What training, prediction and input gradients share.
cdef struct Pass:
    const fm_kernels *kernels
    Blas blas
    ptrdiff_t itemsize
    int n_layers, n_parameters
    Layer *layers
    Parameter *parameters
    Trace *traces
    bint traced                         # backward follows: activations whose slope is written in z keep z
    fm_epilogue output                  # what the last layer ends in; NULL: z is without its bias
    uint64_t dropout_key                # of this update


cdef class Layers:
    cdef readonly tuple units
    cdef readonly object activation     # as given
    cdef readonly object dtype
    cdef readonly object n_params
    cdef readonly ptrdiff_t widest_ld, n_weights
    cdef ptrdiff_t one_row_bytes        # of the parameters of one row, each readable to whole lanes
    cdef readonly bint uses_blas        # with dense input
    cdef Arena _memory
    cdef Pass net                       # the part that is the same in every call

    cdef bint calls_blas(self, ptrdiff_t n_rows) noexcept
    cdef ptrdiff_t _bytes(self, const Parameter *p)
    cdef char *copy_one_row(self, Parameter *p, char *room) noexcept
    cdef Arena new_parameters(self)
    cdef ptrdiff_t extent(self) except -1
