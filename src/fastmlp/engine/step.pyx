"""A training step in two phases: over blocks of rows, and over tiles of weights.

Rows phase: each thread takes blocks of the batch's rows through everything that is per row (gather, forward, loss,
deltas back). Weights phase: each thread takes tiles of the weights through gradient, penalty and optimizer. Rows do not
depend on each other in the first phase, tiles not in the second, and no sum is split by thread, so the result is the
same bit for bit for any number of threads. A batch of more than chunk_rows rows passes both phases chunk by chunk,
gradients added in chunk order, the step after the last.

    rows phase                                     weights phase
    A_0 = X[rows]                                  G_l = [G_l +] A_(l-1)^T D_l           a tile of its rows
    A_l = f(A_(l-1) W_l + b_l)                     g = (G_l + alpha W_l) / sum of weights
    D_L = w dL/dz at z = A_(L-1) W_L + b_L, and y  optimizer's update of W_l and its state
    D_(l-1) = (D_l W_l^T) f'(A_(l-1))              the same for b_l with the columns' sums of D_l

Activations whose derivative is written in z keep Z_l for it beside A_l. With dropout A_l, and D_l after the derivative,
are multiplied by a mask of 0 and 1 / (1 - rate) that is a function of seed, update, layer, row's place in the epoch and
column alone; backward makes it again.

Clipping by norm needs the whole gradient first: the weights phase then keeps g and sums its squares, tile by tile, and
a third phase takes the steps with g c / max(|g|, c) (Pascanu et al., 2013). Where the lengths of the units' incoming
weights are limited (Srivastava et al., 2014, section 5.1) a phase over blocks of columns follows the steps, and the
transposes are made anew.

Where the activations of a batch are much more than the parameters, fetching them from the other cores' caches in the
weights phase would take longer than the products. The rows then form a few groups, a function of the shapes alone: who
takes a group through the rows phase also sums its gradient, and the weights phase adds the groups' in their order.
"""

from libc.math cimport sqrt
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from .kernels cimport FM_MAX_STATES, fm_kernels, fm_update
from .memory cimport ceil_div
from .products cimport Layer, Rows, bias_gradient, forward_product, input_gradient, weight_gradient
from .source cimport read_rows
from .threads cimport (
    FM_CLOSED, FM_END, FM_WAIT, fm_add_nanoseconds, fm_even, fm_finish, fm_flush_subnormals, fm_is_set, fm_open,
    fm_pause, fm_restore_subnormals, fm_seconds, fm_set, fm_take, interrupted,
)
from .tuning cimport LEAST_BLOCK_ROWS, SPINS


cdef inline double weight_of(const Job *job, ptrdiff_t i) noexcept nogil:
    """Sample weight of the i-th row in training order."""
    return job.sample_weight[job.reader.index[i] if job.reader.index != NULL else i]


# ---- rows phase ----

cdef inline uint64_t mixed(uint64_t x) noexcept nogil:
    """A bijection of the 64-bit words: SplitMix64's step, Steele, Lea & Flood (2014), with Stafford's 13th mix."""
    x += <uint64_t> 0x9e3779b97f4a7c15ULL
    x = (x ^ (x >> 30)) * <uint64_t> 0xbf58476d1ce4e5b9ULL
    x = (x ^ (x >> 27)) * <uint64_t> 0x94d049bb133111ebULL
    return x ^ (x >> 31)


cdef void drop(const Job *job, const Dropout *dropout, int layer, char *out, const char *source, ptrdiff_t first,
               ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld) noexcept nogil:
    """out = source times the mask of a layer's outputs (0: the input's) for the first-th row of the epoch and on."""
    cdef uint64_t key = mixed(mixed(mixed(job.seed) ^ <uint64_t> job.update.t) ^ <uint64_t> layer)
    job.kernels.dropout(out, source, rows, n, ld, key, first, dropout.threshold, dropout.scale)


