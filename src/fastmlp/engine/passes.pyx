"""Rows forward through a network's layers and deltas back, for training, prediction and input gradients alike.

    forward     A_l = f(A_(l-1) W_l + b_l)
    backward    D_(l-1) = (D_l W_l^T) f'(A_(l-1))

Activations whose derivative is written in z keep Z_l for it beside A_l, if backward follows. With dropout A_l, and D_l
after the derivative, are multiplied by a mask of 0 and 1 / (1 - rate) that is a function of seed, update, layer, row's
place in the epoch and column alone; backward makes it again.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memset

from .kernels cimport FM_ACTIVATION_identity, fm_augmentation, fm_epilogue
from .layers cimport INPUTS, NO_SOURCE, Trace, View
from .threads cimport interrupted


# what is drawn, where dropout has the number of a layer
cdef uint64_t AUGMENTS = <uint64_t> 0x100000000ULL


cdef inline uint64_t mixed(uint64_t x) noexcept nogil:
    """A bijection of the 64-bit words: SplitMix64's step, Steele, Lea & Flood (2014), with Stafford's 13th mix."""
    x += <uint64_t> 0x9e3779b97f4a7c15ULL
    x = (x ^ (x >> 30)) * <uint64_t> 0xbf58476d1ce4e5b9ULL
    x = (x ^ (x >> 27)) * <uint64_t> 0x94d049bb133111ebULL
    return x ^ (x >> 31)


cdef uint64_t dropout_key(uint64_t seed, uint64_t update) noexcept nogil:
    """What the masks of an update are made from."""
    return mixed(mixed(seed) ^ update)


cdef void drop(const Pass *p, const Dropout *dropout, int layer, char *out, const char *source, ptrdiff_t first,
               ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld) noexcept nogil:
    """out = source times the mask of a layer's outputs (0: the input's) for the first-th row of the epoch and on."""
    p.kernels.dropout(out, source, rows, n, ld, mixed(p.dropout_key ^ <uint64_t> layer), first, dropout.threshold,
                      dropout.scale)


cdef void augment(const Pass *p, const fm_augmentation *augmentation, char *x, ptrdiff_t first, ptrdiff_t rows,
                  ptrdiff_t ld, char *room) noexcept nogil:
    """Change x, the first-th row of the epoch and those behind it; room has one row."""
    cdef uint64_t key = mixed(p.dropout_key ^ AUGMENTS), word
    cdef ptrdiff_t i
    for i in range(rows):
        word = mixed(key ^ <uint64_t> (first + i))
        p.kernels.augment(x + i * ld * p.itemsize, room, word, mixed(word), augmentation)


cdef inline char *own_of(const Trace *t, const Layer *layer, ptrdiff_t workspace, ptrdiff_t row,
                         ptrdiff_t itemsize) noexcept nogil:
    """What a layer's kind keeps of the rows from `row` on."""
    return t.own + workspace + row * layer.own_ld * itemsize if t.own != NULL else NULL


cdef inline void set_added(const Pass *p, const Rows *inputs, const Layer *layer, ptrdiff_t workspace, ptrdiff_t row,
                           View *v) noexcept nogil:
    """Say where the outputs are that a residual connection adds."""
    if layer.source == INPUTS:
        v.added = inputs.dense
        v.added_ld = inputs.ld
    elif layer.source != NO_SOURCE:
        v.added_ld = p.layers[layer.source].ld
        v.added = p.traces[layer.source].outputs + workspace + row * v.added_ld * p.itemsize


cdef void add_residuals(const Pass *p, int source, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t workspace, ptrdiff_t row,
                        char *out, ptrdiff_t ld) noexcept nogil:
    """Add to dL/d(outputs) of a layer, or the inputs, what comes back through the connections that add them."""
    cdef int l
    for l in range(p.n_layers - 1, source, -1):
        if p.layers[l].source == source:
            p.kernels.add_rows(out, ld, out, ld, p.traces[l].deltas + workspace + row * p.layers[l].ld * p.itemsize,
                               p.layers[l].ld, rows, n)


