# ---- recurrence: gates of x_s W + h_(s-1) U + b for each step s, W and U the rows of one parameter ----
#
# A row is (channels, steps). Some rows take their steps together, in the order in which a direction takes them, the
# longest first: those whose sequences have ended are then the last ones, and no step does more than the others need.
# The sums of a step, z (rows, 4, units), are a GRU's of r, of u, of n from the input and of n from the state, or an
# LSTM's of i, f, g and o; biases have the same order. W and U have the columns of the gates, 3 or 4 times units.

# Workspaces of some rows.
ctypedef struct Room:
    char *weights                       # forward (channels + units, ld), backward (gates * units, ld): their transpose
    char *x                             # (steps, rows, channels): inputs, or what backward leaves of them
    char *states                        # (steps, rows, units): all states, or their deltas
    char *z                             # (rows, 4, units): sums, or their deltas
    char *h                             # (rows, units): states before, or deltas
    char *cells                         # (rows, units), and the deltas of them
    char *sums                          # (rows, units): of states, or each step's share of the mean's delta
    char *row                           # (channels, steps): what the second direction adds to a row


# Some rows in descending order of their lengths.
ctypedef struct Batch:
    ptrdiff_t rows, longest
    ptrdiff_t[RECURRENT_ROWS] row, length
    const char *rest[RECURRENT_ROWS]    # what the states are where there is no step: 0, or NaN where the length is NaN
    void *own[RECURRENT_ROWS]


cdef char *take(char **at, ptrdiff_t nbytes) noexcept nogil:
    """The next piece of a workspace, aligned."""
    cdef char *piece = at[0]
    at[0] = piece + ceil_div(nbytes, FM_ROW_BYTES) * FM_ROW_BYTES
    return piece


cdef ptrdiff_t lay_out(const Layer *layer, ptrdiff_t n, char *base, Room *room) noexcept nogil:
    """Divide a workspace that begins at base; returns its bytes."""
    cdef const Recurrence *r = &layer.recurrence
    cdef ptrdiff_t each = RECURRENT_ROWS * r.units * n, deep = r.channels + r.units, gates = r.gates * r.units
    cdef char *at = base
    room.weights = take(&at, max(deep * padded(gates, n), gates * padded(deep, n)) * n)
    room.x = take(&at, r.steps * RECURRENT_ROWS * r.channels * n)
    room.states = take(&at, r.steps * each if r.left == ALL_STATES else 0)
    room.z = take(&at, 4 * each)
    room.h = take(&at, each)
    room.cells = take(&at, each)
    room.sums = take(&at, each if r.left == MEAN_STATE else 0)
    room.row = take(&at, r.channels * r.steps * n if r.directions == 2 else 0)
    return at - base


cdef inline bint turned(const Recurrence *r, ptrdiff_t direction) noexcept nogil:
    """Whether a direction runs from the last step back."""
    return r.reverse or direction == 1


cdef inline const char *said_length(const Pass *p, const Recurrence *r, const View *v, ptrdiff_t row) noexcept nogil:
    """Where a row says how many steps it has: the last number of what the layer, or the network, reads."""
    if r.lengths == OF_INPUTS:
        return v.inputs + (row * v.inputs_ld + p.layers[0].n_in - 1) * p.itemsize
    return v.x.dense + (row * v.x.ld + r.channels * r.steps) * p.itemsize


cdef inline ptrdiff_t length_of(const Pass *p, const Recurrence *r, const View *v, ptrdiff_t row) noexcept nogil:
    """Steps of a row: of 0 to all of them those that are said, or -1 if that is NaN."""
    cdef const char *x
    cdef double length
    if r.lengths == OF_ALL_ROWS:
        return r.steps
    x = said_length(p, r, v, row)
    length = (<const float *> x)[0] if p.itemsize == sizeof(float) else (<const double *> x)[0]
    if length != length:
        return -1
    return <ptrdiff_t> min(max(length, 0.0), <double> r.steps)


cdef void line_up(const Pass *p, const Layer *layer, const View *v, ptrdiff_t first, ptrdiff_t direction,
                  Batch *b) noexcept nogil:
    """The rows of a view from the first-th on, RECURRENT_ROWS at most, as a batch."""
    cdef const Recurrence *r = &layer.recurrence
    cdef ptrdiff_t i, k, length
    b.rows = min(<ptrdiff_t> RECURRENT_ROWS, v.rows - first)
    for i in range(b.rows):
        length = length_of(p, r, v, first + i)
        k = i
        while k > 0 and b.length[k - 1] < length:
            b.row[k], b.length[k], b.rest[k] = b.row[k - 1], b.length[k - 1], b.rest[k - 1]
            k -= 1
        b.row[k], b.length[k] = first + i, max(length, <ptrdiff_t> 0)
        b.rest[k] = layer.constants if length >= 0 else said_length(p, r, v, first + i)
    b.longest = b.length[0]
    if v.own != NULL:
        for i in range(b.rows):
            b.own[i] = v.own + (b.row[i] * layer.own_ld + direction * r.steps * r.size) * p.itemsize


