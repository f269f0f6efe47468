"""The kinds of layers, a row of operations each.

The kind of a layer depends on its shape, its input and the instruction set, never on threads. A layer with dense input
is served by register-tiled products of our own, or by SciPy's BLAS, which blocks for all levels of cache and knows
processors that our kernels do not.
"""

from .blas cimport product
from .kernels cimport FM_ACTIVATION_softmax, blas_outruns, fm_epilogue
from .layers cimport BIAS, WEIGHTS, Layer, Parameter, Pass
from .source cimport Rows
from .tuning cimport BLAS_WEIGHTS, DOT_COLUMNS, PORTABLE_BLAS_WEIGHTS


# ---- forward: Z = f(X W + b) ----

cdef void forward_by_tiles(const Pass *p, const Layer *layer, const Rows *x, ptrdiff_t rows, fm_epilogue epilogue,
                           void *z) noexcept nogil:
    cdef const char *bias = p.parameters[layer.first + BIAS].value
    # softmax needs whole rows of Z, whose panels come one by one
    cdef bint fused = epilogue != p.kernels.forward[FM_ACTIVATION_softmax]
    p.kernels.product(z, layer.ld, x.dense, x.ld, 1, p.parameters[layer.first + WEIGHTS].value, layer.n_out, rows,
                      layer.n_out, layer.n_in, False, epilogue if fused else NULL, bias, 0)
    if not fused:
        epilogue(z, bias, rows, layer.n_out, layer.ld)


cdef void forward_by_blas(const Pass *p, const Layer *layer, const Rows *x, ptrdiff_t rows, fm_epilogue epilogue,
                          void *z) noexcept nogil:
    product(&p.blas, False, False, rows, layer.n_out, layer.n_in, x.dense, x.ld,
            p.parameters[layer.first + WEIGHTS].value, layer.n_out, False, z, layer.ld)
    if epilogue != NULL:
        epilogue(z, p.parameters[layer.first + BIAS].value, rows, layer.n_out, layer.ld)


cdef void forward_of_csr(const Pass *p, const Layer *layer, const Rows *x, ptrdiff_t rows, fm_epilogue epilogue,
                         void *z) noexcept nogil:
    p.kernels.csr_product[x.long_indices][x.double_values](
        z, x.csr, x.index, x.first, rows, p.parameters[layer.first + WEIGHTS].value, layer.n_out, layer.ld)
    if epilogue != NULL:
        epilogue(z, p.parameters[layer.first + BIAS].value, rows, layer.n_out, layer.ld)


# ---- backward: out = (delta W^T) f'(z) ----

cdef void backward(const Pass *p, const Layer *layer, const void *delta, ptrdiff_t rows, fm_epilogue slope,
                   const void *activations, void *out, ptrdiff_t ld) noexcept nogil:
    """By tiles where there is a transpose, else by BLAS; CSR input has a gradient as dense input has."""
    cdef const Parameter *weights = &p.parameters[layer.first + WEIGHTS]
    if weights.transposed != NULL:
        p.kernels.product(out, ld, delta, layer.ld, 1, weights.transposed, weights.transposed_ld, rows, layer.n_in,
                          layer.n_out, False, slope, activations, ld)
    else:
        product(&p.blas, False, True, rows, layer.n_in, layer.n_out, delta, layer.ld, weights.value, layer.n_out,
                False, out, ld)
        if slope != NULL:
            slope(out, activations, rows, layer.n_in, ld)


# ---- gradients: X[:, start:stop]^T delta of the weights, 1^T delta of the bias ----

cdef void gradient_by_tiles(const Pass *p, const Layer *layer, int i, const Rows *x, const void *delta, ptrdiff_t rows,
                            ptrdiff_t start, ptrdiff_t stop, bint accumulate, void *gradient) noexcept nogil:
    cdef double one = 1.0
    cdef float single_one = 1.0
    cdef const void *ones = &one
    if i == WEIGHTS:
        p.kernels.product(gradient, layer.n_out, x.dense + start * p.itemsize, 1, x.ld, delta, layer.ld, stop - start,
                          layer.n_out, rows, accumulate, NULL, NULL, 0)
        return
    # the columns' sums as a product with a row of ones
    if p.itemsize == sizeof(float):
        ones = &single_one
    p.kernels.product(gradient, layer.n_out, ones, 1, 0, delta, layer.ld, 1, layer.n_out, rows, accumulate, NULL, NULL,
                      0)


cdef void gradient_by_blas(const Pass *p, const Layer *layer, int i, const Rows *x, const void *delta, ptrdiff_t rows,
                           ptrdiff_t start, ptrdiff_t stop, bint accumulate, void *gradient) noexcept nogil:
    if i == WEIGHTS:
        product(&p.blas, True, False, stop - start, layer.n_out, rows, x.dense + start * p.itemsize, x.ld, delta,
                layer.ld, accumulate, gradient, layer.n_out)
    else:
        gradient_by_tiles(p, layer, i, x, delta, rows, start, stop, accumulate, gradient)


cdef void gradient_of_csr(const Pass *p, const Layer *layer, int i, const Rows *x, const void *delta, ptrdiff_t rows,
                          ptrdiff_t start, ptrdiff_t stop, bint accumulate, void *gradient) noexcept nogil:
    if i == WEIGHTS:
        p.kernels.csr_gradient[x.long_indices][x.double_values](
            gradient, x.csr, x.index, x.first, rows, x.cuts + start // x.cut_width, x.n_cuts, start, stop, delta,
            layer.n_out, layer.ld, accumulate)
    else:
        gradient_by_tiles(p, layer, i, x, delta, rows, start, stop, accumulate, gradient)


cdef Kind[3] table = [
    Kind("dense", False, True, &forward_by_tiles, &backward, &gradient_by_tiles),
    Kind("dense by BLAS", True, False, &forward_by_blas, &backward, &gradient_by_blas),
    Kind("csr", False, False, &forward_of_csr, &backward, &gradient_of_csr),
]


cdef const Kind *tiled_kind() noexcept nogil:
    """Dense input, by tiles whatever the shape."""
    return &table[0]


cdef const Kind *dense_kind(const fm_kernels *kernels, ptrdiff_t n_in, ptrdiff_t n_out) noexcept nogil:
    """Dense input. BLAS has kernels for the processor's own vectors, where ours may be the portable ones."""
    cdef bint outrun = min(n_in, n_out) > DOT_COLUMNS and blas_outruns(kernels)
    return &table[1] if n_in * n_out >= (PORTABLE_BLAS_WEIGHTS if outrun else BLAS_WEIGHTS) else &table[0]


cdef const Kind *csr_kind() noexcept nogil:
    """CSR input: products that follow the non-zeros."""
    return &table[2]
