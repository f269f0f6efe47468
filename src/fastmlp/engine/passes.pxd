"""The loop forward and the loop backward."""

from libc.stdint cimport uint64_t

from .kernels cimport fm_augmentation
from .layers cimport Dropout, Layer, Pass
from .source cimport Rows
from .threads cimport Signals

cdef uint64_t dropout_key(uint64_t seed, uint64_t update) noexcept nogil
cdef void drop(const Pass *p, const Dropout *dropout, int layer, char *out, const char *source, ptrdiff_t first,
               ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld) noexcept nogil
cdef void augment(const Pass *p, const fm_augmentation *augmentation, char *x, ptrdiff_t first, ptrdiff_t rows,
                  ptrdiff_t ld, char *room) noexcept nogil
cdef bint forward_pass(const Pass *p, const Rows *inputs, int n_layers, ptrdiff_t first, ptrdiff_t rows,
                       ptrdiff_t workspace, ptrdiff_t row, char *scratch, Signals *signals) noexcept nogil
cdef bint backward_pass(const Pass *p, const Rows *inputs, const Layer *top, const char *delta, ptrdiff_t first,
                        ptrdiff_t rows, ptrdiff_t workspace, ptrdiff_t row, char *scratch, Signals *signals, char *out,
                        ptrdiff_t ld) noexcept nogil
