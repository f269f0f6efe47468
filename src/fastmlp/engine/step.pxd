"""What the threads of a training call share."""

from libc.stdint cimport int32_t, uint32_t, uint64_t

from .blas cimport Blas
from .kernels cimport (
    FM_MAX_STATES, fm_epilogue, fm_kernels, fm_loss_options, fm_map, fm_optimizer_row, fm_step, fm_update,
)
from .products cimport Layer
from .source cimport Reader
from .threads cimport Signals, fm_phases

# Dropout of one layer's outputs.
ctypedef struct Dropout:
    bint on                             # in this call
    uint32_t threshold                  # 2^16 times the rate
    double scale                        # 1 / (1 - the rate so rounded)


ctypedef struct Trained:
    Layer layer
    fm_epilogue backward                # of the activation that made this layer's outputs
    fm_map map                          # from z to its activation, if the slope is written in z; else NULL
    Dropout dropout
    char *activations                   # (chunk_rows, ld): what backward reads, z or f(z); NULL for the last layer
    char *outputs                       # (chunk_rows, ld): what the next layer reads; mostly the activations
    char *deltas                        # (chunk_rows, ld): dL/dz of this layer
    char *weight_gradient               # of the whole layer, or NULL while no batch needs chunks or the norm
    char *bias_gradient
    char *weight_state[FM_MAX_STATES]
    char *bias_state[FM_MAX_STATES]


ctypedef struct Tile:
    int layer
    ptrdiff_t start, stop               # rows of the weights; start < 0: the bias


# Some columns of a layer's weights: what is as long as a unit's incoming weights.
ctypedef struct Columns:
    int layer
    ptrdiff_t first, count


cdef enum Stage:
    PREPARE                             # items are tiles: transposes of the weights
    ROWS                                # items are blocks of rows
    WEIGHTS                             # items are tiles
    STEPS                               # items are tiles: steps that had to wait for the norm of the whole gradient
    COLUMNS                             # items are blocks of columns: long ones are scaled
    FINISH                              # items are tiles: parameters become averages again


# One call.
ctypedef struct Job:
    const fm_kernels *kernels
    Blas blas
    bint uses_blas
    ptrdiff_t itemsize
    int n_layers, n_tiles, n_columns
    Trained *layers
    Tile *tiles
    Columns *columns                    # NULL while no call limits their lengths
    ptrdiff_t chunk_rows
    ptrdiff_t block_rows                # at most so many rows in a block,
    int blocks_each                     # and for each thread so many blocks
    # data
    Reader reader
    char *inputs                        # (chunk_rows, inputs_ld): gathered rows of X
    ptrdiff_t inputs_ld
    Dropout input_dropout
    uint64_t seed                       # of dropout
    int32_t *cuts                       # (chunk_rows, n_cuts): where sparse rows enter the first layer's tiles
    ptrdiff_t n_cuts, cut_width
    const char *targets
    int target
    const double *sample_weight
    ptrdiff_t n_rows, batch_size
    int loss_number
    fm_loss_options loss_options
    # optimizer
    int optimizer
    const fm_optimizer_row *optimizer_row
    fm_step step
    fm_update update
    const double *rates                 # learning rate of each batch, or NULL: update.learning_rate
    double clip_norm, max_norm          # 0: none
    double clip_factor                  # of the gradient in STEPS
    # where the team stands; changed by one thread between two phases
    fm_phases phases
    Stage stage
    ptrdiff_t start, stop               # the batch
    ptrdiff_t chunk, end                # the chunk of it
    ptrdiff_t blocks
    # groups of rows whose gradients are summed apart, 1: none; theirs have the layout of the parameters
    ptrdiff_t groups
    char *group_gradients
    ptrdiff_t group_stride              # elements
    const char *parameters
    double weight                       # sum of the batch's weights so far
    double loss                         # sum of its losses
    Signals signals
    bint abandoned
    int team_size, members              # threads asked for, and those that came
    unsigned long long waited           # nanoseconds in all that members gave way, after SPINS pauses
    double finished                     # when the calling thread had no more to do
    # per row of a chunk, per tile, per thread
    double *row_loss                    # (chunk_rows,)
    double *tile_squares                # of weights,
    double *tile_norms                  # and of gradients
    char *scratch
    ptrdiff_t scratch_size, scratch_weights
    # results
    double loss_sum
    ptrdiff_t batches


cdef void run(Job *job, int member) noexcept nogil