cdef bint forward_pass(const Pass *p, const Rows *inputs, int n_layers, ptrdiff_t first, ptrdiff_t rows,
                       ptrdiff_t workspace, ptrdiff_t row, char *scratch, Signals *signals) noexcept nogil:
    """Take rows, the first-th of the epoch and on, through the first n_layers layers.

    Layers leave their outputs from `row` on in the traces, `workspace` bytes behind where these begin; scratch is the
    worker's, for the kinds. False if a signal's handler has raised; signals NULL: signals are not looked for.
    """
    cdef View v
    cdef const Layer *layer
    cdef const Trace *t
    cdef fm_epilogue epilogue
    cdef ptrdiff_t at
    cdef char *z
    cdef char *outputs
    cdef int l
    v.x = inputs[0]
    v.inputs = inputs.dense
    v.inputs_ld = inputs.ld
    v.rows = rows
    v.delta = NULL
    v.scratch = scratch
    for l in range(n_layers):
        layer = &p.layers[l]
        t = &p.traces[l]
        at = workspace + row * layer.ld * p.itemsize
        z = t.activations + at
        v.own = own_of(t, layer, workspace, row, p.itemsize)
        if l == p.n_layers - 1:
            epilogue = p.output
        elif p.traced and layer.map != NULL:
            epilogue = p.kernels.forward[FM_ACTIVATION_identity]
        else:
            epilogue = layer.epilogue
        set_added(p, inputs, layer, workspace, row, &v)
        layer.kind.forward(p, layer, &v, epilogue, z + layer.at * p.itemsize)
        if layer.more:
            continue
        v.x.sparse = False
        v.x.dense = z
        v.x.ld = layer.ld
        if t.outputs != t.activations:
            outputs = t.outputs + at
            if layer.map != NULL:
                layer.map(outputs, z, rows, layer.n_out, layer.ld)
                v.x.dense = outputs
            if layer.dropout.on:
                drop(p, &layer.dropout, l + 1, outputs, v.x.dense, first, rows, layer.n_out, layer.ld)
                v.x.dense = outputs
        if signals != NULL and interrupted(signals):
            return False
    return True


cdef bint backward_pass(const Pass *p, const Rows *inputs, const Layer *top, const char *delta, ptrdiff_t first,
                        ptrdiff_t rows, ptrdiff_t workspace, ptrdiff_t row, char *scratch, Signals *signals, char *out,
                        ptrdiff_t ld) noexcept nogil:
    """Take the deltas of the last layer, or of a part of it, back to those of the first layer and on to out.

    top is the last layer or that part; delta has its row stride. The other arguments are those of :func:`forward_pass`.
    out (rows, ld) gets the gradients with respect to the inputs; NULL: they are not wanted.
    """
    cdef const Layer *layer = top
    cdef const Layer *below
    cdef const Trace *t
    cdef ptrdiff_t at, i
    cdef char *z = NULL
    cdef View v
    cdef int l
    v.x = inputs[0]
    v.inputs = inputs.dense
    v.inputs_ld = inputs.ld
    v.rows = rows
    v.delta = delta
    v.own = NULL
    v.scratch = scratch
    for l in range(p.n_layers - 2, -1, -1):
        below = &p.layers[l]
        t = &p.traces[l]
        at = workspace + row * below.ld * p.itemsize
        z = t.deltas + at
        v.x.dense = t.outputs + at
        v.x.ld = below.ld
        layer.kind.backward(p, layer, &v, below.slope if not below.read_again else NULL, t.activations + at, z,
                            below.ld)
        if below.read_again:
            add_residuals(p, l, rows, below.at + below.n_out, workspace, row, z, below.ld)
            if below.slope != NULL:
                below.slope(z, t.activations + at, rows, below.n_out, below.ld)
        if below.dropout.on:
            drop(p, &below.dropout, l + 1, z, z, first, rows, below.n_out, below.ld)
        if signals != NULL and interrupted(signals):
            return False
        layer = below
        v.delta = z
        v.own = own_of(t, below, workspace, row, p.itemsize)
        if below.beside:
            break
    if out == NULL and layer.recurrence.steps == 0:  # of a recurrence, gradient reads what backward finds
        return True
    v.x = inputs[0]
    if not layer.beside:
        layer.kind.backward(p, layer, &v, NULL, NULL, out, ld)
    else:
        for i in range(rows):
            memset(out + i * ld * p.itemsize, 0, layer.n_in * p.itemsize)
        while True:
            v.delta = z + layer.at * p.itemsize
            layer.kind.backward(p, layer, &v, NULL, NULL, out, ld)
            if layer.at == 0:
                break
            layer -= 1
    if out != NULL:
        add_residuals(p, INPUTS, rows, layer.n_in, workspace, row, out, ld)
    return True
