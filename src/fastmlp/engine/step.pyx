"""A training step in two phases: over blocks of rows, and over tiles of weights.

Rows phase: each worker takes blocks of the batch's rows through everything that is per row (gather, forward, loss,
deltas back). Weights phase: each worker takes tiles of the weights through gradient, penalty and optimizer. Rows do not
depend on each other in the first phase, tiles not in the second, and no sum is split by worker, so the result is the
same bit for bit for any number of threads. A batch of more than chunk_rows rows passes both phases chunk by chunk,
gradients added in chunk order, the step after the last.

    rows phase                                     weights phase
    A_0 = X[rows]                                  G_l = [G_l +] A_(l-1)^T D_l           a tile of its rows
    forward (passes.pyx)                           g = (G_l + alpha W_l) / sum of weights
    D_L = w dL/dz at z = A_(L-1) W_L + b_L, and y  optimizer's update of W_l and its state
    backward (passes.pyx)                          the same for b_l with the columns' sums of D_l

Clipping by norm needs the whole gradient first: the weights phase then keeps g and sums its squares, tile by tile, and
a third phase takes the steps with g c / max(|g|, c) (Pascanu et al., 2013). Where the lengths of the units' incoming
weights are limited (Srivastava et al., 2014, section 5.1) a phase over blocks of columns follows the steps, and the
transposes are made anew.

Where the activations of a batch are much more than the parameters, fetching them from the other cores' caches in the
weights phase would take longer than the products. The rows then form a few row groups, a function of the shapes alone:
the worker that takes a row group through the rows phase also sums its gradient, and the weights phase adds these
gradients in the order of the groups.
"""

from libc.math cimport rint, sqrt
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from .kernels cimport FM_MAX_STATES, fm_kernels, fm_update
from .layers cimport WEIGHTS, Dropout, Layer, Parameter, Pass, Trace, View
from .memory cimport ceil_div
from .passes cimport augment, backward_pass, drop, dropout_key, forward_pass
from .source cimport Rows, read_rows
from .threads cimport (
    FM_CLOSED, FM_END, FM_WAIT, Signals, fm_add_nanoseconds, fm_even, fm_finish, fm_flush_subnormals, fm_is_set,
    fm_open, fm_pause, fm_restore_subnormals, fm_seconds, fm_set, fm_take, interrupted,
)
from .tuning cimport LEAST_BLOCK_ROWS, SPINS


cdef inline double weight_of(const Job *job, ptrdiff_t i) noexcept nogil:
    """Sample weight of the i-th row in training order."""
    return job.sample_weight[job.reader.index[i] if job.reader.index != NULL else i]


# ---- rows phase ----

cdef void rows_phase(Job *job, ptrdiff_t first, ptrdiff_t rows, char *scratch, Signals *signals) noexcept nogil:
    """Take a block of rows, the first-th of the call and on, through gather, forward, loss and deltas."""
    cdef const Pass *net = &job.net
    cdef const fm_kernels *kernels = net.kernels
    cdef const Layer *last = &net.layers[net.n_layers - 1]
    cdef ptrdiff_t row = first - job.chunk, i
    cdef char *inputs = job.inputs + row * job.inputs_ld * net.itemsize
    cdef char *z = net.traces[net.n_layers - 1].deltas + row * last.ld * net.itemsize
    cdef double *weight = NULL
    cdef Rows x = read_rows(&job.reader, first, rows, inputs, job.inputs_ld, True)

    if job.augments:
        augment(net, &job.augmentation, inputs, job.first_row + first, rows, job.inputs_ld, scratch + job.scratch_kinds)
    if job.input_dropout.on:
        drop(net, &job.input_dropout, 0, inputs, inputs, job.first_row + first, rows, job.reader.n_features,
             job.inputs_ld)
    if job.reader.sparse:
        kernels.csr_cut[x.long_indices][x.double_values](
            job.cuts + row * job.n_cuts, job.n_cuts, job.cut_width, x.csr, x.index, first, rows)
    if not forward_pass(net, &x, net.n_layers, job.first_row + first, rows, 0, row, scratch + job.scratch_kinds,
                        signals):
        return
    if job.sample_weight != NULL:
        weight = <double *> (scratch + job.scratch_weights)
        for i in range(rows):
            weight[i] = weight_of(job, first + i)
    kernels.targets[job.target](scratch, job.targets, x.index, first, rows, last.n_out, last.ld, &job.loss_options)
    kernels.loss[job.loss_number](z, net.parameters[net.n_parameters - 1].value, scratch, weight, job.row_loss + row,
                                  rows, last.n_out, last.ld, &job.loss_options)
    backward_pass(net, &x, last, z, job.first_row + first, rows, 0, row, scratch + job.scratch_kinds, signals, NULL, 0)


