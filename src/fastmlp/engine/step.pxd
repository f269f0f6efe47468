"""What the workers of a training call share."""

from libc.stdint cimport int32_t, uint64_t

from .kernels cimport fm_augmentation, fm_loss_options, fm_optimizer_row, fm_step, fm_update
from .layers cimport MAX_GROUPS, Dropout, Pass
from .source cimport Reader
from .threads cimport Signals, fm_phases


# Rows of a parameter.
ctypedef struct Tile:
    int parameter
    ptrdiff_t start, stop


# Some columns of a layer's weights: what is as long as a unit's incoming weights.
ctypedef struct Columns:
    int layer
    ptrdiff_t first, count


# How the parameters of a group are trained.
ctypedef struct Group:
    double rate                         # factor of the learning rate
    double decay                        # factor of the weight decay
    bint penalised                      # by alpha


cdef enum Stage:
    PREPARE                             # items are tiles: transposes of the weights
    ROWS                                # items are blocks of rows
    WEIGHTS_STAGE                       # items are tiles
    STEPS                               # items are tiles: steps that had to wait for the norm of the whole gradient
    COLUMNS                             # items are blocks of columns: long ones are scaled
    AVERAGE                             # items are tiles: parameters become averages again


# One call.
ctypedef struct Job:
    Pass net
    bint uses_blas
    int n_tiles, n_columns
    Tile *tiles
    Columns *columns                    # NULL while no call limits their lengths
    ptrdiff_t chunk_rows
    ptrdiff_t block_rows                # the most rows of a block
    int blocks_each                     # blocks for each worker, where there are rows enough
    # data
    Reader reader
    char *inputs                        # (chunk_rows, inputs_ld): gathered rows of X
    ptrdiff_t inputs_ld
    Dropout input_dropout
    bint augments                       # this call changes rows of X
    fm_augmentation augmentation
    uint64_t seed                       # of dropout and augmentation
    int32_t *cuts                       # (chunk_rows, n_cuts): where sparse rows enter the first layer's tiles
    ptrdiff_t n_cuts, cut_width
    const char *targets
    int target
    const double *sample_weight
    ptrdiff_t n_rows, batch_size
    ptrdiff_t first_row                 # rows of the epoch that earlier calls have trained on
    bint more                           # the epoch goes on in another call
    const char *given                   # NULL, or a gradient in the layout of the parameters: no rows are read for it
    bint summed                         # loss and gradient are not divided by the sum of weights
    int loss_number
    fm_loss_options loss_options
    # optimizer
    int optimizer
    const fm_optimizer_row *optimizer_row
    fm_step step
    fm_update update
    Group[MAX_GROUPS] groups
    fm_update[MAX_GROUPS] group_updates   # what the step of each group reads
    # of each batch, or NULL: update.learning_rate, update.weight_decay, 1
    const double *rates
    const double *decays
    const double *dropout_factors
    double clip_norm, max_norm          # 0: none
    double clip_factor                  # of the gradient in STEPS
    # where the team stands; changed by one worker between two phases
    fm_phases phases
    Stage stage
    ptrdiff_t start, stop               # the batch
    ptrdiff_t chunk, end                # the chunk of it
    ptrdiff_t blocks
    # row groups, whose gradients are summed apart and have the layout of the parameters; 1: none
    ptrdiff_t row_groups
    char *group_gradients
    ptrdiff_t group_stride              # elements
    double weight                       # sum of the batch's weights so far
    double loss                         # sum of its losses
    Signals signals
    bint abandoned
    int team_size, workers              # workers asked for, and those that are there
    unsigned long long waited           # nanoseconds in all that workers gave way, after SPINS pauses
    double finished                     # when the calling thread had no more to do
    # per row of a chunk, per tile, per worker
    double *row_loss                    # (chunk_rows,)
    double *tile_squares                # of penalised parameters,
    double *tile_norms                  # and of gradients
    char *scratch
    ptrdiff_t scratch_size, scratch_weights, scratch_kinds
    # results
    double loss_sum                     # over the batches of this epoch: mean loss times rows,
    ptrdiff_t loss_rows                 # and the rows
    ptrdiff_t batches


cdef void scale_dropout(Job *job, double factor) noexcept nogil
cdef void run(Job *job, int worker) noexcept nogil