cdef void rows_phase(Job *job, ptrdiff_t first, ptrdiff_t rows, char *scratch, bint watching) noexcept nogil:
    """Take a block of rows, the first-th of the epoch and on, through gather, forward, loss and deltas."""
    cdef const fm_kernels *kernels = job.kernels
    cdef ptrdiff_t offset = (first - job.chunk) * job.itemsize
    cdef int last = job.n_layers - 1, l
    cdef Trained *t
    cdef Trained *below
    cdef Rows x = read_rows(&job.reader, first, rows, job.inputs + offset * job.inputs_ld, job.inputs_ld, True)
    cdef const ptrdiff_t *index = x.index
    cdef char *z = NULL
    cdef char *outputs
    cdef double *weight = NULL
    cdef ptrdiff_t i

    if job.input_dropout.on:
        z = job.inputs + offset * job.inputs_ld
        drop(job, &job.input_dropout, 0, z, z, first, rows, job.reader.n_features, job.inputs_ld)
    if job.reader.sparse:
        kernels.csr_cut[x.long_indices][x.double_values](
            job.cuts + (first - job.chunk) * job.n_cuts, job.n_cuts, job.cut_width, x.csr, index, first, rows)

    for l in range(job.n_layers):
        t = &job.layers[l]
        z = (t.deltas if l == last else t.activations) + offset * t.layer.ld
        forward_product(kernels, &job.blas, &t.layer, &x, rows, z)
        x.dense = z
        x.ld = t.layer.ld
        if l != last and t.outputs != t.activations:
            outputs = t.outputs + offset * t.layer.ld
            if t.map != NULL:
                t.map(outputs, z, rows, t.layer.n_out, t.layer.ld)
                x.dense = outputs
            if t.dropout.on:
                drop(job, &t.dropout, l + 1, outputs, x.dense, first, rows, t.layer.n_out, t.layer.ld)
                x.dense = outputs
        if watching and interrupted(&job.signals):
            return

    if job.sample_weight != NULL:
        weight = <double *> (scratch + job.scratch_weights)
        for i in range(rows):
            weight[i] = weight_of(job, first + i)
    t = &job.layers[last]
    kernels.targets[job.target](scratch, job.targets, index, first, rows, t.layer.n_out,
                                t.layer.ld, &job.loss_options)
    kernels.loss[job.loss_number](z, t.layer.bias, scratch, weight,
                                  job.row_loss + (first - job.chunk), rows, t.layer.n_out, t.layer.ld,
                                  &job.loss_options)
    for l in range(last, 0, -1):
        t = &job.layers[l]
        below = &job.layers[l - 1]
        z = below.deltas + offset * below.layer.ld
        input_gradient(kernels, &job.blas, &t.layer, t.deltas + offset * t.layer.ld, rows, below.backward,
                       below.activations + offset * below.layer.ld, z, below.layer.ld)
        if below.dropout.on:
            drop(job, &below.dropout, l, z, z, first, rows, below.layer.n_out, below.layer.ld)
        if watching and interrupted(&job.signals):
            return


cdef void group_phase(Job *job, ptrdiff_t group, ptrdiff_t first, ptrdiff_t rows, char *scratch,
                      bint watching) noexcept nogil:
    """Take a group of rows through the rows phase and, while they are in this core's cache, sum their gradient."""
    cdef ptrdiff_t offset = (first - job.chunk) * job.itemsize, done = 0
    cdef char *gradient = job.group_gradients + group * job.group_stride * job.itemsize
    cdef const char *deltas
    cdef Layer *layer
    cdef Rows x
    cdef int l

    while done < rows:
        rows_phase(job, first + done, min(job.block_rows, rows - done), scratch, watching)
        if watching and job.signals.raised:
            return
        done += job.block_rows
    x = read_rows(&job.reader, first, rows, job.inputs + offset * job.inputs_ld, job.inputs_ld, False)
    for l in range(job.n_layers):
        layer = &job.layers[l].layer
        deltas = job.layers[l].deltas + offset * layer.ld
        weight_gradient(job.kernels, &job.blas, layer, &x, deltas, rows, 0, layer.n_in, job.itemsize, False,
                        gradient + (layer.weights - job.parameters))
        bias_gradient(job.kernels, layer, deltas, rows, job.itemsize, False,
                      gradient + (layer.bias - job.parameters))
        x.dense = job.layers[l].outputs + offset * layer.ld
        x.ld = layer.ld


# ---- weights phase ----

# A tile's part of its layer.
ctypedef struct Part:
    char *weights
    char *gradient                      # in the layer's buffer, or NULL if it has none
    void *state[FM_MAX_STATES]
    ptrdiff_t offset, count             # bytes from the layer's first weight or bias, elements


