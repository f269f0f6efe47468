"""What a network is: layers and their parameters; and what a call that passes rows through it reads."""

from libc.stdint cimport uint32_t, uint64_t

from .blas cimport Blas
from .kernels cimport FM_MAX_STATES, fm_cell, fm_cell_back, fm_epilogue, fm_kernels, fm_map, fm_window
from .memory cimport Arena
from .source cimport Rows, Source

# The places of a dense layer's parameters after its first.
cdef enum:
    WEIGHTS
    BIAS

cdef enum:
    MAX_GROUPS = 16     # of parameters

cdef enum:
    NO_SOURCE = -2
    INPUTS              # of the network


cdef struct Layer
cdef struct Pass


# Rows as a layer sees them.
ctypedef struct View:
    Rows x                              # what the layer reads
    ptrdiff_t rows
    const char *delta                   # (rows, ld): dL/dz, or NULL
    char *own                           # (rows, own_ld): what the kind keeps for backward and gradient, or NULL
    char *scratch                       # of this worker: what the layer asks for
    const char *inputs                  # (., inputs_ld): the numbers that the network reads, where they are dense
    ptrdiff_t inputs_ld
    const char *added                   # (., added_ld): the earlier output that a residual connection adds
    ptrdiff_t added_ld


# What layers do. Rows do not depend on each other, no sum is divided by worker, and gradients add in ascending order of
# rows whatever the rows of the parameter that are asked for.
ctypedef struct Kind:
    const char *name
    bint dense                          # one product with its weights, and a bias
    bint calls_blas                     # which may add in another order for another number of rows
    bint transposes                     # backward reads the weights' transpose
    # z (rows, ld) = epilogue(the layer's sums); NULL: the sums without the bias
    void (*forward)(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue, char *z) noexcept nogil
    # out (rows, ld) = slope(dL/dx, activations), slope NULL: dL/dx; layers beside each other add dL/dx to out
    void (*backward)(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope, const char *activations,
                     char *out, ptrdiff_t ld) noexcept nogil
    # gradient (stop - start, columns) = [gradient +] those rows of the gradient of the layer's i-th parameter
    void (*gradient)(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start, ptrdiff_t stop,
                     bint accumulate, char *gradient) noexcept nogil


ctypedef struct Parameter:
    char *value                         # (rows, columns), row-major; of one row readable to whole lanes
    char *gradient                      # (rows, columns), or NULL while no call keeps it
    char *state[FM_MAX_STATES]          # of the optimizer, (rows, columns) each
    char *transposed                    # (columns, transposed_ld): the values' transpose, or NULL
    ptrdiff_t transposed_ld
    ptrdiff_t rows, columns             # a bias has one row
    ptrdiff_t offset                    # of the values, in elements, where all parameters stand in one array
    int layer, group


# Dropout of some outputs.
ctypedef struct Dropout:
    double rate                         # 0: none
    bint on                             # in this call
    uint32_t threshold                  # 2^16 times the rate of this update
    double scale                        # 1 / (1 - that rate, so rounded)


# How a convolution's panels lie in a worker's scratch, in elements from its start, behind the framed planes.
ctypedef struct Unfolding:
    ptrdiff_t width                     # of a row of positions: that of the framed planes, or of the outputs
    ptrdiff_t positions
    ptrdiff_t panel, ld                 # positions of U at a time, and its row stride
    ptrdiff_t unfolded                  # U
    ptrdiff_t sums, plane               # (channels, plane): outputs or deltas over the whole width of framed planes
    ptrdiff_t turned, channels_ld       # (positions, channels_ld): deltas transposed


# What a recurrent layer leaves: the state behind the last step, the mean of all states, or all of them.
cdef enum Left:
    LAST_STATE
    MEAN_STATE
    ALL_STATES


# Where rows of a recurrent layer say how many steps they have: nowhere, as the last number of what it reads, or of what
# the network reads.
cdef enum Lengths:
    OF_ALL_ROWS
    OF_ITS_ROWS
    OF_INPUTS


# Of a recurrent layer.
ctypedef struct Recurrence:
    ptrdiff_t steps, channels, units    # steps 0: the layer is not recurrent
    ptrdiff_t gates                     # columns of the weights for each unit
    ptrdiff_t size                      # elements of a step that are kept
    ptrdiff_t directions                # 1, or 2: the first runs from the first step on
    bint reverse                        # the first runs from the last step back
    Lengths lengths
    ptrdiff_t truncation                # steps that deltas go back at most within; 0: all
    Left left
    fm_cell cell
    fm_cell_back back


