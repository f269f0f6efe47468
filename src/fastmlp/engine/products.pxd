"""The matrix products of a layer: shapes in, a strategy chosen when the network is made, how they end."""

from .kernels cimport fm_epilogue, fm_kernels
from .layers cimport Layer, Pass, Strategy
from .source cimport Rows


cdef Strategy dense_strategy(const fm_kernels *kernels, ptrdiff_t n_in, ptrdiff_t n_out) noexcept nogil
cdef void forward_product(const Pass *p, const Layer *layer, const Rows *x, ptrdiff_t rows, fm_epilogue epilogue,
                          void *z) noexcept nogil
cdef void input_gradient(const Pass *p, const Layer *layer, const void *delta, ptrdiff_t rows, fm_epilogue slope,
                         const void *activations, void *out, ptrdiff_t ld) noexcept nogil
cdef void parameter_gradient(const Pass *p, int parameter, const Rows *x, const void *delta, ptrdiff_t rows,
                             ptrdiff_t start, ptrdiff_t stop, bint accumulate, void *gradient) noexcept nogil
