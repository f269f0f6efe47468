"""The three matrix products of a layer, behind one seam.

A strategy depends on the layer's shape, its kind of input and the instruction set, never on threads.
"""

from .blas cimport product
from .kernels cimport FM_ACTIVATION_softmax, blas_outruns
from .layers cimport BIAS, BLAS, FUSED, WEIGHTS, Parameter
from .tuning cimport BLAS_WEIGHTS, DOT_COLUMNS, PORTABLE_BLAS_WEIGHTS


cdef Strategy dense_strategy(const fm_kernels *kernels, ptrdiff_t n_in, ptrdiff_t n_out) noexcept nogil:
    """Which products serve a layer with dense input.

    BLAS has kernels for the processor's own vectors, where ours may be the portable ones.
    """
    cdef bint outrun = min(n_in, n_out) > DOT_COLUMNS and blas_outruns(kernels)
    return BLAS if n_in * n_out >= (PORTABLE_BLAS_WEIGHTS if outrun else BLAS_WEIGHTS) else FUSED


cdef void forward_product(const Pass *p, const Layer *layer, const Rows *x, ptrdiff_t rows, fm_epilogue epilogue,
                          void *z) noexcept nogil:
    """Z = f(X W + b), Z (rows, ld), f the epilogue; NULL: Z = X W."""
    cdef const char *weights = p.parameters[layer.first + WEIGHTS].value
    cdef const char *bias = p.parameters[layer.first + BIAS].value
    # softmax needs whole rows of Z, whose panels come one by one
    cdef bint fused = layer.strategy == FUSED and epilogue != p.kernels.forward[FM_ACTIVATION_softmax]
    if layer.strategy == FUSED:
        p.kernels.product(z, layer.ld, x.dense, x.ld, 1, weights, layer.n_out, rows, layer.n_out, layer.n_in,
                          False, epilogue if fused else NULL, bias, 0)
    elif layer.strategy == BLAS:
        product(&p.blas, False, False, rows, layer.n_out, layer.n_in, x.dense, x.ld, weights, layer.n_out,
                False, z, layer.ld)
    else:
        p.kernels.csr_product[x.long_indices][x.double_values](
            z, x.csr, x.index, x.first, rows, weights, layer.n_out, layer.ld)
    if epilogue != NULL and not fused:
        epilogue(z, bias, rows, layer.n_out, layer.ld)


cdef void input_gradient(const Pass *p, const Layer *layer, const void *delta, ptrdiff_t rows, fm_epilogue slope,
                         const void *activations, void *out, ptrdiff_t ld) noexcept nogil:
    """out (rows, ld) = (delta W^T) f'(z), delta (rows, layer.ld), activations (rows, ld) = f(z); slope NULL: 1."""
    cdef const Parameter *weights = &p.parameters[layer.first + WEIGHTS]
    if weights.transposed != NULL:
        p.kernels.product(out, ld, delta, layer.ld, 1, weights.transposed, weights.transposed_ld, rows, layer.n_in,
                          layer.n_out, False, slope, activations, ld)
    else:
        product(&p.blas, False, True, rows, layer.n_in, layer.n_out, delta, layer.ld, weights.value, layer.n_out,
                False, out, ld)
        if slope != NULL:
            slope(out, activations, rows, layer.n_in, ld)


cdef void parameter_gradient(const Pass *p, int parameter, const Rows *x, const void *delta, ptrdiff_t rows,
                             ptrdiff_t start, ptrdiff_t stop, bint accumulate, void *gradient) noexcept nogil:
    """gradient (stop - start, n_out) = [gradient +] those rows of the parameter's gradient, delta (rows, layer.ld)."""
    cdef const Layer *layer = &p.layers[p.parameters[parameter].layer]
    if parameter == layer.first + BIAS:
        bias_gradient(p, layer, delta, rows, accumulate, gradient)
    else:
        weight_gradient(p, layer, x, delta, rows, start, stop, accumulate, gradient)


cdef void weight_gradient(const Pass *p, const Layer *layer, const Rows *x, const void *delta, ptrdiff_t rows,
                          ptrdiff_t start, ptrdiff_t stop, bint accumulate, void *gradient) noexcept nogil:
    """gradient (stop - start, n_out) = [gradient +] X[:, start:stop]^T delta."""
    if layer.strategy == FUSED:
        p.kernels.product(gradient, layer.n_out, x.dense + start * p.itemsize, 1, x.ld, delta, layer.ld, stop - start,
                          layer.n_out, rows, accumulate, NULL, NULL, 0)
    elif layer.strategy == BLAS:
        product(&p.blas, True, False, stop - start, layer.n_out, rows, x.dense + start * p.itemsize, x.ld,
                delta, layer.ld, accumulate, gradient, layer.n_out)
    else:
        p.kernels.csr_gradient[x.long_indices][x.double_values](
            gradient, x.csr, x.index, x.first, rows, x.cuts + start // x.cut_width, x.n_cuts, start, stop, delta,
            layer.n_out, layer.ld, accumulate)


cdef void bias_gradient(const Pass *p, const Layer *layer, const void *delta, ptrdiff_t rows, bint accumulate,
                        void *gradient) noexcept nogil:
    """gradient (n_out,) = [gradient +] 1^T delta: the columns' sums as a product with a row of ones."""
    cdef double one = 1.0
    cdef float single_one = 1.0
    cdef const void *ones = &one
    if p.itemsize == sizeof(float):
        ones = &single_one
    p.kernels.product(gradient, layer.n_out, ones, 1, 0, delta, layer.ld, 1, layer.n_out, rows, accumulate, NULL, NULL,
                      0)