cdef struct Layer:
    const Kind *kind
    ptrdiff_t n_in, n_out
    ptrdiff_t ld                        # row stride of the layer's outputs, a whole number of lanes
    int first                           # parameter; its others follow
    int n_parameters
    fm_epilogue epilogue                # z = f(z + bias)
    fm_epilogue slope                   # d = d f'(z)
    fm_map map                          # from z to f(z) where the slope is written in z; else NULL
    Dropout dropout                     # of the layer's outputs
    # layers beside each other read the inputs and share a trace
    int shared                          # the first of the layers that share this one's trace: itself if it stands alone
    bint beside                         # more than one may share it
    bint more                           # the next layer stands beside this one
    bint weighted                       # its first parameters are weights, and biases
    ptrdiff_t at                        # first column of the layer's outputs in the trace
    # of the inputs: which numbers or categories it reads
    ptrdiff_t column, n_columns
    ptrdiff_t size                      # frequencies or bins of a numeric embedding
    ptrdiff_t width                     # outputs for each column of an embedding
    const ptrdiff_t *offsets            # (n_columns + 1,): the first level of each category
    const char *constants               # edges; zeros or ones; what an indicator is where a row has the level,
    const char *others                  # and where it has not
    const char *sums                    # those of a piecewise embedding, where parameters do not change; or NULL
    int activation                      # of a parametric one
    # of a window: its geometry, and of a convolution channels out and groups of channels
    fm_window window
    ptrdiff_t channels, groups
    # of a convolution without strides: heights and widths of inputs and deltas with zeros around them, and where in
    # these each element of a sum begins; NULL: it has strides
    ptrdiff_t framed[2]
    ptrdiff_t framed_delta[2]
    ptrdiff_t delta_before[2]
    const ptrdiff_t *shifts             # (k,) of the input of a group
    const ptrdiff_t *delta_shifts       # (window's elements * channels,); NULL also where there are groups
    Unfolding unfolding                 # of inputs,
    Unfolding unfolding_back            # and of deltas
    Recurrence recurrence
    ptrdiff_t own_ld                    # elements of a row that the kind keeps; 0: it keeps nothing
    ptrdiff_t positions                 # of a normalisation: numbers of each channel
    double epsilon
    int source                          # whose outputs a residual connection adds: a layer, INPUTS or NO_SOURCE
    bint read_again                     # a residual connection adds what this layer leaves, or the trace it shares


# What a pass leaves of one layer. Each worker of a prediction has workspaces of its own, a fixed number of bytes apart.
ctypedef struct Trace:
    char *activations                   # (., ld): what backward reads, z or f(z)
    char *outputs                       # (., ld): what the next layer reads; mostly the activations
    char *deltas                        # (., ld): dL/dz
    char *own                           # (., own_ld): what the layer's kind keeps, or NULL


# What training, prediction and input gradients share.
cdef struct Pass:
    const fm_kernels *kernels
    Blas blas
    ptrdiff_t itemsize
    int n_layers, n_parameters, n_groups
    Layer *layers
    Parameter *parameters
    Trace *traces
    bint traced                         # backward follows: activations whose slope is written in z keep z
    bint trains                         # and gradients of the parameters follow that
    fm_epilogue output                  # what the last layer ends in; NULL: z is without its bias
    uint64_t dropout_key                # of this update
    bint[MAX_GROUPS] shrinks            # groups of parameters that decay and penalty shrink unless told otherwise


cdef class Layers:
    cdef readonly object inputs         # Inputs
    cdef readonly tuple places          # of the layers
    cdef readonly tuple units           # columns of the numbers, and of what each trace holds
    cdef readonly tuple groups          # of parameters: their names
    cdef readonly list names            # of the parameters
    cdef readonly object activation     # of hidden layers that were given as units, as given
    cdef readonly list hidden_activations   # of layers with weights and a bias, the last excepted
    cdef readonly object dtype
    cdef readonly object n_params
    cdef readonly object work           # multiply-adds of a row forward, and its sums with a bias
    cdef readonly ptrdiff_t widest_ld, multiply_adds
    cdef readonly ptrdiff_t extent      # elements from the first parameter to the end of the last
    cdef ptrdiff_t one_row_bytes        # of the parameters of one row, each readable to whole lanes
    cdef readonly bint uses_blas        # with dense input
    cdef readonly ptrdiff_t kept_ld     # of a row of all traces that are read again
    cdef readonly bint adds_inputs      # a residual connection adds the network's inputs
    cdef readonly ptrdiff_t scratch     # bytes: the most that a call of a layer's kind needs
    cdef list _constants                # kept alive
    cdef Arena _memory
    cdef Pass net                       # the part that is the same in every call

    cdef int _set_sources(self, added) except -1
    cdef int _set(self, Layer *layer, place) except -1
    cdef int _set_levels(self, Layer *layer, columns) except -1
    cdef int _set_window(self, Layer *layer, row) except -1
    cdef int _set_shifts(self, Layer *layer, row) except -1
    cdef const ptrdiff_t *_intp(self, values) except NULL
    cdef int _set_recurrence(self, Layer *layer, row) except -1
    cdef const char *_zeros(self, ptrdiff_t count) except NULL
    cdef const char *_constant(self, values) except NULL
    cdef bint calls_blas(self, ptrdiff_t n_rows) noexcept
    cdef ptrdiff_t _bytes(self, const Parameter *p)
    cdef char *copy_one_row(self, Parameter *p, char *room) noexcept
    cdef Arena reserve(self)
    cdef object flat(self, Arena arena)
    cdef list arrays_in(self, flat)
    cdef tuple dense_among(self, list arrays)
    cdef list checked(self, list arrays)
    cdef Source source_of(self, X, codes)
