"""The three matrix products of a layer, behind one seam.

A strategy depends on the layer's shape and kind of input alone, never on threads or instruction set.
"""

from .blas cimport product
from .kernels cimport FM_ACTIVATION_softmax
from .tuning cimport BLAS_WEIGHTS


cdef Strategy dense_strategy(ptrdiff_t n_in, ptrdiff_t n_out) noexcept nogil:
    """Which products serve a layer with dense input."""
    return BLAS if n_in * n_out >= BLAS_WEIGHTS else FUSED


cdef void forward_product(const fm_kernels *kernels, const Blas *blas, const Layer *layer, const Rows *x,
                          ptrdiff_t rows, void *z) noexcept nogil:
    """Z = f(X W + b), Z (rows, ld); where the layer says nothing of f, Z = X W."""
    # softmax needs whole rows of Z, whose panels come one by one
    cdef bint fused = layer.strategy == FUSED and layer.finish != kernels.forward[FM_ACTIVATION_softmax]
    if layer.strategy == FUSED:
        kernels.product(z, layer.ld, x.dense, x.ld, 1, layer.weights, layer.n_out, rows, layer.n_out, layer.n_in,
                        False, layer.finish if fused else NULL, layer.bias, 0)
    elif layer.strategy == BLAS:
        product(blas, False, False, rows, layer.n_out, layer.n_in, x.dense, x.ld, layer.weights, layer.n_out,
                False, z, layer.ld)
    else:
        kernels.csr_product[x.long_indices][x.double_values](
            z, x.csr, x.index, x.first, rows, layer.weights, layer.n_out, layer.ld)
    if layer.finish != NULL and not fused:
        layer.finish(z, layer.bias, rows, layer.n_out, layer.ld)


cdef void input_gradient(const fm_kernels *kernels, const Blas *blas, const Layer *layer, const void *delta,
                         ptrdiff_t rows, fm_epilogue backward, const void *activations, void *out,
                         ptrdiff_t ld) noexcept nogil:
    """out (rows, ld) = (delta W^T) f'(z), delta (rows, layer.ld), activations (rows, ld) = f(z); backward NULL: 1."""
    if layer.transposed != NULL:
        kernels.product(out, ld, delta, layer.ld, 1, layer.transposed, layer.transposed_ld, rows, layer.n_in,
                        layer.n_out, False, backward, activations, ld)
    else:
        product(blas, False, True, rows, layer.n_in, layer.n_out, delta, layer.ld, layer.weights, layer.n_out,
                False, out, ld)
        if backward != NULL:
            backward(out, activations, rows, layer.n_in, ld)


cdef void weight_gradient(const fm_kernels *kernels, const Blas *blas, const Layer *layer, const Rows *x,
                          const void *delta, ptrdiff_t rows, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t itemsize,
                          bint accumulate, void *gradient) noexcept nogil:
    """gradient (stop - start, n_out) = [gradient +] X[:, start:stop]^T delta, delta (rows, layer.ld)."""
    if layer.strategy == FUSED:
        kernels.product(gradient, layer.n_out, x.dense + start * itemsize, 1, x.ld, delta, layer.ld, stop - start,
                        layer.n_out, rows, accumulate, NULL, NULL, 0)
    elif layer.strategy == BLAS:
        product(blas, True, False, stop - start, layer.n_out, rows, x.dense + start * itemsize, x.ld,
                delta, layer.ld, accumulate, gradient, layer.n_out)
    else:
        kernels.csr_gradient[x.long_indices][x.double_values](
            gradient, x.csr, x.index, x.first, rows, x.cuts + start // x.cut_width, x.n_cuts, start, stop, delta,
            layer.n_out, layer.ld, accumulate)


cdef void bias_gradient(const fm_kernels *kernels, const Layer *layer, const void *delta, ptrdiff_t rows,
                        ptrdiff_t itemsize, bint accumulate, void *gradient) noexcept nogil:
    """gradient (n_out,) = [gradient +] 1^T delta: the columns' sums as a product with a row of ones."""
    cdef double one = 1.0
    cdef float single_one = 1.0
    cdef const void *ones = &one
    if itemsize == sizeof(float):
        ones = &single_one
    kernels.product(gradient, layer.n_out, ones, 1, 0, delta, layer.ld, 1, layer.n_out, rows, accumulate, NULL, NULL, 0)