cdef Part part_of(Job *job, const Tile *tile) noexcept nogil:
    cdef Trained *t = &job.layers[tile.layer]
    cdef bint bias = tile.start < 0
    cdef char *gradient = t.bias_gradient if bias else t.weight_gradient
    cdef char *state
    cdef Part part
    cdef int s
    part.offset = 0 if bias else tile.start * t.layer.n_out * job.itemsize
    part.count = t.layer.n_out if bias else (tile.stop - tile.start) * t.layer.n_out
    part.weights = (t.layer.bias if bias else t.layer.weights) + part.offset
    part.gradient = gradient + part.offset if gradient != NULL else NULL
    for s in range(FM_MAX_STATES):
        state = t.bias_state[s] if bias else t.weight_state[s]
        part.state[s] = state + part.offset if state != NULL else NULL
    return part


cdef void weights_phase(Job *job, const Tile *tile, double *squares, double *norm, char *scratch) noexcept nogil:
    """Gradient of one tile over a chunk of rows and, after the last chunk, its step or its norm."""
    cdef Trained *t = &job.layers[tile.layer]
    cdef Layer *layer = &t.layer
    cdef bint later_chunk = job.chunk > job.start, last_chunk = job.end == job.stop
    cdef Part part = part_of(job, tile)
    cdef char *gradient = scratch if last_chunk and not later_chunk and job.clip_norm == 0 else part.gradient
    cdef ptrdiff_t rows = job.end - job.chunk
    cdef fm_update update
    cdef Rows x

    if job.groups > 1:
        job.kernels.sum_parts(gradient, job.group_gradients + (part.weights - job.parameters), job.group_stride,
                              job.groups, part.count)
    elif tile.start < 0:
        bias_gradient(job.kernels, layer, t.deltas, rows, job.itemsize, later_chunk, gradient)
    else:
        if tile.layer == 0:
            x = read_rows(&job.reader, job.chunk, rows, job.inputs, job.inputs_ld, False)
            x.cuts = job.cuts
            x.n_cuts = job.n_cuts
            x.cut_width = job.cut_width
        else:
            x.dense = job.layers[tile.layer - 1].outputs
            x.ld = job.layers[tile.layer - 1].layer.ld
        weight_gradient(job.kernels, &job.blas, layer, &x, t.deltas, rows, tile.start, tile.stop, job.itemsize,
                        later_chunk, gradient)
    if not last_chunk:
        return
    if job.clip_norm == 0:
        take_step(job, tile, &part, gradient, &job.update, squares)
    elif tile.start >= 0:
        squares[0] = job.kernels.penalise(gradient, part.weights, part.count, &job.update, norm)
    else:
        update = job.update
        update.alpha = 0
        job.kernels.penalise(gradient, part.weights, part.count, &update, norm)


cdef void take_step(Job *job, const Tile *tile, const Part *part, const char *gradient, const fm_update *update,
                    double *squares) noexcept nogil:
    """The optimizer's step on a tile; biases are neither penalised nor decayed."""
    cdef fm_update of_bias
    if tile.start < 0:
        of_bias = update[0]
        of_bias.alpha = 0
        of_bias.decay = 0
        of_bias.keep = 1
        job.step(part.weights, gradient, <void **> part.state, part.count, &of_bias)
        return
    squares[0] = job.step(part.weights, gradient, <void **> part.state, part.count, update)
    if job.max_norm == 0:
        keep_transposed(job, tile)


cdef void step_phase(Job *job, const Tile *tile) noexcept nogil:
    """A tile's step with the gradient that the weights phase has kept, scaled."""
    cdef Part part = part_of(job, tile)
    cdef fm_update update = job.update
    cdef double squares
    update.alpha = 0
    update.inverse_weight = job.clip_factor
    take_step(job, tile, &part, part.gradient, &update, &squares)


cdef void columns_phase(Job *job, const Columns *columns) noexcept nogil:
    """Limit the lengths of some columns of a layer's weights."""
    cdef Layer *layer = &job.layers[columns.layer].layer
    job.kernels.max_norm(layer.weights, layer.n_in, layer.n_out, columns.first, columns.count, job.max_norm)


cdef void keep_transposed(Job *job, const Tile *tile) noexcept nogil:
    """Renew the part of the transposed weights that a tile has changed."""
    cdef Layer *layer = &job.layers[tile.layer].layer
    if layer.transposed != NULL and tile.start >= 0:
        job.kernels.transpose(layer.transposed, layer.transposed_ld, tile.start,
                              layer.weights + tile.start * layer.n_out * job.itemsize, tile.stop - tile.start,
                              layer.n_out)