cdef inline void turn_row(const Pass *p, bint back, char *steps, ptrdiff_t ld, const char *planes, ptrdiff_t length,
                          ptrdiff_t all_steps, ptrdiff_t n) noexcept nogil:
    """steps (length, ld) = planes (n, all_steps) transposed, steps in the order in which they are taken."""
    if back:
        p.kernels.transpose(steps + (length - 1) * ld * p.itemsize, -ld, planes, all_steps, n, length)
    else:
        p.kernels.transpose(steps, ld, planes, all_steps, n, length)


cdef inline void turn_steps(const Pass *p, bint back, char *planes, ptrdiff_t all_steps, const char *steps,
                            ptrdiff_t ld, ptrdiff_t length, ptrdiff_t n) noexcept nogil:
    """The way back: planes (n, all_steps) = steps (length, ld) transposed."""
    if back:
        p.kernels.transpose(planes, all_steps, steps + (length - 1) * ld * p.itemsize, -ld, length, n)
    else:
        p.kernels.transpose(planes, all_steps, steps, ld, length, n)


cdef inline void add_sums(const Pass *p, const Recurrence *r, char *z, const char *a, ptrdiff_t a_ld, ptrdiff_t depth,
                          bint states, const char *weights, ptrdiff_t ld, ptrdiff_t rows) noexcept nogil:
    """z (rows, 4, units) += a (rows, depth) weights (depth, gates * units).

    Products that add are chains in ascending depth whatever the number of rows; others may be not.
    """
    cdef ptrdiff_t u = r.units, n = p.itemsize
    if r.gates == 4 or not states:
        p.kernels.product(z, 4 * u, a, a_ld, 1, weights, ld, rows, r.gates * u, depth, True, NULL, NULL, 0)
    else:
        p.kernels.product(z, 4 * u, a, a_ld, 1, weights, ld, rows, 2 * u, depth, True, NULL, NULL, 0)
        p.kernels.product(z + 3 * u * n, 4 * u, a, a_ld, 1, weights + 2 * u * n, ld, rows, u, depth, True, NULL, NULL,
                          0)


cdef inline void sums_back(const Pass *p, const Recurrence *r, char *out, ptrdiff_t width, bint states, const char *d,
                           const char *transposed, ptrdiff_t ld, ptrdiff_t rows) noexcept nogil:
    """out (rows, width) = d transposed (gates * units, ld) for inputs; for states it is added."""
    cdef ptrdiff_t u = r.units, n = p.itemsize
    if r.gates == 4 or not states:
        p.kernels.product(out, width, d, 4 * u, 1, transposed, ld, rows, width, r.gates * u, states, NULL, NULL, 0)
    else:
        p.kernels.product(out, width, d, 4 * u, 1, transposed, ld, rows, width, 2 * u, True, NULL, NULL, 0)
        p.kernels.product(out, width, d + 3 * u * n, 4 * u, 1, transposed + 2 * u * ld * n, ld, rows, width, u, True,
                          NULL, NULL, 0)


cdef void steps_forward(const Pass *p, const Layer *layer, const View *v, Batch *b, const Room *room,
                        ptrdiff_t direction, const char *weights, ptrdiff_t ld) noexcept nogil:
    """All steps of some rows; the last states are in room.h, all of them in room.states, their sums in room.sums."""
    cdef const Recurrence *r = &layer.recurrence
    cdef ptrdiff_t n = p.itemsize, u = r.units, channels = r.channels, rows = b.rows, each = RECURRENT_ROWS * u * n
    cdef ptrdiff_t s, i, count
    cdef const char *bias = p.parameters[layer.first + BIAS].value + direction * 4 * u * n
    cdef char *h = room.h
    cdef char *before = room.h
    cdef char *z
    for i in range(rows):
        turn_row(p, turned(r, direction), room.x + i * channels * n, RECURRENT_ROWS * channels,
                 v.x.dense + b.row[i] * v.x.ld * n, b.length[i], r.steps, channels)
        p.kernels.spread(room.h + i * u * n, b.rest[i], 1, u)
        if r.left == MEAN_STATE:
            p.kernels.spread(room.sums + i * u * n, b.rest[i], 1, u)
    memset(room.cells, 0, each)
    for s in range(b.longest):
        while b.length[rows - 1] <= s:
            rows -= 1
        z = room.z + (s % RECURRENT_ROWS * 4 * u * n if b.rows == 1 else 0)
        if z == room.z:
            # of a single row the inputs of several steps are rows of one product
            count = min(<ptrdiff_t> RECURRENT_ROWS, b.longest - s) if b.rows == 1 else rows
            for i in range(count):
                memcpy(z + i * 4 * u * n, bias, 4 * u * n)
            add_sums(p, r, z, room.x + s * RECURRENT_ROWS * channels * n,
                     channels * (RECURRENT_ROWS if b.rows == 1 else 1), channels, False, weights, ld, count)
        if s > 0:
            add_sums(p, r, z, before, u, u, True, weights + channels * ld * n, ld, rows)
        if r.left == ALL_STATES:
            h = room.states + s * each
        r.cell(h, before, room.cells, z, b.own if v.own != NULL else NULL, s * r.size, rows, u)
        before = h
        if r.left == MEAN_STATE:
            p.kernels.add_share(room.sums, h, 1, rows * u)