cdef View view_of(const Job *job, int l, ptrdiff_t first, ptrdiff_t rows, char *scratch) noexcept nogil:
    """Rows of this chunk, the first-th of the call and on, as a layer has seen them."""
    cdef const Pass *net = &job.net
    cdef const Layer *layer = &net.layers[l]
    cdef const Trace *t = &net.traces[l]
    cdef ptrdiff_t row = first - job.chunk
    cdef View v
    v.rows = rows
    v.delta = t.deltas + (row * layer.ld + layer.at) * net.itemsize
    v.own = t.own + row * layer.own_ld * net.itemsize if t.own != NULL else NULL
    v.scratch = scratch + job.scratch_kinds
    v.x = read_rows(&job.reader, first, rows, job.inputs + row * job.inputs_ld * net.itemsize, job.inputs_ld, False)
    v.inputs = v.x.dense
    v.inputs_ld = v.x.ld
    if l == 0 or layer.beside:
        v.x.cuts = job.cuts + row * job.n_cuts
        v.x.n_cuts = job.n_cuts
        v.x.cut_width = job.cut_width
    else:
        v.x.sparse = False
        v.x.ld = net.layers[l - 1].ld
        v.x.dense = net.traces[l - 1].outputs + row * v.x.ld * net.itemsize
    return v


cdef void group_phase(Job *job, ptrdiff_t group, ptrdiff_t first, ptrdiff_t rows, char *scratch,
                      Signals *signals) noexcept nogil:
    """Take a group of rows through the rows phase and, while they are in this core's cache, sum their gradient."""
    cdef const Pass *net = &job.net
    cdef ptrdiff_t done = 0
    cdef char *gradients = job.group_gradients + group * job.group_stride * net.itemsize
    cdef const Parameter *p
    cdef const Layer *layer
    cdef View v
    cdef int i
    while done < rows:
        rows_phase(job, first + done, min(job.block_rows, rows - done), scratch, signals)
        if signals != NULL and signals.raised:
            return
        done += job.block_rows
    for i in range(net.n_parameters):
        p = &net.parameters[i]
        layer = &net.layers[p.layer]
        v = view_of(job, p.layer, first, rows, scratch)
        layer.kind.gradient(net, layer, i - layer.first, &v, 0, p.rows, False, gradients + p.offset * net.itemsize)


# ---- weights phase ----

# A tile's part of its parameter.
ctypedef struct Part:
    char *value
    char *gradient                      # in the parameter's buffer, or NULL if it has none
    void *state[FM_MAX_STATES]
    ptrdiff_t count                     # elements


cdef Part part_of(Job *job, const Tile *tile) noexcept nogil:
    cdef Parameter *p = &job.net.parameters[tile.parameter]
    cdef ptrdiff_t offset = tile.start * p.columns * job.net.itemsize
    cdef Part part
    cdef int s
    part.count = (tile.stop - tile.start) * p.columns
    part.value = p.value + offset
    part.gradient = p.gradient + offset if p.gradient != NULL else NULL
    for s in range(FM_MAX_STATES):
        part.state[s] = p.state[s] + offset if p.state[s] != NULL else NULL
    return part


