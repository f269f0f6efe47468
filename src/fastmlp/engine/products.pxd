"""The matrix products of a layer: shapes in, a strategy chosen when the plan is made, how they end."""

from libc.stdint cimport int32_t

from .blas cimport Blas
from .kernels cimport fm_csr, fm_epilogue, fm_kernels

cdef enum Strategy:
    FUSED        # register-tiled products of our own
    BLAS         # SciPy's BLAS, which blocks for all levels of cache: for layers larger than those
    SPARSE       # the layer's input is CSR: products that follow the non-zeros


ctypedef struct Layer:
    Strategy strategy
    ptrdiff_t n_in, n_out
    ptrdiff_t ld                # row stride of the layer's outputs: n_out rounded up to whole lanes
    char *weights               # (n_in, n_out), row-major
    char *bias                  # (n_out,), readable up to whole lanes
    char *transposed            # (n_out, transposed_ld): the weights' transpose for the fused input gradient, or NULL
    ptrdiff_t transposed_ld
    fm_epilogue finish          # z = f(z + bias), or NULL: the sum alone


# A layer's input rows: dense memory, or rows of a CSR matrix.
ctypedef struct Rows:
    const char *dense           # (., ld), the first of the rows
    ptrdiff_t ld
    const fm_csr *csr
    bint long_indices, double_values
    const ptrdiff_t *index      # which rows of csr, or NULL: first, first + 1, ...
    ptrdiff_t first
    int32_t *cuts               # (rows, n_cuts): where each row of csr enters a tile of cut_width columns, or NULL
    ptrdiff_t n_cuts, cut_width


cdef Strategy dense_strategy(ptrdiff_t n_in, ptrdiff_t n_out) noexcept nogil
cdef void forward_product(const fm_kernels *kernels, const Blas *blas, const Layer *layer, const Rows *x,
                          ptrdiff_t rows, void *z) noexcept nogil
cdef void input_gradient(const fm_kernels *kernels, const Blas *blas, const Layer *layer, const void *delta,
                         ptrdiff_t rows, fm_epilogue backward, const void *activations, void *out,
                         ptrdiff_t ld) noexcept nogil
cdef void weight_gradient(const fm_kernels *kernels, const Blas *blas, const Layer *layer, const Rows *x,
                          const void *delta, ptrdiff_t rows, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t itemsize,
                          bint accumulate, void *gradient) noexcept nogil
cdef void bias_gradient(const fm_kernels *kernels, const Layer *layer, const void *delta, ptrdiff_t rows,
                        ptrdiff_t itemsize, bint accumulate, void *gradient) noexcept nogil
