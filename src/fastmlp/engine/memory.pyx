"""Aligned memory and the addresses of arrays: the one place that turns Python's buffers into pointers."""

import math

import numpy as np

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_STRIDED_RO, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)


cdef extern from *:
    """
    #if defined(__SANITIZE_ADDRESS__)
    #include <sanitizer/asan_interface.h>
    #define FM_GAP 64
    #define FM_POISON(address, size) ASAN_POISON_MEMORY_REGION(address, size)
    #define FM_UNPOISON(address, size) ASAN_UNPOISON_MEMORY_REGION(address, size)
    #else
    #define FM_GAP 0
    #define FM_POISON(address, size) ((void)(address), (void)(size))
    #define FM_UNPOISON(address, size) ((void)(address), (void)(size))
    #endif
    """
    enum:
        FM_GAP
    void FM_POISON(void *address, size_t size) nogil
    void FM_UNPOISON(void *address, size_t size) nogil

cdef enum:
    ALIGNMENT = 64


@cython.no_gc_clear  # the memory stays until __dealloc__, and nothing that the attributes hold leads back here
cdef class Arena:
    """One zeroed block of memory with named, 64-byte aligned pieces.

    Reserve all pieces, allocate once, then ask for pointers or array views; views keep the memory alive. Builds with
    AddressSanitizer put poisoned gaps between the pieces, so that an overrun from one into the next is caught.
    """

    def __cinit__(self):
        self._pieces = []
        self._offsets = {}
        self._size = 0
        self._base = NULL

    cpdef reserve(self, object key, ptrdiff_t nbytes):
        """Plan a piece of nbytes bytes."""
        cdef ptrdiff_t rounded = (nbytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        self._offsets[key] = self._size
        self._pieces.append((self._size + rounded, FM_GAP))
        self._size += rounded + FM_GAP

    cpdef allocate(self):
        """Get the memory for everything reserved, zeroed."""
        self._array = np.zeros(self._size + ALIGNMENT, dtype=np.uint8)
        cdef char *raw = data_of(self._array, True)
        self._base = raw + (ALIGNMENT - <size_t> raw % ALIGNMENT) % ALIGNMENT
        for offset, gap in self._pieces:
            FM_POISON(self._base + <ptrdiff_t> offset, <size_t> gap)

    cdef char *pointer(self, object key) except NULL:
        return self._base + <ptrdiff_t> self._offsets[key]

    def view(self, key, shape, dtype):
        """The piece as an ndarray of the given shape and dtype."""
        cdef ptrdiff_t start = self.pointer(key) - data_of(self._array, True)
        dtype = np.dtype(dtype)
        count = math.prod(shape)
        return self._array[start:start + count * dtype.itemsize].view(dtype).reshape(shape)

    def __dealloc__(self):
        # all of it: the collector may have emptied the list of pieces
        if self._base != NULL:
            FM_UNPOISON(self._base, <size_t> self._size)


cdef char *data_of(object array, bint writable) except? NULL:
    """The address of a C-contiguous array's data; the caller keeps the array alive."""
    return _data(array, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0))


cdef char *strided_data_of(object array, bint writable) except? NULL:
    """The address of the first element of an array with any strides; the caller keeps the array alive."""
    return _data(array, PyBUF_STRIDED_RO | (PyBUF_WRITABLE if writable else 0))


cdef char *_data(object array, int flags) except? NULL:
    cdef Py_buffer buffer
    PyObject_GetBuffer(array, &buffer, flags)
    cdef char *address = <char *> buffer.buf
    cdef bint aligned = <size_t> address % <size_t> buffer.itemsize == 0
    PyBuffer_Release(&buffer)
    if not aligned:
        raise ValueError("the array's elements are not aligned in memory")
    return address
