"""Aligned memory and the addresses of arrays."""

from .kernels cimport FM_ROW_BYTES


cdef class Arena:
    cdef list _pieces
    cdef dict _offsets
    cdef ptrdiff_t _size
    cdef object _array
    cdef char *_base

    cpdef reserve(self, object key, ptrdiff_t nbytes)
    cpdef allocate(self)
    cdef char *pointer(self, object key) except NULL


cdef inline ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    """a / b rounded up, for a >= 0."""
    return (a + b - 1) // b


cdef inline ptrdiff_t padded(ptrdiff_t n, ptrdiff_t itemsize) noexcept nogil:
    """The row stride for rows of n elements: an odd number of whole groups of the kernels' lanes.

    With an even one, and worst with a power of two, the rows of a column panel fall on a few sets of the cache.
    """
    return (ceil_div(n * itemsize, FM_ROW_BYTES) | 1) * FM_ROW_BYTES // itemsize


cdef char *data_of(object array, bint writable) except? NULL
cdef char *strided_data_of(object array, bint writable) except? NULL
