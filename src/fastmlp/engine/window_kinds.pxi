# ---- convolution: Z (channels, positions) = f(W^T U + b) for each row, U what the window sees at each position ----
#
# W (k, channels), k = (input channel, i, j) within a group. U is unfolded a few positions at a time into the caller's
# scratch: never that of a whole row, let alone of a batch. Where the window is a single element, U is the input itself.

cdef inline ptrdiff_t positions_of(const Layer *layer) noexcept nogil:
    return layer.window.out[0] * layer.window.out[1]


cdef inline ptrdiff_t depth_of(const Layer *layer) noexcept nogil:
    """Elements of the window, those of all channels of a group."""
    return layer.window.channels * layer.window.size[0] * layer.window.size[1]


cdef inline bint is_pointwise(const Layer *layer) noexcept nogil:
    """Whether the window is one element that moves over all of the input."""
    cdef const fm_window *w = &layer.window
    return (w.size[0] == w.size[1] == 1 and w.stride[0] == w.stride[1] == 1 and w.out[0] == w.in_[0]
            and w.out[1] == w.in_[1])


cdef ptrdiff_t panel_positions(const Layer *layer, ptrdiff_t itemsize) noexcept nogil:
    """Positions that are unfolded at a time: a function of the shape alone."""
    cdef ptrdiff_t lanes = FM_ROW_BYTES // itemsize
    return min(positions_of(layer), max(lanes, UNFOLDED_BYTES // (depth_of(layer) * itemsize) // lanes * lanes))


cdef inline ptrdiff_t panel_ld(ptrdiff_t positions, ptrdiff_t itemsize) noexcept nogil:
    """Row stride of unfolded positions: whole lanes, and rows on different sets of the first-level cache."""
    cdef ptrdiff_t lanes = FM_ROW_BYTES // itemsize
    cdef ptrdiff_t ld = ceil_div(positions, lanes) * lanes
    return ld + lanes if ld * itemsize % ALIAS_BYTES == 0 else ld


cdef ptrdiff_t convolution_scratch(const Layer *layer, ptrdiff_t itemsize) noexcept nogil:
    """Bytes of an unfolded panel, and of the deltas of a row transposed."""
    cdef ptrdiff_t lanes = FM_ROW_BYTES // itemsize
    cdef ptrdiff_t channels_ld = ceil_div(layer.channels, lanes) * lanes
    return (depth_of(layer) * panel_ld(panel_positions(layer, itemsize), itemsize)
            + positions_of(layer) * channels_ld) * itemsize


cdef void forward_convolution(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                              char *z) noexcept nogil:
    cdef const fm_window *w = &layer.window
    cdef const char *weights = first_of(p, layer).value
    cdef const char *x
    cdef ptrdiff_t n = p.itemsize, positions = positions_of(layer), depth = depth_of(layer)
    cdef ptrdiff_t panel = panel_positions(layer, n), ld = panel_ld(panel, n), channels = layer.channels // layer.groups
    cdef ptrdiff_t plane = w.in_[0] * w.in_[1], i, g, q, at, count
    cdef char *out
    cdef bint pointwise = is_pointwise(layer)
    for i in range(v.rows):
        out = z + i * layer.ld * n
        p.kernels.spread(out, p.parameters[layer.first + BIAS].value, layer.channels, positions)
        for g in range(layer.groups):
            x = v.x.dense + (i * v.x.ld + g * w.channels * plane) * n
            for q in range(ceil_div(positions, panel)):
                at = q * panel
                count = min(panel, positions - at)
                if not pointwise:
                    p.kernels.unfold(v.scratch, ld, x, w, 0, depth, at, count)
                p.kernels.product(out + (g * channels * positions + at) * n, positions,
                                  weights + g * channels * n, 1, layer.channels,
                                  x + at * n if pointwise else v.scratch, positions if pointwise else ld,
                                  channels, count, depth, True, NULL, NULL, 0)
        if epilogue != p.kernels.forward[FM_ACTIVATION_identity]:
            epilogue(out, layer.constants, 1, layer.n_out, layer.ld)


cdef void backward_convolution(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope,
                               const char *activations, char *out, ptrdiff_t ld) noexcept nogil:
    """dL/dU = W delta, a few positions at a time, and each of its elements added where U has it from."""
    cdef const fm_window *w = &layer.window
    cdef const char *weights = first_of(p, layer).value
    cdef const char *delta
    cdef char *x
    cdef ptrdiff_t n = p.itemsize, positions = positions_of(layer), depth = depth_of(layer)
    cdef ptrdiff_t panel = panel_positions(layer, n), stride = panel_ld(panel, n)
    cdef ptrdiff_t channels = layer.channels // layer.groups, plane = w.in_[0] * w.in_[1], i, g, q, at, count
    cdef bint pointwise = is_pointwise(layer)
    for i in range(v.rows):
        if not pointwise:
            memset(out + i * ld * n, 0, layer.n_in * n)
        for g in range(layer.groups):
            x = out + (i * ld + g * w.channels * plane) * n
            delta = v.delta + (i * layer.ld + g * channels * positions) * n
            for q in range(ceil_div(positions, panel)):
                at = q * panel
                count = min(panel, positions - at)
                p.kernels.product(x + at * n if pointwise else v.scratch, positions if pointwise else stride,
                                  weights + g * channels * n, layer.channels, 1, delta + at * n, positions, depth,
                                  count, channels, False, NULL, NULL, 0)
                if not pointwise:
                    p.kernels.fold(x, v.scratch, stride, w, 0, depth, at, count)
        if slope != NULL:
            slope(out + i * ld * n, activations + i * ld * n, 1, layer.n_in, ld)


cdef void gradient_of_convolution(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start,
                                  ptrdiff_t stop, bint accumulate, char *gradient) noexcept nogil:
    """U delta^T for weights, with the deltas of a row transposed; the sums of planes for biases."""
    cdef const fm_window *w = &layer.window
    cdef ptrdiff_t n = p.itemsize, positions = positions_of(layer), channels = layer.channels // layer.groups
    cdef ptrdiff_t panel = panel_positions(layer, n), ld = panel_ld(panel, n), plane = w.in_[0] * w.in_[1]
    cdef ptrdiff_t lanes = FM_ROW_BYTES // n, channels_ld = ceil_div(layer.channels, lanes) * lanes
    cdef ptrdiff_t row, g, q, at, count
    cdef char *transposed = v.scratch + depth_of(layer) * ld * n
    cdef const char *x
    cdef bint pointwise = is_pointwise(layer)
    if not accumulate:
        memset(gradient, 0, (stop - start) * layer.channels * n)
    for row in range(v.rows):
        if i == BIAS:
            p.kernels.plane_sums(gradient, v.delta + row * layer.ld * n, layer.channels, positions)
            continue
        p.kernels.transpose(transposed, channels_ld, 0, v.delta + row * layer.ld * n, layer.channels, positions)
        for g in range(layer.groups):
            x = v.x.dense + (row * v.x.ld + g * w.channels * plane) * n
            for q in range(ceil_div(positions, panel)):
                at = q * panel
                count = min(panel, positions - at)
                if not pointwise:
                    p.kernels.unfold(v.scratch, ld, x, w, start, stop, at, count)
                p.kernels.product(gradient + g * channels * n, layer.channels,
                                  x + (start * positions + at) * n if pointwise else v.scratch,
                                  positions if pointwise else ld, 1,
                                  transposed + (at * channels_ld + g * channels) * n, channels_ld, stop - start,
                                  channels, count, True, NULL, NULL, 0)


# ---- pooling: the greatest element that the window sees, whose place is kept, or the mean ----

cdef void forward_maxpool(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                          char *z) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(v.rows):
        p.kernels.max_pool(z + i * layer.ld * p.itemsize,
                           <int32_t *> (v.own + i * layer.own_ld * p.itemsize) if v.own != NULL else NULL,
                           v.x.dense + i * v.x.ld * p.itemsize, &layer.window)


cdef void backward_maxpool(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope, const char *activations,
                           char *out, ptrdiff_t ld) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(v.rows):
        memset(out + i * ld * p.itemsize, 0, layer.n_in * p.itemsize)
        p.kernels.max_unpool(out + i * ld * p.itemsize, <const int32_t *> (v.own + i * layer.own_ld * p.itemsize),
                             v.delta + i * layer.ld * p.itemsize, &layer.window)
    if slope != NULL:
        slope(out, activations, v.rows, layer.n_in, ld)


cdef void forward_averagepool(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                              char *z) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(v.rows):
        p.kernels.mean_pool(z + i * layer.ld * p.itemsize, v.x.dense + i * v.x.ld * p.itemsize, &layer.window)


cdef void backward_averagepool(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope,
                               const char *activations, char *out, ptrdiff_t ld) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(v.rows):
        memset(out + i * ld * p.itemsize, 0, layer.n_in * p.itemsize)
        p.kernels.mean_unpool(out + i * ld * p.itemsize, v.delta + i * layer.ld * p.itemsize, &layer.window)
    if slope != NULL:
        slope(out, activations, v.rows, layer.n_in, ld)
