# ---- layer normalisation: z = f(s u + b), which keeps u and the inverse of the deviation ----

cdef void forward_norm(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue, char *z) noexcept nogil:
    cdef const char *shift = p.parameters[layer.first + BIAS].value
    cdef ptrdiff_t i
    for i in range(v.rows):
        p.kernels.norm(z + i * layer.ld * p.itemsize, v.own + i * layer.own_ld * p.itemsize if v.own != NULL else NULL,
                       v.x.dense + i * v.x.ld * p.itemsize, first_of(p, layer).value, shift, layer.channels,
                       layer.positions, layer.epsilon)
    end_in(p, layer, v, epilogue, z)


cdef inline void end_in(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue, char *z) noexcept nogil:
    """The activation of what has no bias to be added."""
    if epilogue != p.kernels.forward[FM_ACTIVATION_identity]:
        epilogue(z, layer.constants, v.rows, layer.n_out, layer.ld)


cdef void backward_norm(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope, const char *activations,
                        char *out, ptrdiff_t ld) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(v.rows):
        p.kernels.norm_back(out + i * ld * p.itemsize, v.own + i * layer.own_ld * p.itemsize,
                            v.delta + i * layer.ld * p.itemsize, first_of(p, layer).value, layer.channels,
                            layer.positions)
    if slope != NULL:
        slope(out, activations, v.rows, layer.n_in, ld)


cdef void gradient_of_norm(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start, ptrdiff_t stop,
                           bint accumulate, char *gradient) noexcept nogil:
    cdef ptrdiff_t row
    cdef const char *delta
    if i == BIAS and layer.positions == 1:
        gradient_by_tiles(p, layer, i, v, start, stop, accumulate, gradient)
        return
    if i == WEIGHTS and layer.positions == 1:
        p.kernels.scale_gradient(gradient, v.own, layer.own_ld, v.delta, layer.ld, v.rows, layer.n_out, accumulate)
        return
    if not accumulate:
        memset(gradient, 0, layer.channels * p.itemsize)
    for row in range(v.rows):
        delta = v.delta + row * layer.ld * p.itemsize
        if i == BIAS:
            p.kernels.plane_sums(gradient, delta, layer.channels, layer.positions)
        else:
            p.kernels.plane_products(gradient, delta, v.own + row * layer.own_ld * p.itemsize, layer.channels,
                                     layer.positions)


# ---- residual connection: z = f(x + y); y gets its delta from the loop backward ----

cdef void forward_residual(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                           char *z) noexcept nogil:
    p.kernels.add_rows(z, layer.ld, v.x.dense, v.x.ld, v.added, v.added_ld, v.rows, layer.n_out)
    end_in(p, layer, v, epilogue, z)


cdef void backward_residual(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope,
                            const char *activations, char *out, ptrdiff_t ld) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(v.rows):
        memcpy(out + i * ld * p.itemsize, v.delta + i * layer.ld * p.itemsize, layer.n_in * p.itemsize)
    if slope != NULL:
        slope(out, activations, v.rows, layer.n_in, ld)