cdef void weights_phase(Job *job, const Tile *tile, double *squares, double *norm, char *scratch) noexcept nogil:
    """Gradient of one tile over a chunk of rows and, after the last chunk, its step or its norm."""
    cdef Pass *net = &job.net
    cdef Parameter *p = &net.parameters[tile.parameter]
    cdef const Layer *layer = &net.layers[p.layer]
    cdef bint later_chunk = job.chunk > job.start, last_chunk = job.end == job.stop
    cdef Part part = part_of(job, tile)
    cdef char *gradient = scratch if last_chunk and not later_chunk and job.clip_norm == 0 else part.gradient
    cdef double sum_of_squares
    cdef View v

    if job.given != NULL:
        memcpy(gradient, job.given + (p.offset + tile.start * p.columns) * net.itemsize, part.count * net.itemsize)
    elif job.row_groups > 1:
        net.kernels.sum_parts(gradient,
                              job.group_gradients + (p.offset + tile.start * p.columns) * net.itemsize,
                              job.group_stride, job.row_groups, part.count)
    else:
        v = view_of(job, p.layer, job.chunk, job.end - job.chunk, scratch)
        layer.kind.gradient(net, layer, tile.parameter - layer.first, &v, tile.start, tile.stop, later_chunk, gradient)
    if not last_chunk:
        return
    if job.clip_norm == 0:
        take_step(job, tile, &part, gradient, &job.group_updates[p.group], squares)
    else:
        sum_of_squares = net.kernels.penalise(gradient, part.value, part.count, &job.group_updates[p.group], norm)
        squares[0] = sum_of_squares if job.groups[p.group].penalised else 0


cdef void take_step(Job *job, const Tile *tile, const Part *part, const char *gradient, const fm_update *update,
                    double *squares) noexcept nogil:
    """The optimizer's step on a tile; squares gets the sum of squares before it, or 0 if its group is not penalised."""
    cdef double sum_of_squares = job.step(part.value, gradient, <void **> part.state, part.count, update)
    squares[0] = sum_of_squares if job.groups[job.net.parameters[tile.parameter].group].penalised else 0
    if job.max_norm == 0:
        keep_transposed(job, tile)


cdef void step_phase(Job *job, const Tile *tile) noexcept nogil:
    """A tile's step with the gradient that the weights phase has left, scaled."""
    cdef Part part = part_of(job, tile)
    cdef fm_update update = job.group_updates[job.net.parameters[tile.parameter].group]
    cdef double squares
    update.alpha = 0
    update.inverse_weight = job.clip_factor
    take_step(job, tile, &part, part.gradient, &update, &squares)


cdef void columns_phase(Job *job, const Columns *columns) noexcept nogil:
    """Limit the lengths of some columns of a layer's weights."""
    cdef Parameter *p = &job.net.parameters[job.net.layers[columns.layer].first + WEIGHTS]
    job.net.kernels.max_norm(p.value, p.rows, p.columns, columns.first, columns.count, job.max_norm)


cdef void keep_transposed(Job *job, const Tile *tile) noexcept nogil:
    """Renew the part of a transpose that a tile has changed."""
    cdef Parameter *p = &job.net.parameters[tile.parameter]
    if p.transposed != NULL:
        job.net.kernels.transpose(p.transposed + tile.start * job.net.itemsize, p.transposed_ld,
                                  p.value + tile.start * p.columns * job.net.itemsize, p.columns,
                                  tile.stop - tile.start, p.columns)


cdef void prepare_phase(Job *job, const Tile *tile) noexcept nogil:
    """Transpose a tile; of an average x, make y = (1 - b1) z + b1 x of it first, with z = x before the first update."""
    cdef Part part
    if job.optimizer_row.averages and job.batches == 0 and job.first_row == 0:
        part = part_of(job, tile)
        if job.update.t == 0:
            memcpy(part.state[0], part.value, part.count * job.net.itemsize)
        else:
            job.net.kernels.blend(part.value, part.state[0], part.count, 1 - job.update.beta_1)
    keep_transposed(job, tile)


cdef void average_phase(Job *job, const Tile *tile) noexcept nogil:
    """Of y make the average x = y + (1 - 1 / b1) (z - y) again."""
    cdef Part part = part_of(job, tile)
    job.net.kernels.blend(part.value, part.state[0], part.count, 1 - 1 / job.update.beta_1)


