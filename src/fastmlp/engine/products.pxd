"""The matrix products of a layer: shapes in, a strategy chosen when the plan is made, an epilogue."""

from .blas cimport Blas
from .kernels cimport fm_csr, fm_forward, fm_kernels

cdef enum Strategy:
    DENSE_BLAS   # products through BLAS, epilogue after each block of rows
    SPARSE       # the layer's input is CSR: products that follow the non-zeros


ctypedef struct Layer:
    Strategy strategy
    ptrdiff_t n_in, n_out
    ptrdiff_t ld                # row stride of the layer's outputs: n_out rounded up to whole lanes
    char *weights               # (n_in, n_out), row-major
    char *bias                  # (n_out,), readable up to ld
    fm_forward epilogue         # z = f(z + bias), or NULL: the sum alone


# A layer's input rows: dense memory, or rows of a CSR matrix.
ctypedef struct Rows:
    const char *dense           # (., ld), the first of the rows
    ptrdiff_t ld
    const fm_csr *csr
    bint long_indices, double_values
    const ptrdiff_t *index      # which rows of csr, or NULL: first, first + 1, ...
    ptrdiff_t first


cdef void forward_product(const fm_kernels *kernels, const Blas *blas, const Layer *layer, const Rows *x,
                          ptrdiff_t rows, void *z) noexcept nogil
cdef void input_gradient(const Blas *blas, const Layer *layer, const void *delta, ptrdiff_t rows,
                         void *out, ptrdiff_t ld) noexcept nogil
cdef void weight_gradient(const fm_kernels *kernels, const Blas *blas, const Layer *layer, const Rows *x,
                          const void *delta, ptrdiff_t rows, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t itemsize,
                          bint accumulate, void *gradient) noexcept nogil
