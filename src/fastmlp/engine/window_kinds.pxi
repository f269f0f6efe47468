# ---- convolution: Z (channels, positions) = f(W^T U + b) for each row, U (k, positions) what the window sees ----
#
# W (k, channels), k = (input channel, i, j) within a group. U is made a few positions at a time, never that of a whole
# row, let alone of a batch. Where the window moves by one element, planes get their zeros around them (framed), and
# positions are counted through their whole width: each row of U then is a piece of the framed planes, k's shift away,
# and a few columns of the outputs that mean nothing are cut off. Otherwise U is gathered element by element.
#
#   forward     Z = W^T U
#   gradient    dW = U D^T
#   backward    dX = W U', U' what the turned window sees of the framed D; with strides or groups U's elements are
#               added where they come from: dU = W D

cdef inline ptrdiff_t whole_lanes(ptrdiff_t n, ptrdiff_t itemsize) noexcept nogil:
    return ceil_div(n * itemsize, FM_ROW_BYTES) * FM_ROW_BYTES // itemsize


cdef inline ptrdiff_t depth_of(const Layer *layer) noexcept nogil:
    """Elements that a sum runs over."""
    return layer.window.channels * layer.window.size[0] * layer.window.size[1]


cdef ptrdiff_t lay_out_convolution(Layer *layer, Unfolding *at, ptrdiff_t itemsize, bint back) noexcept:
    """Say where in a worker's scratch things are, behind the framed planes; returns its bytes."""
    cdef const fm_window *w = &layer.window
    cdef ptrdiff_t framed = 0, depth = depth_of(layer), height = w.out[0], channels = layer.channels
    at.width = w.out[1]
    if back and layer.delta_shifts != NULL:
        framed = layer.channels * layer.framed_delta[0] * layer.framed_delta[1]
        at.width, height = layer.framed_delta[1], w.in_[0]
        depth = layer.channels * w.size[0] * w.size[1]
        channels = w.channels
        at.positions = (height - 1) * at.width + w.in_[1]
    elif not back and layer.shifts != NULL:
        framed = w.channels * layer.groups * layer.framed[0] * layer.framed[1]
        at.width = layer.framed[1]
        at.positions = (height - 1) * at.width + w.out[1]
    else:
        at.positions = height * at.width
    # a function of the shape alone
    at.panel = min(at.positions, max(whole_lanes(1, itemsize),
                                     whole_lanes(UNFOLDED_BYTES // (depth * itemsize), itemsize)))
    at.ld = padded(at.panel, itemsize)
    # the last positions are made whole lanes, whose elements are read behind the framed planes
    at.unfolded = whole_lanes(framed, itemsize) + whole_lanes(1, itemsize)
    at.plane = whole_lanes(height * at.width, itemsize)
    at.sums = at.unfolded + depth * at.ld
    at.turned = at.sums + channels * at.plane
    at.channels_ld = whole_lanes(layer.channels, itemsize)
    return (at.turned + (0 if back else height * at.width * at.channels_ld)) * itemsize


cdef const char *framed_input(const Pass *p, const Layer *layer, const View *v, ptrdiff_t row) noexcept nogil:
    """A row of the input, with zeros around its planes where the sums are shifted and there are any."""
    cdef const fm_window *w = &layer.window
    cdef const char *x = v.x.dense + row * v.x.ld * p.itemsize
    if layer.shifts == NULL or (layer.framed[0] == w.in_[0] and layer.framed[1] == w.in_[1]):
        return x
    p.kernels.frame(v.scratch, layer.framed[0], layer.framed[1], x, w.in_[0] * w.in_[1], w.channels * layer.groups,
                    w.in_[0], w.in_[1], w.before[0], w.before[1])
    return v.scratch


cdef void unfold(const Pass *p, const Layer *layer, char *u, const Unfolding *at, const char *x, ptrdiff_t group,
                 ptrdiff_t start, ptrdiff_t stop, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """Rows start to stop of U of a group of channels, `count` positions of it from the first-th on."""
    cdef const fm_window *w = &layer.window
    if layer.shifts != NULL:
        x += (group * w.channels * layer.framed[0] * layer.framed[1] + first) * p.itemsize
        p.kernels.shifted(u, at.ld, x, layer.shifts + start, stop - start, count)
    else:
        p.kernels.unfold(u, at.ld, x + group * w.channels * w.in_[0] * w.in_[1] * p.itemsize, w, start, stop, first,
                         count)


cdef void forward_convolution(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                              char *z) noexcept nogil:
    cdef const fm_window *w = &layer.window
    cdef ptrdiff_t n = p.itemsize, channels = layer.channels // layer.groups, depth = depth_of(layer)
    cdef ptrdiff_t i, g, first, count
    cdef const Unfolding *at = &layer.unfolding
    cdef bint wide = at.width != w.out[1]
    cdef ptrdiff_t plane = at.plane if wide else w.out[0] * at.width
    cdef const char *bias = p.parameters[layer.first + BIAS].value
    cdef const char *weights = first_of(p, layer).value
    cdef const char *x
    cdef char *out
    cdef char *sums
    for i in range(v.rows):
        out = z + i * layer.ld * n
        sums = v.scratch + at.sums * n if wide else out
        p.kernels.spread(sums, bias, layer.channels, plane)
        x = framed_input(p, layer, v, i)
        for g in range(layer.groups):
            first = 0
            while first < at.positions:
                count = min(at.panel, at.positions - first)
                if wide and x == v.scratch:
                    count = whole_lanes(count, n)
                unfold(p, layer, v.scratch + at.unfolded * n, at, x, g, 0, depth, first, count)
                p.kernels.product(sums + (g * channels * plane + first) * n, plane, weights + g * channels * n, 1,
                                  layer.channels, v.scratch + at.unfolded * n, at.ld, channels, count, depth, True,
                                  NULL, NULL, 0)
                first += at.panel
        if wide:
            p.kernels.frame(out, w.out[0], w.out[1], sums, plane, layer.channels, w.out[0], at.width, 0, 0)
        if epilogue != p.kernels.forward[FM_ACTIVATION_identity]:
            epilogue(out, layer.constants, 1, layer.n_out, layer.ld)


cdef void backward_to_sums(const Pass *p, const Layer *layer, const View *v, ptrdiff_t row, char *out) noexcept nogil:
    """dX of a row whose sums are shifted, as a convolution of the framed deltas."""
    cdef const fm_window *w = &layer.window
    cdef ptrdiff_t n = p.itemsize, first = 0, count, depth = layer.channels * w.size[0] * w.size[1]
    cdef const Unfolding *at = &layer.unfolding_back
    cdef bint wide = at.width != w.in_[1]
    cdef ptrdiff_t plane = at.plane if wide else w.in_[0] * at.width
    cdef char *sums = v.scratch + at.sums * n if wide else out
    p.kernels.frame(v.scratch, layer.framed_delta[0], layer.framed_delta[1], v.delta + row * layer.ld * n,
                    w.out[0] * w.out[1], layer.channels, w.out[0], w.out[1], layer.delta_before[0],
                    layer.delta_before[1])
    while first < at.positions:
        count = min(at.panel, at.positions - first)
        if wide:
            count = whole_lanes(count, n)
        p.kernels.shifted(v.scratch + at.unfolded * n, at.ld, v.scratch + first * n, layer.delta_shifts, depth, count)
        p.kernels.product(sums + first * n, plane, first_of(p, layer).value, depth, 1, v.scratch + at.unfolded * n,
                          at.ld, w.channels, count, depth, False, NULL, NULL, 0)
        first += at.panel
    if wide:
        p.kernels.frame(out, w.in_[0], w.in_[1], sums, plane, w.channels, w.in_[0], at.width, 0, 0)


cdef void backward_by_elements(const Pass *p, const Layer *layer, const View *v, ptrdiff_t row,
                               char *out) noexcept nogil:
    """dX of a row: dU = W D, whose elements are added where U has them from."""
    cdef const fm_window *w = &layer.window
    cdef ptrdiff_t n = p.itemsize, channels = layer.channels // layer.groups, depth = depth_of(layer), g, first, count
    cdef const Unfolding *at = &layer.unfolding_back
    cdef char *u = v.scratch + at.unfolded * n
    memset(out, 0, layer.n_in * n)
    for g in range(layer.groups):
        first = 0
        while first < at.positions:
            count = min(at.panel, at.positions - first)
            p.kernels.product(u, at.ld, first_of(p, layer).value + g * channels * n, layer.channels, 1,
                              v.delta + (row * layer.ld + g * channels * at.positions + first) * n, at.positions,
                              depth, count, channels, False, NULL, NULL, 0)
            p.kernels.fold(out + g * w.channels * w.in_[0] * w.in_[1] * n, u, at.ld, w, 0, depth, first, count)
            first += at.panel


cdef void backward_convolution(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope,
                               const char *activations, char *out, ptrdiff_t ld) noexcept nogil:
    cdef ptrdiff_t i, n = p.itemsize
    for i in range(v.rows):
        if layer.delta_shifts != NULL:
            backward_to_sums(p, layer, v, i, out + i * ld * n)
        else:
            backward_by_elements(p, layer, v, i, out + i * ld * n)
        if slope != NULL:
            slope(out + i * ld * n, activations + i * ld * n, 1, layer.n_in, ld)


cdef void gradient_of_convolution(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start,
                                  ptrdiff_t stop, bint accumulate, char *gradient) noexcept nogil:
    """U D^T for weights; for biases the sums of planes."""
    cdef const fm_window *w = &layer.window
    cdef ptrdiff_t n = p.itemsize, channels = layer.channels // layer.groups, row, g, first, count
    cdef const Unfolding *at = &layer.unfolding
    cdef const char *x
    cdef const char *delta
    cdef char *turned = v.scratch + at.turned * n
    cdef char *u = v.scratch + at.unfolded * n
    if not accumulate:
        memset(gradient, 0, (stop - start) * layer.channels * n)
    for row in range(v.rows):
        delta = v.delta + row * layer.ld * n
        if i == BIAS:
            p.kernels.plane_sums(gradient, delta, layer.channels, w.out[0] * w.out[1])
            continue
        if at.width != w.out[1]:
            p.kernels.frame(v.scratch + at.sums * n, w.out[0], at.width, delta, w.out[0] * w.out[1], layer.channels,
                            w.out[0], w.out[1], 0, 0)
            delta = v.scratch + at.sums * n
        p.kernels.transpose(turned, at.channels_ld, delta, w.out[0] * at.width, layer.channels, w.out[0] * at.width)
        x = framed_input(p, layer, v, row)
        for g in range(layer.groups):
            first = 0
            while first < at.positions:
                count = min(at.panel, at.positions - first)
                unfold(p, layer, u, at, x, g, start, stop, first, count)
                p.kernels.product(gradient + g * channels * n, layer.channels, u, at.ld, 1,
                                  turned + (first * at.channels_ld + g * channels) * n, at.channels_ld, stop - start,
                                  channels, count, True, NULL, NULL, 0)
                first += at.panel


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