cdef void prepare_phase(Job *job, const Tile *tile) noexcept nogil:
    """Transpose a tile; of an average x, make y = (1 - b1) z + b1 x of it first, with z = x before the first update."""
    cdef Part part
    if job.optimizer_row.averages and job.batches == 0:
        part = part_of(job, tile)
        if job.update.t == 0:
            memcpy(part.state[0], part.weights, part.count * job.itemsize)
        else:
            job.kernels.blend(part.weights, part.state[0], part.count, 1 - job.update.beta_1)
    keep_transposed(job, tile)


cdef void finish_phase(Job *job, const Tile *tile) noexcept nogil:
    """Of y make the average x = y + (1 - 1 / b1) (z - y) again."""
    cdef Part part = part_of(job, tile)
    job.kernels.blend(part.weights, part.state[0], part.count, 1 - 1 / job.update.beta_1)


# ---- from phase to phase ----

cdef void open_rows(Job *job) noexcept nogil:
    """Open the rows phase of the chunk that starts at job.chunk."""
    cdef ptrdiff_t rows
    job.end = min(job.chunk + job.chunk_rows, job.stop)
    rows = job.end - job.chunk
    if job.groups > 1:
        job.blocks = job.groups
    else:
        job.blocks = max(<ptrdiff_t> 1, ceil_div(rows, job.block_rows))
        if not job.uses_blas:  # BLAS may add in another order for another number of rows
            job.blocks = max(job.blocks, min(<ptrdiff_t> job.blocks_each * job.team_size, rows // LEAST_BLOCK_ROWS))
    job.stage = ROWS
    fm_open(&job.phases, job.blocks)


cdef void close(Job *job) noexcept nogil:
    """End the epoch: parameters that are averages between epochs become so first."""
    if job.optimizer_row.averages:
        job.stage = FINISH
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
    job.chunk = start
    job.weight = 0
    job.loss = 0
    open_rows(job)


cdef void close_batch(Job *job) noexcept nogil:
    """After the last step of a batch: its loss, and the next batch or, before it, the limit on the columns."""
    cdef double squares = 0
    cdef ptrdiff_t i
    for i in range(job.n_tiles):
        squares += job.tile_squares[i]
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
        if job.end == job.stop:
            job.update.t += 1
            job.update.inverse_weight = 1.0 / job.weight if job.weight > 0 else 0.0
            if job.rates != NULL:
                job.update.learning_rate = job.rates[job.batches]
            job.optimizer_row.prepare(&job.update)
        job.stage = WEIGHTS
        fm_open(&job.phases, job.n_tiles)
    elif job.stage == WEIGHTS and job.end < job.stop:
        job.chunk = job.end
        open_rows(job)
    elif job.stage == WEIGHTS and job.clip_norm > 0:
        for i in range(job.n_tiles):
            norm += job.tile_norms[i]
        norm = sqrt(norm)
        # in this order NaN stays
        job.clip_factor = 1 if norm <= job.clip_norm else job.clip_norm / norm
        job.stage = STEPS
        fm_open(&job.phases, job.n_tiles)
    elif job.stage == WEIGHTS or job.stage == STEPS:
        close_batch(job)
    elif job.stage == COLUMNS:
        job.stage = PREPARE
        fm_open(&job.phases, job.n_tiles)
    else:
        fm_open(&job.phases, FM_CLOSED)


cdef void run(Job *job, int member) noexcept nogil:
    """An epoch, as each thread of the team runs it: take items until there are no more phases."""
    cdef char *scratch = job.scratch + member * job.scratch_size
    cdef unsigned long long mode = fm_flush_subnormals()
    cdef ptrdiff_t i, first, rows
    cdef int spins = 0
    cdef double waited = 0
    while True:
        i = fm_take(&job.phases, member)
        if i == FM_END:
            break
        if member == 0 and interrupted(&job.signals):
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
            if job.groups > 1:
                group_phase(job, i, first, rows, scratch, member == 0)
            else:
                rows_phase(job, first, rows, scratch, member == 0)
            if member == 0 and job.signals.raised:
                fm_set(&job.abandoned)
        elif job.stage == WEIGHTS:
            weights_phase(job, &job.tiles[i], &job.tile_squares[i], &job.tile_norms[i], scratch)
        elif job.stage == STEPS:
            step_phase(job, &job.tiles[i])
        elif job.stage == COLUMNS:
            columns_phase(job, &job.columns[i])
        elif job.stage == PREPARE:
            prepare_phase(job, &job.tiles[i])
        else:
            finish_phase(job, &job.tiles[i])
        if fm_finish(&job.phases):
            open_next(job)
    fm_add_nanoseconds(&job.waited, waited)
    if member == 0:
        job.finished = fm_seconds()
    fm_restore_subnormals(mode)