# ---- from phase to phase ----

cdef void set_dropout(Dropout *dropout, double factor) noexcept nogil:
    """Let an update's share of dropped outputs be the factor times the rate."""
    dropout.threshold = <uint32_t> min(rint(65536.0 * factor * dropout.rate), 65535.0)
    dropout.scale = 65536.0 / (65536.0 - dropout.threshold)


cdef void scale_dropout(Job *job, double factor) noexcept nogil:
    """Set the dropout of all layers for an update."""
    cdef int l
    set_dropout(&job.input_dropout, factor)
    for l in range(job.net.n_layers):
        set_dropout(&job.net.layers[l].dropout, factor)


cdef void update_groups(Job *job) noexcept nogil:
    """What the next step of each group of parameters reads, from what it reads in common."""
    cdef const Group *group
    cdef fm_update *u
    cdef int i
    for i in range(job.net.n_groups):
        group = &job.groups[i]
        u = &job.group_updates[i]
        u[0] = job.update
        u.rate *= group.rate
        u.second_rate *= group.rate
        u.decay *= group.decay
        if u.keep != 1:
            u.keep = 1 - u.learning_rate * group.rate * (u.weight_decay * group.decay)
        if not group.penalised:
            u.alpha = 0


cdef void open_rows(Job *job) noexcept nogil:
    """Open the rows phase of the chunk that starts at job.chunk."""
    cdef ptrdiff_t rows
    job.end = min(job.chunk + job.chunk_rows, job.stop)
    rows = job.end - job.chunk
    if job.row_groups > 1:
        job.blocks = job.row_groups
    else:
        job.blocks = max(<ptrdiff_t> 1, ceil_div(rows, job.block_rows))
        if not job.uses_blas:  # BLAS may add in another order for another number of rows
            job.blocks = max(job.blocks, min(<ptrdiff_t> job.blocks_each * job.team_size, rows // LEAST_BLOCK_ROWS))
    job.stage = ROWS
    fm_open(&job.phases, job.blocks)


cdef void open_weights(Job *job) noexcept nogil:
    """Open the weights phase of a chunk, or of a gradient that is given; after the last chunk the step follows."""
    if job.end == job.stop:
        job.update.t += 1
        job.update.inverse_weight = 1.0 / job.weight if job.weight > 0 else 0.0
        if job.summed:
            job.update.inverse_weight = 1.0
        if job.rates != NULL:
            job.update.learning_rate = job.rates[job.batches]
        if job.decays != NULL:
            job.update.weight_decay = job.decays[job.batches]
        job.optimizer_row.prepare(&job.update)
        update_groups(job)
    job.stage = WEIGHTS_STAGE
    fm_open(&job.phases, job.n_tiles)


cdef void close(Job *job) noexcept nogil:
    """End the call: parameters that are averages between epochs become so when an epoch ends."""
    if job.optimizer_row.averages and (not job.more or fm_is_set(&job.abandoned)):
        job.stage = AVERAGE
        fm_open(&job.phases, job.n_tiles)
    else:
        fm_open(&job.phases, FM_CLOSED)


cdef void open_batch(Job *job, ptrdiff_t start) noexcept nogil:
    """Open the batch that starts at row start, or end the epoch."""
    if start >= job.n_rows:
        close(job)
        return
    job.start = start
    job.stop = min(start + job.batch_size, job.n_rows)
    job.net.dropout_key = dropout_key(job.seed, <uint64_t> job.update.t)
    if job.dropout_factors != NULL:
        scale_dropout(job, job.dropout_factors[job.batches])
    job.chunk = start
    if job.given != NULL:  # with its weight and loss
        job.end = job.stop
        open_weights(job)
        return
    job.weight = 0
    job.loss = 0
    open_rows(job)


cdef void close_batch(Job *job) noexcept nogil:
    """After the last step of a batch: its loss, and the next batch or, before it, the limit on the columns."""
    cdef double squares = 0
    cdef ptrdiff_t i
    for i in range(job.n_tiles):
        squares += job.tile_squares[i]
    job.loss_rows += job.stop - job.start
    job.loss_sum += ((job.loss + 0.5 * job.update.alpha * squares) * job.update.inverse_weight
                     * <double> (job.stop - job.start))
    job.batches += 1
    if job.max_norm > 0:
        job.stage = COLUMNS
        fm_open(&job.phases, job.n_columns)
    else:
        open_batch(job, job.stop)


cdef void open_next(Job *job) noexcept nogil:
    """What follows the phase whose last item is done: the sums over its items, in their order, and the next phase."""
    cdef ptrdiff_t i
    cdef double norm = 0
    if job.stage == PREPARE:
        open_batch(job, job.stop)
    elif job.stage == ROWS:
        if fm_is_set(&job.abandoned):
            close(job)
            return
        for i in range(job.end - job.chunk):
            job.loss += job.row_loss[i]
        if job.sample_weight == NULL:
            job.weight += <double> (job.end - job.chunk)
        else:
            for i in range(job.chunk, job.end):
                job.weight += weight_of(job, i)
        open_weights(job)
    elif job.stage == WEIGHTS_STAGE and job.end < job.stop:
        job.chunk = job.end
        open_rows(job)
    elif job.stage == WEIGHTS_STAGE and job.clip_norm > 0:
        for i in range(job.n_tiles):
            norm += job.tile_norms[i]
        norm = sqrt(norm)
        # in this order NaN stays
        job.clip_factor = 1 if norm <= job.clip_norm else job.clip_norm / norm
        job.stage = STEPS
        fm_open(&job.phases, job.n_tiles)
    elif job.stage == WEIGHTS_STAGE or job.stage == STEPS:
        close_batch(job)
    elif job.stage == COLUMNS:
        job.stage = PREPARE
        fm_open(&job.phases, job.n_tiles)
    else:
        fm_open(&job.phases, FM_CLOSED)


cdef void run(Job *job, int worker) noexcept nogil:
    """An epoch, as each thread of the team runs it: take items until there are no more phases."""
    cdef char *scratch = job.scratch + worker * job.scratch_size
    cdef unsigned long long mode = fm_flush_subnormals()
    cdef Signals *signals = &job.signals if worker == 0 else NULL
    cdef ptrdiff_t i, first, rows
    cdef int spins = 0
    cdef double waited = 0
    while True:
        i = fm_take(&job.phases, worker)
        if i == FM_END:
            break
        if worker == 0 and interrupted(&job.signals):
            # heeded at the end of a rows phase, so that every batch is trained whole or not at all
            fm_set(&job.abandoned)
        if i == FM_WAIT:
            if spins >= SPINS and fm_even(&job.phases, job.team_size):
                waited -= fm_seconds()
                fm_pause(spins)
                waited += fm_seconds()
            else:
                fm_pause(spins)
            spins += 1
            continue
        spins = 0
        if job.stage == ROWS:
            rows = job.end - job.chunk
            first = job.chunk + rows * i // job.blocks
            rows = job.chunk + rows * (i + 1) // job.blocks - first
            if job.row_groups > 1:
                group_phase(job, i, first, rows, scratch, signals)
            else:
                rows_phase(job, first, rows, scratch, signals)
            if worker == 0 and job.signals.raised:
                fm_set(&job.abandoned)
        elif job.stage == WEIGHTS_STAGE:
            weights_phase(job, &job.tiles[i], &job.tile_squares[i], &job.tile_norms[i], scratch)
        elif job.stage == STEPS:
            step_phase(job, &job.tiles[i])
        elif job.stage == COLUMNS:
            columns_phase(job, &job.columns[i])
        elif job.stage == PREPARE:
            prepare_phase(job, &job.tiles[i])
        else:
            average_phase(job, &job.tiles[i])
        if fm_finish(&job.phases):
            open_next(job)
    fm_add_nanoseconds(&job.waited, waited)
    if worker == 0:
        job.finished = fm_seconds()
    fm_restore_subnormals(mode)