cdef void leave_states(const Pass *p, const Layer *layer, const Batch *b, const Room *room, ptrdiff_t direction,
                       char *z) noexcept nogil:
    """A direction's outputs."""
    cdef const Recurrence *r = &layer.recurrence
    cdef ptrdiff_t n = p.itemsize, u = r.units, width = layer.n_out // r.directions, i
    cdef char *out
    for i in range(b.rows):
        out = z + (b.row[i] * layer.ld + direction * width) * n
        if r.left == LAST_STATE:
            memcpy(out, room.h + i * u * n, u * n)
        elif r.left == MEAN_STATE:
            memset(out, 0, u * n)
            p.kernels.add_share(out, room.sums + i * u * n, 1.0 / <double> max(b.length[i], <ptrdiff_t> 1), u)
        else:
            if b.length[i] < r.steps:
                p.kernels.spread(out, b.rest[i], 1, width)
            turn_steps(p, turned(r, direction), out, r.steps, room.states + i * u * n, RECURRENT_ROWS * u, b.length[i],
                       u)


cdef void forward_recurrent(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                            char *z) noexcept nogil:
    cdef const Recurrence *r = &layer.recurrence
    cdef ptrdiff_t n = p.itemsize, gates = r.gates * r.units, columns = r.directions * gates, ld, direction, batch, i
    cdef const char *weights
    cdef Room room
    cdef Batch b
    lay_out(layer, n, v.scratch, &room)
    for direction in range(r.directions):
        weights, ld = first_of(p, layer).value + direction * gates * n, columns
        if columns * n % ALIAS_BYTES == 0 and v.rows > 1:
            # once for all steps, which read them again and again
            ld = padded(gates, n)
            for i in range(r.channels + r.units):
                memcpy(room.weights + i * ld * n, weights + i * columns * n, gates * n)
            weights = room.weights
        for batch in range(ceil_div(v.rows, RECURRENT_ROWS)):
            line_up(p, layer, v, batch * RECURRENT_ROWS, direction, &b)
            steps_forward(p, layer, v, &b, &room, direction, weights, ld)
            leave_states(p, layer, &b, &room, direction, z)


