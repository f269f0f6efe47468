"""The three matrix products of a layer, behind one seam.

A strategy depends on the layer's shape and kind of input alone, never on threads or instruction set.
"""

from .blas cimport product


cdef void forward_product(const fm_kernels *kernels, const Blas *blas, const Layer *layer, const Rows *x,
                          ptrdiff_t rows, void *z) noexcept nogil:
    """Z = f(X W + b), Z (rows, ld); without an epilogue Z = X W."""
    if layer.strategy == SPARSE:
        kernels.csr_product[x.long_indices][x.double_values](
            z, x.csr, x.index, x.first, rows, layer.weights, layer.n_out, layer.ld)
    else:
        product(blas, False, False, rows, layer.n_out, layer.n_in, x.dense, x.ld, layer.weights, layer.n_out,
                False, z, layer.ld)
    if layer.epilogue != NULL:
        layer.epilogue(z, layer.bias, rows, layer.n_out, layer.ld)


cdef void input_gradient(const Blas *blas, const Layer *layer, const void *delta, ptrdiff_t rows,
                         void *out, ptrdiff_t ld) noexcept nogil:
    """out (rows, ld) = delta W^T, delta (rows, layer.ld)."""
    product(blas, False, True, rows, layer.n_in, layer.n_out, delta, layer.ld, layer.weights, layer.n_out,
            False, out, ld)


cdef void weight_gradient(const fm_kernels *kernels, const Blas *blas, const Layer *layer, const Rows *x,
                          const void *delta, ptrdiff_t rows, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t itemsize,
                          bint accumulate, void *gradient) noexcept nogil:
    """gradient (stop - start, n_out) = [gradient +] X[:, start:stop]^T delta, delta (rows, layer.ld)."""
    if layer.strategy == SPARSE:
        kernels.csr_gradient[x.long_indices][x.double_values](
            gradient, x.csr, x.index, x.first, rows, start, stop, delta, layer.n_out, layer.ld, accumulate)
    else:
        product(blas, True, False, stop - start, layer.n_out, rows, x.dense + start * itemsize, x.ld,
                delta, layer.ld, accumulate, gradient, layer.n_out)
