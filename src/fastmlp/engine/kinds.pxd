"""The kinds of layers."""

from .kernels cimport fm_kernels
from .layers cimport Kind, Layer, Pass

cdef const Kind *kind_of(str name) except NULL
cdef ptrdiff_t sums_bytes(const Pass *p, const Layer *layer) noexcept nogil
cdef void keep_sums(const Pass *p, Layer *layer, char *room) noexcept nogil
cdef ptrdiff_t lay_out_scratch(Layer *layer, ptrdiff_t itemsize) noexcept
cdef bint ends_product(const Layer *layer) noexcept nogil
cdef const Kind *tiled_kind() noexcept nogil
cdef const Kind *dense_kind(const fm_kernels *kernels, ptrdiff_t n_in, ptrdiff_t n_out) noexcept nogil
cdef const Kind *first_kind(const Pass *p, bint sparse) noexcept nogil