cdef void read_deltas(const Pass *p, const Layer *layer, const View *v, const Batch *b, const Room *room,
                      ptrdiff_t direction) noexcept nogil:
    """What a direction's states get from the layer behind."""
    cdef const Recurrence *r = &layer.recurrence
    cdef ptrdiff_t n = p.itemsize, u = r.units, i
    cdef const char *delta
    memset(room.h, 0, b.rows * u * n)
    memset(room.cells, 0, b.rows * u * n)
    for i in range(b.rows):
        delta = v.delta + (b.row[i] * layer.ld + direction * (layer.n_out // r.directions)) * n
        if r.left == LAST_STATE:
            memcpy(room.h + i * u * n, delta, u * n)
        elif r.left == MEAN_STATE:
            memset(room.sums + i * u * n, 0, u * n)
            p.kernels.add_share(room.sums + i * u * n, delta, 1.0 / <double> max(b.length[i], <ptrdiff_t> 1), u)
        else:
            turn_row(p, turned(r, direction), room.states + i * u * n, RECURRENT_ROWS * u, delta, b.length[i], r.steps,
                     u)


cdef void steps_back(const Pass *p, const Layer *layer, Batch *b, const Room *room, ptrdiff_t ld,
                     bint to_inputs) noexcept nogil:
    """Backpropagation through time, Werbos (1990): deltas of all steps' sums and, in room.x, of their inputs."""
    cdef const Recurrence *r = &layer.recurrence
    cdef ptrdiff_t n = p.itemsize, u = r.units, channels = r.channels, each = RECURRENT_ROWS * u * n, rows = 0, s
    for s in range(b.longest - 1, -1, -1):
        while rows < b.rows and b.length[rows] > s:
            rows += 1
        if r.left == MEAN_STATE:
            p.kernels.add_share(room.h, room.sums, 1, rows * u)
        elif r.left == ALL_STATES:
            p.kernels.add_share(room.h, room.states + s * each, 1, rows * u)
        r.back(room.h, room.cells, room.z, b.own, s * r.size, r.size, rows, u, p.trains)
        if to_inputs:
            sums_back(p, r, room.x + s * RECURRENT_ROWS * channels * n, channels, False, room.z, room.weights, ld, rows)
        if r.truncation > 0 and s % r.truncation == 0:  # what was before is taken as it is
            memset(room.h, 0, rows * u * n)
            memset(room.cells, 0, rows * u * n)
        elif s > 0:
            sums_back(p, r, room.h, u, True, room.z, room.weights + channels * n, ld, rows)


cdef void backward_recurrent(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope,
                             const char *activations, char *out, ptrdiff_t ld) noexcept nogil:
    """out NULL: the deltas of the sums alone, for the gradients of the parameters."""
    cdef const Recurrence *r = &layer.recurrence
    cdef ptrdiff_t n = p.itemsize, gates = r.gates * r.units, deep = r.channels + r.units
    cdef ptrdiff_t transposed_ld = padded(deep, n), direction, batch, i
    cdef Room room
    cdef Batch b
    cdef char *x
    lay_out(layer, n, v.scratch, &room)
    for direction in range(r.directions):
        p.kernels.transpose(room.weights, transposed_ld, first_of(p, layer).value + direction * gates * n,
                            r.directions * gates, deep, gates)
        for batch in range(ceil_div(v.rows, RECURRENT_ROWS)):
            line_up(p, layer, v, batch * RECURRENT_ROWS, direction, &b)
            read_deltas(p, layer, v, &b, &room, direction)
            steps_back(p, layer, &b, &room, transposed_ld, out != NULL)
            if out == NULL:
                continue
            for i in range(b.rows):
                x = out + b.row[i] * ld * n if direction == 0 else room.row
                if r.lengths != OF_ALL_ROWS:
                    memset(x, 0, (layer.n_in if direction == 0 else r.channels * r.steps) * n)
                turn_steps(p, turned(r, direction), x, r.steps, room.x + i * r.channels * n,
                           RECURRENT_ROWS * r.channels, b.length[i], r.channels)
                if direction == 1:
                    p.kernels.add_share(out + b.row[i] * ld * n, x, 1, r.channels * r.steps)
    if out != NULL and slope != NULL:
        slope(out, activations, v.rows, layer.n_in, ld)


cdef inline void add_over_steps(const Pass *p, char *out, ptrdiff_t columns, const char *a, ptrdiff_t a_row,
                                ptrdiff_t a_k, const char *deltas, ptrdiff_t size, ptrdiff_t rows, ptrdiff_t n,
                                ptrdiff_t length) noexcept nogil:
    """out (rows, n) += the sum over steps of a (rows,) by deltas (n,)."""
    if rows > 0 and length > 0:
        p.kernels.product(out, columns, a, a_row, a_k, deltas, size, rows, n, length, True, NULL, NULL, 0)


cdef void gradient_of_recurrent(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start,
                                ptrdiff_t stop, bint accumulate, char *gradient) noexcept nogil:
    """Row by row, products over its steps: inputs, and states of the steps before, with the deltas of the sums."""
    cdef const Recurrence *r = &layer.recurrence
    cdef ptrdiff_t n = p.itemsize, u = r.units, size = r.size, columns = p.parameters[layer.first + i].columns
    cdef ptrdiff_t inputs = min(stop, r.channels) - start, states = max(start, r.channels), row, direction, length
    cdef const char *x
    cdef const char *deltas
    cdef const char *h
    cdef char *out
    cdef bint back
    if not accumulate:
        memset(gradient, 0, (stop - start) * columns * n)
    for row in range(v.rows):
        length = length_of(p, r, v, row)
        for direction in range(r.directions):
            back = turned(r, direction)
            deltas = v.own + (row * layer.own_ld + direction * r.steps * size) * n
            out = gradient + direction * (columns // r.directions) * n
            if i == BIAS:
                add_over_steps(p, out, columns, <const char *> one_of(p), 1, 0, deltas, size, 1, 4 * u, length)
                continue
            x = v.x.dense + (row * v.x.ld + start * r.steps + (length - 1 if back else 0)) * n
            add_over_steps(p, out, columns, x, r.steps, -1 if back else 1, deltas, size, inputs, r.gates * u, length)
            out += (states - start) * columns * n
            h = deltas + (4 * u + states - r.channels) * n
            deltas += size * n
            add_over_steps(p, out, columns, h, 1, size, deltas, size, stop - states,
                           (4 if r.gates == 4 else 2) * u, length - 1)
            if r.gates == 3:
                add_over_steps(p, out + 2 * u * n, columns, h, 1, size, deltas + 3 * u * n, size, stop - states, u,
                               length - 1)
